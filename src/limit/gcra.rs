//! The generic cell rate algorithm: a token bucket whose whole state is one instant.
//!
//! That instant, the *theoretical arrival time* (`tat`), is when the caller will have paid back
//! everything it took. A request is admitted while debt plus its own price fits in the window:
//!
//! ```text
//!       now                      tat               now + window
//!  ──────●────────────────────────●─────────────────────●─────▶ time
//!        │◀──────── debt ────────▶│◀──── headroom ─────▶│
//! ```
//!
//! Rounding goes against the caller: in no interval `t` are more than `burst + refill·t` units
//! admitted. Source: ITU-T I.371, virtual scheduling; its twin, the leaky bucket, is the oracle in
//! the tests.
//!
//! The state has more parts. The *rate* it was computed with, so that a policy which
//! changes the rate keeps the count of units: the debt is rescaled. The *burst* that was charged
//! last, by which a step of the clock is known (decision 0005). And how many units were
//! *charged* since the record was made, and which of the last ones were *returned*, so that units
//! can be refunded without ever giving more than the limit states (decision 0003).

use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};
use crate::base::units::Refill;

use super::{Balance, Cost, Evaluation, generation_at};

/// A token bucket: `burst` units at most, refilled continuously.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    burst: u32,
    refill: Refill,
}

/// Most units a bucket holds.
pub const BURST_MAX: u32 = 1_000_000_000;

/// The longest that a bucket may take to fill: 366 days.
pub const WINDOW_MAX: Span = Span::from_seconds(31_622_400);

/// The greatest debt of an overdrawn bucket: the units that refill in 500 years. An instant lies
/// before 2554.
pub const DEBT_MAX: Span = Span::from_seconds(500 * 31_557_600);

/// The state of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// When all debt will be paid.
    pub tat: Timestamp,
    /// The rate with which `tat` was computed.
    pub refill: Refill,
    /// The burst of the bucket that was charged last, or more units if a response overdrew it: only
    /// a step of the clock makes the debt longer than these take to refill. With the greatest
    /// number any debt up to [`DEBT_MAX`] may be rightly owed.
    pub burst: u32,
    /// Distinguishes one life of the record from the next.
    pub generation: u32,
    /// Units charged in this life.
    pub charged: u32,
    /// Which of the last 64 of these units were refunded; the lowest bit is the last unit.
    pub returned: u64,
}

/// The charge of an admitted request, as far as a refund needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    units: u64,
    at: Timestamp,
    refill: Refill,
    generation: u32,
    /// `State::charged` right after this charge.
    mark: u32,
}

/// How many units back [`State::returned`] reaches.
const RETURNED_UNITS: u32 = u64::BITS;

impl Bucket {
    /// A bucket of `burst` units; `None` outside of `1..=`[`BURST_MAX`] or [`WINDOW_MAX`].
    #[must_use]
    pub fn new(burst: u32, refill: Refill) -> Option<Self> {
        let bucket = Self { burst, refill };
        ((1..=BURST_MAX).contains(&burst) && bucket.window() <= WINDOW_MAX).then_some(bucket)
    }

    /// Most units it holds.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How fast it fills.
    #[must_use]
    pub const fn refill(&self) -> Refill {
        self.refill
    }

    /// How long an empty bucket takes to fill.
    #[must_use]
    pub fn window(&self) -> Span {
        self.refill.interval().times(u64::from(self.burst))
    }

    /// One of `shares` equal shares of this bucket: of the burst, rounded down and at least one,
    /// and of the refill.
    #[must_use]
    pub fn share(&self, shares: u32) -> Option<Self> {
        let burst = self.burst.checked_div(shares).unwrap_or(self.burst);
        Self::new(burst.max(1), self.refill.share(shares))
    }

