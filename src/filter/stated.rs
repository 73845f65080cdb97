//! What a response states of the limits and pools of its request: how the counters stand after all that
//! the request caused.

use super::ledger::Changed;
use super::runtime::Runtime;
use crate::base::id::CounterOwner;
use crate::base::time::Timestamp;
use crate::engine::decide;
use crate::host::shared::SharedData;
use crate::host::stream::{Clock, Host};
use crate::limit::Cost;
use crate::policy::Policy;
use crate::reply::fields::LimitStatus;
use crate::store::LimitCheck;

/// The limits that were asked, each with the counter that it met, or that it left if it was charged.
pub(super) fn shown(policy: &Policy, checks: &[LimitCheck]) -> Vec<LimitStatus> {
    checks.iter().filter_map(|check| LimitStatus::of(check, policy)).collect()
}

/// The same of checks that are charged nothing.
pub(super) fn look<D: SharedData>(
    runtime: &Runtime<D>,
    host: &impl Host,
    checks: &[LimitCheck],
    mut now: Timestamp,
) -> Vec<LimitStatus> {
    if runtime.policy.replies.fields.is_none() || checks.is_empty() {
        return Vec::new();
    }
    let mut looks: Vec<LimitCheck> = checks.to_vec();
    looks.iter_mut().for_each(|look| look.cost = Cost::Now(0));
    decide(&mut *runtime.store.borrow_mut(), host, &mut looks, &mut now);
    // Which of them has the fewest requests left is asked of requests such as this one.
    looks.iter_mut().zip(checks).for_each(|(look, check)| look.cost = check.cost);
    shown(&runtime.policy, &looks)
}

/// What was to wait has become less since.
pub(super) fn tell_now(shown: &mut [LimitStatus], clock: &impl Clock) {
    if !shown.is_empty() {
        let now = clock.now();
        shown.iter_mut().for_each(|shown| *shown = shown.told_at(now));
    }
}

/// Takes over the counters of limits that were charged or got units back since.
pub(super) fn update(shown: &mut [LimitStatus], changed: Vec<Changed>) {
    for (owner, reading) in changed {
        let of_it = shown.iter_mut().filter(|shown| CounterOwner::Limit(shown.limit) == owner);
        of_it.for_each(|shown| shown.reading = Some(reading));
    }
}
