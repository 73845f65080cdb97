//! Measures bodies chunk by chunk: pure functions of bytes, with bounded state and bounded work. No
//! body is buffered whole, and no size in a header is trusted.
//!
//! The decoders take ranges of their own buffers by `get(..).unwrap_or_default()` if the range is
//! valid by construction: indexing could panic, and a counted invariant would cost time for each
//! byte.

pub mod body;
pub mod decode;
pub mod decoded;
pub mod json;
pub mod lines;
pub mod memory;
pub mod slice;
mod work;
pub mod zip;
