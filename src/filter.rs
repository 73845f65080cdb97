//! The filter: one state machine per stream over the host's ports. It decides nothing about Envoy;
//! `wasm/` translates, and the native tests run the very same code over a fake host.

mod answer;
pub mod bodies;
mod body;
mod failure;
mod inspection;
mod queue;
mod queued;
pub mod runtime;
mod settle;
mod statuses;
pub mod stream;
#[cfg(test)]
mod tests;
