//! The codes of one block (RFC 1951 §3.2).

use std::sync::LazyLock;

use super::super::Breach;
use super::bits::Bits;

/// Bits per table look-up. The few longer codes are found bit by bit.
const LITERAL_BITS: u32 = 10;
const DISTANCE_BITS: u32 = 8;
const LENGTH_BITS: u32 = 7;
const BITS_MAX: usize = 15;

const LITERALS_MAX: usize = 286;
const DISTANCES_MAX: usize = 30;
const SYMBOLS_MAX: usize = 288;
const END_OF_BLOCK: usize = 256;

/// The order of the lengths of the code for lengths (§3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The codes of blocks that state none (§3.2.6).
pub(super) static FIXED: LazyLock<Codes> = LazyLock::new(Codes::fixed);

/// Both codes of a block, and the lengths that they are built from.
pub(super) struct Codes {
    pub(super) literals: Huffman<{ 1 << LITERAL_BITS }>,
    pub(super) distances: Huffman<{ 1 << DISTANCE_BITS }>,
    of_lengths: Huffman<{ 1 << LENGTH_BITS }>,
    lengths: [u8; LITERALS_MAX + DISTANCES_MAX],
    have: usize,
    literal_count: usize,
    distance_count: usize,
    length_count: usize,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            literals: Huffman::EMPTY,
            distances: Huffman::EMPTY,
            of_lengths: Huffman::EMPTY,
            lengths: [0; LITERALS_MAX + DISTANCES_MAX],
            have: 0,
            literal_count: 0,
            distance_count: 0,
            length_count: 0,
        }
    }
}

impl Codes {
    fn fixed() -> Self {
        let mut codes = Self::default();
        let runs = [(144, 8), (112, 9), (24, 7), (8, 8)];
        let lengths: Vec<u8> = runs
            .iter()
            .flat_map(|(count, length)| std::iter::repeat_n(*length, *count))
            .collect();
        let built = codes
            .literals
            .build(&lengths)
            .and_then(|()| codes.distances.build(&[5; 32]));
        debug_assert!(built.is_ok(), "both are complete");
        codes
    }

    /// Reads the three counts at the start of a block with its own codes.
    pub(super) fn read_counts(&mut self, number: u64) -> Result<(), Breach> {
        let field =
            |shift: u32, mask: u64| usize::try_from(number >> shift & mask).unwrap_or_default();
        self.literal_count = field(0, 31).saturating_add(257);
        self.distance_count = field(5, 31).saturating_add(1);
        self.length_count = field(10, 15).saturating_add(4);
        self.have = 0;
        self.lengths.fill(0);
        let fits = self.literal_count <= LITERALS_MAX && self.distance_count <= DISTANCES_MAX;
        if fits { Ok(()) } else { Err(Breach::Malformed) }
    }

    /// The number of lengths in the block.
    pub(super) fn count(&self) -> u64 {
        self.literal_count.saturating_add(self.distance_count) as u64
    }

    /// Reads the lengths of the code for lengths; returns whether they are complete.
    pub(super) fn lengths_of_lengths(
        &mut self,
        bits: &mut Bits,
        input: &mut &[u8],
    ) -> Result<bool, Breach> {
        while self.have < self.length_count {
            let Some(length) = bits.take(3, input) else {
                return Ok(false);
            };
            let position = ORDER
                .get(self.have)
                .and_then(|at| self.lengths.get_mut(*at))
                .ok_or(Breach::Malformed)?;
            *position = u8::try_from(length).unwrap_or_default();
            self.have = self.have.saturating_add(1);
        }
        self.of_lengths
            .build(self.lengths.get(..ORDER.len()).unwrap_or_default())?;
        self.have = 0;
        self.lengths.fill(0);
        Ok(true)
    }

    /// Reads the lengths of both codes and builds the codes; returns whether they are complete.
    pub(super) fn lengths(&mut self, bits: &mut Bits, input: &mut &[u8]) -> Result<bool, Breach> {
        let total = self.literal_count.saturating_add(self.distance_count);
        while self.have < total {
            bits.fill(input);
            let mut look = *bits;
            let Some(symbol) = self.of_lengths.decode(&mut look)? else {
                return Ok(false);
            };
            let (length, extra, base) = match symbol {
                16 => {
                    let before = self.have.checked_sub(1).and_then(|at| self.lengths.get(at));
                    (*before.ok_or(Breach::Malformed)?, 2, 3)
                }
                17 => (0, 3, 3),
                18 => (0, 7, 11),
                length => (u8::try_from(length).map_err(|_| Breach::Malformed)?, 0, 1),
            };
            let Some(more) = look.look(extra) else {
                return Ok(false);
            };
            *bits = look;
            let end = self.have.saturating_add(base).saturating_add(more.into());
            if end > total {
                return Err(Breach::Malformed);
            }
            self.lengths
                .get_mut(self.have..end)
                .ok_or(Breach::Malformed)?
                .fill(length);
            self.have = end;
        }
        if self
            .lengths
            .get(END_OF_BLOCK)
            .is_none_or(|length| *length == 0)
        {
            return Err(Breach::Malformed);
        }
        let (literals, distances) = self
            .lengths
            .split_at_checked(self.literal_count)
            .ok_or(Breach::Malformed)?;
        self.literals.build(literals)?;
        self.distances
            .build(distances.get(..self.distance_count).unwrap_or_default())?;
        Ok(true)
    }
}

