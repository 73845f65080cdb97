//! A window that rolls along with the time: in no interval of its length are more units admitted
//! than its quota.
//!
//! The state is a log: when units were taken, and how many. A unit counts until the window's length
//! has passed since:
//!
//! ```text
//!            ┌──────────── window ────────────┐
//!   ──2──────┼───1────────3──────────────1────┤ now            4 units taken, and 1
//!     gone   1 more in …  └─ full in …        ┘
//! ```
//!
//! All requests in one *grain* of time share one entry, so the log is bounded: by the quota if that
//! is small ([`EXACT_QUOTA_MAX`]; a microsecond is the grain), else by the number of grains in a
//! window (a twentieth of the window each). An entry is at its last unit's instant while it is the
//! newest, and at its grain's end from then on. That goes against the caller: capacity is regained
//! at most one grain late, and never early. No entry is ever put into the future, so no caller
//! waits for longer than a window.
//!
//! The time of an entry never goes back: a worker that is overtaken by another enters its units at
//! the time of the other's. So the log is right even if the clock of its reader is late.

mod log;

pub use log::{Charge, Entry, Grain, State};

use log::fits;

use super::{Balance, Cost, Evaluation, QUOTA_MAX, generation_at};
use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};

/// At most `quota` units in any interval of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    quota: u64,
    window: Span,
}

/// Quotas up to this are kept with exact times.
pub const EXACT_QUOTA_MAX: u64 = 32;

/// Into how many grains the window of a larger quota is divided, at least.
const GRAINS: u64 = 20;

/// The grain of exact times.
const EXACT_GRAIN: Span = Span::from_nanos(1_000);

/// Most entries of a log: one for each unit of a small quota, or one for each grain of a window,
/// for the one that has begun before it and for the one that ends after it.
pub const ENTRIES_MAX: usize = 32;
const _: () = assert!(
    EXACT_QUOTA_MAX == ENTRIES_MAX as u64 && GRAINS + 2 <= ENTRIES_MAX as u64,
    "all entries fit"
);

impl Rolling {
    /// A window of whole seconds; `None` if the quota is not in `1..=`[`QUOTA_MAX`], or the
    /// window not in 1 s to 366 days.
    #[must_use]
    pub fn new(quota: u64, window: Span) -> Option<Self> {
        let seconds = window.seconds_up();
        let whole = Span::from_seconds(seconds) == window && window <= super::gcra::WINDOW_MAX;
        ((1..=QUOTA_MAX).contains(&quota) && seconds > 0 && whole).then_some(Self { quota, window })
    }

