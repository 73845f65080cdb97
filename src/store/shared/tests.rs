//! The shared store over a fake map: the contract, the bound on memory, faults.

mod held;

use std::cell::Cell;
use std::rc::Rc;

use super::geometry::HOST_KEY_BYTES;
use super::*;
use crate::base::id::{CounterOwner, LimitId};
use crate::base::time::Span;
use crate::base::units::Refill;
use crate::base::zone::Zone;
use crate::host::fake::predicting::PredictingWorker;
use crate::host::fake::{FakeData, FixedClock};
use crate::host::shared::Swap;
use crate::host::shared::Version;
use crate::host::shared::predictor::{PREDICTION_AGE_MAX, VersionPredictor};
use crate::limit::calendar::{Calendar, Over};
use crate::limit::gcra::Bucket;
use crate::limit::period::Period;
use crate::limit::rolling::Rolling;
use crate::limit::seats::Seats;
use crate::limit::{Cost, FailureMode, Rule};
use crate::store::record;

/// Any owner: it does not matter here.
const OWNER: CounterOwner = CounterOwner::Limit(LimitId::FIRST);

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn open(data: &FakeData, keys_max: u32) -> SharedStore<FakeData> {
    SharedStore::open(data.clone(), "demo", keys_max, &[3; 16]).unwrap()
}

fn bucket() -> Rule {
    Rule::Bucket(Bucket::new(10, Refill::parse("1/h").unwrap()).unwrap())
}

fn check(store: &SharedStore<FakeData>, name: u32, failure: FailureMode) -> LimitCheck {
    LimitCheck::new(
        OWNER,
        store.keys().partition(&name.to_le_bytes()).finish(),
        bucket(),
        Cost::Now(1),
        failure,
    )
}

#[test]
fn it_keeps_the_contract() {
    super::super::contract::run(|| open(&FakeData::default(), 1_000));
}

#[test]
fn a_flood_of_random_keys_stays_within_the_bound() {
    let rolling = Rule::Rolling(Rolling::new(40, Span::from_seconds(3_600)).unwrap());
    for rule in [bucket(), rolling] {
        let data = FakeData::default();
        let mut store = open(&data, 2_000);
        for name in 0..150_000 {
            let check = LimitCheck {
                rule,
                ..check(&store, name, FailureMode::Deny)
            };
            assert!(store.try_charge_all(&mut [check], NOW, &FixedClock(NOW)));
        }
        assert!(store.drain_stats().evicted > 140_000);
        let map = data.map.borrow();
        let bytes: u64 = map
            .values
            .values()
            .map(|(value, _)| value.len() as u64 + HOST_KEY_BYTES)
            .sum();
        let bound =
            Geometry::new(2_000).bytes_max(record::bytes_max(&rule)) + 2 * (HOST_KEY_BYTES + 16);
        assert!(
            bytes <= bound,
            "{bytes} bytes, and at most {bound} are stated"
        );
    }
}

fn bucket_of(burst: u32, refill: &str) -> Rule {
    Rule::Bucket(Bucket::new(burst, Refill::parse(refill).unwrap()).unwrap())
}

fn rolling(quota: u64, seconds: u64) -> Rule {
    Rule::Rolling(Rolling::new(quota, Span::from_seconds(seconds)).unwrap())
}

fn calendar(quota: u64, period: Period) -> Rule {
    Rule::Calendar(Calendar::new(quota, Over::Refuse, period, Zone::UTC).unwrap())
}

/// One seat, asked for by the first holder.
fn seats(idle: u64) -> Rule {
    Rule::Seats(
        Seats::new(1, Span::from_seconds(idle))
            .unwrap()
            .for_holder(1),
    )
}

/// A caller that has used up its quota stays without units, whatever another sends under invented
/// keys of another limit: by bytes, of which a request takes many; and by requests of which one is
/// all there is.
#[test]
fn a_flood_of_one_limit_does_not_give_another_limits_callers_a_new_quota() {
    let floods = [
        (calendar(1_000_000, Period::Months(1)), 100),
        (calendar(100, Period::Months(1)), 100),
        (calendar(100, Period::Months(12)), 100),
        (rolling(1_000_000_000, 60), 100),
        (rolling(1, 31_622_400), 1),
        (bucket_of(1_000_000, "100/min"), 1_000_000),
        (bucket_of(300, "1/d"), 300),
        (seats(86_400), 1),
    ];
    let victims = [
        (calendar(3, Period::Months(1)), 3),
        (rolling(3, 86_400), 3),
        (bucket_of(3, "1/d"), 3),
        (seats(600), 1),
    ];
    for (victim, units) in victims {
        for (flood, each) in floods {
            let mut store = open(&FakeData::default(), 100);
            let check = |store: &SharedStore<FakeData>, limit: &[u8], name: u32, rule, units| {
                let mut key = store.keys().partition(limit);
                key.push(Some(&name.to_le_bytes()));
                LimitCheck::new(
                    OWNER,
                    key.finish(),
                    rule,
                    Cost::Now(units),
                    FailureMode::Deny,
                )
            };
            // Twenty callers: less than half of the store is theirs.
            for name in 0..20 {
                let check = check(&store, b"logins", name, victim, units);
                assert!(store.try_charge_all(&mut [check], NOW, &FixedClock(NOW)));
            }
            for name in 0..3_000 {
                let check = check(&store, b"uploads", name, flood, each);
                assert!(store.try_charge_all(&mut [check], NOW, &FixedClock(NOW)));
            }
            assert!(store.drain_stats().evicted > 2_000);
            let for_another = match victim {
                Rule::Seats(seats) => Rule::Seats(seats.for_holder(2)),
                Rule::Bucket(_)
                | Rule::Rolling(_)
                | Rule::Calendar(_)
                | Rule::Lock(_)
                | Rule::Lease(_) => victim,
            };
            let renewed = (0..20).filter(|name| {
                let check = check(&store, b"logins", *name, for_another, 1);
                store.try_charge_all(&mut [check], NOW, &FixedClock(NOW))
            });
            assert_eq!(renewed.count(), 0, "{victim:?}, flooded by {flood:?}");
        }
    }
}

