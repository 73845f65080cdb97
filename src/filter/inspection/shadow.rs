//! A payload limit in shadow: it measures the body in addition to the costs, and ends with the
//! first reason to refuse it.

use crate::base::id::PayloadId;
use crate::payload::body::{BodyMeter, Progress, Rejection};
use crate::payload::slice::Slice;

/// A payload limit in shadow that measures a body.
pub(in crate::filter) struct Shadow {
    /// The payload limit.
    payload: PayloadId,
    /// The line for the access log if the limit would have refused the body.
    line: Option<String>,
    /// `None` once it would have refused the body.
    meter: Option<BodyMeter>,
    /// Whether that was reported.
    is_reported: bool,
}

impl Shadow {
    /// Begins to measure a body, unless its head is a reason to refuse it.
    pub(in crate::filter) fn new(
        payload: PayloadId,
        line: Option<String>,
        meter: Result<BodyMeter, Rejection>,
    ) -> Self {
        Self {
            payload,
            line,
            meter: meter.ok(),
            is_reported: false,
        }
    }

    /// Whether it needs the bytes.
    pub(super) fn reads(&self) -> bool {
        self.meter.as_ref().is_some_and(BodyMeter::reads)
    }

    pub(super) fn count(&mut self, bytes: u64) {
        self.step(|meter| meter.count(bytes));
    }

    pub(super) fn offer(&mut self, piece: &[u8]) {
        self.step(|meter| meter.offer(piece));
    }

    pub(super) fn advance(&mut self, slice: &mut Slice) -> Progress {
        let progress = self.step(|meter| meter.advance(slice));
        progress.unwrap_or(Progress::Idle)
    }

    /// The body has ended. It needs no memory any more.
    pub(super) fn finish(&mut self) {
        if self.step(BodyMeter::finish).is_some() {
            self.meter = Some(BodyMeter::unread());
        }
    }

    /// The limit and the line, once, if the limit would have refused the body.
    pub(super) fn report(&mut self) -> Option<(PayloadId, Option<String>)> {
        if self.meter.is_some() || self.is_reported {
            return None;
        }
        self.is_reported = true;
        Some((self.payload, self.line.take()))
    }

    fn step<T>(&mut self, step: impl FnOnce(&mut BodyMeter) -> Result<T, Rejection>) -> Option<T> {
        let done = step(self.meter.as_mut()?);
        if done.is_err() {
            self.meter = None;
        }
        done.ok()
    }
}
