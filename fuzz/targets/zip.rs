//! Any bytes as a ZIP archive.
#![no_main]

use sluicegate::payload::decode::Breach;
use sluicegate::payload::zip::Zip;

mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (body, head, tail) = support::cut(data);
    let run = |pieces: &[&[u8]]| -> Result<u64, Breach> {
        let mut zip = Zip::new(1 << 20, [7; 16]);
        for piece in pieces {
            zip.feed(piece)?;
        }
        zip.finish()
    };
    assert_eq!(run(&[body]), run(&[head, tail]), "cut at {}", head.len());
});
