//! The ports: the host's services for the core, as traits of a few methods each.
//!
//! `wasm/` implements them over Envoy's host calls, `fake` over plain maps for the tests.

#[cfg(test)]
pub(crate) mod fake;
pub mod fault;
pub mod grpc;
pub mod headers;
pub mod metadata;
pub mod queue;
pub mod shared;
pub mod stream;
pub(crate) mod wire;
