//! The worker: streams acquire and release slots, and each is answered once.
//!
//! ```text
//!   acquire ─▶ slot by slot ┬▶ Admit ───────────────────────────▶ release: slots back
//!                ▲           ├▶ Wait ─┬▶ granted ─▶ other slots ─▶ Resume ─▶ release
//!                │           │        ├▶ too long ────────────────▶ Refuse
//!                └───────────│────────┴▶ release: ticket or slot back
//!                            └▶ Refuse
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::lease_table::{LeaseTable, key_of};
use super::live::LivePool;
use super::membership::RootId;
use super::page::PAGES;
use super::stream::{Action, Admission, Answer, Note, Reason, Refusal, SlotRequest, StreamId};
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::limit::pool::{Entry, Pool, State};
use crate::limit::{Enforcement, FailureMode};
use crate::store::key::{Key, KeyMaker, PartialKey, Secret};
use crate::store::shared::secret;

/// Most streams that one callback answers. Envoy carries out each answer within the one before, and
/// some three hundred exhaust its stack (measured).
pub const ACTIONS_MAX: usize = 64;

/// Most messages that one callback receives.
const MESSAGES_MAX: usize = 64;

/// The period of ticks that all stated times assume.
pub const TICK: Span = Span::from_nanos(100_000_000);

/// All streams of one VM that ask for slots, of all policies.
///
/// Times are the uptime of this VM, by a clock that never steps.
#[derive(Debug)]
pub struct Worker<H> {
    leases: LeaseTable<H>,
    keys: KeyMaker,
    streams: BTreeMap<StreamId, StreamSlots>,
    deadlines: BTreeSet<(Span, StreamId)>,
    granted: VecDeque<StreamId>,
    /// The notes of pools about the stream that asked last.
    notes: Vec<Note>,
    /// Whether this worker has sent itself a message that has not arrived yet.
    has_woken_itself: bool,
    maintained_at: Option<Span>,
}

/// A stream and its slots.
#[derive(Debug)]
struct StreamSlots {
    requests: Vec<SlotRequest>,
    /// The index of the request that waits, or of the next one.
    next: usize,
    held: Vec<Key>,
    waits: Option<QueuePosition>,
}

/// A stream's position in a queue.
#[derive(Clone, Copy, Debug)]
struct QueuePosition {
    key: Key,
    number: u32,
    deadline: Span,
}

