//! One stream, from its request's head to its log line.
//!
//! ```text
//!   Fresh ─ request headers ─┬─▶ Forwarded ─ response headers ─┬─▶ Finished
//!                            │                                 └─▶ Answered ─ trailers ─▶ Finished
//!                            └─▶ Finished (answered here; later events change nothing)
//! ```
//!
//! Events that do not fit the phase are normal and change nothing: a filter before us may answer a
//! request that we never saw, Envoy shows us our own local replies, and a stream may get its log
//! line only.

use std::rc::Rc;

use super::runtime::{Runtime, Scratch};
use crate::base::time::Timestamp;
use crate::engine::{Refusal, Verdict, decide};
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::gcra::Charge;
use crate::observe::metrics::MetricsSink;
use crate::observe::{Decided, Event, Sink, access_log};
use crate::policy::limits::{ChargeWhen, Limit};
use crate::policy::replies::When;
use crate::reply::fields::{NAMES, Shown};
use crate::reply::local;
use crate::request::head::Request;
use crate::request::identify::{Caller, Unidentified, identify};
use crate::request::select::select;
use crate::store::key::Key;
use crate::store::{Claim, Store};

/// What the host does with the request next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It was answered here.
    Stop,
}

/// One stream.
#[derive(Debug)]
pub struct Stream<D> {
    runtime: Rc<Runtime<D>>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// No request head was seen.
    Fresh,
    /// The upstream has it.
    Forwarded(Forwarded),
    /// The response's head has passed; a gRPC one's status may still come in its trailers.
    Answered(Vec<Paid>),
    /// Answered here, or done.
    Finished,
}

#[derive(Debug)]
struct Forwarded {
    shown: Option<Shown>,
    paid: Vec<Paid>,
    grpc: bool,
}

/// A charge that may have to be given back.
#[derive(Debug)]
struct Paid {
    limit: usize,
    when: ChargeWhen,
    key: Key,
    charge: Charge,
}

/// How Envoy names the end of a stream that goes on as another one.
const INTERNAL_REDIRECT: &[u8] = b"internal_redirect";

impl<D: SharedData> Stream<D> {
    /// A stream of which nothing was seen yet.
    #[must_use]
    pub const fn new(runtime: Rc<Runtime<D>>) -> Self {
        Self { runtime, phase: Phase::Fresh }
    }

    /// The request's head has come.
    pub fn on_request_headers(&mut self, host: &impl Host) -> Flow {
        if !matches!(self.phase, Phase::Fresh) {
            return Flow::Continue;
        }
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        let now = host.now();
        let mut scratch = runtime.scratch.take();
        let Scratch { request, limits, claims } = &mut scratch;
        request.read(host, policy);
        let (phase, flow) = match identify(request, policy) {
            Err(why) => self.turn_away(host, request, why, now),
            Ok(caller) => {
                let mut store = runtime.store.borrow_mut();
                select(request, &caller, policy, store.keys(), limits, claims);
                let verdict = decide(&mut *store, host, claims, now);
                let evicted = store.drain_evictions();
                drop(store);
                self.observe(host, verdict, limits, claims, evicted);
                self.log_decision(host, verdict, limits, claims, request.tier, &caller);
                match self.refusal(verdict, limits, claims) {
                    None => (self.forward(limits, claims, request.is_grpc(), now), Flow::Continue),
                    Some((refusal, limit, claim)) => {
                        host.reply(&local::refused(policy, &limit.name, refusal, claim, request, now));
                        (Phase::Finished, Flow::Stop)
                    }
                }
            }
        };
        runtime.scratch.replace(scratch);
        self.phase = phase;
        flow
    }

    /// The response's head has come, be it the upstream's or one that Envoy made.
    pub fn on_response_headers(&mut self, host: &impl Host) {
        let Phase::Forwarded(forwarded) = std::mem::replace(&mut self.phase, Phase::Finished) else { return };
        let Forwarded { shown, mut paid, grpc } = forwarded;
        paid.retain(|paid| paid.when == ChargeWhen::Success);
        if !paid.is_empty() {
            let grpc_status = if grpc { host.response_header("grpc-status") } else { None };
            let failed = grpc_status.as_deref().is_some_and(is_grpc_failure)
                || host.response_header(":status").is_some_and(|status| is_failure(&status));
            if failed {
                if !host.response_code_details().is_some_and(|details| is_of_the_client(&details)) {
                    self.give_back(host, &paid);
                }
            } else if grpc && grpc_status.is_none() {
                self.phase = Phase::Answered(paid);
            }
        }
        self.show(host, shown);
    }

    /// The response's trailers have come: where a gRPC upstream says how it went.
    pub fn on_response_trailers(&mut self, host: &impl Host) {
        let Phase::Answered(paid) = std::mem::replace(&mut self.phase, Phase::Finished) else { return };
        if host.response_trailer("grpc-status").is_some_and(|status| is_grpc_failure(&status)) {
            self.give_back(host, &paid);
        }
    }

    /// The stream is over. One that goes on as another, by an internal redirect, comes back as a
    /// fresh one that is charged again, so this one's charges end here.
    pub fn on_log(&mut self, host: &impl Host) {
        if let Phase::Forwarded(forwarded) = std::mem::replace(&mut self.phase, Phase::Finished)
            && host.response_code_details().as_deref() == Some(INTERNAL_REDIRECT)
        {
            self.give_back(host, &forwarded.paid);
        }
    }

