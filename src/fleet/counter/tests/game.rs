//! A game: proxies, one counter, and a network that delays, loses, repeats and reorders.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::proxy::{Flight, Proxy, UnitId};
use super::random::Random;
use crate::base::time::{Span, Timestamp};
use crate::fleet::counter::Counter;
use crate::fleet::take::{Answer, CounterName, Numbers, ProxyId, Rest, Take};

/// The first instant of a game, in microseconds.
const BEGIN: u64 = 1_700_000_000_000_000;

/// A unit that was granted or charged.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// When the engine granted or charged it.
    pub(super) at: u64,
    /// When it was spent, if it was.
    pub(super) spent: Option<u64>,
    /// Whether it was charged late, beyond any lease.
    pub(super) is_extra: bool,
    /// When the refund was reported to the engine.
    pub(super) refunded: Option<u64>,
}

/// The events of a game.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) spent: u64,
    pub(super) extra: u64,
    pub(super) refunded: u64,
    pub(super) lapsed: u64,
    pub(super) copies: u64,
    pub(super) stale: u64,
    pub(super) crashes: u64,
    pub(super) forgotten: u64,
    pub(super) steps: u64,
    pub(super) locked: u64,
    pub(super) refused: u64,
    /// Copies that the engine took for new takes.
    pub(super) late: u64,
}

/// A grant of the engine.
pub(super) struct Grant {
    pub(super) at: u64,
    pub(super) numbers: Numbers,
}

enum Event {
    /// A proxy has something to do.
    Act(usize),
    /// A unit of a lease is spent, if there is one.
    Spend(usize),
    /// A take reaches the engine.
    Arrive(usize, Flight),
    /// An answer reaches the proxy.
    Hear(usize, Take, Answer, Vec<UnitId>),
    /// A take is sent again, unless it is answered.
    Again(usize, u64),
    /// The engine's clock steps back.
    Step(u64),
}

pub(super) struct Game {
    pub(super) units: Vec<Unit>,
    pub(super) grants: Vec<Grant>,
    pub(super) played: Played,
    random: Random,
    now: u64,
    until: u64,
    /// How far the engine's clock is behind.
    behind: u64,
    numbers: Numbers,
    window: u64,
    counter: Counter,
    locked_until: u64,
    proxies: Vec<Proxy>,
    /// The units of each answered take.
    answered: BTreeMap<(u64, u64), Vec<UnitId>>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    queued: BTreeMap<u64, Event>,
    loss: u64,
    /// Of a thousand acts.
    crash: u64,
    refunds: bool,
    extras: bool,
    changes: bool,
}

