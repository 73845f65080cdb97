//! The request head: identifies the caller, finds the limits that apply, decides, and asks for
//! slots.
//!
//! This is the only part of the filter that asks which parts of a policy apply to a request.

use super::inspection::{BodyInspection, Shadow};
use super::phase::{Event, Forwarded};
use super::queued::{Entry, Queued};
use super::runtime::Scratch;
use super::settle::{Charges, StreamCx};
use super::sharing::AskState;
use super::stream::{Flow, StreamState};
use crate::base::id::{CounterOwner, PayloadId, PoolId};
use crate::base::invariant::invariant;
use crate::base::time::Timestamp;
use crate::engine::{Verdict, longest_wait};
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::Enforcement;
use crate::observe::access_log::{EngineUse, Line};
use crate::observe::{DecisionLabel, Event as Observed, admission};
use crate::payload::body::{BodyMeter, Rejection};
use crate::queue::stream::Admission;
use crate::reply::addressee::{ReplyContext, ReplyTo};
use crate::reply::fields::{LimitStatus, PoolStatus, most_constrained};
use crate::reply::refusal::Refusal;
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::checks;
use crate::request::endpoint::endpoint;
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::request::payload::{MatchedPayload, check_length, requirements};
use crate::store::{LimitCheck, Locked};

/// The head of a request with an identified caller.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller<'a>,
    /// The pools that apply.
    pub(super) pools: &'a [PoolId],
    /// When the limits were asked.
    pub(super) now: Timestamp,
}

impl<'a> Head<'a> {
    /// Whom an answer to the request is for.
    pub(super) fn reply_to(&self, refusal: &Refusal<'_>) -> ReplyTo<'a> {
        ReplyTo::head(self.request, Some(self.caller), refusal, self.now)
    }
}

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Decides on a request by its head. `ends` is true if there is no body.
    pub(super) fn admit(&self, stream: &mut StreamState, ends: bool) -> Flow {
        if !stream.phase().is_fresh() {
            return Flow::Continue;
        }
        stream.is_complete |= ends;
        let now = self.host.now();
        let policy = &self.runtime.policy;
        // Only the one request at hand uses the buffers.
        let mut scratch = invariant(
            self.runtime.scratch.take(),
            "one request head is read at a time",
        )
        .unwrap_or_default();
        let Scratch {
            request,
            applicable,
            checks,
            caller_cache,
        } = &mut *scratch;
        request.now = now;
        request.read(self.host, policy, ends);
        if self.is_from_operator(request) {
            let flow = self.answer_operator(stream, request);
            self.runtime.scratch.replace(Some(scratch));
            return flow;
        }
        let flow = match caller_cache.identify(request, policy) {
            Err(failure) => {
                self.reject_unidentified(stream, (request, now), failure, (applicable, checks))
            }
            Ok(caller) => {
                applicable.find(request, &caller, policy, &mut NoTrace);
                let head = Head {
                    request,
                    caller: &caller,
                    pools: &applicable.pools,
                    now,
                };
                self.admit_caller(stream, head, applicable, checks)
            }
        };
        self.runtime.scratch.replace(Some(scratch));
        flow
    }

    fn admit_caller(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        applicable: &Applicable,
        checks: &mut Vec<LimitCheck>,
    ) -> Flow {
        let (
            policy,
            Head {
                request, caller, ..
            },
        ) = (&self.runtime.policy, head);
        if let Some(why) = applicable.ambiguity {
            return self.refuse_path(stream, head, why);
        }
        if let Some(denial) = applicable.denial {
            return self.deny(stream, head, denial);
        }
        if policy.refused.as_ref().is_some_and(|refused| refused.locks)
            && applicable.exemption.is_none()
            && let Some(flow) = self.refuse_locked(stream, head, checks)
        {
            return flow;
        }
        if let Some(endpoint) = endpoint(request, policy) {
            return self.answer_endpoint(stream, head, endpoint);
        }
        checks::fill(
            checks,
            applicable,
            request,
            caller,
            policy,
            &self.runtime.keys,
        );
        match self.open_body(head, applicable.payload, checks) {
            Ok(body) => {
                stream.body = body.map(Box::new);
                let flow = self.decide(stream, head, checks);
                if let Some(body) = &mut stream.body {
                    self.report_shadow(body);
                }
                flow
            }
            Err(rejection) => {
                self.refuse_payload_at_head(stream, head, applicable.payload, rejection, checks)
            }
        }
    }

