//! Compares the central directory with the entries that streamed by.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::payload::decode::Breach;

use super::record::{Central, ELSEWHERE, End, NARROW_ELSEWHERE, Sizes};

/// The sums over all entries, and over all central records.
pub(super) struct Directory {
    seed: [u8; 16],
    locals: Sum,
    centrals: Sum,
    phase: Phase,
}

/// Records in any order: their number, and the sum of their seals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    seals: u128,
}

/// The keyed hash of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal(u128);

/// How much of an archive has been read.
#[derive(Clone, Copy)]
enum Phase {
    Locals,
    Centrals { start: u64 },
    Zip64End { at: u64, end: End },
    Located { end: End },
    Ended,
}

#[derive(Clone)]
pub(super) struct Sealer(SipHasher13);

impl Sealer {
    pub(super) fn seal(mut self, offset: u64, method: u64, sizes: &Sizes) -> Seal {
        for number in [
            offset,
            method,
            u64::from(sizes.crc),
            sizes.compressed,
            sizes.uncompressed,
        ] {
            self.0.write(&number.to_le_bytes());
        }
        Seal(self.0.finish128().as_u128())
    }
}

impl Sum {
    fn add(&mut self, seal: Seal) {
        self.count = self.count.saturating_add(1);
        self.seals = self.seals.wrapping_add(seal.0);
    }
}

impl Directory {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self {
            seed,
            locals: Sum::default(),
            centrals: Sum::default(),
            phase: Phase::Locals,
        }
    }

    /// Begins the seal of the entry with this name.
    pub(super) fn hasher(&self, name: &[u8]) -> Sealer {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        hasher.write(name);
        Sealer(hasher)
    }

    /// The offset of a local header that begins at `start`.
    ///
    /// # Errors
    /// [`Breach::Malformed`] after the first central record.
    pub(super) fn place_local(&self, start: u64) -> Result<u64, Breach> {
        match self.phase {
            Phase::Locals => Ok(start),
            Phase::Centrals { .. }
            | Phase::Zip64End { .. }
            | Phase::Located { .. }
            | Phase::Ended => Err(Breach::Malformed),
        }
    }

    pub(super) fn add_local(&mut self, seal: Seal) {
        self.locals.add(seal);
    }

    pub(super) fn add_central(&mut self, central: &Central<'_>, start: u64) -> Result<(), Breach> {
        let start = self.start(start)?;
        self.phase = Phase::Centrals { start };
        let sealer = self.hasher(central.name);
        self.centrals
            .add(sealer.seal(central.offset, central.method, &central.sizes));
        Ok(())
    }

    /// The zip64 end record, which begins at `at`.
    pub(super) fn zip64_end(&mut self, end: &End, at: u64) -> Result<(), Breach> {
        if *end != self.actual(at)? {
            return Err(Breach::Malformed);
        }
        self.phase = Phase::Zip64End { at, end: *end };
        Ok(())
    }

    /// The locator, which must follow the zip64 end record and point to it.
    pub(super) fn locate(&mut self, offset: u64) -> Result<(), Breach> {
        match self.phase {
            Phase::Zip64End { at, end } if at == offset => {
                self.phase = Phase::Located { end };
                Ok(())
            }
            Phase::Locals
            | Phase::Centrals { .. }
            | Phase::Zip64End { .. }
            | Phase::Located { .. }
            | Phase::Ended => Err(Breach::Malformed),
        }
    }

    /// The end record, which begins at `at`.
    pub(super) fn end(&mut self, stated: &End, at: u64) -> Result<(), Breach> {
        let agrees = match self.phase {
            Phase::Located { end } => {
                [end.records, NARROW_ELSEWHERE].contains(&stated.records)
                    && [end.bytes, ELSEWHERE].contains(&stated.bytes)
                    && [end.offset, ELSEWHERE].contains(&stated.offset)
            }
            Phase::Locals | Phase::Centrals { .. } | Phase::Zip64End { .. } | Phase::Ended => {
                *stated == self.actual(at)?
            }
        };
        if !agrees || self.locals != self.centrals {
            return Err(Breach::Malformed);
        }
        self.phase = Phase::Ended;
        Ok(())
    }

    /// The values that an end record at `at` must state.
    fn actual(&self, at: u64) -> Result<End, Breach> {
        let start = self.start(at)?;
        Ok(End {
            records: self.centrals.count,
            bytes: at.saturating_sub(start),
            offset: start,
        })
    }

    /// The start of the directory, given that one of its records begins at `at`.
    fn start(&self, at: u64) -> Result<u64, Breach> {
        match self.phase {
            Phase::Locals => Ok(at),
            Phase::Centrals { start } => Ok(start),
            Phase::Zip64End { .. } | Phase::Located { .. } | Phase::Ended => Err(Breach::Malformed),
        }
    }
}