impl Game {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let window = random.of(&[1_000_000, 10_000_000, 60_000_000]);
        let quota = random.of(&[1, 2, 3, 10, 50, 400]);
        let span = Span::from_micros(window);
        let numbers = match random.below(3) {
            0 => Numbers::Bucket {
                burst: quota,
                fill: span,
            },
            1 => Numbers::Rolling {
                quota,
                window: span,
            },
            _ => Numbers::Calendar {
                quota,
                start: Timestamp::from_micros(BEGIN + random.below(window / 2)),
                end: Timestamp::from_micros(BEGIN + window + random.below(2 * window)),
            },
        };
        let proxies = random.of(&[1, 2, 3, 6]);
        let mut game = Self {
            units: Vec::new(),
            grants: Vec::new(),
            played: Played::default(),
            now: BEGIN,
            until: BEGIN + 3 * window,
            behind: 0,
            numbers,
            window,
            counter: Counter::default(),
            locked_until: 0,
            proxies: Vec::new(),
            answered: BTreeMap::new(),
            events: BinaryHeap::new(),
            queued: BTreeMap::new(),
            loss: random.of(&[0, 5, 30]),
            crash: random.of(&[0, 5, 50]),
            refunds: random.one_in(2),
            extras: random.one_in(3),
            changes: random.one_in(4),
            random,
        };
        for proxy in 0..proxies {
            game.proxies.push(Proxy::new(100 + proxy));
            game.after(0, Event::Act(usize::try_from(proxy).unwrap()));
        }
        if game.random.one_in(3) {
            let when = game.random.below(2 * window);
            let step = game.random.below(2 * window);
            game.after(when, Event::Step(step));
        }
        game
    }

    fn after(&mut self, time: u64, event: Event) {
        let number = self.queued.last_key_value().map_or(0, |(last, _)| last + 1);
        self.queued.insert(number, event);
        self.events.push(Reverse((self.now + time, number)));
    }

    pub(super) fn play(&mut self) {
        while let Some(Reverse((at, number))) = self.events.pop() {
            if at > self.until {
                return;
            }
            self.now = at;
            let event = self.queued.remove(&number).unwrap();
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(proxy) => self.act(proxy),
            Event::Spend(proxy) => {
                if let Some(unit) = self.proxies[proxy].spend(self.now) {
                    self.units[unit].spent = Some(self.now);
                    self.played.spent += 1;
                }
            }
            Event::Arrive(proxy, flight) => self.arrive(proxy, &flight),
            Event::Hear(proxy, take, answer, units) => self.hear(proxy, &take, &answer, &units),
            Event::Again(proxy, seq) => {
                let flight = self.proxies[proxy].flight.clone();
                if let Some(flight) = flight.filter(|flight| flight.take.seq == seq) {
                    self.transmit(proxy, flight);
                }
            }
            Event::Step(step) => {
                self.behind += step;
                self.played.steps += 1;
            }
        }
    }

    fn act(&mut self, proxy: usize) {
        let pause = self.random.of(&[2_000, 50_000, 400_000, self.window / 3]);
        let pause = self.random.below(pause);
        self.after(pause + 1, Event::Act(proxy));
        if self.random.below(1_000) < self.crash {
            let id = self.random.next();
            self.proxies[proxy] = Proxy::new(id);
            self.played.crashes += 1;
            return;
        }
        if self.extras && self.random.one_in(6) {
            let unit = self.unit(u64::MAX, true);
            self.proxies[proxy].extra.push(unit);
            self.proxies[proxy].note(self.now, unit);
        }
        if self.refunds {
            let picked = self.random.one_in(3);
            let own = &mut self.proxies[proxy];
            if picked && let Some(unit) = own.refundable.pop() {
                own.refund.push(unit);
            }
        }
        let rest = self
            .random
            .of(&[Rest::Keep, Rest::Keep, Rest::Return, Rest::Forgotten]);
        let is_lost = rest == Rest::Forgotten && self.random.one_in(8);
        if self.proxies[proxy].flight.is_some() && !is_lost {
            return;
        }
        if self.changes && self.random.one_in(20) {
            self.change_numbers();
        }
        let rest = if rest == Rest::Forgotten && !is_lost {
            Rest::Keep
        } else {
            rest
        };
        let need = self.random.below(4);
        let lock = if self.random.one_in(150) {
            self.random.below(self.window / 4)
        } else {
            0
        };
        self.played.forgotten += u64::from(is_lost);
        let take = Take {
            counter: CounterName([0; 16]),
            numbers: self.numbers,
            proxy: ProxyId(0),
            seq: 0,
            spent: 0,
            extra: 0,
            refund: 0,
            since: 0,
            rest,
            need,
            want: need + self.random.below(12),
            lock: Span::from_micros(lock),
        };
        self.proxies[proxy].send(self.now, take);
        let flight = self.proxies[proxy].flight.clone().unwrap();
        self.transmit(proxy, flight);
    }

    fn change_numbers(&mut self) {
        let other = self.random.of(&[1, 3, 10, 50, 200]);
        match &mut self.numbers {
            Numbers::Bucket { burst, .. } => *burst = other,
            Numbers::Rolling { quota, .. } | Numbers::Calendar { quota, .. } => *quota = other,
        }
    }

    /// How long a message takes: mostly not long.
    fn delay(&mut self) -> u64 {
        match self.random.below(40) {
            0 => self.random.below(20_000_000),
            1..=4 => self.random.below(400_000),
            _ => self.random.below(30_000),
        }
    }

    fn transmit(&mut self, proxy: usize, flight: Flight) {
        let copies = 1 + u64::from(self.random.one_in(10));
        let seq = flight.take.seq;
        for _ in 0..copies {
            if self.random.below(100) >= self.loss {
                let delay = self.delay();
                self.after(delay, Event::Arrive(proxy, flight.clone()));
            }
        }
        let patience = self.random.of(&[100_000, 100_000, 100_000, 15_000_000]);
        self.after(patience, Event::Again(proxy, seq));
    }

    fn unit(&mut self, at: u64, is_extra: bool) -> UnitId {
        self.units.push(Unit {
            at,
            spent: None,
            is_extra,
            refunded: None,
        });
        self.units.len() - 1
    }

    fn arrive(&mut self, proxy: usize, flight: &Flight) {
        let take = &flight.take;
        let before = self.counter.clone();
        let answer = self.counter.take(self.now - self.behind, take);
        let name = (take.proxy.0, take.seq);
        if self.counter == before {
            self.played.copies += u64::from(self.answered.contains_key(&name));
            self.played.stale += u64::from(answer.granted == 0 && answer.left == 0);
        } else {
            self.carry_out(flight, &answer, name);
        }
        let units = self.answered.get(&name).cloned().unwrap_or_default();
        if self.random.below(100) >= self.loss {
            let delay = self.delay();
            self.after(delay, Event::Hear(proxy, *take, answer, units));
        }
    }

    /// The engine has carried out the take.
    fn carry_out(&mut self, flight: &Flight, answer: &Answer, name: (u64, u64)) {
        let take = &flight.take;
        if self.answered.contains_key(&name) {
            self.played.late += 1;
        } else {
            for unit in &flight.extra {
                self.units[*unit].at = self.now;
                self.played.extra += 1;
            }
            for (unit, _) in &flight.refund {
                self.units[*unit].refunded = Some(self.now);
                self.played.refunded += 1;
            }
        }
        let is_locked = self.now < self.locked_until;
        assert!(
            answer.granted == 0 || !is_locked,
            "nothing is granted if locked"
        );
        self.played.locked += u64::from(is_locked);
        self.played.refused += u64::from(answer.granted < take.need);
        self.played.lapsed += u64::from(answer.lapsed && take.spent > 0 && take.rest == Rest::Keep);
        // After a step of its clock the engine's lock is longer, and another one does not begin.
        if take.lock > Span::ZERO && answer.locked == take.lock {
            self.locked_until = self.now + take.lock.nanos() / 1_000;
        }
        let units = (0..answer.granted)
            .map(|_| self.unit(self.now, false))
            .collect();
        self.answered.insert(name, units);
        if answer.granted > 0 {
            self.grants.push(Grant {
                at: self.now,
                numbers: take.numbers,
            });
        }
    }

    fn hear(&mut self, proxy: usize, take: &Take, answer: &Answer, units: &[UnitId]) {
        let own = &mut self.proxies[proxy];
        if own.id != take.proxy.0 || !own.hear(self.now, take, answer, units) {
            return;
        }
        let life = own.end.saturating_sub(self.now);
        // At once, at the last instant, or at any between.
        for _ in 0..own.left.len() {
            let when = match self.random.below(4) {
                0 => 0,
                1 => life.saturating_sub(1),
                2 => life + 1,
                _ => self.random.below(life),
            };
            self.after(when, Event::Spend(proxy));
        }
    }
}

impl Played {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.spent, other.spent),
            (&mut self.extra, other.extra),
            (&mut self.refunded, other.refunded),
            (&mut self.lapsed, other.lapsed),
            (&mut self.copies, other.copies),
            (&mut self.stale, other.stale),
            (&mut self.crashes, other.crashes),
            (&mut self.forgotten, other.forgotten),
            (&mut self.steps, other.steps),
            (&mut self.locked, other.locked),
            (&mut self.refused, other.refused),
            (&mut self.late, other.late),
        ] {
            *sum += more;
        }
    }
}
