//! Resets by operators, over several workers: between two resets no more is admitted than the limit
//! states, although requests from before a reset fail after it.

use super::*;

const QUOTA: u32 = 5;

/// The time of the clock before and after something.
#[derive(Clone, Copy, Debug)]
struct Lasted {
    begun: u64,
    ended: u64,
}

/// The outcome of one worker.
#[derive(Debug, Default)]
struct Done {
    /// Requests that were admitted and did not fail.
    served: Vec<Lasted>,
    resets: Vec<Lasted>,
}

fn work(worker: &Worker, rule: Rule) -> Done {
    let mut done = Done::default();
    let data = PredictingWorker::new(worker.clone(), Some(VersionPredictor::new(0)));
    let mut store = SharedStore::open(data, "demo", 200, &[9; 16]).unwrap();
    let key = store.keys().partition(b"one").finish();
    let clock = || worker.call(|world| world.clock);
    // Charges of requests that are under way, and will fail.
    let mut failing = Vec::new();
    for _ in 0..60 {
        let begun = clock();
        if worker.call(|world| world.below(20)) == 0 {
            store.reset(&key).unwrap();
            let ended = clock();
            done.resets.push(Lasted { begun, ended });
            continue;
        }
        let check = LimitCheck::new(OWNER, key, rule, Cost::Now(1), FailureMode::Deny);
        let mut checks = [check];
        let mut now = Timestamp::from_nanos(begun);
        if decide(&mut store, worker, &mut checks, &mut now) == Verdict::Admit {
            let ended = clock();
            match worker.call(|world| world.below(3)) {
                0 => failing.extend(checks[0].charge),
                _ => done.served.push(Lasted { begun, ended }),
            }
        }
        if failing.len() > 3 {
            for charge in failing.drain(..) {
                store.refund(&key, &rule, &charge, worker).unwrap();
            }
        }
    }
    worker.end();
    done
}

/// The most requests that were surely served between two resets.
fn most_between(mut resets: Vec<Lasted>, served: &[Lasted]) -> usize {
    resets.sort_by_key(|reset| reset.begun);
    let mut most = 0;
    let mut from = 0;
    for until in resets.iter().map(Some).chain([None]) {
        let end = until.map_or(u64::MAX, |reset| reset.begun);
        let between = served
            .iter()
            .filter(|sent| sent.begun > from && sent.ended < end);
        most = most.max(between.count());
        from = until.map_or(from, |reset| from.max(reset.ended));
    }
    most
}

#[test]
fn no_reset_gives_more_than_the_quota_once_more() {
    let (mut resets, mut saturated) = (0, 0);
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
        let all = play(seed, rates, 1_000_000, move |worker| work(worker, rule));
        let made: Vec<Lasted> = all.iter().flat_map(|done| done.resets.clone()).collect();
        let served: Vec<Lasted> = all.into_iter().flat_map(|done| done.served).collect();
        resets += made.len();
        let most = most_between(made, &served);
        assert!(
            most <= QUOTA as usize,
            "seed {seed}: {most} between two resets"
        );
        saturated += usize::from(most == QUOTA as usize);
    });
    assert!(
        resets > 500 && saturated > 30,
        "{resets} resets, {saturated}"
    );
}
