//! Bodies that cost much for their size: some from encoders, some written bit by bit.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[allow(dead_code, reason = "the end-to-end tests use the rest")]
#[path = "../../tests/support/bodies.rs"]
mod shared;

pub(crate) use shared::{gzip, gzip_of_empty_blocks, gzip_of_zeros, zip_of_zeros};

pub(crate) fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn brotli(text: &[u8]) -> Vec<u8> {
    let mut encoder = brotli_encoder();
    encoder.write_all(text).unwrap();
    encoder.into_inner()
}

pub(crate) fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

fn brotli_encoder() -> ::brotli::CompressorWriter<Vec<u8>> {
    ::brotli::CompressorWriter::new(Vec::new(), 64 * 1_024, 5, 22)
}

/// `text` from an encoder that is flushed after every `bytes`.
pub(crate) fn gzip_flushed(text: &[u8], bytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    flushing(&mut encoder, text, bytes);
    encoder.finish().unwrap()
}

/// The same for `br`.
pub(crate) fn brotli_flushed(text: &[u8], bytes: usize) -> Vec<u8> {
    let mut encoder = brotli_encoder();
    flushing(&mut encoder, text, bytes);
    encoder.into_inner()
}

fn flushing(encoder: &mut impl Write, text: &[u8], bytes: usize) {
    for part in text.chunks(bytes) {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
}

/// `text` cut into parts of this many bytes, each encoded separately.
pub(crate) fn parts(text: &[u8], bytes: usize, encode: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    text.chunks(bytes).flat_map(encode).collect()
}

/// An archive with this many entries of this text.
pub(crate) fn archive(text: &[u8], entries: usize) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in 0..entries {
        archive
            .start_file(format!("{entry:05}"), SimpleFileOptions::default())
            .unwrap();
        archive.write_all(text).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

pub(crate) fn deflate_of_zeros(bytes: usize) -> Vec<u8> {
    deflate(&vec![0; bytes])
}

pub(crate) fn brotli_of_zeros(bytes: usize) -> Vec<u8> {
    brotli(&vec![0; bytes])
}

/// A frame of run-length blocks (RFC 8878 §3.1.1.2) of 128 KiB, each in four bytes, with a window
/// of 8 MiB.
pub(crate) fn zstd_of_zeros(runs: usize) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1_024;
    let run = |last: u32| {
        let [low, middle, high, _] = (BLOCK << 3 | 1 << 1 | last).to_le_bytes();
        [low, middle, high, 0]
    };
    [
        &b"\x28\xb5\x2f\xfd\0\x68"[..],
        &run(0).repeat(runs - 1),
        &run(1),
    ]
    .concat()
}

/// This many frames, each with one empty block.
pub(crate) fn zstd_of_empty_frames(frames: usize) -> Vec<u8> {
    b"\x28\xb5\x2f\xfd\x20\0\x01\0\0".repeat(frames)
}

/// Eight times this many empty DEFLATE blocks with their own tables, as a gzip member.
pub(crate) fn gzip_of_empty_tables(eights: usize) -> Vec<u8> {
    let mut block = Bits::default();
    // RFC 1951 §3.2.7: neither last nor with fixed codes; 257 codes for literals, 1 for distances.
    block.put(0, 1).put(2, 2).put(0, 5).put(0, 5);
    // Among the lengths of codes, in their order, 18 (many zeros) and 1 have a code of one bit
    // each.
    const ORDER: [u8; 18] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1];
    block.put(ORDER.len() as u64 - 4, 4);
    for length in ORDER {
        block.put(u64::from([1, 18].contains(&length)), 3);
    }
    // A literal, 138 and 117 zeros, the end of the block; a distance. The code of 1 is 0, that of
    // 18 is 1.
    block
        .put(0, 1)
        .put(1, 1)
        .put(138 - 11, 7)
        .put(1, 1)
        .put(117 - 11, 7)
        .put(0, 1)
        .put(0, 1);
    // The end of the block.
    block.put(1, 1);
    let mut eight = Bits::default();
    for _ in 0..8 {
        eight.append(&block);
    }
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    member.extend(eight.bytes.repeat(eights));
    member.extend([0x03, 0x00, 0, 0, 0, 0, 0, 0, 0, 0]);
    member
}

/// This many empty metadata blocks (RFC 7932 §9.2) of a byte each.
pub(crate) fn brotli_of_empty_metadata(blocks: usize) -> Vec<u8> {
    // The first byte contains the window size as well.
    let mut stream = vec![0x0c];
    stream.extend(vec![0x06; blocks - 1]);
    stream.push(0x03);
    stream
}

/// This many blocks that map 16,384 contexts to 256 trees, as far apart as possible, and contain
/// `bytes` zeros, which take no bits. The zeros of a first block allow for the work of the first
/// map.
pub(crate) fn brotli_of_contexts(blocks: usize, bytes: u64) -> Vec<u8> {
    /// The number 256: RFC 7932 §9.2.
    const ALL: (u64, u32) = (1 | 7 << 1 | 127 << 4, 11);
    let mut stream = Bits::default();
    stream.put(0, 1);
    for number in 0..=blocks {
        // Neither the last block nor uncompressed.
        stream.put(0, 1).put(0, 2).put(bytes - 1, 16).put(0, 1);
        let types = if number == 0 { 1 } else { 256 };
        if number == 0 {
            stream.put(0, 1);
        } else {
            // The first type of literals lasts for the whole block.
            stream
                .put(ALL.0, ALL.1)
                .one(0, 9)
                .one(25, 5)
                .put(65_535, 24);
        }
        // One type of commands and of distances; neither postfix nor direct codes; a mode for each
        // type of literals.
        stream.put(0, 1).put(0, 1).put(0, 6).put(0, 2 * types);
        if number == 0 {
            stream.put(0, 1);
        } else {
            // The map: 255 everywhere, without bits, to be moved to the front.
            stream.put(ALL.0, ALL.1).put(0, 1).one(255, 8).put(1, 1);
        }
        // One tree of distances.
        stream.put(0, 1);
        for _ in 0..types {
            stream.one(0, 8);
        }
        // The command inserts 6,210 literals, plus this many.
        stream.one(496, 10).one(0, 6).put(bytes - 6_210, 14);
    }
    stream.put(3, 2);
    stream.bytes
}

/// The header of an uncompressed block of 16 MiB, and a few of its bytes.
pub(crate) fn brotli_of_a_window() -> Vec<u8> {
    let mut stream = Bits::default();
    stream
        .put(15, 4)
        .put(0, 1)
        .put(2, 2)
        .put((16 << 20) - 1, 24)
        .put(1, 1);
    [stream.bytes, b"a few bytes".to_vec()].concat()
}

/// Bits, with the least significant of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    length: usize,
}

impl Bits {
    fn put(&mut self, value: u64, bits: u32) -> &mut Self {
        for bit in 0..bits {
            if self.length.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |=
                ((value.checked_shr(bit).unwrap_or(0) & 1) as u8) << (self.length % 8);
            self.length += 1;
        }
        self
    }

    /// A prefix code of `br` with one symbol, which takes no bits (RFC 7932 §3.4).
    fn one(&mut self, symbol: u64, bits: u32) -> &mut Self {
        self.put(1, 4).put(symbol, bits)
    }

    fn append(&mut self, other: &Self) {
        for at in 0..other.length {
            self.put(u64::from(other.bytes[at / 8] >> (at % 8)), 1);
        }
    }
}
