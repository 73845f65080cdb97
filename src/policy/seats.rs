//! Seat limits: which attribute names the holder of a seat, and how many seats a scope has.

use super::Context;
use super::attributes::AttributeId;
use super::error::Reason;
use super::reader::{Field, MapField};
use super::scope::{self, KeyPart, Kind, Scope, Siblings};
use crate::limit::seats::{IDLE_MAX, SEATS_MAX, Seats};

/// One seat limit.
///
/// It does not apply to a caller who lacks the attribute that names the holder: the seat would have
/// no holder, or all such callers would hold it together.
#[derive(Debug)]
pub struct SeatLimit {
    /// The requests that touch a seat, and the keys that seats are kept under. Callers who lack a
    /// part of the key share it.
    pub scope: Scope,
    /// The attribute whose value is the holder.
    pub holder: AttributeId,
    /// How many seats there are, and how long one is kept.
    pub seats: Seats,
    /// The status of an answer to those who get none.
    pub status: u32,
}

pub(crate) const SEAT_LIMITS_MAX: usize = 1_000;
pub(crate) const STATUS_MIN: u32 = 400;
pub(crate) const STATUS_MAX: u32 = 499;
/// Locked (RFC 4918 §11.3).
pub(crate) const STATUS_DEFAULT: u32 = 423;

/// Reads all seat limits; `None` if one of them has an error.
pub(super) fn read(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<SeatLimit>> {
    field.every(SEAT_LIMITS_MAX, |field| {
        read_seats(field, siblings, context)
    })
}

fn read_seats(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<SeatLimit> {
    let map = field.map("{ name: editor, per: [record], holder: user, seats: 1, idle: 60s }")?;
    let mut scope = scope::read(&map, Kind::Seats, siblings, context);
    let holder = read_holder(&map, scope.per(), context);
    let seats = map
        .require("seats")
        .and_then(|field| field.count(1, SEATS_MAX));
    let idle = map.require("idle").and_then(|field| field.span(IDLE_MAX));
    let status = map.optional("status", STATUS_DEFAULT, |field| {
        field.count(STATUS_MIN, STATUS_MAX)
    });
    scope.finish(&map);
    Some(SeatLimit {
        scope: scope.build("seats", siblings, &context.attributes)?,
        holder: holder?,
        seats: Seats::new(seats?, idle?)?,
        status: status?,
    })
}

/// An attribute that is no part of the key: else each holder would have seats to itself.
fn read_holder(
    map: &MapField<'_>,
    per: Option<&[KeyPart]>,
    context: &mut Context,
) -> Option<AttributeId> {
    let field = map.require("holder")?;
    let name = field.string()?;
    let holder = context.attributes.resolve(&field, name)?;
    let place = per.and_then(|per| {
        per.iter()
            .position(|part| *part == KeyPart::Attribute(holder))
    });
    match place {
        Some(index) => {
            let first = map.field().at.key("per").index(index).to_string();
            field.refuse(Reason::Duplicate {
                value: Some(name.to_owned()),
                first,
            })
        }
        None => Some(holder),
    }
}
