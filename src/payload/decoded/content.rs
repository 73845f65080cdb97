//! The decoded body: an archive, a gzip file, or neither.

use super::Files;
use crate::payload::decode::{Breach, FormatMatch, Gzip, Step, count, count_up, gather, is_gzip};
use crate::payload::work::Work;
use crate::payload::zip::{Zip, is_zip};

/// The most bytes needed to identify a format.
const FIRST_BYTES: usize = 4;

/// Unpacks the format that the first bytes identify.
pub(super) struct Content {
    format: Format,
    limit: u64,
    seed: [u8; 16],
    /// Bytes that the gzip file inflated to.
    inflated: u64,
}

enum Format {
    /// Not known yet; these are the bytes so far.
    Open(Vec<u8>),
    Plain,
    Gzip(Box<Gzip>),
    Zip(Box<Zip>),
}

impl Content {
    pub(super) fn new(files: Files, limit: u64, seed: [u8; 16]) -> Self {
        let format = match files {
            Files::Unpack => Format::Open(Vec::new()),
            Files::Leave => Format::Plain,
        };
        Self {
            format,
            limit,
            seed,
            inflated: 0,
        }
    }

    /// Takes as much of `input` as it can.
    pub(super) fn step(&mut self, input: &mut &[u8], work: &mut Work) -> Result<Step, Breach> {
        if let Format::Open(first) = &mut self.format {
            let whole = gather(first, input, FIRST_BYTES);
            let format = match (is_zip(first), is_gzip(first)) {
                (FormatMatch::Yes, _) => Format::Zip(Box::new(Zip::new(self.limit, self.seed))),
                (_, FormatMatch::Yes) => Format::Gzip(Box::default()),
                (FormatMatch::Incomplete, _) | (_, FormatMatch::Incomplete) if !whole => {
                    return Ok(Step::NeedsInput);
                }
                _ => Format::Plain,
            };
            let first = std::mem::take(first);
            self.format = format;
            // A header of four bytes: all of them are taken.
            self.unpack(&mut first.as_slice(), work)?;
        }
        self.unpack(input, work)
    }

    fn unpack(&mut self, input: &mut &[u8], work: &mut Work) -> Result<Step, Breach> {
        match &mut self.format {
            Format::Open(_) | Format::Plain => {
                *input = &[];
                Ok(Step::NeedsInput)
            }
            Format::Zip(zip) => zip.step(input, work),
            Format::Gzip(gzip) => {
                let mut out = Vec::new();
                let step = gzip.step(input, &mut out, work)?;
                count_up(&mut self.inflated, &out, self.limit)?;
                Ok(step)
            }
        }
    }

    /// Whether the archive or the gzip file is complete.
    pub(super) fn finish(&self) -> Result<(), Breach> {
        match &self.format {
            Format::Gzip(gzip) if !gzip.is_whole() => Err(Breach::Malformed),
            Format::Zip(zip) => zip.finish().map(|_| ()),
            Format::Open(_) | Format::Plain | Format::Gzip(_) => Ok(()),
        }
    }

    /// The unpacked size of an archive or a gzip file; `None` for other bodies.
    pub(super) fn unpacked(&self) -> Option<u64> {
        match &self.format {
            Format::Open(first) => Some(count(first)),
            Format::Plain => None,
            Format::Gzip(_) => Some(self.inflated),
            Format::Zip(zip) => Some(zip.bytes()),
        }
    }

    /// The unpacked content, for which a body may cost more; `None` for other bodies.
    pub(super) fn content_bytes(&self) -> Option<u64> {
        match &self.format {
            Format::Zip(zip) => Some(zip.content_bytes()),
            Format::Open(_) | Format::Plain | Format::Gzip(_) => self.unpacked(),
        }
    }

    /// The memory that it holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        match &self.format {
            Format::Open(_) | Format::Plain => 0,
            Format::Gzip(gzip) => gzip.memory().saturating_add(size_of::<Gzip>()),
            Format::Zip(zip) => zip.memory().saturating_add(size_of::<Zip>()),
        }
    }
}
