//! Assembles records of a known length from chunks of any length.

use super::Breach;

/// Moves bytes from the front of `input` to `held` until it has `want` bytes; returns whether it
/// has them.
pub(crate) fn gather(held: &mut Vec<u8>, input: &mut &[u8], want: usize) -> bool {
    let missing = want.saturating_sub(held.len()).min(input.len());
    let (taken, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
    held.extend_from_slice(taken);
    *input = rest;
    held.len() >= want
}

/// The same for a record whose length becomes known as it arrives: from the bytes held, `length`
/// returns the least number of bytes that the record can have, and in the end the exact number.
///
/// # Errors
/// The errors of `length`.
pub(crate) fn gather_record(
    held: &mut Vec<u8>,
    input: &mut &[u8],
    length: impl Fn(&[u8]) -> Result<usize, Breach>,
) -> Result<bool, Breach> {
    loop {
        let want = length(held)?;
        if !gather(held, input, want) {
            return Ok(false);
        }
        if length(held)? == want {
            return Ok(true);
        }
    }
}

/// Takes at most `left` bytes from the front of `input`.
pub(crate) fn take<'i>(input: &mut &'i [u8], left: u64) -> &'i [u8] {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at_checked(here).unwrap_or((input, &[]));
    *input = rest;
    taken
}

/// The number of bytes.
pub(crate) fn count(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

/// The little-endian number of `length` bytes, at most eight, at `at`; zero if `bytes` ends before
/// it.
pub(crate) fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = bytes
        .get(at..)
        .and_then(|rest| rest.get(..length))
        .unwrap_or_default();
    field
        .iter()
        .rev()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_gathered_over_chunks_and_takes_no_byte_after_it() {
        let mut held = Vec::new();
        for (chunk, whole, left) in [
            ("", false, ""),
            ("ab", false, ""),
            ("cd", true, "d"),
            ("e", true, "e"),
        ] {
            let mut input = chunk.as_bytes();
            assert_eq!(gather(&mut held, &mut input, 3), whole, "{chunk}");
            assert_eq!(input, left.as_bytes(), "{chunk}");
        }
        assert_eq!(held, b"abc");
    }

    #[test]
    fn numbers_are_little_endian_and_zero_beyond_the_end() {
        for (at, length, expected) in [
            (0, 1, 1),
            (1, 2, 0x0302),
            (0, 4, 0x0403_0201),
            (2, 3, 0),
            (9, 1, 0),
        ] {
            assert_eq!(number(&[1, 2, 3, 4], at, length), expected, "{at} {length}");
        }
    }
}
