//! DEFLATE (RFC 1951), which gzip, `deflate` and ZIP share.
//!
//! A decoder of our own: no available one stops at the end of each block, reports the cost of a
//! block, or keeps a small window for a small stream (decision 0020). It can pause between any two
//! symbols:
//!
//! ```text
//! header ─┬▶ stored length ─▶ stored ──────────────────────────────┬▶ header, or the end
//!         ├▶ fixed codes ───────────────────────────────▶ symbols ─┤
//!         └▶ counts ─▶ lengths of lengths ─▶ lengths ───▶ symbols ─┘
//! ```

mod bits;
mod codes;
mod window;

use super::{Breach, Step};
use crate::payload::work::Work;
use bits::Bits;
use codes::{Codes, FIXED};
use window::Window;

/// The longest match.
const MATCH_MAX: usize = 258;
/// The least room that one step needs for its output.
pub(crate) const ROOM_MIN: usize = 2 * MATCH_MAX;

/// The work of each part.
const BYTE_IN: u64 = 5;
const BYTE_OUT: u64 = 3;
const BLOCK: u64 = 25;
const TABLES: u64 = 1_000;
const LENGTH: u64 = 5;

/// The base and the number of extra bits of each length, from symbol 257 on (§3.2.5).
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The base and the number of extra bits of each distance.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// Decodes deflate streams, one after another.
#[derive(Default)]
pub(crate) struct Inflate {
    bits: Bits,
    window: Window,
    part: Part,
    /// Whether the current block is the last.
    is_last: bool,
    /// The codes of the last block that had its own.
    codes: Option<Box<Codes>>,
}

/// The part of a stream that contains the next bit.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Header,
    StoredLength,
    Stored {
        left: usize,
    },
    Counts,
    LengthsOfLengths,
    Lengths,
    Symbols {
        fixed: bool,
    },
    End,
}

/// Why decoding stops.
enum Pause {
    /// More bits are needed.
    NeedsInput,
    /// There is no room for more output.
    Full,
    /// The part is complete; this is the next one.
    Next(Part),
}

