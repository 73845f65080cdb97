//! Several proxies that share one counter: a network that loses, delays, repeats and reorders, and
//! proxies that die, forget and change their policy. Never more is admitted than the limit states.
//!
//! Each proxy is a store of one thread: the other simulations show that its workers change a record
//! one after the other. Time is that of the engine, in microseconds.

mod game;
mod oracle;
mod warm;

use self::game::{Faults, Game};
use super::*;
use crate::limit::lease::Counted;

/// Windows, and the time in which a bucket fills.
const WINDOW: Span = Span::from_seconds(10);

/// The rules of a game: the same with two quotas.
fn rules(kind: u64, quota: u64) -> Counted {
    match kind {
        0 => {
            let refill = Refill::parse(&format!("{quota}/10s")).unwrap();
            Counted::Bucket(Bucket::new(quota as u32, refill).unwrap())
        }
        1 => Counted::Rolling(Rolling::new(quota, WINDOW).unwrap()),
        _ => {
            let period = Period::Seconds(10);
            Counted::Calendar(Calendar::new(quota, Over::Refuse, period, Zone::UTC).unwrap())
        }
    }
}

fn play(seed: u64) {
    let kind = seed % 3;
    let quota = [1, 3, 10, 40, 100, 400][seed as usize / 3 % 6];
    let faults = match seed / 18 % 5 {
        0 => Faults::default(),
        1 => Faults {
            lost: 5_000,
            ..Faults::default()
        },
        2 => Faults {
            lost: 30_000,
            repeated: 20_000,
            late: 20_000,
            ..Faults::default()
        },
        3 => Faults {
            lost: 5_000,
            crashes: 300,
            forgotten: 1_000,
            late_costs: 2_000,
            steps: 300,
            ..Faults::default()
        },
        _ => Faults {
            lost: 5_000,
            late: 20_000,
            refunds: 30_000,
            updates: 300,
            ..Faults::default()
        },
    };
    let mut game = Game::new(
        seed,
        rules(kind, quota),
        rules(kind, quota.div_ceil(2)),
        faults,
    );
    for _ in 0..600 {
        game.step();
    }
    oracle::verify(seed, rules(kind, quota), &game.admitted);
}

#[test]
fn proxies_together_never_admit_more_than_the_limit() {
    for_each_seed(0..games(10_000), play);
}
