//! The limits of all kinds.

use super::document::Value;
use super::language as lang;
use super::limits::{self, Limit};
use super::payloads::{self, Payload};
use super::pools::{self, PoolLimit};
use super::reader::{Field, MapField};
use super::scope::Siblings;
use super::seats::{self, SeatLimit};
use super::{Context, revision};

/// All that has a scope.
pub(super) struct Scoped {
    pub(super) limits: Vec<Limit>,
    pub(super) pools: Vec<PoolLimit>,
    pub(super) seats: Vec<SeatLimit>,
    pub(super) payloads: Vec<Payload>,
}

/// Reads the limits of all kinds; `None` if one of them has an error.
pub(super) fn read(
    map: &MapField<'_, lang::Policy>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Scoped> {
    let limits = map.read_with(lang::Policy::LIMITS, |_, list| {
        limits::read(&list, siblings, context)
    });
    let pools = map.read_with(lang::Policy::CONCURRENCY, |_, list| {
        pools::read(&list, siblings, context)
    });
    let seats = map.read_with(lang::Policy::SEATS, |_, list| {
        seats::read(&list, siblings, context)
    });
    let payloads = map.read_with(lang::Policy::PAYLOADS, |_, list| {
        payloads::read(&list, siblings, context)
    });
    Some(Scoped {
        limits: limits?.unwrap_or_default(),
        pools: pools?.unwrap_or_default(),
        seats: seats?.unwrap_or_default(),
        payloads: payloads?.unwrap_or_default(),
    })
}

impl Scoped {
    /// All limits by name, each with a digest of what the document says of it: it tells the limit
    /// from the one of the same name in another revision.
    pub(super) fn digests(&self, map: &MapField<'_, lang::Policy>) -> Vec<(Box<str>, Box<str>)> {
        let limits = self.limits.iter().map(|limit| &*limit.scope.name);
        let pools = self.pools.iter().map(|pool| &*pool.scope.name);
        let seats = self.seats.iter().map(|seats| &*seats.scope.name);
        let payloads = self.payloads.iter().map(|payload| &*payload.scope.name);
        let mut all = Vec::new();
        add(map.value(lang::Policy::LIMITS), limits, &mut all);
        add(map.value(lang::Policy::CONCURRENCY), pools, &mut all);
        add(map.value(lang::Policy::SEATS), seats, &mut all);
        add(map.value(lang::Policy::PAYLOADS), payloads, &mut all);
        all
    }
}

fn add<'n>(
    list: Option<Field<'_>>,
    names: impl Iterator<Item = &'n str>,
    all: &mut Vec<(Box<str>, Box<str>)>,
) {
    if let Some(Value::List(items)) = list.map(|list| &list.node.value) {
        let items = names.zip(items);
        all.extend(items.map(|(name, item)| (name.into(), revision::of(item))));
    }
}
