//! gzip (RFC 1952): a series of members, each a deflate stream between a header and a trailer.
//!
//! §2.2: "A gzip file consists of a series of members", and it decodes to the content of all of
//! them. Anything else after a member is malformed, including the zeros that pad tapes.

use crc32fast::Hasher;

use super::{
    Breach, FormatMatch, Inflate, ROOM_MIN, SLICE_MAX, Step, count, gather, match_magic, number,
    take,
};
use crate::payload::work::Work;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HEADER_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;

/// The work of a member in addition to its data, and of each byte of its header.
const MEMBER: u64 = 150;
const HEADER_BYTE: u64 = 3;

const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
/// §2.3.1.2: "must be zero".
const RESERVED: u8 = 0b1110_0000;

/// Whether a body that begins with `first` is a gzip file.
#[must_use]
pub fn is_gzip(first: &[u8]) -> FormatMatch {
    match_magic(first, &MAGIC)
}

/// A series of members.
#[derive(Default)]
pub(crate) struct Gzip {
    part: Part,
    /// The flags of the header's optional parts that have not been read yet.
    flags: u8,
    /// The bytes of a part of fixed length that is not complete yet.
    held: Vec<u8>,
    /// The checksum of the header until the data begins, then of the data.
    crc: Hasher,
    /// Decoded bytes of the member, modulo 2³².
    size: u32,
    inflate: Inflate,
}

/// The part of a member that contains the next byte.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Header,
    ExtraLength,
    Extra {
        left: u64,
    },
    Name,
    Comment,
    HeaderCrc,
    Data,
    Trailer,
}

impl Gzip {
    pub(crate) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        loop {
            if self.part == Part::Data {
                let room = SLICE_MAX.saturating_sub(out.len());
                if room < ROOM_MIN {
                    return Ok(Step::Continue);
                }
                let step = self.data(input, room, out, work)?;
                if self.part == Part::Data {
                    return Ok(step);
                }
            } else {
                let before = input.len();
                *input = self.frame(input, work)?;
                work.add_bytes(before.saturating_sub(input.len()), HEADER_BYTE);
            }
            if input.is_empty() {
                return Ok(Step::NeedsInput);
            }
            if work.is_due() {
                return Ok(Step::Continue);
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.inflate.memory()
    }

    /// Whether the last member is complete.
    pub(crate) fn is_whole(&self) -> bool {
        self.part == Part::Header && self.held.is_empty()
    }

    fn data(
        &mut self,
        input: &mut &[u8],
        room: usize,
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        let step = self.inflate.step(input, room, work)?;
        let fresh = self.inflate.fresh();
        self.crc.update(fresh);
        self.size = self
            .size
            .wrapping_add(u32::try_from(fresh.len()).unwrap_or_default());
        out.extend_from_slice(fresh);
        if self.inflate.has_ended() {
            self.part = Part::Trailer;
        }
        Ok(step)
    }

    /// Reads the header or the trailer; returns the input after the part.
    fn frame<'i>(&mut self, mut input: &'i [u8], work: &mut Work) -> Result<&'i [u8], Breach> {
        match self.part {
            Part::Header => {
                if gather(&mut self.held, &mut input, HEADER_BYTES) {
                    self.flags = self.held.get(3).copied().unwrap_or(RESERVED);
                    if !self.held.starts_with(&MAGIC) || self.flags & RESERVED != 0 {
                        return Err(Breach::Malformed);
                    }
                    self.hash_held();
                    self.next_part();
                }
            }
            Part::ExtraLength => {
                if gather(&mut self.held, &mut input, 2) {
                    self.part = Part::Extra {
                        left: number(&self.held, 0, 2),
                    };
                    self.hash_held();
                    self.extra(&[]);
                }
            }
            Part::Extra { .. } => input = self.extra(input),
            Part::Name | Part::Comment => {
                let end = input
                    .iter()
                    .position(|byte| *byte == 0)
                    .map(|at| at.saturating_add(1));
                let (text, rest) = input
                    .split_at_checked(end.unwrap_or(input.len()))
                    .unwrap_or((input, &[]));
                self.crc.update(text);
                if end.is_some() {
                    self.next_part();
                }
                input = rest;
            }
            Part::HeaderCrc => {
                if gather(&mut self.held, &mut input, 2) {
                    if number(&self.held, 0, 2) != u64::from(self.crc.clone().finalize() & 0xffff) {
                        return Err(Breach::Malformed);
                    }
                    self.hash_held();
                    self.next_part();
                }
            }
            Part::Data => {}
            Part::Trailer => {
                if gather(&mut self.held, &mut input, TRAILER_BYTES) {
                    self.end_member()?;
                    work.add(MEMBER);
                }
            }
        }
        Ok(input)
    }

    /// Compares the data with the trailer, and begins the next member.
    fn end_member(&mut self) -> Result<(), Breach> {
        let crc = u64::from(self.crc.clone().finalize());
        if number(&self.held, 0, 4) != crc || number(&self.held, 4, 4) != u64::from(self.size) {
            return Err(Breach::Malformed);
        }
        self.held.clear();
        self.part = Part::Header;
        self.crc.reset();
        self.size = 0;
        Ok(())
    }

    fn extra<'i>(&mut self, mut input: &'i [u8]) -> &'i [u8] {
        let Part::Extra { left } = self.part else {
            return input;
        };
        let taken = take(&mut input, left);
        self.crc.update(taken);
        let left = left.saturating_sub(count(taken));
        self.part = Part::Extra { left };
        if left == 0 {
            self.next_part();
        }
        input
    }

    fn hash_held(&mut self) {
        self.crc.update(&self.held);
        self.held.clear();
    }

    /// Advances to the next part of the header that the flags announce, or to the data.
    fn next_part(&mut self) {
        let optional = [
            (HAS_EXTRA, Part::ExtraLength),
            (HAS_NAME, Part::Name),
            (HAS_COMMENT, Part::Comment),
            (HAS_HEADER_CRC, Part::HeaderCrc),
        ];
        if let Some((flag, part)) = optional
            .into_iter()
            .find(|(flag, _)| self.flags & flag != 0)
        {
            self.flags &= !flag;
            self.part = part;
        } else {
            self.part = Part::Data;
            self.crc.reset();
            self.inflate.restart();
        }
    }
}
