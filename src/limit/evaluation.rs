//! The answer of a rule to a request, and the state of its counter after that.

use super::Cost;
use crate::base::time::{Span, Timestamp};

/// One limit's answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request fits; the balance is that after it.
    Admit(Balance),
    /// The request does not fit yet.
    Deny {
        /// The shortest wait after which it fits, if no other request takes the returning units;
        /// never shorter than the balance's `next_unit_in`.
        retry_after: Span,
        /// The balance before the request: fewer units remain than it needs.
        balance: Balance,
    },
    /// The request asks for more than the limit ever holds, so waiting does not help. The balance
    /// before the request.
    NeverFits(Balance),
}

/// The content of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Units left.
    pub remaining: u64,
    /// Units taken beyond the quota: in a window that counts them, or by a deferred cost.
    pub overage: u64,
    /// How long until a further unit is there; zero if none was taken.
    pub next_unit_in: Span,
    /// How long until all units are back.
    pub reset_in: Span,
}

/// A balance, and when it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The balance.
    pub balance: Balance,
    /// The time that its spans begin at.
    pub at: Timestamp,
}

/// A rule's answer, and the state that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation<S> {
    /// The answer.
    pub decision: Decision,
    /// The state to store, if the request is admitted and takes something.
    pub after_charge: Option<S>,
    /// The state to store if the record lies further in the future than its rule can have put
    /// it: the clock stepped back. Storing that cut ensures that no caller is locked out for longer
    /// than one window.
    ///
    /// It holds only if `now` was read after the record: another worker may have charged it with a
    /// later clock since.
    pub after_repair: Option<S>,
}

impl<S> Evaluation<S> {
    /// A denial with this counter, which has fewer units left than the request needs.
    pub(super) fn deny(
        retry_after: Span,
        balance: Balance,
        cost: Cost,
        after_repair: Option<S>,
    ) -> Self {
        // Once the cut after a clock step is stored, there may be more.
        let most = cost.units().saturating_sub(1);
        Self {
            decision: Decision::Deny {
                retry_after,
                balance: Balance {
                    remaining: balance.remaining.min(most),
                    ..balance
                },
            },
            after_charge: None,
            after_repair,
        }
    }

    /// An admission with the counter after it.
    pub(super) const fn admit(
        balance: Balance,
        after_charge: Option<S>,
        after_repair: Option<S>,
    ) -> Self {
        Self {
            decision: Decision::Admit(balance),
            after_charge,
            after_repair,
        }
    }

    /// A request for more than the limit ever holds.
    pub(super) const fn never_fits(balance: Balance, after_repair: Option<S>) -> Self {
        Self {
            decision: Decision::NeverFits(balance),
            after_charge: None,
            after_repair,
        }
    }

    pub(super) fn map<T>(self, wrap: impl Fn(S) -> T) -> Evaluation<T> {
        Evaluation {
            decision: self.decision,
            after_charge: self.after_charge.map(&wrap),
            after_repair: self.after_repair.map(&wrap),
        }
    }
}

impl Decision {
    /// Whether the request fits now.
    #[must_use]
    pub const fn admits(&self) -> bool {
        matches!(self, Self::Admit(_))
    }

    /// The counter that it states.
    #[must_use]
    pub const fn balance(&self) -> Balance {
        match self {
            Self::Admit(balance) | Self::Deny { balance, .. } | Self::NeverFits(balance) => {
                *balance
            }
        }
    }
}
