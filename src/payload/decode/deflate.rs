//! The encoding `deflate`: a zlib stream (RFC 1950), as RFC 9110 §8.4.1.2 requires, or a raw
//! deflate stream (RFC 1951), as "some non-conformant implementations" send it.
//!
//! The first two bytes distinguish them: in zlib, they are a multiple of 31 as a number and name
//! the method 8. A raw stream with these bytes would begin with a stored block whose padding bits
//! are set, and every encoder leaves those clear.

use super::{Breach, Inflate, ROOM_MIN, SLICE_MAX, Step, gather, number};
use crate::payload::work::Work;

const TRAILER_BYTES: usize = 4;
/// The flag of a stream that needs a dictionary. Content encodings have none.
const NEEDS_DICTIONARY: u64 = 1 << 5;

/// One stream; bytes after its end are malformed.
#[derive(Default)]
pub(crate) struct Deflate {
    part: Part,
    /// The bytes of a part of fixed length that is not complete yet.
    held: Vec<u8>,
    inflate: Inflate,
    /// The checksum of a zlib stream.
    sum: Option<Adler>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Header,
    Data,
    Trailer,
    End,
}

impl Deflate {
    pub(super) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        if self.part == Part::Header {
            if !gather(&mut self.held, input, 2) {
                return Ok(Step::NeedsInput);
            }
            self.part = Part::Data;
            let held = std::mem::take(&mut self.held);
            if is_zlib(&held) {
                if number(&held, 1, 1) & NEEDS_DICTIONARY != 0 {
                    return Err(Breach::Malformed);
                }
                self.sum = Some(Adler::default());
            } else {
                let mut first = held.as_slice();
                self.data(&mut first, out, work)?;
                if !first.is_empty() {
                    return Err(Breach::Malformed);
                }
            }
        }
        if self.part == Part::Data {
            let step = self.data(input, out, work)?;
            if self.part == Part::Data {
                return Ok(step);
            }
        }
        if self.part == Part::Trailer && gather(&mut self.held, input, TRAILER_BYTES) {
            let sum = self.sum.as_ref().map(Adler::sum).unwrap_or_default();
            if self.held != sum.to_be_bytes() {
                return Err(Breach::Malformed);
            }
            self.part = Part::End;
        }
        if input.is_empty() {
            Ok(Step::NeedsInput)
        } else {
            Err(Breach::Malformed)
        }
    }

    fn data(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        let step = self.inflate.step(
            input,
            SLICE_MAX.saturating_sub(out.len()).max(ROOM_MIN),
            work,
        )?;
        let fresh = self.inflate.fresh();
        if let Some(sum) = &mut self.sum {
            sum.add(fresh);
        }
        out.extend_from_slice(fresh);
        if self.inflate.has_ended() {
            self.part = if self.sum.is_some() {
                Part::Trailer
            } else {
                Part::End
            };
        }
        Ok(step)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.part == Part::End
    }

    pub(super) fn memory(&self) -> usize {
        self.inflate.memory()
    }
}

fn is_zlib(first: &[u8]) -> bool {
    let (method, flags) = (number(first, 0, 1), number(first, 1, 1));
    method & 0x0f == 8 && method >> 4 <= 7 && ((method << 8) | flags).is_multiple_of(31)
}

/// The checksum of zlib (RFC 1950 §8.2).
struct Adler {
    a: u32,
    b: u32,
}

impl Default for Adler {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler {
    const BASE: u32 = 65_521;
    /// The most bytes after which no sum can exceed 2³².
    const BYTES_MAX: usize = 5552;

    fn add(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(Self::BYTES_MAX) {
            for byte in chunk {
                self.a = self.a.wrapping_add(u32::from(*byte));
                self.b = self.b.wrapping_add(self.a);
            }
            self.a %= Self::BASE;
            self.b %= Self::BASE;
        }
    }

    const fn sum(&self) -> u32 {
        self.b << 16 | self.a
    }
}
