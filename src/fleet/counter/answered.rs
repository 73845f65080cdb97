//! The record of one proxy in a counter: its lease, and its last take with the answer.

use super::AGAIN_MIN;
use crate::base::time::Span;
use crate::fleet::take::Answer;

/// One proxy's lease of a counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    /// Units that it holds.
    pub(super) held: u64,
    /// When they are charged if the proxy sends no report.
    pub(super) expiry: u64,
    /// Whether it holds more than it needs at once.
    pub(super) spare: bool,
    /// Until when it is remembered, also without units.
    pub(super) keep: u64,
    /// Its last take.
    pub(super) answered: Answered,
}

/// The last take of a proxy, and its answer; times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Answered {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) granted: u64,
    pub(super) wait: u64,
    pub(super) again: u64,
    pub(super) left: i64,
    pub(super) next: u64,
    pub(super) reset: u64,
    pub(super) lapsed: bool,
    pub(super) locked: u64,
}

impl Holder {
    /// The answer to the take.
    pub(super) fn answer(&self, now: u64) -> Answer {
        let Answered {
            granted,
            wait,
            again,
            left,
            next,
            reset,
            lapsed,
            locked,
            ..
        } = self.answered;
        let valid = if self.held > 0 {
            self.expiry.saturating_sub(now)
        } else {
            0
        };
        Answer {
            granted,
            valid: Span::from_micros(valid),
            wait: Span::from_micros(wait),
            again: Span::from_micros(again),
            left,
            next: Span::from_micros(next),
            reset: Span::from_micros(reset),
            now,
            lapsed,
            locked: Span::from_micros(locked),
        }
    }

    /// Moves all instants, after a step of the clock.
    pub(super) fn move_back(&mut self, back: u64) {
        for instant in [&mut self.expiry, &mut self.keep, &mut self.answered.at] {
            *instant = instant.saturating_sub(back);
        }
    }

    /// The same answer to a copy of the take, with the remaining times. A proxy whose need was not
    /// granted still waits for a moment. `now` is not before the counter's last take. The answer's
    /// own time stays: units that the proxy has not reported by then are charged later, and a
    /// refund relies on that.
    pub(super) fn again(&self, now: u64) -> Answer {
        let passed = now.saturating_sub(self.answered.at);
        let left_of = |time: u64| time.saturating_sub(passed);
        let at_least = |least: u64, time: u64| match time {
            0 => 0,
            _ => left_of(time).max(least),
        };
        let answered = Answered {
            wait: at_least(1, self.answered.wait),
            again: at_least(AGAIN_MIN, self.answered.again),
            next: left_of(self.answered.next),
            reset: left_of(self.answered.reset),
            locked: left_of(self.answered.locked),
            ..self.answered
        };
        let holder = Self {
            answered,
            ..self.clone()
        };
        Answer {
            now: self.answered.at,
            ..holder.answer(now)
        }
    }
}
