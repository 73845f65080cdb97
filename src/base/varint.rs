//! Numbers of variable length (LEB128): seven bits a byte, the lowest first; all bytes but the last
//! have their highest bit set. Small numbers take one byte, none takes more than ten.

/// The number at the beginning of `bytes`, and the bytes after it; `None` if there is none. Bits
/// beyond 64 are lost, as in protobuf.
#[must_use]
#[inline]
pub fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes.split_first()? {
        (byte @ ..0x80, rest) => Some((u64::from(*byte), rest)),
        (0x80.., _) => read_long(bytes),
    }
}

fn read_long(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (shift, (index, byte)) in (0..u64::BITS).step_by(7).zip(bytes.iter().enumerate()) {
        number |= u64::from(byte & 0x7f)
            .checked_shl(shift)
            .unwrap_or_default();
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index..)?.get(1..)?));
        }
    }
    None
}

/// Appends `number`.
#[inline]
pub fn push(number: u64, out: &mut Vec<u8>) {
    match u8::try_from(number) {
        Ok(byte @ ..0x80) => out.push(byte),
        Ok(0x80..) | Err(_) => push_long(number, out),
    }
}

fn push_long(mut number: u64, out: &mut Vec<u8>) {
    while let [low, ..] = number.to_le_bytes()
        && number > 0x7f
    {
        out.push(low | 0x80);
        number >>= 7;
    }
    out.extend(number.to_le_bytes().first());
}

/// How many bytes `number` takes.
#[must_use]
pub fn size(number: u64) -> usize {
    let bits = u64::BITS.saturating_sub(number.leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_reads_back_as_it_was_written(number: u64, shift in 0..64_u32, rest: Vec<u8>) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            push(number, &mut bytes);
            prop_assert_eq!(bytes.len(), size(number));
            bytes.extend(&rest);
            prop_assert_eq!(read(&bytes), Some((number, &rest[..])));
        }

        #[test]
        fn what_does_not_end_is_none(bytes in proptest::collection::vec(0x80_u8.., 0..20)) {
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
