#![allow(dead_code, reason = "not all targets decode")]

//! Shared code of the decoder targets.

use sluicegate::payload::body::Progress;
use sluicegate::payload::decode::{Breach, Encodings};
use sluicegate::payload::decoded::{DecodedSize, Files};
use sluicegate::payload::slice::Slice;

/// The first byte determines the cuts of the rest.
pub(crate) fn cut(data: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let Some((place, body)) = data.split_first() else {
        return (&[], &[], &[]);
    };
    let (head, tail) = body.split_at(usize::from(*place) * body.len() / 256);
    (body, head, tail)
}

/// Decodes bytes whole and cut in two, in slices of two sizes. The output never exceeds the limit.
/// The results must be equal, unless a body is refused for its cost or memory.
pub(crate) fn decode(encoding: &str, files: Files, data: &[u8]) {
    const LIMIT: u64 = 1 << 20;
    let (body, head, tail) = cut(data);
    let encodings = Encodings::parse([encoding.as_bytes()]).expect("a known encoding");
    let run = |pieces: &[&[u8]], units: u64| -> Result<u64, Breach> {
        let mut size = DecodedSize::new(&encodings, files, LIMIT, [7; 16]);
        let mut bytes = 0;
        for piece in pieces {
            size.offer(piece);
            loop {
                let read = &mut |slice: &[u8]| -> Result<(), Breach> {
                    bytes += slice.len() as u64;
                    Ok(())
                };
                if size.advance(&mut Slice::new(units), read)? == Progress::Idle {
                    break;
                }
            }
            assert!(bytes <= LIMIT, "{bytes} bytes were decoded");
        }
        size.finish()
    };
    let whole = run(&[body], Slice::UNITS);
    assert_eq!(whole, run(&[body], 1), "in slices");
    if whole != Err(Breach::Malformed) {
        let cut = run(&[head, tail], 1);
        // The work allowed for a body depends on the bytes that have come, so the first part alone
        // may cost too much, before the whole one would have been refused for its size.
        let costs_more = whole.is_err() && cut == Err(Breach::Malformed);
        assert!(
            costs_more || whole == cut,
            "{whole:?}, but {cut:?} cut at {}",
            head.len()
        );
    }
}
