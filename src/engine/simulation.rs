//! Several workers on one shared map, interleaved at every host call by a seed
//! ([`crate::host::fake::world`]).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the model counts in plain integers"
)]

mod kinds;
mod leases;
mod locks;
mod play;
mod replay;
mod reservations;
mod resets;

use self::kinds::{Kind, for_each_kind};
use self::play::play;
use self::replay::never_over_admits;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Verdict, decide};
use crate::base::id::{CounterOwner, LimitId};
use crate::base::time::{Span, Timestamp};
use crate::base::units::Refill;
use crate::base::zone::Zone;
use crate::host::fake::predicting::PredictingWorker;
use crate::host::fake::seeds::{for_each_seed, games};
use crate::host::fake::world::{ALWAYS, Model, Port, Rates, World, silence_deaths};
use crate::host::shared::predictor::VersionPredictor;
use crate::limit::calendar::{Calendar, Over};
use crate::limit::gcra::Bucket;
use crate::limit::period::Period;
use crate::limit::rolling::Rolling;
use crate::limit::seats::{Holder, Seats};
use crate::limit::{Charge, Cost, FailureMode, Rule};
use crate::store::shared::SharedStore;
use crate::store::{LimitCheck, Store};

/// Any owner: it does not matter here.
const OWNER: CounterOwner = CounterOwner::Limit(LimitId::FIRST);

#[derive(Clone, Copy)]
struct Setup {
    seed: u64,
    kind: Kind,
    workers: usize,
    /// Requests of each worker.
    requests: usize,
    /// Nanoseconds that pass at each host call.
    tick: u64,
    /// Of a hundred thousand swaps: one that conflicts although no other worker wrote.
    conflicts: u64,
    /// Of a hundred thousand host calls: the worker dies.
    deaths: u64,
    /// Of a hundred thousand requests: the upstream fails it, and it is refunded.
    failures: u64,
    /// Of a hundred thousand host calls: the clock steps, back or forward, by up to ten minutes.
    steps: u64,
    /// Whether the workers predict versions.
    predicts: bool,
}

impl Setup {
    /// Workers that are interleaved, and nothing else.
    const fn new(seed: u64, kind: Kind, workers: usize, requests: usize) -> Self {
        Self {
            seed,
            kind,
            workers,
            requests,
            tick: 0,
            conflicts: 0,
            deaths: 0,
            failures: 0,
            steps: 0,
            predicts: false,
        }
    }
}

/// When a run begins.
const START: u64 = 1_700_000_000_000_000_000;

/// The wall clock of a run.
#[derive(Clone, Copy)]
struct WallClock {
    tick: u64,
    steps: u64,
    /// The time that really passed, and how often the clock stepped.
    elapsed: u64,
    stepped: u64,
}

impl Model for WallClock {
    fn pass_time(world: &mut World<Self>) {
        let Self { tick, steps, .. } = world.model;
        world.clock += tick;
        world.model.elapsed += tick;
        if world.chance(steps) {
            let step = world.below(600) * 1_000_000_000;
            world.clock = if world.below(2) == 0 {
                world.clock + step
            } else {
                world.clock - step
            };
            world.model.stepped += 1;
        }
    }
}

type Worker = Port<WallClock>;

/// A request that one worker saw admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Admitted {
    /// The time by which it was evaluated.
    now: u64,
    /// The time at which it was admitted, if the test asks for it.
    entered: u64,
    user: u32,
    /// Of its user's limit, and of the organization's, which counts every request.
    charges: [Charge; 2],
}

const USERS: u64 = 3;
const ORG: u32 = 1_000;

/// The outcome of one worker.
#[derive(Default)]
struct Work {
    admitted: Vec<Admitted>,
    /// Charges that could not be refunded, and checks that met a fault.
    stuck: u64,
    survived: bool,
}

fn work(worker: &Worker, setup: Setup) -> Work {
    let mut work = Work::default();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        // It looks the counter up after every wrong prediction: most interleavings for the least
        // steps.
        let predictor = setup.predicts.then(|| VersionPredictor::new(0));
        let data = PredictingWorker::new(worker.clone(), predictor);
        let mut store = SharedStore::open(data, "demo", 200, &[9; 16]).unwrap();
        for _ in 0..setup.requests {
            send(worker, setup, &mut store, &mut work);
        }
    }));
    work.survived = lived.is_ok();
    worker.end();
    work
}

