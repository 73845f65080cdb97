//! Counts the host calls of a request, by kind.

use super::host::{Call, Calls};
use super::traffic::{Gate, TRAFFIC};

/// The host calls of one request of a preset.
pub(crate) struct Profile {
    pub(crate) preset: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) calls: [f64; Call::ALL.len()],
}

const REQUESTS: usize = 1_000;

/// Each preset, with an admitted and a refused request.
pub(crate) fn profiles() -> Vec<Profile> {
    let admitted = TRAFFIC.iter().map(|traffic| {
        let mut gate = Gate::warmed(traffic);
        Profile {
            preset: traffic.preset,
            verdict: "admitted",
            calls: count(&mut gate, Gate::admitted),
        }
    });
    let refused = TRAFFIC.iter().map(|traffic| {
        let (mut gate, _held) = Gate::exhausted(traffic);
        Profile {
            preset: traffic.preset,
            verdict: "refused",
            calls: count(&mut gate, Gate::refused),
        }
    });
    admitted.chain(refused).collect()
}

fn count(gate: &mut Gate, request: fn(&mut Gate)) -> [f64; Call::ALL.len()] {
    let before: Calls = gate.host.calls();
    for _ in 0..REQUESTS {
        request(gate);
    }
    let after = gate.host.calls();
    std::array::from_fn(|call| (after[call] - before[call]) as f64 / REQUESTS as f64)
}
