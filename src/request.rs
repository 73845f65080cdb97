//! Who asks for what: from a request's head to the limits that hold for it.
//!
//! ```text
//!   head ─▶ identify ─▶ Caller (attributes)   ┐
//!     └───▶ routes  ──▶ Matches ─▶ tier       ┴─▶ select ─▶ claims
//! ```

pub mod credential;
pub mod head;
pub mod identify;
pub mod select;
