//! Limits that all proxies share: the messages of a proxy and the engine.
//!
//! ```text
//!   proxy ── Take ──▶ engine: one shared counter for each limit and caller
//!     │                 │
//!     ◀──── Answer ─────┘   a lease: units that this proxy alone may spend for some time
//! ```
//!
//! An *engine* keeps the shared counters (Redis or Valkey). A proxy *takes* units in advance and
//! spends them without asking; the next take reports the spent units. The engine counts the units
//! of a lease as taken until they are reported, and charges a lease that lapses in full. So no
//! lost, late or repeated message and no dead proxy or engine lets more be spent than the limit
//! states.

pub mod command;
#[cfg(not(target_family = "wasm"))]
pub mod counter;
pub mod engine;
#[cfg(not(target_family = "wasm"))]
pub mod memory;
pub mod name;
pub mod redis;
pub mod take;
