//! The script on a real Redis: its answers are the model's, and it meets the contract of every
//! engine.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "test code; a real engine's time is waited for"
)]

#[cfg(test)]
#[path = "fleet/contract.rs"]
mod contract;
#[cfg(test)]
#[path = "redis/envoy.rs"]
mod envoy;
#[cfg(test)]
#[path = "redis/model.rs"]
mod model;
#[cfg(test)]
#[path = "fleet/random.rs"]
mod random;
#[cfg(test)]
#[path = "redis/server.rs"]
mod server;
#[cfg(test)]
#[path = "support/redis.rs"]
mod support;
#[cfg(test)]
#[path = "fleet/takes.rs"]
mod takes;
