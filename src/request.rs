//! Who asks for what: from a request's head to the limits that hold for it.
//!
//! ```text
//!   head, facts ─▶ regulars ⇄ identify ─▶ Caller (attributes)   ┐
//!     └──────────▶ routes  ──▶ Matches ─▶ tier                ┴─▶ select ─▶ claims
//! ```

pub mod address;
mod attributes;
pub mod credential;
pub mod facts;
pub mod head;
pub mod identify;
pub mod payload;
pub mod regulars;
pub mod select;
pub mod trace;
mod voices;
