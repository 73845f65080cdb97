//! A lock over several workers: once a refusal has locked the key, none admits until it ends.

use super::*;
use crate::limit::lock::Lock;
use crate::store::Locked;

const LOCK: Span = Span::from_seconds(60);

/// One request: the time of the clock before and after it, and its outcome.
#[derive(Clone, Copy, Debug)]
struct Sent {
    begun: u64,
    ended: u64,
    is_admitted: bool,
    locks: bool,
}

fn work(worker: &Worker, rule: Rule) -> Vec<Sent> {
    let mut all = Vec::new();
    let data = PredictingWorker::new(worker.clone(), Some(VersionPredictor::new(0)));
    let mut store = SharedStore::open(data, "demo", 200, &[9; 16]).unwrap();
    for _ in 0..30 {
        let begun = worker.call(|world| world.clock);
        let key = store.keys().partition(b"one").finish();
        let mut check = LimitCheck::new(OWNER, key, rule, Cost::Now(1), FailureMode::Deny);
        check.lock = Some(Lock::new(LOCK));
        let mut checks = [check];
        let verdict = decide(
            &mut store,
            worker,
            &mut checks,
            &mut Timestamp::from_nanos(begun),
        );
        all.push(Sent {
            begun,
            ended: worker.call(|world| world.clock),
            is_admitted: verdict == Verdict::Admit,
            locks: checks[0].locked == Locked::ByThis,
        });
    }
    worker.end();
    all
}

#[test]
fn no_worker_admits_a_request_of_a_locked_key() {
    let mut locked = 0;
    for_each_seed(0..150, |seed| {
        let refill = Refill::parse("5/s").unwrap();
        let rule = [
            Rule::Bucket(Bucket::new(3, refill).unwrap()),
            Rule::Rolling(Rolling::new(3, Span::from_seconds(1)).unwrap()),
            Rule::Calendar(Calendar::new(3, Over::Refuse, Period::Seconds(1), Zone::UTC).unwrap()),
        ][seed as usize % 3];
        let rates = Rates {
            turns: ALWAYS,
            conflicts: [0, 5_000][seed as usize / 3 % 2],
            ..Rates::default()
        };
        let tick = [1_000_000, 50_000_000, 900_000_000][seed as usize / 6 % 3];
        let all = play(seed, rates, tick, move |worker| work(worker, rule));
        let all: Vec<Sent> = all.into_iter().flatten().collect();
        for lock in all.iter().filter(|sent| sent.locks) {
            locked += 1;
            // The lock began during the request that locked, so it surely holds from the end of
            // that request until its length has passed since that request began.
            let until = lock.begun + LOCK.nanos();
            let through = all
                .iter()
                .find(|sent| sent.is_admitted && sent.begun > lock.ended && sent.ended < until);
            assert!(through.is_none(), "seed {seed}: {lock:?}, {through:?}");
        }
    });
    assert!(locked > 100, "{locked} locks");
}
