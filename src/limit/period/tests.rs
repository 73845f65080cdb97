//! Windows by the table, and by a clock on the wall that is read each minute.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test code"
)]

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
        // The hour that comes twice is two windows of an hour, and that which is left out none.
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
        // Midnight comes twice in Havana, and its day is one.
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

#[test]
fn every_day_until_2554_is_in_its_month_and_week() {
    let mut date = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    for day in 0..213_600 {
        let month = i64::from(date.year()) * 12 + i64::from(date.month0());
        assert_eq!(month_of(day), month, "{date}");
        assert_eq!(first_day(month), day - i64::from(date.day0()), "{date}");
        assert_eq!(
            days_to_monday(day),
            day - i64::from(date.weekday().num_days_from_monday()),
            "{date}"
        );
        date = date + Days::new(1);
    }
    assert_eq!(date.year(), 2554);
}

#[test]
fn windows_follow_one_another_without_a_gap() {
    for (zone, period) in ZONES
        .iter()
        .flat_map(|zone| PERIODS.map(|period| (*zone, period)))
    {
        let (parsed, found) = (Period::parse(period).unwrap(), Zone::find(zone).unwrap());
        // Two years, or as many windows as take a moment: those around the changes of the clock.
        let changes = std::iter::successors(
            Some(found.offset_span(seconds("2026-01-01T00:00:00Z"))),
            |span| {
                (span.end < seconds("2028-01-01T00:00:00Z")).then(|| found.offset_span(span.end))
            },
        );
        let starts = changes.map(|span| span.begin.max(seconds("2026-01-01T00:00:00Z")) - 2 * DAY);
        for start in starts {
            let mut at = timestamp(start);
            for _ in 0..400 {
                let window = parsed.window(found, at);
                assert!(
                    window.start <= at && at < window.end,
                    "{period} in {zone} at {at:?}: {window:?}"
                );
                let last = Timestamp::from_nanos(window.end.nanos() - 1);
                assert_eq!(
                    parsed.window(found, last),
                    window,
                    "{period} in {zone}: one window to its last instant"
                );
                assert_eq!(
                    parsed.window(found, window.end).start,
                    window.end,
                    "{period} in {zone}: the next follows"
                );
                at = window.end;
            }
        }
    }
}

/// The last multiple of the period that a clock shows or passed, by the fields of the date.
fn multiple(period: &str, local: NaiveDateTime) -> NaiveDateTime {
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).unwrap();
    let date = local.date();
    match period {
        "1d" => midnight(date),
        "1w" => midnight(date - Days::new(date.weekday().num_days_from_monday().into())),
        "1mo" => midnight(date.with_day0(0).unwrap()),
        "3mo" => {
            midnight(NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1).unwrap())
        }
        short => {
            let length = length(short);
            let past = (local - midnight(date)).num_seconds() % length;
            local - Duration::seconds(past)
        }
    }
}

fn length(period: &str) -> i64 {
    match period {
        "1m" => 60,
        "10m" => 600,
        "30m" => 1_800,
        "1h" => 3_600,
        "2h" => 7_200,
        "6h" => 21_600,
        "12h" => 43_200,
        _ => 86_400,
    }
}

/// The window around `at`, found by reading the clock each minute: `shown` is the latest local time
/// that it showed so far, and a window begins when it comes to a multiple after that.
fn by_the_wall(period: &str, zone: Zone, at: i64) -> (i64, i64) {
    let local = |at: i64| {
        DateTime::from_timestamp(at + zone.offset_span(at).offset, 0)
            .unwrap()
            .naive_utc()
    };
    let days = if period == "3mo" {
        95
    } else if period == "1mo" {
        33
    } else {
        9
    };
    let mut minute = (at - days * DAY) / 60 * 60;
    let (mut shown, mut begun) = (local(minute), minute);
    loop {
        minute += 60;
        let now = local(minute);
        let back = (shown + Duration::seconds(60) - now).num_seconds();
        if back >= length(period) && back > 0 {
            // A whole period comes again: the clock begins anew.
            shown = now - Duration::seconds(60);
        }
        if multiple(period, now) > shown {
            if minute > at {
                return (begun, minute);
            }
            begun = minute;
        }
        shown = shown.max(now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_finds_the_window_that_the_wall_clock_shows(
        zone in prop::sample::select(&ZONES[..]),
        period in prop::sample::select(&PERIODS[2..12]),
        at in 1_590_000_000..4_000_000_000_i64,
        change in any::<Option<(usize, i32)>>(),
    ) {
        // Half of the time within two days of a change of the clock.
        let found = Zone::find(zone).unwrap();
        let at = change.map_or(at, |(which, off)| {
            let year = std::iter::successors(Some(found.offset_span(at)), |span| {
                (span.end < at + 366 * DAY).then(|| found.offset_span(span.end))
            });
            let ends: Vec<i64> = year
                .map(|span| span.end)
                .filter(|end| *end < i64::MAX)
                .collect();
            if ends.is_empty() {
                at
            } else {
                ends[which % ends.len()] + i64::from(off) % (2 * DAY)
            }
        });
        prop_assert_eq!(
            window(period, zone, at),
            by_the_wall(period, found, at),
            "{} in {} at \
            {}",
            period,
            zone,
            at
        );
    }

    #[test]
    fn no_instant_is_too_early_or_too_late(
        nanos: u64,
        zone in prop::sample::select(&ZONES[..]),
        period in prop::sample::select(&PERIODS[..]),
    ) {
        let window = Period::parse(period)
            .unwrap()
            .window(Zone::find(zone).unwrap(), Timestamp::from_nanos(nanos));
        prop_assert!(
            window.start.nanos() <= nanos
                && (nanos < window.end.nanos() || window.end.nanos() == u64::MAX)
        );
    }
}
