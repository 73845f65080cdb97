//! What happened: one typed event in, sinks out.
//!
//! Counters are the first sink; usage and audit will be others. A sink implements [`Sink`] and is
//! called once for each [`Event`]. Beside them each request has one line for the access log, which
//! also says who called.

pub mod access_log;
pub mod metrics;

use crate::base::id::{CounterOwner, PayloadId, PoolId};
use crate::base::path::Ambiguity;
use crate::base::time::Span;
use crate::engine::Verdict;
use crate::host::fault::Fault;
use crate::limit::{Balance, Decision, Enforcement};
use crate::payload::body::Reason;
use crate::queue::stream::Reason as QueueReason;
use crate::request::identify::AuthFailure;
use crate::store::{LimitCheck, StoreStats};

/// How a decision is named everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionLabel {
    /// The request went on, and the limit was charged (unless its counter could not be had).
    Admitted,
    /// The limit refused the request.
    Refused,
    /// The limit would have refused the request, and is not enforced.
    WouldRefuse,
}

/// Why a charge is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The request failed, and the limit charges for success.
    Failed,
    /// The request goes on as another one, by an internal redirect.
    Redirected,
    /// A pool refused it.
    QueueRefused,
    /// It ended while it waited for its turn.
    QueueLeft,
    /// Its body was refused: its seat, and by a fault of the host its units.
    PayloadRefused,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A limit decided on a request. A request that goes on is one event for each of its limits, one that
    /// a limit refused is one for each that refused, or would have.
    Decision {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// How.
        decided: DecisionLabel,
    },
    /// A request went on to which no limit applies.
    Unlimited,
    /// A caller was not let in.
    Unauthorized(AuthFailure),
    /// A path was refused.
    PathRefused(Ambiguity),
    /// Units were admitted above a limit's quota.
    Overage {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// How many.
        units: u64,
    },
    /// A pool refused a request.
    QueueRefused {
        /// The pool.
        pool: PoolId,
        /// Why.
        reason: QueueReason,
    },
    /// Requests began to wait for their turn, or ceased to.
    Waiting {
        /// The pool.
        pool: PoolId,
        /// How many more; below zero, fewer.
        by: i64,
    },
    /// A request has waited.
    Waited {
        /// The pool.
        pool: PoolId,
        /// How long.
        span: Span,
    },
    /// A payload was refused.
    PayloadRefused {
        /// The payload limit.
        payload: PayloadId,
        /// Why.
        reason: Reason,
    },
    /// A request cost units of a limit whose cost is not always the same.
    Charged {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// How many.
        units: u64,
    },
    /// Units were given back.
    Refunded {
        /// The limit or seat limit.
        owner: CounterOwner,
        /// Why.
        why: Refund,
    },
    /// A limit's counter could not be had.
    Fault(Fault),
    /// Live records were dropped for lack of room.
    Evicted {
        /// How many.
        records: u64,
    },
    /// Another worker wrote first.
    Conflicts {
        /// How often.
        swaps: u64,
    },
}

impl Refund {
    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Redirected => "redirected",
            Self::QueueRefused => "queue_refused",
            Self::QueueLeft => "queue_left",
            Self::PayloadRefused => "payload_refused",
        }
    }
}

impl DecisionLabel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Admitted, Self::Refused, Self::WouldRefuse];

    /// How a check of a request with this verdict was decided; `None` where another limit refused it.
    #[must_use]
    pub fn of(check: &LimitCheck, verdict: Verdict) -> Option<Self> {
        match (check.denies(), check.enforcement, verdict) {
            (true, Enforcement::Enforce, _) => Some(Self::Refused),
            (true, Enforcement::Shadow, _) => Some(Self::WouldRefuse),
            (false, _, Verdict::Refuse(_)) => None,
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
        }
    }
}

/// What is to be counted of a request that its limits admit, once nothing else can refuse it.
pub fn admission(checks: &[LimitCheck], verdict: Verdict) -> impl Iterator<Item = Event> + '_ {
    let unlimited = (verdict == Verdict::Unlimited).then_some(Event::Unlimited);
    let of_claim = move |check: &LimitCheck| {
        let owner = check.owner;
        let decided = DecisionLabel::of(check, verdict).filter(|decided| *decided == DecisionLabel::Admitted);
        let balance = check.answer.as_ref().ok().filter(|_| check.charge.is_some()).map(Decision::balance);
        let units = check.cost.takes();
        [
            decided.map(|decided| Event::Decision { owner, decided }),
            balance.map(|_| Event::Charged { owner, units }),
            balance.and_then(|balance| overage(owner, balance, units)),
        ]
    };
    unlimited.into_iter().chain(checks.iter().flat_map(of_claim).flatten())
}

/// What a charge of `units` took above the quota, where it did.
#[must_use]
pub fn overage(owner: CounterOwner, balance: Balance, units: u64) -> Option<Event> {
    let units = balance.over.min(units);
    (units > 0).then_some(Event::Overage { owner, units })
}

/// Counts what came up in the store.
pub fn observe_stats(sink: &impl Sink, stats: StoreStats) {
    let StoreStats { evicted, conflicts } = stats;
    if evicted > 0 {
        sink.observe(Event::Evicted { records: evicted });
    }
    if conflicts > 0 {
        sink.observe(Event::Conflicts { swaps: conflicts });
    }
}

/// Takes events.
pub trait Sink {
    /// Takes one event.
    fn observe(&self, event: Event);
}
