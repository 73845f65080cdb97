//! The contract of every store. A new store is finished when [`run`] passes.

use super::key::{Key, KeyMaker};
use super::{LimitCheck, Locked, Store};
use crate::base::id::{CounterOwner, LimitId};
use crate::base::time::{Span, Timestamp};
use crate::base::units::Refill;
use crate::base::zone::Zone;
use crate::host::fake::FixedClock;
use crate::limit::calendar::{Calendar, Over};
use crate::limit::gcra::Bucket;
use crate::limit::lock::Lock;
use crate::limit::period::Period;
use crate::limit::rolling::Rolling;
use crate::limit::seats::Seats;
use crate::limit::{Balance, Cost, Decision, Enforcement, FailureMode, Reading, Rule};

/// Any owner: it does not matter here.
const OWNER: CounterOwner = CounterOwner::Limit(LimitId::FIRST);

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// Makes a rule of one kind with this quota, whose units are not regained within seconds.
type Kind = fn(u32) -> Rule;

const KINDS: [Kind; 3] = [
    |quota| Rule::Bucket(Bucket::new(quota, Refill::parse("1/min").unwrap()).unwrap()),
    |quota| Rule::Rolling(Rolling::new(quota.into(), Span::from_seconds(60)).unwrap()),
    |quota| {
        Rule::Calendar(Calendar::new(quota.into(), Over::Refuse, Period::Day, Zone::UTC).unwrap())
    },
];

/// Runs the contract for rules of each kind, each test on its own store.
pub(super) fn run<S: Store>(mut new: impl FnMut() -> S) {
    for kind in KINDS {
        all_are_charged_or_none(&mut new(), kind);
        keys_are_apart(&mut new(), kind);
        many_checks_are_one_transaction(&mut new(), kind);
        refunded_units_can_be_charged_again(&mut new(), kind);
        a_refusal_stores_the_repair_of_a_clock_that_stepped_back(&mut new(), kind);
        a_cost_of_zero_only_reads(&mut new(), kind);
        a_look_finds_the_counter_and_changes_none(&mut new(), kind);
        the_next_request_sees_what_was_force_charged(&mut new(), kind);
        a_shadow_check_refuses_no_request(&mut new(), kind);
        a_lock_outlasts_what_becomes_available(&mut new(), kind);
        a_reset_begins_one_counter_anew(&mut new(), kind);
    }
    kinds_go_together(&mut new());
    a_refused_try_touches_no_seat(&mut new());
    a_seat_is_as_it_was_once_its_touch_is_refunded(&mut new());
    seats_are_repaired_after_a_clock_step(&mut new());
}

fn key(name: &str) -> Key {
    KeyMaker::new(&[7; 16], 11)
        .partition(name.as_bytes())
        .finish()
}

fn check(kind: Kind, name: &str, quota: u32, cost: u64) -> LimitCheck {
    LimitCheck::new(
        OWNER,
        key(name),
        kind(quota),
        Cost::Now(cost),
        FailureMode::Deny,
    )
}

fn remaining(store: &mut impl Store, kind: Kind, name: &str, quota: u32) -> u64 {
    let mut checks = [check(kind, name, quota, 0)];
    assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
    match checks[0].answer {
        Ok(Decision::Admit(Balance { remaining, .. })) => remaining,
        ref other => panic!("{other:?}"),
    }
}

fn all_are_charged_or_none(store: &mut impl Store, kind: Kind) {
    let both = || [check(kind, "user", 5, 1), check(kind, "org", 2, 1)];
    for _ in 0..2 {
        assert!(store.try_charge_all(&mut both(), NOW, &FixedClock(NOW)));
    }
    let mut refused = both();
    assert!(!store.try_charge_all(&mut refused, NOW, &FixedClock(NOW)));
    assert!(refused[0].admits() && !refused[1].admits());
    assert!(refused.iter().all(|check| check.charge.is_none()));
    assert_eq!(remaining(store, kind, "user", 5), 3);
    assert_eq!(remaining(store, kind, "org", 2), 0);
}

