//! Skips long runs of ordinary bytes, eight at a time in plain integers.
//!
//! A borrow finds a byte in a word: `word - 0x01…01` sets the highest bit of each byte that was 0,
//! and perhaps of some above it, but never of one below. So the lowest hit is always a true one.
//! Source: Bit Twiddling Hacks, "Determine if a word has a byte less than n".

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
const SPACES: [u8; 8] = [b' '; 8];

/// The part of a string before the next quote, backslash or control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain<'c> {
    /// The bytes before that character.
    pub(super) run: &'c [u8],
    /// The character and all that follows; empty if there is none.
    pub(super) rest: &'c [u8],
    /// Whether the run is ASCII.
    pub(super) ascii: bool,
}

/// Splits `bytes` before the first quote, backslash or control character.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> Plain<'_> {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut seen = 0;
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = special(word);
        if hits != 0 {
            // The high bits of the bytes before the hit.
            seen |= word & !hits & hits.wrapping_sub(1);
            let length = index
                .wrapping_mul(8)
                .wrapping_add((hits.trailing_zeros() >> 3) as usize);
            return split(bytes, length, seen);
        }
        seen |= word;
    }
    let in_tail = tail
        .iter()
        .position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))
        .unwrap_or(tail.len());
    for byte in tail.iter().take(in_tail) {
        seen |= u64::from(*byte);
    }
    split(
        bytes,
        words.as_flattened().len().wrapping_add(in_tail),
        seen,
    )
}

/// `bytes` without leading white space.
#[inline]
pub(super) fn blank(bytes: &[u8]) -> &[u8] {
    match bytes {
        [first, ..] if *first > b' ' => bytes,
        [b' ' | b'\n' | b'\r' | b'\t', second, ..] if *second > b' ' => {
            bytes.get(1..).unwrap_or_default()
        }
        _ => long_blank(bytes),
    }
}

/// The same for longer white space.
fn long_blank(mut bytes: &[u8]) -> &[u8] {
    loop {
        while let Some((&SPACES, rest)) = bytes.split_first_chunk() {
            bytes = rest;
        }
        match bytes {
            [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] => bytes = rest,
            _ => return bytes,
        }
    }
}

/// The high bit of the first byte that is a quote, a backslash or a control character.
const fn special(word: u64) -> u64 {
    // With the second bit inverted, a quote is the byte above the control characters: 0x22 becomes
    // 0x20, and space and exclamation mark become 0x22 and 0x23.
    let quote_or_control = (word ^ (ONES << 1)).wrapping_sub(ONES.wrapping_mul(0x21));
    let backslash = (word ^ ONES.wrapping_mul(b'\\' as u64)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & HIGHS
}

fn split(bytes: &[u8], length: usize, seen: u64) -> Plain<'_> {
    let (run, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    Plain {
        run,
        rest,
        ascii: seen & HIGHS == 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_plain(bytes: &[u8]) -> Plain<'_> {
        let (run, rest) = bytes.split_at(
            bytes
                .iter()
                .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
                .unwrap_or(bytes.len()),
        );
        Plain {
            run,
            rest,
            ascii: run.is_ascii(),
        }
    }

    #[test]
    fn every_byte_is_plain_or_special_at_every_place() {
        for byte in 0..=255 {
            for length in [8, 16, 19] {
                for at in 0..length {
                    for around in [b'a', 0x80, b' ', b'!', b'#', 0xFF, b'"'] {
                        let mut bytes = vec![around; length];
                        bytes[at] = byte;
                        assert_eq!(
                            plain(&bytes),
                            slow_plain(&bytes),
                            "{byte} at {at} of {length} in {around}"
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn long_steps_find_what_short_ones_do(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(plain(&bytes), slow_plain(&bytes));
        }

        #[test]
        fn white_space_ends_where_something_else_begins(
            text in "[ \n\r\t]{0,30}[ \
            -~]{0,3}[\u{a0}\u{1}]?",
        ) {
            let rest = text.trim_start_matches([' ', '\n', '\r', '\t']);
            prop_assert_eq!(blank(text.as_bytes()), rest.as_bytes());
        }
    }
}
