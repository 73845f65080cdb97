//! The calendar's windows, against a count of every request by the window that it fell into.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the oracle counts in plain numbers"
)]

use proptest::prelude::*;

use super::*;
use crate::limit::Decision;

/// Wednesday, 2026-11-25 10:00:00 UTC.
const START: u64 = 1_795_600_800_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn calendar(quota: u64, period: &str, zone: &str) -> Calendar {
    Calendar::new(
        quota,
        Over::Refuse,
        Period::parse(period).unwrap(),
        Zone::find(zone).unwrap(),
    )
    .unwrap()
}

/// Reads like a log: `<seconds> <cost> <admit remaining over reset_in | deny retry_seconds |
/// never>`.
fn check(calendar: Calendar, log: &str) {
    let mut state = None;
    for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = at(START.saturating_add_signed(words[0].parse::<i64>().unwrap() * 1_000_000_000));
        let evaluation =
            calendar.evaluate(state.as_ref(), now, Cost::Now(words[1].parse().unwrap()));
        state = evaluation
            .after_charge
            .or(evaluation.after_repair)
            .or(state);
        let seconds = |span: Span| span.nanos() / SECOND;
        let said = match evaluation.decision {
            Decision::Admit(Balance {
                remaining,
                overage,
                reset_in,
                ..
            }) => {
                format!("admit {remaining} {overage} {}", seconds(reset_in))
            }
            Decision::Deny { retry_after, .. } => format!("deny {}", seconds(retry_after)),
            Decision::NeverFits(_) => "never".to_owned(),
        };
        assert_eq!(said, words[2..].join(" "), "at {line}");
    }
}

#[test]
fn a_window_is_full_again_when_it_turns() {
    check(
        calendar(3, "1m", "UTC"),
        "
        0    0  admit 3 0 60
        1    2  admit 1 0 59
        59   2  deny 1
        59   1  admit 0 0 1
        59   1  deny 1
        60   3  admit 0 0 60
        61   4  never
        61   0  admit 0 0 59
    ",
    );
}

#[test]
fn a_month_ends_in_the_zone_and_not_in_utc() {
    // From 2026-11-25 10:00 UTC: to December in Kiritimati (+14) 5 days and no hour, in Los Angeles
    // (-8) 5 days and 22.
    for (zone, wait) in [
        ("Pacific/Kiritimati", 432_000),
        ("UTC", 482_400),
        ("America/Los_Angeles", 511_200),
    ] {
        let log = format!(
            "0 2 admit 0 0 {wait}\n 0 1 deny {wait}\n {} 1 deny 1\n {wait} 2 admit 0 0 2678400",
            wait - 1
        );
        check(calendar(2, "1mo", zone), &log);
    }
}

#[test]
fn what_is_over_is_admitted_and_counted() {
    let counting = Calendar::new(3, Over::Count, Period::parse("1h").unwrap(), Zone::UTC).unwrap();
    check(
        counting,
        "
        0     2  admit 1 0 3600
        1     2  admit 0 1 3599
        2     5  admit 0 6 3598
        3     0  admit 0 6 3597
        3600  1  admit 2 0 3600
    ",
    );
}

#[test]
fn a_step_of_the_clock_back_locks_out_for_one_window_at_most() {
    // Twenty hours back: the count moves into the window that the clock is in.
    check(
        calendar(3, "1h", "UTC"),
        "
        0       3  admit 0 0 3600
        -70000  1  deny 1600
        -68401  1  deny 1
        -68400  3  admit 0 0 3600
        0       3  admit 0 0 3600
    ",
    );
}

#[test]
fn a_worker_that_is_overtaken_at_the_boundary_counts_in_the_new_window() {
    let rule = calendar(2, "1m", "UTC");
    let full = rule
        .evaluate(None, at(START), Cost::Now(2))
        .after_charge
        .unwrap();
    let turned = rule
        .evaluate(Some(&full), at(START + 60 * SECOND), Cost::Now(1))
        .after_charge
        .unwrap();
    let late = rule.evaluate(Some(&turned), at(START + 59 * SECOND), Cost::Now(1));
    let Decision::Admit(balance) = late.decision else {
        panic!("{late:?}")
    };
    // By its own clock it is a second before the turn; the balance is that of the later reading.
    assert_eq!(
        (balance.remaining, balance.reset_in),
        (0, Span::from_seconds(1)),
        "never beyond its window"
    );
    assert!(late.after_repair.is_some());
    let state = late.after_charge.unwrap();
    assert_eq!((state.end, state.taken), (at(START + 120 * SECOND), 2));
    // A repair reads the clock again. By that reading, this refusal is not a sign of a step.
    let refused = rule.evaluate(Some(&state), at(START + 59 * SECOND), Cost::Now(1));
    assert!(!refused.decision.admits() && refused.after_repair.is_some());
    let looked_again = rule.evaluate(Some(&state), at(START + 60 * SECOND), Cost::Now(1));
    assert_eq!(looked_again.after_repair, None);
}

