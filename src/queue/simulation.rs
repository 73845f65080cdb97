//! Several workers over one proxy ([`crate::host::fake::world`]): streams that arrive, end and give
//! up, deadlines, VMs that die at any host call, policies that change, messages that are late or
//! lost, conflicts, faults, and workers that pause for longer than the failure detector allows.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the model counts in plain integers"
)]

mod oracle;
mod proxy;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use self::oracle::StreamState;
use self::proxy::{MILLI, Port, Proxy, SECOND, World};
use super::live::LivePool;
use super::membership::RootId;
use super::stream::{Action, Admission, Answer, SlotRequest, StreamId};
use super::worker::Worker;
use crate::base::time::Span;
use crate::host::fake::seeds::for_each_seed;
use crate::host::fake::world::{ALWAYS, Death, Rates, silence_deaths};
use crate::limit::pool::Pool;
use crate::limit::{Enforcement, FailureMode};

const THREADS_MAX: usize = 4;

/// Two of the first pool, and one of the second.
const KEYS: usize = 3;

/// One run.
#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    seed: u64,
    threads: usize,
    seconds: u64,
    rates: Rates,
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

/// The next event of an event loop.
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

/// Chooses the next event of one thread's event loop.
fn next_event(world: &mut World, id: usize) -> Event {
    let clock = world.clock;
    if world.model.is_over(clock) {
        return Event::Over;
    }
    let policies: Vec<u32> = world.model.loops.iter().map(|one| one.policy).collect();
    world.model.oracle.look(clock, &policies);
    let rate = world.model.setup.policies;
    world.model.policy += u32::from(world.chance(rate));
    let (policy, setup) = (world.model.policy, world.model.setup);
    let one = &mut world.model.loops[id];
    let Some(vm) = one.vm else {
        let may_load = clock >= one.may_reload && clock < (setup.seconds + 2) * SECOND;
        return if may_load {
            Event::Load
        } else {
            Event::Nothing
        };
    };
    world.model.oracle.begins(vm);
    if one.policy != policy {
        one.policy = policy;
        return Event::Policy(policy);
    }
    if let Some(wake) = one.wakes.iter().position(|at| *at <= clock) {
        one.wakes.remove(wake);
        return Event::Message;
    }
    // An event that arrived meanwhile may be handled before one that is due.
    if clock >= one.next_tick && world.below(3) > 0 {
        world.model.loops[id].next_tick = clock + 100 * MILLI;
        return Event::Tick;
    }
    let open = world.model.oracle.open(vm);
    let is_ending = world.model.is_ending(clock);
    let haste = if is_ending { 20 } else { 2 };
    if world.below(100) < haste * open.len() as u64 {
        let which = world.below(open.len() as u64) as usize;
        return Event::Leave(open[which]);
    }
    if world.below(100) < 40 && open.len() < 12 && !is_ending {
        return arrival(world);
    }
    Event::Nothing
}

fn arrival(world: &mut World) -> Event {
    world.model.next_stream += 1;
    let keys = match world.below(10) {
        0..5 => vec![0],
        5..7 => vec![1],
        7 if world.model.setup.asks_twice => vec![2, 0],
        _ => vec![2],
    };
    Event::Arrive(world.model.next_stream, keys)
}

/// A VM: the worker, as Envoy's callbacks drive it.
struct Vm {
    number: usize,
    worker: Worker<Port>,
    pools: [Rc<LivePool>; 2],
    root: RootId,
}

impl Vm {
    fn load(port: &Port) -> Self {
        let (number, policy) = port.between(|world| {
            let number = world.model.oracle.vm_starts();
            let (clock, policy) = (world.clock, world.model.policy);
            let one = &mut world.model.loops[port.id];
            (one.vm, one.up_since, one.next_tick, one.policy) =
                (Some(number), clock, clock, policy);
            (number, policy)
        });
        // If the host fails here, the policy takes effect later.
        let mut worker = (0..)
            .find_map(|_| Worker::open(port.clone(), &[5; 16]).ok())
            .unwrap();
        let pools = [0, 1]
            .map(|pool: usize| worker.reconfigure(&pool.to_le_bytes(), numbers(policy, pool)));
        let keys = (0..KEYS)
            .map(|key| {
                let mut partial = worker.key(&pools[pool_of(key)]);
                partial.push(Some(&key.to_le_bytes()));
                partial.finish()
            })
            .collect();
        port.between(|world| world.model.oracle.keys = keys);
        Self {
            number,
            worker,
            pools,
            root: RootId(1),
        }
    }

    fn live(&mut self, port: &Port, event: Event) {
        let uptime = port.between(|world| world.model.uptime(port.id, world.clock));
        let vm = self.number;
        match event {
            Event::Over | Event::Nothing | Event::Load => {}
            Event::Policy(policy) => {
                self.root = RootId(self.root.0 + 1);
                for (pool, live) in self.pools.iter_mut().enumerate() {
                    *live = self
                        .worker
                        .reconfigure(&pool.to_le_bytes(), numbers(policy, pool));
                }
                self.worker.on_root(self.root, uptime);
            }
            Event::Message => {
                let actions = self.worker.on_message(uptime);
                self.carry_out(port, actions);
            }
            Event::Tick => {
                let actions = self.worker.on_tick(self.root, uptime);
                port.between(|world| world.model.oracle.has_ticked(vm));
                self.carry_out(port, actions);
            }
            Event::Arrive(stream, keys) => self.arrive(port, stream, keys, uptime),
            Event::Leave(stream) => {
                port.between(|world| world.model.oracle.leaves(stream));
                self.worker.release(StreamId(stream), uptime);
                self.worker.release(StreamId(stream), uptime);
            }
        }
    }

