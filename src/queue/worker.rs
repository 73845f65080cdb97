//! The worker: streams come and go, and each is answered once.
//!
//! ```text
//!   acquire ─▶ ask after ask ─┬▶ Go ──────────────────────────────▶ release: slots back
//!                ▲           ├▶ Wait ─┬▶ granted ─▶ further asks ─▶ Resume ─▶ release
//!                │           │        ├▶ too long ────────────────▶ Refuse
//!                └───────────│────────┴▶ release: ticket or slot back
//!                            └▶ Refuse
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::ledger::{Ledger, key_of};
use super::live::LivePool;
use super::membership::RootId;
use super::page::PAGES;
use super::stream::{Action, Admission, Answer, Ask, Reason, Refusal, StreamId};
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::limit::FailureMode;
use crate::limit::pool::{Entry, Pool};
use crate::store::key::{Key, KeyMaker, PartialKey, Secret};
use crate::store::shared::secret;

/// Streams that one callback answers. Envoy carries out each answer within the one before, and some
/// three hundred end its stack (measured).
pub const ACTIONS_MAX: usize = 64;

/// Messages that one callback takes.
const MESSAGES_MAX: usize = 64;

/// The period of ticks that the stated times are for.
pub const TICK: Span = Span::from_nanos(100_000_000);

/// All streams of one VM that have to do with pools, whatever policy they came under.
///
/// Times are how long this VM has been up, by a clock that never steps.
#[derive(Debug)]
pub struct Worker<H> {
    ledger: Ledger<H>,
    keys: KeyMaker,
    streams: BTreeMap<StreamId, StreamSlots>,
    deadlines: BTreeSet<(Span, StreamId)>,
    granted: VecDeque<StreamId>,
    /// Whether this worker has sent itself a message that has not come yet.
    woken: bool,
    maintained: Option<Span>,
}

/// A stream and its slots.
#[derive(Debug)]
struct StreamSlots {
    asks: Vec<Ask>,
    /// The ask that it waits for, or will be at next.
    next: usize,
    held: Vec<Key>,
    waits: Option<Place>,
}

/// Where a stream waits.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: Key,
    number: u32,
    deadline: Span,
}

