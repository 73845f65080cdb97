//! The bucket against its twin, the leaky bucket, replayed from the whole history at each step.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the oracle counts in plain numbers"
)]

use proptest::prelude::*;

use super::*;

/// The slow and obvious model: everything that was admitted and not failed, replayed.
#[derive(Default)]
struct LeakyBucket {
    /// When, for how many units, and whether it failed since.
    admitted: Vec<(u64, u64, bool)>,
}

impl LeakyBucket {
    /// What the bucket owes at `now` if the failed requests had never come.
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
    // What the larger allows again is charged by it, and still no clock step to the smaller.
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

#[test]
fn a_failed_request_gives_its_unit_back() {
    let now = at(1_000_000_000_000);
    let bucket = bucket(100, "60/min");
    let mut state = None;
    for _ in 0..1_000 {
        let taken = bucket
            .evaluate(state.as_ref(), now, Cost::Now(1))
            .after_charge
            .unwrap();
        state = taken.refund(&taken.charge(1, now), now);
    }
    let left = bucket.evaluate(state.as_ref(), now, Cost::Now(1)).decision;
    assert!(
        matches!(left, Decision::Admit(Balance { remaining: 99, .. })),
        "{left:?}"
    );
}

#[test]
fn what_time_has_refilled_is_not_given_back_again() {
    let bucket = bucket(100, "60/min");
    let mut state: Option<State> = None;
    let mut slow = Vec::new();
    // A hundred requests, one a second, all still under way: time refills each as the next comes.
    for second in 0..100 {
        let now = at((1_000 + second) * 1_000_000_000);
        let taken = bucket
            .evaluate(state.as_ref(), now, Cost::Now(1))
            .after_charge
            .unwrap();
        slow.push(taken.charge(1, now));
        state = Some(taken);
    }
    let now = at(1_100 * 1_000_000_000);
    let burst = bucket.evaluate(state.as_ref(), now, Cost::Now(100));
    assert!(burst.decision.admits());
    let mut state = burst.after_charge.unwrap();
    for charge in slow {
        state = state.refund(&charge, now).unwrap_or(state);
    }
    assert!(
        !bucket
            .evaluate(Some(&state), now, Cost::Now(1))
            .decision
            .admits()
    );
}

#[test]
fn a_charge_of_another_life_of_the_record_gives_nothing() {
    let bucket = bucket(10, "1/s");
    let first = bucket
        .evaluate(None, at(1_000_000_000_000), Cost::Now(1))
        .after_charge
        .unwrap();
    let again = bucket
        .evaluate(None, at(1_000_000_000_007), Cost::Now(5))
        .after_charge
        .unwrap();
    assert_eq!(
        again.refund(
            &first.charge(1, at(1_000_000_000_000)),
            at(1_000_000_000_008)
        ),
        None
    );
}

#[test]
fn what_is_overdrawn_is_paid_by_those_that_come_after() {
    let (rule, now) = (bucket(10, "1/s"), at(1_000_000_000_000));
    let (state, balance) = rule.force_charge(None, now, 25);
    assert_eq!(
        (balance.remaining, balance.overage, balance.reset_in),
        (0, 15, Span::from_seconds(25))
    );
    let told = |state: &State, now, cost| rule.evaluate(Some(state), now, cost).decision;
    let Decision::Deny { retry_after, .. } = told(&state, now, Cost::Later) else {
        panic!("{state:?}")
    };
    assert_eq!(retry_after, Span::from_seconds(16));
    assert!(
        told(&state, now, Cost::Now(0)).admits(),
        "what costs nothing passes"
    );
    assert!(told(&state, now.after(retry_after), Cost::Later).admits());
    // Such a debt is no step of the clock; one on top of it is, and is cut to it.
    assert_eq!(
        rule.evaluate(Some(&state), now, Cost::Now(1)).after_repair,
        None
    );
    let earlier = now.before(Span::from_seconds(500));
    let repaired = rule
        .evaluate(Some(&state), earlier, Cost::Now(1))
        .after_repair
        .unwrap();
    assert_eq!(repaired.tat.since(earlier), Span::from_seconds(25));
    // Nor does a step that is met by a charge of this kind become a part of it.
    let (state, _) = rule.force_charge(Some(&state), earlier, 1);
    assert_eq!(state.tat.since(earlier), Span::from_seconds(26));
    let (state, _) = rule.force_charge(Some(&state), earlier, u64::MAX);
    assert_eq!(state.tat.since(earlier), DEBT_MAX);
}

#[test]
fn all_that_is_overdrawn_is_owed_and_can_be_given_back() {
    let now = at(1_700_000_000_000_000_000);
    for (refill, units) in [
        ("1/d", 1_000),
        ("1/d", 100_000),
        ("1/h", 4_000_000),
        ("1000000/s", 20_000_000_000),
    ] {
        let rule = bucket(10, refill);
        let (before, _) = rule.force_charge(None, now, 3);
        let (state, balance) = rule.force_charge(Some(&before), now, units);
        assert_eq!(
            (balance.remaining, balance.overage),
            (0, units - 7),
            "{units} of {refill}"
        );
        // Nothing of it is taken for a step of the clock, now or later.
        let later = now.after(rule.refill().interval().times(units / 2));
        for now in [now, later] {
            let evaluation = rule.evaluate(Some(&state), now, Cost::Later);
            assert!(
                evaluation.after_repair.is_none() && !evaluation.decision.admits(),
                "{units} of {refill}"
            );
        }
        let (more, balance) = rule.force_charge(Some(&state), now, 5);
        assert_eq!(balance.overage, units - 2);
        assert!(
            more.refund(&more.charge(5, now), now)
                .is_some_and(|left| left.tat == state.tat)
        );
        let given = state.refund(&state.charge(units, now), now).unwrap();
        assert_eq!(given.tat, before.tat, "{units} of {refill}");
        // A charge before more units than the record can count is not told from others.
        let earlier = more.refund(&before.charge(3, now), now);
        assert_eq!(earlier.is_some(), units < 1 << 20, "{units} of {refill}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Request(u32),
    /// Fails the admitted request with this index, counted from the newest.
    Fail(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u64..3_000_000_000).prop_map(Step::Wait),
        (0u64..50_000_000).prop_map(Step::Wait),
        (1u32..6).prop_map(Step::Request),
        Just(Step::Request(1)),
        (0usize..12).prop_map(Step::Fail),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn it_answers_as_the_leaky_bucket_does(
        burst in 1u32..12,
        rate in prop::sample::select(vec!["1/s", "7/min", "90/min", "3/s"]),
        steps in steps(),
    ) {
        let bucket = bucket(burst, rate);
        let (interval, window) = (bucket.refill().interval().nanos(), bucket.window().nanos());
        let mut oracle = LeakyBucket::default();
        let (mut state, mut now) = (None, 1_000_000_000_000u64);
        for step in steps {
            match step {
                Step::Wait(nanos) => now += nanos,
                Step::Fail(_) => {}
                Step::Request(cost) => {
                    let debt = oracle.debt(interval, now);
                    let fits = debt + u64::from(cost) * interval <= window;
                    let evaluation =
                        bucket.evaluate(state.as_ref(), at(now), Cost::Now(u64::from(cost)));
                    prop_assert_eq!(evaluation.decision.admits(), fits);
                    match evaluation.decision {
                        Decision::Admit(balance) => {
                            oracle.admitted.push((now, u64::from(cost), false));
                            let owed = oracle.debt(interval, now);
                            prop_assert_eq!(balance.remaining, (window - owed) / interval);
                            let (after, one_more) = (
                                evaluation.after_charge.or(state),
                                Cost::Now(balance.remaining + 1),
                            );
                            let more = now + balance.next_unit_in.nanos();
                            if balance.next_unit_in > Span::ZERO {
                                prop_assert!(
                                    bucket
                                        .evaluate(after.as_ref(), at(more), one_more)
                                        .decision
                                        .admits()
                                );
                                prop_assert!(
                                    !bucket
                                        .evaluate(after.as_ref(), at(more - 1), one_more)
                                        .decision
                                        .admits()
                                );
                            } else {
                                prop_assert_eq!(owed, 0);
                            }
                        }
                        Decision::Deny {
                            retry_after,
                            balance,
                        } => {
                            prop_assert!(retry_after >= balance.next_unit_in);
                            prop_assert!(
                                evaluation
                                    .after_charge
                                    .or(evaluation.after_repair)
                                    .is_none(),
                                "a refusal leaves no trace"
                            );
                            let then = now + retry_after.nanos();
                            prop_assert!(
                                bucket
                                    .evaluate(state.as_ref(), at(then), Cost::Now(u64::from(cost)))
                                    .decision
                                    .admits()
                            );
                            prop_assert!(
                                !bucket
                                    .evaluate(
                                        state.as_ref(),
                                        at(then - 1),
                                        Cost::Now(u64::from(cost))
                                    )
                                    .decision
                                    .admits()
                            );
                        }
                        Decision::NeverFits(_) => prop_assert!(cost > burst),
                    }
                    state = evaluation
                        .after_charge
                        .or(evaluation.after_repair)
                        .or(state);
                }
            }
        }
    }

    #[test]
    fn no_history_gives_back_more_than_the_failed_requests_took(
        burst in 1u32..12,
        steps in steps(),
    ) {
        let bucket = bucket(burst, "1/s");
        let interval = bucket.refill().interval().nanos();
        let mut oracle = LeakyBucket::default();
        let mut charges = Vec::new();
        let (mut state, mut now): (Option<State>, u64) = (None, 1_000_000_000_000);
        for step in steps {
            match step {
                Step::Wait(nanos) => now += nanos,
                Step::Request(cost) => {
                    let evaluation =
                        bucket.evaluate(state.as_ref(), at(now), Cost::Now(u64::from(cost)));
                    if evaluation.decision.admits() {
                        state = evaluation.after_charge;
                        charges.push(state.unwrap().charge(u64::from(cost), at(now)));
                        oracle.admitted.push((now, u64::from(cost), false));
                    }
                }
                Step::Fail(newest) if newest < charges.len() => {
                    let index = charges.len() - 1 - newest;
                    if !std::mem::replace(&mut oracle.admitted[index].2, true) {
                        let before = state.unwrap();
                        state = Some(before.refund(&charges[index], at(now)).unwrap_or(before));
                    }
                }
                Step::Fail(_) => {}
            }
            let debt = state.map_or(0, |state| state.tat.since(at(now)).nanos());
            prop_assert!(
                debt >= oracle.debt(interval, now),
                "debt {debt}, and the requests that \
                stand owe more"
            );
        }
    }

    #[test]
    fn failures_that_come_at_once_are_given_back_whole(
        burst in 2u32..50,
        taken in 0u32..50,
        failing in 1u32..40,
    ) {
        let bucket = bucket(burst, "1/s");
        let now = at(1_000_000_000_000);
        let mut state = bucket
            .evaluate(None, now, Cost::Now(u64::from(taken.min(burst - 1))))
            .after_charge;
        let debt = |state: Option<State>| state.map_or(Span::ZERO, |state| state.tat.since(now));
        let before = debt(state);
        let mut charges = Vec::new();
        for _ in 0..failing {
            let evaluation = bucket.evaluate(state.as_ref(), now, Cost::Now(1));
            if evaluation.decision.admits() {
                state = evaluation.after_charge;
                charges.push(state.unwrap().charge(1, now));
            }
        }
        for charge in charges {
            let taken = state.unwrap();
            state = Some(taken.refund(&charge, now).unwrap_or(taken));
        }
        prop_assert_eq!(debt(state), before);
    }

    #[test]
    fn an_outage_under_load_costs_nothing(
        failing in 1usize..60,
        nanos in 0u64..2_000_000_000,
        order in proptest::collection::vec(any::<u32>(), 60),
    ) {
        let bucket = bucket(100, "1/s");
        let start = 1_000_000_000_000;
        let mut state: Option<State> = None;
        let mut charges = Vec::new();
        for (index, order) in order.into_iter().take(failing).enumerate() {
            let now = at(start + nanos * index as u64 / failing as u64);
            state = bucket
                .evaluate(state.as_ref(), now, Cost::Now(1))
                .after_charge;
            charges.push((order, state.unwrap().charge(1, now)));
        }
        charges.sort_by_key(|(order, _)| *order);
        let now = at(start + nanos);
        for (_, charge) in charges {
            state = state.and_then(|state| state.refund(&charge, now)).or(state);
        }
        prop_assert_eq!(state.unwrap().tat.since(now), Span::ZERO);
    }

    #[test]
    fn no_bytes_of_time_make_it_panic(
        tat: u64,
        now: u64,
        cost: u32,
        code: u32,
        charged: u32,
        returned: u64,
        burst: u32,
    ) {
        if let Some(refill) = Refill::decode(code) {
            let state = State {
                tat: at(tat),
                refill,
                burst,
                charged,
                returned,
            };
            let bucket = bucket(100, "60/min");
            let evaluation = bucket.evaluate(Some(&state), at(now), Cost::Now(u64::from(cost)));
            if let Some(stored) = evaluation.after_charge.or(evaluation.after_repair) {
                let most = bucket
                    .window()
                    .max(bucket.refill().interval().times(u64::from(burst)));
                prop_assert!(stored.tat.since(at(now)) <= most);
            }
            let _ = state.refund(&state.charge(u64::from(cost), at(now)), at(tat));
            let _ = state.eviction_cost(at(now));
        }
    }
}
