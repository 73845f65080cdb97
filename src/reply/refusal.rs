//! Why a request is refused.

use crate::base::id::{CounterOwner, DenialId, Id as _, PayloadId, PoolId};
use crate::base::invariant::invariant;
use crate::base::path::Ambiguity;
use crate::base::time::{Span, Timestamp};
use crate::engine;
use crate::host::stream::GrpcStatus;
use crate::payload::body::{Reason, Rejection};
use crate::policy::Policy;
use crate::policy::limits::Visibility;
use crate::policy::replies::Reply;
use crate::policy::scope::Scope;
use crate::queue::stream::Reason as QueueReason;
use crate::request::identify::AuthFailure;
use crate::store::LimitCheck;

/// Why the gateway does not forward a request.
#[derive(Clone, Copy, Debug)]
pub enum Refusal<'a> {
    /// The caller is not identified.
    Unauthorized(AuthFailure),
    /// An entry of `deny` matches.
    Denied(DenialId),
    /// The path has no safe reading.
    Path(Ambiguity),
    /// At least one limit or seat limit denies the request.
    Limit {
        /// The name of the limit with the longest wait.
        limit: &'a str,
        /// The check of that limit.
        check: &'a LimitCheck,
        /// All checks of the request.
        checks: &'a [LimitCheck],
        /// The wait, as `Retry-After` states it; `None` if no wait helps.
        retry_after: Option<Span>,
    },
    /// A pool has no slot for the request.
    Pool {
        /// The pool.
        pool: PoolId,
        /// The pool's name.
        limit: &'a str,
        /// The reason.
        reason: QueueReason,
    },
    /// A payload limit rejects the body.
    Payload {
        /// The payload limit.
        payload: PayloadId,
        /// Its name.
        limit: &'a str,
        /// The reason.
        rejection: Rejection,
    },
    /// An invariant does not hold, so that the request can be neither forwarded nor refused by a
    /// limit.
    Fault,
}

/// The most that jitter adds to a wait.
const JITTER_MAX: Span = Span::from_seconds(60);

/// The wait if a queue refuses. No one knows when slots are released.
const QUEUE_RETRY_AFTER: Span = Span::from_seconds(1);

/// The wait if no memory is left for a body.
const BUSY_RETRY_AFTER: Span = Span::from_seconds(1);

/// The status of a refusal by a limit or a pool: Too Many Requests (RFC 6585 §4).
const TOO_MANY_REQUESTS: u32 = 429;

const UNAVAILABLE: &str = "The gateway cannot decide on the request at this moment.";

impl<'a> Refusal<'a> {
    /// The refusal by the limits that `checks` asked at `now`, as the engine decided.
    #[must_use]
    pub fn of_limits(
        policy: &'a Policy,
        denial: engine::Refusal,
        checks: &'a [LimitCheck],
        now: Timestamp,
    ) -> Self {
        let check = invariant(
            checks.get(denial.check),
            "a verdict names one of its checks",
        );
        let Some((check, limit)) =
            check.and_then(|check| Some((check, policy.owner_name(check.owner)?)))
        else {
            return Self::Fault;
        };
        let seed = jitter_seed(check, now);
        let retry_after = denial.retry_after.map(|wait| jittered(wait, policy, seed));
        Self::Limit {
            limit,
            check,
            checks,
            retry_after,
        }
    }

