//! The state of one shared counter in a proxy.

use super::exchange;
use crate::base::rough::Rough;
use crate::base::time::{Span, SteadyTime, Timestamp};
use crate::fleet::take::Rest;
use crate::limit;

/// One shared counter as a proxy knows it, with the units that it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The lease.
    pub held: Held,
    /// The report of the next take.
    pub unreported: Unreported,
    /// The number of the last take.
    pub seq: u64,
    /// The take that has no answer yet.
    pub pending: Option<Pending>,
    /// The engine's last answer; `None` if there is none about this window yet.
    pub heard: Option<Heard>,
    /// The end of the calendar window that all of this belongs to; zero for other rules.
    pub window_end: Timestamp,
    /// The charge that led to this state. It is not stored.
    pub last: Option<Charged>,
}

/// One charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// Units of the lease.
    pub(super) spent: u64,
    /// Units beyond it.
    pub(super) extra: u64,
    /// When.
    pub(super) at: SteadyTime,
}

/// Units that were taken in advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Units that are left.
    pub left: u64,
    /// Units that were there when the engine last answered.
    pub granted: u64,
    /// How many units to take in advance.
    pub size: u64,
    /// When the lease began: the take was sent.
    pub since: SteadyTime,
    /// When the lease ends, by the clock that never steps.
    pub until: SteadyTime,
    /// When it ends by the wall clock, which also runs while the machine sleeps.
    pub until_wall: Timestamp,
}

/// The report of a take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreported {
    /// Units of the lease that were spent.
    pub spent: u64,
    /// Units that were charged beyond any lease.
    pub extra: u64,
    /// Units that were reported before and are refunded.
    pub refund: u64,
    /// The engine's time, in microseconds, at or before which the refunded units were charged.
    pub since: u64,
}

/// A take that was sent and has no answer. It is sent again with the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Until then another worker waits for the answer.
    pub until: SteadyTime,
    /// Its report.
    pub report: Unreported,
    /// The use of the rest of the lease.
    pub rest: Rest,
    /// Units that waiting requests lack.
    pub need: u64,
    /// The same and the units to take in advance.
    pub want: u64,
    /// The lock that it begins.
    pub lock: Span,
}

/// The engine's answer about the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// When the answer arrived.
    pub at: SteadyTime,
    /// The engine's time then, in microseconds: the answer's.
    pub engine: u64,
    /// Units that no proxy had taken; below zero if the limit is overdrawn.
    pub left: i64,
    /// When the next unit is back.
    pub next: SteadyTime,
    /// When all units are back.
    pub reset: SteadyTime,
    /// Until then this proxy refuses requests that its lease does not cover, without asking.
    pub refused_until: SteadyTime,
    /// The time at which the requested units fit.
    pub wait_until: SteadyTime,
}

/// The charge of an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Units of the lease.
    spent: u64,
    /// Units beyond it.
    extra: u64,
    /// The last take before it.
    seq: u64,
    /// The engine's time, or an earlier one.
    since: u64,
    window_end: Timestamp,
}

impl Charge {
    /// The charge as two: of at most `units`, and of the rest.
    pub(in crate::limit) fn split(&self, units: u64) -> (Self, Option<Self>) {
        let spent = self.spent.min(units);
        let extra = self.extra.min(units.saturating_sub(spent));
        let first = Self {
            spent,
            extra,
            ..*self
        };
        let rest = Self {
            spent: self.spent.saturating_sub(spent),
            extra: self.extra.saturating_sub(extra),
            ..*self
        };
        let is_whole = (rest.spent, rest.extra) == (0, 0);
        (first, (!is_whole).then_some(rest))
    }
}

/// The longest lease. An older answer of the engine says nothing about its clock.
const HEARD_MAX: Span = Span::from_seconds(300);

impl Heard {
    /// Of a counter that the engine has said nothing of.
    pub(super) const fn unknown(quota: u64) -> Self {
        Self {
            at: SteadyTime::ZERO,
            engine: 0,
            left: quota.cast_signed(),
            next: SteadyTime::ZERO,
            reset: SteadyTime::ZERO,
            refused_until: SteadyTime::ZERO,
            wait_until: SteadyTime::ZERO,
        }
    }

    /// A lower bound of the engine's time, in microseconds.
    fn engine_time(&self, at: SteadyTime) -> u64 {
        let passed = at.since(self.at);
        if passed > HEARD_MAX {
            // The engine's clock may have stepped since: such a refund is void.
            return 0;
        }
        let passed = passed.less(exchange::drift(passed));
        self.engine.saturating_add(passed.micros())
    }
}

impl State {
    /// The receipt for the charge that led to this state.
    #[must_use]
    pub fn charge(&self) -> Charge {
        let Charged { spent, extra, at } = self.last.unwrap_or_default();
        Charge {
            spent,
            extra,
            seq: self.seq,
            since: self.heard.map_or(0, |heard| heard.engine_time(at)),
            window_end: self.window_end,
        }
    }

    /// The state without the units of `charge`; `None` if nothing of them is left to give.
    ///
    /// Units that were not reported yet go back into the lease. The engine refunds reported ones.
    #[must_use]
    pub fn refund(&self, charge: &Charge) -> Option<Self> {
        let mut state = *self;
        let units = charge.spent.saturating_add(charge.extra);
        if units == 0 || charge.window_end != state.window_end {
            return None;
        }
        let unreported = &mut state.unreported;
        if charge.seq == state.seq {
            let spent = charge.spent.min(unreported.spent);
            unreported.spent = unreported.spent.saturating_sub(spent);
            unreported.extra = unreported.extra.saturating_sub(charge.extra);
            state.held.left = state.held.left.saturating_add(spent);
        } else {
            unreported.since = match unreported.refund {
                0 => charge.since,
                _ => unreported.since.min(charge.since),
            };
            unreported.refund = unreported.refund.saturating_add(units);
        }
        Some(state)
    }

    /// As [`super::State::eviction_cost`]: without the lease its units are lost to all callers, and
    /// units that were not reported are lost to the limit.
    #[must_use]
    pub fn eviction_cost(&self) -> u128 {
        let Unreported { spent, extra, .. } = self.unreported;
        let units = self.held.left.saturating_add(spent).saturating_add(extra);
        let life = self
            .held
            .until
            .since(self.held.since)
            .max(Span::from_seconds(1));
        limit::eviction_cost([(units.max(1), life)], Rough::of(units.max(1)))
    }
}