/// Sends one request, which the upstream may fail.
fn send(
    worker: &Worker,
    setup: Setup,
    store: &mut SharedStore<PredictingWorker<Worker>>,
    work: &mut Work,
) {
    let (now, user, fails, rules) = worker.call(|world| {
        let user = world.below(USERS) as u32;
        let fails = world.chance(setup.failures);
        (world.clock, user, fails, setup.kind.asked(world, user))
    });
    let mut checks = [(user, rules[0]), (ORG, rules[1])].map(|(name, rule)| {
        let key = store.keys().partition(&u32::to_le_bytes(name)).finish();
        LimitCheck::new(OWNER, key, rule, Cost::Now(1), FailureMode::Deny)
    });
    let mut now = Timestamp::from_nanos(now);
    if decide(store, worker, &mut checks, &mut now) != Verdict::Admit {
        work.stuck += checks.iter().filter(|check| check.answer.is_err()).count() as u64;
        return;
    }
    let charges = checks.each_ref().map(|check| check.charge.unwrap());
    if fails {
        for (check, charge) in checks.iter().zip(&charges) {
            let refunded = store.refund(&check.key, &check.rule, charge, worker);
            work.stuck += u64::from(refunded.is_err());
        }
        return;
    }
    // Admitted requests hold their seats, which is a separate step.
    let is_asked = matches!(rules[0], Rule::Seats(_));
    let entered = if is_asked {
        worker.call(|world| world.clock)
    } else {
        now.nanos()
    };
    work.admitted.push(Admitted {
        now: now.nanos(),
        entered,
        user,
        charges,
    });
}

struct Run {
    admitted: Vec<Admitted>,
    stuck: u64,
    survived: bool,
    /// One more worker, alone in the world, to read the final state.
    worker: Worker,
}

fn run(setup: Setup) -> Run {
    let Setup {
        seed,
        workers,
        tick,
        conflicts,
        deaths,
        steps,
        ..
    } = setup;
    let rates = Rates {
        turns: ALWAYS,
        conflicts,
        deaths,
        ..Rates::default()
    };
    let clock = WallClock {
        tick,
        steps,
        elapsed: 0,
        stepped: 0,
    };
    let workers = World::new(seed, workers, START, rates, clock).ports();
    let worker = workers[0].clone();
    let threads = workers
        .into_iter()
        .map(|worker| std::thread::spawn(move || work(&worker, setup)));
    let threads: Vec<_> = threads.collect();
    let (mut admitted, mut stuck, mut survived) = (Vec::new(), 0, true);
    for thread in threads {
        let work = thread.join().unwrap();
        admitted.extend(work.admitted);
        stuck += work.stuck;
        survived &= work.survived;
    }
    admitted.sort_by_key(|one| (one.now, one.user));
    Run {
        admitted,
        stuck,
        survived,
        worker: worker.alone(),
    }
}

/// Seeds that over-admit if a clock is read before a record, as it once was: of each kind of limit
/// at least one. They were found anew, by that mutation, when the simulations began to share a
/// scheduler.
const CLOCK_BEFORE_RECORD: [u64; 7] = [1_003, 1_026, 1_067, 1_099, 1_130, 1_746, 1_782];

#[test]
fn never_more_is_admitted_than_stated_whatever_the_interleaving() {
    silence_deaths();
    let kinds = [Kind::Bucket, Kind::Rolling, Kind::Calendar, Kind::Seats];
    for_each_kind(
        (0..200).chain(300..600).chain(CLOCK_BEFORE_RECORD),
        &kinds,
        |seed, kind| {
            let run = run(Setup {
                tick: [1, 1_000, 50_000_000, 200_000_000][seed as usize % 4],
                conflicts: [0, 5_000, 40_000][seed as usize % 3],
                deaths: if seed < 1_000 {
                    [0, 0, 800][seed as usize / 3 % 3]
                } else {
                    0
                },
                failures: [0, 30_000][seed as usize / 9 % 2],
                predicts: (300..600).contains(&seed),
                ..Setup::new(seed, kind, 2 + seed as usize % 4, 60)
            });
            never_over_admits(&run, kind, seed);
        },
    );
}

