//! The filter: one state machine per stream over the host's ports. It decides nothing about Envoy;
//! `wasm/` translates, and the native tests run the very same code over a fake host.

pub mod bodies;
mod failure;
mod ledger;
pub mod runtime;
mod stated;
pub mod stream;
#[cfg(test)]
mod tests;
mod turn;
mod upload;
