//! Seats: a maximum of distinct holders at a time. A holder keeps its seat for as long as it
//! touches it, and for `idle` after that.
//!
//! ```text
//!   alice ──●──●─────●───────────────┤          2 seats, and carol's request is refused until
//!   bob          ●────────────●──────┼────────┤ alice's seat lapses, unless alice touches it again
//!                              carol ●╌╌╌╌╌╌╌▶│
//! ```
//!
//! The state is the holders, each with the time at which its seat lapses, in the order of the
//! touches. The time of a touch never goes back, and no two touches have one time, so that a touch
//! can be refunded without touching a later one.

use super::{Balance, Cost, Evaluation};
use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};

/// The most seats that fit into a record.
pub const SEATS_MAX: u32 = 15;

/// The longest that a seat is kept without a touch.
pub const IDLE_MAX: Span = Span::from_seconds(86_400);

/// At most `seats` holders, and the holder that a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seats {
    seats: u32,
    idle: Span,
    holder: u64,
}

/// The holders, the latest touch last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The holders.
    pub holders: Vec<Holder>,
    /// The touch that led to this state; `None` if none did, or if the state was stored since.
    pub touch: Option<Touch>,
    /// How many seats there are, of the rule that wrote this last.
    pub seats: Rough,
}

/// One that holds a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The holder, as a hash.
    pub holder: u64,
    /// When the seat lapses.
    pub until: Timestamp,
}

/// One touch of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The holder, after it.
    after: Holder,
    /// When its seat would have lapsed before it; `None` if the holder had none.
    before: Option<Timestamp>,
}

/// The charge of a request: one touch, or nothing if no seat was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge(Option<Touch>);

impl Seats {
    /// `seats` that lapse after `idle`; `None` if one is out of its range.
    #[must_use]
    pub fn new(seats: u32, idle: Span) -> Option<Self> {
        let fits = (1..=SEATS_MAX).contains(&seats) && idle > Span::ZERO && idle <= IDLE_MAX;
        fits.then_some(Self {
            seats,
            idle,
            holder: 0,
        })
    }

    /// The same rule, for a request of `holder`, which is a hash.
    #[must_use]
    pub const fn for_holder(self, holder: u64) -> Self {
        Self { holder, ..self }
    }

    /// How many hold one at a time.
    #[must_use]
    pub const fn seats(&self) -> u32 {
        self.seats
    }

    /// How long a seat is kept without a touch.
    #[must_use]
    pub const fn idle(&self) -> Span {
        self.idle
    }

