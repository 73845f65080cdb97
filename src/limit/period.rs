//! Windows of the calendar: the begin and end of each in a zone's local time.
//!
//! A local clock shows one multiple of the period after the other (each whole hour, each midnight
//! of a Monday), and a window begins when it reaches one. Clocks that are changed need two rules
//! more:
//!
//! ```text
//!   put forward   01:59 │ 03:00   windows that would begin in the gap begin when it begins
//!   put back      02:59 │ 02:00   a time that is shown again begins no window, unless a whole
//!                                 period is repeated, which then is a separate window
//! ```
//!
//! So an hour that occurs twice is two windows of an hour, and its day is one window of 25 hours.
//! Windows follow one another without a gap. A week begins on Monday (ISO 8601).

use std::fmt;

use crate::base::date::{first_day, month_of};
use crate::base::time::{Span, Timestamp};
use crate::base::units::{TimeUnit, UnitError, count_and_unit};
use crate::base::zone::{OffsetSpan, Zone};

/// A span of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A number of seconds that divides a day.
    Seconds(u32),
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// A number of months that divides a year.
    Months(u32),
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

const DAY: i64 = 86_400;
/// More changes of a clock than any zone has in a year, during Ramadan or not.
const OFFSET_SPANS_MAX: usize = 16;
const NANOS: i128 = 1_000_000_000;

impl Window {
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Span {
        self.end.since(self.start)
    }
}

