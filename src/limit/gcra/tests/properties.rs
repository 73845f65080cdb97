//! Any history of requests and failures.

use super::*;

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
        code: u64,
        generation: u32,
        charged: u32,
        returned: u64,
        burst: u32,
    ) {
        if let Some(refill) = Refill::decode(code) {
            let state = State {
                tat: at(tat),
                refill,
                burst,
                generation,
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
