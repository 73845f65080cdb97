//! The rolling window against its slow twin: every request that was admitted, with its exact time.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    reason = "the oracle counts in plain numbers"
)]

use proptest::prelude::*;

use super::*;

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
    // The grain is half a second: what is taken at 0.2 and 0.3 s counts until 10.3 s, and until
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
    let Decision::Deny { balance, .. } =
        rule.evaluate(state.as_ref(), at(now), Cost::Later).decision
    else {
        panic!("more is taken than there is")
    };
    assert_eq!((balance.remaining, balance.overage), (0, 500 * 7 - 10));
    assert!(
        admits(rule, state.as_ref(), now, 0),
        "what costs nothing passes"
    );
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

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask {
        wait: u64,
        cost: u64,
    },
    Fail {
        which: usize,
    },
    /// A policy with another quota, in the hundred of the first.
    Quota {
        percent: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (
        prop_oneof![0..3_000_000_u64, 0..900_000_000_u64, 0..8_000_000_000_u64],
        0..6_u64,
    )
        .prop_map(|(wait, cost)| Step::Ask { wait, cost });
    let fail = any::<usize>().prop_map(|which| Step::Fail { which });
    let quota = (10..300_u64).prop_map(|percent| Step::Quota { percent });
    proptest::collection::vec(prop_oneof![12 => ask, 2 => fail, 1 => quota], 1..120)
}

