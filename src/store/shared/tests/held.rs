//! The counters that a store holds, of callers who come and go.

#![allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]

use super::*;

const KEYS_MAX: u32 = 3_600;

/// The counters that the store holds after six hours, in each of which this percentage of
/// `keys_max` is live: as a percentage of `keys_max`.
fn held(live: u32) -> i64 {
    let mut store = open(&FakeData::default(), KEYS_MAX);
    let each_hour = KEYS_MAX / 100 * live;
    for name in 0..each_hour * 6 {
        let passed = u64::from(name) * 3_600_000_000_000 / u64::from(each_hour);
        let now = NOW.after(Span::from_nanos(passed));
        let check = check(&store, name, FailureMode::Deny);
        assert!(store.try_charge_all(&mut [check], now, &FixedClock(now)));
    }
    let stats = store.drain_stats();
    assert_eq!(stats.evicted, 0, "{live} %");
    stats.added * 100 / i64::from(KEYS_MAX)
}

/// The alert fires at 90 % of `keys_max`, and evictions begin above 100 %.
#[test]
fn the_number_of_counters_shows_when_evictions_are_near() {
    for (live, expected) in [
        (25, 50..75),
        (50, 60..80),
        (70, 75..90),
        (85, 90..100),
        (100, 100..115),
    ] {
        let held = held(live);
        assert!(expected.contains(&held), "{live} % live, {held} % held");
    }
}
