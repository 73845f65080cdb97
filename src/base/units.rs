//! Quantities with a unit, written as `60/min` or `20%`.

mod size;

use std::borrow::Cow;
use std::fmt;

use super::invariant::invariant;
use super::time::Span;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use size::SIZE_UNITS;
pub use size::{Percent, SIZE_MAX, parse_size};

/// The unit of time that a [`Refill`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefillPer {
    /// `s`
    Second,
    /// `min`, or `m`.
    Minute,
    /// `h`
    Hour,
    /// `d`: always 24 hours, also on a day when clocks are changed.
    Day,
    /// `w`: seven such days.
    Week,
}

/// A steady rate such as `60/min` or `1/202min`: at least one, and at most one each microsecond.
///
/// Faster rates are refused because the time one unit takes is kept in whole nanoseconds, rounded
/// up: at a microsecond a unit that costs the caller at most a thousandth of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    count: u32,
    /// The number of units of time, at least 1.
    every: u32,
    per: RefillPer,
}

/// Most units that a refill may count.
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
    /// A rate whose time is longer than 366 days.
    RateTooSlow,
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
    /// The text is not a timeout of a call to the engine.
    NotATimeout,
    /// The text has not the form of a size.
    NotASize,
    /// Nothing, or more than [`SIZE_MAX`].
    SizeOutOfRange,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotARate => {
                "is not a rate: a whole number and a unit, one of /s, /min, /h, /d, /w \
                 (60/min), or a number of such units (1/15min)"
            }
            Self::RateTooSlow => "is too slow: its time is at most 366d",
            Self::ZeroRate => "never refills: a rate is at least 1",
            Self::RateTooFast => "is too fast: at most 1000000/s",
            Self::NotAPercentage => "is not a percentage from 0% to 100%",
            Self::NotASpan => {
                "is not a length of time: a whole number and a unit, one of s, min, \
                               h, d, w (10s)"
            }
            Self::SpanOutOfRange => "is not in 1s to 366d",
            Self::NotATimeout => "is not a timeout: a whole number and ms, or 1s; 5ms to 1s",
            Self::NoFixedLength => "has no fixed length: a month belongs to a `calendar`",
            Self::NotASize => {
                "is not a size: a whole number and a unit, one of B, KB, MB, GB (powers of ten), \
                 KiB, MiB, GiB (300KB)"
            }
            Self::SizeOutOfRange => "is not in 1B to 1000GB",
            Self::NotAPeriod => {
                "is not a span of the calendar: seconds or minutes that divide 60, hours that \
                 divide 24, 1d, 1w, or months that divide 12 (1mo)"
            }
        })
    }
}

impl RefillPer {
    /// The names of all of them; of two for one, the first is the one that is written.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("s", Self::Second),
        ("min", Self::Minute),
        ("m", Self::Minute),
        ("h", Self::Hour),
        ("d", Self::Day),
        ("w", Self::Week),
    ];

    const fn span(self) -> Span {
        match self {
            Self::Second => Span::from_seconds(1),
            Self::Minute => Span::from_seconds(60),
            Self::Hour => Span::from_seconds(3_600),
            Self::Day => Span::from_seconds(86_400),
            Self::Week => Span::from_seconds(604_800),
        }
    }
}

