//! The state of a counter, and the receipt of a charge.

use super::{calendar, gcra, lease, lock, rolling, seats};
use crate::base::time::Timestamp;

/// The state of one counter; its kind is the rule's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Of a token bucket.
    Bucket(gcra::State),
    /// Of a rolling window.
    Rolling(rolling::State),
    /// Of a calendar window.
    Calendar(calendar::State),
    /// Of seats.
    Seats(seats::State),
    /// Of a lock.
    Lock(lock::State),
    /// Of a counter that all proxies share.
    Lease(Box<lease::State>),
}

/// The charge of an admitted request, as far as a refund needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// By a token bucket.
    Bucket(gcra::Charge),
    /// By a rolling window.
    Rolling(rolling::Charge),
    /// By a calendar window.
    Calendar(calendar::Charge),
    /// By seats.
    Seats(seats::Charge),
    /// By a lock.
    Lock(lock::Charge),
    /// By a counter that all proxies share.
    Lease(lease::Charge),
}

impl Charge {
    /// Splits the charge at one instant into two, as if they had followed one another: one of at
    /// most `units`, and one of the rest. Seats and locks are not split.
    #[must_use]
    pub fn split(&self, units: u64) -> (Self, Option<Self>) {
        match self {
            Self::Bucket(charge) => {
                let (first, rest) = charge.split(units);
                (Self::Bucket(first), rest.map(Self::Bucket))
            }
            Self::Rolling(charge) => {
                let (first, rest) = charge.split(units);
                (Self::Rolling(first), rest.map(Self::Rolling))
            }
            Self::Calendar(charge) => {
                let (first, rest) = charge.split(units);
                (Self::Calendar(first), rest.map(Self::Calendar))
            }
            Self::Lease(charge) => {
                let (first, rest) = charge.split(units);
                (Self::Lease(first), rest.map(Self::Lease))
            }
            Self::Seats(_) | Self::Lock(_) => (*self, None),
        }
    }
}

impl State {
    /// The receipt for `units` that were charged at `now` and led to this state.
    #[must_use]
    pub fn charge(&self, units: u64, now: Timestamp) -> Charge {
        match self {
            Self::Bucket(state) => Charge::Bucket(state.charge(units, now)),
            Self::Rolling(state) => Charge::Rolling(state.charge(units)),
            Self::Calendar(state) => Charge::Calendar(state.charge(units)),
            Self::Seats(state) => Charge::Seats(state.charge()),
            Self::Lock(state) => Charge::Lock(state.charge()),
            Self::Lease(state) => Charge::Lease(state.charge()),
        }
    }

    /// The state without the units of `charge`; `None` if nothing of them is left to give.
    /// `now` must be read after the state.
    #[must_use]
    pub fn refund(&self, charge: &Charge, now: Timestamp) -> Option<Self> {
        match (self, charge) {
            (Self::Bucket(state), Charge::Bucket(charge)) => {
                state.refund(charge, now).map(Self::Bucket)
            }
            (Self::Rolling(state), Charge::Rolling(charge)) => {
                state.refund(charge, now).map(Self::Rolling)
            }
            (Self::Calendar(state), Charge::Calendar(charge)) => {
                state.refund(charge).map(Self::Calendar)
            }
            (Self::Seats(state), Charge::Seats(charge)) => {
                state.refund(charge, now).map(Self::Seats)
            }
            (Self::Lock(state), Charge::Lock(charge)) => state.refund(charge, now).map(Self::Lock),
            (Self::Lease(state), Charge::Lease(charge)) => {
                state.refund(charge).map(|state| Self::Lease(state.into()))
            }
            (
                Self::Bucket(_)
                | Self::Rolling(_)
                | Self::Calendar(_)
                | Self::Seats(_)
                | Self::Lock(_)
                | Self::Lease(_),
                _,
            ) => None,
        }
    }

    /// The gain of its caller if this state were forgotten: the share of the quota that was taken,
    /// times the time until it would have been regained. So limits of all kinds, windows and units
    /// can be compared. In some unit of time; zero if forgetting it changes nothing.
    #[must_use]
    pub fn eviction_cost(&self, now: Timestamp) -> u128 {
        match self {
            Self::Bucket(state) => state.eviction_cost(now),
            Self::Rolling(state) => state.eviction_cost(now),
            Self::Calendar(state) => state.eviction_cost(now),
            Self::Seats(state) => state.eviction_cost(now),
            Self::Lock(state) => state.eviction_cost(now),
            Self::Lease(state) => state.eviction_cost(),
        }
    }

    pub(super) fn bucket(&self) -> Option<&gcra::State> {
        if let Self::Bucket(state) = self {
            Some(state)
        } else {
            None
        }
    }

    pub(super) fn rolling(&self) -> Option<&rolling::State> {
        if let Self::Rolling(state) = self {
            Some(state)
        } else {
            None
        }
    }

    pub(super) fn calendar(&self) -> Option<&calendar::State> {
        if let Self::Calendar(state) = self {
            Some(state)
        } else {
            None
        }
    }

    /// The state of a shared counter; `None` for other states.
    #[must_use]
    pub const fn lease(&self) -> Option<&lease::State> {
        if let Self::Lease(state) = self {
            Some(state)
        } else {
            None
        }
    }

    pub(super) fn lock(&self) -> Option<&lock::State> {
        if let Self::Lock(state) = self {
            Some(state)
        } else {
            None
        }
    }

    pub(super) fn seats(&self) -> Option<&seats::State> {
        if let Self::Seats(state) = self {
            Some(state)
        } else {
            None
        }
    }
}
