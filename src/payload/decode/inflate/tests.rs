//! The inflate decoder compared with other decoders.

#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use std::io::Write as _;

use flate2::{Compression, Decompress, FlushDecompress, Status, write};
use proptest::prelude::*;

use super::super::SLICE_MAX;
use super::*;

/// Inflates pieces; returns the output, the number of bytes after the end, and the work.
fn inflate(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, u64), Breach> {
    let (mut inflate, mut work, mut out, mut left) =
        (Inflate::default(), Work::default(), Vec::new(), 0);
    for piece in pieces {
        let mut input = *piece;
        loop {
            work.begin_step();
            let step = inflate.step(&mut input, SLICE_MAX, &mut work)?;
            assert!(inflate.fresh().len() <= SLICE_MAX);
            out.extend_from_slice(inflate.fresh());
            if inflate.has_ended() {
                left += input.len();
                break;
            }
            if step == Step::NeedsInput {
                assert!(input.is_empty());
                break;
            }
        }
    }
    if inflate.has_ended() {
        Ok((out, left, work.done()))
    } else {
        Err(Breach::Malformed)
    }
}

/// The same with another decoder.
fn oracle(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(1 << 20);
    let status = Decompress::new(false).decompress_vec(body, &mut out, FlushDecompress::Finish);
    (matches!(status, Ok(Status::StreamEnd))).then_some(out)
}

fn deflate(bytes: &[u8], level: u32, flush_every: usize) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::new(level));
    for chunk in bytes.chunks(flush_every.max(1)) {
        encoder.write_all(chunk).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 0_usize..3000).prop_map(|(byte, length)| vec![byte; length]);
    let noise = prop::collection::vec(any::<u8>(), 0..2000);
    let text = "[a-f ]{0,400}".prop_map(String::into_bytes);
    prop::collection::vec(prop_oneof![run, noise, text], 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn streams_of_every_level_inflate_and_take_nothing_after_them(
        body in bodies(),
        level in 0_u32..10,
        flush in prop_oneof![Just(1_usize << 30), 1_usize..300],
        cut in any::<prop::sample::Index>(),
    ) {
        let mut deflated = deflate(&body, level, flush);
        let end = deflated.len();
        deflated.extend_from_slice(b"behind it");
        let whole = inflate(&[&deflated]).unwrap();
        prop_assert!((&whole.0, whole.1) == (&body, 9));
        let (head, tail) = deflated.split_at(cut.index(end));
        prop_assert!(inflate(&[head, tail]).unwrap() == (whole.0.clone(), 9, whole.2));
        let bytes: Vec<&[u8]> = deflated[..end].chunks(1).collect();
        let by_byte = inflate(&bytes).unwrap();
        prop_assert!(
            (by_byte.0, by_byte.2) == (whole.0, whole.2),
            "the work does not depend on \
            the chunks"
        );
    }

    #[test]
    fn mutated_and_random_streams_decode_as_another_decoder_does(
        body in bodies(),
        level in 0_u32..10,
        noise in prop::collection::vec(any::<u8>(), 0..300),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut deflated = deflate(&body, level, 1 << 30);
        for (at, byte) in mutations {
            let at = at.index(deflated.len());
            deflated[at] = byte;
        }
        for body in [deflated, noise] {
            prop_assert!(inflate(&[&body]).ok().map(|(out, ..)| out) == oracle(&body));
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            prop_assert!(inflate(&bytes).ok().map(|(out, ..)| out) == oracle(&body));
        }
    }
}

#[test]
fn blocks_and_tables_are_work_even_without_output() {
    // Four empty blocks of fixed codes take five bytes: 010 0000000 each.
    let blocks = |bits: &str, times: usize| {
        let bits = bits.repeat(times) + "1100000000000000";
        let bits: Vec<u8> = bits.bytes().map(|bit| bit - b'0').collect();
        bits.chunks_exact(8)
            .map(|byte| byte.iter().rev().fold(0, |number, bit| number << 1 | bit))
            .collect::<Vec<u8>>()
    };
    let (out, _, work) = inflate(&[&blocks("0100000000", 40_000)]).unwrap();
    assert!(out.is_empty());
    assert!(
        (40_000 * BLOCK..40_100 * BLOCK + 50_000 * BYTE_IN).contains(&work),
        "{work}"
    );
}
