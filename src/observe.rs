//! What happened: one typed event in, sinks out.
//!
//! Counters are the first sink; usage and audit will be others. A sink implements [`Sink`] and is
//! called once for each [`Event`]. Beside them each request has one line for the access log, which
//! also says who called.

pub mod access_log;
pub mod metrics;

use crate::base::time::Span;
use crate::engine::Verdict;
use crate::host::fault::Fault;
use crate::limit::{Balance, Enforcement};
use crate::payload::body::Reason;
use crate::queue::stream::Reason as QueueReason;
use crate::request::identify::Unidentified;
use crate::store::{Claim, Tally};

/// How a decision is named everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The request went on, and the limit was charged (unless its counter could not be had).
    Admitted,
    /// The limit refused the request.
    Refused,
    /// The limit would have refused the request, and is not enforced.
    WouldRefuse,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A limit decided on a request. An admitted request is one event for each of its limits, a
    /// refused one for each limit that refused, or would have.
    Decision {
        /// The limit's number in its policy.
        limit: usize,
        /// How.
        decided: Decided,
    },
    /// A request went on to which no limit applies.
    Unlimited,
    /// A caller was not let in.
    Unauthorized(Unidentified),
    /// Units were admitted above a limit's quota.
    Overage {
        /// The limit's number in its policy.
        limit: usize,
        /// How many.
        units: u64,
    },
    /// A pool refused a request.
    QueueRefused {
        /// The pool's number in its policy.
        pool: usize,
        /// Why.
        reason: QueueReason,
    },
    /// Requests began to wait for their turn, or ceased to.
    Waiting {
        /// The pool's number in its policy.
        pool: usize,
        /// How many more; below zero, fewer.
        by: i64,
    },
    /// A request has waited.
    Waited {
        /// The pool's number in its policy.
        pool: usize,
        /// How long.
        span: Span,
    },
    /// A payload was refused.
    PayloadRefused {
        /// The number of the payload limit in its policy.
        payload: usize,
        /// Why.
        reason: Reason,
    },
    /// A request cost units of a limit whose cost is not always the same.
    Charged {
        /// The limit's number in its policy.
        limit: usize,
        /// How many.
        units: u64,
    },
    /// Units were given back.
    GivenBack {
        /// The limit's number in its policy.
        limit: usize,
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

impl Decided {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Admitted, Self::Refused, Self::WouldRefuse];

    /// How a claim of a request with this verdict was decided; `None` where another limit refused it.
    #[must_use]
    pub fn of(claim: &Claim, verdict: Verdict) -> Option<Self> {
        match (claim.denies(), claim.enforcement, verdict) {
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

/// Counts what a charge of `units` took above the quota.
pub fn observe_overage(sink: &impl Sink, limit: usize, balance: Balance, units: u64) {
    let units = balance.over.min(units);
    if units > 0 {
        sink.observe(Event::Overage { limit, units });
    }
}

/// Counts what came up in the store.
pub fn observe_tally(sink: &impl Sink, tally: Tally) {
    let Tally { evicted, conflicts } = tally;
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
