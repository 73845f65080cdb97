//! Quantities that carry their unit: what an operator writes as `60/min` or `20%`.

use std::fmt;

use super::invariant::invariant;
use super::time::Span;

/// The unit of time that a [`Refill`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefillPer {
    /// `s`
    Second,
    /// `min`, or `m`.
    Minute,
    /// `h`
    Hour,
    /// `d`: 24 hours, whatever the calendar says.
    Day,
}

/// A steady rate such as `60/min`: at least one, and at most one each microsecond.
///
/// Faster rates are refused because the time one unit takes is kept in whole nanoseconds, rounded
/// up: at a microsecond a unit that costs the caller at most a thousandth of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    count: u32,
    per: RefillPer,
}

/// Most units that a refill may count in its unit of time; two bits of its code name the unit.
const COUNT_MAX: u32 = 1 << 30;
const INTERVAL_MIN: Span = Span::from_nanos(1_000);

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// The text has not the form of a rate.
    NotARate,
    /// A rate of nothing: the bucket would never fill again.
    ZeroRate,
    /// More than a million a second.
    RateTooFast,
    /// The text has not the form of a percentage.
    NotAPercentage,
    /// The text has not the form of a length of time.
    NotASpan,
    /// Less than a second, or more than 366 days.
    SpanOutOfRange,
    /// The length of a month, if a fixed one is needed.
    NoFixedLength,
    /// No span that the calendar consists of.
    NotAPeriod,
    /// The text has not the form of a size.
    NotASize,
    /// Nothing, or more than [`SIZE_MAX`].
    SizeOutOfRange,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotARate => {
                "is not a rate: a whole number and a unit, one of /s, /min, /h, /d \
                               (60/min)"
            }
            Self::ZeroRate => "never refills: a rate is at least 1",
            Self::RateTooFast => "is too fast: at most 1000000/s",
            Self::NotAPercentage => "is not a percentage from 0% to 100%",
            Self::NotASpan => {
                "is not a length of time: a whole number and a unit, one of s, min, \
                               h, d, w (10s)"
            }
            Self::SpanOutOfRange => "is not in 1s to 366d",
            Self::NoFixedLength => "has no fixed length: a month belongs to a `calendar`",
            Self::NotASize => {
                "is not a size: a whole number and a unit, one of B, KB, MB, GB (powers of ten), \
                 KiB, MiB, GiB (300KB)"
            }
            Self::SizeOutOfRange => "is not in 1B to 1000GB",
            Self::NotAPeriod => {
                "is no span of the calendar: seconds or minutes that divide 60, hours that divide \
                 24, 1d, 1w, or months that divide 12 (1mo)"
            }
        })
    }
}

impl RefillPer {
    /// The names of all of them; of two for one, the first is the one that is written.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("s", Self::Second),
        ("min", Self::Minute),
        ("m", Self::Minute),
        ("h", Self::Hour),
        ("d", Self::Day),
    ];

    const fn span(self) -> Span {
        match self {
            Self::Second => Span::from_seconds(1),
            Self::Minute => Span::from_seconds(60),
            Self::Hour => Span::from_seconds(3_600),
            Self::Day => Span::from_seconds(86_400),
        }
    }
}

impl Refill {
    /// Reads `COUNT/UNIT`, with `s`, `min` (or `m`), `h` or `d` for the unit.
    ///
    /// # Errors
    /// [`UnitError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let (count, unit) = text.split_once('/').ok_or(UnitError::NotARate)?;
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let per = RefillPer::ALL
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, per)| *per);
        let (true, Some(per)) = (digits, per) else {
            return Err(UnitError::NotARate);
        };
        let count = count
            .parse()
            .ok()
            .filter(|count| *count < COUNT_MAX)
            .ok_or(UnitError::RateTooFast)?;
        if count == 0 {
            return Err(UnitError::ZeroRate);
        }
        let refill = Self { count, per };
        if refill.interval() < INTERVAL_MIN {
            Err(UnitError::RateTooFast)
        } else {
            Ok(refill)
        }
    }

    /// The time in which one unit is regained, rounded up to a nanosecond.
    #[must_use]
    pub const fn interval(self) -> Span {
        Span::from_nanos(self.per.span().nanos().div_ceil(if self.count == 0 {
            1
        } else {
            self.count as u64
        }))
    }

    /// The rate as four bytes that [`Refill::decode`] reads back exactly.
    #[must_use]
    pub const fn encode(self) -> u32 {
        (self.count << 2) | self.per as u32
    }

    /// The rate that [`Refill::encode`] wrote; `None` for a code it never writes.
    #[must_use]
    pub fn decode(code: u32) -> Option<Self> {
        let per = match code & 3 {
            0 => RefillPer::Second,
            1 => RefillPer::Minute,
            2 => RefillPer::Hour,
            _ => RefillPer::Day,
        };
        let count = code >> 2;
        (count > 0).then_some(Self { count, per })
    }
}

