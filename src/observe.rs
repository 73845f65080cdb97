//! Typed events, and the two places where operators see them.
//!
//! [`metrics`] counts each [`Event`]. In addition, [`access_log`] makes one line for each request,
//! which also identifies the caller.

pub mod access_log;
mod engine;
pub mod metrics;

#[cfg(test)]
mod tests;

use crate::base::id::{CounterOwner, DenialId, PayloadId, PoolId};
use crate::base::path::Ambiguity;
use crate::base::time::Span;
use crate::engine::Verdict;
use crate::host::fault::Fault;
use crate::limit::{Balance, Cost, Decision, Enforcement};
use crate::payload::body::Reason;
use crate::policy::charges::ChargeWhen;
use crate::queue::stream::Reason as QueueReason;
use crate::request::identify::AuthFailure;
use crate::store::{LimitCheck, StoreStats};
pub use engine::{EngineEvent, EngineOutcome, Fallback, LeaseUnits};

/// The name of one limit's decision, the same in metrics, the access log and explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionLabel {
    /// The request went on, and the limit was charged unless its counter could not be read.
    Admitted,
    /// The limit refused the request.
    Refused,
    /// The limit would have refused the request if it were enforced.
    WouldRefuse,
    /// An entry of `deny` refused the request. No limit decides so.
    Denied,
    /// The endpoint answered the request. No limit decides so.
    Answered,
    /// An operator had a counter begin anew. No limit decides so.
    Reset,
}

/// Why a charge is refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The request failed, and the limit charges for success.
    Failed,
    /// The limit charges only for other responses.
    NotCounted,
    /// The request continues as another one, by an internal redirect.
    Redirected,
    /// A pool refused the request.
    QueueRefused,
    /// The request ended while it waited for a slot.
    QueueLeft,
    /// The payload was refused. Its seats are refunded, and its units if the host is at fault.
    PayloadRefused,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A limit decided on a request. A request that continues causes one event for each of its
    /// limits. One that is refused causes one for each limit that refused it or would have.
    Decision {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// The decision.
        decided: DecisionLabel,
    },
    /// A request went on to which no limit applies.
    Unlimited,
    /// The endpoint answered a request.
    Answered,
    /// A request was refused.
    Refused {
        /// The HTTP status.
        status: u32,
    },
    /// Something in shadow would have refused a request. Limits and seat limits decide instead.
    WouldRefuse(Shadowed),
    /// A caller was not identified.
    Unauthorized(AuthFailure),
    /// A request was denied.
    Denied(DenialId),
    /// A path was refused.
    PathRefused(Ambiguity),
    /// Units were admitted above a limit's quota.
    Overage {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// The units above the quota.
        units: u64,
    },
    /// A pool refused a request.
    QueueRefused {
        /// The pool.
        pool: PoolId,
        /// The reason.
        reason: QueueReason,
    },
    /// The number of requests that wait for a pool changed.
    Waiting {
        /// The pool.
        pool: PoolId,
        /// The difference.
        by: i64,
    },
    /// A request no longer waits.
    Waited {
        /// The pool.
        pool: PoolId,
        /// The time that it waited.
        span: Span,
    },
    /// A payload was refused.
    PayloadRefused {
        /// The payload limit.
        payload: PayloadId,
        /// The reason.
        reason: Reason,
    },
    /// A limit charged a request. Metrics leave out limits of a fixed cost.
    Charged {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// The units.
        units: u64,
    },
    /// An operator had a counter begin anew.
    Reset,
    /// A refusal locked a key.
    Locked(CounterOwner),
    /// A charge was refunded.
    Refunded {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// The reason.
        why: Refund,
    },
    /// Something happened between this proxy and the engine.
    Engine(EngineEvent),
    /// The receiver of usage did not accept it.
    UsageFailed,
    /// This number of requests was counted without the tags of their callers.
    UsageOverflow(u64),
    /// The host or an invariant failed.
    Fault(Fault),
    /// Live records were dropped because their page was full.
    Evicted {
        /// The number of records.
        records: u64,
    },
    /// Another worker wrote first.
    Conflicts {
        /// The number of swaps that failed.
        swaps: u64,
    },
    /// The store has more or fewer counters than before.
    Counters {
        /// By how many.
        by: i64,
    },
}

