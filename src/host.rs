//! The ports: what the core asks of its host, as traits small enough for a fake of ten lines.
//!
//! `wasm/` implements them over Envoy's host calls, the simulations over plain maps.

#[cfg(test)]
pub(crate) mod fake;
pub mod fault;
pub mod grpc;
pub mod headers;
pub mod metadata;
pub mod queue;
pub mod shared;
pub mod stream;
mod wire;
