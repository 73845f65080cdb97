//! What a response states of the limits that apply to its request: their counters after everything
//! that the request caused.

use super::settle::{Changed, StreamCx};
use crate::base::id::CounterOwner;
use crate::base::time::Timestamp;
use crate::engine::decide;
use crate::host::shared::SharedData;
use crate::host::stream::{Clock, Host};
use crate::limit::Cost;
use crate::policy::Policy;
use crate::reply::fields::LimitStatus;
use crate::store::LimitCheck;

/// The limits that were asked, each with its counter after the charge, or as it was without one.
pub(super) fn statuses(policy: &Policy, checks: &[LimitCheck]) -> Vec<LimitStatus> {
    checks
        .iter()
        .filter_map(|check| LimitStatus::of(check, policy))
        .collect()
}

impl<D: SharedData, H: Host> StreamCx<'_, D, H> {
    /// As [`statuses`], for checks that are charged nothing: asks the limits again, at a cost of 0.
    pub(super) fn uncharged_statuses(
        &self,
        checks: &[LimitCheck],
        mut now: Timestamp,
    ) -> Vec<LimitStatus> {
        let policy = &self.runtime.policy;
        if policy.replies.fields.is_none() || checks.is_empty() {
            return Vec::new();
        }
        let mut again: Vec<LimitCheck> = checks.to_vec();
        for check in &mut again {
            check.cost = Cost::Now(0);
        }
        decide(
            &mut *self.runtime.store.borrow_mut(),
            self.host,
            &mut again,
            &mut now,
        );
        // The fewest requests left are counted in requests such as this one.
        for (again, check) in again.iter_mut().zip(checks) {
            again.cost = check.cost;
        }
        statuses(policy, &again)
    }
}

/// Restates the counters at the present time: the waits have become shorter.
pub(super) fn restate(limits: &mut [LimitStatus], clock: &impl Clock) {
    if !limits.is_empty() {
        let now = clock.now();
        for limit in limits {
            *limit = limit.at(now);
        }
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
