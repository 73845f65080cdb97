//! The content of responses: header fields, the time to retry, and the local replies.

pub mod addressee;
pub mod endpoint;
pub mod fields;
pub mod ietf;
pub mod local;
pub mod operator;
pub mod refusal;
mod status;
pub mod trace_id;
mod values;
