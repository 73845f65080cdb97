//! A limit that all proxies share: this proxy spends units that it took from the engine in advance.
//!
//! ```text
//!   engine   ──── take 8 ──▶ lease ────── take 16 ──▶ lease ─────────────▶ time
//!   proxy          ▲  ▼ ▼ ▼ ▼ ▼ ▼    ▲   ▼ ▼  ▼ ▼▼▼▼          ▲ lapses: charged in full
//!              asks    spends them   └ reports 6 spent
//! ```
//!
//! The state is the lease, the units spent of it since the last report, and the engine's last
//! answer about the counter. Requests spend units until the lease ends, which this proxy takes to
//! be a little earlier than the engine does (`exchange`). If a request needs more, it must ask:
//! that is [`Lease::lacks`], and its decision until then is a denial.
//!
//! The engine charges the spent units when they are reported, never earlier than they were spent,
//! and counts all units of a lease as taken until then. So no proxy that dies, and no answer that
//! is lost, admits more than the limit states.

mod counted;
mod exchange;
mod state;

pub use counted::Counted;
pub use exchange::{Begun, Entered, Purpose, Sent};
pub use state::{Charge, Charged, Heard, Held, Pending, State, Unreported};

use super::calendar::Over;
use super::{Balance, Cost, Evaluation, Rule};
use crate::base::time::{Span, SteadyTime, Timestamp};
use crate::fleet::take::CounterName;

/// A rule whose counter all proxies share, and the conditions under which a request asks the
/// engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    counted: Counted,
    name: CounterName,
    at: SteadyTime,
}

impl Lease {
    /// The counter called `name`, which the engine keeps by the rule `counted`.
    #[must_use]
    pub const fn new(counted: Counted, name: CounterName) -> Self {
        Self {
            counted,
            name,
            at: SteadyTime::ZERO,
        }
    }

    /// The same for a request at this time.
    #[must_use]
    pub const fn at(self, at: SteadyTime) -> Self {
        Self { at, ..self }
    }

    /// The rule.
    #[must_use]
    pub const fn counted(&self) -> Counted {
        self.counted
    }

    /// The name of the counter.
    #[must_use]
    pub const fn name(&self) -> CounterName {
        self.name
    }

    /// Whether a request of this cost must ask the engine.
    #[must_use]
    pub fn lacks(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> bool {
        let units = cost.units();
        if self.counts() || units > self.counted.quota() {
            return false;
        }
        let state = self.current(state, now);
        match state.heard {
            None => true,
            Some(heard) => units > self.left(&state, now) && self.at >= heard.refused_until,
        }
    }

    /// Whether `cost` fits at `now`, and the state to store then. A request that [`Lease::lacks`]
    /// units is denied.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        let state = self.current(state, now);
        let units = cost.units();
        if units > self.counted.quota() && !self.counts() {
            return Evaluation::never_fits(self.balance(&state, now), None);
        }
        let left = self.left(&state, now);
        if units > left && !self.counts() {
            let balance = self.balance(&state, now);
            let wait = self.wait(&state, units.saturating_sub(left), now);
            return Evaluation::deny(wait.max(balance.next_unit_in), balance, cost, None);
        }
        let charged = self.charged(state, units, now);
        let balance = self.balance(&charged, now);
        Evaluation::admit(balance, (units > 0).then_some(charged), None)
    }

    /// Charges `units` whether or not they fit. The state to store, and the balance after it.
    #[must_use]
    pub fn force_charge(
        &self,
        state: Option<&State>,
        now: Timestamp,
        units: u64,
    ) -> (State, Balance) {
        let state = self.charged(self.current(state, now), units, now);
        (state, self.balance(&state, now))
    }

