//! How often requests wait, and how much of a limit is not used, if the network works.

use std::collections::BTreeMap;

use super::game::window_end;
use super::*;
use crate::base::time::SteadyTime;
use crate::fleet::counter::Counter;
use crate::fleet::take::{Answer, CounterName, ProxyId, Take};
use crate::host::fake::random::Random;
use crate::host::stream::Clock;
use crate::limit::lease::{Begun, Lease, Purpose, Sent};
use crate::store::key::Key;
use crate::store::memory::MemoryStore;

/// One way to the engine, in microseconds.
const WAY: u64 = 500;

/// A load on some proxies.
struct Load {
    rule: Counted,
    proxies: usize,
    callers: u64,
    /// Requests per second in all.
    rate: u64,
    /// Seconds until the leases are warm, and after that.
    warm: u64,
    seconds: u64,
}

/// The result after the leases were warm.
#[derive(Debug, Default)]
struct Result {
    requests: u64,
    waited: u64,
    admitted: u64,
    /// The units that one central limiter would have admitted.
    ideal: u64,
    takes: u64,
}

struct Now(u64);

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }

    fn steady(&self) -> SteadyTime {
        SteadyTime::from_nanos(self.0 * 1_000)
    }
}

/// An event: of two at one time the one that was made first.
enum Event {
    Request {
        proxy: usize,
        caller: u64,
        rounds: u64,
    },
    Take {
        proxy: usize,
        caller: u64,
        take: Take,
        sent: Sent,
    },
    Answer {
        proxy: usize,
        caller: u64,
        seq: u64,
        sent: Sent,
        answer: Answer,
    },
    Review {
        proxy: usize,
        caller: u64,
        at: SteadyTime,
    },
}

struct Run {
    load: Load,
    random: Random,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    made: u64,
    stores: Vec<MemoryStore>,
    /// By caller, and by the end of a window of the calendar, which is part of the name.
    counters: BTreeMap<(u64, u64), Counter>,
    central: MemoryStore,
    waiting: BTreeMap<(usize, u64), u64>,
    result: Result,
}

fn key(caller: u64) -> Key {
    Key {
        page: 0,
        fingerprint: caller,
    }
}

impl Run {
    fn of(load: Load) -> Result {
        let stores = vec![MemoryStore::default(); load.proxies];
        let mut run = Self {
            load,
            random: Random::new(1),
            now: START / 1_000,
            events: BTreeMap::new(),
            made: 0,
            stores,
            counters: BTreeMap::new(),
            central: MemoryStore::default(),
            waiting: BTreeMap::new(),
            result: Result::default(),
        };
        let end = run.now + (run.load.warm + run.load.seconds) * 1_000_000;
        let mut next = run.now;
        while run.now < end {
            while let Some(entry) = run.events.first_entry()
                && entry.key().0 <= next
            {
                run.now = entry.key().0;
                let event = entry.remove();
                run.handle(event);
            }
            run.now = next;
            run.arrive();
            next += run.random.below(2_000_000 / run.load.rate) + 1;
        }
        run.result
    }

    fn is_warm(&self) -> bool {
        self.now >= START / 1_000 + self.load.warm * 1_000_000
    }

