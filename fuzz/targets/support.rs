#![allow(dead_code, reason = "not all targets decode")]

//! What the targets of decoders share.

use sluicegate::payload::decode::{Breach, Decoder, Encodings};

/// The first byte says where the rest is cut.
pub(crate) fn cut(data: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let Some((place, body)) = data.split_first() else { return (&[], &[], &[]) };
    let (head, tail) = body.split_at(usize::from(*place) * body.len() / 256);
    (body, head, tail)
}

/// Decodes bytes whole and cut in two; the answers must be the same, and no more may come out than the limit.
pub(crate) fn decode(encoding: &str, data: &[u8]) {
    const LIMIT: u64 = 1 << 20;
    let (body, head, tail) = cut(data);
    let encodings = Encodings::parse([encoding.as_bytes()]).expect("a known encoding");
    let run = |pieces: &[&[u8]]| -> Result<u64, Breach> {
        let mut decoder = Decoder::new(&encodings, LIMIT);
        let mut bytes = 0;
        for piece in pieces {
            decoder.feed(piece, &mut |slice: &[u8]| -> Result<(), Breach> {
                bytes += slice.len() as u64;
                Ok(())
            })?;
            assert!(bytes <= LIMIT, "{bytes} bytes came out");
        }
        decoder.finish()?;
        Ok(bytes)
    };
    assert_eq!(run(&[body]), run(&[head, tail]), "cut at {}", head.len());
}
