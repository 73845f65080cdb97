//! Any history of requests, failures, quotas and clocks.

use super::*;

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
                // No caller is refused for longer than a window, with any steps, unless one arrives
                // in between.
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