#[test]
fn a_step_of_the_clock_admits_one_more_window_at_most() {
    for_each_kind(0..150, &Kind::ALL, |seed, kind| {
        let workers = 2 + seed as usize % 3;
        let run = run(Setup {
            tick: [0, 5_000_000, 40_000_000][seed as usize % 3],
            conflicts: 2_000,
            steps: 500,
            predicts: seed % 2 == 1,
            ..Setup::new(seed, kind, workers, 60)
        });
        let WallClock {
            elapsed, stepped, ..
        } = run.worker.between(|world| world.model);
        let most = |rule: Rule| {
            let came_back = match rule {
                Rule::Bucket(bucket) => elapsed / bucket.refill().interval().nanos(),
                // Of windows that follow one another, the first was begun before.
                Rule::Rolling(_)
                | Rule::Calendar(_)
                | Rule::Seats(_)
                | Rule::Lock(_)
                | Rule::Lease(_) => rule.quota() * (elapsed / 10_000_000_000 + 1),
            };
            // Each other worker may be in the middle of a request with the time before the step.
            rule.quota() * (stepped + 1) + came_back + stepped * (workers as u64 - 1)
        };
        let [of_user, of_org] = kind.rules();
        let all = run.admitted.len() as u64;
        assert!(
            all <= most(of_org),
            "seed {seed}, {kind:?}: {all} after {stepped} steps"
        );
        for user in 0..USERS as u32 {
            let admitted = run.admitted.iter().filter(|one| one.user == user).count() as u64;
            assert!(
                admitted <= most(of_user),
                "seed {seed}, {kind:?}: {admitted} for {user} after {stepped} steps"
            );
        }
    });
}

#[test]
fn what_was_refused_or_refunded_leaves_no_trace() {
    for_each_kind(0..150, &Kind::ALL, |seed, kind| {
        let run = run(Setup {
            conflicts: 2_000,
            failures: [0, 50_000][seed as usize % 2],
            predicts: seed % 4 > 1,
            ..Setup::new(seed, kind, 4, 12)
        });
        assert!(run.survived);
        leaves_no_trace(&run, kind, seed);
    });
}

/// Panics unless each counter has exactly the units of the requests that were admitted.
fn leaves_no_trace(run: &Run, kind: Kind, seed: u64) {
    let now = Timestamp::from_nanos(START);
    let mut store = SharedStore::open(run.worker.clone(), "demo", 200, &[0; 16]).unwrap();
    let [of_user, of_org] = kind.rules();
    let mut all = vec![(ORG, of_org, run.admitted.len())];
    for user in 0..USERS as u32 {
        all.push((
            user,
            of_user,
            run.admitted.iter().filter(|one| one.user == user).count(),
        ));
    }
    for (name, rule, count) in all {
        let key = store.keys().partition(&name.to_le_bytes()).finish();
        // If others wrote first each time, the units stay charged rather than be refunded twice.
        let left = rule.quota() - count as u64;
        let sure = left.saturating_sub(run.stuck);
        let mut checks = [LimitCheck::new(
            OWNER,
            key,
            rule,
            Cost::Now(sure),
            FailureMode::Deny,
        )];
        assert!(
            sure == 0 || store.try_charge_all(&mut checks, now, &run.worker),
            "seed {seed}, {kind:?}: units of {name} were lost"
        );
        checks[0].cost = Cost::Now(left - sure + 1);
        assert!(
            !store.try_charge_all(&mut checks, now, &run.worker),
            "seed {seed}, {kind:?}: units of {name} were refunded twice"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for_each_kind([42], &Kind::ALL, |seed, kind| {
        let setup = Setup {
            tick: 1_000,
            conflicts: 5_000,
            failures: 20_000,
            predicts: true,
            ..Setup::new(seed, kind, 3, 20)
        };
        assert_eq!(run(setup).admitted, run(setup).admitted);
    });
}
