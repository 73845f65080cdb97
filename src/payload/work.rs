//! The work of decoding, counted in units of about one nanosecond: what takes that long in the filter, on
//! the machine of docs/performance.md.
//!
//! Two bounds hold (decision 0020):
//!
//! * A [`Slice`](super::slice::Slice) is the work of one callback. What is left when it is used up waits for the next.
//! * A [`Work`] is that of one body, which must not exceed a small multiple of what ordinary data of the
//!   same size costs. Only what was sent and what comes out *in the end* counts as size: what lies between
//!   two encodings is made by the sender for free, so it buys nothing.
//!
//! Work is counted where it is done: bytes, blocks, tables, members, frames, records.

/// Units after which a stage returns, at the next place where it can.
const STEP: u64 = 50_000;

/// What a body may cost whatever its size: a few hundred microseconds.
const BASE: u64 = 300_000;

/// What ordinary data costs for each byte that is sent, and for each that comes out.
const SENT: u64 = 8;
const DECODED: u64 = 4;

/// The most that a body may cost, as a multiple of what ordinary data of its size does.
const MULTIPLE: u64 = 8;

/// The work of one body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    done: u64,
    /// Units that count for the slice alone.
    apart: u64,
    step_end: u64,
}

impl Work {
    /// Adds `units`.
    pub(crate) const fn add(&mut self, units: u64) {
        self.done = self.done.saturating_add(units);
    }

    /// Adds `units` that count for the slice alone, and not for what the body may cost: work that occurs once, such as
    /// allocating a window, or that is counted again when its bytes come out.
    pub(crate) const fn add_to_slice(&mut self, units: u64) {
        self.add(units);
        self.apart = self.apart.saturating_add(units);
    }

    /// Adds `units` for each of `count` bytes.
    pub(crate) fn add_bytes(&mut self, count: usize, units: u64) {
        self.add(u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(units));
    }

    pub(crate) const fn begin_step(&mut self) {
        self.step_end = self.done.saturating_add(STEP);
    }

    /// Whether the step has done enough.
    pub(crate) const fn is_due(&self) -> bool {
        self.done >= self.step_end
    }

    /// Units so far.
    pub(crate) const fn done(&self) -> u64 {
        self.done
    }

    /// Whether that is more than a body may cost of which so many bytes were sent, and have come out for
    /// readers that do so many `units` of work for each.
    pub(crate) const fn is_excessive(&self, sent: u64, decoded: u64, units: u64) -> bool {
        let each = DECODED.saturating_add(units);
        let ordinary = sent.saturating_mul(SENT).saturating_add(decoded.saturating_mul(each));
        self.done.saturating_sub(self.apart) > BASE.saturating_add(ordinary.saturating_mul(MULTIPLE))
    }
}
