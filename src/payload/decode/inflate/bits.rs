//! Reads bits, starting with the lowest of each byte (RFC 1951 §3.1.1).

/// Bits that were read but not used. They remain across the end of a chunk only if the next part
/// needs more than these. So once anything was decoded, whole bytes among them belong to the
/// current chunk.
#[derive(Clone, Copy, Default)]
pub(super) struct Bits {
    hold: u64,
    count: u32,
}

impl Bits {
    /// Reads until there are at least 48 bits, the most of a length with its distance, or until no
    /// byte is left.
    #[inline]
    pub(super) fn fill(&mut self, input: &mut &[u8]) {
        if self.count >= 48 {
            return;
        }
        if let Some((eight, _)) = input.split_first_chunk::<8>() {
            let bytes = 63_u32.wrapping_sub(self.count) >> 3;
            self.hold |= u64::from_le_bytes(*eight).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(bytes << 3);
            // The last byte was read in part, and is read again.
            self.hold &= !(u64::MAX.wrapping_shl(self.count));
            *input = input.get(bytes as usize..).unwrap_or_default();
            return;
        }
        while self.count < 48
            && let Some((byte, rest)) = input.split_first()
        {
            self.hold |= u64::from(*byte).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(8);
            *input = rest;
        }
    }

    /// The available bits, with zeros above them.
    #[inline]
    pub(super) const fn peek(&self) -> u64 {
        self.hold
    }

    /// The number of available bits.
    #[inline]
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Drops `count` bits, which must be available.
    #[inline]
    pub(super) const fn skip(&mut self, count: u32) {
        self.hold = self.hold.wrapping_shr(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes `count` bits, at most 15; `None` if fewer are available.
    #[inline]
    pub(super) fn look(&mut self, count: u8) -> Option<u16> {
        let bits = u32::from(count);
        if bits > self.count {
            return None;
        }
        let number = self.hold & !(u64::MAX.wrapping_shl(bits));
        self.skip(bits);
        u16::try_from(number).ok()
    }

    /// Takes `count` bits, at most 32; `None` if the input has too few.
    pub(super) fn take(&mut self, count: u32, input: &mut &[u8]) -> Option<u64> {
        self.fill(input);
        if count > self.count {
            return None;
        }
        let number = self.hold & !(u64::MAX.wrapping_shl(count));
        self.skip(count);
        Some(number)
    }

    /// Drops the rest of the current byte.
    pub(super) const fn align(&mut self) {
        self.skip(self.count & 7);
    }

    /// Takes a whole byte from aligned bits.
    pub(super) fn held_byte(&mut self) -> Option<u8> {
        if self.count < 8 {
            return None;
        }
        let byte = u8::try_from(self.hold & 0xff).ok();
        self.skip(8);
        byte
    }

    /// Returns whole bytes to the input: `rest` is the unread end of `whole`.
    pub(super) fn unread<'i>(&mut self, whole: &'i [u8], rest: &mut &'i [u8]) {
        let read = whole.len().saturating_sub(rest.len());
        let bytes = usize::try_from(self.count >> 3)
            .unwrap_or_default()
            .min(read);
        *rest = whole.get(read.saturating_sub(bytes)..).unwrap_or_default();
        self.count = self
            .count
            .saturating_sub(u32::try_from(bytes << 3).unwrap_or_default());
        self.hold &= !(u64::MAX.wrapping_shl(self.count));
    }
}