    /// Most units in any interval of the window's length.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        self.quota
    }

    /// The window's length.
    #[must_use]
    pub const fn window(&self) -> Span {
        self.window
    }

    /// Whether `cost` fits at `now`, and the state to store then.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        let after_repair = state.and_then(|state| self.repair(state, now));
        // A caller that meets a clock step gets the values that hold once the cut is stored.
        let current = after_repair.as_ref().or(state);
        if cost.units() > self.quota {
            return Evaluation::never_fits(self.balance(current, now), after_repair);
        }
        let taken = self.taken(state, now);
        if cost.units() > self.quota.saturating_sub(taken) {
            let retry_after = self.free_in(current, now, self.taken(current, now), cost.units());
            return Evaluation::deny(retry_after, self.balance(current, now), cost, after_repair);
        }
        let after_charge = (cost.units() > 0).then(|| self.charge(state, now, cost.units()));
        let balance = match &after_repair {
            Some(_) if cost.units() > 0 => {
                self.balance(Some(&self.charge(current, now, cost.units())), now)
            }
            Some(_) => self.balance(current, now),
            None => self.balance_of(
                after_charge.as_ref().or(state),
                now,
                taken.saturating_add(cost.units()),
            ),
        };
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
        let after_repair = state.and_then(|state| self.repair(state, now));
        let state = self.charge(after_repair.as_ref().or(state), now, units);
        let balance = self.balance(Some(&state), now);
        (state, balance)
    }

    /// The entries that still count at `now`, from the oldest to the newest.
    fn live<'s>(
        &self,
        state: Option<&'s State>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'s Entry> {
        let window = self.window;
        state
            .into_iter()
            .flat_map(|state| &state.entries)
            .filter(move |entry| entry.at.after(window) > now)
    }

    /// Adds `new` to the last entry if both are in one grain, else after it.
    fn enter(&self, entries: &mut Vec<Entry>, grain: Grain, new: Entry) {
        if let Some(last) = entries.last_mut() {
            let end = grain.end(last.at, self.window);
            if end >= grain.end(new.at, self.window) {
                last.at = last.at.max(new.at);
                // Any number above the greatest quota has the same effect.
                last.units = last.units.saturating_add(new.units).min(QUOTA_MAX);
                return;
            }
            last.at = end;
        }
        entries.push(new);
    }

    /// The log with `units` more, and without entries that no longer count.
    fn charge(&self, state: Option<&State>, now: Timestamp, units: u64) -> State {
        let generation = state.map_or_else(|| generation_at(now), |state| state.generation);
        let with = |grain: Grain| {
            let most = state
                .map_or(0, |state| state.entries.len())
                .saturating_add(1);
            let mut entries: Vec<Entry> = Vec::with_capacity(most);
            if state.is_some_and(|state| state.window == self.window && state.grain == grain) {
                // They are in these grains already.
                entries.extend(self.live(state, now));
            } else {
                for entry in self.live(state, now) {
                    self.enter(&mut entries, grain, *entry);
                }
            }
            let new = Entry {
                at: now,
                units: units.min(QUOTA_MAX),
            };
            self.enter(&mut entries, grain, new);
            State {
                window: self.window,
                grain,
                generation,
                quota: Rough::of(self.quota),
                entries,
            }
        };
        // All entries have one grain: entries of a larger quota keep theirs while they count.
        let rounded = state.is_some_and(|state| state.grain == Grain::Coarse)
            && self.live(state, now).next().is_some();
        let state = with(if self.quota <= EXACT_QUOTA_MAX && !rounded {
            Grain::Exact
        } else {
            Grain::Coarse
        });
        // Each entry is a unit at least, so exact times are more than the quota only if it was
        // overdrawn.
        let state = if fits(&state.entries) {
            state
        } else {
            with(Grain::Coarse)
        };
        debug_assert!(state.entries.len() <= ENTRIES_MAX, "{state:?}");
        state
    }

    /// The log with its future entries moved to the present, if it has any: units are entered at
    /// the time of their request, so only a clock that stepped back leaves them there. That begins
    /// its life anew.
    fn repair(&self, state: &State, now: Timestamp) -> Option<State> {
        let newest = state.entries.last()?;
        (newest.at > now).then(|| {
            let mut entries: Vec<Entry> = state.entries.clone();
            let future = entries.partition_point(|entry| entry.at < now);
            let units = entries
                .drain(future..)
                .fold(0_u64, |sum, entry| sum.saturating_add(entry.units));
            entries.push(Entry {
                at: now,
                units: units.min(QUOTA_MAX),
            });
            State {
                entries,
                generation: generation_at(now),
                ..*state
            }
        })
    }

    fn balance(&self, state: Option<&State>, now: Timestamp) -> Balance {
        self.balance_of(state, now, self.taken(state, now))
    }

    /// The same if the units that still count are known.
    fn balance_of(&self, state: Option<&State>, now: Timestamp, taken: u64) -> Balance {
        let newest = state.and_then(|state| state.entries.last());
        Balance {
            remaining: self.quota.saturating_sub(taken),
            overage: taken.saturating_sub(self.quota),
            next_unit_in: self.free_in(
                state,
                now,
                taken,
                self.quota.saturating_sub(taken).saturating_add(1),
            ),
            reset_in: newest.map_or(Span::ZERO, |entry| entry.at.after(self.window).since(now)),
        }
    }

    /// The units that still count.
    fn taken(&self, state: Option<&State>, now: Timestamp) -> u64 {
        self.live(state, now)
            .fold(0, |sum, entry| sum.saturating_add(entry.units))
    }

    /// How long until `units` fit besides the units that still count then, of the `taken` ones that
    /// do now; zero if they fit now, or never.
    fn free_in(&self, state: Option<&State>, now: Timestamp, mut taken: u64, units: u64) -> Span {
        let mut wait = Span::ZERO;
        for entry in self.live(state, now) {
            if taken.saturating_add(units) <= self.quota {
                break;
            }
            taken = taken.saturating_sub(entry.units);
            wait = entry.at.after(self.window).since(now);
        }
        wait
    }
}

#[cfg(test)]
mod tests;
