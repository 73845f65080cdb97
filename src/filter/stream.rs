//! One stream, from its request head to its end: the host's events, and the host's next steps.
//!
//! The phases and their transitions are in `filter/phase.rs`. Independently of them, the inspection
//! of the body continues from the request head to the last byte, and may outlast the answer.

use std::rc::Rc;

use super::bodies::Step;
use super::inspection::BodyInspection;
use super::phase::{self, Effect, Phase};
use super::runtime::Runtime;
use super::settle::{Charges, StreamCx};
use super::sharing::AskState;
use crate::host::grpc::GrpcAnswer;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::Event;
use crate::payload::slice::Slice;
use crate::queue::stream::{Answer, StreamId};

/// The host's next step with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It forwards the request.
    Continue,
    /// It holds the head until the rest of the body has arrived.
    Hold,
    /// It pauses the request until [`Stream::on_work`] has read the part of the body that has
    /// arrived.
    Suspend,
    /// It pauses the request until [`Stream::on_queue_answer`] or [`Stream::on_engine_answer`] lets
    /// it go on.
    Wait,
    /// It does nothing: the request was answered here.
    Stop,
}

/// One stream.
pub struct Stream<D> {
    runtime: Rc<Runtime<D>>,
    state: StreamState,
}

/// The state of a stream, apart from its policy.
pub(super) struct StreamState {
    /// The stream's own number in this VM.
    pub(super) id: StreamId,
    phase: Phase,
    pub(super) charges: Charges,
    /// The events to count once nothing can refuse the request any more.
    pub(super) admission: Vec<Event>,
    /// The usage to count then, each the key of an entry.
    pub(super) usage: Vec<Box<[u8]>>,
    /// The body, while it is inspected.
    pub(super) body: Option<Box<BodyInspection>>,
    /// Whether the request waits because more of its body has arrived than was read.
    pub(super) is_suspended: bool,
    /// Whether the whole request has arrived.
    pub(super) is_complete: bool,
    /// How far the request has got with the engine.
    pub(super) asked: AskState,
    /// How a gRPC caller is answered, until the local reply passes.
    pub(super) grpc_answer: Option<GrpcAnswer>,
}

impl StreamState {
    pub(super) const fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) const fn phase_mut(&mut self) -> &mut Phase {
        &mut self.phase
    }

    /// Moves on to the phase after `event`. Returns the remaining work.
    pub(super) fn on(&mut self, event: phase::Event) -> Effect {
        self.phase.on(event)
    }
}

impl<D: SharedData + SharedQueue> Stream<D> {
    /// A stream without any event yet. `id` is its own in this VM.
    #[must_use]
    pub fn new(runtime: Rc<Runtime<D>>, id: StreamId) -> Self {
        let state = StreamState {
            id,
            phase: Phase::Fresh,
            charges: Charges::default(),
            admission: Vec::new(),
            usage: Vec::new(),
            body: None,
            is_suspended: false,
            is_complete: false,
            asked: AskState::default(),
            grpc_answer: None,
        };
        Self { runtime, state }
    }

    /// The stream's own number in this VM.
    #[cfg(test)]
    pub(super) const fn id(&self) -> StreamId {
        self.state.id
    }

    /// The request head has arrived. `ends` is true if there is no body.
    pub fn on_request_headers(&mut self, host: &impl Host, ends: bool) -> Flow {
        let (cx, state) = self.split(host);
        cx.admit(state, ends)
    }

    /// More of the request body has arrived: the host has `size` bytes for the filter. `ends` is
    /// true if no more follows.
    pub fn on_request_body(
        &mut self,
        host: &impl Host,
        size: usize,
        ends: bool,
        slice: &mut Slice,
    ) -> Flow {
        let (cx, state) = self.split(host);
        cx.take_body(state, size, ends, slice)
    }

    /// The request trailers have arrived: the body has ended.
    pub fn on_request_trailers(&mut self, host: &impl Host, slice: &mut Slice) -> Flow {
        let (cx, state) = self.split(host);
        cx.end_body(state, slice)
    }

    /// The response head has arrived, the upstream's or one that Envoy made.
    pub fn on_response_headers(&mut self, host: &impl Host) {
        let (cx, state) = self.split(host);
        if let Some(answer) = state.grpc_answer.take() {
            answer.complete(host);
        }
        cx.respond(state);
    }

    /// The response trailers have arrived, which have the status of a gRPC call.
    pub fn on_response_trailers(&mut self, host: &impl Host) {
        let (cx, state) = self.split(host);
        cx.settle_trailers(state);
    }

    /// The stream is over.
    pub fn on_end(&mut self, host: &impl Host) {
        self.runtime.count_broken_invariants(host);
        let (cx, state) = self.split(host);
        cx.end(state);
    }

    /// The queue answers a request that waits. Returns whether the host must resume the request; if
    /// not, it was answered.
    pub fn on_queue_answer(&mut self, host: &impl Host, answer: Answer) -> bool {
        let (cx, state) = self.split(host);
        cx.leave_queue(state, answer)
    }

    /// The engine has answered, or will not: a request that waits for it decides again.
    pub fn on_engine_answer(&mut self, host: &impl Host, slice: &mut Slice) -> Flow {
        let (cx, state) = self.split(host);
        cx.decide_again(state, slice)
    }

    /// Whether the request waits for [`Stream::on_work`].
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        self.state.is_suspended
    }

    /// Reads more of the body that has arrived.
    pub fn on_work(&mut self, host: &impl Host, slice: &mut Slice) -> Step {
        let (cx, state) = self.split(host);
        cx.resume_body(state, slice)
    }

    /// Whether [`Stream::on_held`] must watch that the body of this held head arrives.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.state.body.as_ref().is_some_and(|body| body.is_held()) && !self.runtime.holds.get()
    }

    /// The head has been held for some time. Answers the request if its body reaches the proxy and
    /// not the filter, as it does on a host that is not set up to hold a head.
    pub fn on_held(&mut self, host: &impl Host) -> Step {
        if !self.is_watched() {
            return Step::Done;
        }
        let (cx, state) = self.split(host);
        cx.check_held(state)
    }

    fn split<'a, H: Host>(&'a mut self, host: &'a H) -> (StreamCx<'a, D, H>, &'a mut StreamState) {
        let Self { runtime, state } = self;
        (StreamCx { runtime, host }, state)
    }
}
