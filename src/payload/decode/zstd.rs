//! Zstandard (RFC 8878): frames, one behind the other, and skippable ones between them.
//!
//! The library decodes a block at a time out of bytes that are all there, so this gathers one header
//! or one block (128 KiB at most) and hands it over. Decoded bytes stay in the library's window until
//! that has moved past them: a sink sees them late, by [`WINDOW_MAX`] at most, and the rest at the
//! frame's end.

use std::io::{Error, ErrorKind, Write};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Breach, SLICE_MAX, Sink, count, gather_record, number, take};

/// The largest window of a frame. RFC 9659 §3: with a larger one than 8 MB, a stream must not be sent as
/// the content encoding `zstd`.
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
pub(super) struct Zstd {
    part: Part,
    /// The bytes of the header or the block, while it is not whole.
    held: Vec<u8>,
    /// What the frame says it decodes to.
    declared: Option<u64>,
    has_checksum: bool,
    /// What the frame has decoded to so far.
    bytes: u64,
    frames: Option<Box<FrameDecoder>>,
}

/// The part of the series that the next byte is in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Header,
    Skipped {
        left: u64,
    },
    Block,
}

impl Zstd {
    pub(super) fn feed(&mut self, mut input: &[u8], sink: Sink<'_>) -> Result<(), Breach> {
        while !input.is_empty() {
            match self.part {
                Part::Header => {
                    if gather_record(&mut self.held, &mut input, header_bytes)? {
                        self.open()?;
                    }
                }
                Part::Skipped { left } => {
                    let skipped = take(&mut input, left);
                    self.skip(left.saturating_sub(count(skipped)));
                }
                Part::Block => {
                    let has_checksum = self.has_checksum;
                    if gather_record(&mut self.held, &mut input, |held| block_bytes(held, has_checksum))? {
                        self.block(sink)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the last frame is complete.
    pub(super) fn is_whole(&self) -> bool {
        self.part == Part::Header && self.held.is_empty()
    }

    fn skip(&mut self, left: u64) {
        self.part = if left > 0 { Part::Skipped { left } } else { Part::Header };
    }

    /// Begins the frame whose header is held.
    fn open(&mut self) -> Result<(), Breach> {
        let held = std::mem::take(&mut self.held);
        if number(&held, 0, 4) & !0xf == SKIPPABLE {
            self.skip(number(&held, 4, 4));
            return Ok(());
        }
        let descriptor = Descriptor::of(&held);
        if descriptor.reserved {
            return Err(Breach::Malformed);
        }
        let frames = self.frames.get_or_insert_with(|| {
            let mut frames = Box::new(FrameDecoder::new());
            frames.set_max_window_size(WINDOW_MAX);
            frames
        });
        frames.reset(held.as_slice()).map_err(|error| breach(&error))?;
        self.declared = (descriptor.size_bytes > 0).then(|| frames.content_size());
        self.has_checksum = descriptor.checksum;
        self.bytes = 0;
        self.part = Part::Block;
        Ok(())
    }

    /// Decodes the block that is held.
    fn block(&mut self, sink: Sink<'_>) -> Result<(), Breach> {
        let frames = self.frames.as_mut().ok_or(Breach::Malformed)?;
        let last = is_last(&self.held);
        frames
            .decode_blocks(self.held.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|error| breach(&error))?;
        self.held.clear();
        let mut outlet = Outlet { sink, breach: None, bytes: self.bytes };
        let drained = frames.collect_to_writer(&mut outlet);
        self.bytes = outlet.bytes;
        if let Some(breach) = outlet.breach {
            return Err(breach);
        }
        drained.map_err(|_| Breach::Malformed)?;
        if last {
            let wrong_size = self.declared.is_some_and(|declared| declared != self.bytes);
            let sum = frames.get_checksum_from_data();
            if wrong_size || (self.has_checksum && sum != frames.get_calculated_checksum()) {
                return Err(Breach::Malformed);
            }
            self.part = Part::Header;
        }
        Ok(())
    }
}

/// The first byte behind the magic number.
struct Descriptor {
    checksum: bool,
    /// §3.1.1.1.1.4: "it must be zero".
    reserved: bool,
    /// How long the rest of the header is.
    rest_bytes: usize,
    /// How long the frame's declared size is in it.
    size_bytes: usize,
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
        let rest_bytes = window_bytes.saturating_add(dictionary_bytes).saturating_add(size_bytes);
        Self { checksum: byte & 0b100 != 0, reserved: byte & 0b1000 != 0, rest_bytes, size_bytes }
    }
}

/// How many bytes a frame's header has, as far as what is held of it tells.
fn header_bytes(held: &[u8]) -> Result<usize, Breach> {
    match number(held, 0, 4) {
        _ if held.len() < 4 => Ok(4),
        magic if magic & !0xf == SKIPPABLE => Ok(8),
        MAGIC if held.len() < 5 => Ok(5),
        MAGIC => Ok(Descriptor::of(held).rest_bytes.saturating_add(5)),
        _ => Err(Breach::Malformed),
    }
}

/// How many bytes a block has with its header, and with the checksum behind the frame's last one, as
/// far as what is held of it tells.
fn block_bytes(held: &[u8], has_checksum: bool) -> Result<usize, Breach> {
    if held.len() < BLOCK_HEADER_BYTES {
        return Ok(BLOCK_HEADER_BYTES);
    }
    let header = number(held, 0, BLOCK_HEADER_BYTES);
    let (kind, size) = ((header >> 1) & 3, header >> 3);
    if size > BLOCK_MAX || ![RAW, RUN, COMPRESSED].contains(&kind) {
        return Err(Breach::Malformed);
    }
    let content = usize::try_from(if kind == RUN { 1 } else { size }).map_err(|_| Breach::Malformed)?;
    let checksum = if is_last(held) && has_checksum { CHECKSUM_BYTES } else { 0 };
    Ok(BLOCK_HEADER_BYTES.saturating_add(content).saturating_add(checksum))
}

fn is_last(block: &[u8]) -> bool {
    number(block, 0, 1) & 1 == 1
}

fn breach(error: &FrameDecoderError) -> Breach {
    if matches!(error, FrameDecoderError::WindowSizeTooBig { .. } | FrameDecoderError::DictNotProvided { .. }) {
        Breach::Unsupported
    } else {
        Breach::Malformed
    }
}

/// Takes what the library drains out of its window.
struct Outlet<'s> {
    sink: Sink<'s>,
    breach: Option<Breach>,
    bytes: u64,
}

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let slice = bytes.get(..SLICE_MAX).unwrap_or(bytes);
        if let Err(breach) = (self.sink)(slice) {
            self.breach = Some(breach);
            return Err(Error::from(ErrorKind::Other));
        }
        self.bytes = self.bytes.saturating_add(count(slice));
        Ok(slice.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
