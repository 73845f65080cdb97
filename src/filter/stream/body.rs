//! What a stream does with its request's body.
//!
//! A body that is read takes slices of work. While more of it has come than was read the host keeps
//! what comes, and [`Stream::on_work`] goes on in a later event, so that other streams are served in
//! between.

use std::rc::Rc;

use super::{Flow, Forwarded, Phase, Stream};
use crate::base::id::{PayloadId, PoolId};
use crate::base::time::Timestamp;
use crate::filter::bodies::Step;
use crate::filter::ledger::Books;
use crate::filter::stated::{self, tell_now, update};
use crate::filter::upload::{self, Fail};
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::{Event, Refund, Sink, access_log};
use crate::payload::body::{Progress, Reason, Rejection};
use crate::payload::slice::Slice;
use crate::reply::local::{self, Under};
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::store::LimitCheck;

impl<D: SharedData + SharedQueue> Stream<D> {
    /// More of the request's body has come: the host has `size` bytes for us. `ends` is whether that is
    /// all of it.
    pub fn on_request_body(&mut self, host: &impl Host, size: usize, ends: bool, slice: &mut Slice) -> Flow {
        self.complete |= ends;
        if matches!(self.phase, Phase::Waiting(..)) {
            // A held body that has passed.
            return Flow::Wait;
        }
        let Some(upload) = &mut self.upload else { return self.let_go() };
        if upload.hold {
            self.runtime.holds.set(true);
        }
        match upload.take(host, size) {
            Ok(()) => {}
            Err(Fail::Refused(refused)) => return self.refuse_upload(host, refused),
            Err(Fail::Unread) => {
                let runtime = Rc::clone(&self.runtime);
                Books { runtime: &runtime, host }.sink().observe(Event::Fault(Fault::HostStatus(0)));
                if upload.payload.is_some() {
                    return self.refuse_upload(host, Rejection { reason: Reason::Unavailable, max: None });
                }
                upload.forgo();
            }
        }
        if ends {
            upload.end();
        }
        self.go_on(host, slice)
    }

    /// The request's trailers have come: its body has ended.
    pub fn on_request_trailers(&mut self, host: &impl Host, slice: &mut Slice) -> Flow {
        self.complete = true;
        if matches!(self.phase, Phase::Waiting(..)) {
            return Flow::Wait;
        }
        let Some(upload) = &mut self.upload else { return self.let_go() };
        if upload.hold {
            self.runtime.holds.set(true);
        }
        upload.end();
        self.go_on(host, slice)
    }

    /// Whether the request waits for [`Stream::on_work`].
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Reads more of what has come of the body.
    pub fn on_work(&mut self, host: &impl Host, slice: &mut Slice) -> Step {
        if !self.suspended {
            return Step::Done;
        }
        let flow = self.read(host, slice);
        match flow {
            _ if self.suspended => Step::Again,
            Flow::Continue => Step::Resume,
            Flow::Hold | Flow::Suspend | Flow::Wait => Step::Done,
            Flow::Stop => Step::Replied,
        }
    }