#[test]
fn another_quota_or_zone_goes_on_from_the_same_count() {
    let taken = calendar(10, "1mo", "UTC")
        .evaluate(None, at(START), Cost::Now(7))
        .after_charge
        .unwrap();
    for (quota, zone, left) in [
        (20, "UTC", Some(12)),
        (8, "UTC", Some(0)),
        (5, "UTC", None),
        (10, "Asia/Tokyo", Some(2)),
    ] {
        let evaluation =
            calendar(quota, "1mo", zone).evaluate(Some(&taken), at(START), Cost::Now(1));
        let remaining = match evaluation.decision {
            Decision::Admit(balance) => Some(balance.remaining),
            Decision::Deny { .. } | Decision::NeverFits(_) => None,
        };
        assert_eq!(remaining, left, "{quota} in {zone}");
    }
}

#[test]
fn a_return_belongs_to_its_own_window() {
    let rule = calendar(3, "1m", "UTC");
    let state = rule
        .evaluate(None, at(START), Cost::Now(2))
        .after_charge
        .unwrap();
    let charge = state.charge(2);
    assert_eq!(state.refund(&charge).map(|state| state.taken), Some(0));
    let next = rule
        .evaluate(Some(&state), at(START + 60 * SECOND), Cost::Now(3))
        .after_charge
        .unwrap();
    assert_eq!(next.refund(&charge), None);
    let other_life = rule
        .evaluate(None, at(START + 1), Cost::Now(2))
        .after_charge
        .unwrap();
    assert_eq!(other_life.refund(&charge), None);
}

#[test]
fn what_is_overdrawn_is_over_until_the_window_turns() {
    let rule = calendar(3, "1m", "UTC");
    let (state, balance) = rule.force_charge(None, at(START), 5);
    assert_eq!((balance.remaining, balance.overage), (0, 2));
    assert!(
        !rule
            .evaluate(Some(&state), at(START), Cost::Reserved(1))
            .decision
            .admits()
    );
    assert!(
        rule.evaluate(Some(&state), at(START), Cost::Now(0))
            .decision
            .admits()
    );
    assert!(
        rule.evaluate(Some(&state), at(START + 60 * SECOND), Cost::Reserved(1))
            .decision
            .admits()
    );
}

proptest! {
    #[test]
    fn no_window_admits_more_than_its_quota(
        quota in 1..12_u64,
        period in prop::sample::select(vec!["1s", "10s", "1m", "1h", "6h", "1d", "1w", "1mo"]),
        zone in prop::sample::select(vec![
            "UTC",
            "Europe/Rome",
            "Pacific/Kiritimati",
            "Australia/Lord_Howe",
        ]),
        steps in proptest::collection::vec((0..40_u64, 0..4_u64), 1..150),
    ) {
        let rule = calendar(quota, period, zone);
        let scale = rule.window(at(START)).length().nanos() / 40;
        let (mut state, mut now) = (None, START);
        let mut taken = std::collections::BTreeMap::new();
        for (wait, cost) in steps {
            now += wait * wait * scale / 20;
            let window = rule.window(at(now));
            let count = taken.entry(window.start.nanos()).or_insert(0);
            let evaluation = rule.evaluate(state.as_ref(), at(now), Cost::Now(cost));
            match evaluation.decision {
                Decision::Admit(balance) => {
                    *count += cost;
                    prop_assert!(*count <= quota);
                    prop_assert_eq!(balance.remaining, quota - *count);
                    prop_assert_eq!(balance.reset_in, window.end.since(at(now)));
                }
                Decision::Deny {
                    retry_after,
                    balance,
                } => {
                    prop_assert!(*count + cost > quota);
                    prop_assert_eq!(retry_after, balance.next_unit_in);
                    prop_assert!(
                        rule.evaluate(state.as_ref(), at(now).after(retry_after), Cost::Now(cost))
                            .decision
                            .admits()
                    );
                }
                Decision::NeverFits(_) => prop_assert!(cost > quota),
            }
            prop_assert_eq!(evaluation.after_repair, None);
            state = evaluation.after_charge.or(state);
        }
    }
}
