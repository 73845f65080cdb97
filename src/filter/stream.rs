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
use crate::engine::{Verdict, decide, longest_wait};
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{Balance, Charge, Cost, Decision, Rule};
use crate::observe::metrics::MetricsSink;
use crate::observe::{Decided, Event, Sink, access_log};
use crate::policy::limits::{ChargeWhen, CostSource};
use crate::reply::fields::{self, Shown};
use crate::reply::local;
use crate::request::head::Request;
use crate::request::identify::{Caller, Unidentified, identify};
use crate::request::select::{select, units};
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
    shown: Vec<Shown>,
    paid: Vec<Paid>,
    late: Vec<Late>,
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

/// What a response will say the cost of.
#[derive(Debug)]
struct Late {
    limit: usize,
    when: ChargeWhen,
    key: Key,
    rule: Rule,
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
        let mut now = host.now();
        let mut scratch = runtime.scratch.take();
        let Scratch { request, numbers, claims } = &mut scratch;
        request.read(host, policy);
        let (phase, flow) = match identify(request, policy) {
            Err(why) => self.turn_away(host, request, why, now),
            Ok(caller) => {
                let mut store = runtime.store.borrow_mut();
                select(request, &caller, policy, store.keys(), numbers, claims);
                let verdict = decide(&mut *store, host, claims, &mut now);
                let evicted = store.drain_evictions();
                drop(store);
                self.observe(host, verdict, claims, evicted);
                let shown = self.shown(claims, now);
                self.log_decision(host, verdict, claims, &shown, request.tier, &caller);
                if let Verdict::Refuse(refusal) = verdict {
                    host.reply(&local::refused(policy, refusal, claims, request, now));
                    (Phase::Finished, Flow::Stop)
                } else {
                    (self.forward(claims, shown, request.is_grpc()), Flow::Continue)
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
        let Forwarded { mut shown, mut paid, mut late, grpc } = forwarded;
        paid.retain(|paid| paid.when == ChargeWhen::Success);
        if !paid.is_empty() || late.iter().any(|late| late.when == ChargeWhen::Success) {
            let grpc_status = if grpc { host.response_header("grpc-status") } else { None };
            let failed = grpc_status.as_deref().is_some_and(is_grpc_failure)
                || host.response_header(":status").is_some_and(|status| is_failure(&status));
            if failed {
                if !host.response_code_details().is_some_and(|details| is_of_the_client(&details)) {
                    self.give_back(host, &paid);
                    late.retain(|late| late.when != ChargeWhen::Success);
                }
            } else if grpc && grpc_status.is_none() && !paid.is_empty() {
                self.phase = Phase::Answered(paid);
            }
        }
        for late in &late {
            let said = self.cost_header(late).and_then(|name| host.response_header(name));
            if let Some(balance) = self.overdraw(host, late, said.map_or(1, |value| units(&value))) {
                let now = host.now();
                let of_it = shown.iter_mut().filter(|shown| shown.limit == late.limit);
                of_it.for_each(|shown| *shown = shown.with(balance, now));
            }
        }
        let now = host.now();
        shown.iter_mut().for_each(|shown| *shown = shown.told_at(now));
        self.show(host, &shown);
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
        let Phase::Forwarded(forwarded) = std::mem::replace(&mut self.phase, Phase::Finished) else { return };
        if host.response_code_details().as_deref() == Some(INTERNAL_REDIRECT) {
            self.give_back(host, &forwarded.paid);
        } else {
            // No response came to say what the request cost.
            for late in &forwarded.late {
                self.overdraw(host, late, 1);
            }
        }
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

    /// Where the caller stands with each limit that it may know of; nothing where no fields are wanted
    /// on a request that goes on.
    fn shown(&self, claims: &[Claim], now: Timestamp) -> Vec<Shown> {
        let limits = &self.runtime.policy.limits;
        claims.iter().filter_map(|claim| Shown::of(claim, limits.get(claim.limit)?, now)).collect()
    }

    fn forward(&self, claims: &[Claim], shown: Vec<Shown>, grpc: bool) -> Phase {
        let limits = &self.runtime.policy.limits;
        let when = |claim: &Claim| limits.get(claim.limit).map(|limit| limit.charge);
        let paid = claims.iter().filter_map(|claim| {
            Some(Paid { limit: claim.limit, when: when(claim)?, key: claim.key, charge: claim.charge? })
        });
        // A shadow that would have refused is charged nothing, and neither is what cannot be had.
        let later = |claim: &&Claim| claim.cost == Cost::Later && claim.answer.is_ok() && !claim.denies();
        let late = claims.iter().filter(later).filter_map(|claim| {
            Some(Late { limit: claim.limit, when: when(claim)?, key: claim.key, rule: claim.rule })
        });
        Phase::Forwarded(Forwarded { paid: paid.collect(), late: late.collect(), shown, grpc })
    }

    fn observe(&self, host: &impl Host, verdict: Verdict, claims: &[Claim], evicted: u64) {
        let sink = self.sink(host);
        if verdict == Verdict::Unlimited {
            sink.observe(Event::Unlimited);
        }
        for claim in claims {
            let limit = claim.limit;
            if let Err(fault) = claim.answer {
                sink.observe(Event::Fault(fault));
            }
            if let Some(decided) = Decided::of(claim, verdict) {
                sink.observe(Event::Decision { limit, decided });
            }
            if let (Some(_), Ok(Decision::Admit(balance))) = (claim.charge, claim.answer) {
                observe_overage(&sink, limit, balance, claim.cost.takes());
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
        claims: &[Claim],
        shown: &[Shown],
        tier: Option<usize>,
        caller: &Caller<'_>,
    ) {
        let policy = &self.runtime.policy;
        let Some(attributes) = &policy.access_log else { return };
        let of_claim = |place: usize| claims.get(place).map(|claim| claim.limit);
        let would_refuse = || longest_wait(claims, Claim::denies).and_then(|(place, _)| of_claim(place));
        let (decided, limit) = match verdict {
            Verdict::Refuse(refusal) => (Decided::Refused, of_claim(refusal.claim)),
            Verdict::Unlimited | Verdict::Admit => match would_refuse() {
                Some(limit) => (Decided::WouldRefuse, Some(limit)),
                None => (Decided::Admitted, fields::fewest(shown).and_then(|place| Some(shown.get(place)?.limit))),
            },
        };
        let limit = limit.and_then(|number| policy.limits.get(number)).map(|limit| &*limit.name);
        host.set_filter_state(
            access_log::KEY,
            &access_log::line(policy, attributes, decided.name(), limit, tier, Some(caller)),
        );
    }

    /// The response header that says what a limit costs.
    fn cost_header(&self, late: &Late) -> Option<&str> {
        match &self.runtime.policy.limits.get(late.limit)?.cost {
            CostSource::ResponseHeader(name) => Some(name),
            CostSource::Fixed(_) | CostSource::Header(_) => None,
        }
    }

    /// Charges what a request turned out to cost.
    fn overdraw(&self, host: &impl Host, late: &Late, units: u64) -> Option<Balance> {
        if units == 0 {
            return None;
        }
        let mut store = self.runtime.store.borrow_mut();
        let charged = store.overdraw(&late.key, &late.rule, units, host);
        let evicted = store.drain_evictions();
        drop(store);
        let sink = self.sink(host);
        if evicted > 0 {
            sink.observe(Event::Evicted { records: evicted });
        }
        charged
            .inspect(|balance| observe_overage(&sink, late.limit, *balance, units))
            .inspect_err(|fault| sink.observe(Event::Fault(*fault)))
            .ok()
    }

    /// Sets the fields, and removes what the upstream sent under the names of others.
    fn show(&self, host: &impl Host, shown: &[Shown]) {
        let policy = &self.runtime.policy;
        let fields = fields::admitted(policy, shown);
        for name in &self.runtime.field_names {
            match fields.iter().find(|(known, _)| known == name) {
                Some((_, value)) => host.set_response_header(name, value),
                None => host.remove_response_header(name),
            }
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

/// Counts what a charge of `units` took above the quota.
fn observe_overage(sink: &impl Sink, limit: usize, balance: Balance, units: u64) {
    let units = balance.over.min(units);
    if units > 0 {
        sink.observe(Event::Overage { limit, units });
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
