//! The filter: one state machine per stream over the host's ports.
//!
//! It decides nothing about Envoy: `wasm/` translates, and the native tests run the same code over
//! a fake host.

mod admit;
pub mod announce;
mod answer;
pub mod bodies;
mod body;
mod endpoint;
mod failure;
mod inspection;
mod operator;
mod phase;
mod queued;
mod response;
pub mod runtime;
mod settle;
pub mod sharing;
mod statuses;
pub mod stream;
#[cfg(test)]
mod tests;
mod unidentified;
pub mod uploads;
pub mod usage;
