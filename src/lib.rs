//! Sluicegate: the limits of an API, enforced in Envoy.
//!
//! ```text
//! head ─▶ identify ─▶ tier ─▶ select ─▶ decide ⇄ store ─▶ Verdict ─┬▶ Admit ─▶ (queue) ─▶ upstream
//!         Caller              checks    all or none                └▶ Refuse ─▶ reply
//! body ─▶ payload meter ─▶ too large, of the wrong shape? ─▶ Refuse
//! policy.yaml ─▶ document ─▶ Policy       every step ─▶ observe::Event ─▶ metrics │ access log
//! ```
//!
//! The modules are in the order of the data: each uses only itself and those before it
//! (`tests/tidy.rs` reads the order from here).

// Time, units, identifiers, paths.
pub mod base;

// The interfaces that a proxy implements.
pub mod host;

// The engine of limits that all proxies share, and the calls to it.
pub mod fleet;

// The algorithms of the limits.
pub mod limit;

// Bodies: their size, encodings and content.
pub mod payload;

// The language, from a document to a policy.
pub mod policy;

// The counters in shared data.
pub mod store;

// Slots for concurrent requests, over all workers.
pub mod queue;

// The caller of a request, and the limits that apply to it.
pub mod request;

// The decision over all limits of a request.
pub mod engine;

// Response fields and refusals.
pub mod reply;

// Metrics and the access log.
pub mod observe;

// How much of its limits each caller uses, and how that is sent.
pub mod usage;

// One request from its head to its end.
pub mod filter;

// The binding to Envoy.
#[cfg(target_arch = "wasm32")]
mod wasm;

// The command line.
#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
