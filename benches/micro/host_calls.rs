//! How often a request calls its host, by the kind of the call.

use super::host::{Call, Calls};
use super::traffic::{Gate, TRAFFIC};

/// The calls of one request of a preset.
pub(crate) struct Profile {
    pub(crate) preset: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) calls: [f64; Call::ALL.len()],
}

const REQUESTS: usize = 1_000;

/// Each preset, with a request that it admits and one that it refuses.
pub(crate) fn profiles() -> Vec<Profile> {
    let admitted = TRAFFIC.iter().map(|traffic| {
        let mut gate = Gate::warmed(traffic);
        Profile { preset: traffic.preset, verdict: "admitted", calls: count(&mut gate, Gate::admitted) }
    });
    let refused = TRAFFIC.iter().map(|traffic| {
        let (mut gate, _held) = Gate::exhausted(traffic);
        Profile { preset: traffic.preset, verdict: "refused", calls: count(&mut gate, Gate::refused) }
    });
    admitted.chain(refused).collect()
}

fn count(gate: &mut Gate, request: fn(&mut Gate)) -> [f64; Call::ALL.len()] {
    let before: Calls = gate.host.calls();
    (0..REQUESTS).for_each(|_| request(gate));
    let after = gate.host.calls();
    std::array::from_fn(|call| (after[call] - before[call]) as f64 / REQUESTS as f64)
}
