//! Zstandard (RFC 8878): a series of frames, with skippable ones between them.
//!
//! The library decodes one complete block at a time, so this decoder gathers a header or a block
//! (at most 128 KiB) and passes it on. Decoded bytes stay in the library's window until it has
//! moved past them: they are output late, by at most [`WINDOW_MAX`], and the rest at the end of the
//! frame.

use std::io::Read as _;

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

mod cost;

use super::{Breach, SLICE_MAX, Step, count, gather_record, number, take};
use crate::payload::work::Work;

/// The largest window of a frame. RFC 9659 §3 forbids larger ones than 8 MB in the content encoding
/// `zstd`.
pub const WINDOW_MAX: u64 = 8 * 1024 * 1024;

const MAGIC: u64 = 0xfd2f_b528;
const SKIPPABLE: u64 = 0x184d_2a50;
const BLOCK_MAX: u64 = 128 * 1024;
const BLOCK_HEADER_BYTES: usize = 3;
const CHECKSUM_BYTES: usize = 4;
const RAW: u64 = 0;
const RUN: u64 = 1;
const COMPRESSED: u64 = 2;

/// A series of frames.
#[derive(Default)]
pub(crate) struct Zstd {
    part: Part,
    /// The bytes of a header or block that is not complete yet.
    held: Vec<u8>,
    /// The size that the frame declares.
    declared: Option<u64>,
    has_checksum: bool,
    /// Bytes decoded from the frame so far.
    bytes: u64,
    frames: Option<Box<FrameDecoder>>,
    /// Whether the last block is decoded, and the end of the frame waits for the rest of the
    /// window.
    is_ending: bool,
    /// The window of the frame.
    window: usize,
    /// The most bytes that it had to keep at one time.
    kept_max: usize,
}

/// The part of the series that contains the next byte.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Header,
    Skipped {
        left: u64,
    },
    Block,
    /// The block is complete, and its cost is counted.
    Whole,
}

impl Zstd {
    pub(super) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        loop {
            if !self.drain(out, work)? || work.is_due() {
                return Ok(Step::Continue);
            }
            if self.part == Part::Whole {
                self.block()?;
                continue;
            }
            if input.is_empty() {
                return Ok(Step::NeedsInput);
            }
            match self.part {
                Part::Header => {
                    if gather_record(&mut self.held, input, header_bytes)? {
                        self.open(work)?;
                    }
                }
                Part::Skipped { left } => {
                    let skipped = take(input, left);
                    work.add_bytes(skipped.len(), 1);
                    self.skip(left.saturating_sub(count(skipped)));
                }
                Part::Block => {
                    let has_checksum = self.has_checksum;
                    if gather_record(&mut self.held, input, |held| {
                        block_bytes(held, has_checksum)
                    })? {
                        // Checks whether the body may cost this much, before the work is done.
                        work.add(cost::of_block(&self.held));
                        if self.bytes == 0 {
                            // The window fills without output that would be counted.
                            let window = u64::try_from(self.window).unwrap_or(u64::MAX);
                            work.add_to_slice(cost::of_window(&self.held, window));
                        }
                        self.part = Part::Whole;
                        return Ok(Step::Continue);
                    }
                }
                Part::Whole => {}
            }
        }
    }

    pub(super) fn memory(&self) -> usize {
        let of_frames = self
            .frames
            .as_ref()
            .map_or(0, |_| cost::memory(self.kept_max));
        self.held.capacity().saturating_add(of_frames)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.part == Part::Header && self.held.is_empty()
    }

    fn skip(&mut self, left: u64) {
        self.part = if left > 0 {
            Part::Skipped { left }
        } else {
            Part::Header
        };
    }

    /// Begins the frame whose header is complete.
    fn open(&mut self, work: &mut Work) -> Result<(), Breach> {
        work.add(cost::FRAME);
        let held = std::mem::take(&mut self.held);
        if number(&held, 0, 4) & !0xf == SKIPPABLE {
            self.skip(number(&held, 4, 4));
            return Ok(());
        }
        let descriptor = Descriptor::of(&held);
        if descriptor.reserved {
            return Err(Breach::Malformed);
        }
        // The library reserves the whole window for each frame except the first.
        let window = descriptor.window(&held);
        if window > cost::WINDOW_SMALL || self.frames.is_none() {
            let mut frames = Box::new(FrameDecoder::new());
            frames.set_max_window_size(WINDOW_MAX);
            self.frames = Some(frames);
            self.kept_max = 0;
        } else {
            self.kept_max = self
                .kept_max
                .max(usize::try_from(window).unwrap_or(usize::MAX));
        }
        self.window = usize::try_from(window).unwrap_or(usize::MAX);
        let frames = self.frames.as_mut().ok_or(Breach::Malformed)?;
        frames
            .reset(held.as_slice())
            .map_err(|error| breach(&error))?;
        self.declared = (descriptor.size_bytes > 0).then(|| frames.content_size());
        self.has_checksum = descriptor.checksum;
        self.bytes = 0;
        self.part = Part::Block;
        Ok(())
    }

    /// Decodes the complete block.
    fn block(&mut self) -> Result<(), Breach> {
        let frames = self.frames.as_mut().ok_or(Breach::Malformed)?;
        self.is_ending = is_last(&self.held);
        frames
            .decode_blocks(self.held.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|error| breach(&error))?;
        self.part = Part::Block;
        self.held.clear();
        if self.held.capacity() > cost::HELD_KEPT {
            self.held = Vec::new();
        }
        Ok(())
    }

    /// Moves bytes out of the library's window; returns whether it has moved all of them.
    fn drain(&mut self, out: &mut Vec<u8>, work: &mut Work) -> Result<bool, Breach> {
        let Some(frames) = &mut self.frames else {
            return Ok(true);
        };
        let there = frames.can_collect();
        if there > 0 {
            self.kept_max = self.kept_max.max(there.saturating_add(self.window));
            let start = out.len();
            let room = SLICE_MAX.saturating_sub(start).min(there);
            out.resize(start.saturating_add(room), 0);
            let room = out.get_mut(start..).unwrap_or_default();
            let read = frames.read(room).map_err(|_| Breach::Malformed)?;
            out.truncate(start.saturating_add(read));
            work.add_bytes(read, cost::BYTE_OUT);
            self.bytes = self.bytes.saturating_add(read as u64);
            if read < there {
                return Ok(false);
            }
        }
        if self.is_ending {
            self.is_ending = false;
            let wrong_size = self.declared.is_some_and(|declared| declared != self.bytes);
            let sum = frames.get_checksum_from_data();
            if wrong_size || (self.has_checksum && sum != frames.get_calculated_checksum()) {
                return Err(Breach::Malformed);
            }
            self.part = Part::Header;
        }
        Ok(true)
    }
}

