//! The requests of a series in its limit's current window: the numerator of the ratio.
//!
//! A window of the calendar is one slot. The last seconds of a bucket or a rolling window are
//! thirteen at most, each a twelfth of the period, of which those count that reach into it.

use crate::base::varint;

/// The slots of one period.
const PARTS: u64 = 12;

/// The most slots that are kept: one more, since the period rarely begins with one.
const SLOTS_MAX: usize = 13;

/// How the current window of a limit is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reckoning {
    /// The window of the calendar from this second on, for this number of seconds.
    Calendar {
        /// Its first second, in Unix time.
        start: u64,
        /// Its length.
        seconds: u64,
    },
    /// The last seconds of this number.
    Sliding {
        /// The period.
        seconds: u64,
    },
}

/// The recent requests of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// The first second of the newest slot.
    start: u64,
    /// The seconds of a slot.
    width: u64,
    /// The seconds before now that count, apart from the slot that now is in; zero for a window of
    /// the calendar.
    keep: u64,
    /// The requests of each slot, the newest first.
    slots: Vec<u64>,
}

impl Recent {
    /// Adds the requests of the second `at`.
    pub fn add(&mut self, reckoning: Reckoning, at: u64, requests: u64) {
        let (start, width, keep, slots_max) = match reckoning {
            Reckoning::Calendar { start, seconds } => (start, seconds.max(1), 0, 1),
            Reckoning::Sliding { seconds } => {
                let width = seconds.div_ceil(PARTS).max(1);
                let rest = at.checked_rem(width).unwrap_or_default();
                (at.saturating_sub(rest), width, seconds, SLOTS_MAX)
            }
        };
        let is_other = (self.width, self.keep) != (width, keep);
        let back = self.start.saturating_sub(start);
        let span = width.saturating_mul(u64::try_from(slots_max).unwrap_or(1).saturating_add(1));
        if self.slots.is_empty() || (is_other && start >= self.start) || back > span {
            // The first requests, another period, or a clock that stepped back.
            (self.start, self.width, self.keep) = (start, width, keep);
            self.slots = vec![requests];
            return;
        }
        let steps = |distance: u64| distance.checked_div(width).unwrap_or_default();
        if start > self.start {
            let new = usize::try_from(steps(start.saturating_sub(self.start))).unwrap_or(SLOTS_MAX);
            let new = new.clamp(1, slots_max);
            self.slots.splice(0..0, std::iter::repeat_n(0, new));
            self.slots.truncate(slots_max);
            self.start = start;
        }
        let index = usize::try_from(steps(self.start.saturating_sub(start))).unwrap_or(SLOTS_MAX);
        if index >= slots_max || (start < self.start && index == 0) {
            // Of a window before the current one.
            return;
        }
        if self.slots.len() <= index {
            self.slots.resize(index.saturating_add(1), 0);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = slot.saturating_add(requests);
        }
    }

    /// The requests in the window that the second `now` is in.
    #[must_use]
    pub fn requests(&self, now: u64) -> u64 {
        let mut start = self.start;
        let mut sum = 0_u64;
        for slot in &self.slots {
            if self.is_over_at(start, now) {
                break;
            }
            sum = sum.saturating_add(*slot);
            start = start.saturating_sub(self.width);
        }
        sum
    }

    /// Whether nothing of it counts any more.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        self.slots.is_empty() || self.is_over_at(self.start, now)
    }

    const fn is_over_at(&self, start: u64, now: u64) -> bool {
        let end = start.saturating_add(self.width).saturating_add(self.keep);
        end <= now
    }

    pub(super) fn push(&self, out: &mut Vec<u8>) {
        for number in [self.start, self.width, self.keep] {
            varint::push(number, out);
        }
        varint::push(u64::try_from(self.slots.len()).unwrap_or_default(), out);
        for slot in &self.slots {
            varint::push(*slot, out);
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (start, rest) = varint::read(bytes)?;
        let (width, rest) = varint::read(rest)?;
        let (keep, rest) = varint::read(rest)?;
        let (count, mut rest) = varint::read(rest)?;
        let count = usize::try_from(count).ok().filter(|it| *it <= SLOTS_MAX)?;
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            let (slot, after) = varint::read(rest)?;
            slots.push(slot);
            rest = after;
        }
        let recent = Self {
            start,
            width,
            keep,
            slots,
        };
        Some((recent, rest))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "test code")]

    use proptest::prelude::*;

    use super::*;

    fn calendar(at: u64, seconds: u64) -> Reckoning {
        let start = at - at % seconds;
        Reckoning::Calendar { start, seconds }
    }

    #[test]
    fn what_comes_late_counts_in_its_own_window_alone() {
        let mut recent = Recent::default();
        recent.add(calendar(119, 60), 119, 3);
        recent.add(calendar(120, 60), 120, 4);
        // Merged by another worker, after the window has begun.
        recent.add(calendar(119, 60), 119, 5);
        assert_eq!(recent.requests(120), 4);
        assert!(!recent.is_over(179));
        assert!(recent.is_over(180));
    }

    #[test]
    fn a_month_may_be_longer_than_the_one_before() {
        let mut recent = Recent::default();
        let window = |start, seconds| Reckoning::Calendar { start, seconds };
        recent.add(window(0, 28), 1, 7);
        recent.add(window(28, 31), 30, 1);
        assert_eq!(recent.requests(58), 1);
        assert!(recent.is_over(59));
    }

    #[test]
    fn a_clock_that_steps_back_begins_anew() {
        let mut recent = Recent::default();
        let sliding = Reckoning::Sliding { seconds: 60 };
        recent.add(sliding, 1_000_000, 7);
        recent.add(sliding, 500_000, 2);
        assert_eq!(recent.requests(500_001), 2);
    }

    proptest! {
        /// Against the list of all requests: the exact sum, or at most a slot more.
        #[test]
        fn the_last_seconds_are_summed(
            seconds in 1..400_u64,
            steps in proptest::collection::vec((0..60_u64, 1..9_u64), 1..60),
        ) {
            let (mut recent, mut all) = (Recent::default(), Vec::new());
            let mut now = 1_000_000;
            let width = seconds.div_ceil(PARTS);
            for (step, requests) in steps {
                now += step;
                all.push((now, requests));
                recent.add(Reckoning::Sliding { seconds }, now, requests);
                let since = |from: u64| -> u64 {
                    all.iter().filter(|(at, _)| *at > from).map(|(_, requests)| requests).sum()
                };
                let (least, most) = (since(now - seconds), since(now - seconds - width));
                prop_assert!((least..=most).contains(&recent.requests(now)));
                let mut bytes = Vec::new();
                recent.push(&mut bytes);
                prop_assert_eq!(Recent::read(&bytes), Some((recent.clone(), &[][..])));
            }
        }

        #[test]
        fn windows_of_the_calendar_are_summed(
            seconds in 1..100_u64,
            steps in proptest::collection::vec((0..60_u64, 1..9_u64), 1..60),
        ) {
            let (mut recent, mut all) = (Recent::default(), Vec::new());
            let mut now = 1_000_000;
            for (step, requests) in steps {
                now += step;
                all.push((now, requests));
                recent.add(calendar(now, seconds), now, requests);
                let exact: u64 = all.iter().filter(|(at, _)| at / seconds == now / seconds)
                    .map(|(_, requests)| requests).sum();
                prop_assert_eq!(recent.requests(now), exact);
            }
        }
    }
}