#[test]
fn the_counters_of_all_workers_are_counted() {
    let data = FakeData::default();
    let mut stores = [open(&data, 500), open(&data, 500)];
    assert!(stores[0].is_new() && !stores[1].is_new());
    for name in 0..3_000 {
        let store = &mut stores[usize::from(name % 3 == 0)];
        let check = check(store, name % 1_500, FailureMode::Deny);
        store.try_charge_all(&mut [check], NOW, &FixedClock(NOW));
    }
    let added = stores.each_mut().map(|store| store.drain_stats().added);
    let pages = (0..Geometry::new(500).pages).map(|number| stores[0].load(number).page);
    let stored: usize = pages.map(|page| page.unwrap().records().count()).sum();
    assert_eq!(usize::try_from(added[0] + added[1]), Ok(stored));
}

#[test]
fn as_many_keys_as_stated_live_without_loss() {
    let mut store = open(&FakeData::default(), 20_000);
    for name in 0..20_000 {
        let check = check(&store, name, FailureMode::Deny);
        assert!(store.try_charge_all(&mut [check], NOW, &FixedClock(NOW)));
    }
    assert_eq!(store.drain_stats().evicted, 0);
}

#[test]
fn another_keys_max_keeps_the_counts() {
    let data = FakeData::default();
    for keys_max in [1_000, 100_000, 500] {
        let mut store = open(&data, keys_max);
        let mut checks = [check(&store, 1, FailureMode::Deny)];
        assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
    }
    let mut store = open(&data, 7_000);
    for _ in 0..7 {
        let check = check(&store, 1, FailureMode::Deny);
        assert!(store.try_charge_all(&mut [check], NOW, &FixedClock(NOW)));
    }
    let check = check(&store, 1, FailureMode::Deny);
    assert!(
        !store.try_charge_all(&mut [check], NOW, &FixedClock(NOW)),
        "ten units were taken under four sizes"
    );
}

#[test]
fn all_workers_agree_on_the_first_secret() {
    let data = FakeData::default();
    let first = SharedStore::open(data.clone(), "demo", 100, &[1; 16]).unwrap();
    let second = SharedStore::open(data, "demo", 100, &[2; 16]).unwrap();
    assert_eq!(
        first.keys().partition(b"x").finish(),
        second.keys().partition(b"x").finish()
    );
}

#[test]
fn a_fault_leaves_the_verdict_to_the_failure_mode() {
    let data = FakeData::default();
    let mut store = open(&data, 100);
    data.fault.set(Some(Fault::HostStatus(10)));
    let mut checks = [check(&store, 1, FailureMode::Allow)];
    assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
    assert_eq!(checks[0].answer, Err(Fault::HostStatus(10)));
    let mut checks = [
        check(&store, 1, FailureMode::Allow),
        check(&store, 2, FailureMode::Deny),
    ];
    assert!(!store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
}

#[test]
fn a_broken_page_is_a_fault_and_stays_untouched() {
    let data = FakeData::default();
    let mut store = open(&data, 30);
    data.swap(&page_key(table_of("demo"), 0), b"broken", Version::ABSENT)
        .unwrap();
    let mut checks = [check(&store, 1, FailureMode::Allow)];
    assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
    assert_eq!(checks[0].answer, Err(Fault::BadRecord));
    assert_eq!(checks[0].charge, None);
}

#[test]
fn a_read_that_fails_after_a_conflict_obeys_the_failure_mode() {
    for (failure, admitted) in [(FailureMode::Deny, false), (FailureMode::Allow, true)] {
        let data = FakeData::default();
        let mut store = SharedStore::open(data.clone(), "demo", 40, &[3; 16]).unwrap();
        data.swap.set(Some(Ok(Swap::Conflict)));
        data.fault_after_swap.set(Some(Fault::HostStatus(10)));
        let mut checks = [LimitCheck::new(
            OWNER,
            store.keys().partition(b"x").finish(),
            bucket(),
            Cost::Now(1),
            failure,
        )];
        assert_eq!(
            store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)),
            admitted
        );
        assert_eq!(
            (checks[0].answer, checks[0].charge),
            (Err(Fault::HostStatus(10)), None)
        );
    }
}