/// A check in shadow that would have refused a request, apart from limits and seat limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shadowed {
    /// No limit: the answer would have been a 400, a 401 or a 403.
    NoLimit,
    /// This pool.
    Pool(PoolId),
    /// This payload limit.
    Payload(PayloadId),
}

impl Refund {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Failed,
        Self::NotCounted,
        Self::Redirected,
        Self::QueueRefused,
        Self::QueueLeft,
        Self::PayloadRefused,
    ];

    /// The reason of a refund that a response causes; `None` if none does.
    #[must_use]
    pub const fn by_response(charge: &ChargeWhen) -> Option<Self> {
        match charge {
            ChargeWhen::Admitted => None,
            ChargeWhen::Success => Some(Self::Failed),
            ChargeWhen::Failure | ChargeWhen::Statuses(_) => Some(Self::NotCounted),
        }
    }

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NotCounted => "not_counted",
            Self::Redirected => "redirected",
            Self::QueueRefused => "queue_refused",
            Self::QueueLeft => "queue_left",
            Self::PayloadRefused => "payload_refused",
        }
    }
}

impl DecisionLabel {
    /// The labels of a limit's decisions.
    pub const ALL: [Self; 3] = [Self::Admitted, Self::Refused, Self::WouldRefuse];

    /// The label of a check whose request has this verdict; `None` if the check admits a request
    /// that another one refuses.
    #[must_use]
    pub fn of(check: &LimitCheck, verdict: Verdict) -> Option<Self> {
        match (check.denies(), check.enforcement, verdict) {
            (true, Enforcement::Enforce, _) => Some(Self::Refused),
            (true, Enforcement::Shadow, _) => Some(Self::WouldRefuse),
            (false, _, Verdict::Refuse(_) | Verdict::Ask) => None,
            (false, _, Verdict::Unlimited | Verdict::Admit) => Some(Self::Admitted),
        }
    }

    /// The name in metrics, the access log and explanations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
            Self::Denied => "denied",
            Self::Answered => "answered",
            Self::Reset => "reset",
        }
    }
}

/// Reports the events of a request that its limits admit, to be counted once nothing else can
/// refuse it.
pub fn admission(checks: &[LimitCheck], verdict: Verdict, mut report: impl FnMut(Event)) {
    if verdict == Verdict::Unlimited {
        report(Event::Unlimited);
    }
    for check in checks {
        let owner = check.owner;
        match DecisionLabel::of(check, verdict) {
            Some(decided @ DecisionLabel::Admitted) => report(Event::Decision { owner, decided }),
            // These were counted when the decision was made.
            Some(
                DecisionLabel::Refused
                | DecisionLabel::WouldRefuse
                | DecisionLabel::Denied
                | DecisionLabel::Answered
                | DecisionLabel::Reset,
            )
            | None => {}
        }
        if let (Some(_), Ok(decision)) = (&check.charge, &check.answer) {
            let units = check.cost.units();
            // A reservation is counted once it is settled.
            if let Cost::Now(_) = check.cost {
                report(Event::Charged { owner, units });
            }
            if let Some(event) = overage(owner, Decision::balance(decision), units) {
                report(event);
            }
        }
    }
}

/// The part of a charge of `units` that is above the quota, if any.
#[must_use]
pub fn overage(owner: CounterOwner, balance: Balance, units: u64) -> Option<Event> {
    let units = balance.overage.min(units);
    (units > 0).then_some(Event::Overage { owner, units })
}

/// Reports the counts of a store.
pub fn store_events(stats: StoreStats, mut report: impl FnMut(Event)) {
    let StoreStats {
        evicted,
        conflicts,
        added,
    } = stats;
    if evicted > 0 {
        report(Event::Evicted { records: evicted });
    }
    if conflicts > 0 {
        report(Event::Conflicts { swaps: conflicts });
    }
    if added != 0 {
        report(Event::Counters { by: added });
    }
}
