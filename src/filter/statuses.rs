//! The limits in a response: the counters of those that apply to its request, after everything that
//! the request caused.

use super::admit::Head;
use super::settle::{Changed, StreamCx};
use crate::base::id::{CounterOwner, PoolId};
use crate::base::time::{Span, Timestamp};
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{Decision, Enforcement, Reading};
use crate::reply::fields::{LimitStatus, PoolStatus};
use crate::request::checks::matched_route;
use crate::request::head::Request;
use crate::store::{LimitCheck, Peek as _};

impl<D: SharedData, H: Host> StreamCx<'_, D, H> {
    /// The limits that were asked, each with its counter after the charge, or as it was without
    /// one.
    pub(super) fn statuses(&self, checks: &[LimitCheck], request: &Request) -> Vec<LimitStatus> {
        let policy = &self.runtime.policy;
        let mut limits: Vec<LimitStatus> = checks
            .iter()
            .filter_map(|check| LimitStatus::of(check, policy))
            .collect();
        if policy.replies.shows_routes {
            for status in &mut limits {
                let limit = policy.limits.get(status.limit);
                status.route = limit.and_then(|it| matched_route(&it.scope, request, policy));
            }
        }
        limits
    }

    /// Restates the limits by the stored counters: none was charged, but their answers include the
    /// charge. A limit that refuses keeps its answer.
    pub(super) fn uncharge(&self, limits: &mut [LimitStatus], checks: &[LimitCheck]) {
        for status in limits.iter_mut().filter(|status| !status.refuses()) {
            let owner = CounterOwner::Limit(status.limit);
            if let Some(check) = checks.iter().find(|check| check.owner == owner)
                && check.answer.is_ok()
            {
                status.reading = self.look(check).ok();
            }
        }
    }

    /// The limits as they are, for checks that were not asked.
    pub(super) fn unasked_statuses(
        &self,
        checks: &[LimitCheck],
        request: &Request,
    ) -> Vec<LimitStatus> {
        if checks.is_empty() {
            return Vec::new();
        }
        let mut asked = checks.to_vec();
        for check in &mut asked {
            match self.look(check) {
                Ok(reading) => {
                    check.answer = Ok(Decision::Admit(reading.balance));
                    check.at = reading.at;
                }
                Err(fault) => check.answer = Err(fault),
            }
        }
        self.statuses(&asked, request)
    }

    /// The counter of a check as it is, or its lock.
    fn look(&self, check: &LimitCheck) -> Result<Reading, Fault> {
        let store = self.runtime.store.borrow();
        if let Some((key, rule)) = check.lock_record() {
            let lock = store.peek(&key, &rule, self.host)?;
            if lock.balance.reset_in > Span::ZERO {
                return Ok(lock);
            }
        }
        let rule = check.rule.at(|| self.host.steady());
        store.peek(&check.key, &rule, self.host)
    }

    /// The pools that may refuse a request, of those of which it needs a slot.
    pub(super) fn pool_statuses(&self, head: Head<'_>) -> Vec<PoolStatus> {
        let policy = &self.runtime.policy;
        let status = |id: &PoolId| {
            let pool = policy.pools.get(*id)?;
            let shown = Some(pool).filter(|_| policy.replies.shows_routes);
            (pool.enforcement == Enforcement::Enforce).then(|| PoolStatus {
                pool: *id,
                slots: pool.slots_of(|attribute| head.caller.selected(attribute)),
                free: None,
                route: shown.and_then(|pool| matched_route(&pool.scope, head.request, policy)),
            })
        };
        head.pools.iter().filter_map(status).collect()
    }
}

/// Restates the counters at the present time: the waits have become shorter.
pub(super) fn restate(limits: &mut [LimitStatus], now: Timestamp) {
    for limit in limits {
        *limit = limit.at(now);
    }
}

/// Takes over the counters of limits that were charged or refunded since.
pub(super) fn apply(limits: &mut [LimitStatus], changed: Vec<Changed>) {
    for Changed { owner, reading } in changed {
        for limit in limits
            .iter_mut()
            .filter(|limit| CounterOwner::Limit(limit.limit) == owner)
        {
            limit.reading = Some(reading);
        }
    }
}
