//! A window of the calendar: between two of its boundaries never more units are admitted than its
//! quota. With `over: count` they are, and the excess is counted.
//!
//! ```text
//!   ├───────── 1 May ─────────┼───────── 1 June ────────┤
//!     ▲▲ ▲  ▲▲▲▲ 7 of 10 taken  0 of 10
//! ```
//!
//! The state is the window's end, and the units taken until then. A request whose time is before
//! the window of the record (its worker was overtaken at the boundary) is counted in the record's
//! window: that is the later one, and it is the one in which it is let through.

use super::period::{Period, Window};
use super::{Balance, Cost, Evaluation, QUOTA_MAX, generation_at};
use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};
use crate::base::zone::Zone;

/// At most `quota` units in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    quota: u64,
    over: Over,
    period: Period,
    zone: Zone,
}

/// The treatment of requests above the quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// They are refused.
    #[default]
    Refuse,
    /// They are admitted, and counted.
    Count,
}

/// The state of one calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// When the window ends.
    pub end: Timestamp,
    /// Units taken in it.
    pub taken: u64,
    /// Distinguishes one life of the record from the next.
    pub generation: u32,
    /// The quota of the rule that wrote this last.
    pub quota: Rough,
}

/// The charge of an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    units: u64,
    end: Timestamp,
    generation: u32,
}

impl Calendar {
    /// Windows of `period` in the local time of `zone`; `None` if the quota is not in
    /// `1..=`[`QUOTA_MAX`].
    #[must_use]
    pub fn new(quota: u64, over: Over, period: Period, zone: Zone) -> Option<Self> {
        (1..=QUOTA_MAX).contains(&quota).then_some(Self {
            quota,
            over,
            period,
            zone,
        })
    }

    /// Units granted in each window.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        self.quota
    }

    /// The treatment of requests above the quota.
    #[must_use]
    pub const fn over(&self) -> Over {
        self.over
    }

    /// The span of the calendar that its windows are.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// The zone in whose local time they begin and end.
    #[must_use]
    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// The window that `now` is in.
    #[must_use]
    pub fn window(&self, now: Timestamp) -> Window {
        self.period.window(self.zone, now)
    }

    /// Whether `cost` fits at `now`, and the state to store then.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        let window = self.window(now);
        let state = state.filter(|state| state.end > now);
        let after_repair = state.and_then(|state| repair(state, window, now));
        let refuses = self.over == Over::Refuse;
        let taken = state.map_or(0, |state| state.taken);
        // A caller that meets a clock step gets the values that hold once the cut is stored.
        let end = after_repair
            .as_ref()
            .or(state)
            .map_or(window.end, |state| state.end);
        let ends_in = end.since(now);
        if refuses && cost.units() > self.quota {
            return Evaluation::never_fits(self.balance(taken, ends_in), after_repair);
        }
        if refuses && cost.units() > self.quota.saturating_sub(taken) {
            return Evaluation::deny(ends_in, self.balance(taken, ends_in), cost, after_repair);
        }
        let after = self.charge(state, window, now, cost.units());
        let balance = self.balance(after.taken, ends_in);
        let after_charge = (cost.units() > 0).then_some(after);
        Evaluation::admit(balance, after_charge, after_repair)
    }

    /// Charges `units` whether or not they fit. `now` must be read after the state.
    #[must_use]
    pub fn force_charge(
        &self,
        state: Option<&State>,
        now: Timestamp,
        units: u64,
    ) -> (State, Balance) {
        let window = self.window(now);
        let state = state.filter(|state| state.end > now);
        let after_repair = state.and_then(|state| repair(state, window, now));
        let state = self.charge(after_repair.as_ref().or(state), window, now, units);
        (state, self.balance(state.taken, state.end.since(now)))
    }

    /// The state after `units` more. A window that ends later than this one keeps its end.
    fn charge(&self, state: Option<&State>, window: Window, now: Timestamp, units: u64) -> State {
        let quota = Rough::of(self.quota);
        match state {
            Some(state) => {
                let taken = state.taken.saturating_add(units);
                State {
                    end: state.end.max(window.end),
                    taken,
                    generation: state.generation,
                    quota,
                }
            }
            None => State {
                end: window.end,
                taken: units,
                generation: generation_at(now),
                quota,
            },
        }
    }

    fn balance(&self, taken: u64, ends_in: Span) -> Balance {
        Balance {
            remaining: self.quota.saturating_sub(taken),
            overage: taken.saturating_sub(self.quota),
            next_unit_in: ends_in,
            reset_in: ends_in,
        }
    }
}

/// The count moved into this window from one that has not begun by the clock, which must have
/// stepped back. That begins its life anew.
fn repair(state: &State, window: Window, now: Timestamp) -> Option<State> {
    (state.end > window.end).then(|| State {
        end: window.end,
        generation: generation_at(now),
        ..*state
    })
}

impl Charge {
    /// The charge as two: of at most `units`, and of the rest.
    pub(super) fn split(&self, units: u64) -> (Self, Option<Self>) {
        let of = |units| Self { units, ..*self };
        let rest = self.units.saturating_sub(units);
        if rest == 0 {
            (*self, None)
        } else {
            (of(units), Some(of(rest)))
        }
    }
}

impl State {
    /// The receipt for `units` that were charged last.
    #[must_use]
    pub const fn charge(&self, units: u64) -> Charge {
        Charge {
            units,
            end: self.end,
            generation: self.generation,
        }
    }

    /// The state without the units of `charge`; `None` if its window is over.
    #[must_use]
    pub fn refund(&self, charge: &Charge) -> Option<Self> {
        let same = self.generation == charge.generation && self.end == charge.end;
        same.then(|| Self {
            taken: self.taken.saturating_sub(charge.units),
            ..*self
        })
    }

    /// As [`super::State::eviction_cost`].
    #[must_use]
    pub fn eviction_cost(&self, now: Timestamp) -> u128 {
        super::eviction_cost([(self.taken, self.end.since(now))], self.quota)
    }
}

#[cfg(test)]
impl Charge {
    /// The end of the window that the units were entered in.
    pub(crate) const fn end(&self) -> Timestamp {
        self.end
    }
}

#[cfg(test)]
mod tests;
