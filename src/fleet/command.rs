//! A take as the engine reads it: whole microseconds, and every number in its range.
//!
//! An engine may compute with numbers that are exact only below 2^53, as Redis' scripts do. So the
//! ranges are such that no sum of theirs gets there.

use super::take::{Numbers, ProxyId, Rest, Take};
use crate::base::time::Span;

/// More units than any quota, as many as any count may be.
pub const UNITS_MAX: u64 = 1_000_000_000_000_000;

/// The longest window, time to fill or lock: 366 days, in microseconds.
pub const SPAN_MAX: u64 = 31_622_400_000_000;

/// The last of the instants and sequence numbers that an engine distinguishes.
pub const EXACT_MAX: u64 = (1 << 53) - 1;

/// Most units that a bucket holds.
const BURST_MAX: u64 = (1 << 32) - 1;

/// How a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As a token bucket.
    Bucket,
    /// In a window that rolls along with the time.
    Rolling,
    /// In a window of the calendar.
    Calendar,
}

/// A take as the engine reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// How the counter counts.
    pub kind: Kind,
    /// Most units; below [`UNITS_MAX`], a bucket's below 2^32.
    pub quota: u64,
    /// The window, or the time in which an empty bucket fills: 1 to [`SPAN_MAX`]. A calendar
    /// window's end, as an instant.
    pub span: u64,
    /// A calendar window's first instant, otherwise zero.
    pub start: u64,
    /// As in the take.
    pub proxy: ProxyId,
    /// As in the take.
    pub seq: u64,
    /// As in the take.
    pub spent: u64,
    /// As in the take.
    pub extra: u64,
    /// As in the take.
    pub refund: u64,
    /// As in the take.
    pub since: u64,
    /// As in the take.
    pub rest: Rest,
    /// As in the take.
    pub need: u64,
    /// As in the take; not less than the need.
    pub want: u64,
    /// For how long to lock the counter.
    pub lock: u64,
}

impl Command {
    /// The take in the engine's units. A number beyond its range becomes the nearest one in it,
    /// and a `since` that is not an instant becomes one at which no refund is due.
    #[must_use]
    pub fn of(take: &Take) -> Self {
        let span = |span: Span| span.micros_up().clamp(1, SPAN_MAX);
        let units = |units: u64| units.min(UNITS_MAX);
        let quota = |quota: u64| quota.min(UNITS_MAX.saturating_sub(1));
        let (kind, quota, span, start) = match take.numbers {
            Numbers::Bucket { burst, fill } => (Kind::Bucket, burst.min(BURST_MAX), span(fill), 0),
            Numbers::Rolling {
                quota: most,
                window,
            } => (Kind::Rolling, quota(most), span(window), 0),
            Numbers::Calendar {
                quota: most,
                start,
                end,
            } => (
                Kind::Calendar,
                quota(most),
                end.micros().min(EXACT_MAX),
                start.micros().min(EXACT_MAX),
            ),
        };
        Self {
            kind,
            quota,
            span,
            start,
            proxy: take.proxy,
            seq: take.seq.min(EXACT_MAX),
            spent: units(take.spent),
            extra: units(take.extra),
            refund: units(take.refund),
            since: if take.since > EXACT_MAX {
                0
            } else {
                take.since
            },
            rest: take.rest,
            need: units(take.need),
            want: units(take.want.max(take.need)),
            lock: take.lock.micros_up().min(SPAN_MAX),
        }
    }

    /// How long the window is, or the bucket takes to fill.
    #[must_use]
    pub const fn window(&self) -> u64 {
        match self.kind {
            Kind::Bucket | Kind::Rolling => self.span,
            Kind::Calendar => self.span.saturating_sub(self.start),
        }
    }
}

impl Kind {
    /// The kind's letter on the wire.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Bucket => "b",
            Self::Rolling => "r",
            Self::Calendar => "c",
        }
    }
}

impl Rest {
    /// The letter on the wire.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Keep => "k",
            Self::Return => "r",
            Self::Forgotten => "f",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::fleet::take::CounterName;

    #[test]
    fn no_number_leaves_its_range() {
        let extreme = |numbers| Take {
            counter: CounterName([0xff; 16]),
            numbers,
            proxy: ProxyId(u64::MAX),
            seq: u64::MAX,
            spent: u64::MAX,
            extra: u64::MAX,
            refund: u64::MAX,
            since: u64::MAX,
            rest: Rest::Keep,
            need: u64::MAX,
            want: 0,
            lock: Span::from_nanos(u64::MAX),
        };
        let bucket = Command::of(&extreme(Numbers::Bucket {
            burst: u64::MAX,
            fill: Span::from_nanos(u64::MAX),
        }));
        assert_eq!((bucket.quota, bucket.span), (BURST_MAX, SPAN_MAX));
        assert_eq!((bucket.since, bucket.want), (0, UNITS_MAX));
        let rolling = Command::of(&extreme(Numbers::Rolling {
            quota: u64::MAX,
            window: Span::ZERO,
        }));
        assert_eq!((rolling.quota, rolling.span), (UNITS_MAX - 1, 1));
        let calendar = Command::of(&extreme(Numbers::Calendar {
            quota: 0,
            start: Timestamp::from_nanos(u64::MAX),
            end: Timestamp::from_nanos(u64::MAX),
        }));
        assert_eq!((calendar.start, calendar.span), (EXACT_MAX, EXACT_MAX));
        assert_eq!(calendar.window(), 0);
    }
}
