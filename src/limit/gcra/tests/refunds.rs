//! Refunds, and charges beyond the burst.

use super::*;

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
    // A hundred requests, one a second, all still under way: time refills each as the next arrives.
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
    let decision = |state: &State, now, cost| rule.evaluate(Some(state), now, cost).decision;
    let Decision::Deny { retry_after, .. } = decision(&state, now, Cost::Reserved(1)) else {
        panic!("{state:?}")
    };
    assert_eq!(retry_after, Span::from_seconds(16));
    assert!(
        decision(&state, now, Cost::Now(0)).admits(),
        "a cost of 0 passes"
    );
    assert!(decision(&state, now.after(retry_after), Cost::Reserved(1)).admits());
    // Such a debt is not a step of the clock; a step on top of it is cut to the debt.
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
    // Nor does such a charge become part of a step of the clock that meets it.
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
        // No part of the debt is taken for a step of the clock, now or later.
        let later = now.after(rule.refill().interval().times(units / 2));
        for now in [now, later] {
            let evaluation = rule.evaluate(Some(&state), now, Cost::Reserved(1));
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
        // More units than the record can count begin its next life.
        let earlier = more.refund(&before.charge(3, now), now);
        assert_eq!(
            earlier.is_some(),
            units < u64::from(u32::MAX),
            "{units} of {refill}"
        );
    }
}
