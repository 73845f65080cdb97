//! Several threads over one proxy: at every host call a seed decides which thread continues.
//!
//! Each worker is a thread, but only the one whose turn it is runs. So a seed is one interleaving,
//! and the same seed is the same run.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the model counts in plain integers"
)]

use std::panic::panic_any;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};

use super::map::{QueueMap, SharedMap};
use super::predicting::Overwrite;
use super::random::Random;
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::queue::{QueueToken, SharedQueue};
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::Clock;

/// A rate of 1: every host call.
pub(crate) const ALWAYS: u64 = 100_000;

/// Ends a worker in the middle of a callback.
pub(crate) struct Death;

/// How often something happens. All rates are of a hundred thousand host calls ([`ALWAYS`]).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// Another thread may go on.
    pub(crate) turns: u64,
    /// A swap conflicts although no other worker wrote.
    pub(crate) conflicts: u64,
    /// The host fails.
    pub(crate) faults: u64,
    /// A message wakes no worker.
    pub(crate) losses: u64,
    /// The worker dies.
    pub(crate) deaths: u64,
    /// The worker pauses.
    pub(crate) stalls: u64,
}

/// The parts that a simulation adds to the world.
pub(crate) trait Model: Sized + Send + 'static {
    /// Lets the time of one host call pass.
    fn pass_time(world: &mut World<Self>);

    /// Whether nothing may go wrong any more, so that the run ends.
    fn is_ending(_world: &World<Self>) -> bool {
        false
    }

    /// Whether reading a value that is empty takes neither time nor a turn.
    fn is_free_if_empty(_key: &[u8]) -> bool {
        false
    }

    /// The nanoseconds for which `thread` pauses from now on; `None` if it cannot.
    fn stall(_world: &mut World<Self>, _thread: usize) -> Option<u64> {
        None
    }

    /// `thread` replaces a value.
    fn on_swap(
        _world: &mut World<Self>,
        _thread: usize,
        _key: &[u8],
        _before: &[u8],
        _after: &[u8],
    ) {
    }

    /// `thread` listens to a queue.
    fn on_register(_world: &mut World<Self>, _thread: usize, _queue: QueueToken) {}

    /// A message wakes the worker that listens to `queue`.
    fn on_message(_world: &mut World<Self>, _queue: QueueToken) {}
}

/// One proxy: its shared data, its queues, the time, and whose turn it is.
pub(crate) struct World<M> {
    random: Random,
    turn: usize,
    threads: Vec<Thread>,
    /// The wall clock, in nanoseconds.
    pub(crate) clock: u64,
    pub(crate) rates: Rates,
    map: SharedMap,
    queues: QueueMap,
    pub(crate) model: M,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    stands_still_until: u64,
    is_over: bool,
}

/// The world as one of its threads sees it.
pub(crate) struct Port<M> {
    pub(crate) id: usize,
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    world: Mutex<World<M>>,
    /// One for each thread, notified when it is that thread's turn.
    turns: Vec<Condvar>,
}

impl<M> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Model> World<M> {
    pub(crate) fn new(seed: u64, threads: usize, clock: u64, rates: Rates, model: M) -> Self {
        Self {
            random: Random::new(seed),
            turn: 0,
            threads: vec![Thread::default(); threads],
            clock,
            rates,
            map: SharedMap::default(),
            queues: QueueMap::default(),
            model,
        }
    }

    /// The ports of all threads.
    pub(crate) fn ports(self) -> Vec<Port<M>> {
        let threads = self.threads.len();
        let turns = std::iter::repeat_with(Condvar::new).take(threads).collect();
        let shared = Arc::new(Shared {
            world: Mutex::new(self),
            turns,
        });
        (0..threads)
            .map(|id| Port {
                id,
                shared: Arc::clone(&shared),
            })
            .collect()
    }

    /// A number below `bound`, by the seed.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// Whether something with this rate happens now.
    pub(crate) fn chance(&mut self, rate: u64) -> bool {
        rate > 0 && self.below(ALWAYS) < rate && !M::is_ending(self)
    }

    fn pass_turn(&mut self, thread: usize) {
        let stalls = self.rates.stalls;
        if self.chance(stalls)
            && let Some(nanos) = M::stall(self, thread)
        {
            self.threads[thread].stands_still_until = self.clock + nanos;
        }
        let left: Vec<usize> = (0..self.threads.len())
            .filter(|thread| !self.threads[*thread].is_over)
            .collect();
        let awake: Vec<usize> = left
            .iter()
            .copied()
            .filter(|thread| self.threads[*thread].stands_still_until <= self.clock)
            .collect();
        if !awake.is_empty() {
            let next = self.below(awake.len() as u64) as usize;
            self.turn = awake[next];
        } else if let Some(next) = left
            .into_iter()
            .min_by_key(|thread| self.threads[*thread].stands_still_until)
        {
            // All pause: the first to wake is next.
            self.clock = self.threads[next].stands_still_until;
            self.turn = next;
        }
    }
}