    /// Whether the engine is to be asked soon although no request waits: to refill the lease, or to
    /// report charges that the engine cannot know.
    #[must_use]
    pub fn is_due(&self, state: &State, now: Timestamp) -> bool {
        if state.unreported.extra > 0 || state.unreported.refund > 0 {
            return true;
        }
        let Some(heard) = state.heard.filter(|_| state.pending.is_none()) else {
            return false;
        };
        let held = &state.held;
        let is_low = self.is_low(state) && self.most_in_advance() > 0;
        let life = held.until.since(held.since);
        let ends_soon = held.until.since(self.at).times(5) <= life;
        self.is_live(held, now) && self.at >= heard.refused_until && (is_low || ends_soon)
    }

    /// Whether a lease that is due is all but used up, so that the next tick may be too late: it
    /// was large, and few units are left.
    #[must_use]
    pub const fn is_urgent(&self, state: &State) -> bool {
        let held = &state.held;
        held.granted >= URGENT_MIN && held.left.saturating_mul(8) <= held.granted
    }

    /// When the lease should be renewed or returned, if it has units.
    #[must_use]
    pub fn review_at(&self, state: &State) -> Option<SteadyTime> {
        let held = &state.held;
        let life = held.until.since(held.since);
        let early = Span::from_nanos(life.nanos().checked_div(5).unwrap_or_default());
        (held.left > 0 && life > Span::ZERO).then(|| held.until.before(early))
    }

    /// The rule that a proxy applies on its own while the engine is unavailable: one of `proxies`
    /// shares, of at least one unit.
    #[must_use]
    pub fn share(&self, proxies: u32) -> Rule {
        self.counted.share(proxies)
    }

    /// At most this many units are taken in advance.
    fn most_in_advance(&self) -> u64 {
        let share = self.counted.quota().checked_div(IN_ADVANCE_SHARE);
        share.unwrap_or_default().min(IN_ADVANCE_MAX)
    }

    fn is_low(&self, state: &State) -> bool {
        let held = &state.held;
        held.left.saturating_mul(10) <= held.granted.saturating_mul(3)
    }

    /// Whether overage is admitted and counted, so that no request waits.
    const fn counts(&self) -> bool {
        match self.counted {
            Counted::Calendar(calendar) => matches!(calendar.over(), Over::Count),
            Counted::Bucket(_) | Counted::Rolling(_) => false,
        }
    }

    /// The state as far as it is of the present window.
    fn current(&self, state: Option<&State>, now: Timestamp) -> State {
        let window_end = match self.counted {
            Counted::Calendar(calendar) => calendar.window(now).end,
            Counted::Bucket(_) | Counted::Rolling(_) => Timestamp::from_nanos(0),
        };
        match state {
            Some(state) if state.window_end == window_end => *state,
            // Another worker read the clock a little later, in the next window, and so it counts
            // there.
            Some(state) if self.begins_soon(state, now) => *state,
            other => State {
                seq: other.map_or(0, |state| state.seq),
                window_end,
                ..State::default()
            },
        }
    }

    /// Whether the record is of a calendar window that begins soon.
    fn begins_soon(&self, state: &State, now: Timestamp) -> bool {
        let last = self.time_of(state, now);
        match self.counted {
            Counted::Calendar(calendar) if state.window_end > now => {
                let start = calendar.window(last).start;
                start > now && start.since(now) <= OVERTAKEN_MAX
            }
            Counted::Calendar(_) | Counted::Bucket(_) | Counted::Rolling(_) => false,
        }
    }

    /// An instant of the window that the record is of.
    fn time_of(&self, state: &State, now: Timestamp) -> Timestamp {
        match self.counted {
            Counted::Calendar(_) => state.window_end.before(Span::from_nanos(1)),
            Counted::Bucket(_) | Counted::Rolling(_) => now,
        }
    }

    fn is_live(&self, held: &Held, now: Timestamp) -> bool {
        self.at < held.until && now < held.until_wall
    }

    /// Units that can be spent.
    fn left(&self, state: &State, now: Timestamp) -> u64 {
        if self.is_live(&state.held, now) {
            state.held.left
        } else {
            0
        }
    }

