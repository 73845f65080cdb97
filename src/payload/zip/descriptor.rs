//! The data descriptor: the checksum and sizes of an entry, after its data (§4.3.9).
//!
//! It may have a signature, and sizes of four or of eight bytes. Nothing announces which, so the
//! form is the one whose values are right.
//!
//! After a deflate stream, the descriptor begins where the stream ends. A stored entry has no end
//! but its descriptor: each signature in the data may begin one, and does if checksum and sizes are
//! those of the data so far. Data that contains such a descriptor on purpose ends its entry too
//! soon, which no reader of the central directory does; then the seals do not agree.

use crate::payload::decode::{Breach, number};

use super::record::Sizes;

const SIGNATURE: [u8; 4] = *b"PK\x07\x08";
const NARROW_BYTES: usize = 12;
const WIDE_BYTES: usize = 20;

/// The length of the descriptor of an entry with these `sizes`, as far as the bytes held determine
/// it. If the entry has sizes of eight bytes, so has its descriptor (§4.3.9.2).
pub(super) fn bytes(held: &[u8], sizes: &Sizes, is_zip64: bool) -> usize {
    let signature = if held.starts_with(&SIGNATURE) {
        SIGNATURE.len()
    } else {
        0
    };
    let narrow = signature.saturating_add(NARROW_BYTES);
    if held.len() < SIGNATURE.len() {
        SIGNATURE.len()
    } else if held
        .get(..narrow)
        .is_none_or(|held| !is_zip64 && matches_sizes(held, sizes))
    {
        narrow
    } else {
        signature.saturating_add(WIDE_BYTES)
    }
}

/// Whether the descriptor states `sizes`.
pub(super) fn matches_sizes(descriptor: &[u8], sizes: &Sizes) -> bool {
    let fields = descriptor.strip_prefix(&SIGNATURE).unwrap_or(descriptor);
    let width = if fields.len() == NARROW_BYTES { 4 } else { 8 };
    number(fields, 0, 4) == u64::from(sizes.crc)
        && number(fields, 4, width) == sizes.compressed
        && number(fields, width.saturating_add(4), width) == sizes.uncompressed
}

/// A request of a scan to its entry.
pub(super) enum Step<'d> {
    /// Return the sizes so far.
    Sizes,
    /// Store this data too.
    Data(&'d [u8]),
}

/// Searches for the descriptor of a stored entry, and passes the data before it to `entry`. Bytes
/// that may belong to a descriptor stay in `held`. Returns whether it was found.
///
/// # Errors
/// The errors of `entry`.
pub(super) fn scan(
    held: &mut Vec<u8>,
    input: &mut &[u8],
    is_zip64: bool,
    entry: &mut dyn FnMut(Step<'_>) -> Result<Sizes, Breach>,
) -> Result<bool, Breach> {
    loop {
        if held.is_empty() {
            let start = input
                .iter()
                .position(|byte| Some(byte) == SIGNATURE.first())
                .unwrap_or(input.len());
            let (data, rest) = input.split_at_checked(start).unwrap_or((input, &[]));
            entry(Step::Data(data))?;
            *input = rest;
        }
        let Some((byte, rest)) = input.split_first() else {
            return Ok(false);
        };
        held.push(*byte);
        *input = rest;
        loop {
            // The fourth byte rules out most false signatures without a look at the sizes.
            let found = if held.len() > SIGNATURE.len() || held.starts_with(&SIGNATURE) {
                compare(held, &entry(Step::Sizes)?, is_zip64)
            } else if SIGNATURE.starts_with(held) {
                Match::Part
            } else {
                Match::None
            };
            match found {
                Match::Whole => {
                    held.clear();
                    return Ok(true);
                }
                Match::Part => break,
                Match::None => {
                    // Its first byte is data; the next signature may begin after that.
                    let next = held
                        .iter()
                        .skip(1)
                        .position(|byte| Some(byte) == SIGNATURE.first());
                    let data = next.map_or(held.len(), |next| next.saturating_add(1));
                    entry(Step::Data(held.get(..data).unwrap_or_default()))?;
                    held.drain(..data);
                    if held.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}

enum Match {
    Whole,
    Part,
    None,
}

fn compare_with(held: &[u8], mut form: impl Iterator<Item = u8>) -> Match {
    if held.iter().any(|byte| form.next() != Some(*byte)) {
        return Match::None;
    }
    match form.next() {
        Some(_) => Match::Part,
        None => Match::Whole,
    }
}

/// Compares a possible beginning of a descriptor with the forms that state `sizes`.
fn compare(held: &[u8], sizes: &Sizes, is_zip64: bool) -> Match {
    let head = SIGNATURE.into_iter().chain(sizes.crc.to_le_bytes());
    let wide = head
        .clone()
        .chain(sizes.compressed.to_le_bytes())
        .chain(sizes.uncompressed.to_le_bytes());
    match (
        u32::try_from(sizes.compressed),
        u32::try_from(sizes.uncompressed),
    ) {
        (Ok(compressed), Ok(uncompressed)) if !is_zip64 => {
            let narrow = head
                .chain(compressed.to_le_bytes())
                .chain(uncompressed.to_le_bytes());
            match compare_with(held, narrow) {
                Match::None => compare_with(held, wide),
                found @ (Match::Whole | Match::Part) => found,
            }
        }
        _ => compare_with(held, wide),
    }
}
