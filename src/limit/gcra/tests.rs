//! The bucket against its twin, the leaky bucket, replayed from the whole history at each step.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the oracle counts in plain numbers"
)]

mod properties;
mod refunds;

use proptest::prelude::*;

use super::*;
use crate::limit::Decision;

/// The slow and obvious model: everything that was admitted and not failed, replayed.
#[derive(Default)]
struct LeakyBucket {
    /// When, for how many units, and whether it failed since.
    admitted: Vec<(u64, u64, bool)>,
}

impl LeakyBucket {
    /// The debt of the bucket at `now` if the failed requests had never arrived.
    fn debt(&self, interval: u64, now: u64) -> u64 {
        let mut level: u64 = 0;
        let mut last = 0;
        for (at, units, _) in self.admitted.iter().filter(|(_, _, failed)| !failed) {
            level = level.saturating_sub(at - last) + units * interval;
            last = *at;
        }
        level.saturating_sub(now - last)
    }
}

fn bucket(burst: u32, refill: &str) -> Bucket {
    Bucket::new(burst, Refill::parse(refill).unwrap()).unwrap()
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// Reads like a log: `<seconds> <cost> <admit remaining | deny retry_seconds | never>`.
fn check(bucket: Bucket, log: &str) {
    let mut state = None;
    for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = at(1_000_000_000_000 + (words[0].parse::<f64>().unwrap() * 1e9) as u64);
        let evaluation = bucket.evaluate(state.as_ref(), now, Cost::Now(words[1].parse().unwrap()));
        state = evaluation
            .after_charge
            .or(evaluation.after_repair)
            .or(state);
        let said = match evaluation.decision {
            Decision::Admit(balance) => format!("admit {}", balance.remaining),
            Decision::Deny { retry_after, .. } => {
                format!("deny {}", retry_after.nanos() as f64 / 1e9)
            }
            Decision::NeverFits(_) => "never".to_owned(),
        };
        assert_eq!(said, words[2..].join(" "), "at {line}");
    }
}

#[test]
fn a_full_burst_then_one_each_interval() {
    check(
        bucket(3, "60/min"),
        "
        0    1  admit 2
        0    1  admit 1
        0    1  admit 0
        0    1  deny 1
        0.4  1  deny 0.6
        1    1  admit 0
        1    1  deny 1
        3    2  admit 0
        9    0  admit 3
        9    3  admit 0
    ",
    );
}

#[test]
fn a_cost_above_the_burst_never_fits_and_takes_nothing() {
    check(
        bucket(3, "1/s"),
        "
        0  4  never
        0  3  admit 0
        0  4  never
    ",
    );
}

#[test]
fn a_step_of_the_clock_back_locks_out_for_one_window_at_most() {
    check(
        bucket(3, "1/s"),
        "
        1000  3  admit 0
        100   1  deny 1
        101   1  admit 0
        103   2  admit 0
    ",
    );
}

#[test]
fn a_step_of_the_clock_forward_admits_one_window_more() {
    check(
        bucket(3, "1/s"),
        "
        0     3  admit 0
        5000  3  admit 0
        5000  1  deny 1
    ",
    );
}

#[test]
fn a_changed_rate_or_burst_goes_on_from_the_same_count() {
    let now = at(1_000_000_000_000);
    let taken = bucket(100, "60/min")
        .evaluate(None, now, Cost::Now(40))
        .after_charge
        .unwrap();
    for (burst, refill, left) in [
        (200, "60/min", 160),
        (200, "120/min", 160),
        (100, "6/min", 60),
        (50, "1/h", 10),
        (30, "1/s", 0),
    ] {
        let decision = bucket(burst, refill)
            .evaluate(Some(&taken), now, Cost::Now(0))
            .decision;
        assert!(
            matches!(decision, Decision::Admit(balance) if balance.remaining == left),
            "{burst} {refill}: {decision:?}"
        );
    }
}

#[test]
fn a_smaller_bucket_forgives_no_debt_of_a_larger_one() {
    let now = at(1_000_000_000_000);
    let (large, small) = (bucket(20, "1/h"), bucket(10, "1/h"));
    let mut state = large.evaluate(None, now, Cost::Now(20)).after_charge;
    let denied = small.evaluate(state.as_ref(), now, Cost::Now(1));
    let wait = Span::from_seconds(11 * 3_600);
    let Decision::Deny {
        retry_after,
        balance,
    } = denied.decision
    else {
        panic!("{denied:?}")
    };
    assert_eq!(
        (retry_after, balance.reset_in),
        (wait, Span::from_seconds(20 * 3_600))
    );
    assert_eq!(denied.after_repair, None);
    assert!(
        !large
            .evaluate(state.as_ref(), now, Cost::Now(1))
            .decision
            .admits()
    );
    assert!(
        small
            .evaluate(state.as_ref(), now.after(wait), Cost::Now(1))
            .decision
            .admits()
    );
    // The larger burst charges the unit that it allows again, and the smaller one still sees no
    // clock step.
    let later = now.after(Span::from_seconds(3_600));
    state = large
        .evaluate(state.as_ref(), later, Cost::Now(1))
        .after_charge;
    assert_eq!(
        small
            .evaluate(state.as_ref(), later, Cost::Now(1))
            .after_repair,
        None
    );
}
