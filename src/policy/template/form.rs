//! The forms of a time in a template. Every form rounds up, so that a client that waits for the
//! stated time never comes early.

use crate::base::date::Date;
use crate::base::time::{Span, Timestamp};

/// The form of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// A length of time.
    Span(SpanForm),
    /// The instant at which that has passed.
    Instant(InstantForm),
}

/// The form of a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanForm {
    /// Whole seconds.
    Seconds,
    /// Whole milliseconds.
    Millis,
    /// Seconds with three decimals: `64.571`.
    Decimal,
    /// Go's form: `1h0m0s`, `1.5s`, `250ms`.
    Duration,
}

/// The form of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstantForm {
    /// The Unix time in whole seconds.
    Unix,
    /// The Unix time in whole milliseconds.
    UnixMillis,
    /// The Unix time in seconds with three decimals.
    UnixDecimal,
    /// `2026-11-29T18:40:12Z`
    Iso8601,
    /// `Sun, 29 Nov 2026 18:40:12 GMT` (RFC 9110 §5.6.7)
    HttpDate,
    /// `2026-11-29 18:40:12 UTC`
    Utc,
}

/// The words for the forms of a length of time.
const SPANS: [(&str, SpanForm); 4] = [
    ("seconds", SpanForm::Seconds),
    ("ms", SpanForm::Millis),
    ("decimal", SpanForm::Decimal),
    ("duration", SpanForm::Duration),
];

/// The words for the forms of an instant.
const INSTANTS: [(&str, InstantForm); 6] = [
    ("unix", InstantForm::Unix),
    ("unix-ms", InstantForm::UnixMillis),
    ("unix-decimal", InstantForm::UnixDecimal),
    ("iso8601", InstantForm::Iso8601),
    ("http-date", InstantForm::HttpDate),
    ("utc", InstantForm::Utc),
];

impl SpanForm {
    /// The words for all forms.
    pub const WORDS: [&str; 4] = {
        let [(a, _), (b, _), (c, _), (d, _)] = SPANS;
        [a, b, c, d]
    };

    /// The form with this name.
    pub(super) fn find(word: &str) -> Option<Self> {
        let found = SPANS.iter().find(|(known, _)| *known == word);
        found.map(|(_, form)| *form)
    }

    /// Whether it is a number.
    pub(super) const fn is_number(self) -> bool {
        !matches!(self, Self::Duration)
    }

    /// Appends `span`, rounded up.
    pub fn write(self, out: &mut String, span: Span) {
        match self {
            Self::Seconds => digits(out, span.seconds_up()),
            Self::Millis => digits(out, millis_up(span.nanos())),
            Self::Decimal => decimal(out, millis_up(span.nanos())),
            Self::Duration => duration(out, millis_up(span.nanos())),
        }
    }
}

impl InstantForm {
    /// The words for all forms.
    pub const WORDS: [&str; 6] = {
        let [(a, _), (b, _), (c, _), (d, _), (e, _), (f, _)] = INSTANTS;
        [a, b, c, d, e, f]
    };

    /// The form with this name.
    pub(super) fn find(word: &str) -> Option<Self> {
        let found = INSTANTS.iter().find(|(known, _)| *known == word);
        found.map(|(_, form)| *form)
    }

    /// Whether it is a number.
    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Unix | Self::UnixMillis | Self::UnixDecimal)
    }

    /// Appends `at`, rounded up.
    pub fn write(self, out: &mut String, at: Timestamp) {
        let seconds = at.unix_seconds_up();
        match self {
            Self::Unix => digits(out, seconds),
            Self::UnixMillis => digits(out, millis_up(at.nanos())),
            Self::UnixDecimal => decimal(out, millis_up(at.nanos())),
            Self::Iso8601 => calendar(out, seconds, ["T", "Z"]),
            Self::Utc => calendar(out, seconds, [" ", " UTC"]),
            Self::HttpDate => http_date(out, seconds),
        }
    }
}

impl TimeForm {
    /// The words for all forms.
    pub const WORDS: [&str; 10] = {
        let ([a, b, c, d], [e, f, g, h, i, j]) = (SpanForm::WORDS, InstantForm::WORDS);
        [a, b, c, d, e, f, g, h, i, j]
    };

