//! The request head: identifies the caller, finds what applies, decides, and asks for slots.
//!
//! This is the only part of the filter that asks which parts of a policy apply to a request.

use std::rc::Rc;

use super::inspection::BodyInspection;
use super::phase::{Event, Forwarded};
use super::queued::{Entry, Queued};
use super::runtime::Scratch;
use super::settle::{Charges, StreamCx};
use super::statuses::statuses;
use super::stream::{Flow, StreamState};
use crate::base::invariant::invariant;
use crate::base::time::Timestamp;
use crate::engine::{Verdict, decide, longest_wait};
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::access_log::{self, Line};
use crate::observe::{DecisionLabel, Event as Observed, admission};
use crate::payload::body::Rejection;
use crate::queue::stream::{Admission, Ask};
use crate::reply::fields::{LimitStatus, most_constrained};
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::request::payload::{ambiguity, check_length, holding, wanted};
use crate::request::select::{pools, select};
use crate::store::{LimitCheck, Store, StoreStats};

/// The head of a request whose caller is identified.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller<'a>,
    /// When the limits were asked.
    pub(super) now: Timestamp,
}

/// The slots that a request needs.
struct Slots {
    /// The pools, in the order in which they are asked.
    pools: Vec<usize>,
    asks: Vec<Ask>,
}

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Decides on a request by its head. `ends` is true if there is no body.
    pub(super) fn admit(&self, stream: &mut StreamState, ends: bool) -> Flow {
        if !stream.phase().is_fresh() {
            return Flow::Continue;
        }
        stream.is_complete = ends;
        let now = self.host.now();
        let policy = &self.runtime.policy;
        // Only the one request at hand uses the buffers.
        let mut scratch =
            invariant(self.runtime.scratch.take(), "one request head is read at a time").unwrap_or_default();
        let Scratch { request, numbers, checks, caller_cache } = &mut *scratch;
        request.read(self.host, policy, ends);
        let flow = match caller_cache.identify(request, policy) {
            Err(failure) => self.reject_unidentified(stream, request, failure, now),
            Ok(caller) => self.admit_caller(stream, Head { request, caller: &caller, now }, numbers, checks),
        };
        self.runtime.scratch.replace(Some(scratch));
        flow
    }

    fn admit_caller(
        &self,
        stream: &mut StreamState,
        head: Head<'_>,
        numbers: &mut Vec<usize>,
        checks: &mut Vec<LimitCheck>,
    ) -> Flow {
        let (policy, Head { request, caller, .. }) = (&self.runtime.policy, head);
        if let Some(why) = ambiguity(request, caller, policy, numbers) {
            return self.refuse_path(stream, head, why);
        }
        select(request, caller, policy, &self.runtime.keys, numbers, checks);
        match self.open_body(head, numbers, checks) {
            Ok(body) => {
                stream.body = body.map(Box::new);
                self.decide(stream, head, checks)
            }
            Err((payload, rejection)) => self.refuse_payload_at_head(stream, head, payload, rejection, checks),
        }
    }

    /// Opens the inspection of the body, if a payload limit or a cost needs one.
    ///
    /// # Errors
    /// If the head alone shows that the payload limit with this number rejects the body.
    fn open_body(
        &self,
        head: Head<'_>,
        numbers: &mut Vec<usize>,
        checks: &[LimitCheck],
    ) -> Result<Option<BodyInspection>, (Option<usize>, Rejection)> {
        let (policy, request) = (&self.runtime.policy, head.request);
        if request.ends {
            return Ok(None);
        }
        let matched = holding(request, head.caller, policy, numbers);
        let Some(requirements) = wanted(policy, matched, request, checks) else { return Ok(None) };
        let payload = matched.map(|matched| (matched.number, matched.payload));
        check_length(&requirements, request)
            .and_then(|()| BodyInspection::open(self.runtime, head, &requirements, payload))
            .map(Some)
            .map_err(|rejection| (payload.map(|(number, _)| number), rejection))
    }

    /// Asks all limits, and forwards the request or answers it.
    fn decide(&self, stream: &mut StreamState, mut head: Head<'_>, checks: &mut [LimitCheck]) -> Flow {
        let policy = &self.runtime.policy;
        let mut store = self.runtime.store.borrow_mut();
        let verdict = decide(&mut *store, self.host, checks, &mut head.now);
        let stats = store.drain_stats();
        drop(store);
        self.observe_decisions(verdict, checks, stats);
        let limits = statuses(policy, checks);
        self.log_decision(verdict, checks, &limits, head);
        if let Verdict::Refuse(denial) = verdict {
            return self.refuse_limits(stream, head, denial, checks, limits);
        }
        stream.charges = Charges::of(policy, checks);
        let flow = self.forward(stream, head, limits);
        if stream.body.is_some() || flow == Flow::Wait {
            stream.admission = admission(checks, verdict).collect();
        } else if flow == Flow::Continue {
            for event in admission(checks, verdict) {
                self.observe(event);
            }
        }
        flow
    }

    /// Forwards a request that its limits admit, once it has its slots. A held request asks for
    /// them after its body has been read.
    fn forward(&self, stream: &mut StreamState, head: Head<'_>, limits: Vec<LimitStatus>) -> Flow {
        let (policy, request) = (&self.runtime.policy, head.request);
        let (is_grpc, tunnel) = (request.is_grpc(), request.tunnel());
        let mut forwarded = Forwarded { limits, pools: Vec::new(), is_grpc, tunnel, entry: None };
        let is_held = stream.body.as_ref().is_some_and(|body| body.is_held());
        let Some(Slots { pools, asks }) = self.slots(head) else {
            stream.on(Event::Forward(forwarded));
            return if is_held { self.hold(stream) } else { Flow::Continue };
        };
        forwarded.pools = pools;
        if is_held {
            let queued = Queued::of(policy, &forwarded.pools, head, self.host.uptime());
            forwarded.entry = Some(Box::new(Entry { queued, asks }));
            stream.on(Event::Forward(forwarded));
            return self.hold(stream);
        }
        match self.acquire(stream.id, asks) {
            Admission::Admit => {
                stream.on(Event::Forward(forwarded));
                Flow::Continue
            }
            admission @ (Admission::Wait | Admission::Refuse(_)) => {
                let queued = Queued::of(policy, &forwarded.pools, head, self.host.uptime());
                stream.on(Event::Forward(forwarded));
                self.enqueue(stream, queued, admission)
            }
        }
    }

    /// Finds the slots that the request needs; `None` if it needs none.
    fn slots(&self, head: Head<'_>) -> Option<Slots> {
        let at_work = self.runtime.pools.as_ref()?;
        let policy = &self.runtime.policy;
        let worker = at_work.worker.borrow();
        let applicable = pools(head.request, head.caller, policy, &mut Vec::new());
        let count = applicable.len();
        let mut slots = Slots { pools: Vec::with_capacity(count), asks: Vec::with_capacity(count) };
        for (number, values) in applicable {
            let found = at_work.live.get(number).zip(policy.pools.get(number));
            let Some((pool, limit)) = invariant(found, "the pools of a policy are at work with it") else { continue };
            let mut key = worker.key(pool);
            for value in values {
                key.push(value);
            }
            slots.asks.push(Ask { pool: Rc::clone(pool), key: key.finish(), failure: limit.failure });
            slots.pools.push(number);
        }
        (!slots.asks.is_empty()).then_some(slots)
    }

    /// The pools that apply to a request which has not asked them for a slot; none if no response
    /// field lists pools.
    pub(super) fn listed_pools(&self, head: Head<'_>) -> Vec<usize> {
        let policy = &self.runtime.policy;
        if !policy.replies.fields.is_some_and(|form| form.ietf) {
            return Vec::new();
        }
        let applicable = pools(head.request, head.caller, policy, &mut Vec::new());
        applicable.into_iter().map(|(number, _)| number).collect()
    }

    fn observe_decisions(&self, verdict: Verdict, checks: &[LimitCheck], stats: StoreStats) {
        for check in checks {
            if let Err(fault) = check.answer {
                self.observe(Observed::Fault(fault));
            }
            match DecisionLabel::of(check, verdict) {
                // An admission counts once nothing else can refuse the request.
                None | Some(DecisionLabel::Admitted) => {}
                Some(decided @ (DecisionLabel::Refused | DecisionLabel::WouldRefuse)) => {
                    self.observe(Observed::Decision { limit: check.limit, decided });
                }
            }
        }
        self.observe_stats(stats);
    }

    /// Writes the line for the access log: the limit that refuses, or would, or has the fewest
    /// requests left.
    fn log_decision(&self, verdict: Verdict, checks: &[LimitCheck], limits: &[LimitStatus], head: Head<'_>) {
        let policy = &self.runtime.policy;
        let Some(attributes) = &policy.access_log else { return };
        let name = |index: usize| checks.get(index).map(|check| policy.check_name(check.limit));
        let (decision, limit) = match verdict {
            Verdict::Refuse(denial) => (DecisionLabel::Refused, name(denial.check)),
            Verdict::Unlimited | Verdict::Admit => match longest_wait(checks, LimitCheck::denies) {
                Some((index, _)) => (DecisionLabel::WouldRefuse, name(index)),
                None => {
                    let limit = most_constrained(limits).map(|status| policy.check_name(status.limit));
                    (DecisionLabel::Admitted, limit)
                }
            },
        };
        let mut text = self.runtime.line.borrow_mut();
        let line = Line { decision, limit, tier: head.request.tier, caller: head.caller };
        line.write(&mut text, policy, attributes);
        self.host.set_filter_state(access_log::KEY, &text);
    }
}
