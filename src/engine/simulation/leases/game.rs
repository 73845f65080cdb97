//! One game: its events, in the order of a seed.

use std::collections::BTreeMap;

use super::oracle::Admitted;
use super::*;
use crate::base::time::SteadyTime;
use crate::fleet::counter::Counter;
use crate::fleet::take::{Answer, CounterName, Numbers, ProxyId, Take};
use crate::host::fake::random::Random;
use crate::host::stream::Clock;
use crate::limit::lease::{Begun, Counted, Lease, Purpose, Sent};
use crate::store::key::Key;
use crate::store::memory::MemoryStore;

/// The rate of each fault, per hundred thousand chances.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// A message is lost.
    pub(super) lost: u64,
    /// A message arrives twice.
    pub(super) repeated: u64,
    /// A message arrives seconds later.
    pub(super) late: u64,
    /// A proxy dies, and another takes its place.
    pub(super) crashes: u64,
    /// A proxy loses its record.
    pub(super) forgotten: u64,
    /// The engine's clock steps back.
    pub(super) steps: u64,
    /// A request is refunded later.
    pub(super) refunds: u64,
    /// A request turns out to cost more, whether or not that fits.
    pub(super) late_costs: u64,
    /// A proxy changes to the other quota.
    pub(super) updates: u64,
}

/// The longest time for which one worker waits for an answer.
const TIMEOUT: Span = Span::from_nanos(50_000_000);

const KEY: Key = Key {
    page: 0,
    fingerprint: 1,
};

pub(super) struct Game {
    random: Random,
    faults: Faults,
    rules: [Counted; 2],
    /// The true time, which the engine's clock shows until it steps back.
    now: u64,
    /// How far the engine's clock is behind.
    behind: u64,
    proxies: Vec<Proxy>,
    /// One for each window of a calendar, which is part of the key.
    counters: BTreeMap<u64, Counter>,
    messages: BTreeMap<(u64, u64), Message>,
    sent: u64,
    open: Vec<Open>,
    pub(super) admitted: Vec<Admitted>,
}

struct Proxy {
    id: ProxyId,
    store: MemoryStore,
    rule: Counted,
    /// Its clocks: how far the wall clock is ahead, and how many millionths the other is too slow.
    ahead: u64,
    slow: u64,
}

/// A message that is on its way.
#[derive(Clone, Copy)]
enum Message {
    Take {
        proxy: usize,
        take: Take,
        sent: Sent,
    },
    Answer {
        proxy: usize,
        id: ProxyId,
        seq: u64,
        sent: Sent,
        answer: Answer,
    },
}

/// A request that may still be refunded.
struct Open {
    proxy: usize,
    id: ProxyId,
    charge: Charge,
    admitted: usize,
}

struct Clocks {
    wall: Timestamp,
    steady: SteadyTime,
}

impl Clock for Clocks {
    fn now(&self) -> Timestamp {
        self.wall
    }

    fn steady(&self) -> SteadyTime {
        self.steady
    }
}

impl Game {
    pub(super) fn new(seed: u64, rule: Counted, other: Counted, faults: Faults) -> Self {
        let mut random = Random::new(seed);
        let proxies = 1 + random.below(4);
        let mut game = Self {
            random,
            faults,
            rules: [rule, other],
            now: START / 1_000,
            behind: 0,
            proxies: Vec::new(),
            counters: BTreeMap::new(),
            messages: BTreeMap::new(),
            sent: 0,
            open: Vec::new(),
            admitted: Vec::new(),
        };
        for _ in 0..proxies {
            let proxy = game.proxy();
            game.proxies.push(proxy);
        }
        game
    }

    fn proxy(&mut self) -> Proxy {
        Proxy {
            id: ProxyId(self.random.next()),
            store: MemoryStore::default(),
            rule: self.rules[0],
            ahead: self.random.below(400_000),
            slow: self.random.below(9_000),
        }
    }

    fn chance(&mut self, share: u64) -> bool {
        self.random.below(100_000) < share
    }

    /// Some time passes, and one thing happens.
    pub(super) fn step(&mut self) {
        let pause = [100, 3_000, 30_000, 200_000][self.random.below(4) as usize];
        self.now += self.random.below(pause);
        while let Some(entry) = self.messages.first_entry()
            && entry.key().0 <= self.now
        {
            let (at, message) = (entry.key().0, entry.remove());
            self.deliver(at, message);
        }
        let which = self.random.below(self.proxies.len() as u64) as usize;
        if self.chance(self.faults.crashes) {
            self.proxies[which] = self.proxy();
        }
        if self.chance(self.faults.forgotten) {
            self.proxies[which].store = MemoryStore::default();
        }
        if self.chance(self.faults.steps) {
            self.behind += self.random.below(1_000_000);
        }
        if self.chance(self.faults.updates) {
            self.proxies[which].rule = self.rules[self.random.below(2) as usize];
        }
        if self.chance(self.faults.late_costs) {
            self.charge_late(which);
        }
        if !self.open.is_empty() && self.random.below(60) == 0 {
            let one = self.random.below(self.open.len() as u64) as usize;
            let open = self.open.swap_remove(one);
            self.refund(&open);
        }
        match self.random.below(20) {
            0 => self.begin(which, Purpose::Review),
            1 => self.begin(which, Purpose::Refill),
            _ => {
                let burst = [1, 1, 1, 4, 30][self.random.below(5) as usize];
                for _ in 0..burst {
                    self.request(which);
                }
            }
        }
    }

