//! The state of a rolling window: its units, each with the instant at which they were taken.

use super::{ENTRIES_MAX, EXACT_GRAIN, GRAINS};
use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};

/// The state of one rolling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The window's length, of the rule that wrote this last.
    pub window: Span,
    /// The span of time that one entry covers.
    pub grain: Grain,
    /// Distinguishes one life of the record from the next.
    pub generation: u32,
    /// The quota of the rule that wrote this last.
    pub quota: Rough,
    /// From the oldest to the newest, each in its own grain. All but the newest are at its end.
    pub entries: Vec<Entry>,
}

/// Units that were taken at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When: not before the last of them.
    pub at: Timestamp,
    /// How many.
    pub units: u64,
}

/// A stretch of time of which a log has one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A microsecond.
    Exact,
    /// A twentieth of the window.
    Coarse,
}

/// The charge of an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    units: u64,
    at: Timestamp,
    generation: u32,
}

impl Grain {
    /// The grain's length in a window.
    #[must_use]
    pub fn length(self, window: Span) -> Span {
        match self {
            Self::Exact => EXACT_GRAIN,
            // Rounded down: a little more than twenty grains are as late as a twentieth at most.
            Self::Coarse => Span::from_nanos(
                window
                    .nanos()
                    .checked_div(GRAINS)
                    .unwrap_or_default()
                    .max(1),
            ),
        }
    }

    /// The end of the grain that `at` is in: the first multiple of its length at or after it.
    #[must_use]
    pub fn end(self, at: Timestamp, window: Span) -> Timestamp {
        let grain = self.length(window).nanos();
        at.nanos()
            .checked_next_multiple_of(grain)
            .map_or(at, Timestamp::from_nanos)
    }
}

impl Charge {
    /// The charge as two: of at most `units`, and of the rest.
    pub(in crate::limit) fn split(&self, units: u64) -> (Self, Option<Self>) {
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
    pub fn charge(&self, units: u64) -> Charge {
        let at = self
            .entries
            .last()
            .map_or(Timestamp::from_nanos(0), |entry| entry.at);
        Charge {
            units,
            at,
            generation: self.generation,
        }
    }

    /// The log without the units of `charge`; `None` if they have ceased to count. They are in
    /// the grain of the charge's instant, also if another quota has made that a coarse one since.
    #[must_use]
    pub fn refund(&self, charge: &Charge, now: Timestamp) -> Option<Self> {
        let grain_of = |at: Timestamp| self.grain.end(at, self.window);
        let place = self
            .entries
            .iter()
            .position(|entry| grain_of(entry.at) == grain_of(charge.at))?;
        let entry = self.entries.get(place)?;
        if self.generation != charge.generation || entry.at.after(self.window) <= now {
            return None;
        }
        let mut state = self.clone();
        if let Some(entry) = state.entries.get_mut(place) {
            entry.units = entry.units.saturating_sub(charge.units);
        }
        state.entries.retain(|entry| entry.units > 0);
        Some(state)
    }

    /// As [`crate::limit::State::eviction_cost`].
    #[must_use]
    pub fn eviction_cost(&self, now: Timestamp) -> u128 {
        crate::limit::eviction_cost(
            self.entries
                .iter()
                .map(|entry| (entry.units, entry.at.after(self.window).since(now))),
            self.quota,
        )
    }
}

/// Most entries of a log whose times are exact and whose units may be any: a record has room for no
/// more.
const ENTRIES_OF_ANY_UNITS_MAX: usize = 15;

/// Whether the entries have room in a record with exact times. They have, unless many of them were
/// overdrawn: other units are few, and take a byte each.
pub(super) fn fits(entries: &[Entry]) -> bool {
    let few = entries.len() <= ENTRIES_OF_ANY_UNITS_MAX;
    entries.len() <= ENTRIES_MAX && (few || entries.iter().all(|entry| entry.units < 128))
}

#[cfg(test)]
impl Charge {
    /// When the units were entered.
    pub(crate) const fn at(&self) -> Timestamp {
        self.at
    }
}
