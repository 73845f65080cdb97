//! Any bytes as an archive or a gzip file.
#![no_main]

use sluicegate::payload::decoded::Files;

mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::decode("", Files::Unpack, data));
