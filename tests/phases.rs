//! The built filter in a host that checks each of its calls: `make phases`.
//!
//! The host is a small model of Envoy on an interpreter. It calls back in Envoy's order, and makes
//! each host call an error in the callbacks in which Envoy does not allow it (`rules.rs`). The
//! scenarios on a real Envoy show that the filter works; here each path of a request breaks at the
//! call that Envoy would answer with a status, and each call can fail.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

#[cfg(test)]
#[path = "phases/calls.rs"]
mod calls;
#[cfg(test)]
#[path = "phases/ends.rs"]
mod ends;
#[cfg(test)]
#[path = "phases/engine.rs"]
mod engine;
#[cfg(test)]
#[path = "phases/faults.rs"]
mod faults;
#[cfg(test)]
#[path = "phases/forbidden.rs"]
mod forbidden;
#[cfg(test)]
#[path = "phases/host.rs"]
mod host;
#[cfg(test)]
#[path = "phases/lives.rs"]
mod lives;
#[cfg(test)]
#[path = "phases/memory.rs"]
mod memory;
#[cfg(test)]
#[path = "phases/policies.rs"]
mod policies;
#[cfg(test)]
#[path = "phases/random.rs"]
mod random;
#[cfg(test)]
#[path = "phases/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "phases/rules.rs"]
mod rules;
#[cfg(test)]
#[path = "phases/stream.rs"]
mod stream;
#[cfg(test)]
#[path = "phases/stream_calls.rs"]
mod stream_calls;
#[cfg(test)]
#[path = "phases/traffic.rs"]
mod traffic;
#[cfg(test)]
#[path = "phases/vm.rs"]
mod vm;
#[cfg(test)]
#[path = "phases/wasi.rs"]
mod wasi;
#[cfg(test)]
#[path = "phases/worker.rs"]
mod worker;
#[cfg(test)]
#[path = "phases/world.rs"]
mod world;
