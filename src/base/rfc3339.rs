//! Dates and times of RFC 3339, as they are written.

use super::date::{Date, MONTHS_A_YEAR, first_day};
use super::time::{Span, Timestamp};

const SECONDS_A_DAY: i64 = 86_400;
const SECONDS_A_MINUTE: i64 = 60;
const MINUTES_AN_HOUR: i64 = 60;
/// The digits of a fraction that make a nanosecond.
const FRACTION_DIGITS: usize = 9;

/// The instant at which that ends which lasts `until` what is written: a time with its offset, or a
/// date, which includes all of its day in UTC. `None` if it is neither, or not from 1970 to 2554.
#[must_use]
pub fn until(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.as_bytes().split_first_chunk::<10>()?;
    let day = day(date)?;
    if rest.is_empty() {
        return timestamp(day.checked_add(1)?.checked_mul(SECONDS_A_DAY)?, 0);
    }
    let (time, rest) = rest.split_first_chunk::<9>()?;
    let (nanos, offset) = fraction(rest)?;
    let seconds = day
        .checked_mul(SECONDS_A_DAY)?
        .checked_add(seconds(time)?)?
        .checked_sub(offset_seconds(offset)?)?;
    timestamp(seconds, nanos)
}

fn timestamp(seconds: i64, nanos: u64) -> Option<Timestamp> {
    let nanos = u64::try_from(seconds)
        .ok()?
        .checked_mul(Span::from_seconds(1).nanos())?
        .checked_add(nanos)?;
    Some(Timestamp::from_nanos(nanos))
}

/// The day of a date, counted from 1970-01-01.
fn day(date: &[u8; 10]) -> Option<i64> {
    let [year @ .., b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let date = Date {
        year: number(year)?,
        month: number(&[*m1, *m2])?.checked_sub(1)?,
        day: number(&[*d1, *d2])?,
    };
    let month = date
        .year
        .checked_mul(MONTHS_A_YEAR)?
        .checked_add(date.month)?;
    let day = first_day(month).checked_add(date.day)?.checked_sub(1)?;
    // 31 February is a day of March.
    (Date::of(day) == date).then_some(day)
}

/// The seconds of `T18:30:00` since midnight.
fn seconds(time: &[u8; 9]) -> Option<i64> {
    let [b'T' | b't', h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return None;
    };
    let minutes = minutes(&[*h1, *h2], &[*m1, *m2])?;
    // A leap second is the first of the next minute here.
    let seconds = number(&[*s1, *s2]).filter(|seconds| *seconds <= SECONDS_A_MINUTE)?;
    minutes.checked_mul(SECONDS_A_MINUTE)?.checked_add(seconds)
}

fn minutes(hours: &[u8], minutes: &[u8]) -> Option<i64> {
    let hours = number(hours).filter(|hours| *hours < 24)?;
    let minutes = number(minutes).filter(|minutes| *minutes < MINUTES_AN_HOUR)?;
    hours.checked_mul(MINUTES_AN_HOUR)?.checked_add(minutes)
}

/// The nanoseconds of a fraction of a second, if there is one, and what follows it.
fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(count).filter(|_| count > 0)?;
    let padded = digits.iter().chain(std::iter::repeat(&b'0'));
    let nanos: Vec<u8> = padded.take(FRACTION_DIGITS).copied().collect();
    Some((u64::try_from(number(&nanos)?).ok()?, rest))
}

/// The seconds by which a local time is ahead of UTC.
fn offset_seconds(offset: &[u8]) -> Option<i64> {
    match offset {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = minutes(&[*h1, *h2], &[*m1, *m2])?;
            let seconds = minutes.checked_mul(SECONDS_A_MINUTE)?;
            if *sign == b'+' {
                Some(seconds)
            } else {
                seconds.checked_neg()
            }
        }
        _ => None,
    }
}

/// The number that consists of these digits.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_jiff(text: &str) -> Option<u64> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_nanosecond()).ok()
    }

    #[test]
    fn a_date_includes_its_day() {
        for (text, end) in [
            ("2027-01-31", "2027-02-01T00:00:00Z"),
            ("2028-02-29", "2028-03-01T00:00:00Z"),
            ("2027-12-31", "2028-01-01T00:00:00Z"),
            ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00Z"),
            ("2027-01-31t18:00:00.25z", "2027-01-31T18:00:00.25Z"),
            ("2027-01-31T18:00:00-05:30", "2027-01-31T23:30:00Z"),
            ("2027-01-31T00:30:00+01:00", "2027-01-30T23:30:00Z"),
        ] {
            assert_eq!(until(text).map(Timestamp::nanos), of_jiff(end), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_date_or_a_time() {
        for text in [
            "",
            "2027",
            "2027-01",
            "2027-1-31",
            "2027-02-29",
            "2027-13-01",
            "2027-00-01",
            "2027-01-00",
            "2027-01-31T",
            "2027-01-31 18:00:00Z",
            "2027-01-31T18:00Z",
            "2027-01-31T18:00:00",
            "2027-01-31T24:00:00Z",
            "2027-01-31T18:60:00Z",
            "2027-01-31T18:00:61Z",
            "2027-01-31T18:00:00.Z",
            "2027-01-31T18:00:00+0100",
            "2027-01-31T18:00:00ZZ",
            "1969-12-30",
            "1969-12-31T23:59:59Z",
            "2600-01-01",
            "+027-01-31",
            "２０２７-01-31",
        ] {
            assert_eq!(until(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_what_a_library_reads(
            nanos: u64, hours in -23_i8..=23, minutes in 0_u8..60, digits in 0_usize..=9
        ) {
            let seconds = i32::from(hours) * 3_600
                + i32::from(minutes) * 60 * i32::from(hours.signum());
            let offset = jiff::tz::Offset::from_seconds(seconds).unwrap();
            let at = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap();
            let text = format!("{:.digits$}", at.display_with_offset(offset));
            prop_assert_eq!(until(&text).map(Timestamp::nanos), of_jiff(&text), "{}", text);
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,40}") {
            let _ = until(&text);
        }
    }
}