/// The first byte after the magic number.
struct Descriptor {
    checksum: bool,
    /// §3.1.1.1.1.4: "it must be zero".
    reserved: bool,
    /// The length of the rest of the header.
    rest_bytes: usize,
    /// The length of the frame's declared size in it.
    size_bytes: usize,
    /// The length of the window's size, which precedes it.
    window_bytes: usize,
}

impl Descriptor {
    fn of(header: &[u8]) -> Self {
        let byte = number(header, 4, 1);
        let single_segment = byte & 0b10_0000 != 0;
        let size_bytes = match byte >> 6 {
            0 => usize::from(single_segment),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let dictionary_bytes = match byte & 3 {
            3 => 4_usize,
            2 => 2,
            short => usize::from(short == 1),
        };
        let window_bytes = usize::from(!single_segment);
        let rest_bytes = window_bytes
            .saturating_add(dictionary_bytes)
            .saturating_add(size_bytes);
        Self {
            checksum: byte & 0b100 != 0,
            reserved: byte & 0b1000 != 0,
            rest_bytes,
            size_bytes,
            window_bytes,
        }
    }

    /// The window of a frame with this header (§3.1.1.1.2).
    fn window(&self, header: &[u8]) -> u64 {
        if self.window_bytes == 0 {
            let at = 5_usize
                .saturating_add(self.rest_bytes)
                .saturating_sub(self.size_bytes);
            let size = number(header, at, self.size_bytes);
            return if self.size_bytes == 2 {
                size.saturating_add(256)
            } else {
                size
            };
        }
        let byte = number(header, 5, 1);
        let base = 1_u64 << (10_u64.saturating_add(byte >> 3));
        base.saturating_add((base >> 3).saturating_mul(byte & 7))
    }
}

/// The length of a frame's header, as far as the bytes held determine it.
fn header_bytes(held: &[u8]) -> Result<usize, Breach> {
    match number(held, 0, 4) {
        _ if held.len() < 4 => Ok(4),
        magic if magic & !0xf == SKIPPABLE => Ok(8),
        MAGIC if held.len() < 5 => Ok(5),
        MAGIC => Ok(Descriptor::of(held).rest_bytes.saturating_add(5)),
        _ => Err(Breach::Malformed),
    }
}

/// The length of a block with its header, and with the checksum after the frame's last block, as
/// far as the bytes held determine it.
fn block_bytes(held: &[u8], has_checksum: bool) -> Result<usize, Breach> {
    if held.len() < BLOCK_HEADER_BYTES {
        return Ok(BLOCK_HEADER_BYTES);
    }
    let header = number(held, 0, BLOCK_HEADER_BYTES);
    let (kind, size) = ((header >> 1) & 3, header >> 3);
    if size > BLOCK_MAX || ![RAW, RUN, COMPRESSED].contains(&kind) {
        return Err(Breach::Malformed);
    }
    let content =
        usize::try_from(if kind == RUN { 1 } else { size }).map_err(|_| Breach::Malformed)?;
    let checksum = if is_last(held) && has_checksum {
        CHECKSUM_BYTES
    } else {
        0
    };
    Ok(BLOCK_HEADER_BYTES
        .saturating_add(content)
        .saturating_add(checksum))
}

fn is_last(block: &[u8]) -> bool {
    number(block, 0, 1) & 1 == 1
}

fn breach(error: &FrameDecoderError) -> Breach {
    if matches!(
        error,
        FrameDecoderError::WindowSizeTooBig { .. } | FrameDecoderError::DictNotProvided { .. }
    ) {
        Breach::Unsupported
    } else {
        Breach::Malformed
    }
}