    /// The name of the limit that refuses, if a limit does.
    #[must_use]
    pub const fn limit(&self) -> Option<&'a str> {
        match self {
            Self::Limit { limit, .. } | Self::Pool { limit, .. } | Self::Payload { limit, .. } => {
                Some(limit)
            }
            Self::Unauthorized(_) | Self::Denied(_) | Self::Path(_) | Self::Fault => None,
        }
    }

    /// The scope that refuses, if callers may see it.
    pub(super) fn scope<'p>(&self, policy: &'p Policy) -> Option<&'p Scope> {
        match self {
            Self::Limit { check, .. } => match check.owner {
                CounterOwner::Limit(id) => {
                    let limit = policy.limits.get(id)?;
                    (limit.visibility != Visibility::Never).then_some(&limit.scope)
                }
                CounterOwner::Seats(id) => Some(&policy.seats.get(id)?.scope),
            },
            Self::Pool { pool, .. } => Some(&policy.pools.get(*pool)?.scope),
            Self::Payload { payload, .. } => Some(&policy.payloads.get(*payload)?.scope),
            Self::Unauthorized(_) | Self::Denied(_) | Self::Path(_) | Self::Fault => None,
        }
    }

    /// The policy's settings for the answer: first the limit's own, then those for all answers.
    pub(super) fn replies<'p>(&self, policy: &'p Policy) -> [Option<&'p Reply>; 2] {
        let shared = &policy.replies;
        let (own, shared) = match self {
            Self::Unauthorized(_) => (&None, Some(&shared.unauthorized)),
            Self::Denied(_) => (&None, Some(&shared.denied)),
            Self::Path(_) | Self::Fault => (&None, None),
            Self::Limit { check, .. } => {
                let own = match check.owner {
                    CounterOwner::Limit(id) => policy.limits.get(id).map(|limit| &limit.refused),
                    CounterOwner::Seats(id) => policy.seats.get(id).map(|seats| &seats.refused),
                };
                (own.unwrap_or(&None), Some(&shared.refused))
            }
            Self::Pool { pool, .. } => {
                let own = policy.pools.get(*pool).map(|pool| &pool.refused);
                (own.unwrap_or(&None), Some(&shared.refused))
            }
            Self::Payload { payload, .. } => {
                let own = policy.payloads.get(*payload).map(|it| &it.refused);
                (own.unwrap_or(&None), Some(&shared.payload))
            }
        };
        [own.as_deref(), shared]
    }

    /// The HTTP status.
    pub(super) fn status(&self, policy: &Policy) -> u32 {
        let [own, shared] = self
            .replies(policy)
            .map(|reply| reply.and_then(|reply| reply.status));
        match self {
            Self::Unauthorized(_) => 401,
            Self::Denied(_) => 403,
            Self::Path(_) => 400,
            Self::Limit { check, .. } => match policy.seat_limit(check.owner) {
                Some(seats) => seats.refusal_status(&policy.replies),
                None => own.or(shared).unwrap_or(TOO_MANY_REQUESTS),
            },
            Self::Pool { .. } => own.or(shared).unwrap_or(TOO_MANY_REQUESTS),
            Self::Payload { rejection, .. } => match rejection.reason.status() {
                // The client is not at fault, and may try again.
                status @ 500.. => status,
                status => own.or(shared).unwrap_or(status),
            },
            Self::Fault => 503,
        }
    }

    /// The status for a gRPC caller.
    pub(super) const fn grpc_status(&self) -> GrpcStatus {
        match self {
            Self::Unauthorized(_) => GrpcStatus::Unauthenticated,
            Self::Denied(_) => GrpcStatus::PermissionDenied,
            Self::Path(_) => GrpcStatus::InvalidArgument,
            Self::Limit { .. } | Self::Pool { .. } => GrpcStatus::ResourceExhausted,
            Self::Payload { rejection, .. } => match rejection.reason.status() {
                413 => GrpcStatus::ResourceExhausted,
                415 => GrpcStatus::Unimplemented,
                503 => GrpcStatus::Unavailable,
                _ => GrpcStatus::InvalidArgument,
            },
            Self::Fault => GrpcStatus::Unavailable,
        }
    }

    /// The response code details, for the access log.
    pub(super) fn details(&self) -> String {
        match self {
            Self::Unauthorized(failure) => ["sluicegate_unauthorized:", failure.name()].concat(),
            Self::Denied(entry) => format!("sluicegate_denied:{}", entry.index()),
            Self::Path(why) => ["sluicegate_path_refused:", why.name()].concat(),
            Self::Limit { limit, .. } => ["sluicegate_refused:", limit].concat(),
            Self::Pool { limit, reason, .. } => {
                ["sluicegate_queue_refused:", limit, ":", reason.name()].concat()
            }
            Self::Payload {
                limit, rejection, ..
            } => [
                "sluicegate_payload_refused:",
                limit,
                ":",
                rejection.reason.name(),
            ]
            .concat(),
            Self::Fault => "sluicegate_fault".to_owned(),
        }
    }

    /// The message for a gRPC caller.
    pub(super) fn message(&self, policy: &Policy) -> String {
        let limit = || match self.scope(policy) {
            Some(scope) => format!("limit {}", scope.name),
            None => "a limit".to_owned(),
        };
        let seconds = self.retry_after().map(wait_seconds).unwrap_or_default();
        match self {
            Self::Unauthorized(_) => "valid credentials are required".to_owned(),
            Self::Denied(_) => "access is denied".to_owned(),
            Self::Path(why) => why.detail().to_owned(),
            Self::Limit {
                retry_after: Some(_),
                ..
            } => format!("{} exceeded: retry after {seconds} s", limit()),
            Self::Limit {
                retry_after: None, ..
            } => {
                let limit = limit();
                format!("{limit} exceeded: the request costs more than the limit can ever admit")
            }
            Self::Pool { reason, .. } => {
                let why = match reason {
                    QueueReason::QueueFull => "all slots and the queue are taken",
                    QueueReason::QueueTimeout => "no slot became free in time",
                    QueueReason::Unavailable(_) => "no slot is available",
                };
                format!("{} exceeded: {why}: retry after {seconds} s", limit())
            }
            Self::Payload { rejection, .. } => rejection.detail(),
            Self::Fault => UNAVAILABLE.to_owned(),
        }
    }

    /// The sentence that explains the refusal in a problem.
    pub(super) fn detail(&self, policy: &Policy) -> String {
        let limit = || match self.scope(policy) {
            Some(scope) => format!("The limit {}", scope.name),
            None => "A limit".to_owned(),
        };
        match (self, self.retry_after().map(wait_seconds)) {
            (Self::Limit { .. } | Self::Pool { .. }, Some(seconds)) => {
                format!("{} is exceeded. Retry after {seconds} seconds.", limit())
            }
            (Self::Limit { .. } | Self::Pool { .. }, None) => {
                let limit = limit();
                format!(
                    "{limit} is exceeded: the request costs more than the limit can ever admit."
                )
            }
            (Self::Payload { rejection, .. }, _) => rejection.detail(),
            (Self::Unauthorized(_), _) => "Valid credentials are required.".to_owned(),
            (Self::Denied(_), _) => "Access is denied.".to_owned(),
            (Self::Path(_) | Self::Fault, _) => self.message(policy),
        }
    }

    /// The wait that `Retry-After` states, if it is sent.
    pub(super) fn retry_after(&self) -> Option<Span> {
        match self {
            Self::Limit { retry_after, .. } => *retry_after,
            Self::Pool { .. } => Some(QUEUE_RETRY_AFTER),
            Self::Payload { rejection, .. } => {
                (rejection.reason == Reason::Busy).then_some(BUSY_RETRY_AFTER)
            }
            Self::Unauthorized(_) | Self::Denied(_) | Self::Path(_) | Self::Fault => None,
        }
    }

    /// A number that differs from one refusal to the next.
    pub(super) const fn seed(&self, now: Timestamp) -> u64 {
        match self {
            Self::Limit { check, .. } => jitter_seed(check, now),
            Self::Unauthorized(_)
            | Self::Denied(_)
            | Self::Path(_)
            | Self::Pool { .. }
            | Self::Payload { .. }
            | Self::Fault => now.nanos(),
        }
    }
}

