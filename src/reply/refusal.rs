//! Why a request is refused, and the kind of client that gets the local reply.

use super::trace_id;
use crate::base::id::{DenialId, Id as _, PayloadId, PoolId};
use crate::base::invariant::invariant;
use crate::base::path::Ambiguity;
use crate::base::time::{Span, Timestamp};
use crate::engine;
use crate::host::headers::Headers;
use crate::host::stream::{Dialect, GrpcStatus};
use crate::payload::body::{Reason, Rejection};
use crate::policy::Policy;
use crate::queue::stream::Reason as QueueReason;
use crate::request::head::Request;
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
        /// The seconds of `Retry-After`; `None` if no wait helps.
        retry_after: Option<u64>,
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

/// The seconds of `Retry-After` if a queue refuses. No one knows when slots are released.
const QUEUE_RETRY_AFTER: u64 = 1;

/// The seconds of `Retry-After` if no memory is left for a body.
const BUSY_RETRY_AFTER: u64 = 1;

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
        let retry_after = denial
            .retry_after
            .map(|wait| jittered(wait, policy, seed).seconds_up().max(1));
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

    /// The HTTP status.
    pub(super) fn status(&self, policy: &Policy) -> u32 {
        match self {
            Self::Unauthorized(_) => 401,
            Self::Denied(_) => 403,
            Self::Path(_) => 400,
            Self::Limit { check, .. } => policy
                .seat_limit(check.owner)
                .map_or(429, |seats| seats.status),
            Self::Pool { .. } => 429,
            Self::Payload { rejection, .. } => rejection.reason.status(),
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
    pub(super) fn message(&self) -> String {
        match self {
            Self::Unauthorized(_) => "valid credentials are required".to_owned(),
            Self::Denied(_) => "access is denied".to_owned(),
            Self::Path(why) => why.detail().to_owned(),
            Self::Limit {
                limit,
                retry_after: Some(seconds),
                ..
            } => {
                format!("limit {limit} exceeded: retry after {seconds} s")
            }
            Self::Limit {
                limit,
                retry_after: None,
                ..
            } => {
                format!("limit {limit} exceeded: the request costs more than it ever admits")
            }
            Self::Pool { limit, reason, .. } => {
                let why = match reason {
                    QueueReason::QueueFull => "all slots and the queue are taken",
                    QueueReason::QueueTimeout => "no slot became free in time",
                    QueueReason::Unavailable(_) => "slots cannot be given at this moment",
                };
                format!("limit {limit} exceeded: {why}: retry after {QUEUE_RETRY_AFTER} s")
            }
            Self::Payload { rejection, .. } => rejection.detail(),
            Self::Fault => UNAVAILABLE.to_owned(),
        }
    }

    /// The sentence that explains the refusal in a problem.
    pub(super) fn detail(&self) -> String {
        match (self, self.retry_after()) {
            (Self::Limit { limit, .. } | Self::Pool { limit, .. }, Some(seconds)) => {
                format!("The limit {limit} is exceeded. Retry after {seconds} seconds.")
            }
            (Self::Limit { limit, .. } | Self::Pool { limit, .. }, None) => {
                format!(
                    "The limit {limit} is exceeded: the request costs more than it ever admits."
                )
            }
            (Self::Payload { rejection, .. }, _) => rejection.detail(),
            (Self::Unauthorized(_) | Self::Denied(_) | Self::Path(_) | Self::Fault, _) => {
                self.message()
            }
        }
    }

    /// The seconds of `Retry-After`, if it is sent.
    pub(super) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limit { retry_after, .. } => *retry_after,
            Self::Pool { .. } => Some(QUEUE_RETRY_AFTER),
            Self::Payload { rejection, .. } => {
                (rejection.reason == Reason::Busy).then_some(BUSY_RETRY_AFTER)
            }
            Self::Unauthorized(_) | Self::Denied(_) | Self::Path(_) | Self::Fault => None,
        }
    }
}

/// What a local reply needs of the request head, if it is sent when the head is gone.
#[derive(Clone, Debug, Default)]
pub struct ReplyContext {
    trace_id: String,
    dialect: Dialect,
}

impl ReplyContext {
    /// What a reply to `request` needs. `fallback` is the trace id of a request without one.
    #[must_use]
    pub fn of(request: &Request, fallback: u64) -> Self {
        let mut trace_id = String::new();
        trace_id::write(&mut trace_id, &request.headers, fallback);
        Self {
            trace_id,
            dialect: request.dialect(),
        }
    }
}

/// The kind of client that a local reply is for.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo<'a> {
    /// How the caller reads an answer.
    pub(super) dialect: Dialect,
    trace_id: TraceId<'a>,
}

#[derive(Clone, Copy, Debug)]
enum TraceId<'a> {
    Known(&'a str),
    /// To be found, if a body repeats it.
    InHead {
        headers: &'a Headers,
        fallback: u64,
    },
}

impl<'a> ReplyTo<'a> {
    /// A reply to `request` while its head is at hand.
    #[must_use]
    pub fn head(request: &'a Request, refusal: &Refusal<'_>, now: Timestamp) -> Self {
        let fallback = match refusal {
            Refusal::Limit { check, .. } => jitter_seed(check, now),
            Refusal::Unauthorized(_)
            | Refusal::Denied(_)
            | Refusal::Path(_)
            | Refusal::Pool { .. }
            | Refusal::Payload { .. }
            | Refusal::Fault => now.nanos(),
        };
        Self {
            dialect: request.dialect(),
            trace_id: TraceId::InHead {
                headers: &request.headers,
                fallback,
            },
        }
    }

    /// Appends the trace id of the request.
    pub(super) fn push_trace_id(&self, text: &mut String) {
        match self.trace_id {
            TraceId::Known(id) => text.push_str(id),
            TraceId::InHead { headers, fallback } => trace_id::write(text, headers, fallback),
        }
    }
}

impl<'a> From<&'a ReplyContext> for ReplyTo<'a> {
    fn from(context: &'a ReplyContext) -> Self {
        Self {
            dialect: context.dialect,
            trace_id: TraceId::Known(&context.trace_id),
        }
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
