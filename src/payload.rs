//! What a body is measured by, chunk by chunk: pure functions of bytes, with bounded state and bounded
//! work. Nothing is buffered whole, and nothing is believed that a header says.

pub mod body;
pub mod decode;
pub mod decoded;
pub mod json;
pub mod lines;
pub mod memory;
pub mod slice;
mod work;
pub mod zip;