fn keys_are_apart(store: &mut impl Store, kind: Kind) {
    for name in 0..500 {
        assert!(store.try_charge_all(
            &mut [check(kind, &format!("key {name}"), 3, 1)],
            NOW,
            &FixedClock(NOW)
        ));
    }
    for name in 0..500 {
        assert_eq!(remaining(store, kind, &format!("key {name}"), 3), 2);
    }
}

fn many_checks_are_one_transaction(store: &mut impl Store, kind: Kind) {
    let names: Vec<String> = (0..40).map(|name| format!("limit {name}")).collect();
    let checks = |last: u32| -> Vec<LimitCheck> {
        let quota = |index: usize| if index == 39 { last } else { 10 };
        names
            .iter()
            .enumerate()
            .map(|(index, name)| check(kind, name, quota(index), 2))
            .collect()
    };
    assert!(store.try_charge_all(&mut checks(3), NOW, &FixedClock(NOW)));
    assert!(!store.try_charge_all(&mut checks(3), NOW, &FixedClock(NOW)));
    assert!(
        names[..39]
            .iter()
            .all(|name| remaining(store, kind, name, 10) == 8)
    );
}

fn refunded_units_can_be_charged_again(store: &mut impl Store, kind: Kind) {
    for _ in 0..50 {
        let mut checks = [check(kind, "user", 5, 5), check(kind, "org", 5, 5)];
        assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
        for check in &checks {
            let reading = store
                .refund(
                    &check.key,
                    &check.rule,
                    &check.charge.unwrap(),
                    &FixedClock(NOW),
                )
                .unwrap();
            assert_eq!(
                (
                    reading.balance.remaining,
                    reading.balance.overage,
                    reading.at
                ),
                (5, 0, NOW)
            );
        }
    }
    assert_eq!(remaining(store, kind, "user", 5), 5);
}

fn a_refusal_stores_the_repair_of_a_clock_that_stepped_back(store: &mut impl Store, kind: Kind) {
    let day = Span::from_seconds(86_400);
    let later = NOW.after(day.times(20));
    assert!(store.try_charge_all(&mut [check(kind, "user", 3, 3)], later, &FixedClock(later)));
    let mut refused = [check(kind, "user", 3, 1)];
    assert!(!store.try_charge_all(&mut refused, NOW, &FixedClock(NOW)));
    assert!(refused[0].is_ahead_of_clock);
    store.repair(&mut refused, &FixedClock(NOW));
    let then = NOW.after(day);
    assert!(store.try_charge_all(&mut [check(kind, "user", 3, 1)], then, &FixedClock(then)));
}

fn a_cost_of_zero_only_reads(store: &mut impl Store, kind: Kind) {
    for _ in 0..10 {
        assert_eq!(remaining(store, kind, "user", 3), 3);
    }
}

fn a_look_finds_the_counter_and_changes_none(store: &mut impl Store, kind: Kind) {
    let look = |store: &dyn Fn(Timestamp) -> Reading, now| store(now).balance.remaining;
    let rule = kind(3);
    for (taken, left) in [(0, 3), (1, 2), (2, 0)] {
        assert_eq!(
            store.try_charge_all(&mut [check(kind, "user", 3, taken)], NOW, &FixedClock(NOW)),
            taken <= 3
        );
        let peek = |now| store.peek(&key("user"), &rule, &FixedClock(now)).unwrap();
        // A clock that stepped back finds a counter that holds for no longer than its window.
        let before = NOW.before(Span::from_seconds(999_999));
        for now in [NOW, before, NOW] {
            assert!(peek(now).balance.reset_in <= rule.window(now), "{now:?}");
        }
        assert_eq!(look(&peek, NOW), left);
        assert_eq!(remaining(store, kind, "user", 3), left);
        assert_eq!(
            remaining(store, kind, "other", 3),
            3,
            "a look creates nothing"
        );
    }
}

