//! Random interleavings of streams. `SEED=7 make phases` repeats the run of one seed alone.

use std::collections::BTreeMap;

use super::faults::Faults;
use super::policies::{
    BURST, COSTS, LIMITS, PAYLOADS, POOL, SHARED, SLOTS, TIMEOUT, everything, policy,
};
use super::traffic::Traffic;

/// Runs each seed, or the one that `SEED` names.
fn for_each_seed(usual: std::ops::Range<u64>, run: impl Fn(u64)) {
    let single = std::env::var("SEED").ok();
    let single = single.map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = single.map_or(usual, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let repeat = Repeat(seed);
        run(seed);
        std::mem::forget(repeat);
    }
}

/// Prints how to repeat a run, unless the run ends as it should.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        eprintln!("\nto repeat this run alone: SEED={} make phases\n", self.0);
    }
}

/// The tokens of a token bucket, in nanoseconds.
#[derive(Clone, Copy)]
struct Tokens {
    level: u64,
    at: u64,
}

impl Tokens {
    const EACH: u64 = 1_000_000_000;

    fn take(&mut self, now: u64) -> bool {
        self.level = (BURST * Self::EACH).min(self.level + (now - self.at));
        self.at = now;
        let is_enough = self.level >= Self::EACH;
        self.level -= if is_enough { Self::EACH } else { 0 };
        is_enough
    }
}

#[test]
fn exactly_what_the_tokens_allow_is_admitted_over_two_workers() {
    for_each_seed(0..40, |seed| {
        let mut traffic = Traffic::under(LIMITS, 2, seed);
        let begin = traffic.world.borrow().now;
        let full = Tokens {
            level: BURST * Tokens::EACH,
            at: begin,
        };
        let (mut all, mut refused) = (BTreeMap::new(), 0);
        for request in 0..60 {
            traffic.pass();
            let now = traffic.world.borrow().now;
            let sent = traffic.send();
            let allowed = all.entry(sent.org).or_insert(full).take(now);
            let stream = traffic.stream(&sent);
            let admitted = stream.upstream.heads == 1;
            assert_eq!(admitted, allowed, "request {request} of {}", sent.org);
            assert_eq!(stream.status() == Some(429), !allowed);
            refused += u32::from(!admitted);
        }
        assert!(refused > 5, "some requests are refused");
        traffic.end();
    });
}

#[test]
fn no_more_requests_are_in_flight_than_there_are_slots() {
    for_each_seed(0..40, |seed| {
        let mut traffic = Traffic::under(POOL, 2, seed);
        for _ in 0..150 {
            traffic.step();
            let mut in_flight: BTreeMap<&[u8], usize> = BTreeMap::new();
            for stream in traffic.open().filter(|stream| stream.upstream.heads > 0) {
                let org = stream.head.iter().find(|(name, _)| name == b"x-org");
                *in_flight
                    .entry(org.map_or(b"", |(_, org)| org))
                    .or_default() += 1;
            }
            assert!(
                in_flight.values().all(|count| *count <= SLOTS),
                "{in_flight:?}"
            );
        }
        traffic.pass_exactly(TIMEOUT + 500);
        let waits = traffic
            .open()
            .any(|stream| stream.is_paused() && stream.status().is_none());
        assert!(!waits, "no request waits for longer");
        traffic.end();
        assert_eq!(traffic.world.borrow().gauges(), []);
    });
}

#[test]
fn random_streams_return_what_they_took() {
    for_each_seed(0..30, |seed| {
        for policy in [policy(PAYLOADS), policy(COSTS), everything()] {
            let mut traffic = Traffic::under_policy(policy, 2, seed);
            for _ in 0..150 {
                traffic.step();
            }
            traffic.end();
            assert_eq!(traffic.world.borrow().gauges(), []);
        }
    });
}

/// For every failing call, no callback traps and none breaks a rule.
#[test]
fn host_calls_that_fail_end_no_vm() {
    for_each_seed(0..60, |seed| {
        let policies = [LIMITS, POOL, PAYLOADS, COSTS, SHARED].map(policy);
        for policy in policies.into_iter().chain([everything()]) {
            let mut traffic = Traffic::under_policy(policy, 2, seed);
            for worker in traffic.workers() {
                let rates = [10, 100, 500, 1_000];
                let faults = Faults::new(seed, rates[seed as usize % rates.len()]);
                worker.vm.host_mut().faults = Some(faults);
            }
            (0..100).for_each(|_| traffic.step());
            // Nothing fails any more. The gauges have missed changes, which `None` would find.
            traffic.workers().for_each(|worker| {
                worker.vm.host_mut().faults = Some(Faults::new(seed, 0));
            });
            (0..50).for_each(|_| traffic.step());
            traffic.end();
        }
    });
}

/// A policy that starts while calls fail is refused, or is at work.
#[test]
fn a_policy_starts_or_is_refused_while_host_calls_fail() {
    use super::worker::Worker;
    use super::world::World;
    for_each_seed(0..200, |seed| {
        let mut worker = Worker::new(&World::shared());
        worker.vm.host_mut().faults = Some(Faults::new(seed, 10 + seed % 400));
        for rest in [POOL, PAYLOADS, SHARED] {
            let root = worker.configure(&policy(rest));
            if let Some(root) = root {
                let head = super::policies::head("GET", "/items", "acme");
                let id = worker.open(root, &head, true);
                worker.pass(500);
                worker.finish(id);
            }
        }
    });
}

/// A peak of streams in flight can take one page more at any time. A leak of 16 bytes per step
/// takes two over the rounds that are compared.
#[test]
fn streams_leave_no_memory_behind() {
    for policy in [POOL, PAYLOADS, COSTS, SHARED].map(policy) {
        let mut traffic = Traffic::under_policy(policy, 1, 7);
        let mut pages = Vec::new();
        for _ in 0..12 {
            (0..1_000).for_each(|_| traffic.step());
            traffic.end();
            pages.push(
                traffic
                    .workers()
                    .map(|worker| worker.vm.pages())
                    .sum::<u64>(),
            );
        }
        assert!(
            pages[11] <= pages[3] + 1,
            "the memory still grows: {pages:?} pages of 64 KiB"
        );
    }
}
