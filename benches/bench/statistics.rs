//! Medians and quartiles, and rounds with a time limit.

use std::time::{Duration, Instant};

pub(crate) fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[sorted.len() * quarter / 4])
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quartiles(values)[1]
}

/// The difference in each round, so that a slow phase of the machine affects both sides.
pub(crate) fn over(costs: &[f64], base: &[f64]) -> Vec<f64> {
    costs
        .iter()
        .zip(base)
        .map(|(cost, base)| cost - base)
        .collect()
}

/// The numbers of rounds, up to a maximum or a time limit. Round 0 is a warm-up.
pub(crate) struct Rounds {
    next: usize,
    most: usize,
    end: Instant,
}

impl Rounds {
    /// The rounds that always run.
    const ROUNDS_MIN: usize = 5;

    pub(crate) fn new(most: usize, seconds: u64) -> Self {
        Self {
            next: 0,
            most,
            end: Instant::now() + Duration::from_secs(seconds),
        }
    }

    /// The `cost` of each of `things` in each round except for the warm-up.
    pub(crate) fn costs<T>(
        self,
        things: &mut [T],
        mut cost: impl FnMut(usize, usize, &mut T) -> f64,
    ) -> Vec<Vec<f64>> {
        let mut costs = vec![Vec::new(); things.len()];
        for round in self {
            for ((place, thing), costs) in things.iter_mut().enumerate().zip(&mut costs) {
                let cost = cost(round, place, thing);
                if round > 0 {
                    costs.push(cost);
                }
            }
        }
        costs
    }
}

impl Iterator for Rounds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let round = self.next;
        self.next += 1;
        (round <= Self::ROUNDS_MIN.min(self.most)
            || (round <= self.most && Instant::now() < self.end))
            .then_some(round)
    }
}
