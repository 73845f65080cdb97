//! Measures a ZIP archive as it streams: the sum of the bytes that its entries inflate to.
//!
//! ```text
//! local header │ data │ descriptor?   …   central records … │ zip64 end? │ end
//!      └ inflated and counted ┘ └ sealed        └ sealed ┘        └ same number, same sum?
//! ```
//!
//! No size in a header is trusted: data is inflated, counted, and compared with its header or its
//! descriptor. Archive readers use the central records instead, and these could describe other
//! entries than the ones that streamed by, as in a bomb of overlapping entries. So every entry is
//! *sealed* as it ends, with a keyed hash over its offset, sizes, checksum and name. Each central
//! record has the same seal, and both sums of seals must agree. The records may be in any order,
//! and nothing is kept per entry.
//!
//! An archive begins with its first entry; a body with anything before that is not taken for an
//! archive. Nothing else may lie between entries or after the end. Unsupported, since they cannot
//! be measured: encryption, split archives, and methods other than *stored* and *deflated*.
//! Source: PKWARE's APPNOTE 6.3.10, cited by its sections; decision 0015.

mod descriptor;
mod directory;
mod entry;
mod record;

use crate::payload::decode::{
    Breach, FormatMatch, Inflate, Step, count, count_up, gather_record, match_magic,
};
use crate::payload::work::Work;

use directory::Directory;
use entry::{Entry, Progress};
use record::Record;

/// The work of a record, and of each byte in it.
const RECORD: u64 = 200;
const RECORD_BYTE: u64 = 2;

/// The capacity that may stay allocated between two records.
const HELD_KEPT: usize = 1024;

/// Whether a body that begins with `first` is a ZIP archive.
#[must_use]
pub fn is_zip(first: &[u8]) -> FormatMatch {
    match (
        match_magic(first, b"PK\x03\x04"),
        match_magic(first, b"PK\x05\x06"),
    ) {
        (FormatMatch::Yes, _) | (_, FormatMatch::Yes) => FormatMatch::Yes,
        (FormatMatch::No, FormatMatch::No) => FormatMatch::No,
        (FormatMatch::Incomplete, _) | (_, FormatMatch::Incomplete) => FormatMatch::Incomplete,
    }
}

/// Measures one archive.
pub struct Zip {
    part: Part,
    /// The bytes of a record that is not complete yet.
    held: Vec<u8>,
    /// Bytes of the archive read so far.
    read: u64,
    directory: Directory,
    inflate: Inflate,
    /// Bytes that the entries inflated to.
    bytes: u64,
    /// Bytes of all records. They count as content, since an archive may consist of many names.
    recorded: u64,
    limit: u64,
}

/// The part of an archive that contains the next byte.
enum Part {
    /// A header, or one of the records after the entries.
    Record,
    /// The data of an entry.
    Data(Entry),
    /// The sizes of an entry, after its data.
    Descriptor(Entry),
    /// Nothing may follow.
    End,
    /// The archive was refused.
    Broken(Breach),
}

impl Zip {
    /// Measures an archive whose entries may inflate to `limit` bytes together. The `seed` must be
    /// secret: with it, an attacker can write central records that do not match their entries.
    #[must_use]
    pub fn new(limit: u64, seed: [u8; 16]) -> Self {
        let directory = Directory::new(seed);
        Self {
            part: Part::Record,
            held: Vec::new(),
            read: 0,
            directory,
            inflate: Inflate::default(),
            bytes: 0,
            recorded: 0,
            limit,
        }
    }

    /// Takes as much of `input` as it can, the next bytes of the archive.
    ///
    /// # Errors
    /// The breach, now and on every later call.
    pub(crate) fn step(&mut self, input: &mut &[u8], work: &mut Work) -> Result<Step, Breach> {
        loop {
            let before = count(input);
            let part = std::mem::replace(&mut self.part, Part::End);
            let (next, step) = self
                .advance_part(part, input, work)
                .unwrap_or_else(|breach| (Part::Broken(breach), Step::NeedsInput));
            self.part = next;
            if let Part::Broken(breach) = self.part {
                return Err(breach);
            }
            self.read = self
                .read
                .saturating_add(before.saturating_sub(count(input)));
            if step == Step::Continue || (work.is_due() && !input.is_empty()) {
                return Ok(Step::Continue);
            }
            if input.is_empty() {
                return Ok(Step::NeedsInput);
            }
        }
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.held.capacity().saturating_add(self.inflate.memory())
    }

