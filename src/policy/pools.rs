//! Concurrency limits: how many requests of a scope are in flight at a time, and how many wait.

use super::Context;
use super::attributes::AttributeId;
use super::language::{self as lang, Either};
use super::overrides::{self, Override, Overrides};
use super::reader::{Field, Items, MapField};
use super::replies::{Reply, read_own};
use super::scope::{self, Scope, Siblings};
use super::select::Condition;
use crate::base::time::Span;
use crate::limit::Enforcement;
use crate::limit::pool::Pool;

/// One concurrency limit.
#[derive(Debug)]
pub struct PoolLimit {
    /// The requests that need a slot, and under which keys.
    pub scope: Scope,
    /// The slots, and the queue before them.
    pub pool: Pool,
    /// Other numbers for some callers.
    pub overrides: Overrides<Override<Pool>>,
    /// Whether it refuses.
    pub enforcement: Enforcement,
    /// Its answer to a request that it refuses, as far as that is its own.
    pub refused: Option<Box<Reply>>,
}

impl PoolLimit {
    /// The slots and the queue that apply to callers without an override: a pool in shadow lets no
    /// request wait.
    #[must_use]
    pub fn applied(&self) -> Pool {
        self.in_effect(self.pool)
    }

    /// The slots and the queue of a caller with these values, if an override has them.
    pub fn own<'v>(&self, value: impl Fn(AttributeId) -> Option<&'v [u8]>) -> Option<Pool> {
        let own = self.overrides.find(value)?.other()?;
        Some(self.in_effect(*own))
    }

    /// The slots of a caller with these values.
    pub fn slots_of<'v>(&self, value: impl Fn(AttributeId) -> Option<&'v [u8]>) -> u32 {
        self.own(value).unwrap_or(self.pool).slots()
    }

    const fn in_effect(&self, pool: Pool) -> Pool {
        match self.enforcement {
            Enforcement::Enforce => pool,
            Enforcement::Shadow => pool.without_queue(),
        }
    }
}

/// Reads all concurrency limits; `None` if one of them has an error.
pub(super) fn read(
    list: &Items<'_, lang::Map<lang::Pool>>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<Vec<PoolLimit>> {
    list.each(|_, map| read_pool(&map, siblings, context))
}

fn read_pool(
    map: &MapField<'_, lang::Pool>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<PoolLimit> {
    let keys = scope::Keys {
        name: map.open(lang::Pool::NAME),
        label: map.read(lang::Pool::LABEL),
        selector: map.read(lang::Pool::FOR),
        allows_refused: false,
        per: map.read(lang::Pool::PER),
    };
    let scope = scope::read(map.field(), keys, siblings, context);
    let absent = map.read(lang::Pool::ABSENT);
    let slots = map.read(lang::Pool::SLOTS);
    let queue = map.read_with(lang::Pool::QUEUE, |_, map| read_queue(&map));
    let pool = slots.zip(queue).and_then(|(slots, queue)| {
        let (length, timeout) = queue.unwrap_or((0, Span::ZERO));
        Pool::new(slots, length, timeout)
    });
    let overrides = map.read_with(lang::Pool::OVERRIDES, |_, list| {
        let base = overrides::Base {
            conditions: scope.conditions(),
            selector: map.field().at.key(lang::Pool::FOR.name).to_string(),
        };
        overrides::read(&list, context, |field, context| {
            read_override(field, pool, &base, context)
        })
    });
    let refused = map.read_with(lang::Pool::REFUSED, |_, map| {
        read_own(&map, siblings.types, &mut context.attributes)
    });
    let enforcement = map.read(lang::Pool::ENFORCEMENT);
    let failure = map.read(lang::Pool::FAILURE);
    map.finish();
    let scope = scope.build("pool", (absent, failure), siblings, &context.attributes);
    Some(PoolLimit {
        scope: scope?,
        pool: pool?,
        overrides: overrides?.unwrap_or_default(),
        enforcement: enforcement?,
        refused: refused?,
    })
}

/// Reads an override. What it leaves out is that of `base`, which is `None` if it has an error
/// itself.
fn read_override(
    field: Field<'_>,
    base: Option<Pool>,
    limit: &overrides::Base<'_>,
    context: &mut Context,
) -> Option<(Vec<Condition>, Override<Pool>)> {
    let map = field.map()?;
    let slots = map.read(lang::PoolOverride::SLOTS);
    let queue = map.read_with(lang::PoolOverride::QUEUE, |_, map| read_queue(&map));
    let callers = overrides::read_callers(map.read(lang::PoolOverride::FOR), limit, context);
    map.finish();
    let (base, slots, queue) = (base?, slots?, queue?);
    let slots = match slots {
        Some(Either::One(lang::Unlimited::Unlimited)) => {
            return callers.zip(Some(Override::Unlimited));
        }
        Some(Either::Other(slots)) => slots,
        None => base.slots(),
    };
    let (length, timeout) = queue.unwrap_or((base.length(), base.timeout()));
    callers.zip(Pool::new(slots, length, timeout).map(Override::Other))
}

/// How many wait, and for how long. A queue of no length is none.
fn read_queue(map: &MapField<'_, lang::Queue>) -> Option<(u32, Span)> {
    let length = map.read(lang::Queue::LENGTH);
    let timeout = map.read(lang::Queue::TIMEOUT);
    map.finish();
    Some((length?, timeout?))
}

#[cfg(test)]
mod tests {
    use crate::base::time::Span;
    use crate::limit::pool::Pool;
    use crate::limit::seats::Seats;
    use crate::policy::Policy;
    use crate::policy::document::from_yaml;
    use crate::policy::scope::Scope;

    fn compiled(limits: &str) -> Policy {
        let head = "version: 1\nname: p\ncallers: { credentials: [{ name: key, header: x-key }], \
                    directory: [] }\n";
        Policy::compile(&from_yaml(&format!("{head}{limits}\n")).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let policy = compiled(
            "concurrency: [{ name: a, per: [key], slots: 3, queue: { length: 2, timeout: 5m } }, \
             { name: b, per: [], slots: 9 }]
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
            (Seats::new(2, Span::from_seconds(86_400)), Some(409))
        );
        assert_eq!(policy.attributes.name(seats.holder), "key");
        let mut found = Vec::new();
        policy.index.find(None, &[], |_| None, &mut found);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_label_is_for_people_and_the_name_unless_one_is_given() {
        let policy = compiled(
            "concurrency: [{ name: a, label: In flight, per: [], slots: 3 }, { name: b, per: [], \
             slots: 9 }]
seats: [{ name: c, label: In flight, per: [], holder: key, seats: 2, idle: 1d }]
payloads: [{ label: Size, for: { key: a }, bytes: 1MB }, { name: d, bytes: 1MB }]
limits: [{ name: e, label: Daily requests, per: [], bucket: { burst: 2, refill: 1/h } }]",
        );
        let labels =
            |scopes: &[&Scope]| scopes.iter().map(|it| it.label.clone()).collect::<Vec<_>>();
        let pools: Vec<_> = policy.pools.iter().map(|pool| &pool.scope).collect();
        assert_eq!(labels(&pools), ["In flight".into(), "b".into()]);
        let payloads: Vec<_> = policy.payloads.iter().map(|it| &it.scope).collect();
        assert_eq!(labels(&payloads), ["Size".into(), "d".into()]);
        assert_eq!(&*policy.seats[0].scope.label, "In flight");
        assert_eq!(&*policy.limits[0].scope.label, "Daily requests");
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
