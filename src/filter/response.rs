//! The response, and the end of the stream: they settle the charges, and the response shows the
//! rest.

use super::failure::{Response, broken_off, response_outcome, trailers_outcome};
use super::phase::{Effect, Event, Forwarded};
use super::settle::StreamCx;
use super::statuses::{apply, restate};
use super::stream::StreamState;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::Refund;
use crate::reply::addressee::ReplyTo;
use crate::reply::fields::{self, Applied, Responder};

/// Envoy's name for the end of a stream that continues as another one.
const INTERNAL_REDIRECT: &[u8] = b"internal_redirect";

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// The response head has arrived: settles the stated costs, and shows the limits.
    pub(super) fn respond(&self, stream: &mut StreamState) {
        let outcome = self.outcome(stream);
        let event = match outcome {
            Some(Response::InTrailers) => Event::GrpcResponseHead,
            Some(Response::Known(_)) | None => Event::ResponseHead,
        };
        match stream.on(event) {
            Effect::Settle(forwarded) => self.settle_head(stream, forwarded, outcome),
            Effect::Abandon(mut forwarded, queued) => {
                // Envoy itself answers, for instance because the client sends too slowly.
                apply(&mut forwarded.limits, self.abandon(stream, &queued));
                self.show(forwarded);
            }
            Effect::Nothing
            | Effect::LeaveQueue(_)
            | Effect::SettleStatus
            | Effect::DecideAgain => {}
        }
    }

    /// The outcome by the response head, if a charge depends on it.
    fn outcome(&self, stream: &StreamState) -> Option<Response> {
        let forwarded = stream.phase().forwarded()?;
        let depends = stream.charges.depend_on_response(&self.runtime.policy);
        depends.then(|| response_outcome(self.host, forwarded.is_grpc, stream.is_complete))
    }

    fn settle_head(
        &self,
        stream: &mut StreamState,
        mut forwarded: Forwarded,
        outcome: Option<Response>,
    ) {
        if stream.body.as_ref().is_some_and(|body| body.is_held()) {
            // Envoy itself answers, for instance because the client sends too slowly.
            stream.is_suspended = false;
        }
        if let Some(tunnel) = forwarded.tunnel
            && self
                .host
                .response_header(":status")
                .is_some_and(|status| tunnel.begins_with(&status))
        {
            // The following bytes are not a body. Until now they were measured as one, since a
            // request head alone opens no tunnel.
            if let Some(measured) = stream.body.take().and_then(|body| body.measurements()) {
                apply(
                    &mut forwarded.limits,
                    stream.charges.settle_body(self, &measured),
                );
            }
            self.observe_admission(stream);
        }
        if let Some(Response::Known(outcome)) = outcome {
            apply(
                &mut forwarded.limits,
                stream.charges.conclude(self, &outcome),
            );
        }
        apply(&mut forwarded.limits, stream.charges.settle_response(self));
        self.show(forwarded);
    }

    /// The response trailers have arrived: a gRPC upstream states the outcome there.
    pub(super) fn settle_trailers(&self, stream: &mut StreamState) {
        let Effect::SettleStatus = stream.on(Event::ResponseTrailers) else {
            return;
        };
        let outcome = trailers_outcome(self.host);
        stream.charges.conclude(self, &outcome);
    }

    /// The stream is over. If it continues as another one, by an internal redirect, that one is
    /// charged again, so the charges of this one are refunded.
    pub(super) fn end(&self, stream: &mut StreamState) {
        let effect = stream.on(Event::End);
        if stream.asked.has_waited() {
            self.runtime.stop_waiting(self.host, stream.id);
        }
        if let Effect::Abandon(_, queued) = &effect {
            self.abandon(stream, queued);
            return;
        }
        let body = stream.body.take();
        self.release_slots(stream.id);
        self.observe_admission(stream);
        if matches!(effect, Effect::Settle(_))
            && self.host.response_code_details().as_deref() == Some(INTERNAL_REDIRECT)
        {
            stream.charges.cancel(self, Refund::Redirected);
            return;
        }
        if let Some(measured) = body.and_then(|body| body.measurements()) {
            stream.charges.settle_body(self, &measured);
        }
        if let Effect::SettleStatus = effect
            && let Some(outcome) = broken_off(self.host)
        {
            stream.charges.conclude(self, &outcome);
        }
        stream.charges.finish(self);
    }

    /// Sets the response fields, and removes fields of the same names that the upstream sent.
    fn show(&self, forwarded: Forwarded) {
        if self.runtime.field_names.is_empty() {
            return;
        }
        let Forwarded {
            mut limits,
            pools,
            context,
            ..
        } = forwarded;
        let now = self.host.now();
        restate(&mut limits, now);
        let to = context.as_ref().map_or_else(
            || ReplyTo::anyone(now),
            |context| ReplyTo::kept(context, now),
        );
        let mut names = self.runtime.field_names.iter();
        let (limits, pools) = (&*limits, &*pools);
        fields::each(
            &self.runtime.policy,
            Applied { limits, pools },
            Responder::Upstream,
            to,
            |field, value| {
                // The fields come in the order of the names.
                for name in names.by_ref().take_while(|name| ***name != *field) {
                    self.host.remove_response_header(name);
                }
                self.host.set_response_header(field, value);
            },
        );
        for name in names {
            self.host.remove_response_header(name);
        }
    }
}