    /// The sum over all entries at the end of the archive.
    ///
    /// # Errors
    /// [`Breach::Malformed`] if the archive is incomplete, or the earlier breach.
    pub fn finish(&self) -> Result<u64, Breach> {
        match &self.part {
            Part::End => Ok(self.bytes),
            Part::Broken(breach) => Err(*breach),
            Part::Record | Part::Data(_) | Part::Descriptor(_) => Err(Breach::Malformed),
        }
    }

    /// The sum over the entries so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum over the entries so far, plus the bytes of their records.
    pub(crate) const fn content_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.recorded)
    }

    /// Takes bytes off `input` until `part` ends, and returns the next part.
    fn advance_part(
        &mut self,
        part: Part,
        input: &mut &[u8],
        work: &mut Work,
    ) -> Result<(Part, Step), Breach> {
        let needs_input = |part| Ok((part, Step::NeedsInput));
        match part {
            Part::Record => {
                let start = self.read.saturating_sub(count(&self.held));
                if !gather_record(&mut self.held, input, record::bytes)? {
                    return needs_input(Part::Record);
                }
                work.add(RECORD);
                work.add_bytes(self.held.len(), RECORD_BYTE);
                self.recorded = self.recorded.saturating_add(count(&self.held));
                let next = self.record(start)?;
                self.held.clear();
                if self.held.capacity() > HELD_KEPT {
                    self.held = Vec::new();
                }
                needs_input(next)
            }
            Part::Data(mut entry) => {
                let (total, limit) = (&mut self.bytes, self.limit);
                let sink = &mut |decoded: &[u8]| count_up(total, decoded, limit);
                match entry.step(&mut self.inflate, &mut self.held, input, work, sink)? {
                    Progress::On(step) => Ok((Part::Data(entry), step)),
                    Progress::Undescribed => needs_input(Part::Descriptor(entry)),
                    Progress::Whole => {
                        self.directory.add_local(entry.seal());
                        needs_input(Part::Record)
                    }
                }
            }
            Part::Descriptor(entry) => {
                let (sizes, is_zip64) = (entry.sizes(), entry.is_zip64());
                if !gather_record(&mut self.held, input, |held| {
                    Ok(descriptor::bytes(held, &sizes, is_zip64))
                })? {
                    return needs_input(Part::Descriptor(entry));
                }
                if !descriptor::matches_sizes(&self.held, &sizes) {
                    return Err(Breach::Malformed);
                }
                work.add(RECORD);
                self.held.clear();
                self.directory.add_local(entry.seal());
                needs_input(Part::Record)
            }
            Part::End => Err(Breach::Malformed),
            Part::Broken(breach) => Err(breach),
        }
    }

    /// Reads the complete record, which begins at `start`.
    fn record(&mut self, start: u64) -> Result<Part, Breach> {
        let directory = &mut self.directory;
        match Record::of(&self.held)? {
            Record::Local(local) => {
                let entry = Entry::new(
                    &local,
                    directory.hasher(local.name),
                    directory.place_local(start)?,
                )?;
                if entry.is_empty() {
                    directory.add_local(entry.seal());
                    return Ok(Part::Record);
                }
                self.inflate.restart();
                Ok(Part::Data(entry))
            }
            Record::Central(central) => directory
                .add_central(&central, start)
                .map(|()| Part::Record),
            Record::Zip64End(end) => directory.zip64_end(&end, start).map(|()| Part::Record),
            Record::Locator { offset } => directory.locate(offset).map(|()| Part::Record),
            Record::End(end) => directory.end(&end, start).map(|()| Part::End),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
