//! Resets by operators, over several workers: between two resets no more is admitted than the limit
//! states, although requests from before a reset fail after it.

use super::*;

const QUOTA: u32 = 5;

/// The outcome of one worker.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// Requests that were admitted and did not fail.
    served: u32,
    /// Resets that removed a counter.
    resets: u32,
}

fn work(worker: &Worker, rule: Rule) -> Done {
    let mut done = Done::default();
    let data = PredictingWorker::new(worker.clone(), Some(VersionPredictor::new(0)));
    let mut store = SharedStore::open(data, "demo", 200, &[9; 16]).unwrap();
    let key = store.keys().partition(b"one").finish();
    // Charges of requests that are under way, and will fail.
    let mut failing = Vec::new();
    for _ in 0..40 {
        if worker.call(|world| world.below(12)) == 0 {
            done.resets += u32::from(store.reset(&key).unwrap_or(false));
        }
        let check = LimitCheck::new(OWNER, key, rule, Cost::Now(1), FailureMode::Deny);
        let mut checks = [check];
        let mut now = worker.call(|world| Timestamp::from_nanos(world.clock));
        if decide(&mut store, worker, &mut checks, &mut now) == Verdict::Admit {
            match worker.call(|world| world.below(3)) {
                0 => failing.extend(checks[0].charge),
                _ => done.served += 1,
            }
        }
        if failing.len() > 2 || worker.call(|world| world.below(4)) == 0 {
            for charge in failing.drain(..) {
                let _ = store.refund(&key, &rule, &charge, worker);
            }
        }
    }
    worker.end();
    done
}

#[test]
fn no_reset_gives_more_than_the_quota_once_more() {
    let mut resets = 0;
    for_each_seed(0..300, |seed| {
        // Nothing is regained within a run.
        let hour = Span::from_seconds(3_600);
        let refill = Refill::parse("1/d").unwrap();
        let rule = [
            Rule::Bucket(Bucket::new(QUOTA, refill).unwrap()),
            Rule::Rolling(Rolling::new(QUOTA.into(), hour).unwrap()),
            Rule::Calendar(
                Calendar::new(QUOTA.into(), Over::Refuse, Period::Day, Zone::UTC).unwrap(),
            ),
        ][seed as usize % 3];
        let rates = Rates {
            turns: ALWAYS,
            conflicts: [0, 5_000][seed as usize / 3 % 2],
            ..Rates::default()
        };
        let clock = WallClock {
            tick: 1_000_000,
            steps: 0,
            elapsed: 0,
            stepped: 0,
        };
        let threads: Vec<_> = World::new(seed, 2 + seed as usize % 3, START, rates, clock)
            .ports()
            .into_iter()
            .map(|worker| std::thread::spawn(move || work(&worker, rule)))
            .collect();
        let all: Vec<Done> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let served: u32 = all.iter().map(|done| done.served).sum();
        let made: u32 = all.iter().map(|done| done.resets).sum();
        resets += made;
        assert!(
            served <= QUOTA * (made + 1),
            "seed {seed}: {served} with {made} resets"
        );
        assert!(
            served >= QUOTA,
            "seed {seed}: {served}, which a limit without refunds admits"
        );
    });
    assert!(resets > 500, "{resets} resets");
}