    /// Opens the inspection of the body, if a payload limit or a cost needs one.
    ///
    /// # Errors
    /// If the head alone shows that the payload limit rejects the body.
    fn open_body(
        &self,
        head: Head<'_>,
        payload: Option<PayloadId>,
        checks: &[LimitCheck],
    ) -> Result<Option<BodyInspection>, Rejection> {
        let (policy, request) = (&self.runtime.policy, head.request);
        if request.ends {
            return Ok(None);
        }
        let matched = payload.and_then(|id| MatchedPayload::of(id, head.caller, policy));
        let is_shadow =
            |matched: &MatchedPayload<'_>| matched.payload.enforcement == Enforcement::Shadow;
        let shadow = matched.filter(is_shadow);
        let matched = matched.filter(|matched| !is_shadow(matched));
        let requirements = requirements(matched, request, policy, checks);
        if requirements.is_none() && shadow.is_none() {
            return Ok(None);
        }
        let requirements = requirements.unwrap_or_default();
        check_length(&requirements, request)?;
        let body = BodyInspection::open(self.runtime, head, &requirements, matched)?;
        let shadow = shadow.map(|matched| self.open_shadow(head, matched));
        Ok(Some(body.beside(shadow)))
    }

    /// Opens the measurement of a body by a payload limit in shadow.
    fn open_shadow(&self, head: Head<'_>, matched: MatchedPayload<'_>) -> Shadow {
        let (policy, request) = (&self.runtime.policy, head.request);
        let line = Line {
            decision: DecisionLabel::WouldRefuse,
            limit: Some(&matched.payload.scope.name),
            tier: request.tier,
            engine: None,
            caller: head.caller,
        };
        let required = requirements(Some(matched), request, policy, &[]).unwrap_or_default();
        let encodings = request.headers.all("content-encoding");
        let (seed, bodies) = (self.runtime.seed, &self.runtime.bodies);
        let meter = check_length(&required, request)
            .and_then(|()| BodyMeter::new(&required, encodings, seed, bodies));
        Shadow::new(matched.id, line.to_text(policy), meter)
    }

    /// Asks all limits, and forwards the request or answers it.
    fn decide(
        &self,
        stream: &mut StreamState,
        mut head: Head<'_>,
        checks: &mut [LimitCheck],
    ) -> Flow {
        let policy = &self.runtime.policy;
        let verdict = self.ask_limits((stream.id, stream.asked), checks, &mut head.now);
        if verdict == Verdict::Ask {
            return self.ask(stream, head.request.ends, checks);
        }
        self.observe_decisions(verdict, checks, &head);
        let limits = self.statuses(checks, head.request);
        self.log_decision(stream.asked, verdict, checks, (&limits, head));
        if let Verdict::Refuse(denial) = verdict {
            return self.refuse_limits(stream, head, denial, checks, limits);
        }
        stream.charges = Charges::of(policy, checks);
        let flow = self.forward(stream, head, limits);
        if stream.body.is_some() || flow == Flow::Wait {
            admission(checks, verdict, |event| stream.admission.push(event));
            self.keep_usage(stream, verdict, checks, head.caller);
        } else if flow == Flow::Continue {
            admission(checks, verdict, |event| self.observe(event));
            self.count_admitted(verdict, checks, (head.caller, head.now));
        }
        flow
    }