fn the_next_request_sees_what_was_force_charged(store: &mut impl Store, kind: Kind) {
    let later = |units| {
        [LimitCheck {
            cost: Cost::Reserved(units),
            ..check(kind, "user", 3, 0)
        }]
    };
    let mut last = None;
    for units in [2, 9] {
        let mut checks = later(0);
        assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
        assert!(checks[0].charge.is_none());
        let (Reading { balance, at }, charge) = store
            .force_charge(&checks[0].key, &checks[0].rule, units, &FixedClock(NOW))
            .unwrap();
        assert_eq!(at, NOW);
        assert_eq!(
            (balance.remaining, balance.overage),
            if units == 2 { (1, 0) } else { (0, 8) }
        );
        last = Some((checks[0].key, charge));
    }
    assert!(!store.try_charge_all(&mut later(1), NOW, &FixedClock(NOW)));
    let (key, charge) = last.unwrap();
    let reading = store
        .refund(&key, &kind(3), &charge, &FixedClock(NOW))
        .unwrap();
    assert_eq!((reading.balance.remaining, reading.balance.overage), (1, 0));
    assert_eq!(
        remaining(store, kind, "user", 3),
        1,
        "as before it was overdrawn"
    );
}

fn a_lock_outlasts_what_becomes_available(store: &mut impl Store, kind: Kind) {
    let span = Span::from_seconds(300_000);
    let with_lock = |name: &str, cost| LimitCheck {
        lock: Some(Lock::new(span)),
        ..check(kind, name, 2, cost)
    };
    let mut both = [with_lock("user", 3), with_lock("other", 1)];
    let clock = FixedClock(NOW);
    assert!(!store.try_charge_all(&mut both, NOW, &clock));
    assert!(both[0].begins_lock() && !both[1].begins_lock());
    store.lock(&mut both[0], &clock);
    assert_eq!(both[0].locked, Locked::ByThis);
    // For every cost, and although all units are there.
    for (later, cost) in [(0, 1), (299_999, 2), (299_999, 0)] {
        let now = NOW.after(Span::from_seconds(later));
        let mut checks = [with_lock("user", cost), with_lock("other", 1)];
        assert!(!store.try_charge_all(&mut checks, now, &FixedClock(now)));
        assert_eq!(checks[0].locked, Locked::Before);
        assert!(!checks[0].begins_lock(), "it is not extended");
        let Ok(Decision::Deny {
            retry_after,
            balance,
        }) = checks[0].answer
        else {
            panic!("{:?}", checks[0].answer)
        };
        let left = span.less(Span::from_seconds(later));
        assert_eq!((retry_after, balance.reset_in), (left, left));
        assert_eq!(balance.remaining, 0);
        assert!(checks[1].charge.is_none());
    }
    let end = NOW.after(span);
    let mut checks = [with_lock("user", 2), with_lock("other", 2)];
    assert!(store.try_charge_all(&mut checks, end, &FixedClock(end)));
    assert_eq!(checks[0].locked, Locked::No);
}

fn a_reset_begins_one_counter_anew(store: &mut impl Store, kind: Kind) {
    let with_lock = |cost| LimitCheck {
        lock: Some(Lock::new(Span::from_seconds(300))),
        ..check(kind, "user", 5, cost)
    };
    assert_eq!(store.reset(&key("user")), Ok(false), "there is none yet");
    let mut before = [with_lock(5), check(kind, "other", 5, 3)];
    assert!(store.try_charge_all(&mut before, NOW, &FixedClock(NOW)));
    let mut refused = [with_lock(1)];
    assert!(!store.try_charge_all(&mut refused, NOW, &FixedClock(NOW)));
    store.lock(&mut refused[0], &FixedClock(NOW));

    assert_eq!(store.reset(&key("user")), Ok(true));
    assert_eq!(store.reset(&key("user")), Ok(false));
    assert_eq!(remaining(store, kind, "other", 5), 2);
    let later = NOW.after(Span::from_seconds(1));
    assert!(store.try_charge_all(&mut [with_lock(5)], later, &FixedClock(later)));
    // A failure of a request from before the reset returns nothing.
    let charge = before[0].charge.unwrap();
    let clock = FixedClock(later);
    let reading = store.refund(&before[0].key, &before[0].rule, &charge, &clock);
    assert_eq!(reading.unwrap().balance.remaining, 0);
    assert!(!store.try_charge_all(&mut [with_lock(1)], later, &clock));
}