impl Inflate {
    /// Whether the stream has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.part == Part::End
    }

    /// Prepares for the next stream.
    pub(crate) fn restart(&mut self) {
        self.bits = Bits::default();
        self.window.restart();
        self.part = Part::Header;
        self.is_last = false;
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.window
            .memory()
            .saturating_add(if self.codes.is_some() {
                size_of::<Codes>()
            } else {
                0
            })
    }

    /// The output of the last step.
    pub(crate) fn fresh(&self) -> &[u8] {
        self.window.fresh()
    }

    /// Inflates at most `room` bytes, which must be at least [`ROOM_MIN`]. Takes only the input
    /// that this needs, and nothing after the end of the stream.
    ///
    /// # Errors
    /// [`Breach::Malformed`] if this is not a deflate stream.
    pub(crate) fn step(
        &mut self,
        input: &mut &[u8],
        room: usize,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        let whole = *input;
        self.window.begin(room);
        let step = self.run(input, work);
        // A decoder that needs input has used its whole bytes. Otherwise, whole bytes among its
        // bits may belong to the data after the stream.
        if self.has_ended() || !matches!(step, Ok(Step::NeedsInput)) {
            self.bits.unread(whole, input);
        }
        work.add_bytes(whole.len().saturating_sub(input.len()), BYTE_IN);
        work.add_bytes(self.window.fresh().len(), BYTE_OUT);
        step
    }

    fn run(&mut self, input: &mut &[u8], work: &mut Work) -> Result<Step, Breach> {
        while self.part != Part::End {
            match self.decode_part(input, work)? {
                Pause::NeedsInput => return Ok(Step::NeedsInput),
                Pause::Full => return Ok(Step::Continue),
                Pause::Next(part) => self.part = part,
            }
            if work.is_due() {
                return Ok(Step::Continue);
            }
        }
        Ok(Step::NeedsInput)
    }

    fn decode_part(&mut self, input: &mut &[u8], work: &mut Work) -> Result<Pause, Breach> {
        match self.part {
            Part::Header => self.header(input, work),
            Part::StoredLength => {
                let Some(number) = self.bits.take(32, input) else {
                    return Ok(Pause::NeedsInput);
                };
                let (length, check) = (number & 0xffff, number >> 16);
                if length != !check & 0xffff {
                    return Err(Breach::Malformed);
                }
                Ok(Pause::Next(Part::Stored {
                    left: usize::try_from(length).unwrap_or_default(),
                }))
            }
            Part::Stored { left } => Ok(self.stored(left, input)),
            Part::Counts => {
                let Some(number) = self.bits.take(14, input) else {
                    return Ok(Pause::NeedsInput);
                };
                work.add(TABLES);
                self.codes.get_or_insert_default().read_counts(number)?;
                Ok(Pause::Next(Part::LengthsOfLengths))
            }
            Part::LengthsOfLengths => {
                let codes = self.codes.get_or_insert_default();
                Ok(if codes.lengths_of_lengths(&mut self.bits, input)? {
                    Pause::Next(Part::Lengths)
                } else {
                    Pause::NeedsInput
                })
            }
            Part::Lengths => {
                let codes = self.codes.get_or_insert_default();
                Ok(if codes.lengths(&mut self.bits, input)? {
                    work.add(codes.count().saturating_mul(LENGTH));
                    Pause::Next(Part::Symbols { fixed: false })
                } else {
                    Pause::NeedsInput
                })
            }
            Part::Symbols { fixed } => {
                let codes = if fixed {
                    Some(&*FIXED)
                } else {
                    self.codes.as_deref()
                };
                let pause = symbols(
                    &mut self.bits,
                    &mut self.window,
                    codes.ok_or(Breach::Malformed)?,
                    input,
                )?;
                Ok(match pause {
                    Pause::Next(_) => Pause::Next(self.after()),
                    Pause::NeedsInput | Pause::Full => pause,
                })
            }
            Part::End => Ok(Pause::Next(Part::End)),
        }
    }

    /// The part after a block.
    fn after(&mut self) -> Part {
        if self.is_last {
            self.bits.align();
            Part::End
        } else {
            Part::Header
        }
    }

    fn header(&mut self, input: &mut &[u8], work: &mut Work) -> Result<Pause, Breach> {
        let Some(number) = self.bits.take(3, input) else {
            return Ok(Pause::NeedsInput);
        };
        work.add(BLOCK);
        self.is_last = number & 1 == 1;
        match number >> 1 {
            0 => {
                self.bits.align();
                Ok(Pause::Next(Part::StoredLength))
            }
            1 => Ok(Pause::Next(Part::Symbols { fixed: true })),
            2 => Ok(Pause::Next(Part::Counts)),
            _ => Err(Breach::Malformed),
        }
    }

    /// Copies available input of a stored block. Whole bytes that were read as bits are first.
    fn stored(&mut self, mut left: usize, input: &mut &[u8]) -> Pause {
        while left > 0 {
            if !self.window.has_room() {
                self.part = Part::Stored { left };
                return Pause::Full;
            }
            if let Some(byte) = self.bits.held_byte() {
                self.window.push(byte);
                left = left.saturating_sub(1);
                continue;
            }
            let copied = self.window.append(input, left);
            if copied == 0 {
                self.part = Part::Stored { left };
                return if input.is_empty() {
                    Pause::NeedsInput
                } else {
                    Pause::Full
                };
            }
            left = left.saturating_sub(copied);
            *input = input.get(copied..).unwrap_or_default();
        }
        Pause::Next(self.after())
    }
}

/// Decodes symbols up to the end of the block.
fn symbols(
    bits: &mut Bits,
    window: &mut Window,
    codes: &Codes,
    input: &mut &[u8],
) -> Result<Pause, Breach> {
    loop {
        if !window.has_room() {
            return Ok(Pause::Full);
        }
        bits.fill(input);
        let mut look = *bits;
        let Some(symbol) = codes.literals.decode(&mut look)? else {
            return Ok(Pause::NeedsInput);
        };
        if let Ok(literal) = u8::try_from(symbol) {
            *bits = look;
            window.push(literal);
            continue;
        }
        let Some(of_length) = symbol.checked_sub(257) else {
            *bits = look;
            return Ok(Pause::Next(Part::End));
        };
        let (base, extra) = LENGTHS
            .get(usize::from(of_length))
            .ok_or(Breach::Malformed)?;
        let Some(more) = look.look(*extra) else {
            return Ok(Pause::NeedsInput);
        };
        let length = base.wrapping_add(more);
        let Some(of_distance) = codes.distances.decode(&mut look)? else {
            return Ok(Pause::NeedsInput);
        };
        let (base, extra) = DISTANCES
            .get(usize::from(of_distance))
            .ok_or(Breach::Malformed)?;
        let Some(more) = look.look(*extra) else {
            return Ok(Pause::NeedsInput);
        };
        *bits = look;
        window
            .repeat(usize::from(base.wrapping_add(more)), usize::from(length))
            .ok_or(Breach::Malformed)?;
    }
}

#[cfg(test)]
mod tests;
