//! Instants and lengths of time, in whole nanoseconds; every operation saturates.
//!
//! Time only enters as an argument, or through the host's `Clock` if it must be read after a
//! record.

/// An instant: nanoseconds since the Unix epoch, up to the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

/// A length of time in nanoseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// An instant of the host's steady clock, which never steps and is the same for all workers of one
/// proxy: nanoseconds since an instant that differs from machine to machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SteadyTime(u64);

const NANOS_PER_SECOND: u64 = 1_000_000_000;

const NANOS_PER_MICRO: u64 = 1_000;

impl Timestamp {
    /// The instant `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The instant `micros` microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(NANOS_PER_MICRO))
    }

    /// Whole microseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0 / NANOS_PER_MICRO
    }

    /// The Unix second of this instant.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// The Unix second at or after this instant: a client that waits for it is never early.
    #[must_use]
    pub const fn unix_seconds_up(self) -> u64 {
        self.0.div_ceil(NANOS_PER_SECOND)
    }
}

impl SteadyTime {
    /// The instant from which the clock counts.
    pub const ZERO: Self = Self(0);

    /// The instant `nanos` nanoseconds after that from which the clock counts.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds that the clock shows.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The same in whole microseconds.
    #[must_use]
    pub const fn micros(self) -> u64 {
        Span(self.0).micros()
    }
}

/// The methods of the instants of every clock.
macro_rules! impl_instant {
    ($($instant:ident),+) => {$(
        impl $instant {
            /// How long after `earlier` this is; zero if it is not after it.
            #[must_use]
            pub const fn since(self, earlier: Self) -> Span {
                Span(self.0.saturating_sub(earlier.0))
            }

            /// This instant moved into the future.
            #[must_use]
            pub const fn after(self, span: Span) -> Self {
                Self(self.0.saturating_add(span.0))
            }

            /// This instant moved into the past.
            #[must_use]
            pub const fn before(self, span: Span) -> Self {
                Self(self.0.saturating_sub(span.0))
            }
        }
    )+};
}

impl_instant!(Timestamp, SteadyTime);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A length of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A length of `micros` microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(NANOS_PER_MICRO))
    }

    /// Whole microseconds, rounded up.
    #[must_use]
    pub const fn micros_up(self) -> u64 {
        self.0.div_ceil(NANOS_PER_MICRO)
    }

    /// A length of `seconds` seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// This length in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This length in whole microseconds.
    #[must_use]
    pub const fn micros(self) -> u64 {
        match self.0.checked_div(1_000) {
            Some(micros) => micros,
            None => 0,
        }
    }

    /// Whole seconds, rounded up: a client that waits for them is never early.
    #[must_use]
    pub const fn seconds_up(self) -> u64 {
        self.0.div_ceil(NANOS_PER_SECOND)
    }

    /// This length `count` times.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// Both lengths, one after the other.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// This minus `other`; zero if `other` is longer.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many whole `part`s fit into this; zero if `part` is zero.
    #[must_use]
    pub const fn whole(self, part: Self) -> u64 {
        match self.0.checked_div(part.0) {
            Some(count) => count,
            None => 0,
        }
    }

    /// `self * to / from`, rounded up; `self` if `from` is zero.
    #[must_use]
    pub fn rescale(self, from: Self, to: Self) -> Self {
        let scaled = u128::from(self.0)
            .saturating_mul(u128::from(to.0))
            .checked_next_multiple_of(u128::from(from.0).max(1))
            .and_then(|product| product.checked_div(u128::from(from.0)));
        scaled.map_or(self, |nanos| Self(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}
