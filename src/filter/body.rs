//! A stream with the body of its request.
//!
//! Reading a body takes slices of work. While unread bytes have arrived, the host keeps them, and
//! [`Stream::on_work`] reads on in a later callback, so that other streams are served meanwhile.
//!
//! [`Stream::on_work`]: super::stream::Stream::on_work

use super::bodies::Step;
use super::inspection::{BodyInspection, Failure};
use super::settle::StreamCx;
use super::statuses::apply;
use super::stream::{Flow, StreamState};
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::{Event, Shadowed};
use crate::payload::body::{Progress, Reason, Rejection};
use crate::payload::slice::Slice;

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// More of the body has arrived: the host has `size` bytes.
    pub(super) fn take_body(
        &self,
        stream: &mut StreamState,
        size: usize,
        ends: bool,
        slice: &mut Slice,
    ) -> Flow {
        stream.is_complete |= ends;
        if stream.phase().is_asking() {
            stream.asked.note_body(size);
            return Flow::Hold;
        }
        if stream.phase().is_waiting() {
            // The whole body was held, and has been read.
            return Flow::Wait;
        }
        let Some(body) = &mut stream.body else {
            return forward(stream);
        };
        if body.is_held() {
            self.runtime.holds.set(true);
        }
        match body.take(self.host, size) {
            Ok(()) => {}
            Err(Failure::Rejected(rejection)) => return self.refuse_body(stream, rejection),
            Err(Failure::Unavailable) => {
                self.observe(Event::Fault(Fault::HostStatus(0)));
                if body.payload().is_some() {
                    return self.refuse_body(
                        stream,
                        Rejection {
                            reason: Reason::Unavailable,
                            max: None,
                        },
                    );
                }
                body.stop_reading();
            }
        }
        if ends {
            body.end();
        }
        self.report_shadow(body);
        self.go_on(stream, slice)
    }

    /// The request trailers have arrived: the body has ended.
    pub(super) fn end_body(&self, stream: &mut StreamState, slice: &mut Slice) -> Flow {
        stream.is_complete = true;
        if stream.phase().is_asking() {
            return Flow::Hold;
        }
        if stream.phase().is_waiting() {
            return Flow::Wait;
        }
        let Some(body) = &mut stream.body else {
            return forward(stream);
        };
        if body.is_held() {
            self.runtime.holds.set(true);
        }
        body.end();
        self.go_on(stream, slice)
    }

    /// Reads more of a body that is suspended.
    pub(super) fn resume_body(&self, stream: &mut StreamState, slice: &mut Slice) -> Step {
        if !stream.is_suspended {
            return Step::Done;
        }
        let flow = self.read_body(stream, slice);
        match flow {
            _ if stream.is_suspended => Step::Again,
            Flow::Continue => Step::Resume,
            Flow::Hold | Flow::Suspend | Flow::Wait => Step::Done,
            Flow::Stop => Step::Replied,
        }
    }

    /// A head has been held for some time without its body.
    pub(super) fn check_held(&self, stream: &mut StreamState) -> Step {
        if stream.phase().forwarded().is_none() {
            return Step::Done;
        }
        if !stream
            .body
            .as_ref()
            .is_some_and(|body| body.is_kept_back(self.host))
        {
            return Step::Again;
        }
        self.observe(Event::Fault(Fault::StopIteration));
        self.refuse_body(
            stream,
            Rejection {
                reason: Reason::StopIteration,
                max: None,
            },
        );
        Step::Replied
    }

    /// Holds the head until the body has been read.
    pub(super) fn hold(&self, stream: &mut StreamState) -> Flow {
        if let Some(body) = &mut stream.body
            && !self.runtime.holds.get()
        {
            body.note_received(self.host);
        }
        Flow::Hold
    }

    /// Reads a body of which more has arrived, or which has ended. One that is suspended is read
    /// later.
    fn go_on(&self, stream: &mut StreamState, slice: &mut Slice) -> Flow {
        if stream.is_suspended {
            suspend(stream)
        } else {
            self.read_body(stream, slice)
        }
    }

    /// Reads the bytes that have arrived, as far as the slice lasts, and settles a body that has
    /// ended.
    fn read_body(&self, stream: &mut StreamState, slice: &mut Slice) -> Flow {
        let Some(body) = &mut stream.body else {
            return forward(stream);
        };
        match body.advance(slice) {
            Err(rejection) => return self.refuse_body(stream, rejection),
            Ok(Progress::Pending) => return suspend(stream),
            Ok(Progress::Idle) => stream.is_suspended = false,
        }
        self.report_shadow(body);
        if body.has_ended() {
            return self.pass_body(stream);
        }
        if body.is_held() {
            Flow::Hold
        } else {
            Flow::Continue
        }
    }

    /// Counts and logs that a payload limit in shadow would have refused the body.
    pub(super) fn report_shadow(&self, body: &mut BodyInspection) {
        if let Some((payload, line)) = body.report() {
            self.observe(Event::WouldRefuse(Shadowed::Payload(payload)));
            self.log_refusal(line.as_deref());
        }
    }

    /// Forwards a body that has ended and was read, and charges its cost.
    fn pass_body(&self, stream: &mut StreamState) -> Flow {
        let Some(body) = &mut stream.body else {
            return Flow::Continue;
        };
        let measured = match body.pass() {
            Ok(measured) => measured,
            Err(rejection) => return self.refuse_body(stream, rejection),
        };
        self.report_shadow(body);
        let changed = match measured {
            Some(measured) => stream.charges.settle_body(self, &measured),
            None => Vec::new(),
        };
        let mut entry = None;
        if let Some(forwarded) = stream.phase_mut().forwarded_mut() {
            apply(&mut forwarded.limits, changed);
            entry = forwarded.entry.take();
        }
        let flow = match entry {
            Some(entry) => self.enter_held(stream, *entry),
            None => Flow::Continue,
        };
        if flow == Flow::Continue {
            self.observe_admission(stream);
        }
        flow
    }
}

/// Forwards arriving bytes: the body is no longer inspected.
const fn forward(stream: &mut StreamState) -> Flow {
    stream.is_suspended = false;
    Flow::Continue
}

/// Lets the request wait until the part of its body that has arrived is read.
fn suspend(stream: &mut StreamState) -> Flow {
    stream.is_suspended = true;
    if stream.body.as_ref().is_some_and(|body| body.is_held()) {
        Flow::Hold
    } else {
        Flow::Suspend
    }
}
