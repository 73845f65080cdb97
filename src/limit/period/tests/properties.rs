//! Every window against a wall clock that is read minute by minute.

use super::*;

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
/// that it showed so far, and a window begins when it reaches a later multiple.
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
            // A whole period repeats: the clock begins anew.
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