#[test]
fn what_cannot_be_written_is_a_fault_and_charges_nothing() {
    for (ends, fault) in [
        (Ok(Swap::Conflict), Fault::Contended),
        (Err(Fault::HostStatus(10)), Fault::HostStatus(10)),
    ] {
        for (failure, admitted) in [(FailureMode::Deny, false), (FailureMode::Allow, true)] {
            let data = FakeData::default();
            let mut store = SharedStore::open(data.clone(), "demo", 40, &[3; 16]).unwrap();
            let mut checks = [LimitCheck::new(
                OWNER,
                store.keys().partition(b"x").finish(),
                bucket(),
                Cost::Now(1),
                failure,
            )];
            assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
            let charge = checks[0].charge.unwrap();
            data.swap.set(Some(ends));
            assert_eq!(
                store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)),
                admitted
            );
            assert_eq!((checks[0].answer, checks[0].charge), (Err(fault), None));
            assert_eq!(
                store.refund(&checks[0].key, &checks[0].rule, &charge, &FixedClock(NOW)),
                Err(fault)
            );
        }
    }
}

#[test]
fn nothing_is_refunded_to_an_empty_store() {
    let mut store = open(&FakeData::default(), 100);
    let mut checks = [check(&store, 1, FailureMode::Deny)];
    assert!(store.try_charge_all(&mut checks, NOW, &FixedClock(NOW)));
    let charge = checks[0].charge.unwrap();
    let mut empty = open(&FakeData::default(), 100);
    let reading = empty
        .refund(&checks[0].key, &checks[0].rule, &charge, &FixedClock(NOW))
        .unwrap();
    assert_eq!(
        (reading.balance.remaining, reading.balance.reset_in),
        (checks[0].rule.quota(), Span::ZERO)
    );
}

type PredictingStore = SharedStore<PredictingWorker<FakeData>>;

/// The store of one more worker over the same shared data, and the counter of the worker's reads.
fn predicting(data: &FakeData) -> (PredictingStore, Rc<Cell<u32>>) {
    let data = data.for_another_worker();
    let reads = Rc::clone(&data.reads);
    let worker = PredictingWorker::new(data, Some(VersionPredictor::default()));
    (
        SharedStore::open(worker, "demo", 1_000, &[3; 16]).unwrap(),
        reads,
    )
}

fn ask(store: &mut PredictingStore, now: Timestamp) -> (bool, LimitCheck) {
    let key = store.keys().partition(b"one").finish();
    let mut checks = [LimitCheck::new(
        OWNER,
        key,
        bucket(),
        Cost::Now(1),
        FailureMode::Deny,
    )];
    let admitted = store.try_charge_all(&mut checks, now, &FixedClock(now));
    let [check] = checks;
    (admitted, check)
}

#[test]
fn a_worker_that_is_alone_reads_a_page_once() {
    let (mut store, reads) = predicting(&FakeData::default());
    let opened = reads.get();
    assert!((0..10).all(|_| ask(&mut store, NOW).0));
    assert_eq!(reads.get(), opened + 1);
    // A page that may be outdated refuses no request.
    assert!(!ask(&mut store, NOW).0);
    assert_eq!(reads.get(), opened + 2);
}

#[test]
fn what_another_worker_wrote_is_seen() {
    let data = FakeData::default();
    let mut stores = [predicting(&data).0, predicting(&data).0];
    let mut admitted = Vec::new();
    for turn in [0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1] {
        let (fits, check) = ask(&mut stores[turn], NOW);
        admitted.extend(fits.then_some(check));
    }
    assert_eq!(admitted.len(), 10);
    // The first one remembers a page that is full; the other gives a unit back.
    let charge = admitted[0].charge.unwrap();
    stores[1]
        .refund(
            &admitted[0].key,
            &admitted[0].rule,
            &charge,
            &FixedClock(NOW),
        )
        .unwrap();
    assert!(ask(&mut stores[0], NOW).0);
    // One after the other: cached pages were out of date at times, and no two workers wrote at the
    // same moment.
    assert!(
        stores
            .iter_mut()
            .all(|store| store.drain_stats().conflicts == 0)
    );
}

#[test]
fn what_was_recalled_long_ago_is_read() {
    let (mut store, reads) = predicting(&FakeData::default());
    assert!(ask(&mut store, NOW).0);
    let before = reads.get();
    assert!(ask(&mut store, NOW.after(PREDICTION_AGE_MAX)).0);
    assert_eq!(reads.get(), before + 1);
}
