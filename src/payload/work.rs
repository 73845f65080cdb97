//! The work of decoding, in units of about one nanosecond: the time that it takes in the filter on
//! the machine of docs/performance.md.
//!
//! Two bounds hold (decision 0020):
//!
//! * A [`Slice`](super::slice::Slice) bounds the work of one callback. The rest waits for the next.
//! * A [`Work`] bounds the work of one body: a small multiple of the cost of ordinary data of the
//!   same size. Only the bytes sent and the bytes of the *last* decoder count as size: a sender
//!   produces the data between two encodings for free, so it adds nothing.
//!
//! Each part of the decoders counts its own work: bytes, blocks, tables, members, frames, records.

/// Units after which a stage returns as soon as it can.
const STEP: u64 = 50_000;

/// The work allowed for a body of any size: a few hundred microseconds.
const BASE: u64 = 300_000;

/// The cost of ordinary data for each byte sent, and for each byte decoded.
const SENT: u64 = 8;
const DECODED: u64 = 4;

/// The largest cost of a body, as a multiple of the cost of ordinary data of its size.
const MULTIPLE: u64 = 8;

/// The work of one body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    done: u64,
    /// Units that only count for the slice.
    apart: u64,
    step_end: u64,
}

impl Work {
    pub(crate) const fn add(&mut self, units: u64) {
        self.done = self.done.saturating_add(units);
    }

    /// Adds `units` that count for the slice alone, and not for the bound of the body: work that
    /// occurs once, such as allocating a window, or that is counted again when its bytes are
    /// returned.
    pub(crate) const fn add_to_slice(&mut self, units: u64) {
        self.add(units);
        self.apart = self.apart.saturating_add(units);
    }

    /// Adds `units` for each of `count` bytes.
    pub(crate) fn add_bytes(&mut self, count: usize, units: u64) {
        self.add((count as u64).saturating_mul(units));
    }

    pub(crate) const fn begin_step(&mut self) {
        self.step_end = self.done.saturating_add(STEP);
    }

    /// Whether the step has done enough.
    pub(crate) const fn is_due(&self) -> bool {
        self.done >= self.step_end
    }

    pub(crate) const fn done(&self) -> u64 {
        self.done
    }

    /// Whether the work exceeds the bound for a body, given the bytes sent, the bytes decoded, and
    /// the `units` of work that readers do for each decoded byte.
    pub(crate) const fn is_excessive(&self, sent: u64, decoded: u64, units: u64) -> bool {
        let each = DECODED.saturating_add(units);
        let ordinary = sent
            .saturating_mul(SENT)
            .saturating_add(decoded.saturating_mul(each));
        self.done.saturating_sub(self.apart)
            > BASE.saturating_add(ordinary.saturating_mul(MULTIPLE))
    }
}
