//! A body without its content encodings, as a stream (RFC 9110 §8.4).
//!
//! Every encoding is a stage that works in steps: it takes some of what it was given, puts out a slice
//! of [`SLICE_MAX`] at most, and counts the work (decision 0020). What is behind it decides when it goes on.
//!
//! What an open one holds:
//!
//! | encoding | memory, at most | of which the window |
//! |---|---|---|
//! | `gzip`, `deflate` | 60 KiB | 48 KiB |
//! | `br` | 20 MiB, 28 MiB while the window grows | 16 MiB |
//! | `zstd` | 11 MiB, 15 MiB while the window grows | 8 MiB (RFC 9659) |
//!
//! All windows grow with what is declared or decoded, so a small body needs little.

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

/// The most bytes that come out of one step.
pub const SLICE_MAX: usize = 16 * 1024;

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It is not what it says it is, or it ended too soon.
    Malformed,
    /// It decodes to more bytes than the limit.
    Over,
    /// It uses what cannot be measured as a stream.
    Unsupported,
}

impl Breach {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::Over, Self::Unsupported];

    /// Its name, in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Over => "over",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What first bytes say of a body's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// It is that format.
    Yes,
    /// It is another.
    No,
    /// Too few bytes to tell.
    More,
}

/// Whether a body that begins with `first` begins with `magic`.
pub(crate) fn begins(first: &[u8], magic: &[u8]) -> Sniff {
    if first.starts_with(magic) {
        Sniff::Yes
    } else if magic.starts_with(first) {
        Sniff::More
    } else {
        Sniff::No
    }
}

/// Takes decoded bytes, in slices of [`SLICE_MAX`] at most.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Breach>;

/// What a stage needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More input.
    Hungry,
    /// Another step.
    More,
}

/// Takes one encoding off.
pub(crate) enum Codec {
    Identity,
    Gzip(Gzip),
    Deflate(deflate::Deflate),
    Brotli(brotli::Brotli),
    Zstd(zstd::Zstd),
}

/// The work of a byte that is passed on as it is.
const IDENTITY_BYTE: u64 = 1;

/// Adds what was decoded to `total`.
///
/// # Errors
/// [`Breach::Over`] from the first byte over `limit`.
pub(crate) fn count_up(total: &mut u64, decoded: &[u8], limit: u64) -> Result<(), Breach> {
    *total = total.saturating_add(count(decoded));
    if *total > limit { Err(Breach::Over) } else { Ok(()) }
}

impl Codec {
    /// Takes off an encoding of which `limit` bytes may come out. Nothing is allocated for a window before the
    /// first byte.
    pub(crate) fn new(encoding: Encoding, limit: u64) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(Gzip::default()),
            Encoding::Deflate => Self::Deflate(deflate::Deflate::default()),
            Encoding::Brotli => Self::Brotli(brotli::Brotli::new(limit)),
            Encoding::Zstd => Self::Zstd(zstd::Zstd::default()),
        }
    }

    /// Takes what it can off `input`, and appends what comes out to `out`, which is empty.
    ///
    /// # Errors
    /// What the stream breaches, then and ever after.
    pub(crate) fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, work: &mut Work) -> Result<Step, Breach> {
        match self {
            Self::Identity => {
                let taken = take(input, SLICE_MAX as u64);
                out.extend_from_slice(taken);
                work.add_bytes(taken.len(), IDENTITY_BYTE);
                Ok(Step::Hungry)
            }
            Self::Gzip(gzip) => gzip.step(input, out, work),
            Self::Deflate(deflate) => deflate.step(input, out, work),
            Self::Brotli(brotli) => brotli.step(input, out, work),
            Self::Zstd(zstd) => zstd.step(input, out, work),
        }
    }

    /// Whether the stream has ended with what it was given.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Identity => true,
            Self::Gzip(gzip) => gzip.is_whole(),
            Self::Deflate(deflate) => deflate.is_whole(),
            Self::Brotli(brotli) => brotli.is_whole(),
            Self::Zstd(zstd) => zstd.is_whole(),
        }
    }

    /// Bytes of memory that it holds, about.
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
