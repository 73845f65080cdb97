//! What callers are told: header fields, when to come back, and the answers that the gateway gives.

pub mod fields;
pub mod ietf;
pub mod local;
pub mod trace_id;