impl fmt::Display for Refill {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = RefillPer::ALL.iter().find(|(_, per)| *per == self.per);
        let unit =
            invariant(unit, "all units of a refill have a name").map_or("", |(name, _)| name);
        write!(f, "{}/{unit}", self.count)
    }
}

/// The unit of a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// `s`
    Second,
    /// `m`, or `min`.
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`
    Week,
    /// `mo`: of the calendar, and so of no fixed length.
    Month,
}

const TIME_UNITS: [(&str, TimeUnit); 7] = [
    ("s", TimeUnit::Second),
    ("m", TimeUnit::Minute),
    ("min", TimeUnit::Minute),
    ("h", TimeUnit::Hour),
    ("d", TimeUnit::Day),
    ("w", TimeUnit::Week),
    ("mo", TimeUnit::Month),
];

/// The longest that [`parse_span`] reads: 366 days.
pub const SPAN_MAX: Span = Span::from_seconds(31_622_400);

/// A whole number and the unit of time behind it; `None` for anything else.
#[must_use]
pub fn count_and_unit(text: &str) -> Option<(u64, TimeUnit)> {
    let (digits, unit) =
        text.split_at_checked(text.bytes().take_while(u8::is_ascii_digit).count())?;
    let unit = TIME_UNITS.iter().find(|(name, _)| *name == unit)?.1;
    Some((digits.parse().ok()?, unit))
}

/// Reads a length of time: `10s`, `5m`, `1h`, `1d`, `1w`. A day has 24 hours here.
///
/// # Errors
/// [`UnitError`] with the rule that the text breaks.
pub fn parse_span(text: &str) -> Result<Span, UnitError> {
    let (count, unit) = count_and_unit(text).ok_or(UnitError::NotASpan)?;
    let seconds = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Minute => 60,
        TimeUnit::Hour => 3_600,
        TimeUnit::Day => 86_400,
        TimeUnit::Week => 604_800,
        TimeUnit::Month => return Err(UnitError::NoFixedLength),
    };
    let span = Span::from_seconds(count.saturating_mul(seconds));
    if (Span::from_seconds(1)..=SPAN_MAX).contains(&span) {
        Ok(span)
    } else {
        Err(UnitError::SpanOutOfRange)
    }
}

/// A length of whole seconds as a policy has it: `10s`, `5m`.
#[must_use]
pub fn write_span(span: Span) -> String {
    let units = [
        ("w", 604_800),
        ("d", 86_400),
        ("h", 3_600),
        ("m", 60),
        ("s", 1),
    ];
    let counts = units.map(|(name, seconds)| {
        let one = Span::from_seconds(seconds);
        (name, one, span.whole(one))
    });
    let whole = counts
        .into_iter()
        .find(|(_, one, count)| *count > 0 && one.times(*count) == span);
    whole.map_or_else(
        || format!("{}s", span.seconds_up()),
        |(name, _, count)| format!("{count}{name}"),
    )
}

/// The units of a size, in bytes.
pub(crate) const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The largest size that [`parse_size`] reads, in bytes.
pub const SIZE_MAX: u64 = 1_000_000_000_000;

/// Reads a size, in bytes: `300KB` is 300,000, `100MiB` is 104,857,600.
///
/// # Errors
/// [`UnitError`] with the rule that the text breaks.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at_checked(digits).ok_or(UnitError::NotASize)?;
    let unit = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, bytes)| *bytes);
    let (false, Some(unit)) = (digits.is_empty(), unit) else {
        return Err(UnitError::NotASize);
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit));
    bytes
        .filter(|bytes| (1..=SIZE_MAX).contains(bytes))
        .ok_or(UnitError::SizeOutOfRange)
}

/// A share of 0 to 100 in the hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads a whole number with its sign: `20%`.
    ///
    /// # Errors
    /// [`UnitError::NotAPercentage`] for anything else, and above `100%`.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        text.strip_suffix('%')
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|percent| *percent <= 100)
            .map(Self)
            .ok_or(UnitError::NotAPercentage)
    }

    /// This share of `span`.
    #[must_use]
    pub const fn of(self, span: Span) -> Span {
        Span::from_nanos(span.nanos() / 100).times(self.0 as u64)
    }
}

#[cfg(test)]
mod tests;
