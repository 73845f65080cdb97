//! Several workers over one proxy: streams that come, end and give up, deadlines, VMs that die at any
//! host call, policies that change, messages that are late or lost, conflicts, faults, and workers
//! that stand still for longer than others bear.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the model counts in plain integers"
)]

mod oracle;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};

use super::live::LivePool;
use super::membership::RootId;
use super::stream::{Action, Admission, Answer, Ask, StreamId};
use super::worker::Worker;
use crate::base::time::Span;
use crate::limit::FailureMode;
use crate::limit::pool::Pool;
use oracle::Stand;
use world::{Death, MILLI, Port, SECOND, World};

const THREADS_MAX: usize = 4;

/// Of the first pool there are two, of the second one.
const KEYS: usize = 3;

/// One run; all shares are of a hundred thousand host calls.
#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    seed: u64,
    threads: usize,
    seconds: u64,
    conflicts: u64,
    faults: u64,
    losses: u64,
    deaths: u64,
    stalls: u64,
    /// Of a hundred thousand events: another policy.
    policies: u64,
    /// Whether some streams ask for slots of both pools.
    asks_twice: bool,
}

const fn pool_of(key: usize) -> usize {
    if key < 2 { 0 } else { 1 }
}

/// The numbers of a pool under a policy.
fn numbers(policy: u32, pool: usize) -> Pool {
    let slots = [[2, 3, 1, 4], [4, 2, 6, 3]][pool][policy as usize % 4];
    Pool::new(slots, 8, Span::from_nanos(1_500 * MILLI)).unwrap()
}

/// What an event loop does next.
enum Event {
    Over,
    Nothing,
    Load,
    Policy(u32),
    Message,
    Tick,
    Arrive(u32, Vec<usize>),
    Leave(u32),
}

impl World {
    fn next_event(&mut self, id: usize) -> Event {
        if self.is_over() {
            return Event::Over;
        }
        let policies: Vec<u32> = self.loops.iter().map(|one| one.policy).collect();
        let clock = self.clock;
        self.oracle.look(clock, &policies);
        let rate = self.setup.policies;
        self.policy += u32::from(self.chance(rate));
        let policy = self.policy;
        let one = &mut self.loops[id];
        let Some(vm) = one.vm else {
            let may_load = clock >= one.may_reload && clock < (self.setup.seconds + 2) * SECOND;
            return if may_load { Event::Load } else { Event::Nothing };
        };
        self.oracle.begins(vm);
        if one.policy != policy {
            one.policy = policy;
            return Event::Policy(policy);
        }
        if let Some(wake) = one.wakes.iter().position(|at| *at <= clock) {
            one.wakes.remove(wake);
            return Event::Message;
        }
        // What is due may be called after what came in meanwhile.
        if clock >= one.next_tick && self.below(3) > 0 {
            self.loops[id].next_tick = clock + 100 * MILLI;
            return Event::Tick;
        }
        let open = self.oracle.open(vm);
        let haste = if self.is_ending() { 20 } else { 2 };
        if self.below(100) < haste * open.len() as u64 {
            let which = self.below(open.len() as u64) as usize;
            return Event::Leave(open[which]);
        }
        if self.below(100) < 40 && open.len() < 12 && !self.is_ending() {
            return self.arrival();
        }
        Event::Nothing
    }

    fn arrival(&mut self) -> Event {
        self.next_stream += 1;
        let keys = match self.below(10) {
            0..5 => vec![0],
            5..7 => vec![1],
            7 if self.setup.asks_twice => vec![2, 0],
            _ => vec![2],
        };
        Event::Arrive(self.next_stream, keys)
    }
}

/// A VM: what Envoy's callbacks do with the worker.
struct Vm {
    number: usize,
    worker: Worker<Port>,
    pools: [Rc<LivePool>; 2],
    root: RootId,
}

impl Vm {
    fn load(port: &Port) -> Self {
        let (number, policy) = port.between(|world| {
            let number = world.oracle.vm_starts();
            let (clock, policy) = (world.clock, world.policy);
            let one = &mut world.loops[port.id];
            (one.vm, one.up_since, one.next_tick, one.policy) = (Some(number), clock, clock, policy);
            (number, policy)
        });
        // A host that fails here keeps the policy away; it is put to work later.
        let mut worker = (0..).find_map(|_| Worker::open(port.clone(), &[5; 16]).ok()).unwrap();
        let pools = [0, 1].map(|pool: usize| worker.reconfigure(&pool.to_le_bytes(), numbers(policy, pool)));
        let key = |key: usize| {
            let mut partial = worker.key(&pools[pool_of(key)]);
            partial.push(Some(&key.to_le_bytes()));
            partial.finish()
        };
        let keys = (0..KEYS).map(key).collect();
        port.between(|world| world.oracle.keys = keys);
        Self { number, worker, pools, root: RootId(1) }
    }