    fn charged(&self, mut state: State, units: u64, now: Timestamp) -> State {
        let spent = units.min(self.left(&state, now));
        let extra = units.saturating_sub(spent);
        state.held.left = state.held.left.saturating_sub(spent);
        state.unreported.spent = state.unreported.spent.saturating_add(spent);
        state.unreported.extra = state.unreported.extra.saturating_add(extra).min(UNITS_MAX);
        state.last = Some(Charged {
            spent,
            extra,
            at: self.at,
        });
        state
    }

    /// The counter as this proxy knows it: the engine's last answer and the rest of the lease.
    fn balance(&self, state: &State, now: Timestamp) -> Balance {
        let quota = self.counted.quota();
        let (heard, unreported) = (
            state.heard.unwrap_or(Heard::unknown(quota)),
            &state.unreported,
        );
        let pending = state
            .pending
            .map(|pending| pending.report)
            .unwrap_or_default();
        let signed = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        let plus = [self.left(state, now), unreported.refund, pending.refund];
        let less = [unreported.extra, pending.extra];
        let left = plus
            .into_iter()
            .map(signed)
            .fold(heard.left, i64::saturating_add);
        let left = less.into_iter().map(signed).fold(left, i64::saturating_sub);
        let remaining = u64::try_from(left).unwrap_or_default().min(quota);
        let overage = u64::try_from(left.saturating_neg()).unwrap_or_default();
        let taken = quota.saturating_sub(remaining).saturating_add(overage);
        let (next_unit_in, reset_in) = self.returns(state, &heard, taken, now);
        Balance {
            remaining,
            overage,
            next_unit_in,
            reset_in,
        }
    }

    /// How long until the next unit is back, and all of them.
    fn returns(&self, state: &State, heard: &Heard, taken: u64, now: Timestamp) -> (Span, Span) {
        if taken == 0 {
            return (Span::ZERO, Span::ZERO);
        }
        let next = heard.next.since(self.at);
        match self.counted {
            Counted::Bucket(bucket) => {
                let interval = bucket.refill().interval();
                let next = if next > Span::ZERO {
                    next.min(interval)
                } else {
                    interval
                };
                let others = interval.times(taken.saturating_sub(1));
                (next, next.plus(others))
            }
            Counted::Rolling(rolling) => {
                let window = rolling.window();
                let spends = state.unreported.spent > 0 || state.pending.is_some();
                let reset = heard.reset.since(self.at);
                let reset = if spends || reset == Span::ZERO {
                    window
                } else {
                    reset
                };
                (
                    if next > Span::ZERO {
                        next.min(reset)
                    } else {
                        reset
                    },
                    reset,
                )
            }
            Counted::Calendar(_) => {
                let end = state.window_end.since(now);
                (end, end)
            }
        }
    }

    /// How long until `missing` units are there that are not now.
    fn wait(&self, state: &State, missing: u64, now: Timestamp) -> Span {
        let heard = state.heard.unwrap_or_default();
        let all = heard.wait_until.since(self.at);
        let next = match heard.next.since(self.at) {
            Span::ZERO => all,
            next => next,
        };
        let wait = match self.counted {
            Counted::Bucket(bucket) => {
                let interval = bucket.refill().interval();
                next.plus(interval.times(missing.saturating_sub(1)))
            }
            Counted::Rolling(_) if missing <= 1 => next,
            Counted::Rolling(_) => all.max(next),
            Counted::Calendar(_) => state.window_end.since(now),
        };
        wait.max(WAIT_MIN)
    }
}

/// How much later than another one a worker may have read the clock.
const OVERTAKEN_MAX: Span = Span::from_seconds(1);

/// The shortest wait of a refused request.
const WAIT_MIN: Span = Span::from_nanos(1_000_000);

/// The smallest lease that is refilled at once when it is nearly used up: of smaller ones that
/// would be at each second request.
const URGENT_MIN: u64 = 8;

/// The share of the quota that is taken in advance at most: 5 %, as one of twenty.
pub const IN_ADVANCE_SHARE: u64 = 20;

/// The most units that are taken in advance.
const IN_ADVANCE_MAX: u64 = 4_096;

/// The most units of one report. It leaves the engine's sums exact.
const UNITS_MAX: u64 = 1_000_000_000_000_000;