/// A code with a table for the next bits. `N` is two to the power of the number of bits per
/// look-up.
pub(super) struct Huffman<const N: usize> {
    /// The symbol, and the length of its code in the lower four bits; zero if the code is longer or
    /// unused.
    short: [u16; N],
    /// The number of codes of each length.
    counts: [u16; BITS_MAX + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; SYMBOLS_MAX],
}

impl<const N: usize> Huffman<N> {
    const EMPTY: Self = Self {
        short: [0; N],
        counts: [0; BITS_MAX + 1],
        symbols: [0; SYMBOLS_MAX],
    };

    /// Builds the code from the code lengths of the symbols.
    fn build(&mut self, lengths: &[u8]) -> Result<(), Breach> {
        self.counts = [0; BITS_MAX + 1];
        for length in lengths {
            let count = self
                .counts
                .get_mut(usize::from(*length))
                .ok_or(Breach::Malformed)?;
            *count = count.saturating_add(1);
        }
        let (mut left, mut positions, mut total) = (1_u32, [0_u16; BITS_MAX + 1], 0_u16);
        for (count, position) in self.counts.iter().zip(&mut positions).skip(1) {
            left = (left << 1)
                .checked_sub((*count).into())
                .ok_or(Breach::Malformed)?;
            *position = total;
            total = total.saturating_add(*count);
        }
        // As in zlib, a code may have gaps only if it uses no symbol, or a single one of one bit.
        let is_single = total == 1 && self.counts.get(1) == Some(&1) && N > 1 << LENGTH_BITS;
        if left > 0 && total > 0 && !is_single {
            return Err(Breach::Malformed);
        }
        for (symbol, length) in lengths
            .iter()
            .enumerate()
            .filter(|(_, length)| **length > 0)
        {
            let position = positions
                .get_mut(usize::from(*length))
                .ok_or(Breach::Malformed)?;
            *self
                .symbols
                .get_mut(usize::from(*position))
                .ok_or(Breach::Malformed)? =
                u16::try_from(symbol).map_err(|_| Breach::Malformed)?;
            *position = position.saturating_add(1);
        }
        self.look_up();
        Ok(())
    }

    /// Fills the table of short codes. Each code fills two entries for every bit by which it is
    /// shorter.
    fn look_up(&mut self) {
        self.short = [0; N];
        let bits = N.trailing_zeros();
        let (mut code, mut at, mut half) = (0_u32, 0_usize, 1_usize);
        for (length, count) in (0_u32..)
            .zip(self.counts)
            .skip(1)
            .take_while(|(length, _)| *length <= bits)
        {
            self.short.copy_within(..half, half);
            half <<= 1;
            for symbol in self.symbols.iter().skip(at).take(count.into()) {
                let position =
                    code.reverse_bits()
                        .wrapping_shr(32_u32.wrapping_sub(length)) as usize;
                if let Some(entry) = self.short.get_mut(position) {
                    *entry = symbol << 4 | u16::try_from(length).unwrap_or_default();
                }
                code = code.wrapping_add(1);
            }
            at = at.saturating_add(count.into());
            code <<= 1;
        }
    }

    /// Takes the next symbol from `bits`; `None` if it needs more bits.
    #[inline]
    pub(super) fn decode(&self, bits: &mut Bits) -> Result<Option<u16>, Breach> {
        let index =
            usize::try_from(bits.peek() & u64::try_from(N).unwrap_or_default().wrapping_sub(1));
        let entry = index
            .ok()
            .and_then(|index| self.short.get(index))
            .copied()
            .unwrap_or_default();
        let length = u32::from(entry & 15);
        if length == 0 {
            return self.decode_long(bits);
        }
        if length > bits.count() {
            return Ok(None);
        }
        bits.skip(length);
        Ok(Some(entry >> 4))
    }

    /// Finds a code bit by bit: the codes of each length are consecutive numbers.
    #[cold]
    fn decode_long(&self, bits: &mut Bits) -> Result<Option<u16>, Breach> {
        let (mut code, mut first, mut at) = (0_u32, 0_u32, 0_u32);
        let mut hold = bits.peek();
        for (length, count) in (0_u32..).zip(self.counts).skip(1) {
            if length > bits.count() {
                return Ok(None);
            }
            code = code << 1 | u32::from(hold & 1 == 1);
            hold >>= 1;
            first <<= 1;
            let count = u32::from(count);
            if let Some(number) = code.checked_sub(first).filter(|number| *number < count) {
                bits.skip(length);
                let position = usize::try_from(at.wrapping_add(number)).unwrap_or(usize::MAX);
                return self
                    .symbols
                    .get(position)
                    .copied()
                    .map(Some)
                    .ok_or(Breach::Malformed);
            }
            first = first.wrapping_add(count);
            at = at.wrapping_add(count);
        }
        Err(Breach::Malformed)
    }
}
