//! The edge: Envoy's callbacks in, host calls out. It translates and decides nothing.
//!
//! It exports only the callbacks that it needs: each call into a VM costs about as much as the
//! whole filter may take (decision 0018).

#[allow(
    unsafe_code,
    reason = "the host's functions are foreign, and hand over memory"
)]
mod abi;
mod bodies;
#[allow(unsafe_code, reason = "the host finds callbacks by their names")]
mod callbacks;
mod contexts;
mod host;
mod log;
mod root;
#[allow(unsafe_code, reason = "the linker finds a section by its name")]
mod version;
