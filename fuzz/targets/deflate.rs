//! Any bytes as a body with `Content-Encoding: deflate`.
#![no_main]

use sluicegate::payload::decoded::Files;

mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::decode("deflate", Files::Leave, data));
