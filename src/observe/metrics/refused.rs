//! Refused requests by status, each counted once.

use std::collections::BTreeMap;

use super::{Definer, STATUS};
use crate::host::stream::{MetricId, MetricKind};
use crate::policy::Policy;
use crate::policy::replies::Reply;

/// The statuses of refusals that no policy states.
const USUAL: [u32; 5] = [400, 401, 403, 429, 503];

/// One counter for each status with which a policy can refuse.
pub(super) fn define<F: FnMut(MetricKind, &str) -> MetricId>(
    policy: &Policy,
    definer: &mut Definer<'_, F>,
) -> BTreeMap<u32, MetricId> {
    let mut counters = BTreeMap::new();
    for status in USUAL.into_iter().chain(stated(policy)) {
        counters.entry(status).or_insert_with(|| {
            definer.counter(
                &[(STATUS, &*status.to_string())],
                "sluicegate_refused_requests_total",
            )
        });
    }
    counters
}

/// The statuses of the policy's limits and replies.
fn stated(policy: &Policy) -> impl Iterator<Item = u32> {
    let limits = policy.limits.iter().map(|limit| &limit.refused);
    let pools = policy.pools.iter().map(|pool| &pool.refused);
    let payloads = policy.payloads.iter().map(|payload| &payload.refused);
    let own = limits.chain(pools).chain(payloads);
    let shared = [&policy.replies.refused, &policy.replies.payload];
    let seats = policy.seats.iter();
    let bodies = policy.payloads.iter().flat_map(|payload| payload.reasons());
    own.filter_map(|reply| reply.as_deref())
        .chain(shared)
        .filter_map(|reply: &Reply| reply.status)
        .chain(seats.map(|seats| seats.refusal_status(&policy.replies)))
        .chain(bodies.map(|reason| reason.status()))
}
