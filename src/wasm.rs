//! The edge: Envoy's callbacks in, host calls out. It translates and decides nothing.
//!
//! Beside what the host may call it says nothing of itself: each call into a VM costs about as much
//! as the whole filter may take, so what is not needed is not exported (decision 0018).

#[allow(unsafe_code, reason = "the host's functions are foreign, and hand over memory")]
mod abi;
mod bodies;
#[allow(unsafe_code, reason = "the host finds callbacks by their names")]
mod callbacks;
mod contexts;
mod host;
mod log;
mod root;
