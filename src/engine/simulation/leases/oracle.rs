//! The promise of each rule, checked slowly over all that was admitted.

use super::*;

/// Units that stay charged, and when the request was admitted, by the engine's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) at: u64,
    pub(super) units: u64,
}

/// The rounding of a time to whole microseconds, on each of the two ways.
const SLACK: u64 = 2;

/// Panics if more was admitted than the limit states.
pub(super) fn verify(seed: u64, rule: Counted, admitted: &[Admitted]) {
    let mut all = admitted.to_vec();
    all.sort_by_key(|one| one.at);
    let quota = rule.quota();
    let window = WINDOW.micros();
    match rule {
        Counted::Bucket(_) => {
            for (index, first) in all.iter().enumerate() {
                let mut units = 0;
                for one in &all[index..] {
                    units += one.units;
                    let passed = one.at - first.at + SLACK;
                    let most = quota + (passed * quota).div_ceil(window);
                    assert!(
                        units <= most,
                        "seed {seed}: {units} units in {passed} µs: {rule:?}"
                    );
                }
            }
        }
        Counted::Rolling(_) => {
            for (index, first) in all.iter().enumerate() {
                let within = all[index..].iter();
                let within = within.take_while(|one| one.at - first.at + SLACK < window);
                let units: u64 = within.map(|one| one.units).sum();
                assert!(
                    units <= quota,
                    "seed {seed}: {units} units from {}: {rule:?}",
                    first.at
                );
            }
        }
        Counted::Calendar(_) => {
            let mut windows = HashMap::new();
            for one in &all {
                *windows.entry(one.at / window).or_insert(0) += one.units;
            }
            for (start, units) in windows {
                assert!(
                    units <= quota,
                    "seed {seed}: {units} units in window {start}: {rule:?}"
                );
            }
        }
    }
}
