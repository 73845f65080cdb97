//! Seats as tables of text, and against an oracle that knows every touch.

#![allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limit::Decision;

fn at(second: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000).after(Span::from_seconds(second))
}

fn seats(seats: u32) -> Seats {
    Seats::new(seats, Span::from_seconds(60)).unwrap()
}

/// Lines of second, holder and answer: seats that are left, or seconds to wait.
fn check(rule: Seats, lines: &str) {
    let mut state = None;
    for line in lines.split('\n').map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = at(words[0].parse().unwrap());
        let rule = rule.for_holder(words[1].bytes().map(u64::from).sum());
        let evaluation = rule.evaluate(state.as_ref(), now, Cost::Now(1));
        let said = match evaluation.decision {
            Decision::Admit(balance) => format!("left {}", balance.remaining),
            Decision::Deny {
                retry_after,
                balance,
            } => {
                assert!(retry_after >= balance.next_unit_in && evaluation.after_charge.is_none());
                format!("wait {}", retry_after.seconds_up())
            }
            Decision::NeverFits(_) => "never".to_owned(),
        };
        assert_eq!(said, words[2..].join(" "), "{line}: {state:?}");
        state = evaluation.after_charge.or(state);
    }
}

#[test]
fn a_seat_is_kept_while_it_is_touched_and_lapses_then() {
    check(
        seats(1),
        "0 alice left 0
         10 bob wait 50
         59 bob wait 1
         59 alice left 0
         60 bob wait 59
         119 bob left 0
         119 alice wait 60",
    );
    check(
        seats(2),
        "0 alice left 1
         5 bob left 0
         20 carol wait 40
         21 alice left 0
         22 carol wait 43
         65 carol left 0
         81 dave left 0",
    );
}

#[test]
fn fewer_seats_hold_once_those_that_are_too_many_have_lapsed() {
    let mut state = None;
    for (second, holder) in [(0, 1), (10, 2), (20, 3)] {
        state = seats(3)
            .for_holder(holder)
            .evaluate(state.as_ref(), at(second), Cost::Now(1))
            .after_charge
            .or(state);
    }
    let fewer = seats(1)
        .for_holder(4)
        .evaluate(state.as_ref(), at(30), Cost::Now(1));
    let Decision::Deny {
        retry_after,
        balance,
    } = fewer.decision
    else {
        panic!()
    };
    assert_eq!(
        (retry_after, balance.overage, balance.next_unit_in),
        (Span::from_seconds(50), 2, Span::from_seconds(30))
    );
    let mine = seats(1)
        .for_holder(2)
        .evaluate(state.as_ref(), at(30), Cost::Now(1));
    assert!(mine.decision.admits(), "the holder of a seat keeps it");
}

#[test]
fn a_clock_that_stepped_back_locks_out_for_one_idle_time_at_most() {
    let state = seats(1)
        .for_holder(1)
        .evaluate(None, at(9_000), Cost::Now(1))
        .after_charge;
    let refused = seats(1)
        .for_holder(2)
        .evaluate(state.as_ref(), at(0), Cost::Now(1));
    let Decision::Deny { retry_after, .. } = refused.decision else {
        panic!()
    };
    assert_eq!(retry_after, Span::from_seconds(60));
    assert!(
        seats(1)
            .for_holder(2)
            .evaluate(refused.after_repair.as_ref(), at(60), Cost::Now(1))
            .decision
            .admits()
    );
}

#[test]
fn a_touch_that_is_given_back_leaves_the_seat_as_it_was() {
    let rule = seats(2);
    let first = rule
        .for_holder(1)
        .evaluate(None, at(0), Cost::Now(1))
        .after_charge
        .unwrap();
    let again = rule
        .for_holder(1)
        .evaluate(Some(&first), at(10), Cost::Now(1))
        .after_charge
        .unwrap();
    assert_eq!(
        again.refund(&again.charge(), at(11)).unwrap().holders,
        first.holders
    );
    assert_eq!(again.refund(&first.charge(), at(11)), None, "touched since");
    assert_eq!(
        first
            .refund(&first.charge(), at(11))
            .map(|state| state.holders),
        Some(Vec::new())
    );
    // At the same instant too.
    let twice = rule
        .for_holder(1)
        .evaluate(Some(&first), at(0), Cost::Now(1))
        .after_charge
        .unwrap();
    assert_eq!(twice.refund(&first.charge(), at(0)), None);
}

#[test]
fn seats_have_bounds() {
    assert!(Seats::new(SEATS_MAX, IDLE_MAX).is_some());
    for (seats, idle) in [
        (0, IDLE_MAX),
        (SEATS_MAX + 1, IDLE_MAX),
        (1, Span::ZERO),
        (1, IDLE_MAX.plus(IDLE_MAX)),
    ] {
        assert_eq!(Seats::new(seats, idle), None);
    }
}

proptest! {
    #[test]
    fn it_admits_as_an_oracle_that_knows_every_touch(
        number in 1..5_u32,
        // No two at one instant: the later of those is kept a nanosecond longer.
        steps in proptest::collection::vec((1..40_u64, 0..7_u64, any::<bool>()), 1..80),
    ) {
        let (mut state, mut now, mut touches) = (None, 0, BTreeMap::new());
        for (pause, holder, looks) in steps {
            now += pause;
            let is_live = |(_, touch): &(&u64, &u64)| *touch + 60 > now;
            let others = touches
                .iter()
                .filter(is_live)
                .filter(|(other, _)| **other != holder)
                .count();
            let holds = touches
                .iter()
                .filter(is_live)
                .any(|(other, _)| *other == holder);
            let cost = Cost::Now(u64::from(!looks));
            let evaluation = seats(number)
                .for_holder(holder)
                .evaluate(state.as_ref(), at(now), cost);
            let fits = holds || others < number as usize;
            prop_assert_eq!(evaluation.decision.admits(), fits || looks);
            if let Decision::Deny { retry_after, .. } = evaluation.decision {
                let again = |at| {
                    seats(number)
                        .for_holder(holder)
                        .evaluate(state.as_ref(), at, cost)
                        .decision
                        .admits()
                };
                let then = at(now).after(retry_after);
                prop_assert!(again(then) && !again(then.before(Span::from_nanos(1))));
            }
            prop_assert_eq!(evaluation.after_charge.is_some(), fits && !looks);
            if evaluation.after_charge.is_some() {
                touches.insert(holder, now);
                state = evaluation.after_charge;
            }
        }
    }
}

#[test]
fn a_forced_charge_without_a_free_seat_refunds_no_seat_of_others() {
    let (first, _) = seats(1).for_holder(1).force_charge(None, at(0), 1);
    let (state, balance) = seats(1).for_holder(2).force_charge(Some(&first), at(1), 1);
    assert_eq!(state.holders, first.holders);
    assert_eq!(
        (balance.remaining, state.refund(&state.charge(), at(2))),
        (0, None)
    );
}