impl<M: Model> Port<M> {
    fn lock(&self) -> MutexGuard<'_, World<M>> {
        self.shared
            .world
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> MutexGuard<'_, World<M>> {
        let mut world = self.lock();
        while world.turn != self.id {
            world = self.shared.turns[self.id]
                .wait(world)
                .unwrap_or_else(PoisonError::into_inner);
        }
        world
    }

    fn pass(&self, world: &mut World<M>) {
        world.pass_turn(self.id);
        if world.turn != self.id {
            self.shared.turns[world.turn].notify_one();
        }
    }

    /// A host call: it takes a moment, then others may have their turn, or this worker dies.
    pub(crate) fn call<T>(&self, call: impl FnOnce(&mut World<M>) -> T) -> T {
        let mut world = self.wait();
        M::pass_time(&mut world);
        let done = call(&mut world);
        let Rates { deaths, turns, .. } = world.rates;
        let dies = world.chance(deaths);
        if turns == ALWAYS || world.below(ALWAYS) < turns {
            self.pass(&mut world);
        }
        drop(world);
        if dies {
            panic_any(Death);
        }
        done
    }

    /// A step that takes no time and no turn.
    pub(crate) fn between<T>(&self, step: impl FnOnce(&mut World<M>) -> T) -> T {
        step(&mut self.wait())
    }

    /// Lets others have their turn, after a while of at most `nanos`.
    pub(crate) fn rest(&self, nanos: u64) {
        let mut world = self.wait();
        world.clock += world.below(nanos);
        self.pass(&mut world);
    }

    /// Ends this thread, also after its worker has died.
    pub(crate) fn end(&self) {
        let mut world = self.wait();
        world.threads[self.id].is_over = true;
        self.pass(&mut world);
    }

    /// The world once all threads have ended, in which nothing goes wrong any more.
    pub(crate) fn alone(&self) -> Self {
        let mut world = self.lock();
        world.turn = 0;
        world.threads = vec![Thread::default()];
        world.rates = Rates {
            turns: ALWAYS,
            ..Rates::default()
        };
        drop(world);
        Self {
            id: 0,
            shared: Arc::clone(&self.shared),
        }
    }
}

const FAULT: Fault = Fault::HostStatus(10);

impl<M: Model> SharedData for Port<M> {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        if M::is_free_if_empty(key)
            && let Some(read) =
                self.between(|world| world.map.is_empty(key).then(|| world.map.read(key)))
        {
            return Ok(read);
        }
        self.call(|world| {
            let faults = world.rates.faults;
            if world.chance(faults) {
                Err(FAULT)
            } else {
                Ok(world.map.read(key))
            }
        })
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        self.call(|world| {
            let Rates {
                faults, conflicts, ..
            } = world.rates;
            if world.chance(faults) {
                return Err(FAULT);
            }
            if world.map.conflicts(key, seen) || world.chance(conflicts) {
                return Ok(Swap::Conflict);
            }
            let (before, _) = world.map.read(key);
            M::on_swap(world, self.id, key, &before, value);
            Ok(world.map.swap(key, value, seen))
        })
    }
}

impl<M: Model> Overwrite for Port<M> {
    fn overwrite(&self, key: &[u8], value: &[u8]) {
        self.call(|world| world.map.overwrite(key, value));
    }
}

impl<M: Model> SharedQueue for Port<M> {
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault> {
        self.call(|world| {
            let queue = world.queues.register(name);
            M::on_register(world, self.id, queue);
            Ok(queue)
        })
    }

    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        self.call(|world| {
            let Rates { faults, losses, .. } = world.rates;
            if world.chance(faults) {
                return Err(FAULT);
            }
            world.queues.enqueue(queue, message)?;
            if !world.chance(losses) {
                M::on_message(world, queue);
            }
            Ok(())
        })
    }

    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        // An empty queue takes neither time nor a turn, as a page that is not there.
        if self.between(|world| world.queues.is_empty(queue)) {
            return Ok(None);
        }
        self.call(|world| Ok(world.queues.dequeue(queue)))
    }
}

impl<M: Model> Clock for Port<M> {
    fn now(&self) -> Timestamp {
        self.call(|world| Timestamp::from_nanos(world.clock))
    }
}

/// Keeps [`Death`] out of the output of the tests.
pub(crate) fn silence_deaths() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Death>() {
                usual(info);
            }
        }));
    });
}