    fn refusal<'a>(
        &'a self,
        verdict: Verdict,
        limits: &[usize],
        claims: &'a [Claim],
    ) -> Option<(Refusal, &'a Limit, &'a Claim)> {
        let Verdict::Refuse(refusal) = verdict else { return None };
        let limit = self.runtime.policy.limits.get(*limits.get(refusal.claim)?)?;
        Some((refusal, limit, claims.get(refusal.claim)?))
    }

    fn turn_away(&self, host: &impl Host, request: &Request, why: Unidentified, now: Timestamp) -> (Phase, Flow) {
        let policy = &self.runtime.policy;
        self.sink(host).observe(Event::Unauthorized(why));
        if let Some(attributes) = &policy.access_log {
            let line = access_log::line(policy, attributes, Decided::Refused.name(), None, request.tier, None);
            host.set_filter_state(access_log::KEY, &line);
        }
        host.reply(&local::unauthorized(policy, why, request, now));
        (Phase::Finished, Flow::Stop)
    }

    fn forward(&self, limits: &[usize], claims: &[Claim], grpc: bool, now: Timestamp) -> Phase {
        let always = self.runtime.policy.replies.fields.filter(|fields| fields.when == When::Always);
        let shown = always.and_then(|_| Shown::of(claims.get(Shown::fewest(claims)?)?, now));
        let paid = limits.iter().zip(claims).filter_map(|(number, claim)| {
            let limit = self.runtime.policy.limits.get(*number)?;
            Some(Paid { limit: *number, when: limit.charge, key: claim.key, charge: claim.charge? })
        });
        Phase::Forwarded(Forwarded { shown, paid: paid.collect(), grpc })
    }

    fn observe(&self, host: &impl Host, verdict: Verdict, limits: &[usize], claims: &[Claim], evicted: u64) {
        let sink = self.sink(host);
        if verdict == Verdict::Unlimited {
            sink.observe(Event::Unlimited);
        }
        for (limit, claim) in limits.iter().zip(claims) {
            if let Err(fault) = claim.answer {
                sink.observe(Event::Fault(fault));
            }
            let decided = match verdict {
                Verdict::Unlimited | Verdict::Admit => Some(Decided::Admitted),
                Verdict::Refuse(_) => (!claim.admits()).then_some(Decided::Refused),
            };
            if let Some(decided) = decided {
                sink.observe(Event::Decision { limit: *limit, decided });
            }
        }
        if evicted > 0 {
            sink.observe(Event::Evicted { records: evicted });
        }
    }

    fn log_decision(
        &self,
        host: &impl Host,
        verdict: Verdict,
        limits: &[usize],
        claims: &[Claim],
        tier: Option<usize>,
        caller: &Caller<'_>,
    ) {
        let policy = &self.runtime.policy;
        let Some(attributes) = &policy.access_log else { return };
        let (decided, claim) = match verdict {
            Verdict::Unlimited => (Decided::Admitted, None),
            Verdict::Admit => (Decided::Admitted, Shown::fewest(claims)),
            Verdict::Refuse(refusal) => (Decided::Refused, Some(refusal.claim)),
        };
        let limit = claim.and_then(|claim| limits.get(claim)).and_then(|number| policy.limits.get(*number));
        let limit = limit.map(|limit| &*limit.name);
        host.set_filter_state(
            access_log::KEY,
            &access_log::line(policy, attributes, decided.name(), limit, tier, Some(caller)),
        );
    }

    /// Sets the fields, or removes what the upstream sent under their names.
    fn show(&self, host: &impl Host, shown: Option<Shown>) {
        let Some(form) = self.runtime.policy.replies.fields else { return };
        match shown {
            Some(shown) => {
                shown.fields(form).for_each(|(name, value)| host.set_response_header(name, &value.to_string()))
            }
            None => NAMES.iter().for_each(|name| host.remove_response_header(name)),
        }
    }

    fn give_back(&self, host: &impl Host, paid: &[Paid]) {
        if paid.is_empty() {
            return;
        }
        let mut store = self.runtime.store.borrow_mut();
        for paid in paid {
            let event = match store.give_back(&paid.key, &paid.charge, host) {
                Ok(()) => Event::GivenBack { limit: paid.limit },
                Err(fault) => Event::Fault(fault),
            };
            self.sink(host).observe(event);
        }
    }

    fn sink<'a, H: Host>(&'a self, host: &'a H) -> MetricsSink<'a, H> {
        MetricsSink { counters: &self.runtime.counters, meter: host }
    }
}

/// Whether a response's status says that the request failed: 400 and above.
fn is_failure(status: &[u8]) -> bool {
    str::from_utf8(status).ok().and_then(|status| status.parse::<u32>().ok()).is_some_and(|status| status >= 400)
}

/// How Envoy names the answers that it gives to a client which breaks the protocol or does not
/// finish its request. The upstream may have done its work by then, so they are no failure of it.
const OF_THE_CLIENT: [&str; 12] = [
    "http1.",
    "http2.",
    "http3.",
    "codec",
    "downstream_",
    "request_",
    "stream_idle_timeout",
    "max_duration_timeout",
    "low_version",
    "missing_",
    "path_normalization_failed",
    "upgrade_failed",
];

fn is_of_the_client(details: &[u8]) -> bool {
    OF_THE_CLIENT.iter().any(|prefix| details.starts_with(prefix.as_bytes()))
}

/// Whether a gRPC status says that the call failed: all but OK.
fn is_grpc_failure(status: &[u8]) -> bool {
    status != b"0"
}
