//! The algorithms: pure functions of a rule, a state, the time and a cost.
//!
//! | rule | promise | state |
//! |---|---|---|
//! | [`gcra::Bucket`] | at most burst + refill·t in any interval t | one instant |
//! | [`rolling::Rolling`] | at most the quota in any interval of a window | a log of instants |
//! | [`calendar::Calendar`] | at most the quota in one window of the calendar | its end, a count |
//! | [`seats::Seats`] | at most one holder per seat at a time | holders, when each lapses |
//! | [`lock::Lock`] | nothing for some time after a refusal | its end |
//! | [`lease::Lease`] | one of the first three over all proxies | units taken in advance |
//!
//! A rule answers with the state to store if the request is admitted; the caller decides whether to
//! store it. Every rule keeps the same four promises: rounding goes against the caller; a cost of
//! zero only looks; no step of the clock admits more than one extra window; none locks a caller out
//! for longer than one.

pub mod calendar;
mod evaluation;
pub mod gcra;
pub mod lease;
pub mod lock;
pub mod period;
pub mod pool;
pub mod rolling;
pub mod seats;
mod state;

use crate::base::rough::Rough;
use crate::base::time::{Span, SteadyTime, Timestamp};
use calendar::Calendar;
pub use evaluation::{Balance, Decision, Evaluation, Reading};
use gcra::Bucket;
use lease::Lease;
use lock::Lock;
use rolling::Rolling;
use seats::Seats;
pub use state::{Charge, State};

/// Most units that a rolling or calendar window grants: the largest whole number that a structured
/// field holds (RFC 9651 §3.3.1).
pub const QUOTA_MAX: u64 = 999_999_999_999_999;

/// How many units one counter admits, and when they are regained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A token bucket.
    Bucket(Bucket),
    /// A window that moves along with the time.
    Rolling(Rolling),
    /// A window of the calendar.
    Calendar(Calendar),
    /// Seats, and the holder that asks for one.
    Seats(Seats),
    /// A lock after a refusal.
    Lock(Lock),
    /// A counter that all proxies share.
    Lease(Lease),
}

/// The units that one request takes when it is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// This number of units. Zero only looks.
    Now(u64),
    /// This number of units until the body or the response states the cost: the difference is
    /// charged or refunded then.
    Reserved(u64),
}

/// Whether a limit refuses, or only says that it would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It refuses.
    #[default]
    Enforce,
    /// It never refuses. It is charged like any other, unless it would refuse.
    Shadow,
}

/// The treatment of a request if a limit's state is unavailable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureMode {
    /// Let it through: the API matters more than the limit.
    #[default]
    Allow,
    /// Refuse it: the limit matters more than the API.
    Deny,
}

