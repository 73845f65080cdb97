//! The rolling window against its slow twin: every request that was admitted, with its exact time.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    reason = "the oracle counts in plain numbers"
)]

mod properties;

use proptest::prelude::*;

use super::*;
use crate::limit::Decision;

const START: u64 = 1_700_000_000_000_000_000;

/// The slow and obvious model: every request that was admitted.
#[derive(Default)]
struct Oracle {
    admitted: Vec<Admitted>,
}

struct Admitted {
    at: u64,
    units: u64,
    charge: Charge,
    failed: bool,
    given_back: bool,
}

impl Oracle {
    /// Units of the requests that `counts`, in the interval of this length that ends with `now`,
    /// which it contains.
    fn within(&self, length: u64, now: u64, counts: fn(&Admitted) -> bool) -> u64 {
        self.admitted
            .iter()
            .filter(|one| now < one.at + length && counts(one))
            .map(|one| one.units)
            .sum()
    }
}

fn rolling(quota: u64, seconds: u64) -> Rolling {
    Rolling::new(quota, Span::from_seconds(seconds)).unwrap()
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn admits(rolling: Rolling, state: Option<&State>, now: u64, cost: u64) -> bool {
    rolling
        .evaluate(state, at(now), Cost::Now(cost))
        .decision
        .admits()
}

/// Reads like a log: `<seconds> <cost> <admit remaining next_unit_in reset_in | deny retry_seconds
/// | never>`.
fn check(rolling: Rolling, log: &str) {
    let mut state = None;
    for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = at(START + (words[0].parse::<f64>().unwrap() * 1e9) as u64);
        let evaluation =
            rolling.evaluate(state.as_ref(), now, Cost::Now(words[1].parse().unwrap()));
        state = evaluation
            .after_charge
            .or(evaluation.after_repair)
            .or(state);
        let seconds = |span: Span| span.nanos() as f64 / 1e9;
        let said = match evaluation.decision {
            Decision::Admit(Balance {
                remaining,
                next_unit_in,
                reset_in,
                ..
            }) => {
                format!(
                    "admit {remaining} {} {}",
                    seconds(next_unit_in),
                    seconds(reset_in)
                )
            }
            Decision::Deny { retry_after, .. } => format!("deny {}", seconds(retry_after)),
            Decision::NeverFits(_) => "never".to_owned(),
        };
        assert_eq!(said, words[2..].join(" "), "at {line}");
    }
}

#[test]
fn a_small_quota_comes_back_to_the_microsecond() {
    check(
        rolling(3, 10),
        "
        0         0  admit 3 0 0
        0         1  admit 2 10 10
        1.5       2  admit 0 8.5 10
        1.5       1  deny 8.5
        1.5       0  admit 0 8.5 10
        9.999999  1  deny 0.000001
        10        1  admit 0 1.5 10
        10        3  deny 10
        10        4  never
        11.5      2  admit 0 8.5 10
        30        0  admit 3 0 0
    ",
    );
}

#[test]
fn a_large_quota_comes_back_a_twentieth_of_the_window_late_at_most() {
    // The grain is half a second: the units taken at 0.2 and 0.3 s count until 10.3 s, and until
    // 10.5 s once something later is taken.
    check(
        rolling(100, 10),
        "
        0.2   60  admit 40 10 10
        0.3   20  admit 20 10 10
        0.3   30  deny 10
        10.2  30  deny 0.1
        7     10  admit 10 3.5 10
        7.1   11  deny 3.4
        10.4  11  deny 0.1
        10.5  90  admit 0 6.5 10
        10.5  1   deny 6.5
    ",
    );
}

#[test]
fn a_step_of_the_clock_back_locks_out_for_one_window_at_most() {
    check(
        rolling(3, 10),
        "
        1000  3  admit 0 10 10
        100   1  deny 10
        109   1  deny 1
        110   3  admit 0 10 10
    ",
    );
    check(
        rolling(50, 10),
        "
        999.9 20  admit 30 10 10
        1000.1 30  admit 0 9.9 10
        100.1 1   deny 10
        110.1 50  admit 0 10 10
    ",
    );
}

#[test]
fn a_step_of_the_clock_forward_admits_one_window_more() {
    check(
        rolling(3, 10),
        "
        0     3  admit 0 10 10
        5000  3  admit 0 10 10
        5000  1  deny 10
    ",
    );
}

#[test]
fn a_worker_with_a_late_clock_enters_its_units_where_the_log_ends() {
    let rule = rolling(3, 10);
    let state = rule
        .evaluate(None, at(START + 5_000), Cost::Now(1))
        .after_charge
        .unwrap();
    let state = rule
        .evaluate(Some(&state), at(START + 1_000), Cost::Now(1))
        .after_charge
        .unwrap();
    assert_eq!(
        state.entries,
        [Entry {
            at: at(START + 5_000),
            units: 2
        }]
    );
}

#[test]
fn another_quota_goes_on_from_the_same_count() {
    let mut state = None;
    for (quota, seconds, cost, left) in [
        (20, 0, 15, 5),
        (200, 1, 100, 85),
        (30, 2, 0, 0),
        (130, 3, 15, 0),
    ] {
        let evaluation = rolling(quota, 60).evaluate(
            state.as_ref(),
            at(START + seconds * 1_000_000_000),
            Cost::Now(cost),
        );
        let Decision::Admit(balance) = evaluation.decision else {
            panic!("{evaluation:?}")
        };
        assert_eq!(balance.remaining, left, "of {quota}");
        state = evaluation.after_charge.or(state);
    }
    assert!(!admits(
        rolling(131, 60),
        state.as_ref(),
        START + 59_000_000_000,
        2
    ));
    assert!(admits(
        rolling(131, 60),
        state.as_ref(),
        START + 66_000_000_000,
        131
    ));
}

#[test]
fn what_is_overdrawn_is_seen_by_the_next_request_and_stays_bounded() {
    let rule = rolling(10, 60);
    let mut state = None;
    for step in 0..500 {
        state = Some(
            rule.force_charge(state.as_ref(), at(START + step * 1_000_000), 7)
                .0,
        );
        assert!(state.as_ref().unwrap().entries.len() <= ENTRIES_MAX);
    }
    let now = START + 1_000_000_000;
    let Decision::Deny { balance, .. } = rule
        .evaluate(state.as_ref(), at(now), Cost::Reserved(1))
        .decision
    else {
        panic!("more is taken than there is")
    };
    assert_eq!((balance.remaining, balance.overage), (0, 500 * 7 - 10));
    assert!(admits(rule, state.as_ref(), now, 0), "a cost of 0 passes");
    assert!(
        admits(rule, state.as_ref(), START + 64_000_000_000, 10),
        "a window later all is paid"
    );
}

#[test]
fn a_return_gives_nothing_that_time_has_given_back() {
    let rule = rolling(3, 10);
    let state = rule
        .evaluate(None, at(START), Cost::Now(3))
        .after_charge
        .unwrap();
    let charge = state.charge(3);
    let later = rule
        .evaluate(Some(&state), at(START + 10_000_000_000), Cost::Now(3))
        .after_charge
        .unwrap();
    assert_eq!(later.refund(&charge, at(START + 10_000_000_000)), None);
    let other_life = rule
        .evaluate(None, at(START + 1), Cost::Now(3))
        .after_charge
        .unwrap();
    assert_eq!(other_life.refund(&charge, at(START + 2)), None);
    assert_eq!(
        state
            .refund(&charge, at(START + 2))
            .map(|state| state.entries),
        Some(Vec::new())
    );
}
