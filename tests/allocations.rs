//! The allocations of a request of each preset, over the host of the micro-benchmarks.
//!
//! `make micro` shows the same numbers, with the instructions that they cost. The filter's memory
//! is that of a VM, where an allocation costs as much as some hundred instructions, so the path of
//! an admitted request makes as few as it can.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "test code"
)]

#[cfg(test)]
#[allow(dead_code, reason = "the micro-benchmarks also count host calls")]
#[path = "../benches/micro/host.rs"]
mod host;
#[cfg(test)]
#[path = "../benches/micro/memory.rs"]
mod memory;
#[cfg(test)]
#[allow(dead_code, reason = "the micro-benchmarks have more cases")]
#[path = "../benches/micro/traffic.rs"]
mod traffic;

#[cfg(test)]
mod tests {
    use super::memory::allocations;
    use super::traffic::{Gate, TRAFFIC};

    /// The most allocations of an admitted and of a refused request. Lower them if there are fewer.
    const MOST: [(&str, u64, u64); TRAFFIC.len()] = [
        ("enterprise-v2", 4, 8),
        ("dash0", 9, 18),
        ("datadog", 3, 14),
        ("datocms", 5, 15),
        ("dynatrace", 10, 17),
    ];

    const REQUESTS: u64 = 200;

    /// The most allocations of one request, over many of them.
    fn most(gate: &mut Gate, request: fn(&mut Gate)) -> u64 {
        let count = |gate: &mut Gate| {
            let before = allocations();
            request(gate);
            allocations() - before
        };
        // The buffers get their final size.
        count(gate);
        (0..REQUESTS).map(|_| count(gate)).max().unwrap()
    }

    #[test]
    fn a_request_allocates_no_more_than_it_did() {
        let mut findings = Vec::new();
        for (traffic, (preset, admitted, refused)) in TRAFFIC.iter().zip(MOST) {
            assert_eq!(traffic.preset, preset, "the presets in their order");
            let mut check = |verdict, most: u64, bound: u64| {
                if most > bound {
                    findings.push(format!("{preset}, {verdict}: {most}, not {bound} at most"));
                }
            };
            check(
                "admitted",
                most(&mut Gate::warmed(traffic), Gate::admitted),
                admitted,
            );
            let (mut gate, _held) = Gate::exhausted(traffic);
            check("refused", most(&mut gate, Gate::refused), refused);
        }
        assert!(
            findings.is_empty(),
            "\nallocations of a request:\n  {}\n\
             Find the line that allocates (`valgrind --tool=dhat`), and avoid it, or raise the \
             number in `MOST` with a reason in the commit.\n",
            findings.join("\n  ")
        );
    }
}
