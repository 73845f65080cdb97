//! Requests that are answered before any limit is asked: for who calls, and for their path.

use std::rc::Rc;

use super::settle::StreamCx;
use super::stream::{Flow, Phase, Stream};
use crate::base::path::Ambiguity;
use crate::base::time::Timestamp;
use crate::host::grpc::GrpcAnswer;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::{Host, LocalReply};
use crate::observe::{Event, Sink, access_log};
use crate::reply::local;
use crate::request::head::Request;
use crate::request::identify::{AuthFailure, Caller, suspect};

impl<D: SharedData + SharedQueue> Stream<D> {
    /// Answers the request here.
    pub(super) fn reply(&mut self, host: &impl Host, reply: &LocalReply) {
        self.answer = GrpcAnswer::of(reply);
        host.reply(reply);
    }

    pub(super) fn reject_unidentified(
        &mut self,
        host: &impl Host,
        request: &Request,
        why: AuthFailure,
        now: Timestamp,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        StreamCx { runtime: &runtime, host }.sink().observe(Event::Unauthorized(why));
        if let Some(attributes) = &policy.access_log {
            let mut line = runtime.line.borrow_mut();
            access_log::unauthorized(&mut line, policy, attributes, request.tier, why, &suspect(request, policy));
            host.set_filter_state(access_log::KEY, &line);
        }
        self.reply(host, &local::unauthorized(policy, why, request, now));
        self.phase = Phase::Finished;
        Flow::Stop
    }

    /// Answers a request whose path has no safe reading. No limit is asked.
    pub(super) fn refuse_path(
        &mut self,
        host: &impl Host,
        request: &Request,
        caller: &Caller<'_>,
        why: Ambiguity,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        StreamCx { runtime: &runtime, host }.sink().observe(Event::PathRefused(why));
        if let Some(line) = access_log::refused(&runtime.policy, None, request.tier, caller) {
            host.set_filter_state(access_log::KEY, &line);
        }
        self.reply(host, &local::path_refused(why, request));
        self.phase = Phase::Finished;
        Flow::Stop
    }
}
