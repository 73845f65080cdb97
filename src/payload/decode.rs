//! A body without its content encodings, as a stream (RFC 9110 §8.4).
//!
//! ```text
//! Content-Encoding: gzip, br          the last one applied is the first to come off
//!
//! chunk ─▶ br ─▶ count ─▶ gzip ─▶ count ─▶ sink
//!                  └─ over the limit? ─┘
//! ```
//!
//! No stage collects what it decodes: bytes go on in slices of [`SLICE_MAX`] at most, and what comes
//! out of **every** stage is counted against the limit. So neither a bomb within a bomb nor a huge
//! stream that decodes to nothing costs more than the limit allows, once per stage.
//!
//! What an open stage holds, at most (decision 0015):
//!
//! | encoding | memory | of which the window |
//! |---|---|---|
//! | `gzip`, `deflate` | 44 KiB | 32 KiB |
//! | `br` | 20 MiB, 28 MiB while the window grows | 16 MiB |
//! | `zstd` | 11 MiB, 15 MiB while the window grows | 8 MiB (RFC 9659) |
//!
//! The windows of `br` and `zstd` grow with what is declared or decoded, so a small body needs little.

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
pub(crate) use inflate::Inflate;
pub use zstd::WINDOW_MAX as ZSTD_WINDOW_MAX;

/// The most bytes that a sink is given at once.
pub const SLICE_MAX: usize = 32 * 1024;

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

/// Takes the content encodings off one body.
pub struct Decoder {
    /// From the encoding that was applied last to the one that was applied first; never empty.
    stages: Vec<Stage>,
    limit: u64,
    broken: Option<Breach>,
}

/// One encoding.
struct Stage {
    codec: Codec,
    /// Whether it was given any byte.
    begun: bool,
    /// Bytes that came out.
    bytes: u64,
}

enum Codec {
    Identity,
    Gzip(Gzip),
    Deflate(deflate::Deflate),
    Brotli(brotli::Brotli),
    Zstd(zstd::Zstd),
}

impl Decoder {
    /// A decoder for a body that no stage of which may decode to more than `limit` bytes. Nothing is
    /// allocated for a window before the body's first byte.
    #[must_use]
    pub fn new(encodings: &Encodings, limit: u64) -> Self {
        let stage = |codec: Codec| Stage { codec, begun: false, bytes: 0 };
        let mut stages: Vec<Stage> = encodings.applied().iter().rev().map(|one| stage(Codec::new(*one))).collect();
        if stages.is_empty() {
            stages.push(stage(Codec::Identity));
        }
        Self { stages, limit, broken: None }
    }

    /// Decodes the next bytes of the body into `sink`, which may stop the body with an error of its
    /// own. A decoder that failed decodes nothing any more.
    ///
    /// # Errors
    /// What the body breaches, or what `sink` returned.
    pub fn feed<E: From<Breach>>(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(breach) = self.broken {
            return Err(breach.into());
        }
        let mut stopped = None;
        let mut guarded = |bytes: &[u8]| {
            sink(bytes).map_err(|error| {
                stopped = Some(error);
                Breach::Malformed
            })
        };
        let fed = push(&mut self.stages, self.limit, chunk, &mut guarded);
        self.broken = fed.err();
        match (stopped, fed) {
            (Some(error), _) => Err(error),
            (None, fed) => fed.map_err(E::from),
        }
    }

    /// Whether the body ended whole. One without any byte did, whatever its encodings.
    ///
    /// # Errors
    /// [`Breach::Malformed`] where the stream of some encoding is cut short, else what broke it before.
    pub fn finish(&self) -> Result<(), Breach> {
        let whole = self.stages.iter().all(|stage| !stage.begun || stage.codec.is_whole());
        self.broken.map_or(if whole { Ok(()) } else { Err(Breach::Malformed) }, Err)
    }

    /// The most bytes that came out of any stage so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stages.iter().map(|stage| stage.bytes).max().unwrap_or_default()
    }
}

/// Sends `bytes` through `stages` into `sink`, and counts what comes out of each.
fn push(stages: &mut [Stage], limit: u64, bytes: &[u8], sink: Sink<'_>) -> Result<(), Breach> {
    let Some((stage, rest)) = stages.split_first_mut() else { return sink(bytes) };
    if bytes.is_empty() {
        return Ok(());
    }
    stage.begun = true;
    let total = &mut stage.bytes;
    stage.codec.feed(bytes, &mut |decoded| {
        count_up(total, decoded, limit)?;
        push(rest, limit, decoded, sink)
    })
}

/// Adds what was decoded to `total`.
///
/// # Errors
/// [`Breach::Over`] from the first byte over `limit`.
pub(crate) fn count_up(total: &mut u64, decoded: &[u8], limit: u64) -> Result<(), Breach> {
    *total = total.saturating_add(count(decoded));
    if *total > limit { Err(Breach::Over) } else { Ok(()) }
}

impl Codec {
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(Gzip::default()),
            Encoding::Deflate => Self::Deflate(deflate::Deflate::default()),
            Encoding::Brotli => Self::Brotli(brotli::Brotli::default()),
            Encoding::Zstd => Self::Zstd(zstd::Zstd::default()),
        }
    }

    fn feed(&mut self, bytes: &[u8], sink: Sink<'_>) -> Result<(), Breach> {
        match self {
            Self::Identity => bytes.chunks(SLICE_MAX).try_for_each(sink),
            Self::Gzip(gzip) => gzip.feed(bytes, sink),
            Self::Deflate(deflate) => deflate.feed(bytes, sink),
            Self::Brotli(brotli) => brotli.feed(bytes, sink),
            Self::Zstd(zstd) => zstd.feed(bytes, sink),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Identity => true,
            Self::Gzip(gzip) => gzip.is_whole(),
            Self::Deflate(deflate) => deflate.is_whole(),
            Self::Brotli(brotli) => brotli.is_whole(),
            Self::Zstd(zstd) => zstd.is_whole(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
