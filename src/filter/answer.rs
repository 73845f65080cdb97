//! The answers that the filter gives itself: one function for each kind of refusal.

use super::admit::Head;
use super::inspection::BodyInspection;
use super::phase::{Effect, Event, Forwarded};
use super::queued::Queued;
use super::settle::{Changed, StreamCx};
use super::statuses::{apply, restate};
use super::stream::{Flow, StreamState};
use crate::base::id::PayloadId;
use crate::base::invariant::invariant;
use crate::base::path::Ambiguity;
use crate::engine;
use crate::host::grpc::GrpcAnswer;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::{Host, LocalReply};
use crate::limit::Enforcement;
use crate::observe::access_log::{self, Line};
use crate::observe::{self, DecisionLabel, Event as Observed, Shadowed};
use crate::payload::body::{Reason, Rejection};
use crate::queue::stream as queue;
use crate::reply::addressee::ReplyTo;
use crate::reply::fields::{Applied, LimitStatus};
use crate::reply::local;
use crate::reply::refusal::Refusal;
use crate::store::LimitCheck;

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Answers a request whose path has no safe reading. No limit is asked.
    pub(super) fn refuse_path(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        why: Ambiguity,
    ) -> Flow {
        let policy = &self.runtime.policy;
        if policy.enforcement == Enforcement::Shadow {
            return self.pass(stream, head);
        }
        let refusal = Refusal::Path(why);
        self.observe_refusal(refusal);
        self.log_refusal(self.refusal_line(head, None).as_deref());
        let to = head.reply_to(&refusal);
        let reply = local::reply(policy, refusal, to, Applied::default());
        self.refuse_with(stream, &reply)
    }

    /// Forwards a request that a policy in shadow would have refused. No limit is asked.
    pub(super) fn pass(&self, stream: &mut StreamState, head: Head<'_>) -> Flow {
        self.observe(Observed::WouldRefuse(Shadowed::NoLimit));
        let line = Line {
            decision: DecisionLabel::WouldRefuse,
            limit: None,
            tier: head.request.tier,
            engine: None,
            caller: head.caller,
        };
        self.log_refusal(line.to_text(&self.runtime.policy).as_deref());
        stream.on(Event::Forward(Forwarded::default()));
        Flow::Continue
    }

    /// Answers a request that a limit refuses. `limits` are the results of the checks.
    pub(super) fn refuse_limits(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        denial: engine::Refusal,
        checks: &[LimitCheck],
        mut limits: Vec<LimitStatus>,
    ) -> Flow {
        let policy = &self.runtime.policy;
        let refusal = Refusal::of_limits(policy, denial, checks, head.now);
        // If the fields do not state the limit that refuses, they state the others, which are
        // charged nothing.
        let states_refusal = match refusal {
            Refusal::Limit { check, .. } => local::has_counter(policy, check),
            Refusal::Unauthorized(_)
            | Refusal::Denied(_)
            | Refusal::Path(_)
            | Refusal::Pool { .. }
            | Refusal::Payload { .. }
            | Refusal::Fault => false,
        };
        if !states_refusal || self.runtime.states_others {
            self.uncharge(&mut limits, checks);
        }
        let applied = Applied {
            limits: &limits,
            pools: &self.pool_statuses(head),
        };
        let reply = local::reply(policy, refusal, head.reply_to(&refusal), applied);
        stream.body = None;
        self.refuse_with(stream, &reply)
    }

    /// Answers a request whose head shows that its payload is rejected. No limit is charged, and
    /// the fields state the limits all the same.
    pub(super) fn refuse_payload_at_head(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        payload: Option<PayloadId>,
        rejection: Rejection,
        checks: &[LimitCheck],
    ) -> Flow {
        let policy = &self.runtime.policy;
        let refusal = self.payload_refusal(payload, rejection);
        let limits = match policy.replies.fields {
            Some(_) => self.unasked_statuses(checks, head.request),
            None => Vec::new(),
        };
        let applied = Applied {
            limits: &limits,
            pools: &self.pool_statuses(head),
        };
        self.observe_refusal(refusal);
        self.log_refusal(self.refusal_line(head, refusal.limit()).as_deref());
        let reply = local::reply(policy, refusal, head.reply_to(&refusal), applied);
        self.refuse_with(stream, &reply)
    }

    /// Answers a request whose body is rejected. The request pays, as its body was read for it,
    /// unless the host is at fault and no response has begun.
    pub(super) fn refuse_body(&self, stream: &mut StreamState, rejection: Rejection) -> Flow {
        let Some(body) = stream.body.take() else {
            return Flow::Continue;
        };
        stream.is_suspended = false;
        let Forwarded {
            mut limits, pools, ..
        } = match stream.on(Event::Refuse) {
            Effect::Settle(mut forwarded) => {
                let changed = self.settle_refused_body(stream, &body, rejection);
                apply(&mut forwarded.limits, changed);
                forwarded
            }
            Effect::Abandon(forwarded, queued) => {
                self.abandon(stream, &queued);
                forwarded
            }
            Effect::Nothing
            | Effect::LeaveQueue(_)
            | Effect::SettleStatus
            | Effect::DecideAgain => {
                // A response has begun, so the request was served.
                self.observe_admission(stream);
                stream
                    .charges
                    .settle_refused(self, body.measurements().as_ref());
                Forwarded::default()
            }
        };
        let now = self.host.now();
        restate(&mut limits, now);
        let refusal = self.payload_refusal(body.payload(), rejection);
        self.observe_refusal(refusal);
        self.log_refusal(body.refusal_line());
        let to = ReplyTo::kept(body.context(), now);
        self.refuse_with(
            stream,
            &local::reply(
                &self.runtime.policy,
                refusal,
                to,
                Applied {
                    limits: &limits,
                    pools: &pools,
                },
            ),
        )
    }

    fn settle_refused_body(
        &self,
        stream: &mut StreamState,
        body: &BodyInspection,
        rejection: Rejection,
    ) -> Vec<Changed> {
        if matches!(
            rejection.reason,
            Reason::Unavailable | Reason::StopIteration
        ) {
            stream.admission.clear();
            stream.usage.clear();
            return stream.charges.cancel(self, observe::Refund::PayloadRefused);
        }
        self.observe_charges(stream);
        stream.charges.refund_seats(self);
        stream
            .charges
            .settle_refused(self, body.measurements().as_ref())
    }

    /// Answers a request that a pool refuses. It pays nothing, unless its body was read.
    pub(super) fn refuse_queued(
        &self,
        stream: &mut StreamState,
        forwarded: Forwarded,
        queued: &Queued,
        denial: queue::Refusal,
    ) -> Flow {
        let policy = &self.runtime.policy;
        let Forwarded {
            mut limits,
            mut pools,
            ..
        } = forwarded;
        apply(
            &mut limits,
            self.settle_queued(stream, queued, observe::Refund::QueueRefused),
        );
        let asked = invariant(
            queued.refusing(denial.pool),
            "a pool refuses a slot that was asked for",
        );
        let limit = asked.and_then(|asked| policy.pools.get(asked.id));
        let refusing = pools
            .iter_mut()
            .find(|pool| asked.is_some_and(|asked| asked.id == pool.pool));
        if let Some(pool) = refusing {
            pool.free = Some(0);
        }
        let refusal = match asked.zip(invariant(
            limit,
            "a request needs slots of its policy's pools",
        )) {
            Some((asked, limit)) => Refusal::Pool {
                pool: asked.id,
                limit: &limit.scope.name,
                reason: denial.reason,
            },
            None => Refusal::Fault,
        };
        self.observe_refusal(refusal);
        self.log_refusal(asked.and_then(|asked| asked.line.as_deref()));
        let now = self.host.now();
        restate(&mut limits, now);
        let applied = Applied {
            limits: &limits,
            pools: &pools,
        };
        let to = ReplyTo::kept(&queued.context, now);
        let reply = local::reply(policy, refusal, to, applied);
        stream.body = None;
        self.refuse_with(stream, &reply)
    }

    /// The refusal by this payload limit.
    fn payload_refusal(&self, payload: Option<PayloadId>, rejection: Rejection) -> Refusal<'_> {
        let limit = payload.and_then(|id| Some((id, self.runtime.policy.payloads.get(id)?)));
        match invariant(limit, "only a payload limit rejects a body") {
            Some((payload, limit)) => Refusal::Payload {
                payload,
                limit: &limit.scope.name,
                rejection,
            },
            None => Refusal::Fault,
        }
    }

    /// Counts a refusal. One by limits was counted as decisions, and a fault is counted where it
    /// occurs.
    pub(super) fn observe_refusal(&self, refusal: Refusal<'_>) {
        match refusal {
            Refusal::Unauthorized(failure) => self.observe(Observed::Unauthorized(failure)),
            Refusal::Denied(entry) => self.observe(Observed::Denied(entry)),
            Refusal::Path(why) => self.observe(Observed::PathRefused(why)),
            Refusal::Pool { pool, reason, .. } => {
                self.observe(Observed::QueueRefused { pool, reason })
            }
            Refusal::Payload {
                payload, rejection, ..
            } => {
                self.observe(Observed::PayloadRefused {
                    payload,
                    reason: rejection.reason,
                });
            }
            Refusal::Limit { .. } | Refusal::Fault => {}
        }
    }

    /// The line for the access log of a request that the limit of this name refuses, if lines are
    /// wanted.
    pub(super) fn refusal_line(&self, head: Head<'_>, limit: Option<&str>) -> Option<String> {
        let line = Line {
            decision: DecisionLabel::Refused,
            limit,
            tier: head.request.tier,
            engine: None,
            caller: head.caller,
        };
        line.to_text(&self.runtime.policy)
    }

    pub(super) fn log_refusal(&self, line: Option<&str>) {
        if let Some(line) = line {
            self.write_line(line);
        }
    }

    /// Hands a line to the access log, and its parts if they are wanted.
    pub(super) fn write_line(&self, line: &str) {
        self.host.set_filter_state(access_log::KEY, line);
        for (name, value) in access_log::parts(line, self.runtime.policy.log_parts) {
            let key = [access_log::KEY, ".", name].concat();
            self.host.set_filter_state(&key, value);
        }
    }

    /// Refuses a request.
    pub(super) fn refuse_with(&self, stream: &mut StreamState, reply: &LocalReply) -> Flow {
        self.observe(Observed::Refused {
            status: reply.status,
        });
        self.answer(stream, reply)
    }

    pub(super) fn answer(&self, stream: &mut StreamState, reply: &LocalReply) -> Flow {
        stream.grpc_answer = GrpcAnswer::of(reply);
        self.host.reply(reply);
        stream.on(Event::Refuse);
        Flow::Stop
    }
}