    fn clocks(&self, which: usize) -> Clocks {
        let proxy = &self.proxies[which];
        let steady = self.now - self.now / 1_000_000 * proxy.slow;
        Clocks {
            wall: Timestamp::from_micros(self.now + proxy.ahead),
            steady: SteadyTime::from_nanos(steady * 1_000),
        }
    }

    fn lease(&self, which: usize) -> Lease {
        let name = CounterName([7; 16]);
        Lease::new(self.proxies[which].rule, name).at(self.clocks(which).steady)
    }

    fn request(&mut self, which: usize) {
        let cost = [1, 1, 1, 2, 5][self.random.below(5) as usize];
        let clocks = self.clocks(which);
        let rule = Rule::Lease(self.lease(which));
        let mut checks = [LimitCheck::new(
            OWNER,
            KEY,
            rule,
            Cost::Now(cost),
            FailureMode::Deny,
        )];
        let store = &mut self.proxies[which].store;
        match decide(store, &clocks, &mut checks, &mut clocks.now()) {
            Verdict::Admit => {
                let units = cost;
                self.admitted.push(Admitted {
                    at: self.now,
                    units,
                });
                if self.chance(self.faults.refunds) {
                    self.open.push(Open {
                        proxy: which,
                        id: self.proxies[which].id,
                        charge: checks[0].charge.unwrap(),
                        admitted: self.admitted.len() - 1,
                    });
                }
            }
            Verdict::Ask => self.begin(which, Purpose::Need(cost)),
            Verdict::Refuse(_) | Verdict::Unlimited => {}
        }
        if checks[0].is_due {
            self.begin(which, Purpose::Refill);
        }
    }

    /// These charges may overdraw the limit, so they do not count as admitted.
    fn charge_late(&mut self, which: usize) {
        let clocks = self.clocks(which);
        let rule = Rule::Lease(self.lease(which));
        let units = 1 + self.random.below(3);
        let store = &mut self.proxies[which].store;
        store.force_charge(&KEY, &rule, units, &clocks).unwrap();
        self.begin(which, Purpose::Refill);
    }

    /// The request of this charge turns out to cost nothing, as long as its proxy lives.
    fn refund(&mut self, open: &Open) {
        if self.proxies[open.proxy].id == open.id {
            let clocks = self.clocks(open.proxy);
            let rule = Rule::Lease(self.lease(open.proxy));
            let store = &mut self.proxies[open.proxy].store;
            store.refund(&KEY, &rule, &open.charge, &clocks).unwrap();
            self.admitted[open.admitted].units = 0;
        }
    }

    fn begin(&mut self, which: usize, purpose: Purpose) {
        let (clocks, lease, id) = (
            self.clocks(which),
            self.lease(which),
            self.proxies[which].id,
        );
        let store = &mut self.proxies[which].store;
        let begun = store.change_lease(&KEY, &clocks, |state, now| {
            lease.begin(state, (purpose, Span::ZERO), id, (now, TIMEOUT))
        });
        if let Ok(Begun::Take { take, .. }) = begun {
            let sent = Sent {
                at: clocks.steady,
                wall: clocks.wall,
            };
            self.send(Message::Take {
                proxy: which,
                take,
                sent,
            });
        }
    }

    fn send(&mut self, message: Message) {
        let copies = 1 + u64::from(self.chance(self.faults.repeated));
        for _ in 0..copies {
            if self.chance(self.faults.lost) {
                continue;
            }
            let most = if self.chance(self.faults.late) {
                20_000_000
            } else {
                30_000
            };
            let at = self.now + self.random.below(most);
            self.sent += 1;
            self.messages.insert((at, self.sent), message);
        }
    }

    fn deliver(&mut self, at: u64, message: Message) {
        match message {
            Message::Take { proxy, take, sent } => {
                let window = window_end(&take);
                let counter = self.counters.entry(window).or_default();
                let answer = counter.take(at - self.behind, &take);
                let (id, seq) = (take.proxy, take.seq);
                self.send(Message::Answer {
                    proxy,
                    id,
                    seq,
                    sent,
                    answer,
                });
            }
            Message::Answer {
                proxy,
                id,
                seq,
                sent,
                answer,
            } if self.proxies[proxy].id == id => {
                let (clocks, lease) = (self.clocks(proxy), self.lease(proxy));
                let store = &mut self.proxies[proxy].store;
                let entered = store.change_lease(&KEY, &clocks, |state, now| {
                    let entered = lease.enter(state, (seq, sent), &answer, now);
                    (entered.map(|(state, _)| state), ())
                });
                entered.unwrap();
            }
            Message::Answer { .. } => {}
        }
    }
}

/// The end of the window that is part of a counter's name; zero for other rules.
pub(super) const fn window_end(take: &Take) -> u64 {
    match take.numbers {
        Numbers::Calendar { end, .. } => end.micros(),
        Numbers::Bucket { .. } | Numbers::Rolling { .. } => 0,
    }
}
