//! Decodes the content encodings of a body as a stream (RFC 9110 §8.4).
//!
//! Every encoding is a stage that works in steps: each takes some of its input, puts out at most
//! [`SLICE_MAX`] bytes, and counts its work (decision 0020). The caller decides when a stage
//! continues.
//!
//! An open decoder holds:
//!
//! | encoding | most memory | part of it for the window |
//! |---|---|---|
//! | `gzip`, `deflate` | 60 KiB | 48 KiB |
//! | `br` | 20 MiB, 28 MiB while the window grows | 16 MiB |
//! | `zstd` | 11 MiB, 15 MiB while the window grows | 8 MiB (RFC 9659) |
//!
//! All windows grow with the declared or decoded size, so a small body needs little memory.

mod brotli;
mod deflate;
mod encodings;
mod gather;
mod gzip;
mod inflate;
mod zstd;

pub use encodings::{ENCODINGS_MAX, Encoding, Encodings, Unsupported};
pub(crate) use gather::{count, gather, gather_record, number, take};
pub(crate) use gzip::Gzip;
pub use gzip::is_gzip;
pub(crate) use inflate::{Inflate, ROOM_MIN};

use super::work::Work;
pub use zstd::WINDOW_MAX as ZSTD_WINDOW_MAX;

/// The most bytes that one step puts out.
pub const SLICE_MAX: usize = 16 * 1024;

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The content does not match its format, or it ends too soon.
    Malformed,
    /// The content decodes to more bytes than the limit.
    Over,
    /// The content uses a feature that cannot be measured as a stream.
    Unsupported,
}

impl Breach {
    /// All breaches.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::Over, Self::Unsupported];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Over => "over",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Whether the first bytes of a body show a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatMatch {
    /// The body has that format.
    Yes,
    /// The body has another format.
    No,
    /// There are too few bytes to decide.
    Incomplete,
}

/// Compares the beginning of a body with `magic`.
pub(crate) fn match_magic(first: &[u8], magic: &[u8]) -> FormatMatch {
    if first.starts_with(magic) {
        FormatMatch::Yes
    } else if magic.starts_with(first) {
        FormatMatch::Incomplete
    } else {
        FormatMatch::No
    }
}

/// Receives decoded bytes, at most [`SLICE_MAX`] at a time.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Breach>;

/// The needs of a stage before it can continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More input.
    NeedsInput,
    /// Another step.
    Continue,
}

/// Decodes one encoding.
pub(crate) enum Codec {
    Identity,
    Gzip(Gzip),
    Deflate(deflate::Deflate),
    Brotli(brotli::Brotli),
    Zstd(zstd::Zstd),
}

/// The work of copying a byte unchanged.
const IDENTITY_BYTE: u64 = 1;

/// Adds the decoded bytes to `total`.
///
/// # Errors
/// [`Breach::Over`] if they exceed `limit`.
pub(crate) fn count_up(total: &mut u64, decoded: &[u8], limit: u64) -> Result<(), Breach> {
    *total = total.saturating_add(count(decoded));
    if *total > limit {
        Err(Breach::Over)
    } else {
        Ok(())
    }
}

impl Codec {
    /// Decodes an encoding to at most `limit` bytes. A window is not allocated before the first
    /// byte.
    pub(crate) fn new(encoding: Encoding, limit: u64) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(Gzip::default()),
            Encoding::Deflate => Self::Deflate(deflate::Deflate::default()),
            Encoding::Brotli => Self::Brotli(brotli::Brotli::new(limit)),
            Encoding::Zstd => Self::Zstd(zstd::Zstd::default()),
        }
    }

    /// Takes as much of `input` as it can, and appends the decoded bytes to `out`, which is empty.
    ///
    /// # Errors
    /// The breach, now and on every later call.
    pub(crate) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        work: &mut Work,
    ) -> Result<Step, Breach> {
        match self {
            Self::Identity => {
                let taken = take(input, SLICE_MAX as u64);
                out.extend_from_slice(taken);
                work.add_bytes(taken.len(), IDENTITY_BYTE);
                Ok(Step::NeedsInput)
            }
            Self::Gzip(gzip) => gzip.step(input, out, work),
            Self::Deflate(deflate) => deflate.step(input, out, work),
            Self::Brotli(brotli) => brotli.step(input, out, work),
            Self::Zstd(zstd) => zstd.step(input, out, work),
        }
    }

    /// Whether the stream is complete.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Identity => true,
            Self::Gzip(gzip) => gzip.is_whole(),
            Self::Deflate(deflate) => deflate.is_whole(),
            Self::Brotli(brotli) => brotli.is_whole(),
            Self::Zstd(zstd) => zstd.is_whole(),
        }
    }

    /// The memory that it holds, approximately, in bytes.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip(gzip) => gzip.memory(),
            Self::Deflate(deflate) => deflate.memory(),
            Self::Brotli(brotli) => brotli.memory(),
            Self::Zstd(zstd) => zstd.memory(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
