//! Who asks for what: from a request's head to the limits that hold for it.
//!
//! ```text
//!   head, properties ─▶ caller_cache ⇄ identify ─▶ Caller ┐
//!     └──────────────▶ routes ─▶ Matches ─▶ tier         ┴─▶ select ─▶ checks
//! ```

pub mod address;
mod attributes;
pub mod audit;
pub mod caller_cache;
pub mod credential;
pub mod head;
pub mod identify;
mod issuers;
pub mod payload;
pub mod properties;
pub mod select;