impl Rule {
    /// Whether `cost` fits at `now`, and the state to store then.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        match self {
            Self::Bucket(bucket) => bucket
                .evaluate(state.and_then(State::bucket), now, cost)
                .map(State::Bucket),
            Self::Rolling(rolling) => rolling
                .evaluate(state.and_then(State::rolling), now, cost)
                .map(State::Rolling),
            Self::Calendar(calendar) => calendar
                .evaluate(state.and_then(State::calendar), now, cost)
                .map(State::Calendar),
            Self::Seats(seats) => seats
                .evaluate(state.and_then(State::seats), now, cost)
                .map(State::Seats),
            Self::Lock(lock) => lock
                .evaluate(state.and_then(State::lock), now, cost)
                .map(State::Lock),
            Self::Lease(lease) => lease
                .evaluate(state.and_then(State::lease), now, cost)
                .map(|state| State::Lease(state.into())),
        }
    }

    /// Charges `units`, the cost that a response states, whether or not they fit. Returns the state
    /// to store, and the balance after it. `now` must be read after the state.
    #[must_use]
    pub fn force_charge(
        &self,
        state: Option<&State>,
        now: Timestamp,
        units: u64,
    ) -> (State, Balance) {
        match self {
            Self::Bucket(bucket) => {
                let (state, balance) =
                    bucket.force_charge(state.and_then(State::bucket), now, units);
                (State::Bucket(state), balance)
            }
            Self::Rolling(rolling) => {
                let (state, balance) =
                    rolling.force_charge(state.and_then(State::rolling), now, units);
                (State::Rolling(state), balance)
            }
            Self::Calendar(calendar) => {
                let (state, balance) =
                    calendar.force_charge(state.and_then(State::calendar), now, units);
                (State::Calendar(state), balance)
            }
            Self::Seats(seats) => {
                let (state, balance) = seats.force_charge(state.and_then(State::seats), now, units);
                (State::Seats(state), balance)
            }
            Self::Lock(lock) => {
                let (state, balance) = lock.force_charge(state.and_then(State::lock), now, units);
                (State::Lock(state), balance)
            }
            Self::Lease(lease) => {
                let (state, balance) = lease.force_charge(state.and_then(State::lease), now, units);
                (State::Lease(state.into()), balance)
            }
        }
    }

    /// The balance of the counter, and the state to store if the record is ahead of the clock.
    /// `now` must be read after the state if that is stored.
    #[must_use]
    pub fn read(&self, state: Option<&State>, now: Timestamp) -> (Reading, Option<State>) {
        let Evaluation {
            decision,
            after_repair,
            ..
        } = self.evaluate(state, now, Cost::Now(0));
        (
            Reading {
                balance: decision.balance(),
                at: now,
            },
            after_repair,
        )
    }

    /// The rule for a request at the time that `steady` reads: only a lease depends on it.
    #[must_use]
    pub fn at(self, steady: impl FnOnce() -> SteadyTime) -> Self {
        match self {
            Self::Lease(lease) => Self::Lease(lease.at(steady())),
            Self::Bucket(_)
            | Self::Rolling(_)
            | Self::Calendar(_)
            | Self::Seats(_)
            | Self::Lock(_) => self,
        }
    }

    /// The most units that can be taken at one instant: the quota, the burst, or the seats.
    #[must_use]
    pub fn quota(&self) -> u64 {
        match self {
            Self::Bucket(bucket) => u64::from(bucket.burst()),
            Self::Rolling(rolling) => rolling.quota(),
            Self::Calendar(calendar) => calendar.quota(),
            Self::Seats(seats) => u64::from(seats.seats()),
            Self::Lock(_) => 1,
            Self::Lease(lease) => lease.counted().quota(),
        }
    }

    /// The time for which the quota is granted: the window that `now` is in, or the time in which
    /// an empty bucket fills, or after which a seat lapses.
    #[must_use]
    pub fn window(&self, now: Timestamp) -> Span {
        match self {
            Self::Bucket(bucket) => bucket.window(),
            Self::Rolling(rolling) => rolling.window(),
            Self::Calendar(calendar) => calendar.window(now).length(),
            Self::Seats(seats) => seats.idle(),
            Self::Lock(lock) => lock.span(),
            Self::Lease(lease) => lease.counted().rule().window(now),
        }
    }
}

impl Cost {
    /// The units that must be left, and that are taken.
    #[must_use]
    pub const fn units(self) -> u64 {
        match self {
            Self::Now(units) | Self::Reserved(units) => units,
        }
    }
}

/// The sum of these units, each times the time until it is regained, as a share of `quota`. Never
/// zero if one is regained later.
pub fn eviction_cost(units: impl IntoIterator<Item = (u64, Span)>, quota: Rough) -> u128 {
    let each = units
        .into_iter()
        .map(|(units, span)| u128::from(units).saturating_mul(u128::from(span.nanos())));
    let all = each.fold(0, u128::saturating_add);
    if all == 0 { 0 } else { quota.share(all).max(1) }
}

/// A number that differs from one life of a record to the next, near instants too.
fn generation_at(now: Timestamp) -> u32 {
    // The finalizer of MurmurHash3.
    let mixed = now.nanos() ^ (now.nanos() >> 33);
    let mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    u32::try_from((mixed ^ (mixed >> 33)) & u64::from(u32::MAX)).unwrap_or_default()
}
