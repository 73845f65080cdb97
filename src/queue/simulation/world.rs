//! One proxy: shared data, queues, the time, and whose turn it is.
//!
//! Each event loop is a thread, but only the one whose turn it is runs: at every host call the seed
//! says who goes on, after how long. The same seed is the same run.

use std::collections::{HashMap, VecDeque};
use std::panic::panic_any;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::oracle::Oracle;
use super::{Setup, THREADS_MAX};
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::{QueueToken, SharedQueue};
use crate::host::shared::{SharedData, Swap, Version};

pub(super) const MILLI: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MILLI;

/// Ends a VM in the middle of a callback.
pub(super) struct Death;

pub(super) struct World {
    rng: u64,
    turn: usize,
    pub(super) clock: u64,
    values: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    version: u32,
    queues: Vec<Queue>,
    pub(super) loops: Vec<Loop>,
    pub(super) setup: Setup,
    pub(super) policy: u32,
    pub(super) next_stream: u32,
    pub(super) oracle: Oracle,
}

struct Queue {
    name: Vec<u8>,
    messages: VecDeque<Vec<u8>>,
    /// The VM that is woken.
    listener: usize,
}

/// An event loop, and its VM.
#[derive(Clone, Default)]
pub(super) struct Loop {
    /// The number of the VM among all that there were, if it lives.
    pub(super) vm: Option<usize>,
    pub(super) up_since: u64,
    pub(super) next_tick: u64,
    pub(super) may_reload: u64,
    stands_still_until: u64,
    /// When messages come that were sent to this VM.
    pub(super) wakes: Vec<u64>,
    pub(super) policy: u32,
    is_over: bool,
}

/// A thread's view of the world.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) id: usize,
    pub(super) world: Arc<(Mutex<World>, [Condvar; THREADS_MAX])>,
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        let at = Loop { next_tick: 50 * MILLI, ..Loop::default() };
        Self {
            rng: setup.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            turn: 0,
            clock: SECOND,
            values: HashMap::new(),
            version: 0,
            queues: Vec::new(),
            loops: vec![at; setup.threads],
            setup,
            policy: 0,
            next_stream: 0,
            oracle: Oracle::default(),
        }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.rng ^= self.rng >> 12;
        self.rng ^= self.rng << 25;
        self.rng ^= self.rng >> 27;
        (self.rng.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// Whether something happens that does in `share` of a hundred thousand cases, before the end.
    pub(super) fn chance(&mut self, share: u64) -> bool {
        share > 0 && self.below(100_000) < share && !self.is_ending()
    }

    /// Nothing new happens any more.
    pub(super) fn is_ending(&self) -> bool {
        self.clock >= self.setup.seconds * SECOND
    }

    /// All must be at rest.
    pub(super) fn is_over(&self) -> bool {
        self.oracle.failure.is_some() || self.clock >= (self.setup.seconds + 14) * SECOND
    }

    pub(super) fn uptime(&self, id: usize) -> Span {
        Span::from_nanos(self.clock - self.loops[id].up_since)
    }

    /// The seed says who goes on.
    fn pass_turn(&mut self, id: usize) {
        let share = self.setup.stalls;
        if self.loops[id].vm.is_some() && self.chance(share) {
            self.loops[id].stands_still_until = self.clock + (1 + self.below(10)) * SECOND;
            let vm = self.loops[id].vm;
            self.oracle.stood_still(vm);
        }
        let awake: Vec<usize> = (0..self.loops.len())
            .filter(|id| !self.loops[*id].is_over && self.loops[*id].stands_still_until <= self.clock)
            .collect();
        if awake.is_empty() {
            // Everybody stands still: the first to wake is next.
            let left = (0..self.loops.len()).filter(|id| !self.loops[*id].is_over);
            if let Some(next) = left.min_by_key(|id| self.loops[*id].stands_still_until) {
                self.clock = self.loops[next].stands_still_until;
                self.turn = next;
            }
        } else {
            let next = self.below(awake.len() as u64) as usize;
            self.turn = awake[next];
        }
    }
}

