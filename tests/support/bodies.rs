//! Bodies that are larger than they look.

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use std::io::Write;

const MIB: usize = 1 << 20;

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

/// `body` as `br`, with a window of this many bits.
pub(crate) fn brotli(body: &[u8], window_bits: u32) -> Vec<u8> {
    let mut packed = Vec::new();
    brotli::CompressorWriter::new(&mut packed, 1 << 16, 1, window_bits)
        .write_all(body)
        .expect("memory");
    packed
}

/// `body` as `zstd`: one frame with the smallest window, in raw blocks (RFC 8878 §3.1.1).
pub(crate) fn zstd(body: &[u8]) -> Vec<u8> {
    let blocks = body.chunks(1 << 10).count();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00];
    for (number, block) in body.chunks(1 << 10).enumerate() {
        frame.extend(zstd_block_header(block.len(), 0, number + 1 == blocks));
        frame.extend(block);
    }
    frame
}

/// This many times 128 KiB of blanks as `zstd`, each in a run-length block (RFC 8878 §3.1.1.2).
pub(crate) fn zstd_of_blanks(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for number in 1..=blocks {
        frame.extend(zstd_block_header(128 << 10, 1, number == blocks));
        frame.push(b' ');
    }
    frame
}

fn zstd_block_header(bytes: usize, kind: u32, is_last: bool) -> [u8; 3] {
    let [first, second, third, _] =
        (((bytes as u32) << 3) | (kind << 1) | u32::from(is_last)).to_le_bytes();
    [first, second, third]
}

/// This many zeros as gzip, with a member for each MiB and one for the rest.
pub(crate) fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    let mut members = gzip(&vec![0; MIB]).repeat(bytes / MIB);
    if !bytes.is_multiple_of(MIB) {
        members.extend(gzip(&vec![0; bytes % MIB]));
    }
    members
}

/// This many zeros as a ZIP archive, with an entry for each MiB and one for the rest.
pub(crate) fn zip_of_zeros(bytes: usize) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    let whole = deflated(MIB);
    let rest = deflated(bytes % MIB);
    let sizes = std::iter::repeat_n(MIB, bytes / MIB)
        .chain((!bytes.is_multiple_of(MIB)).then_some(bytes % MIB));
    let mut entries = 0_u16;
    for size in sizes {
        let (data, crc) = if size == MIB { &whole } else { &rest };
        let name = format!("{entries:05}");
        // The fields that a local and a central header share: version, flags, deflate, time and
        // date, …
        let mut shared = [20_u16, 0, 8, 0, 0].map(u16::to_le_bytes).concat();
        shared.extend(
            [*crc, data.len() as u32, size as u32]
                .map(u32::to_le_bytes)
                .concat(),
        );
        shared.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&shared);
        directory.extend([0; 10]);
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&shared);
        archive.extend(name.as_bytes());
        archive.extend(data);
        entries += 1;
    }
    let start = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([entries, entries].map(u16::to_le_bytes).concat());
    archive.extend(
        [directory.len() as u32, start]
            .map(u32::to_le_bytes)
            .concat(),
    );
    archive.extend([0, 0]);
    archive
}

/// This many times four empty DEFLATE blocks with fixed codes, each `010 0000000`; none is the
/// last.
pub(crate) fn empty_blocks(fours: usize) -> Vec<u8> {
    [0x02, 0x08, 0x20, 0x80, 0x00].repeat(fours)
}

/// The same as a complete gzip member, which decodes to nothing.
pub(crate) fn gzip_of_empty_blocks(fours: usize) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    member.extend(empty_blocks(fours));
    // The last block, and the checksum and size of an empty output.
    member.extend([0x03, 0x00]);
    member.extend([0; 8]);
    member
}

/// This many zeros as a raw deflate stream, and their checksum.
fn deflated(bytes: usize) -> (Vec<u8>, u32) {
    let zeros = vec![0; bytes];
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&zeros).expect("memory");
    let mut crc = Crc::new();
    crc.update(&zeros);
    (encoder.finish().expect("memory"), crc.sum())
}
