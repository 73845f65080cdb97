//! Measures bodies chunk by chunk: pure functions of bytes, with bounded state and bounded work. No
//! body is buffered whole, and no size in a header is trusted.

pub mod body;
pub mod decode;
pub mod decoded;
pub mod json;
pub mod lines;
pub mod memory;
pub mod slice;
mod work;
pub mod zip;