    fn live(&mut self, port: &Port, event: Event) {
        let uptime = port.between(|world| world.uptime(port.id));
        let vm = self.number;
        match event {
            Event::Over | Event::Nothing | Event::Load => {}
            Event::Policy(policy) => {
                self.root = RootId(self.root.0 + 1);
                for (pool, live) in self.pools.iter_mut().enumerate() {
                    *live = self.worker.reconfigure(&pool.to_le_bytes(), numbers(policy, pool));
                }
                self.worker.on_root(self.root, uptime);
            }
            Event::Message => {
                let actions = self.worker.on_message(uptime);
                self.carry_out(port, actions);
            }
            Event::Tick => {
                let actions = self.worker.on_tick(self.root, uptime);
                port.between(|world| world.oracle.has_ticked(vm));
                self.carry_out(port, actions);
            }
            Event::Arrive(stream, keys) => {
                let asks = port.between(|world| {
                    let asks = keys.iter().map(|key| Ask {
                        pool: Rc::clone(&self.pools[pool_of(*key)]),
                        key: world.oracle.keys[*key],
                        failure: FailureMode::Deny,
                    });
                    let asks = asks.collect();
                    world.oracle.arrives(stream, vm, keys, world.clock);
                    asks
                });
                let arrival = self.worker.acquire(self.root, StreamId(stream), asks, uptime);
                port.between(|world| match arrival {
                    Admission::Admit => world.oracle.answered(vm, stream, Stand::Asking, Ok(()), world.clock),
                    Admission::Wait => world.oracle.waits(vm, stream),
                    Admission::Refuse(refusal) => {
                        world.oracle.answered(vm, stream, Stand::Asking, Err(refusal.reason), world.clock);
                    }
                });
            }
            Event::Leave(stream) => {
                port.between(|world| world.oracle.leaves(stream));
                self.worker.release(StreamId(stream), uptime);
                self.worker.release(StreamId(stream), uptime);
            }
        }
    }

    fn carry_out(&self, port: &Port, actions: Vec<Action>) {
        port.between(|world| {
            for Action { stream, answer } in actions {
                let answer = match answer {
                    Answer::Resume => Ok(()),
                    Answer::Refuse(refusal) => Err(refusal.reason),
                };
                world.oracle.answered(self.number, stream.0, Stand::Waiting, answer, world.clock);
            }
        });
    }
}

/// An event loop, until all is over.
fn run_loop(port: &Port) {
    let mut vm = None;
    loop {
        let event = port.between(|world| world.next_event(port.id));
        if matches!(event, Event::Over) {
            break;
        }
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let is_new = vm.is_none() && matches!(event, Event::Load);
            if is_new {
                vm = Some(Vm::load(port));
            }
            let event = if is_new { port.between(World::arrival) } else { event };
            if let Some(vm) = &mut vm {
                vm.live(port, event);
            }
        }));
        if let Err(panic) = lived {
            vm = None;
            port.between(|world| {
                let clock = world.clock;
                let one = &mut world.loops[port.id];
                (one.may_reload, one.wakes) = (clock + SECOND, Vec::new());
                if let Some(vm) = one.vm.take() {
                    world.oracle.vm_dies(vm);
                }
                if !panic.is::<Death>() {
                    world.oracle.failure.get_or_insert("a panic".to_owned());
                }
            });
        }
        port.rest();
    }
    port.end();
}

/// Runs it, and panics where a promise was broken. What was seen.
fn run(setup: Setup) -> [u64; 5] {
    let mut world = World::new(setup);
    let Setup { conflicts, faults, losses, deaths, stalls, .. } = setup;
    world.oracle.is_calm = conflicts + faults + losses + deaths + stalls == 0;
    let world = Arc::new((Mutex::new(world), [const { Condvar::new() }; THREADS_MAX]));
    let ports = (0..setup.threads).map(|id| Port { id, world: Arc::clone(&world) });
    let threads: Vec<_> = ports.map(|port| std::thread::spawn(move || run_loop(&port))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut world = world.0.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = world.clock;
    world.oracle.finish(clock);
    assert_eq!(world.oracle.failure, None, "{setup:?}");
    world.oracle.seen
}

fn silence_deaths() {
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

/// Runs all seeds. What was seen must be all that there is to see.
fn run_all(seeds: u64, setup: impl Fn(u64) -> Setup) {
    silence_deaths();
    let mut seen = [0; 5];
    for seed in 0..seeds {
        let run = run(Setup { seed, threads: 1 + seed as usize % THREADS_MAX, seconds: 20, ..setup(seed) });
        seen.iter_mut().zip(run).for_each(|(sum, count)| *sum += count);
    }
    assert!(seen[..4].iter().all(|count| *count > seeds), "{seen:?}");
    assert_eq!(seen[4] > 0, setup(0).stalls > 0, "{seen:?}");
}

#[test]
fn while_all_is_well_nobody_waits_for_a_slot_that_is_free() {
    run_all(60, |_| Setup::default());
}

#[test]
fn another_policy_holds_from_when_it_is_taken() {
    run_all(60, |_| Setup { policies: 500, ..Setup::default() });
}

#[test]
fn whatever_fails_no_slot_is_lost_and_nobody_is_answered_twice() {
    run_all(150, |seed| Setup {
        conflicts: [0, 2_000, 20_000][seed as usize % 3],
        faults: [0, 300, 0, 10_000][seed as usize / 3 % 4],
        losses: [0, 20_000][seed as usize / 2 % 2],
        deaths: [100, 0, 30][seed as usize % 3],
        policies: [0, 500][seed as usize % 2],
        asks_twice: true,
        ..Setup::default()
    });
}

#[test]
fn a_worker_that_stands_still_harms_nobody_else() {
    run_all(100, |seed| Setup {
        stalls: 60,
        deaths: [0, 30][seed as usize % 2],
        asks_twice: seed % 3 == 0,
        ..Setup::default()
    });
}