impl Period {
    /// Reads `10s`, `5m`, `1h`, `1d`, `1w` or `1mo`.
    ///
    /// # Errors
    /// [`UnitError::NotAPeriod`] unless it is a divisor of a minute in seconds, of an hour in
    /// minutes, of a day in hours, of a year in months; or one day or week.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let (count, unit) = count_and_unit(text).ok_or(UnitError::NotAPeriod)?;
        let whole: u64 = match unit {
            TimeUnit::Second | TimeUnit::Minute => 60,
            TimeUnit::Hour => 24,
            TimeUnit::Day | TimeUnit::Week => 1,
            TimeUnit::Month => 12,
        };
        let count = u32::try_from(count)
            .ok()
            .filter(|_| count > 0 && whole.is_multiple_of(count))
            .ok_or(UnitError::NotAPeriod)?;
        Ok(match unit {
            TimeUnit::Second => Self::Seconds(count),
            TimeUnit::Minute => Self::Seconds(count.saturating_mul(60)),
            TimeUnit::Hour if count == 24 => Self::Day,
            TimeUnit::Hour => Self::Seconds(count.saturating_mul(3_600)),
            TimeUnit::Day => Self::Day,
            TimeUnit::Week => Self::Week,
            TimeUnit::Month => Self::Months(count),
        })
    }

    /// The window that `now` is in, in the local time of `zone`.
    #[must_use]
    pub fn window(self, zone: Zone, now: Timestamp) -> Window {
        let at = i64::try_from(now.nanos() / 1_000_000_000).unwrap_or(i64::MAX);
        Window {
            start: timestamp(self.begin(zone, at)),
            end: timestamp(self.end(zone, at)),
        }
    }

    /// The last second at or before `at` in which a window begins.
    fn begin(self, zone: Zone, at: i64) -> i64 {
        let mut at = at;
        for _ in 0..OFFSET_SPANS_MAX {
            let span = zone.offset_span(at);
            let shown = self.multiple_at(local(span, at));
            if shown >= self.first_new(zone, span) {
                return shown.saturating_sub(span.offset);
            }
            if self.begins_with(zone, span) {
                return span.begin;
            }
            at = span.begin.saturating_sub(1);
        }
        at
    }

    /// The first second after `at` in which a window begins.
    fn end(self, zone: Zone, at: i64) -> i64 {
        let mut span = zone.offset_span(at);
        let mut shown = local(span, at);
        for _ in 0..OFFSET_SPANS_MAX {
            let new = self.first_new(zone, span);
            let mut next = self.multiple_after(shown);
            if next < new {
                // The first multiple that was not shown before the clock was put back.
                next = self.multiple_after(new.saturating_sub(1));
            }
            let next = next.saturating_sub(span.offset);
            if next < span.end {
                return next;
            }
            span = zone.offset_span(span.end);
            if self.begins_with(zone, span) {
                return span.begin;
            }
            shown = local(span, span.begin);
        }
        span.end
    }

    /// The local time from which on a stretch shows times that were not shown before.
    fn first_new(self, zone: Zone, span: OffsetSpan) -> i64 {
        if span.begin == i64::MIN {
            return i64::MIN;
        }
        let shown = local(span, span.begin);
        let before = local(zone.offset_span(span.begin.saturating_sub(1)), span.begin);
        if before.saturating_sub(shown) < self.least_seconds() {
            before.max(shown)
        } else {
            shown
        }
    }

    /// Whether a window begins with the stretch: at a multiple that the clock shows then for the
    /// first time, or jumps over.
    fn begins_with(self, zone: Zone, span: OffsetSpan) -> bool {
        let shown = local(span, span.begin);
        let before = local(zone.offset_span(span.begin.saturating_sub(1)), span.begin);
        let multiple = self.multiple_at(shown);
        multiple >= before || (multiple == shown && multiple >= self.first_new(zone, span))
    }

    /// The last multiple of the period at or before a local time.
    fn multiple_at(self, local: i64) -> i64 {
        let floor = |length: i64| local.div_euclid(length.max(1)).saturating_mul(length);
        match self {
            Self::Seconds(seconds) => floor(i64::from(seconds)),
            Self::Day => floor(DAY),
            Self::Week => days_to_monday(local.div_euclid(DAY)).saturating_mul(DAY),
            Self::Months(count) => {
                let count = i64::from(count).max(1);
                let month = month_of(local.div_euclid(DAY));
                first_day(month.div_euclid(count).saturating_mul(count)).saturating_mul(DAY)
            }
        }
    }

    /// The first multiple of the period after a local time.
    fn multiple_after(self, local: i64) -> i64 {
        let multiple = self.multiple_at(local);
        match self {
            Self::Seconds(seconds) => multiple.saturating_add(i64::from(seconds)),
            Self::Day => multiple.saturating_add(DAY),
            Self::Week => multiple.saturating_add(DAY.saturating_mul(7)),
            Self::Months(count) => {
                let month = month_of(multiple.div_euclid(DAY));
                first_day(month.saturating_add(i64::from(count))).saturating_mul(DAY)
            }
        }
    }

    /// The shortest that a period can be.
    fn least_seconds(self) -> i64 {
        match self {
            Self::Seconds(seconds) => i64::from(seconds),
            Self::Day | Self::Week | Self::Months(_) => DAY,
        }
    }
}

impl fmt::Display for Period {
    /// In the shortest form that reads as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) if seconds.is_multiple_of(3_600) => {
                write!(f, "{}h", seconds / 3_600)
            }
            Self::Seconds(seconds) if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
            Self::Day => f.write_str("1d"),
            Self::Week => f.write_str("1w"),
            Self::Months(count) => write!(f, "{count}mo"),
        }
    }
}

fn local(span: OffsetSpan, at: i64) -> i64 {
    at.saturating_add(span.offset)
}

/// Times before the epoch or after the last timestamp are cut to it.
fn timestamp(seconds: i64) -> Timestamp {
    let nanos = i128::from(seconds)
        .saturating_mul(NANOS)
        .clamp(0, i128::from(u64::MAX));
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

/// The last Monday at or before a day; days are counted from 1970-01-01, a Thursday.
fn days_to_monday(day: i64) -> i64 {
    const MONDAY: i64 = 4;
    let weeks = day.saturating_sub(MONDAY).div_euclid(7);
    weeks.saturating_mul(7).saturating_add(MONDAY)
}

#[cfg(test)]
mod tests;