    /// The form with this name.
    pub(super) fn find(word: &str) -> Option<Self> {
        let span = SpanForm::find(word).map(Self::Span);
        span.or_else(|| InstantForm::find(word).map(Self::Instant))
    }

    /// Whether it is a number.
    pub(super) const fn is_number(self) -> bool {
        match self {
            Self::Span(form) => form.is_number(),
            Self::Instant(form) => form.is_number(),
        }
    }

    /// Appends `span`, or the instant at which it has passed since `now`, rounded up.
    pub fn write(self, out: &mut String, span: Span, now: Timestamp) {
        match self {
            Self::Span(form) => form.write(out, span),
            Self::Instant(form) => form.write(out, now.after(span)),
        }
    }
}

const fn millis_up(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000)
}

fn digits(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// A number of `width` digits, which has zeros before it.
fn padded(out: &mut String, number: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}

fn decimal(out: &mut String, millis: u64) {
    digits(out, millis / 1_000);
    out.push('.');
    padded(out, millis % 1_000, 3);
}

/// As Go's `Duration.String`: the largest unit that is not zero comes first, and below a second
/// that is the millisecond.
fn duration(out: &mut String, millis: u64) {
    if millis > 0 && millis < 1_000 {
        digits(out, millis);
        out.push_str("ms");
        return;
    }
    let (seconds, fraction) = (millis / 1_000, millis % 1_000);
    if seconds >= 3_600 {
        digits(out, seconds / 3_600);
        out.push('h');
    }
    if seconds >= 60 {
        digits(out, seconds / 60 % 60);
        out.push('m');
    }
    digits(out, seconds % 60);
    if fraction > 0 {
        out.push('.');
        padded(out, fraction, 3);
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push('s');
}

const SECONDS_A_DAY: u64 = 86_400;

/// The day, counted from 1970-01-01.
fn day(seconds: u64) -> i64 {
    i64::try_from(seconds / SECONDS_A_DAY).unwrap_or(i64::MAX)
}

/// `18:40:12`
fn clock(out: &mut String, seconds: u64) {
    let second = seconds % SECONDS_A_DAY;
    padded(out, second / 3_600, 2);
    out.push(':');
    padded(out, second / 60 % 60, 2);
    out.push(':');
    padded(out, second % 60, 2);
}

/// `2026-11-29`, and after `between` the time of the day.
fn calendar(out: &mut String, seconds: u64, [between, end]: [&str; 2]) {
    let Date { year, month, day } = Date::of(day(seconds));
    padded(out, year.unsigned_abs(), 4);
    out.push('-');
    padded(out, month.saturating_add(1).unsigned_abs(), 2);
    out.push('-');
    padded(out, day.unsigned_abs(), 2);
    out.push_str(between);
    clock(out, seconds);
    out.push_str(end);
}

/// From the day on which the epoch began.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn http_date(out: &mut String, seconds: u64) {
    let name = |names: &[&'static str], index: i64| {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        names.get(index).copied().unwrap_or_default()
    };
    let number = day(seconds);
    let Date { year, month, day } = Date::of(number);
    out.push_str(name(&DAYS, number.rem_euclid(7)));
    out.push_str(", ");
    padded(out, day.unsigned_abs(), 2);
    out.push(' ');
    out.push_str(name(&MONTHS, month));
    out.push(' ');
    padded(out, year.unsigned_abs(), 4);
    out.push(' ');
    clock(out, seconds);
    out.push_str(" GMT");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "test code")]

    use chrono::{DateTime, Datelike as _};
    use proptest::prelude::*;

    use super::*;

    fn span(form: SpanForm, nanos: u64) -> String {
        let mut out = String::new();
        form.write(&mut out, Span::from_nanos(nanos));
        out
    }

    fn instant(form: InstantForm, nanos: u64) -> String {
        let mut out = String::new();
        form.write(&mut out, Timestamp::from_nanos(nanos));
        out
    }

    #[test]
    fn every_form_is_written_as_it_is_documented() {
        let nanos = 64_570_000_001;
        for (form, expected) in SPANS.iter().zip(["65", "64571", "64.571", "1m4.571s"]) {
            assert_eq!(span(form.1, nanos), expected, "{}", form.0);
        }
        let nanos = 1_764_441_611_570_000_001;
        let expected = [
            "1764441612",
            "1764441611571",
            "1764441611.571",
            "2025-11-29T18:40:12Z",
            "Sat, 29 Nov 2025 18:40:12 GMT",
            "2025-11-29 18:40:12 UTC",
        ];
        for (form, expected) in INSTANTS.iter().zip(expected) {
            assert_eq!(instant(form.1, nanos), expected, "{}", form.0);
        }
        let mut out = String::new();
        let now = Timestamp::from_nanos(nanos);
        let form = TimeForm::find("unix").unwrap();
        form.write(&mut out, Span::from_seconds(1), now);
        assert_eq!(out, "1764441613");
    }

    #[test]
    fn a_duration_is_that_of_go() {
        for (millis, expected) in [
            (0, "0s"),
            (1, "1ms"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (3_661_010, "1h1m1.01s"),
            (90_061_000, "25h1m1s"),
        ] {
            assert_eq!(span(SpanForm::Duration, millis * 1_000_000), expected);
        }
        // A fraction of a millisecond is rounded up.
        assert_eq!(span(SpanForm::Duration, 1), "1ms");
        assert_eq!(span(SpanForm::Duration, 999_999_999), "1s");
    }

    /// The milliseconds of a duration, read unit by unit.
    fn spoken(text: &str) -> u64 {
        if let Some(millis) = text.strip_suffix("ms") {
            return millis.parse().unwrap();
        }
        let mut rest = text.strip_suffix('s').unwrap();
        let mut millis = 0;
        for (unit, worth) in [('h', 3_600_000), ('m', 60_000)] {
            if let Some((count, after)) = rest.split_once(unit) {
                millis += count.parse::<u64>().unwrap() * worth;
                rest = after;
            }
        }
        let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
        let fraction: u64 = format!("{fraction:0<3}").parse().unwrap();
        millis + seconds.parse::<u64>().unwrap() * 1_000 + fraction
    }

    /// The number, or the number with three decimals, in the smallest unit that it shows.
    fn number(text: &str) -> u64 {
        match text.split_once('.') {
            Some((whole, fraction)) => {
                assert_eq!(fraction.len(), 3, "{text}");
                whole.parse::<u64>().unwrap() * 1_000 + fraction.parse::<u64>().unwrap()
            }
            None => text.parse().unwrap(),
        }
    }

    fn up(nanos: u64, unit: u128) -> u128 {
        u128::from(nanos).div_ceil(unit)
    }

    proptest! {
        #[test]
        fn a_length_of_time_is_rounded_up_in_every_form(nanos: u64, shift in 0_u32..64) {
            let nanos = nanos >> shift;
            let (seconds, millis) = (up(nanos, 1_000_000_000), up(nanos, 1_000_000));
            prop_assert_eq!(u128::from(number(&span(SpanForm::Seconds, nanos))), seconds);
            prop_assert_eq!(u128::from(number(&span(SpanForm::Millis, nanos))), millis);
            prop_assert_eq!(u128::from(number(&span(SpanForm::Decimal, nanos))), millis);
            prop_assert_eq!(u128::from(spoken(&span(SpanForm::Duration, nanos))), millis);
        }

        #[test]
        fn an_instant_is_that_of_another_library(nanos: u64) {
            let seconds = i64::try_from(up(nanos, 1_000_000_000)).unwrap();
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            let (date, clock) = (time.date_naive(), time.time());
            let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
                "Nov", "Dec"][date.month0() as usize];
            let (weekday, day, year) = (date.weekday(), date.day(), date.year());
            for (form, expected) in [
                (InstantForm::Unix, seconds.to_string()),
                (InstantForm::Iso8601, format!("{date}T{clock}Z")),
                (InstantForm::HttpDate, format!("{weekday}, {day:02} {month} {year} {clock} GMT")),
                (InstantForm::Utc, format!("{date} {clock} UTC")),
            ] {
                prop_assert_eq!(instant(form, nanos), expected);
            }
            let millis = up(nanos, 1_000_000);
            prop_assert_eq!(u128::from(number(&instant(InstantForm::UnixMillis, nanos))), millis);
            prop_assert_eq!(u128::from(number(&instant(InstantForm::UnixDecimal, nanos))), millis);
        }
    }
}
