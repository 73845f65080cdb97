//! Any bytes as a body with `Content-Encoding: zstd`.
#![no_main]

use sluicegate::payload::decoded::Files;

mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::decode("zstd", Files::Leave, data));
