//! Every decoder with the encoders of other libraries: in all kinds of chunks, cut short, and
//! mutated.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test counts in plain numbers"
)]

mod bombs;
mod malformed;

use std::io::Write as _;

use flate2::Compression;
use proptest::prelude::*;

use super::*;
use crate::payload::body::Progress;
use crate::payload::decoded::{DecodedSize, Files, Reader};
use crate::payload::slice::Slice;

const UNLIMITED: u64 = u64::MAX;

/// 1185 bytes of a log from the reference encoder at level 19: Huffman literals, FSE sequences,
/// size and checksum.
const ZSTD_BY_REFERENCE: &str = "\
    28b52ffd046875040082881614a0ab03d61f43beaa75426e2965da0994ef5dc50337bc3b5116a53bb16ef1bd\
    acca3e3d611a0fcf7c8796b6a7f7af7a0fdd2893cf6cf665f3fab76e559b7ef943e6cb2afbeb05aa2c2c0d33\
    30cb090c0539c329945387480e242aa81170287dff378097145c03113410e18f083382fd78aae5d71121a0ce\
    70dd18f835241b31015faad861a944e0815f052fd90570";

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .filename("a")
        .comment("b")
        .extra(*b"cde")
        .write(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

type Encoder = fn(&[u8]) -> Vec<u8>;

/// The name of each encoding, with an encoder; `deflate` has two.
const ENCODERS: [(&str, Encoder); 5] = [
    ("gzip", gzip),
    ("deflate", zlib),
    ("deflate", raw),
    ("br", brotli),
    ("zstd", zstd),
];

pub(crate) fn encodings(field: &str) -> Encodings {
    Encodings::parse([field.as_bytes()]).unwrap()
}

/// Decodes a body from these chunks.
fn decode<'c>(field: &str, chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Vec<u8>, Breach> {
    let mut decoder = DecodedSize::new(&encodings(field), Files::Leave, UNLIMITED, [7; 16]);
    let mut decoded = Vec::new();
    for chunk in chunks {
        feed(&mut decoder, chunk, &mut |bytes| {
            assert!(bytes.len() <= SLICE_MAX);
            decoded.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    decoder.finish().map(|_| decoded)
}

/// Decodes a whole chunk, in as many slices as that needs.
fn feed<E: From<Breach>>(
    decoder: &mut DecodedSize,
    chunk: &[u8],
    reader: Reader<'_, E>,
) -> Result<(), E> {
    decoder.offer(chunk);
    while decoder.advance(&mut Slice::new(1000), reader)? == Progress::Pending {}
    Ok(())
}

fn whole(field: &str, body: &[u8]) -> Result<Vec<u8>, Breach> {
    decode(field, [body])
}

/// Text that is not random, but also not a run of one byte, and more than one block.
fn text(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| b"etaoin shrdlu\n"[at.wrapping_mul(at / 7 + 11) % 14])
        .collect()
}

#[test]
fn every_encoding_decodes_what_its_encoder_made() {
    for (field, encode) in ENCODERS {
        for length in [0, 1, 2, 1000, 40_000, 1_000_000] {
            let text = text(length);
            assert!(
                whole(field, &encode(&text)).as_ref() == Ok(&text),
                "{field} {length}"
            );
        }
    }
    let log: String = (0..40)
        .map(|i| {
            format!(
                "line {} of a log, status={}\n",
                i * i % 977,
                [200, 404, 500][i % 3]
            )
        })
        .collect();
    assert_eq!(
        whole("zstd", &unhex(ZSTD_BY_REFERENCE)),
        Ok(log.into_bytes())
    );
}

#[test]
fn chunks_may_end_anywhere() {
    for (field, encode) in ENCODERS {
        let text = text(300);
        let body = encode(&text);
        for at in 0..=body.len() {
            let (first, second) = body.split_at(at);
            assert_eq!(
                decode(field, [first, second]).as_ref(),
                Ok(&text),
                "{field} at {at}"
            );
        }
        assert_eq!(
            decode(field, body.chunks(1)).as_ref(),
            Ok(&text),
            "{field} byte by byte"
        );
    }
    let body = unhex(ZSTD_BY_REFERENCE);
    assert_eq!(decode("zstd", body.chunks(1)), whole("zstd", &body));
}

#[test]
fn a_body_that_ends_too_soon_is_malformed() {
    for (field, encode) in ENCODERS {
        let body = encode(&text(300));
        for length in 1..body.len() {
            assert_eq!(
                whole(field, &body[..length]),
                Err(Breach::Malformed),
                "{field} {length} of {}",
                body.len()
            );
        }
    }
}

#[test]
fn an_empty_body_is_complete() {
    for field in ["", "gzip", "deflate", "br", "zstd", "gzip, br"] {
        assert_eq!(decode(field, []), Ok(vec![]), "{field}");
        assert_eq!(whole(field, b""), Ok(vec![]), "{field}");
    }
}

#[test]
fn encodings_are_decoded_from_the_last_to_the_first() {
    let text = text(100_000);
    assert!(whole("", &text).as_ref() == Ok(&text));
    assert!(whole("gzip, br", &brotli(&gzip(&text))).as_ref() == Ok(&text));
    assert!(whole("br, gzip", &brotli(&gzip(&text))).is_err());
    let four = zstd(&raw(&brotli(&gzip(&text))));
    assert!(decode("gzip, br, deflate, zstd", four.chunks(7)).as_ref() == Ok(&text));
    let cut = gzip(&raw(&text)[..100]);
    assert_eq!(
        whole("deflate, gzip", &cut),
        Err(Breach::Malformed),
        "a truncated inner stream"
    );
}

#[test]
fn a_sink_stops_the_body_with_an_error_of_its_own() {
    #[derive(Debug, PartialEq, Eq)]
    enum SinkError {
        Stop,
        Breach(Breach),
    }
    impl From<Breach> for SinkError {
        fn from(breach: Breach) -> Self {
            Self::Breach(breach)
        }
    }
    for (field, encode) in ENCODERS {
        let mut calls = 0;
        let mut decoder = DecodedSize::new(&encodings(field), Files::Leave, UNLIMITED, [7; 16]);
        let mut stop = |_: &[u8]| {
            calls += 1;
            Err(SinkError::Stop)
        };
        assert_eq!(
            feed(&mut decoder, &encode(&text(1_000_000)), &mut stop),
            Err(SinkError::Stop),
            "{field}"
        );
        assert_eq!(
            feed(&mut decoder, b"more", &mut stop),
            Err(SinkError::Breach(Breach::Malformed)),
            "{field}"
        );
        assert_eq!(calls, 1, "{field}");
        assert!(decoder.finish().is_err(), "{field}");
    }
}

#[test]
fn breaches_have_names_of_their_own() {
    assert_eq!(
        Breach::ALL.map(Breach::name),
        ["malformed", "over", "unsupported"]
    );
}

#[test]
fn the_first_bytes_identify_a_gzip_file() {
    for (first, expected) in [
        (&b""[..], FormatMatch::Incomplete),
        (b"\x1f\x8b", FormatMatch::Incomplete),
        (b"\x1f\x8b\x08", FormatMatch::Yes),
        (b"\x1f\x8b\x08\0", FormatMatch::Yes),
        (b"\x1f\x8b\x07", FormatMatch::No),
        (b"a", FormatMatch::No),
    ] {
        assert_eq!(is_gzip(first), expected, "{first:?}");
    }
}

/// Bodies that are partly random and partly repeated.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 0_usize..3000).prop_map(|(byte, length)| vec![byte; length]);
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec(prop_oneof![run, noise], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_body_decodes_in_any_chunks(
        body in bodies(),
        chunk in 1_usize..5000,
        which in 0..ENCODERS.len(),
    ) {
        let (field, encode) = ENCODERS[which];
        prop_assert_eq!(decode(field, encode(&body).chunks(chunk)), Ok(body));
    }

    #[test]
    fn mutated_bodies_decode_the_same_in_any_chunks(
        body in bodies(),
        which in 0..ENCODERS.len(),
        chunk in 1_usize..500,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (field, encode) = ENCODERS[which];
        let mut encoded = encode(&body);
        for (at, byte) in mutations {
            let at = at.index(encoded.len());
            encoded[at] = byte;
        }
        let (once, chunked) = (whole(field, &encoded), decode(field, encoded.chunks(chunk)));
        prop_assert_eq!(once, chunked);
    }

    #[test]
    fn random_bytes_never_panic(
        body in prop::collection::vec(any::<u8>(), 0..600),
        which in 0..ENCODERS.len(),
    ) {
        let _ = whole(ENCODERS[which].0, &body);
    }
}
