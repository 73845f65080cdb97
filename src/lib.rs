//! Sluicegate: the limits of an API, enforced in Envoy.
//!
//! ```text
//! head ─▶ identify ─▶ tier ─▶ select ─▶ decide ⇄ store ─▶ Verdict ─┬▶ Admit ─▶ (queue) ─▶ upstream
//!         Caller              checks    all or none                └▶ Refuse ─▶ reply
//! body ─▶ payload meter ─▶ too large, of the wrong shape? ─▶ Refuse
//! policy.yaml ─▶ document ─▶ Policy       every step ─▶ observe::Event ─▶ metrics │ access log
//! ```
//!
//! Modules in the order of the data, each using only those before it (`tests/tidy.rs` holds that):

pub mod base;
pub mod engine;
pub mod filter;
pub mod host;
pub mod limit;
pub mod observe;
pub mod payload;
pub mod policy;
pub mod queue;
pub mod reply;
pub mod request;
pub mod store;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
#[cfg(target_arch = "wasm32")]
mod wasm;
