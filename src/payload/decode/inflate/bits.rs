//! Bits, from the lowest of each byte on (RFC 1951 §3.1.1).

/// Bits that were read and not used yet. They stay here over the end of a chunk only if what comes next
/// needs more than these; so once anything is decoded, whole bytes among them are of the chunk at hand.
#[derive(Clone, Copy, Default)]
pub(super) struct Bits {
    hold: u64,
    count: u32,
}

impl Bits {
    /// Reads on until there are 48 bits at least, as many as a length with its distance has, or no byte is left.
    #[inline]
    pub(super) fn fill(&mut self, input: &mut &[u8]) {
        if self.count >= 48 {
            return;
        }
        if let Some((eight, _)) = input.split_first_chunk::<8>() {
            let bytes = 63_u32.wrapping_sub(self.count) >> 3;
            self.hold |= u64::from_le_bytes(*eight).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(bytes << 3);
            // What was read of the last byte in part is read again.
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

    /// The bits that are there; above them are zeros.
    #[inline]
    pub(super) const fn peek(&self) -> u64 {
        self.hold
    }

    /// How many those are.
    #[inline]
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Drops `count` bits, which must be there.
    #[inline]
    pub(super) const fn skip(&mut self, count: u32) {
        self.hold = self.hold.wrapping_shr(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes `count` bits, 15 at most, of those that are there; `None` if they are too few.
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

    /// Takes `count` bits, 32 at most; `None` if not all have come.
    pub(super) fn take(&mut self, count: u32, input: &mut &[u8]) -> Option<u64> {
        self.fill(input);
        if count > self.count {
            return None;
        }
        let number = self.hold & !(u64::MAX.wrapping_shl(count));
        self.skip(count);
        Some(number)
    }

    /// Drops what is left of a byte.
    pub(super) const fn align(&mut self) {
        self.skip(self.count & 7);
    }

    /// Takes a whole byte off bits that are aligned.
    pub(super) fn held_byte(&mut self) -> Option<u8> {
        if self.count < 8 {
            return None;
        }
        let byte = u8::try_from(self.hold & 0xff).ok();
        self.skip(8);
        byte
    }

    /// Puts whole bytes back: `rest` is what is left of `whole`.
    pub(super) fn unread<'i>(&mut self, whole: &'i [u8], rest: &mut &'i [u8]) {
        let read = whole.len().saturating_sub(rest.len());
        let bytes = usize::try_from(self.count >> 3).unwrap_or_default().min(read);
        *rest = whole.get(read.saturating_sub(bytes)..).unwrap_or_default();
        self.count = self.count.saturating_sub(u32::try_from(bytes << 3).unwrap_or_default());
        self.hold &= !(u64::MAX.wrapping_shl(self.count));
    }
}
