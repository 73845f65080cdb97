//! Several workers that state their bodies, interleaved at each host call by a seed, with calls
//! that fail and VMs that die at any call.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "the model counts in plain integers"
)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::statements::state;
use crate::host::fake::random::Random;
use crate::host::fake::seeds::for_each_seed;
use crate::host::fake::world::{ALWAYS, Death, Model, Port, Rates, World, silence_deaths};
use crate::host::stream::Clock as _;
use crate::payload::memory::Uploads;

const SECOND: u64 = 1_000_000_000;

/// The time from which nothing goes wrong any more.
const CALM: u64 = 1_030 * SECOND;

/// The time of the last statements: what was stated before is too old by then.
const END: u64 = 1_040 * SECOND;

/// The gauges, and what each worker has open.
#[derive(Default)]
struct Proxy {
    gauge: Uploads,
    open: [Uploads; 3],
}

impl Model for Proxy {
    fn pass_time(world: &mut World<Self>) {
        world.clock += 1_000;
    }

    fn is_ending(world: &World<Self>) -> bool {
        world.clock >= CALM
    }
}

/// The event loop of a worker, whose VM begins anew if it dies.
fn run(port: &Port<Proxy>, seed: u64) {
    let mut random = Random::new(seed);
    let mut number = Cell::default();
    loop {
        port.rest(SECOND);
        let (is_calm, is_over) = port.between(|world| (world.clock >= CALM, world.clock >= END));
        if !is_calm && random.below(2) == 0 {
            let open = random.below(3);
            let bytes = open * random.below(1_000);
            port.between(|world| world.model.open[port.id] = Uploads { open, bytes });
        }
        let died = catch_unwind(AssertUnwindSafe(|| {
            let now = port.steady();
            let own = port.between(|world| world.model.open[port.id]);
            let show = |all| port.call(|world| world.model.gauge = all);
            let _ = state((port, b"key"), &number, (now, own), show);
        }));
        if let Err(why) = died {
            assert!(why.is::<Death>(), "a panic");
            number = Cell::default();
            port.between(|world| world.model.open[port.id] = Uploads::default());
        }
        if is_over {
            break;
        }
    }
    port.end();
}

#[test]
fn the_gauges_are_right_in_the_end() {
    silence_deaths();
    for_each_seed(0..300, |seed| {
        let rates = Rates {
            turns: ALWAYS / 2,
            conflicts: 2_000,
            faults: 2_000,
            deaths: 3_000,
            ..Rates::default()
        };
        let world = World::new(seed, 3, 1_000 * SECOND, rates, Proxy::default());
        let ports = world.ports();
        thread::scope(|scope| {
            for port in &ports {
                scope.spawn(move || run(port, seed * 3 + port.id as u64));
            }
        });
        ports[0].alone().between(|world| {
            let mut all = Uploads::default();
            for own in world.model.open {
                (all.open, all.bytes) = (all.open + own.open, all.bytes + own.bytes);
            }
            assert_eq!(world.model.gauge, all);
        });
    });
}