/// A wait in the seconds of `Retry-After`, never zero.
pub(super) const fn wait_seconds(wait: Span) -> u64 {
    match wait.seconds_up() {
        0 => 1,
        seconds => seconds,
    }
}

/// A number that differs from one refusal by a limit to the next.
const fn jitter_seed(check: &LimitCheck, now: Timestamp) -> u64 {
    check.key.fingerprint ^ now.nanos()
}

/// The wait plus a share of it, never less than the wait.
fn jittered(wait: Span, policy: &Policy, seed: u64) -> Span {
    let most = policy.replies.jitter.of(wait).min(JITTER_MAX).nanos();
    // Any mixing serves: it spreads the clients that retry, and hides no secret.
    let share = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    // `most * share >> 32`, in two halves that each fit.
    let upper = (most >> 32).saturating_mul(share);
    let lower = (most & u64::from(u32::MAX)).saturating_mul(share) >> 32;
    wait.plus(Span::from_nanos(upper.saturating_add(lower)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "test code")]

    use proptest::prelude::*;

    use super::*;
    use crate::policy::document::from_yaml;

    fn policy(percent: u32) -> Policy {
        let text = format!(
            "version: 1\nname: demo\nlimits: [{{ name: one, per: [], bucket: {{ burst: 1, \
             refill: 1/s }} }}]\n\
             replies: {{ retry_after: {{ jitter: {percent}% }} }}\n"
        );
        Policy::compile(&from_yaml(&text).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn jitter_adds_a_share_of_at_most_one_minute(wait: u64, seed: u64, percent in 1_u32..=100) {
            let (policy, wait) = (policy(percent), Span::from_nanos(wait >> 8));
            let most = policy.replies.jitter.of(wait).min(JITTER_MAX);
            let share = u128::from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
            let extra = (u128::from(most.nanos()) * share) >> 32;
            let jittered = jittered(wait, &policy, seed);
            prop_assert_eq!(
                u128::from(jittered.nanos()),
                u128::from(wait.nanos()) + extra
            );
            prop_assert!(jittered >= wait && jittered <= wait.plus(most));
        }
    }
}
