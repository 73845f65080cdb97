//! The proxy of a run: its event loops, the policy that is newest, and the oracle that watches.

use std::collections::BTreeMap;

use super::Setup;
use super::oracle::Oracle;
use crate::base::time::Span;
use crate::host::fake::world::{self, Model, Rates};
use crate::host::queue::QueueToken;

pub(super) const MILLI: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MILLI;

pub(super) type World = world::World<Proxy>;
pub(super) type Port = world::Port<Proxy>;

pub(super) struct Proxy {
    pub(super) loops: Vec<Loop>,
    pub(super) setup: Setup,
    /// The newest policy.
    pub(super) policy: u32,
    pub(super) next_stream: u32,
    pub(super) oracle: Oracle,
    /// The VM that a message wakes, by the queue's number.
    listeners: BTreeMap<u32, usize>,
}

/// An event loop, and its VM.
#[derive(Clone, Default)]
pub(super) struct Loop {
    /// The number of the VM among all that there were, if it lives.
    pub(super) vm: Option<usize>,
    pub(super) up_since: u64,
    pub(super) next_tick: u64,
    pub(super) may_reload: u64,
    /// When the messages to this VM arrive.
    pub(super) wakes: Vec<u64>,
    pub(super) policy: u32,
}

impl Proxy {
    /// The ports of all event loops of a new proxy.
    pub(super) fn start(setup: Setup) -> Vec<Port> {
        let Setup {
            seed,
            threads,
            rates,
            ..
        } = setup;
        let Rates {
            conflicts,
            faults,
            losses,
            deaths,
            stalls,
            ..
        } = rates;
        let mut oracle = Oracle::default();
        oracle.is_calm = conflicts + faults + losses + deaths + stalls == 0;
        let first = Loop {
            next_tick: 50 * MILLI,
            ..Loop::default()
        };
        let loops = vec![first; threads];
        let proxy = Self {
            loops,
            setup,
            policy: 0,
            next_stream: 0,
            oracle,
            listeners: BTreeMap::new(),
        };
        World::new(seed, threads, SECOND, rates, proxy).ports()
    }

    /// Whether nothing new happens any more.
    pub(super) const fn is_ending(&self, clock: u64) -> bool {
        clock >= self.setup.seconds * SECOND
    }

    /// Whether all must be at rest.
    pub(super) const fn is_over(&self, clock: u64) -> bool {
        self.oracle.failure.is_some() || clock >= (self.setup.seconds + 14) * SECOND
    }

    pub(super) fn uptime(&self, id: usize, clock: u64) -> Span {
        Span::from_nanos(clock - self.loops[id].up_since)
    }
}

impl Model for Proxy {
    fn pass_time(world: &mut World) {
        world.clock += world.below(100) * 1_000;
    }

    fn is_ending(world: &World) -> bool {
        world.model.is_ending(world.clock)
    }

    /// Or sweeping, which looks at all pages, would take all of the time.
    fn is_free_if_empty(key: &[u8]) -> bool {
        key.starts_with(b"sgp")
    }

    fn stall(world: &mut World, thread: usize) -> Option<u64> {
        let vm = world.model.loops[thread].vm?;
        world.model.oracle.stood_still(vm);
        Some((1 + world.below(10)) * SECOND)
    }

    fn on_swap(world: &mut World, thread: usize, key: &[u8], before: &[u8], after: &[u8]) {
        let clock = world.clock;
        let Self { loops, oracle, .. } = &mut world.model;
        let Loop { vm, policy, .. } = &loops[thread];
        oracle.on_swap(vm.unwrap_or_default(), *policy, key, before, after, clock);
    }

    fn on_register(world: &mut World, thread: usize, queue: QueueToken) {
        if let Some(vm) = world.model.loops[thread].vm {
            world.model.listeners.insert(queue.0, vm);
        }
    }

    fn on_message(world: &mut World, queue: QueueToken) {
        let at = world.clock + world.below(5 * MILLI);
        let Self {
            loops, listeners, ..
        } = &mut world.model;
        // A VM that has ended is not woken.
        let listener = listeners.get(&queue.0).copied();
        if let Some(one) = loops
            .iter_mut()
            .find(|one| one.vm.is_some() && one.vm == listener)
        {
            one.wakes.push(at);
        }
    }
}
