//! Several workers, each on a thread of its own.

use super::*;

/// Their results in the world of this seed, at each of whose host calls `tick` nanoseconds pass.
pub(super) fn play<T: Send + 'static>(
    seed: u64,
    rates: Rates,
    tick: u64,
    work: impl Fn(&Worker) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let clock = WallClock {
        tick,
        steps: 0,
        elapsed: 0,
        stepped: 0,
    };
    let threads: Vec<_> = World::new(seed, 2 + seed as usize % 3, START, rates, clock)
        .ports()
        .into_iter()
        .map(|worker| {
            let work = work.clone();
            std::thread::spawn(move || work(&worker))
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}