    /// Whether the holder has or gets a seat at `now`, and the state to store then. Any cost but
    /// zero touches it once; zero only reads.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        let after_repair = state.and_then(|state| self.repair(state, now));
        let live = live(state, now);
        if cost.units() > 0 && !self.fits(&live) {
            // A caller that meets a clock step gets the values that hold once the cut is stored.
            let stated = self::live(after_repair.as_ref().or(state), now);
            let surplus = stated
                .len()
                .saturating_sub(usize::try_from(self.seats).unwrap_or(usize::MAX));
            let mut lapses: Vec<Timestamp> = stated.iter().map(|holder| holder.until).collect();
            lapses.sort();
            let retry_after = lapses
                .get(surplus)
                .map_or(Span::ZERO, |lapse| lapse.since(now));
            return Evaluation::deny(retry_after, self.balance(&stated, now), cost, after_repair);
        }
        let after_charge = (cost.units() > 0).then(|| self.touched(&live, now));
        let after = after_charge.as_ref().map_or(&live, |state| &state.holders);
        Evaluation::admit(self.balance(after, now), after_charge, after_repair)
    }

    /// Touches the holder's seat if it has or gets one. `now` must be read after the state.
    #[must_use]
    pub fn force_charge(
        &self,
        state: Option<&State>,
        now: Timestamp,
        units: u64,
    ) -> (State, Balance) {
        let after_repair = state.and_then(|state| self.repair(state, now));
        let live = live(after_repair.as_ref().or(state), now);
        let state = if units > 0 && self.fits(&live) {
            self.touched(&live, now)
        } else {
            State {
                holders: live,
                touch: None,
                seats: Rough::of(self.seats.into()),
            }
        };
        let balance = self.balance(&state.holders, now);
        (state, balance)
    }

    fn fits(&self, live: &[Holder]) -> bool {
        live.iter().any(|holder| holder.holder == self.holder)
            || u32::try_from(live.len()).is_ok_and(|taken| taken < self.seats)
    }

    fn touched(&self, live: &[Holder], now: Timestamp) -> State {
        let newest = live
            .iter()
            .map(|holder| holder.until.after(Span::from_nanos(1)))
            .max();
        let until = now.after(self.idle).max(newest.unwrap_or(now));
        let before = live
            .iter()
            .find(|holder| holder.holder == self.holder)
            .map(|holder| holder.until);
        let others = live
            .iter()
            .filter(|holder| holder.holder != self.holder)
            .copied();
        let after = Holder {
            holder: self.holder,
            until,
        };
        State {
            holders: others.chain([after]).collect(),
            touch: Some(Touch { after, before }),
            seats: Rough::of(self.seats.into()),
        }
    }

    /// The state with no seat kept for longer than `idle` from now; `None` if none is.
    fn repair(&self, state: &State, now: Timestamp) -> Option<State> {
        let latest = now.after(self.idle);
        let is_late = state.holders.iter().any(|holder| holder.until > latest);
        is_late.then(|| State {
            holders: state
                .holders
                .iter()
                .map(|holder| Holder {
                    until: holder.until.min(latest),
                    ..*holder
                })
                .collect(),
            touch: None,
            ..*state
        })
    }

    fn balance(&self, live: &[Holder], now: Timestamp) -> Balance {
        let (taken, seats) = (
            u64::try_from(live.len()).unwrap_or(u64::MAX),
            u64::from(self.seats),
        );
        let lapses = live.iter().map(|holder| holder.until.since(now));
        Balance {
            remaining: seats.saturating_sub(taken),
            overage: taken.saturating_sub(seats),
            next_unit_in: lapses.clone().min().unwrap_or_default(),
            reset_in: lapses.max().unwrap_or_default(),
        }
    }
}

impl State {
    /// The receipt for the touch that led to this state.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        Charge(self.touch)
    }

    /// The state as it was before the touch of `charge`; `None` if there was none, or if
    /// the seat was touched since or has lapsed.
    #[must_use]
    pub fn refund(&self, charge: &Charge, now: Timestamp) -> Option<Self> {
        let touch = charge.0?;
        if !self.holders.contains(&touch.after) {
            return None;
        }
        let before = touch
            .before
            .filter(|until| *until > now)
            .map(|until| Holder {
                until,
                ..touch.after
            });
        let others = self
            .holders
            .iter()
            .filter(|holder| **holder != touch.after)
            .copied();
        let mut holders: Vec<Holder> = others.chain(before).collect();
        holders.sort_by_key(|holder| holder.until);
        Some(Self {
            holders,
            touch: None,
            ..*self
        })
    }

    /// As [`super::State::eviction_cost`].
    #[must_use]
    pub fn eviction_cost(&self, now: Timestamp) -> u128 {
        super::eviction_cost(
            self.holders
                .iter()
                .map(|holder| (1, holder.until.since(now))),
            self.seats,
        )
    }
}

#[cfg(test)]
impl Charge {
    /// The holder, and until when its seat is kept; `None` if no seat was free.
    pub(crate) fn touched(&self) -> Option<Holder> {
        self.0.map(|touch| touch.after)
    }
}

fn live(state: Option<&State>, now: Timestamp) -> Vec<Holder> {
    state
        .into_iter()
        .flat_map(|state| &state.holders)
        .filter(|holder| holder.until > now)
        .copied()
        .collect()
}

#[cfg(test)]
mod tests;
