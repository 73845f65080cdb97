//! The cost of a frame in work and memory, estimated from its headers.

use super::{BLOCK_MAX, COMPRESSED as COMPRESSED_BLOCK};
use crate::payload::decode::number;

/// The work of a frame, of a block, and of each byte put out.
pub(super) const FRAME: u64 = 1_000;
const BLOCK: u64 = 150;
pub(super) const BYTE_OUT: u64 = 3;
/// The work of a compressed block, and of each byte and each sequence in it.
const COMPRESSED: u64 = 300;
const BYTE_IN: u64 = 10;
const SEQUENCE: u64 = 14;
/// The work of the table of literals, and of each of the three tables of sequences: predefined or
/// transmitted.
const LITERALS: u64 = 3_000;
const PREDEFINED: u64 = 300;
const TRANSMITTED: u64 = 2_000;

/// A window that may be reserved at once without harm.
pub(super) const WINDOW_SMALL: u64 = 64 * 1024;
/// The capacity that may stay allocated between two blocks.
pub(super) const HELD_KEPT: usize = 4 * 1024;

/// The memory of the tables of an open frame.
const TABLES_BYTES: usize = 40 * 1024;
/// The library's memory beyond the bytes that it must keep.
const SLACK_BYTES: usize = 256 * 1024;

/// The memory of a frame for which the library had to keep `kept` bytes at once.
pub(super) fn memory(kept: usize) -> usize {
    let ring = match kept.checked_sub(SLACK_BYTES) {
        None => kept.next_power_of_two(),
        Some(beyond) => beyond.next_power_of_two().saturating_add(SLACK_BYTES),
    };
    // It also keeps a block and its literals.
    ring.saturating_add(TABLES_BYTES)
        .saturating_add(kept.min(SLACK_BYTES))
}

/// The most work of writing the content of a block into the library's window: half a unit for each
/// byte.
///
/// The headers of a block with sequences do not state its size, so it counts as a full one.
pub(super) fn of_window(block: &[u8], window: u64) -> u64 {
    let bytes = match Sections::of(block) {
        None => block_size(block),
        Some(Sections {
            literals,
            sequences: 0,
            ..
        }) => literals.regenerated,
        Some(_) => BLOCK_MAX,
    };
    bytes.min(BLOCK_MAX).min(window) >> 1
}

/// The work of a complete block.
pub(super) fn of_block(block: &[u8]) -> u64 {
    let Some(Sections {
        bytes,
        literals,
        sequences,
        modes,
    }) = Sections::of(block)
    else {
        return BLOCK;
    };
    let tables = if sequences == 0 {
        0
    } else {
        [2, 4, 6]
            .map(|at| of_mode((modes >> at) & 3))
            .iter()
            .fold(0, |sum, units| units.saturating_add(sum))
    };
    let of_literals = if literals.has_table { LITERALS } else { 0 };
    let fixed = BLOCK
        .saturating_add(COMPRESSED)
        .saturating_add(of_literals)
        .saturating_add(tables);
    fixed
        .saturating_add(bytes.saturating_mul(BYTE_IN))
        .saturating_add(literals.regenerated.saturating_mul(BYTE_OUT))
        .saturating_add(sequences.saturating_mul(SEQUENCE))
}

/// The size in a block's header: of its content, or of the expansion of a run of one byte.
fn block_size(block: &[u8]) -> u64 {
    number(block, 0, 3) >> 3
}

const fn of_mode(mode: u64) -> u64 {
    match mode {
        0 => PREDEFINED,
        2 => TRANSMITTED,
        _ => 0,
    }
}

/// The sections of a compressed block (RFC 8878 §3.1.1.3), as far as their headers state them.
struct Sections {
    bytes: u64,
    literals: Literals,
    sequences: u64,
    modes: u64,
}

impl Sections {
    /// The sections of a complete block; `None` if it is a raw block, or a run.
    fn of(block: &[u8]) -> Option<Self> {
        if (number(block, 0, 3) >> 1) & 3 != COMPRESSED_BLOCK {
            return None;
        }
        let content = block.get(3..).unwrap_or_default();
        let literals = Literals::of(content);
        let (sequences, modes) = sequence_count(literals.after(content));
        Some(Self {
            bytes: content.len() as u64,
            literals,
            sequences,
            modes,
        })
    }
}

/// The header of a literals section (RFC 8878 §3.1.1.3.1).
struct Literals {
    has_table: bool,
    regenerated: u64,
    header_bytes: usize,
    bytes: u64,
}

impl Literals {
    fn of(content: &[u8]) -> Self {
        let first = number(content, 0, 1);
        let (kind, format) = (first & 3, (first >> 2) & 3);
        if kind < 2 {
            let (header_bytes, shift) = match format {
                1 => (2, 4),
                3 => (3, 4),
                _ => (1, 3),
            };
            let regenerated = number(content, 0, header_bytes) >> shift;
            let bytes = if kind == 1 { 1 } else { regenerated };
            return Self {
                has_table: false,
                regenerated,
                header_bytes,
                bytes,
            };
        }
        let (header_bytes, bits) = match format {
            2 => (4, 14),
            3 => (5, 18),
            _ => (3, 10),
        };
        let sizes = number(content, 0, header_bytes) >> 4;
        let mask = (1_u64 << bits).saturating_sub(1);
        Self {
            has_table: kind == 2,
            regenerated: sizes & mask,
            header_bytes,
            bytes: (sizes >> bits) & mask,
        }
    }

    /// The content after the section.
    fn after<'c>(&self, content: &'c [u8]) -> &'c [u8] {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        content
            .get(self.header_bytes.saturating_add(bytes)..)
            .unwrap_or_default()
    }
}

/// The number of sequences, and the modes of their tables (§3.1.1.3.2.1).
fn sequence_count(section: &[u8]) -> (u64, u64) {
    match number(section, 0, 1) {
        0 => (0, 0),
        255 => (
            number(section, 1, 2).saturating_add(0x7f00),
            number(section, 3, 1),
        ),
        first @ 1..128 => (first, number(section, 1, 1)),
        first => (
            (first.saturating_sub(128) << 8).saturating_add(number(section, 1, 1)),
            number(section, 2, 1),
        ),
    }
}