impl Port {
    fn wait(&self) -> MutexGuard<'_, World> {
        let (world, turns) = &*self.world;
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        while world.turn != self.id {
            world = turns[self.id].wait(world).unwrap_or_else(PoisonError::into_inner);
        }
        world
    }

    fn pass(&self, world: &mut World) {
        world.pass_turn(self.id);
        if world.turn != self.id {
            self.world.1[world.turn].notify_one();
        }
    }

    /// A host call: it takes a moment, then others may have their turn, or this VM dies.
    fn call<T>(&self, call: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.wait();
        world.clock += world.below(100) * 1_000;
        let done = call(&mut world);
        let deaths = world.setup.deaths;
        let dies = world.chance(deaths);
        if world.below(3) == 0 {
            self.pass(&mut world);
        }
        drop(world);
        if dies {
            panic_any(Death);
        }
        done
    }

    /// Between two callbacks.
    pub(super) fn between<T>(&self, step: impl FnOnce(&mut World) -> T) -> T {
        step(&mut self.wait())
    }

    /// Lets others have their turn, after a while.
    pub(super) fn rest(&self) {
        let mut world = self.wait();
        let most = 40 * MILLI / world.loops.len() as u64;
        world.clock += world.below(most);
        self.pass(&mut world);
    }

    pub(super) fn end(&self) {
        let mut world = self.wait();
        world.loops[self.id].is_over = true;
        self.pass(&mut world);
    }
}

const FAULT: Fault = Fault::HostStatus(10);

impl SharedData for Port {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        {
            // What is not there takes no time, or sweeping would take all of it.
            let world = self.wait();
            if world.values.get(key).is_none_or(|(value, _)| value.is_empty()) && key.starts_with(b"sgp") {
                return Ok(world
                    .values
                    .get(key)
                    .map_or((Vec::new(), Version::ABSENT), |(_, cas)| (Vec::new(), Version::of(*cas))));
            }
        }
        self.call(|world| {
            let share = world.setup.faults;
            if world.chance(share) {
                return Err(FAULT);
            }
            let value = world.values.get(key).cloned();
            Ok(value.map_or((Vec::new(), Version::ABSENT), |(value, cas)| (value, Version::of(cas))))
        })
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        let (id, key, value) = (self.id, key.to_vec(), value.to_vec());
        self.call(|world| {
            let Setup { faults, conflicts, .. } = world.setup;
            if world.chance(faults) {
                return Err(FAULT);
            }
            let before = world.values.get(&key);
            if before.is_some_and(|(_, cas)| *cas != seen.cas()) || world.chance(conflicts) {
                return Ok(Swap::Conflict);
            }
            let before = world.values.get(&key).map(|(value, _)| value.clone()).unwrap_or_default();
            let vm = world.loops[id].vm.unwrap_or_default();
            let (clock, policy) = (world.clock, world.loops[id].policy);
            world.oracle.on_swap(vm, policy, &key, &before, &value, clock);
            world.version += 1;
            let version = world.version;
            world.values.insert(key, (value, version));
            Ok(Swap::Done)
        })
    }
}

impl SharedQueue for Port {
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault> {
        self.call(|world| {
            let vm = world.loops[self.id].vm.unwrap_or_default();
            let known = world.queues.iter().position(|queue| queue.name == name);
            let token = known.unwrap_or(world.queues.len());
            match known {
                Some(token) => world.queues[token].listener = vm,
                None => world.queues.push(Queue { name: name.to_vec(), messages: VecDeque::new(), listener: vm }),
            }
            Ok(QueueToken(token as u32))
        })
    }

    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        self.call(|world| {
            let Setup { faults, losses, .. } = world.setup;
            if world.chance(faults) {
                return Err(FAULT);
            }
            let (at, is_lost) = (world.clock + world.below(5 * MILLI), world.chance(losses));
            let queue = &mut world.queues[queue.0 as usize];
            queue.messages.push_back(message.to_vec());
            // A VM that is no more is not woken.
            let listens = |one: &&mut Loop| one.vm == Some(queue.listener) && !is_lost;
            if let Some(one) = world.loops.iter_mut().find(listens) {
                one.wakes.push(at);
            }
            Ok(())
        })
    }

    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        // As for a page that is not there.
        if self.wait().queues[queue.0 as usize].messages.is_empty() {
            return Ok(None);
        }
        self.call(|world| Ok(world.queues[queue.0 as usize].messages.pop_front()))
    }
}
