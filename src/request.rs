//! From a request's head to the limits that apply to it.
//!
//! ```text
//!   head, properties ─▶ caller_cache ⇄ identify ─▶ Caller ┐
//!     └──────────────▶ routes ─▶ Matches ─▶ tier         ┴─▶ applicable ─▶ checks, pools, payload
//! ```

pub mod address;
pub mod applicable;
mod attributes;
pub mod audit;
pub mod authority;
mod basic;
pub mod caller_cache;
pub mod checks;
mod cookies;
pub mod credential;
pub mod endpoint;
pub mod head;
pub mod identify;
mod issuers;
pub mod operator;
pub mod payload;
mod present;
pub mod properties;