    fn push(&mut self, at: u64, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    fn arrive(&mut self) {
        let proxy = self.random.below(self.load.proxies as u64) as usize;
        let caller = self.random.below(self.load.callers);
        let warm = u64::from(self.is_warm());
        let rule = self.load.rule.rule();
        let mut central = [LimitCheck::new(
            OWNER,
            key(caller),
            rule,
            Cost::Now(1),
            FailureMode::Deny,
        )];
        let clock = Now(self.now);
        let admitted = decide(&mut self.central, &clock, &mut central, &mut clock.now());
        self.result.ideal += warm * u64::from(admitted == Verdict::Admit);
        self.result.requests += warm;
        self.handle(Event::Request {
            proxy,
            caller,
            rounds: 0,
        });
    }

    fn lease(&self) -> Lease {
        let name = CounterName([0; 16]);
        Lease::new(self.load.rule, name).at(Now(self.now).steady())
    }

    fn handle(&mut self, event: Event) {
        let (clock, lease) = (Now(self.now), self.lease());
        match event {
            Event::Request {
                proxy,
                caller,
                rounds,
            } => self.request(proxy, caller, rounds),
            Event::Take {
                proxy,
                caller,
                take,
                sent,
            } => {
                let end = window_end(&take);
                let answer = self
                    .counters
                    .entry((caller, end))
                    .or_default()
                    .take(self.now, &take);
                let seq = take.seq;
                self.push(
                    self.now + WAY,
                    Event::Answer {
                        proxy,
                        caller,
                        seq,
                        sent,
                        answer,
                    },
                );
            }
            Event::Answer {
                proxy,
                caller,
                seq,
                sent,
                answer,
            } => {
                let review = self.stores[proxy].change_lease(&key(caller), &clock, |state, now| {
                    let (state, _) = lease.enter(state, (seq, sent), &answer, now).unwrap();
                    (Some(state), lease.review_at(&state))
                });
                if let Some(at) = review.unwrap() {
                    self.push(at.micros(), Event::Review { proxy, caller, at });
                }
                for _ in 0..self.waiting.remove(&(proxy, caller)).unwrap_or_default() {
                    self.request(proxy, caller, 1);
                }
            }
            Event::Review { proxy, caller, at } => {
                let present = self.stores[proxy].change_lease(&key(caller), &clock, |state, _| {
                    (None, state.and_then(|state| lease.review_at(state)))
                });
                if present.unwrap() == Some(at) {
                    self.begin(proxy, caller, Purpose::Review);
                }
            }
        }
    }

    fn request(&mut self, proxy: usize, caller: u64, rounds: u64) {
        let (clock, rule) = (Now(self.now), Rule::Lease(self.lease()));
        let mut checks = [LimitCheck::new(
            OWNER,
            key(caller),
            rule,
            Cost::Now(1),
            FailureMode::Deny,
        )];
        let warm = u64::from(self.is_warm());
        match decide(
            &mut self.stores[proxy],
            &clock,
            &mut checks,
            &mut clock.now(),
        ) {
            Verdict::Admit => {
                self.result.admitted += warm;
                if checks[0].is_due {
                    self.begin(proxy, caller, Purpose::Refill);
                }
            }
            Verdict::Ask if rounds < 3 => {
                self.result.waited += warm * u64::from(rounds == 0);
                *self.waiting.entry((proxy, caller)).or_default() += 1;
                self.begin(proxy, caller, Purpose::Need(1));
            }
            Verdict::Ask | Verdict::Refuse(_) | Verdict::Unlimited => {}
        }
    }

    fn begin(&mut self, proxy: usize, caller: u64, purpose: Purpose) {
        let (clock, lease) = (Now(self.now), self.lease());
        let id = ProxyId(proxy as u64);
        let timeout = Span::from_micros(50_000);
        let begun = self.stores[proxy].change_lease(&key(caller), &clock, |state, now| {
            lease.begin(state, (purpose, Span::ZERO), id, (now, timeout))
        });
        if let Ok(Begun::Take { take, .. }) = begun {
            self.result.takes += u64::from(self.is_warm());
            let sent = Sent {
                at: clock.steady(),
                wall: clock.now(),
            };
            self.push(
                self.now + WAY,
                Event::Take {
                    proxy,
                    caller,
                    take,
                    sent,
                },
            );
        }
    }
}

/// In thousandths.
fn share(part: u64, of: u64) -> u64 {
    part * 1_000 / of
}

#[test]
fn what_one_limiter_would_admit_is_nearly_all_admitted() {
    for (kind, least) in [(0, 990), (1, 950), (2, 990)] {
        for quota in [10, 100, 1_000] {
            let load = Load {
                rule: rules(kind, quota),
                proxies: 3,
                callers: 3,
                // Half more than the limits of all callers together.
                rate: 3 * quota * 3 / 20,
                warm: 30,
                seconds: 300,
            };
            let result = Run::of(load);
            let used = share(result.admitted, result.ideal);
            assert!(used >= least, "{kind}, {quota}: {used}, {result:?}");
        }
    }
}

/// The result of a run in which at most `most` of 1,000 requests waited.
fn few_wait(load: Load, most: u64) -> Result {
    let result = Run::of(load);
    let waited = share(result.waited, result.requests);
    assert!(waited <= most, "{waited}: {result:?}");
    result
}

#[test]
fn few_requests_of_large_quotas_wait() {
    let load = Load {
        rule: rules(1, 100_000),
        proxies: 3,
        callers: 1_000,
        rate: 3_000,
        warm: 60,
        seconds: 60,
    };
    let result = few_wait(load, 10);
    assert_eq!(result.admitted, result.requests);
}

#[test]
fn few_requests_of_60_a_minute_wait_at_half_the_use() {
    let refill = Refill::parse("60/min").unwrap();
    let load = Load {
        rule: Counted::Bucket(Bucket::new(60, refill).unwrap()),
        proxies: 3,
        callers: 100,
        rate: 50,
        warm: 100,
        seconds: 300,
    };
    few_wait(load, 30);
}
