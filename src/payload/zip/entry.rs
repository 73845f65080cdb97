//! One entry, inflated and counted as it streams by.

use crc32fast::Hasher;

use crate::payload::decode::{Breach, Inflate, SLICE_MAX, Sink, Step, count, take};
use crate::payload::work::Work;

use super::descriptor;
use super::directory::{Seal, Sealer};
use super::record::{Local, Sizes};

/// §4.4.5.
const STORED: u64 = 0;
const DEFLATED: u64 = 8;

/// The work of a run of stored bytes, and of each byte.
const STORED_RUN: u64 = 30;
const STORED_BYTE: u64 = 2;

/// An entry whose data is being read.
pub(super) struct Entry {
    sealer: Sealer,
    offset: u64,
    method: u64,
    form: Form,
    is_zip64: bool,
    crc: Hasher,
    /// Bytes of the data so far, as sent.
    compressed: u64,
    /// Bytes inflated so far.
    uncompressed: u64,
}

/// How the end of the data is found.
#[derive(Clone, Copy)]
enum Form {
    /// By the size before it.
    Stored { declared: Sizes },
    /// By the descriptor after it.
    StoredUntilDescriptor,
    /// By the size, and by the deflate stream.
    Deflated { declared: Sizes },
    /// By the deflate stream; a descriptor follows.
    DeflatedUntilDescriptor,
}

/// How far the data has been read.
pub(super) enum Progress {
    /// It continues when there is more input or room.
    On(Step),
    /// It has ended, and a descriptor follows.
    Undescribed,
    /// It has ended, and its sizes are right.
    Whole,
}

impl Entry {
    /// Begins an entry after its local header.
    ///
    /// # Errors
    /// [`Breach::Unsupported`] for an unknown compression method, [`Breach::Malformed`] for
    /// impossible sizes.
    pub(super) fn new(local: &Local<'_>, sealer: Sealer, offset: u64) -> Result<Self, Breach> {
        let form = match (local.method, local.sizes) {
            (STORED, None) => Form::StoredUntilDescriptor,
            (STORED, Some(declared)) if declared.compressed != declared.uncompressed => {
                return Err(Breach::Malformed);
            }
            (STORED, Some(declared)) => Form::Stored { declared },
            (DEFLATED, None) => Form::DeflatedUntilDescriptor,
            // Some writers mark a directory as deflated without writing an empty deflate stream.
            (DEFLATED, Some(declared)) if declared.compressed == 0 => Form::Stored { declared },
            (DEFLATED, Some(declared)) => Form::Deflated { declared },
            _ => return Err(Breach::Unsupported),
        };
        let (method, is_zip64) = (local.method, local.is_zip64);
        let entry = Self {
            sealer,
            offset,
            method,
            form,
            is_zip64,
            crc: Hasher::new(),
            compressed: 0,
            uncompressed: 0,
        };
        // An entry without data is complete.
        if entry.is_empty()
            && entry
                .declared()
                .is_some_and(|declared| declared != entry.sizes())
        {
            return Err(Breach::Malformed);
        }
        Ok(entry)
    }

    /// Whether the entry has neither data nor a descriptor.
    pub(super) fn is_empty(&self) -> bool {
        self.declared()
            .is_some_and(|declared| declared.compressed == 0)
    }

    /// Whether the sizes in its descriptor have eight bytes.
    pub(super) const fn is_zip64(&self) -> bool {
        self.is_zip64
    }

    /// The actual sizes so far.
    pub(super) fn sizes(&self) -> Sizes {
        let crc = self.crc.clone().finalize();
        Sizes {
            crc,
            compressed: self.compressed,
            uncompressed: self.uncompressed,
        }
    }

    /// The seal of the complete entry.
    pub(super) fn seal(self) -> Seal {
        let sizes = self.sizes();
        self.sealer.seal(self.offset, self.method, &sizes)
    }

    /// Takes data from `input` and puts it out inflated. `held` contains bytes that may be a
    /// descriptor.
    ///
    /// # Errors
    /// [`Breach::Malformed`] if it does not match its header, or the errors of `sink`.
    pub(super) fn step(
        &mut self,
        inflate: &mut Inflate,
        held: &mut Vec<u8>,
        input: &mut &[u8],
        work: &mut Work,
        sink: Sink<'_>,
    ) -> Result<Progress, Breach> {
        match self.form {
            Form::Stored { declared } => {
                let data = take(input, declared.compressed.saturating_sub(self.compressed));
                self.store(data, work, sink)?;
                self.progress(&declared)
            }
            Form::StoredUntilDescriptor => {
                let found = descriptor::scan(held, input, self.is_zip64, &mut |step| match step {
                    descriptor::Step::Sizes => Ok(self.sizes()),
                    descriptor::Step::Data(data) => {
                        self.store(data, work, sink).map(|()| self.sizes())
                    }
                })?;
                Ok(if found {
                    Progress::Whole
                } else {
                    Progress::On(Step::NeedsInput)
                })
            }
            Form::Deflated { declared } => {
                let mut data = *input;
                let mut data = take(
                    &mut data,
                    declared.compressed.saturating_sub(self.compressed),
                );
                let whole = data.len();
                let step = self.inflate(inflate, &mut data, work, sink)?;
                *input = input
                    .get(whole.saturating_sub(data.len())..)
                    .unwrap_or_default();
                let ends = self.compressed == declared.compressed;
                match (inflate.has_ended(), ends, step) {
                    (true, true, _) => self.progress(&declared),
                    (true, false, _) | (false, true, Step::NeedsInput) => Err(Breach::Malformed),
                    (false, ..) => Ok(Progress::On(step)),
                }
            }
            Form::DeflatedUntilDescriptor => {
                let step = self.inflate(inflate, input, work, sink)?;
                Ok(if inflate.has_ended() {
                    Progress::Undescribed
                } else {
                    Progress::On(step)
                })
            }
        }
    }

    fn declared(&self) -> Option<Sizes> {
        match self.form {
            Form::Stored { declared } | Form::Deflated { declared } => Some(declared),
            Form::StoredUntilDescriptor | Form::DeflatedUntilDescriptor => None,
        }
    }

    fn progress(&self, declared: &Sizes) -> Result<Progress, Breach> {
        if self.compressed < declared.compressed {
            Ok(Progress::On(Step::NeedsInput))
        } else if self.sizes() == *declared {
            Ok(Progress::Whole)
        } else {
            Err(Breach::Malformed)
        }
    }

    fn store(&mut self, data: &[u8], work: &mut Work, sink: Sink<'_>) -> Result<(), Breach> {
        work.add(STORED_RUN);
        work.add_bytes(data.len(), STORED_BYTE);
        self.crc.update(data);
        self.compressed = self.compressed.saturating_add(count(data));
        self.uncompressed = self.compressed;
        sink(data)
    }

    fn inflate(
        &mut self,
        inflate: &mut Inflate,
        data: &mut &[u8],
        work: &mut Work,
        sink: Sink<'_>,
    ) -> Result<Step, Breach> {
        let before = count(data);
        let step = inflate.step(data, SLICE_MAX, work)?;
        let fresh = inflate.fresh();
        self.crc.update(fresh);
        self.uncompressed = self.uncompressed.saturating_add(count(fresh));
        self.compressed = self
            .compressed
            .saturating_add(before.saturating_sub(count(data)));
        sink(fresh)?;
        Ok(step)
    }
}
