//! DEFLATE (RFC 1951), with or without the frame of zlib (RFC 1950): what gzip, `deflate` and ZIP share.

use miniz_oxide::inflate::TINFLStatus as Status;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{DecompressorOxide, TINFL_LZ_DICT_SIZE, decompress};

use super::{Breach, SLICE_MAX, Sink};

const _: () = assert!(TINFL_LZ_DICT_SIZE == SLICE_MAX, "what is decoded leaves in slices of the window");

/// One deflated stream after the other, over one window that decoded bytes leave as they come in.
pub(crate) struct Inflate {
    state: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Where the next byte is put.
    at: usize,
    flags: u32,
    has_ended: bool,
}

impl Inflate {
    /// A stream without a frame.
    pub(crate) fn raw() -> Self {
        Self::new(TINFL_FLAG_IGNORE_ADLER32)
    }

    /// A stream within the frame of zlib, whose checksum must be right.
    pub(crate) fn zlib() -> Self {
        Self::new(TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_COMPUTE_ADLER32)
    }

    fn new(flags: u32) -> Self {
        let window = vec![0; TINFL_LZ_DICT_SIZE].into_boxed_slice();
        Self { state: Box::default(), window, at: 0, flags: flags | TINFL_FLAG_HAS_MORE_INPUT, has_ended: false }
    }

    /// Whether the stream has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Begins the next stream.
    pub(crate) fn restart(&mut self) {
        self.state.init();
        self.at = 0;
        self.has_ended = false;
    }

    /// Inflates `input` into `sink`; returns what is behind the end of the stream.
    ///
    /// # Errors
    /// [`Breach::Malformed`] where it is no such stream, else what `sink` returned.
    pub(crate) fn feed<'i>(&mut self, mut input: &'i [u8], sink: Sink<'_>) -> Result<&'i [u8], Breach> {
        while !self.has_ended {
            let (status, read, written) = decompress(&mut self.state, input, &mut self.window, self.at, self.flags);
            let end = self.at.saturating_add(written);
            if written > 0 {
                sink(self.window.get(self.at..end).ok_or(Breach::Malformed)?)?;
            }
            // At its end the window begins anew.
            self.at = if end < self.window.len() { end } else { 0 };
            input = input.get(read..).ok_or(Breach::Malformed)?;
            if status == Status::Done {
                self.has_ended = true;
            } else if status == Status::NeedsMoreInput {
                return Ok(input);
            } else if status != Status::HasMoreOutput || written == 0 {
                return Err(Breach::Malformed);
            }
        }
        Ok(input)
    }
}