    /// Forwards a request that its limits admit, once it has its slots. A held request asks for
    /// them after its body has been read.
    fn forward(&self, stream: &mut StreamState, head: Head<'_>, limits: Vec<LimitStatus>) -> Flow {
        let (policy, request) = (&self.runtime.policy, head.request);
        let is_grpc = stream.charges.depend_on_response(policy) && request.is_grpc();
        let tunnel = stream.body.as_ref().and_then(|_| request.tunnel());
        let mut forwarded = Forwarded {
            limits,
            pools: Vec::new(),
            is_grpc,
            tunnel,
            entry: None,
            context: self.runtime.shows_request.then(|| {
                let fallback = head.now.nanos();
                Box::new(ReplyContext::of(request, head.caller, policy, fallback))
            }),
        };
        let is_held = stream.body.as_ref().is_some_and(|body| body.is_held());
        let Some((pools, slots)) = self.slots(head) else {
            stream.on(Event::Forward(forwarded));
            return if is_held {
                self.hold(stream)
            } else {
                Flow::Continue
            };
        };
        forwarded.pools = pools;
        let shadows = slots.shadows.len();
        let queued =
            |pools: &[PoolStatus]| Queued::of(policy, (pools, shadows), head, self.host.uptime());
        if is_held {
            let queued = queued(&forwarded.pools);
            forwarded.entry = Some(Box::new(Entry { queued, slots }));
            stream.on(Event::Forward(forwarded));
            return self.hold(stream);
        }
        match self.acquire(stream.id, slots, &mut forwarded.pools) {
            Admission::Admit => {
                stream.on(Event::Forward(forwarded));
                Flow::Continue
            }
            admission @ (Admission::Wait | Admission::Refuse(_)) => {
                let queued = queued(&forwarded.pools);
                stream.on(Event::Forward(forwarded));
                self.enqueue(stream, queued, admission)
            }
        }
    }

    pub(super) fn observe_decisions(
        &self,
        verdict: Verdict,
        checks: &[LimitCheck],
        head: &Head<'_>,
    ) {
        self.count_decided(verdict, checks, (head.caller, head.now));
        for check in checks {
            if let Err(fault) = check.answer {
                self.observe(Observed::Fault(fault));
            }
            if check.locked == Locked::ByThis {
                self.observe(Observed::Locked(check.owner));
            }
            match DecisionLabel::of(check, verdict) {
                // An admission counts once nothing else can refuse the request.
                None
                | Some(
                    DecisionLabel::Admitted
                    | DecisionLabel::Denied
                    | DecisionLabel::Answered
                    | DecisionLabel::Reset,
                ) => {}
                Some(decided @ (DecisionLabel::Refused | DecisionLabel::WouldRefuse)) => {
                    self.observe(Observed::Decision {
                        owner: check.owner,
                        decided,
                    });
                }
            }
        }
    }

    /// Writes the line for the access log: the limit that refuses, or would, or has the fewest
    /// requests left.
    pub(super) fn log_decision(
        &self,
        asked: AskState,
        verdict: Verdict,
        checks: &[LimitCheck],
        (limits, head): (&[LimitStatus], Head<'_>),
    ) {
        let policy = &self.runtime.policy;
        let Some(attributes) = &policy.access_log else {
            return;
        };
        let name = |index: usize| policy.owner_name(checks.get(index)?.owner);
        let (decision, limit) = match verdict {
            Verdict::Refuse(denial) => (DecisionLabel::Refused, name(denial.check)),
            Verdict::Unlimited | Verdict::Admit | Verdict::Ask => {
                match longest_wait(checks, LimitCheck::denies) {
                    Some((index, _)) => (DecisionLabel::WouldRefuse, name(index)),
                    None => {
                        let limit = most_constrained(limits)
                            .map(|status| CounterOwner::Limit(status.limit));
                        (
                            DecisionLabel::Admitted,
                            limit.and_then(|owner| policy.owner_name(owner)),
                        )
                    }
                }
            }
        };
        let mut text = self.runtime.line.borrow_mut();
        let line = Line {
            decision,
            limit,
            tier: head.request.tier,
            engine: EngineUse::of(checks, asked.has_waited()),
            caller: head.caller,
        };
        line.write(&mut text, policy, attributes);
        self.write_line(&text);
    }
}