impl<H: SharedData + SharedQueue> Worker<H> {
    /// A worker without streams. `candidate` becomes the proxy's secret if it has none yet.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    pub fn open(host: H, candidate: &Secret) -> Result<Self, Fault> {
        let keys = KeyMaker::new(&secret(&host, candidate)?, PAGES);
        Ok(Self {
            leases: LeaseTable::new(host),
            keys,
            streams: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            granted: VecDeque::new(),
            notes: Vec::new(),
            has_woken_itself: false,
            maintained_at: None,
        })
    }

    /// Takes over a pool's limits from a policy that takes effect. They apply at once to the
    /// streams of all policies. A waiting stream keeps its deadline.
    pub fn reconfigure(&mut self, identity: &[u8], limits: Pool) -> Rc<LivePool> {
        self.leases.reconfigure(identity, &self.keys, limits)
    }

    /// Begins the key of one partition of `pool`.
    #[must_use]
    pub fn key(&self, pool: &LivePool) -> PartialKey {
        pool.key()
    }

    /// The slots of this key, over all workers, as they are now.
    ///
    /// # Errors
    /// [`Fault`] if the record cannot be had.
    pub fn state(&self, key: Key) -> Result<State, Fault> {
        self.leases.state(key)
    }

    /// Asks for the slots of a stream, in a callback of `root` and in the order of `requests`. The
    /// stream keeps the slots that it has while it waits for the next.
    pub fn acquire(
        &mut self,
        root: RootId,
        stream: StreamId,
        requests: Vec<SlotRequest>,
        uptime: Span,
    ) -> Admission {
        self.notes.clear();
        self.release(stream, uptime);
        if requests.is_empty() {
            return Admission::Admit;
        }
        if let Err(fault) = self.leases.ensure_member(root, uptime) {
            self.leases.record_fault(fault);
        }
        let slots = StreamSlots {
            requests,
            next: 0,
            held: Vec::new(),
            waits: None,
        };
        let admission = self.acquire_rest(stream, slots, uptime);
        self.wake_for_granted();
        admission
    }

    /// The notes of the pools about the stream that asked for its slots last.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Releases the slots and the ticket of a stream, which has ended. It does nothing for a stream
    /// that it does not know.
    pub fn release(&mut self, stream: StreamId, uptime: Span) {
        let Some(slots) = self.streams.remove(&stream) else {
            return;
        };
        if let Some(position) = slots.waits {
            self.deadlines.remove(&(position.deadline, stream));
            self.leases.abandon(position.key, position.number, uptime);
        }
        self.return_slots(&slots.held, uptime);
        self.wake_for_granted();
    }

    /// Receives the messages in this worker's queue.
    pub fn on_message(&mut self, uptime: Span) -> Vec<Action> {
        self.has_woken_itself = false;
        self.receive(uptime);
        self.answer(uptime)
    }

    /// Carries out a tick of `root`. Several roots of one VM may all tick.
    pub fn on_tick(&mut self, root: RootId, uptime: Span) -> Vec<Action> {
        self.has_woken_itself = false;
        let half = Span::from_nanos(TICK.nanos() >> 1);
        if self
            .maintained_at
            .is_none_or(|maintained_at| uptime >= maintained_at.plus(half))
        {
            self.maintained_at = Some(uptime);
            self.leases.maintain(root, uptime);
            // A message may have arrived without a callback.
            self.receive(uptime);
        }
        self.answer(uptime)
    }

    /// Receives messages through `root`, which has a new policy, from now on.
    pub fn on_root(&mut self, root: RootId, uptime: Span) {
        if let Err(fault) = self.leases.listen(root, uptime) {
            self.leases.record_fault(fault);
        }
    }

    /// Notes that `root` is gone. If it received the messages, the root of the next callback does.
    pub fn on_root_gone(&mut self, root: RootId) {
        self.leases.membership.forget_root(root);
    }

    /// Returns the faults since the last call, or the first of them if there were very many.
    pub fn drain_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.leases.faults)
    }

    /// Asks for the next slots until the stream waits, is refused or has all of them.
    fn acquire_rest(
        &mut self,
        stream: StreamId,
        mut slots: StreamSlots,
        uptime: Span,
    ) -> Admission {
        while let Some(request) = slots.requests.get(slots.next) {
            let reason = match self.leases.enter(request, stream, uptime) {
                Ok((Entry::Admit, _, free)) => {
                    slots.held.push(request.key);
                    let request = slots.next;
                    self.notes.push(Note::Granted { request, free });
                    None
                }
                Ok((Entry::Wait, number, _)) => {
                    let position = QueuePosition {
                        key: request.key,
                        number,
                        deadline: uptime.plus(request.limits().timeout()),
                    };
                    slots.waits = Some(position);
                    self.deadlines.insert((position.deadline, stream));
                    self.streams.insert(stream, slots);
                    return Admission::Wait;
                }
                Ok((Entry::Full, ..)) => Some(Reason::QueueFull),
                Err(fault) => {
                    self.leases.record_fault(fault);
                    (request.failure == FailureMode::Deny).then_some(Reason::Unavailable(fault))
                }
            };
            let is_shadow = request.enforcement == Enforcement::Shadow;
            if reason.is_some() && is_shadow {
                self.notes.push(Note::WouldRefuse {
                    request: slots.next,
                });
            } else if let Some(reason) = reason {
                self.return_slots(&slots.held, uptime);
                return Admission::Refuse(Refusal {
                    pool: slots.next,
                    reason,
                });
            }
            slots.next = slots.next.saturating_add(1);
        }
        self.streams.insert(stream, slots);
        Admission::Admit
    }

    fn return_slots(&mut self, held: &[Key], uptime: Span) {
        for key in held {
            self.leases.release(*key, uptime);
        }
    }

    /// Looks at the keys that other workers sent hints for.
    fn receive(&mut self, uptime: Span) {
        let Some(queue) = self.leases.membership.queue() else {
            return;
        };
        let mut hints = BTreeSet::new();
        for _ in 0..MESSAGES_MAX {
            match self.leases.host.dequeue(queue) {
                Ok(Some(message)) => hints.extend(key_of(&message)),
                Ok(None) => break,
                Err(fault) => {
                    self.leases.record_fault(fault);
                    break;
                }
            }
        }
        for key in hints {
            if self.leases.waits_for(key) {
                self.leases.flush(key, uptime);
            }
        }
    }

    /// Answers the streams whose slot was granted and those that waited too long, up to the number
    /// that one callback allows.
    fn answer(&mut self, uptime: Span) -> Vec<Action> {
        let mut actions = Vec::new();
        self.notes.clear();
        self.expire(ACTIONS_MAX, uptime, &mut actions);
        self.granted.extend(self.leases.drain_granted());
        while actions.len() < ACTIONS_MAX
            && let Some(stream) = self.granted.pop_front()
        {
            let Some(mut slots) = self.streams.remove(&stream) else {
                continue;
            };
            if let Some(position) = slots.waits.take() {
                self.deadlines.remove(&(position.deadline, stream));
                slots.held.push(position.key);
                slots.next = slots.next.saturating_add(1);
            }
            match self.acquire_rest(stream, slots, uptime) {
                Admission::Admit => actions.push(Action {
                    stream,
                    answer: Answer::Resume,
                }),
                Admission::Wait => {}
                Admission::Refuse(refusal) => actions.push(Action {
                    stream,
                    answer: Answer::Refuse(refusal),
                }),
            }
            self.granted.extend(self.leases.drain_granted());
        }
        let is_overdue = self
            .deadlines
            .first()
            .is_some_and(|(deadline, _)| *deadline <= uptime);
        if is_overdue || !self.granted.is_empty() {
            self.wake();
        }
        actions
    }

    /// Refuses streams that waited too long, the longest overdue first.
    fn expire(&mut self, most: usize, uptime: Span, actions: &mut Vec<Action>) {
        let due = self
            .deadlines
            .iter()
            .take_while(|(deadline, _)| *deadline <= uptime)
            .take(most);
        let mut by_key: BTreeMap<Key, Vec<(u32, StreamId)>> = BTreeMap::new();
        for (_, stream) in due {
            if let Some(position) = self.streams.get(stream).and_then(|slots| slots.waits) {
                by_key
                    .entry(position.key)
                    .or_default()
                    .push((position.number, *stream));
            }
        }
        for (key, positions) in by_key {
            let numbers: Vec<u32> = positions.iter().map(|(number, _)| *number).collect();
            let expired = self.leases.expire(key, &numbers, uptime);
            for (_, stream) in positions
                .into_iter()
                .filter(|(number, _)| expired.contains(number))
            {
                let Some(slots) = self.streams.remove(&stream) else {
                    continue;
                };
                if let Some(position) = slots.waits {
                    self.deadlines.remove(&(position.deadline, stream));
                }
                self.return_slots(&slots.held, uptime);
                let refusal = Refusal {
                    pool: slots.next,
                    reason: Reason::QueueTimeout,
                };
                actions.push(Action {
                    stream,
                    answer: Answer::Refuse(refusal),
                });
            }
        }
    }

    fn wake_for_granted(&mut self) {
        self.granted.extend(self.leases.drain_granted());
        if !self.granted.is_empty() {
            self.wake();
        }
    }

    /// Sends this worker a message, so that a callback with its own stack gives the answers.
    fn wake(&mut self) {
        let Some(queue) = self
            .leases
            .membership
            .queue()
            .filter(|_| !self.has_woken_itself)
        else {
            return;
        };
        match self.leases.host.enqueue(queue, &[]) {
            Ok(()) => self.has_woken_itself = true,
            // The next tick gives the answers.
            Err(fault) => self.leases.record_fault(fault),
        }
    }
}