impl Refill {
    /// Reads `COUNT/UNIT` or `COUNT/NUMBER UNIT`, with `s`, `min` (or `m`), `h`, `d` or `w` for the
    /// unit.
    ///
    /// # Errors
    /// [`UnitError`] with the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let (count, time) = text.split_once('/').ok_or(UnitError::NotARate)?;
        let count = ungrouped(count).ok_or(UnitError::NotARate)?;
        let (every, unit) = split_number(time);
        let every = match every {
            "" => Cow::Borrowed("1"),
            every => ungrouped(every).ok_or(UnitError::NotARate)?,
        };
        let per = RefillPer::ALL
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, per)| *per)
            .ok_or(UnitError::NotARate)?;
        let count = count
            .parse()
            .ok()
            .filter(|count| *count < COUNT_MAX)
            .ok_or(UnitError::RateTooFast)?;
        let every: u32 = every.parse().map_err(|_| UnitError::RateTooSlow)?;
        if count == 0 {
            return Err(UnitError::ZeroRate);
        }
        if every == 0 {
            return Err(UnitError::RateTooFast);
        }
        let refill = Self { count, every, per };
        if refill.time() > SPAN_MAX {
            Err(UnitError::RateTooSlow)
        } else if refill.interval() < INTERVAL_MIN {
            Err(UnitError::RateTooFast)
        } else {
            Ok(refill)
        }
    }

    /// The time in which the count is regained.
    const fn time(self) -> Span {
        self.per.span().times(self.every as u64)
    }

    /// The time in which one unit is regained, rounded up to a nanosecond.
    #[must_use]
    pub const fn interval(self) -> Span {
        Span::from_nanos(self.time().nanos().div_ceil(if self.count == 0 {
            1
        } else {
            self.count as u64
        }))
    }

    /// One of `shares` equal shares of this rate. If a single unit takes longer than 366 days then,
    /// it is the least whole share.
    #[must_use]
    pub fn share(self, shares: u32) -> Self {
        let slower = Self {
            every: self.every.saturating_mul(shares.max(1)),
            ..self
        };
        if u64::from(slower.every) <= EVERY_MASK && slower.time() <= SPAN_MAX {
            return slower;
        }
        let count = self.count.checked_div(shares).unwrap_or(self.count);
        Self {
            count: count.max(1),
            ..self
        }
    }

    /// The rate as eight bytes that [`Refill::decode`] reads back exactly: the count, the number of
    /// units of time, and from the highest three bits the unit.
    #[must_use]
    pub const fn encode(self) -> u64 {
        ((self.per as u64) << 61) | ((self.every as u64) << 32) | self.count as u64
    }

    /// The rate that [`Refill::encode`] wrote; `None` for a code it never writes.
    #[must_use]
    pub fn decode(code: u64) -> Option<Self> {
        let per = match code >> 61 {
            0 => RefillPer::Second,
            1 => RefillPer::Minute,
            2 => RefillPer::Hour,
            3 => RefillPer::Day,
            4 => RefillPer::Week,
            _ => return None,
        };
        let every = u32::try_from(code >> 32 & EVERY_MASK).ok()?;
        let count = u32::try_from(code & u64::from(u32::MAX)).ok()?;
        let refill = Self { count, every, per };
        (count > 0 && every > 0 && refill.time() <= SPAN_MAX).then_some(refill)
    }
}

/// The bits of a code, from bit 32 on, that have the number of units of time.
const EVERY_MASK: u64 = (1 << 29) - 1;

impl fmt::Display for Refill {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = RefillPer::ALL.iter().find(|(_, per)| *per == self.per);
        let unit =
            invariant(unit, "all units of a refill have a name").map_or("", |(name, _)| name);
        if self.every == 1 {
            write!(f, "{}/{unit}", self.count)
        } else {
            write!(f, "{}/{}{unit}", self.count, self.every)
        }
    }
}

/// The digits and underscores at the beginning of a text, and the rest.
fn split_number(text: &str) -> (&str, &str) {
    let length = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'_')
        .count();
    text.split_at_checked(length).unwrap_or(("", text))
}

/// The digits of a number in which an underscore may be between two of them: `250_000`. `None` for
/// anything else.
#[must_use]
pub fn ungrouped(text: &str) -> Option<Cow<'_, str>> {
    let is_number = text
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    is_number.then(|| {
        if text.contains('_') {
            Cow::Owned(text.replace('_', ""))
        } else {
            Cow::Borrowed(text)
        }
    })
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
    let (digits, unit) = split_number(text);
    let unit = TIME_UNITS.iter().find(|(name, _)| *name == unit)?.1;
    Some((ungrouped(digits)?.parse().ok()?, unit))
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

/// Reads the timeout of a call to the engine: `50ms`, up to `1s`.
///
/// # Errors
/// [`UnitError::NotATimeout`] for anything else.
pub fn parse_timeout(text: &str) -> Result<Span, UnitError> {
    if text == "1s" {
        return Ok(Span::from_seconds(1));
    }
    let digits = text
        .strip_suffix("ms")
        .filter(|text| !text.starts_with(['+', '0']));
    let millis: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    millis
        .filter(|millis| (5..=1_000).contains(millis))
        .map(|millis| Span::from_micros(millis.saturating_mul(1_000)))
        .ok_or(UnitError::NotATimeout)
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

#[cfg(test)]
mod tests;