    /// Whether it is to be seen to that the body of this held head comes, by [`Stream::on_held`].
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.hold) && !self.runtime.holds.get()
    }

    /// The head has been held for some time. Answers it where its body comes to the proxy, and not to
    /// us: that is how a host behaves which is not set up to hold a head.
    pub fn on_held(&mut self, host: &impl Host) -> Step {
        if !self.is_watched() || !matches!(self.phase, Phase::Forwarded(_)) {
            return Step::Done;
        }
        if !self.upload.as_ref().is_some_and(|upload| upload.is_kept_back(host)) {
            return Step::Again;
        }
        let runtime = Rc::clone(&self.runtime);
        Books { runtime: &runtime, host }.sink().observe(Event::Fault(Fault::StopIteration));
        self.refuse_upload(host, Rejection { reason: Reason::StopIteration, max: None });
        Step::Replied
    }

    /// Holds the head until its body has been read.
    pub(super) fn hold(&mut self, host: &impl Host) -> Flow {
        if let Some(upload) = self.upload.as_mut().filter(|_| !self.runtime.holds.get()) {
            upload.note_received(host);
        }
        Flow::Hold
    }

    /// Answers a request whose head says that its payload is refused. It takes nothing from any limit,
    /// and is told where it stands with them all the same.
    pub(super) fn refuse_at_head(
        &mut self,
        host: &impl Host,
        request: &Request,
        caller: &Caller<'_>,
        (payload, refused): upload::Refusal,
        (checks, pools): (&[LimitCheck], &[PoolId]),
        now: Timestamp,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        let under = Under { shown: &stated::look(&runtime, host, checks, now), pools };
        let name = payload.and_then(|id| policy.payloads.get(id)).map_or("", |payload| &payload.scope.name);
        let line = access_log::refused(policy, Some(name), request.tier, caller);
        let told = local::ReplyContext::of(request, now.nanos());
        self.answer_payload(host, payload, refused, &told, line.as_deref(), under)
    }

    /// Goes on with a body of which more has come, or which has ended. One that is suspended has its
    /// turn later.
    fn go_on(&mut self, host: &impl Host, slice: &mut Slice) -> Flow {
        if self.suspended { self.suspend() } else { self.read(host, slice) }
    }

    /// Nothing of the body is measured any more.
    const fn let_go(&mut self) -> Flow {
        self.suspended = false;
        Flow::Continue
    }

    fn suspend(&mut self) -> Flow {
        self.suspended = true;
        if self.upload.as_ref().is_some_and(|upload| upload.hold) { Flow::Hold } else { Flow::Suspend }
    }

    /// Reads what has come, as far as the slice lasts, and passes a body that has ended.
    fn read(&mut self, host: &impl Host, slice: &mut Slice) -> Flow {
        let Some(upload) = &mut self.upload else { return self.let_go() };
        match upload.advance(slice) {
            Err(refused) => return self.refuse_upload(host, refused),
            Ok(Progress::Pending) => return self.suspend(),
            Ok(Progress::Idle) => self.suspended = false,
        }
        if upload.has_ended() {
            return self.pass(host);
        }
        if upload.hold { Flow::Hold } else { Flow::Continue }
    }

    /// The body has ended and was read, which settles what it costs.
    fn pass(&mut self, host: &impl Host) -> Flow {
        let Some(upload) = &mut self.upload else { return Flow::Continue };
        let measured = match upload.pass() {
            Ok(measured) => measured,
            Err(refused) => return self.refuse_upload(host, refused),
        };
        let runtime = Rc::clone(&self.runtime);
        let books = Books { runtime: &runtime, host };
        let changed = measured.map(|measured| self.ledger.hear_body(&books, &measured)).unwrap_or_default();
        let flow = match &mut self.phase {
            Phase::Forwarded(forwarded) => {
                update(&mut forwarded.shown, changed);
                if forwarded.entry.is_some() { self.enter_held(host) } else { Flow::Continue }
            }
            Phase::Fresh | Phase::Waiting(..) | Phase::Answered | Phase::Finished => Flow::Continue,
        };
        if flow == Flow::Continue {
            self.admit(host);
        }
        flow
    }

    /// Answers a request whose body turned out to be refused. It pays, as its body was read for it,
    /// unless the host is at fault and has begun no response.
    fn refuse_upload(&mut self, host: &impl Host, refused: Rejection) -> Flow {
        let Some(upload) = self.upload.take() else { return Flow::Continue };
        self.suspended = false;
        let runtime = Rc::clone(&self.runtime);
        let books = Books { runtime: &runtime, host };
        let phase = std::mem::replace(&mut self.phase, Phase::Finished);
        let is_fault = matches!(refused.reason, Reason::Unavailable | Reason::StopIteration);
        let (mut shown, pools, served) = match phase {
            Phase::Forwarded(Forwarded { shown, pools, .. }) => (shown, pools, false),
            Phase::Fresh | Phase::Waiting(..) | Phase::Answered | Phase::Finished => (Vec::new(), Vec::new(), true),
        };
        let changed = if served {
            self.admit(host);
            self.ledger.keep(&books, upload.measured().as_ref())
        } else if is_fault {
            self.admission.clear();
            self.ledger.cancel(&books, Refund::PayloadRefused)
        } else {
            self.count_charges(host);
            self.ledger.leave_seats(&books);
            self.ledger.keep(&books, upload.measured().as_ref())
        };
        update(&mut shown, changed);
        tell_now(&mut shown, host);
        let under = Under { shown: &shown, pools: &pools };
        self.answer_payload(host, upload.payload, refused, &upload.told, upload.refused_line.as_deref(), under)
    }

    fn answer_payload(
        &mut self,
        host: &impl Host,
        payload: Option<PayloadId>,
        refused: Rejection,
        told: &local::ReplyContext,
        line: Option<&str>,
        under: Under<'_>,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        if let Some(payload) = payload {
            let event = Event::PayloadRefused { payload, reason: refused.reason };
            Books { runtime: &runtime, host }.sink().observe(event);
        }
        if let Some(line) = line {
            host.set_filter_state(access_log::KEY, line);
        }
        let name = payload.and_then(|id| policy.payloads.get(id)).map_or("", |payload| &payload.scope.name);
        self.reply(host, &local::payload_refused(policy, name, refused, told, under));
        self.phase = Phase::Finished;
        Flow::Stop
    }
}
