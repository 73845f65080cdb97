//! What every store must do. A new store is finished when [`run`] passes.

use super::key::{Key, KeyMaker};
use super::{Claim, Store};
use crate::base::time::{Span, Timestamp};
use crate::base::units::Refill;
use crate::host::fake::At;
use crate::limit::gcra::Bucket;
use crate::limit::{Decision, FailureMode};

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// Runs all of it, each test on a store of its own.
pub(super) fn run<S: Store>(mut new: impl FnMut() -> S) {
    all_are_charged_or_none(&mut new());
    keys_are_apart(&mut new());
    many_claims_are_one_transaction(&mut new());
    what_is_given_back_can_be_taken_again(&mut new());
    a_refusal_stores_the_repair_of_a_clock_that_stepped_back(&mut new());
    a_cost_of_zero_only_looks(&mut new());
}

fn bucket(burst: u32) -> Bucket {
    Bucket::new(burst, Refill::parse("60/min").unwrap()).unwrap()
}

fn key(name: &str) -> Key {
    KeyMaker::new(&[7; 16], 11).partition(name.as_bytes()).finish()
}

fn claim(name: &str, burst: u32, cost: u32) -> Claim {
    Claim::new(key(name), bucket(burst), cost, FailureMode::Deny)
}

fn remaining(store: &mut impl Store, name: &str, burst: u32) -> u64 {
    let mut claims = [claim(name, burst, 0)];
    assert!(store.take(&mut claims, NOW, &At(NOW)));
    match claims[0].answer {
        Ok(Decision::Admit { remaining, .. }) => remaining,
        ref other => panic!("{other:?}"),
    }
}

fn all_are_charged_or_none(store: &mut impl Store) {
    for _ in 0..2 {
        assert!(store.take(&mut [claim("user", 5, 1), claim("org", 2, 1)], NOW, &At(NOW)));
    }
    let mut refused = [claim("user", 5, 1), claim("org", 2, 1)];
    assert!(!store.take(&mut refused, NOW, &At(NOW)));
    assert!(refused[0].admits() && !refused[1].admits());
    assert!(refused.iter().all(|claim| claim.charge.is_none()));
    assert_eq!(remaining(store, "user", 5), 3);
    assert_eq!(remaining(store, "org", 2), 0);
}

fn keys_are_apart(store: &mut impl Store) {
    for name in 0..500 {
        assert!(store.take(&mut [claim(&format!("key {name}"), 3, 1)], NOW, &At(NOW)));
    }
    for name in 0..500 {
        assert_eq!(remaining(store, &format!("key {name}"), 3), 2);
    }
}

fn many_claims_are_one_transaction(store: &mut impl Store) {
    let names: Vec<String> = (0..40).map(|name| format!("limit {name}")).collect();
    let claims = |last: u32| -> Vec<Claim> {
        names.iter().enumerate().map(|(index, name)| claim(name, if index == 39 { last } else { 10 }, 2)).collect()
    };
    assert!(store.take(&mut claims(3), NOW, &At(NOW)));
    assert!(!store.take(&mut claims(3), NOW, &At(NOW)));
    assert!(names[..39].iter().all(|name| remaining(store, name, 10) == 8));
}

fn what_is_given_back_can_be_taken_again(store: &mut impl Store) {
    for _ in 0..50 {
        let mut claims = [claim("user", 5, 5), claim("org", 5, 5)];
        assert!(store.take(&mut claims, NOW, &At(NOW)));
        for claim in &claims {
            assert_eq!(store.give_back(&claim.key, &claim.charge.unwrap(), &At(NOW)), Ok(()));
        }
    }
    assert_eq!(remaining(store, "user", 5), 5);
}

fn a_refusal_stores_the_repair_of_a_clock_that_stepped_back(store: &mut impl Store) {
    let later = NOW.after(Span::from_seconds(1_000));
    assert!(store.take(&mut [claim("user", 3, 3)], later, &At(later)));
    let mut refused = [claim("user", 3, 1)];
    assert!(!store.take(&mut refused, NOW, &At(NOW)));
    assert!(refused[0].in_need_of_repair);
    store.repair(&refused, &At(NOW));
    assert!(store.take(&mut [claim("user", 3, 1)], NOW.after(Span::from_seconds(1)), &At(NOW)));
}

fn a_cost_of_zero_only_looks(store: &mut impl Store) {
    for _ in 0..10 {
        assert_eq!(remaining(store, "user", 3), 3);
    }
}