impl<H: SharedData + SharedQueue> Worker<H> {
    /// A worker without streams. `fresh` becomes the proxy's secret if it has none yet.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    pub fn open(host: H, fresh: &Secret) -> Result<Self, Fault> {
        let keys = KeyMaker::new(&secret(&host, fresh)?, PAGES);
        Ok(Self {
            ledger: Ledger::new(host),
            keys,
            streams: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            granted: VecDeque::new(),
            woken: false,
            maintained: None,
        })
    }

    /// Takes over the numbers of a pool from a policy that is put to work. They hold at once, for
    /// all streams, whatever policy these came under; one that waits keeps its deadline.
    pub fn reconfigure(&mut self, identity: &[u8], numbers: Pool) -> Rc<LivePool> {
        self.ledger.reconfigure(identity, &self.keys, numbers)
    }

    /// Begins the key of one partition of `pool`.
    #[must_use]
    pub fn key(&self, pool: &LivePool) -> PartialKey {
        pool.key()
    }

    /// A stream comes, in a callback of `root`. It asks for its slots in the order of `asks`, of
    /// which there are a few; those that it has it keeps while it waits for the next.
    pub fn acquire(&mut self, root: RootId, stream: StreamId, asks: Vec<Ask>, uptime: Span) -> Admission {
        self.release(stream, uptime);
        if asks.is_empty() {
            return Admission::Admit;
        }
        if let Err(fault) = self.ledger.attend(root, uptime) {
            self.ledger.note(fault);
        }
        let slots = StreamSlots { asks, next: 0, held: Vec::new(), waits: None };
        let arrival = self.go_on(stream, slots, uptime);
        self.wake_for_granted();
        arrival
    }

    /// A stream has ended, however it did. Saying it twice, or of one that never came, does nothing.
    pub fn release(&mut self, stream: StreamId, uptime: Span) {
        let Some(slots) = self.streams.remove(&stream) else { return };
        if let Some(place) = slots.waits {
            self.deadlines.remove(&(place.deadline, stream));
            self.ledger.abandon(place.key, place.number, uptime);
        }
        self.return_slots(&slots.held, uptime);
        self.wake_for_granted();
    }

    /// Messages have come to this worker's queue.
    pub fn on_message(&mut self, uptime: Span) -> Vec<Action> {
        self.woken = false;
        self.hear(uptime);
        self.answer(uptime)
    }

    /// A tick of `root`; several roots of one VM may all have theirs.
    pub fn on_tick(&mut self, root: RootId, uptime: Span) -> Vec<Action> {
        self.woken = false;
        let half = Span::from_nanos(TICK.nanos() >> 1);
        if self.maintained.is_none_or(|maintained| uptime >= maintained.plus(half)) {
            self.maintained = Some(uptime);
            self.ledger.maintain(root, uptime);
            // One that came without waking anybody.
            self.hear(uptime);
        }
        self.answer(uptime)
    }

    /// A root has come with a new policy: from now on messages come through it.
    pub fn on_root(&mut self, root: RootId, uptime: Span) {
        if let Err(fault) = self.ledger.listen(root, uptime) {
            self.ledger.note(fault);
        }
    }

    /// A root is gone: if messages came through it, they come through the next that calls.
    pub fn on_root_gone(&mut self, root: RootId) {
        self.ledger.membership.forget_root(root);
    }

    /// Faults since the last call; of many at once some are not told.
    pub fn drain_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.ledger.faults)
    }

    /// Asks on, until the stream waits, is refused or has all its slots.
    fn go_on(&mut self, stream: StreamId, mut slots: StreamSlots, uptime: Span) -> Admission {
        while let Some(ask) = slots.asks.get(slots.next) {
            let reason = match self.ledger.enter(&ask.pool, ask.key, stream, uptime) {
                Ok((Entry::Admit, _)) => {
                    slots.held.push(ask.key);
                    None
                }
                Ok((Entry::Wait, number)) => {
                    let place = Place { key: ask.key, number, deadline: uptime.plus(ask.pool.limits().timeout()) };
                    slots.waits = Some(place);
                    self.deadlines.insert((place.deadline, stream));
                    self.streams.insert(stream, slots);
                    return Admission::Wait;
                }
                Ok((Entry::Full, _)) => Some(Reason::QueueFull),
                Err(fault) => {
                    self.ledger.note(fault);
                    (ask.failure == FailureMode::Deny).then_some(Reason::Unavailable(fault))
                }
            };
            if let Some(reason) = reason {
                self.return_slots(&slots.held, uptime);
                return Admission::Refuse(Refusal { ask: slots.next, reason });
            }
            slots.next = slots.next.saturating_add(1);
        }
        self.streams.insert(stream, slots);
        Admission::Admit
    }

    fn return_slots(&mut self, held: &[Key], uptime: Span) {
        held.iter().for_each(|key| self.ledger.release(*key, uptime));
    }

    /// Looks at the keys that others hinted at.
    fn hear(&mut self, uptime: Span) {
        let Some(queue) = self.ledger.membership.queue() else { return };
        let mut hints = BTreeSet::new();
        for _ in 0..MESSAGES_MAX {
            match self.ledger.host.dequeue(queue) {
                Ok(Some(message)) => hints.extend(key_of(&message)),
                Ok(None) => break,
                Err(fault) => {
                    self.ledger.note(fault);
                    break;
                }
            }
        }
        for key in hints {
            if self.ledger.waits_for(key) {
                self.ledger.settle(key, uptime);
            }
        }
    }

    /// Answers those who have come to their slot and those who waited too long, as many as one
    /// callback may.
    fn answer(&mut self, uptime: Span) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(ACTIONS_MAX, uptime, &mut actions);
        self.granted.extend(self.ledger.drain_granted());
        while actions.len() < ACTIONS_MAX
            && let Some(stream) = self.granted.pop_front()
        {
            let Some(mut slots) = self.streams.remove(&stream) else { continue };
            if let Some(place) = slots.waits.take() {
                self.deadlines.remove(&(place.deadline, stream));
                slots.held.push(place.key);
                slots.next = slots.next.saturating_add(1);
            }
            match self.go_on(stream, slots, uptime) {
                Admission::Admit => actions.push(Action { stream, answer: Answer::Resume }),
                Admission::Wait => {}
                Admission::Refuse(refusal) => actions.push(Action { stream, answer: Answer::Refuse(refusal) }),
            }
            self.granted.extend(self.ledger.drain_granted());
        }
        let is_overdue = self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= uptime);
        if is_overdue || !self.granted.is_empty() {
            self.wake();
        }
        actions
    }

    /// Refuses those who waited too long, the longest overdue first.
    fn expire(&mut self, most: usize, uptime: Span, actions: &mut Vec<Action>) {
        let due = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= uptime).take(most);
        let mut by_key: BTreeMap<Key, Vec<(u32, StreamId)>> = BTreeMap::new();
        for (_, stream) in due {
            if let Some(place) = self.streams.get(stream).and_then(|slots| slots.waits) {
                by_key.entry(place.key).or_default().push((place.number, *stream));
            }
        }
        for (key, places) in by_key {
            let numbers: Vec<u32> = places.iter().map(|(number, _)| *number).collect();
            let expired = self.ledger.expire(key, &numbers, uptime);
            for (_, stream) in places.into_iter().filter(|(number, _)| expired.contains(number)) {
                let Some(slots) = self.streams.remove(&stream) else { continue };
                if let Some(place) = slots.waits {
                    self.deadlines.remove(&(place.deadline, stream));
                }
                self.return_slots(&slots.held, uptime);
                let refusal = Refusal { ask: slots.next, reason: Reason::QueueTimeout };
                actions.push(Action { stream, answer: Answer::Refuse(refusal) });
            }
        }
    }

    fn wake_for_granted(&mut self) {
        self.granted.extend(self.ledger.drain_granted());
        if !self.granted.is_empty() {
            self.wake();
        }
    }

    /// Sends this worker a message, so that answers are given in a callback with a stack of its own.
    fn wake(&mut self) {
        let Some(queue) = self.ledger.membership.queue().filter(|_| !self.woken) else { return };
        match self.ledger.host.enqueue(queue, &[]) {
            Ok(()) => self.woken = true,
            // The next tick gives them.
            Err(fault) => self.ledger.note(fault),
        }
    }
}