    /// Whether `cost` fits at `now`, and the state to store then.
    ///
    /// A debt that is only longer than *this* bucket's window is not repaired: another caller's
    /// override, or an earlier policy, allowed it.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        let interval = self.refill.interval();
        let window = self.window();
        let owed = state.map_or(Span::ZERO, |state| self.debt(state, now));
        let after_repair = state.and_then(|state| self.repair(state, owed, now));
        // A caller that meets a clock step gets the values that hold once the cut is stored.
        let debt = after_repair.map_or(owed, |state| state.tat.since(now));
        if cost.units() > u64::from(self.burst) {
            return Evaluation::never_fits(self.balance(debt), after_repair);
        }
        let needed = interval.times(cost.units());
        if needed > window.less(owed) {
            let retry_after = debt.plus(needed).less(window);
            return Evaluation::deny(retry_after, self.balance(debt), cost, after_repair);
        }
        let price = interval.times(cost.units());
        let balance = self.balance(debt.plus(price));
        debug_assert!(
            balance.remaining <= u64::from(self.burst),
            "never more left than the burst"
        );
        let after_charge = (cost.units() > 0)
            .then(|| self.charge(state, owed.plus(price), self.burst, cost.units(), now));
        Evaluation::admit(balance, after_charge, after_repair)
    }

    /// Charges `units` whether or not they fit; at most [`DEBT_MAX`] is ever owed. `now` must be
    /// read after the state.
    #[must_use]
    pub fn force_charge(
        &self,
        state: Option<&State>,
        now: Timestamp,
        units: u64,
    ) -> (State, Balance) {
        let interval = self.refill.interval();
        // A step of the clock is cut first, or it would look like a part of the overdraft.
        let after_repair = state.and_then(|state| self.repair(state, self.debt(state, now), now));
        let state = after_repair.as_ref().or(state);
        let owed = state.map_or(Span::ZERO, |state| self.debt(state, now));
        let debt = owed.plus(interval.times(units)).min(DEBT_MAX);
        // The debt is rightly longer than the bucket takes to fill: it is not for a repair to cut.
        let most =
            u32::try_from(debt.nanos().div_ceil(interval.nanos().max(1))).unwrap_or(u32::MAX);
        (
            self.charge(state, debt, self.burst.max(most), units, now),
            self.balance(debt),
        )
    }

    fn balance(&self, debt: Span) -> Balance {
        let interval = self.refill.interval();
        let window = self.window();
        let remaining = window.less(debt).whole(interval);
        // One unit more is there once no more is owed than leaves room for it.
        let room = interval.times(remaining.saturating_add(1));
        let next_unit_in = if debt == Span::ZERO {
            Span::ZERO
        } else {
            debt.less(window.less(room))
        };
        let overage = debt.less(window).nanos().div_ceil(interval.nanos().max(1));
        Balance {
            remaining,
            overage,
            next_unit_in,
            reset_in: debt,
        }
    }

    /// The state after `units` were charged and `debt` is owed. A changed rate begins the record's
    /// life anew, as does a count of more units than there is room for: it no longer distinguishes
    /// earlier charges, which are not refunded.
    fn charge(
        &self,
        state: Option<&State>,
        debt: Span,
        burst: u32,
        units: u64,
        now: Timestamp,
    ) -> State {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let same_life = state
            .filter(|state| state.refill == self.refill)
            .and_then(|state| Some((state, state.charged.checked_add(units)?)));
        let (generation, charged, returned) = match same_life {
            Some((state, charged)) => {
                let returned = state.returned.checked_shl(units).unwrap_or_default();
                (state.generation, charged, returned)
            }
            None => {
                let generation = state.map_or_else(
                    || generation_at(now),
                    |state| state.generation.wrapping_add(1),
                );
                (generation, units, 0)
            }
        };
        State {
            tat: now.after(debt),
            refill: self.refill,
            burst,
            generation,
            charged,
            returned,
        }
    }

    /// The state with its debt cut to the greatest debt of the bucket that was charged last, if it
    /// is longer; that begins its life anew, too.
    fn repair(&self, state: &State, owed: Span, now: Timestamp) -> Option<State> {
        let units = self.refill.interval().times(u64::from(state.burst));
        let most = if state.burst == u32::MAX {
            DEBT_MAX
        } else {
            units
        };
        (owed > most).then(|| State {
            tat: now.after(most),
            refill: self.refill,
            burst: state.burst,
            generation: state.generation.wrapping_add(1),
            charged: 0,
            returned: 0,
        })
    }

    fn debt(&self, state: &State, now: Timestamp) -> Span {
        let debt = state.tat.since(now);
        if state.refill == self.refill {
            debt
        } else {
            debt.rescale(state.refill.interval(), self.refill.interval())
        }
    }
}

impl Charge {
    /// The charge as two: of at most `units`, and of the rest, which came right after them.
    pub(super) fn split(&self, units: u64) -> (Self, Option<Self>) {
        let rest = self.units.saturating_sub(units);
        if rest == 0 {
            return (*self, None);
        }
        let first = Self {
            units,
            mark: self
                .mark
                .saturating_sub(u32::try_from(rest).unwrap_or(u32::MAX)),
            ..*self
        };
        let rest = Self {
            units: rest,
            ..*self
        };
        (first, Some(rest))
    }
}

impl State {
    /// The receipt for `units` that were charged at `at` and led to this state.
    #[must_use]
    pub fn charge(&self, units: u64, at: Timestamp) -> Charge {
        Charge {
            units,
            at,
            refill: self.refill,
            generation: self.generation,
            mark: self.charged,
        }
    }

    /// The state without the units of `charge`; `None` if nothing of them is left to give.
    ///
    /// Time refills a bucket whether or not a charge will be refunded, so a late refund must not
    /// return units that have refilled already. Had this request never arrived, the bucket would
    /// now owe
    ///
    /// * no more than the charges after it that were not refunded, and
    /// * less by at least its price, but for the time that passed since.
    ///
    /// So much may be given that no more than this is owed. Decision 0003 has the proof; the oracle
    /// in the tests replays every history without the failed requests.
    #[must_use]
    pub fn refund(&self, charge: &Charge, now: Timestamp) -> Option<Self> {
        if charge.refill != self.refill || charge.generation != self.generation {
            return None;
        }
        let later = self.charged.saturating_sub(charge.mark);
        let interval = self.refill.interval();
        let price = interval.times(charge.units);
        let debt = self.tat.since(now);
        let returned_later = (self.returned & lowest_bits(later)).count_ones();
        let not_of_later =
            debt.less(interval.times(u64::from(later.saturating_sub(returned_later))));
        let not_yet_paid = price.less(now.since(charge.at));
        let given = not_of_later.max(not_yet_paid).min(price).min(debt);
        let own = u32::try_from(charge.units).unwrap_or(u32::MAX);
        let own_bits = lowest_bits(own).checked_shl(later).unwrap_or_default();
        let returned = self.returned | own_bits;
        (given > Span::ZERO).then(|| Self {
            tat: self.tat.before(given),
            returned,
            ..*self
        })
    }

    /// As [`super::State::eviction_cost`].
    #[must_use]
    pub fn eviction_cost(&self, now: Timestamp) -> u128 {
        let debt = self.tat.since(now);
        let units = debt.nanos().div_ceil(self.refill.interval().nanos().max(1));
        // They are regained one by one: on average after half of the time.
        let average = Span::from_nanos(debt.nanos().div_ceil(2));
        super::eviction_cost([(units, average)], Rough::of(self.burst.into()))
    }
}

/// The `count` lowest bits of [`State::returned`].
const fn lowest_bits(count: u32) -> u64 {
    if count >= RETURNED_UNITS {
        u64::MAX
    } else {
        (1_u64 << count).wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests;