    fn arrive(&mut self, port: &Port, stream: u32, keys: Vec<usize>, uptime: Span) {
        let requests = port.between(|world| {
            let requests = keys.iter().map(|key| SlotRequest {
                pool: Rc::clone(&self.pools[pool_of(*key)]),
                own: None,
                key: world.model.oracle.keys[*key],
                failure: FailureMode::Deny,
                enforcement: Enforcement::Enforce,
            });
            let requests = requests.collect();
            world
                .model
                .oracle
                .arrives(stream, self.number, keys, world.clock);
            requests
        });
        let arrival = self
            .worker
            .acquire(self.root, StreamId(stream), requests, uptime);
        port.between(|world| match arrival {
            Admission::Admit => world.model.oracle.answered(
                self.number,
                stream,
                StreamState::Asking,
                Ok(()),
                world.clock,
            ),
            Admission::Wait => world.model.oracle.waits(self.number, stream),
            Admission::Refuse(refusal) => {
                world.model.oracle.answered(
                    self.number,
                    stream,
                    StreamState::Asking,
                    Err(refusal.reason),
                    world.clock,
                );
            }
        });
    }

    fn carry_out(&self, port: &Port, actions: Vec<Action>) {
        port.between(|world| {
            for Action { stream, answer } in actions {
                let answer = match answer {
                    Answer::Resume => Ok(()),
                    Answer::Refuse(refusal) => Err(refusal.reason),
                };
                world.model.oracle.answered(
                    self.number,
                    stream.0,
                    StreamState::Waiting,
                    answer,
                    world.clock,
                );
            }
        });
    }
}

/// An event loop, until all is over.
fn run_loop(port: &Port, threads: usize) {
    let mut vm = None;
    loop {
        let event = port.between(|world| next_event(world, port.id));
        if matches!(event, Event::Over) {
            break;
        }
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let is_new = vm.is_none() && matches!(event, Event::Load);
            if is_new {
                vm = Some(Vm::load(port));
            }
            let event = if is_new { port.between(arrival) } else { event };
            if let Some(vm) = &mut vm {
                vm.live(port, event);
            }
        }));
        if let Err(panic) = lived {
            vm = None;
            port.between(|world| {
                let clock = world.clock;
                let one = &mut world.model.loops[port.id];
                (one.may_reload, one.wakes) = (clock + SECOND, Vec::new());
                if let Some(vm) = one.vm.take() {
                    world.model.oracle.vm_dies(vm);
                }
                if !panic.is::<Death>() {
                    world
                        .model
                        .oracle
                        .failure
                        .get_or_insert("a panic".to_owned());
                }
            });
        }
        port.rest(40 * MILLI / threads as u64);
    }
    port.end();
}

/// Runs one setup, and panics if a promise was broken. Returns the counts of the oracle.
fn run(setup: Setup) -> [u64; 5] {
    let ports = Proxy::start(setup);
    let last = ports[0].clone();
    let threads = ports
        .into_iter()
        .map(|port| std::thread::spawn(move || run_loop(&port, setup.threads)));
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
    last.alone().between(|world| {
        let clock = world.clock;
        world.model.oracle.finish(clock);
        assert_eq!(world.model.oracle.failure, None, "{setup:?}");
        world.model.oracle.seen
    })
}

/// Runs all seeds. Together they must have seen all that there is to see.
fn run_all(seeds: u64, setup: impl Fn(u64) -> Setup) {
    silence_deaths();
    let mut seen = [0; 5];
    let is_all = for_each_seed(0..seeds, |seed| {
        let mut setup = Setup {
            seed,
            threads: 1 + seed as usize % THREADS_MAX,
            seconds: 20,
            ..setup(seed)
        };
        setup.rates.turns = ALWAYS / 3;
        for (sum, count) in seen.iter_mut().zip(run(setup)) {
            *sum += count;
        }
    });
    assert!(
        !is_all || seen[..4].iter().all(|count| *count > seeds),
        "{seen:?}"
    );
    assert!(
        !is_all || (seen[4] > 0) == (setup(0).rates.stalls > 0),
        "{seen:?}"
    );
}

#[test]
fn while_all_is_well_no_request_waits_for_a_free_slot() {
    run_all(60, |_| Setup::default());
}

#[test]
fn another_policy_applies_from_when_it_is_loaded() {
    run_all(60, |_| Setup {
        policies: 500,
        ..Setup::default()
    });
}

#[test]
fn whatever_fails_no_slot_is_lost_and_no_request_is_answered_twice() {
    run_all(150, |seed| Setup {
        rates: Rates {
            conflicts: [0, 2_000, 20_000][seed as usize % 3],
            faults: [0, 300, 0, 10_000][seed as usize / 3 % 4],
            losses: [0, 20_000][seed as usize / 2 % 2],
            deaths: [100, 0, 30][seed as usize % 3],
            ..Rates::default()
        },
        policies: [0, 500][seed as usize % 2],
        asks_twice: true,
        ..Setup::default()
    });
}

#[test]
fn a_worker_that_stands_still_harms_no_other() {
    run_all(100, |seed| Setup {
        rates: Rates {
            stalls: 60,
            deaths: [0, 30][seed as usize % 2],
            ..Rates::default()
        },
        asks_twice: seed % 3 == 0,
        ..Setup::default()
    });
}
