//! Windows by the table, and by a clock on the wall that is read each minute.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test code"
)]

mod properties;

use chrono::{DateTime, Datelike as _, Days, Duration, NaiveDate, NaiveDateTime};
use proptest::prelude::*;

use super::*;

const PERIODS: [&str; 13] = [
    "1s", "20s", "1m", "10m", "30m", "1h", "2h", "6h", "12h", "1d", "1w", "1mo", "3mo",
];

/// Zones of all kinds: ordinary, by half hours, by the moon, back to midnight, back over it,
/// without changes.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Rome",
    "America/New_York",
    "America/Los_Angeles",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "America/Santiago",
    "America/Nuuk",
];

fn seconds(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .timestamp()
}

fn window(period: &str, zone: &str, at: i64) -> (i64, i64) {
    let window = Period::parse(period)
        .unwrap()
        .window(Zone::find(zone).unwrap(), timestamp(at));
    let of = |it: Timestamp| i64::try_from(it.nanos() / 1_000_000_000).unwrap();
    (of(window.start), of(window.end))
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn windows_begin_and_end_by_the_local_clock() {
    for (period, zone, at, start, end) in [
        (
            "1h",
            "UTC",
            "2026-11-25T10:30:00Z",
            "2026-11-25T10:00:00Z",
            "2026-11-25T11:00:00Z",
        ),
        (
            "1h",
            "UTC",
            "2026-11-25T10:00:00Z",
            "2026-11-25T10:00:00Z",
            "2026-11-25T11:00:00Z",
        ),
        (
            "15m",
            "UTC",
            "2026-11-25T10:44:59Z",
            "2026-11-25T10:30:00Z",
            "2026-11-25T10:45:00Z",
        ),
        (
            "1h",
            "Asia/Kolkata",
            "2026-11-25T10:29:59Z",
            "2026-11-25T15:00:00+05:30",
            "2026-11-25T16:00:00+05:30",
        ),
        (
            "1d",
            "Europe/Rome",
            "2026-11-25T23:30:00Z",
            "2026-11-26T00:00:00+01:00",
            "2026-11-27T00:00:00+01:00",
        ),
        // Days of 23 and 25 hours.
        (
            "1d",
            "Europe/Rome",
            "2026-03-29T12:00:00Z",
            "2026-03-29T00:00:00+01:00",
            "2026-03-30T00:00:00+02:00",
        ),
        (
            "1d",
            "Europe/Rome",
            "2026-10-25T12:00:00Z",
            "2026-10-25T00:00:00+02:00",
            "2026-10-26T00:00:00+01:00",
        ),
        (
            "6h",
            "Europe/Rome",
            "2026-10-25T02:30:00Z",
            "2026-10-25T00:00:00+02:00",
            "2026-10-25T06:00:00+01:00",
        ),
        // The hour that occurs twice is two windows of an hour, and the one that is skipped is
        // none.
        (
            "1h",
            "Europe/Rome",
            "2026-10-25T00:30:00Z",
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:00:00+01:00",
        ),
        (
            "1h",
            "Europe/Rome",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ),
        (
            "1h",
            "Europe/Rome",
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:00:00+01:00",
            "2026-03-29T03:00:00+02:00",
        ),
        (
            "2h",
            "Europe/Rome",
            "2026-03-29T01:30:00Z",
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T04:00:00+02:00",
        ),
        // Midnight occurs twice in Havana, and its day is one window.
        (
            "1d",
            "America/Havana",
            "2024-11-03T04:30:00Z",
            "2024-11-03T00:00:00-04:00",
            "2024-11-04T00:00:00-05:00",
        ),
        (
            "1d",
            "America/Havana",
            "2024-11-03T05:30:00Z",
            "2024-11-03T00:00:00-04:00",
            "2024-11-04T00:00:00-05:00",
        ),
        (
            "1h",
            "America/Havana",
            "2024-11-03T05:30:00Z",
            "2024-11-03T00:00:00-05:00",
            "2024-11-03T01:00:00-05:00",
        ),
        // There is no midnight in Beirut when its clocks are put forward, and they go back from
        // midnight to eleven.
        (
            "1d",
            "Asia/Beirut",
            "2026-03-29T12:00:00Z",
            "2026-03-29T01:00:00+03:00",
            "2026-03-30T00:00:00+03:00",
        ),
        (
            "1d",
            "Asia/Beirut",
            "2026-10-24T20:30:00Z",
            "2026-10-24T00:00:00+03:00",
            "2026-10-25T00:00:00+02:00",
        ),
        (
            "1d",
            "Asia/Beirut",
            "2026-10-24T21:30:00Z",
            "2026-10-24T00:00:00+03:00",
            "2026-10-25T00:00:00+02:00",
        ),
        // Half an hour, in Lord Howe.
        (
            "1h",
            "Australia/Lord_Howe",
            "2026-04-04T15:15:00Z",
            "2026-04-05T01:00:00+11:00",
            "2026-04-05T02:00:00+10:30",
        ),
        (
            "10m",
            "Australia/Lord_Howe",
            "2026-04-04T15:05:00Z",
            "2026-04-05T01:30:00+10:30",
            "2026-04-05T01:40:00+10:30",
        ),
        (
            "1h",
            "Australia/Lord_Howe",
            "2026-10-03T15:45:00Z",
            "2026-10-04T02:30:00+11:00",
            "2026-10-04T03:00:00+11:00",
        ),
        // Ramadan in Casablanca: back at three on 23 February 2025.
        (
            "1d",
            "Africa/Casablanca",
            "2025-02-23T12:00:00Z",
            "2025-02-23T00:00:00+01:00",
            "2025-02-24T00:00:00+00:00",
        ),
        (
            "1mo",
            "Africa/Casablanca",
            "2025-02-25T12:00:00Z",
            "2025-02-01T00:00:00+01:00",
            "2025-03-01T00:00:00+00:00",
        ),
        // Months that end in the zone and not in UTC; leap years; quarters and years.
        (
            "1mo",
            "Pacific/Kiritimati",
            "2026-11-30T10:00:00Z",
            "2026-12-01T00:00:00+14:00",
            "2027-01-01T00:00:00+14:00",
        ),
        (
            "1mo",
            "America/Los_Angeles",
            "2026-12-01T07:59:59Z",
            "2026-11-01T00:00:00-07:00",
            "2026-12-01T00:00:00-08:00",
        ),
        (
            "1mo",
            "UTC",
            "2028-02-29T12:00:00Z",
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
        (
            "1mo",
            "UTC",
            "2100-02-28T12:00:00Z",
            "2100-02-01T00:00:00Z",
            "2100-03-01T00:00:00Z",
        ),
        (
            "3mo",
            "UTC",
            "2026-11-25T10:00:00Z",
            "2026-10-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
        (
            "12mo",
            "Europe/Rome",
            "2026-06-01T10:00:00Z",
            "2026-01-01T00:00:00+01:00",
            "2027-01-01T00:00:00+01:00",
        ),
        // Weeks begin on Monday, also across New Year.
        (
            "1w",
            "UTC",
            "2027-01-01T00:00:00Z",
            "2026-12-28T00:00:00Z",
            "2027-01-04T00:00:00Z",
        ),
        (
            "1w",
            "UTC",
            "2026-11-22T23:59:59Z",
            "2026-11-16T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        (
            "1w",
            "Europe/Rome",
            "2026-10-25T12:00:00Z",
            "2026-10-19T00:00:00+02:00",
            "2026-10-26T00:00:00+01:00",
        ),
    ] {
        let (start, end) = (seconds(start), seconds(end));
        assert_eq!(
            window(period, zone, seconds(at)),
            (start, end),
            "{period} in {zone} at {at}"
        );
    }
}

#[test]
fn a_period_reads_as_it_is_written() {
    for text in PERIODS
        .into_iter()
        .chain(["30s", "12m", "8h", "4mo", "12mo"])
    {
        assert_eq!(Period::parse(text).unwrap().to_string(), text);
    }
    for (text, same) in [("60s", "1m"), ("60m", "1h"), ("24h", "1d")] {
        assert_eq!(Period::parse(text).unwrap().to_string(), same);
    }
    for text in [
        "", "0s", "7s", "90s", "7m", "120m", "5h", "48h", "2d", "7d", "2w", "5mo", "24mo", "1y",
        "1month", "-1d", "1.5h",
    ] {
        assert_eq!(Period::parse(text), Err(UnitError::NotAPeriod), "{text}");
    }
}
