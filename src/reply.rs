//! What callers are told: header fields, when to try again, and the local replies.

pub mod fields;
pub mod ietf;
pub mod local;
pub mod refusal;
mod status;
pub mod trace_id;
