//! Concurrency limits: how many requests of a scope are in flight at a time, and how many wait.

use super::Context;
use super::reader::Field;
use super::scope::{self, Kind, Scope, Siblings};
use crate::base::time::Span;
use crate::limit::pool::{Pool, QUEUE_LENGTH_MAX, SLOTS_MAX, TIMEOUT_MAX};

/// One concurrency limit.
#[derive(Debug)]
pub struct PoolLimit {
    /// The requests that need a slot, and under which keys.
    pub scope: Scope,
    /// The slots, and the queue before them.
    pub pool: Pool,
}

pub(crate) const POOLS_MAX: usize = 1_000;

/// Reads all concurrency limits; `None` if one of them has an error.
pub(super) fn read(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<PoolLimit>> {
    field.every(POOLS_MAX, |field| read_pool(field, siblings, context))
}

fn read_pool(
    field: Field<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<PoolLimit> {
    let map = field.map("{ name: pool, per: [org], slots: 10 }")?;
    let mut scope = scope::read(&map, Kind::Pool, siblings, context);
    let slots = map
        .require("slots")
        .and_then(|field| field.count(1, SLOTS_MAX));
    let queue = map.optional("queue", (0, Span::ZERO), read_queue);
    scope.finish(&map);
    let scope = scope.build("pool", siblings, &context.attributes);
    let (length, timeout) = queue?;
    Some(PoolLimit {
        scope: scope?,
        pool: Pool::new(slots?, length, timeout)?,
    })
}

/// How many wait, and for how long. A queue of no length is none.
fn read_queue(field: Field<'_>) -> Option<(u32, Span)> {
    let map = field.map("{ length: 10, timeout: 5s }")?;
    let length = map
        .require("length")
        .and_then(|field| field.count(0, QUEUE_LENGTH_MAX));
    let timeout = map
        .require("timeout")
        .and_then(|field| field.span(TIMEOUT_MAX));
    map.deny_unknown();
    Some((length?, timeout?))
}

#[cfg(test)]
mod tests {
    use crate::base::time::Span;
    use crate::limit::pool::Pool;
    use crate::limit::seats::Seats;
    use crate::policy::Policy;
    use crate::policy::document::from_yaml;

    fn compiled(limits: &str) -> Policy {
        let head = "version: 1\nname: p\ncallers: { credentials: [{ name: key, header: x-key }], \
                    directory: [] }\n";
        Policy::compile(&from_yaml(&format!("{head}{limits}\n")).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let policy = compiled(
            "concurrency: [{ name: a, per: [key], slots: 3, queue: { length: 2, timeout: 5m } }, { \
             name: b, per: [], slots: 9 }]
seats: [{ name: c, per: [], holder: key, seats: 2, idle: 1d, status: 409 }]",
        );
        let pools: Vec<_> = policy.pools.iter().map(|limit| Some(limit.pool)).collect();
        assert_eq!(
            pools,
            [
                Pool::new(3, 2, Span::from_seconds(300)),
                Pool::new(9, 0, Span::ZERO)
            ]
        );
        let seats = &policy.seats[0];
        assert_eq!(
            (Some(seats.seats), seats.status),
            (Seats::new(2, Span::from_seconds(86_400)), 409)
        );
        assert_eq!(policy.attributes.name(seats.holder), "key");
        let mut found = Vec::new();
        policy.index.find(None, &[], |_| None, &mut found);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn numbers_are_no_part_of_who_a_limit_is_and_keys_are() {
        let pool = |limit: &str| {
            compiled(&format!("concurrency: [{limit}]")).pools[0]
                .scope
                .identity
                .clone()
        };
        let one = pool("{ name: a, per: [key], slots: 3 }");
        assert_eq!(
            one,
            pool(
                "{ name: a, per: [key], slots: 4, queue: { length: 2, timeout: 5m }, failure: deny \
                 }"
            )
        );
        assert_ne!(one, pool("{ name: b, per: [key], slots: 3 }"));
        assert_ne!(one, pool("{ name: a, per: [], slots: 3 }"));
        let seats = |limit: &str| {
            compiled(&format!("seats: [{limit}]")).seats[0]
                .scope
                .identity
                .clone()
        };
        let other = seats("{ name: a, per: [credential], holder: key, seats: 1, idle: 1s }");
        assert_eq!(
            other,
            seats("{ name: a, per: [credential], holder: key, seats: 2, idle: 9s, status: 429 }")
        );
        assert_ne!(
            other,
            seats("{ name: a, per: [], holder: key, seats: 1, idle: 1s }")
        );
        assert_ne!(other, pool("{ name: a, per: [credential], slots: 1 }"));
    }
}