proptest! {
    #[test]
    fn it_answers_as_the_exact_log_does(
        quota in prop_oneof![1..40_u64, 30..200_u64],
        seconds in 1..30_u64,
        steps in steps(),
    ) {
        let (mut rule, window) = (rolling(quota, seconds), seconds * 1_000_000_000);
        let late = Grain::Coarse.length(rule.window()).nanos();
        let mut oracle = Oracle::default();
        let (mut state, mut now): (Option<State>, u64) = (None, START);
        for step in steps {
            match step {
                Step::Quota { percent } => rule = rolling((quota * percent / 100).max(1), seconds),
                Step::Fail { which } if !oracle.admitted.is_empty() => {
                    let which = which % oracle.admitted.len();
                    let one = &mut oracle.admitted[which];
                    if !std::mem::replace(&mut one.failed, true) {
                        let without = state
                            .as_ref()
                            .and_then(|state| state.refund(&one.charge, at(now)));
                        prop_assert!(without.is_some() || now >= one.at + window);
                        one.given_back = without.is_some();
                        state = without.or(state);
                    }
                }
                Step::Fail { .. } => {}
                Step::Ask { wait, cost } => {
                    now += wait;
                    let evaluation = rule.evaluate(state.as_ref(), at(now), Cost::Now(cost));
                    prop_assert_eq!(&evaluation.after_repair, &None, "no step of the clock");
                    let exact = oracle.within(window, now, |one| !one.failed);
                    let latest = oracle.within(window + late, now, |one| !one.given_back);
                    match evaluation.decision {
                        Decision::Admit(balance) => {
                            prop_assert!(
                                balance.reset_in <= rule.window(),
                                "no wait is longer \
                                than a window"
                            );
                            prop_assert!(
                                cost == 0 || exact + cost <= rule.quota(),
                                "{} of {} \
                                taken",
                                exact,
                                rule.quota()
                            );
                            prop_assert!(
                                balance.remaining <= rule.quota().saturating_sub(exact + cost)
                            );
                            prop_assert!(
                                balance.remaining >= rule.quota().saturating_sub(latest + cost)
                            );
                            let after = evaluation.after_charge.as_ref().or(state.as_ref());
                            let full = now + balance.reset_in.nanos();
                            prop_assert!(admits(rule, after, full, rule.quota()));
                            prop_assert!(
                                balance.reset_in == Span::ZERO
                                    || !admits(rule, after, full - 1, rule.quota())
                            );
                            let more = now + balance.next_unit_in.nanos();
                            if balance.remaining < rule.quota() && balance.next_unit_in > Span::ZERO
                            {
                                prop_assert!(admits(rule, after, more, balance.remaining + 1));
                                prop_assert!(!admits(rule, after, more - 1, balance.remaining + 1));
                            }
                        }
                        Decision::Deny {
                            retry_after,
                            balance,
                        } => {
                            prop_assert!(
                                latest + cost > rule.quota(),
                                "{} of {} \
                                taken",
                                latest,
                                rule.quota()
                            );
                            prop_assert!(
                                retry_after >= balance.next_unit_in
                                    && retry_after <= balance.reset_in
                            );
                            prop_assert!(
                                balance.reset_in <= rule.window(),
                                "no wait is longer \
                                than a window"
                            );
                            prop_assert!(admits(
                                rule,
                                state.as_ref(),
                                now + retry_after.nanos(),
                                cost
                            ));
                            prop_assert!(!admits(
                                rule,
                                state.as_ref(),
                                now + retry_after.nanos() - 1,
                                cost
                            ));
                        }
                        Decision::NeverFits(_) => prop_assert!(cost > rule.quota()),
                    }
                    if let Some(charged) = evaluation.after_charge {
                        prop_assert!(charged.entries.len() <= ENTRIES_MAX);
                        prop_assert!(charged.entries.is_sorted_by(|a, b| a.at < b.at));
                        let charge = charged.charge(cost);
                        oracle.admitted.push(Admitted {
                            at: now,
                            units: cost,
                            charge,
                            failed: false,
                            given_back: false,
                        });
                        state = Some(charged);
                    }
                }
            }
        }
    }

    #[test]
    fn no_step_of_the_clock_admits_more_than_one_window_more_or_locks_out_for_longer(
        quota in prop_oneof![1..20_u64, 33..80_u64],
        waits in proptest::collection::vec((0..4_000_000_000_u64, 0..20_u8, 0..90_u64), 1..150),
    ) {
        let (rule, window) = (rolling(quota, 10), 10_000_000_000_u64);
        // The clock that the rule sees, and the time that really passes.
        let (mut clock, mut real, mut steps) = (START, START, 0_u64);
        let (mut state, mut admitted): (Option<State>, Vec<u64>) = (None, Vec::new());
        let mut refused_since: Option<u64> = None;
        for (wait, kind, step) in waits {
            real += wait;
            clock += wait;
            match kind {
                0 => (clock, steps) = (clock + step * 1_000_000_000, steps + 1),
                1 => (clock, steps) = (clock - step * 1_000_000_000, steps + 1),
                _ => {}
            }
            let evaluation = rule.evaluate(state.as_ref(), at(clock), Cost::Now(1));
            if evaluation.decision.admits() {
                refused_since = None;
                admitted.push(real);
                state = evaluation.after_charge;
            } else {
                // No caller is refused for longer than a window, whatever the steps, unless one
                // comes in between.
                let since = *refused_since.get_or_insert(real);
                if kind > 1 {
                    prop_assert!(
                        real - since <= window + window / 20,
                        "refused for {} \
                        s",
                        (real - since) / 1_000_000_000
                    );
                } else {
                    refused_since = Some(real);
                }
                state = evaluation.after_repair.or(state);
            }
        }
        for (index, first) in admitted.iter().enumerate() {
            let within = admitted[index..]
                .iter()
                .take_while(|at| **at < first + window)
                .count() as u64;
            prop_assert!(
                within <= quota * (steps + 1),
                "{} in one window after {} \
                                                         steps",
                within,
                steps
            );
        }
    }

    #[test]
    fn no_numbers_make_it_panic(
        quota in 1..=QUOTA_MAX,
        seconds in 1..31_622_400_u64,
        now: u64,
        times in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..30),
        cost: u64,
    ) {
        let rule = rolling(quota, seconds);
        let mut entries: Vec<Entry> = times
            .into_iter()
            .map(|(nanos, units)| Entry {
                at: at(nanos),
                units,
            })
            .collect();
        entries.sort_by_key(|entry| entry.at);
        entries.dedup_by_key(|entry| entry.at);
        let quota = Rough::of(rule.quota());
        let state = State {
            window: rule.window(),
            grain: Grain::Coarse,
            generation: 0,
            quota,
            entries,
        };
        let evaluation = rule.evaluate(Some(&state), at(now), Cost::Now(cost));
        let charged = evaluation.after_charge.unwrap_or(state);
        let (state, _) = rule.force_charge(Some(&charged), at(now), cost);
        let _ = (
            state.refund(&charged.charge(cost), at(now)),
            state.eviction_cost(at(now)),
        );
    }
}
