//! A page: the records under one key of shared data, one after the other.
//!
//! ```text
//!   ├ fingerprint 8 ┼ record ─┼ fingerprint 8 ┼ record ───┤ …
//! ```
//!
//! Counters ([`eviction`]) and pools (`queue::page`) have pages of this form. A record states its
//! own length.

pub mod eviction;

use std::marker::PhantomData;

use crate::host::fault::Fault;

/// Bytes of a record's fingerprint.
pub const FINGERPRINT_BYTES: usize = 8;

/// The content of a page under one fingerprint.
pub trait Record: Sized {
    /// The most bytes of a page: a record that would make it longer is not stored.
    const PAGE_BYTES_MAX: usize;

    /// The number of bytes of the record at the beginning of `bytes`; `None` if there is none.
    fn length(bytes: &[u8]) -> Option<usize>;

    /// Appends the record.
    ///
    /// # Errors
    /// [`Fault`] if the value has no form as a record.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Reads a record of the length that [`Record::length`] gives.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if it cannot be one of ours.
    fn decode(record: &[u8]) -> Result<Self, Fault>;
}

/// The records of one page, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<R> {
    bytes: Vec<u8>,
    records: PhantomData<R>,
}

/// The records of a page's bytes. It ends at the first that is none.
#[derive(Debug)]
pub struct Records<'p, R> {
    rest: &'p [u8],
    records: PhantomData<R>,
}

/// One record of a page.
#[derive(Clone, Copy, Debug)]
pub struct RecordSlice<'p> {
    /// The fingerprint of its key.
    pub fingerprint: u64,
    /// Its bytes without the fingerprint.
    pub record: &'p [u8],
    /// Its bytes with the fingerprint.
    pub whole: &'p [u8],
}

/// The outcome of [`Page::replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// There is no record under the fingerprint.
    Absent,
    /// The record has the same bytes as before.
    Unchanged,
    /// The record is another one.
    Changed,
}

impl<'p, R: Record> Iterator for Records<'p, R> {
    type Item = RecordSlice<'p>;

    fn next(&mut self) -> Option<RecordSlice<'p>> {
        let (fingerprint, rest) = self.rest.split_first_chunk::<FINGERPRINT_BYTES>()?;
        let length = R::length(rest)?;
        let (whole, after) = self
            .rest
            .split_at_checked(FINGERPRINT_BYTES.saturating_add(length))?;
        let record = rest.get(..length)?;
        self.rest = after;
        Some(RecordSlice {
            fingerprint: u64::from_le_bytes(*fingerprint),
            record,
            whole,
        })
    }
}

impl<R: Record> Records<'_, R> {
    /// Verifies, at the end, that all bytes were records.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if bytes are left.
    pub const fn finish(&self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Fault::BadRecord)
        }
    }
}

impl<R: Record> Page<R> {
    /// Takes a page's bytes.
    #[must_use]
    pub const fn read(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            records: PhantomData,
        }
    }

    /// The page as it is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The page as it is stored.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> Records<'_, R> {
        Records {
            rest: &self.bytes,
            records: PhantomData,
        }
    }

    /// The record under `fingerprint`, if there is one.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if the record, or one before it, cannot be one of ours.
    pub fn find(&self, fingerprint: u64) -> Result<Option<R>, Fault> {
        let mut records = self.records();
        match records.find(|slice| slice.fingerprint == fingerprint) {
            Some(slice) => R::decode(slice.record).map(Some),
            None => records.finish().map(|()| None),
        }
    }

    /// Appends a record under a fingerprint that the page does not have yet.
    ///
    /// # Errors
    /// [`Fault`] if the value has no form as a record; [`Fault::Full`] if the page would be too
    /// long. The page stays as it is.
    pub fn append(&mut self, fingerprint: u64, record: &R) -> Result<(), Fault> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&fingerprint.to_le_bytes());
        self.write(record, before, 0)
    }

    /// Replaces the record under `fingerprint`.
    ///
    /// # Errors
    /// As [`Page::append`].
    pub fn replace(&mut self, fingerprint: u64, record: &R) -> Result<Replaced, Fault> {
        let mut records = self.records();
        let Some(found) = records.find(|slice| slice.fingerprint == fingerprint) else {
            return Ok(Replaced::Absent);
        };
        let size = found.record.len();
        let before = self.bytes.len();
        let after = before.saturating_sub(records.rest.len());
        let start = after.saturating_sub(size);
        self.write(record, before, size)?;
        let written = self.bytes.len().saturating_sub(before);
        if written == size {
            let is_unchanged = self.bytes.get(start..after) == self.bytes.get(before..);
            self.bytes.copy_within(before.., start);
            self.bytes.truncate(before);
            return Ok(if is_unchanged {
                Replaced::Unchanged
            } else {
                Replaced::Changed
            });
        }
        // The new record moves before those that follow, and all of them over the old one.
        if let Some(tail) = self.bytes.get_mut(after..) {
            tail.rotate_right(written);
        }
        self.bytes.copy_within(after.., start);
        self.bytes.truncate(self.bytes.len().saturating_sub(size));
        Ok(Replaced::Changed)
    }

    /// Removes the record under `fingerprint`; true if there was one.
    pub fn remove(&mut self, fingerprint: u64) -> bool {
        let mut records = self.records();
        let Some(found) = records.find(|slice| slice.fingerprint == fingerprint) else {
            return false;
        };
        let end = self.bytes.len().saturating_sub(records.rest.len());
        let start = end.saturating_sub(found.whole.len());
        self.bytes.drain(start..end);
        true
    }

    /// Appends a record in place of `replaced` bytes; the page is as long as `before` if it cannot.
    fn write(&mut self, record: &R, before: usize, replaced: usize) -> Result<(), Fault> {
        let encoded = record.encode(&mut self.bytes).and_then(|()| {
            let written = self.bytes.len().saturating_sub(before);
            let size = self.bytes.len().saturating_sub(replaced);
            if written > replaced && size > R::PAGE_BYTES_MAX {
                Err(Fault::Full)
            } else {
                Ok(())
            }
        });
        encoded.inspect_err(|_| self.bytes.truncate(before))
    }
}
