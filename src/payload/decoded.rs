//! What a body amounts to once everything is unpacked: its content encodings, then the archive or the
//! gzip file that it is.
//!
//! ```text
//! chunk ─▶ content encodings ─▶ first bytes? ─┬▶ PK…   ZIP: the sum of its entries
//!                                             ├▶ 1f 8b gzip file: what it inflates to
//!                                             └▶ else: the bytes themselves
//! ```
//!
//! One limit holds for what comes out of each of these steps, so none of them hides another. One
//! format is looked into, and one level of it: an archive within an archive, or a gzip file within a
//! gzip file, counts as the bytes it is. Who sends those as content encodings is measured all the way.

use super::decode::{Breach, Decoder, Encodings, Gzip, SLICE_MAX, Sniff, count_up, gather, is_gzip};
use super::zip::{Zip, is_zip};

/// The most first bytes that tell a format.
const FIRST_BYTES: usize = 4;

/// Whether the formats of files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// A ZIP archive and a gzip file are what they unpack to.
    Unpack,
    /// They are the bytes they are.
    Leave,
}

/// Measures one body.
pub struct DecodedSize {
    decoder: Decoder,
    content: Content,
}

/// The body without its content encodings.
struct Content {
    format: Format,
    limit: u64,
    seed: [u8; 16],
    /// What a gzip file inflated to.
    inflated: u64,
    broken: Option<Breach>,
}

enum Format {
    /// Not known before more bytes than these.
    Open(Vec<u8>),
    Plain,
    Gzip(Box<Gzip>),
    Zip(Box<Zip>),
}

impl DecodedSize {
    /// Measures a body of which no step may give more than `limit` bytes. The `seed` is a secret, as in
    /// [`Zip::new`].
    #[must_use]
    pub fn new(encodings: &Encodings, files: Files, limit: u64, seed: [u8; 16]) -> Self {
        let format = match files {
            Files::Unpack => Format::Open(Vec::new()),
            Files::Leave => Format::Plain,
        };
        let content = Content { format, limit, seed, inflated: 0, broken: None };
        Self { decoder: Decoder::new(encodings, limit), content }
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// Why it is refused, then and ever after.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Breach> {
        self.feed_through(chunk, &mut |_| Ok(()))
    }

    /// The same, and gives `sink` the body without its content encodings.
    ///
    /// # Errors
    /// The same, or what `sink` returned.
    pub fn feed_through<E: From<Breach>>(
        &mut self,
        chunk: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let content = &mut self.content;
        content.check()?;
        self.decoder.feed(chunk, &mut |decoded| {
            let fed = content.feed(decoded);
            content.broken = fed.err();
            fed?;
            sink(decoded)
        })
    }

    /// The size, once the body has ended.
    ///
    /// # Errors
    /// [`Breach::Malformed`] where it ended too soon, else why it was refused before.
    pub fn finish(&self) -> Result<u64, Breach> {
        self.content.check()?;
        self.decoder.finish()?;
        match &self.content.format {
            Format::Gzip(gzip) if !gzip.is_whole() => return Err(Breach::Malformed),
            Format::Zip(zip) => {
                zip.finish()?;
            }
            Format::Open(_) | Format::Plain | Format::Gzip(_) => {}
        }
        Ok(self.bytes())
    }

    /// The most bytes that any step gave so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let unpacked = match &self.content.format {
            Format::Open(_) | Format::Plain => 0,
            Format::Gzip(_) => self.content.inflated,
            Format::Zip(zip) => zip.bytes(),
        };
        self.decoder.bytes().max(unpacked)
    }
}

impl Content {
    fn check(&self) -> Result<(), Breach> {
        self.broken.map_or(Ok(()), Err)
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Breach> {
        debug_assert!(bytes.len() <= SLICE_MAX, "{}", bytes.len());
        if let Format::Open(first) = &mut self.format {
            let whole = gather(first, &mut bytes, FIRST_BYTES);
            let format = match (is_zip(first), is_gzip(first)) {
                (Sniff::Yes, _) => Format::Zip(Box::new(Zip::new(self.limit, self.seed))),
                (_, Sniff::Yes) => Format::Gzip(Box::default()),
                (Sniff::More, _) | (_, Sniff::More) if !whole => return Ok(()),
                _ => Format::Plain,
            };
            let first = std::mem::take(first);
            self.format = format;
            self.unpack(&first)?;
        }
        self.unpack(bytes)
    }

    fn unpack(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        match &mut self.format {
            Format::Open(_) | Format::Plain => Ok(()),
            Format::Zip(zip) => zip.feed(bytes),
            Format::Gzip(gzip) => {
                let (total, limit) = (&mut self.inflated, self.limit);
                gzip.feed(bytes, &mut |inflated| count_up(total, inflated, limit))
            }
        }
    }
}

#[cfg(test)]
mod tests;
