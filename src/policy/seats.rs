//! Seat limits: which attribute names the holder of a seat, and how many seats a scope has.

use super::Context;
use super::attributes::AttributeId;
use super::error::Reason;
use super::language::{self as lang, Either};
use super::overrides::{self, Override, Overrides};
use super::reader::{Field, Items, MapField};
use super::replies::{Replies, Reply, read_own};
use super::scope::{self, Absent, KeyPart, Scope, Siblings};
use super::select::Condition;
use crate::limit::Enforcement;
use crate::limit::seats::Seats;

/// One seat limit.
///
/// It does not apply to a caller that lacks the attribute that names the holder: the seat would
/// have no holder, or all such callers would hold it together.
#[derive(Debug)]
pub struct SeatLimit {
    /// The requests that touch a seat, and the keys that seats are kept under. Callers that lack a
    /// part of the key share it.
    pub scope: Scope,
    /// The attribute whose value is the holder.
    pub holder: AttributeId,
    /// How many seats there are, and how long one is kept.
    pub seats: Seats,
    /// Other numbers for some callers.
    pub overrides: Overrides<Override<Seats>>,
    /// Whether it refuses.
    pub enforcement: Enforcement,
    /// The status that its key of this name states.
    pub status: Option<u32>,
    /// Its answer to a request that it refuses, as far as that is its own.
    pub refused: Option<Box<Reply>>,
}

/// Locked (RFC 4918 §11.3).
const LOCKED: u32 = 423;

impl SeatLimit {
    /// All numbers of the limit.
    pub fn rules(&self) -> impl Iterator<Item = Seats> {
        let others = self.overrides.all().iter().filter_map(Override::other);
        std::iter::once(&self.seats).chain(others).copied()
    }

    /// The status of an answer to a caller without a seat.
    #[must_use]
    pub fn refusal_status(&self, replies: &Replies) -> u32 {
        let own = self.refused.as_ref().and_then(|reply| reply.status);
        own.or(self.status)
            .or(replies.refused.status)
            .unwrap_or(LOCKED)
    }
}

/// Reads all seat limits; `None` if one of them has an error.
pub(super) fn read(
    list: &Items<'_, lang::Map<lang::Seats>>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<SeatLimit>> {
    list.each(|_, map| read_seats(&map, siblings, context))
}

fn read_seats(
    map: &MapField<'_, lang::Seats>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<SeatLimit> {
    let keys = scope::Keys {
        name: map.open(lang::Seats::NAME),
        label: map.read(lang::Seats::LABEL),
        selector: map.read(lang::Seats::FOR),
        allows_refused: false,
        per: map.read(lang::Seats::PER),
    };
    let scope = scope::read(map.field(), keys, siblings, context);
    let holder = read_holder(map, scope.per(), context);
    let seats = map.read(lang::Seats::SEATS);
    let idle = map.read(lang::Seats::IDLE);
    let seats = seats
        .zip(idle)
        .and_then(|(seats, idle)| Seats::new(seats, idle));
    let overrides = map.read_with(lang::Seats::OVERRIDES, |_, list| {
        let base = overrides::Base {
            conditions: scope.conditions(),
            selector: map.field().at.key(lang::Seats::FOR.name).to_string(),
        };
        overrides::read(&list, context, |field, context| {
            read_override(field, seats, &base, context)
        })
    });
    let status = map.read(lang::Seats::STATUS);
    let refused = map.read_with(lang::Seats::REFUSED, |_, map| {
        read_own(&map, siblings.types, &mut context.attributes)
    });
    let enforcement = map.read(lang::Seats::ENFORCEMENT);
    let failure = map.read(lang::Seats::FAILURE);
    map.finish();
    let rest = (Some(Absent::default()), failure);
    Some(SeatLimit {
        scope: scope.build("seats", rest, siblings, &context.attributes)?,
        holder: holder?,
        seats: seats?,
        overrides: overrides?.unwrap_or_default(),
        enforcement: enforcement?,
        status: status?,
        refused: refused?,
    })
}

/// Reads an override. What it leaves out is that of `base`, which is `None` if it has an error
/// itself.
fn read_override(
    field: Field<'_>,
    base: Option<Seats>,
    limit: &overrides::Base<'_>,
    context: &mut Context,
) -> Option<(Vec<Condition>, Override<Seats>)> {
    let map = field.map()?;
    let seats = map.read(lang::SeatsOverride::SEATS);
    let idle = map.read(lang::SeatsOverride::IDLE);
    let callers = overrides::read_callers(map.read(lang::SeatsOverride::FOR), limit, context);
    map.finish();
    let (base, seats, idle) = (base?, seats?, idle?);
    let seats = match seats {
        Some(Either::One(lang::Unlimited::Unlimited)) => {
            return callers.zip(Some(Override::Unlimited));
        }
        Some(Either::Other(seats)) => seats,
        None => base.seats(),
    };
    let other = Seats::new(seats, idle.unwrap_or(base.idle()));
    callers.zip(other.map(Override::Other))
}

/// An attribute that is not a part of the key: otherwise each holder would have seats to itself.
fn read_holder(
    map: &MapField<'_, lang::Seats>,
    per: Option<&[KeyPart]>,
    context: &mut Context,
) -> Option<AttributeId> {
    map.read_with(lang::Seats::HOLDER, |field, name| {
        let holder = context.attributes.resolve(&field, name)?;
        let place = per?
            .iter()
            .position(|part| *part == KeyPart::Attribute(holder));
        let Some(index) = place else {
            return Some(holder);
        };
        let per = map.field().at.key(lang::Seats::PER.name);
        field.refuse(Reason::Duplicate {
            value: Some(name.to_owned()),
            first: per.index(index).to_string(),
        })
    })
}