fn a_shadow_check_refuses_no_request(store: &mut impl Store, kind: Kind) {
    let shadow = || LimitCheck {
        enforcement: Enforcement::Shadow,
        ..check(kind, "next", 1, 1)
    };
    for round in 0..3 {
        let mut checks = [check(kind, "user", 3, 1), shadow()];
        assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
        assert_eq!(
            (checks[1].denies(), checks[1].charge.is_none()),
            (round > 0, round > 0)
        );
    }
    assert!(
        !store.try_charge_all(&mut [check(kind, "user", 3, 1)], NOW, &FixedClock(NOW)),
        "the enforced one was charged each time"
    );
}

fn kinds_go_together(store: &mut impl Store) {
    let all = |last: u32| {
        let mut checks: Vec<LimitCheck> = Vec::new();
        for (number, kind) in KINDS.into_iter().enumerate() {
            checks.extend((0..5).map(|name| check(kind, &format!("{number} {name}"), 9, 1)));
        }
        checks.push(check(KINDS[1], "last", last, 1));
        checks
    };
    assert!(store.try_charge_all(&mut all(1), NOW, &FixedClock(NOW)));
    for _ in 0..20 {
        assert!(!store.try_charge_all(&mut all(1), NOW, &FixedClock(NOW)));
    }
    for (number, kind) in KINDS.into_iter().enumerate() {
        assert!((0..5).all(|name| remaining(store, kind, &format!("{number} {name}"), 9) == 8));
    }
}

fn seat(name: &str, seats: u32, holder: u64) -> LimitCheck {
    let rule = Rule::Seats(
        Seats::new(seats, Span::from_seconds(60))
            .unwrap()
            .for_holder(holder),
    );
    LimitCheck::new(OWNER, key(name), rule, Cost::Now(1), FailureMode::Deny)
}

fn a_refused_try_touches_no_seat(store: &mut impl Store) {
    let later = |seconds| NOW.after(Span::from_seconds(seconds));
    let mut take =
        |checks: &mut [LimitCheck], at| store.try_charge_all(checks, at, &FixedClock(at));
    assert!(take(&mut [seat("record", 1, 1)], NOW));
    // Refused by the seat, which then takes no units; refused by the units, which then touches no
    // seat.
    assert!(!take(
        &mut [check(KINDS[0], "user", 1, 1), seat("record", 1, 2)],
        later(50)
    ));
    assert!(take(&mut [check(KINDS[0], "user", 1, 1)], later(50)));
    assert!(!take(
        &mut [seat("record", 1, 1), check(KINDS[0], "user", 1, 1)],
        later(50)
    ));
    let mut refused = [seat("record", 1, 2)];
    assert!(!take(&mut refused, later(59)));
    let Ok(Decision::Deny { retry_after, .. }) = refused[0].answer else {
        panic!("{:?}", refused[0].answer);
    };
    assert_eq!(retry_after, Span::from_seconds(1));
    assert!(take(&mut refused, later(60)));
}

fn a_seat_is_as_it_was_once_its_touch_is_refunded(store: &mut impl Store) {
    for holder in 0..9 {
        let mut checks = [seat("record", 1, holder)];
        assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
        let [check] = &checks;
        assert!(
            store
                .refund(
                    &check.key,
                    &check.rule,
                    &check.charge.unwrap(),
                    &FixedClock(NOW)
                )
                .is_ok()
        );
    }
}

fn seats_are_repaired_after_a_clock_step(store: &mut impl Store) {
    let later = NOW.after(Span::from_seconds(9_000));
    assert!(store.try_charge_all(&mut [seat("record", 1, 1)], later, &FixedClock(later)));
    let mut refused = [seat("record", 1, 2)];
    assert!(!store.try_charge_all(&mut refused, NOW, &FixedClock(NOW)));
    assert!(refused[0].is_ahead_of_clock);
    store.repair(&mut refused, &FixedClock(NOW));
    let then = NOW.after(Span::from_seconds(60));
    assert!(store.try_charge_all(&mut refused, then, &FixedClock(then)));
}
