//! Reservations that are settled later, in any order, by several workers.

use super::*;
use crate::store::key::Key;

/// Units of the one counter that all workers share.
const QUOTA: u64 = 40;

/// A request that is under way.
struct Open {
    key: Key,
    rule: Rule,
    charge: Charge,
    reserved: u64,
    cost: u64,
}

/// The settlements of one worker: the reservation and the cost of each request.
#[derive(Default)]
struct Settled {
    requests: Vec<(u64, u64)>,
    /// Changes that met a fault.
    stuck: u64,
    survived: bool,
}

fn rules() -> [Rule; 3] {
    let slow = Refill::parse("1/h").unwrap();
    [
        Rule::Bucket(Bucket::new(QUOTA as u32, slow).unwrap()),
        Rule::Rolling(Rolling::new(QUOTA, Span::from_seconds(3_600)).unwrap()),
        Rule::Calendar(Calendar::new(QUOTA, Over::Refuse, Period::Day, Zone::UTC).unwrap()),
    ]
}

fn work(worker: &Worker, rule: Rule) -> Settled {
    let mut settled = Settled::default();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let data = PredictingWorker::new(worker.clone(), None);
        let mut store = SharedStore::open(data, "demo", 200, &[9; 16]).unwrap();
        let mut open: Vec<Open> = Vec::new();
        for _ in 0..40 {
            let (begins, which) = worker.call(|world| (world.below(2) == 0, world.below(8)));
            if begins {
                open.extend(begin(worker, &mut store, rule, &mut settled));
            } else if !open.is_empty() {
                let request = open.swap_remove(which as usize % open.len());
                settle(worker, &mut store, &request, &mut settled);
            }
        }
        for request in open {
            settle(worker, &mut store, &request, &mut settled);
        }
    }));
    settled.survived = lived.is_ok();
    worker.end();
    settled
}

/// Begins a request that may cost less or more than it reserves.
fn begin(
    worker: &Worker,
    store: &mut SharedStore<PredictingWorker<Worker>>,
    rule: Rule,
    settled: &mut Settled,
) -> Option<Open> {
    let (now, reserved, cost) =
        worker.call(|world| (world.clock, 1 + world.below(9), world.below(13)));
    let key = store.keys().partition(b"one").finish();
    let cost_now = Cost::Reserved(reserved);
    let mut checks = [LimitCheck::new(
        OWNER,
        key,
        rule,
        cost_now,
        FailureMode::Deny,
    )];
    let verdict = decide(store, worker, &mut checks, &mut Timestamp::from_nanos(now));
    settled.stuck += u64::from(checks[0].answer.is_err());
    (verdict == Verdict::Admit).then(|| Open {
        key,
        rule,
        charge: checks[0].charge.unwrap(),
        reserved,
        cost,
    })
}

/// Settles a request, as the filter does.
fn settle(
    worker: &Worker,
    store: &mut SharedStore<PredictingWorker<Worker>>,
    request: &Open,
    settled: &mut Settled,
) {
    let Open {
        key,
        rule,
        charge,
        reserved,
        cost,
    } = request;
    let is_stuck = if cost > reserved {
        store
            .force_charge(key, rule, cost - reserved, worker)
            .is_err()
    } else if let (_, Some(rest)) = charge.split(*cost) {
        store.refund(key, rule, &rest, worker).is_err()
    } else {
        false
    };
    settled.stuck += u64::from(is_stuck);
    settled.requests.push((*reserved, *cost));
}

#[test]
fn late_costs_admit_no_more_than_the_quota_and_what_exceeds_a_reservation() {
    silence_deaths();
    for_each_seed(0..300, |seed| {
        let rule = rules()[seed as usize % 3];
        let rates = Rates {
            turns: ALWAYS,
            conflicts: [0, 5_000][seed as usize / 3 % 2],
            deaths: [0, 0, 400][seed as usize / 6 % 3],
            ..Rates::default()
        };
        let clock = WallClock {
            tick: 1,
            steps: 0,
            elapsed: 0,
            stepped: 0,
        };
        let workers = World::new(seed, 2 + seed as usize % 3, START, rates, clock).ports();
        let last = workers[0].clone();
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| std::thread::spawn(move || work(&worker, rule)))
            .collect();
        let all: Vec<Settled> = threads.into_iter().map(|it| it.join().unwrap()).collect();
        let requests = || all.iter().flat_map(|one| &one.requests);
        let within: u64 = requests().map(|(reserved, cost)| cost.min(reserved)).sum();
        assert!(within <= QUOTA, "seed {seed}, {rule:?}: {within} units");
        let survived = all.iter().all(|one| one.survived);
        let stuck: u64 = all.iter().map(|one| one.stuck).sum();
        if survived && stuck == 0 {
            // Units that were not spent are available again.
            let cost: u64 = requests().map(|(_, cost)| cost).sum();
            let mut store = SharedStore::open(last.alone(), "demo", 200, &[0; 16]).unwrap();
            let key = store.keys().partition(b"one").finish();
            let look = Cost::Now(0);
            let mut checks = [LimitCheck::new(OWNER, key, rule, look, FailureMode::Deny)];
            let now = Timestamp::from_nanos(last.alone().between(|world| world.clock));
            assert!(store.try_charge_all(&mut checks, now, &last.alone()));
            let balance = checks[0].answer.as_ref().unwrap().balance();
            let expected = QUOTA.saturating_sub(cost);
            // A bucket may lack the nanoseconds that passed meanwhile: less than one unit.
            let lacking = u64::from(matches!(rule, Rule::Bucket(_)));
            assert!(
                balance.remaining <= expected && balance.remaining + lacking >= expected,
                "seed {seed}, {rule:?}: {balance:?} after {cost} units"
            );
        }
    });
}
