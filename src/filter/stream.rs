//! One stream, from its request's head to its log line.
//!
//! ```text
//!   Fresh ─ request headers ─┬─▶ Forwarded ─ response headers ─┬─▶ Finished
//!                            │      ▲ its turn                 └─▶ Answered ─ trailers ─▶ Finished
//!                            ├─▶ Waiting ─ too long ─▶ Finished
//!                            └─▶ Finished (answered here; later events change nothing)
//! ```
//!
//! Beside it the upload goes on, from the request's head to its last byte, and may outlast the answer.
//! Events that do not fit the phase are normal and change nothing: a filter before us may answer a
//! request that we never saw, Envoy shows us our own local replies, and a stream may get its log
//! line only.

mod body;
mod turned_away;
mod turns;

use std::rc::Rc;

use super::failure::{Outcome, broken_off, of_the_head, of_the_trailers};
use super::ledger::{Books, Ledger};
use super::runtime::{Runtime, Scratch};
use super::stated::{self, tell_now, update};
use super::turn::{self, Entry, Turn};
use super::upload::Upload;
use crate::base::id::{CounterOwner, PoolId, TierId};
use crate::base::time::Timestamp;
use crate::engine::{Verdict, decide, longest_wait};
use crate::host::grpc::GrpcAnswer;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::{DecisionLabel, Event, Refund, Sink, access_log, admission, observe_stats};
use crate::queue::stream::StreamId;
use crate::reply::fields::{self, By, LimitStatus};
use crate::reply::local::{self, Under};
use crate::request::applicable::NoTrace;
use crate::request::checks;
use crate::request::head::{Request, Tunnel};
use crate::request::identify::Caller;
use crate::store::{LimitCheck, Store, StoreStats};

/// What the host does with the request next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It waits for the rest of its body.
    Hold,
    /// It waits until what came of its body has been read, by [`Stream::on_work`].
    Suspend,
    /// It waits for its turn, of which [`Stream::on_turn`] tells.
    Wait,
    /// It was answered here.
    Stop,
}

/// One stream.
pub struct Stream<D> {
    runtime: Rc<Runtime<D>>,
    phase: Phase,
    ledger: Ledger,
    /// What to count once nothing can refuse the request any more.
    admission: Vec<Event>,
    /// The body, while it is measured and has not ended.
    upload: Option<Box<Upload>>,
    /// Whether more of the body has come than was read, so that the request waits for that.
    suspended: bool,
    /// Whether all of the request has come.
    complete: bool,
    /// How a gRPC caller is to be answered, until it is.
    answer: Option<GrpcAnswer>,
    id: StreamId,
}

#[derive(Debug)]
enum Phase {
    /// No request head was seen.
    Fresh,
    /// It waits for slots.
    Waiting(Forwarded, Turn),
    /// The upstream has it.
    Forwarded(Forwarded),
    /// The response's head has passed; a gRPC one's status may still come in its trailers.
    Answered,
    /// Answered here, or done.
    Finished,
}

#[derive(Debug)]
struct Forwarded {
    shown: Vec<LimitStatus>,
    /// The pools that hold for it.
    pools: Vec<PoolId>,
    grpc: bool,
    /// The tunnel that it asks for.
    tunnel: Option<Tunnel>,
    /// The slots that it asks for when its held body has passed.
    entry: Option<Box<Entry>>,
}

/// How Envoy names the end of a stream that goes on as another one.
const INTERNAL_REDIRECT: &[u8] = b"internal_redirect";

impl<D: SharedData + SharedQueue> Stream<D> {
    /// A stream of which nothing was seen yet; `id` is its own in this VM.
    #[must_use]
    pub fn new(runtime: Rc<Runtime<D>>, id: StreamId) -> Self {
        let (ledger, admission) = (Ledger::default(), Vec::new());
        Self {
            runtime,
            phase: Phase::Fresh,
            ledger,
            admission,
            upload: None,
            suspended: false,
            complete: false,
            answer: None,
            id,
        }
    }

    /// The request's head has come; `ends` is whether that is all of it.
    pub fn on_request_headers(&mut self, host: &impl Host, ends: bool) -> Flow {
        if !matches!(self.phase, Phase::Fresh) {
            return Flow::Continue;
        }
        self.complete = ends;
        let runtime = Rc::clone(&self.runtime);
        let mut now = host.now();
        let mut scratch = runtime.scratch.take().unwrap_or_default();
        let Scratch { request, applicable, checks, caller_cache } = &mut *scratch;
        request.read(host, &runtime.policy, ends);
        let flow = match caller_cache.identify(request, &runtime.policy) {
            Err(why) => self.turn_away(host, request, why, now),
            Ok(caller) => {
                applicable.find(request, &caller, &runtime.policy, &mut NoTrace);
                match applicable.ambiguity {
                    Some(why) => self.refuse_path(host, request, &caller, why),
                    None => {
                        checks::fill(checks, applicable, request, &caller, &runtime.policy, &runtime.keys);
                        let (payload, pools) = (applicable.payload, &applicable.pools);
                        match Upload::open(&runtime, request, &caller, payload, checks, now.nanos()) {
                            Err(refused) => self.refuse_at_head(host, request, &caller, refused, (checks, pools), now),
                            Ok(upload) => {
                                self.upload = upload.map(Box::new);
                                self.decide(host, request, &caller, checks, pools, &mut now)
                            }
                        }
                    }
                }
            }
        };
        runtime.scratch.replace(Some(scratch));
        flow
    }

    /// The response's head has come, be it the upstream's or one that Envoy made.
    pub fn on_response_headers(&mut self, host: &impl Host) {
        if let Some(answer) = self.answer.take() {
            answer.complete(host);
        }
        let forwarded = match std::mem::replace(&mut self.phase, Phase::Finished) {
            Phase::Forwarded(forwarded) => forwarded,
            Phase::Waiting(Forwarded { mut shown, pools, .. }, turn) => {
                // Envoy answers itself, as where the client sends too slowly: it never had its turn.
                update(&mut shown, self.give_up(host, &turn));
                self.show(host, &mut shown, &pools);
                return;
            }
            Phase::Fresh | Phase::Answered | Phase::Finished => return,
        };
        if self.upload.as_ref().is_some_and(|upload| upload.hold) {
            // Envoy answers itself, as where the client sends too slowly.
            self.suspended = false;
        }
        let Forwarded { mut shown, pools, grpc, tunnel, .. } = forwarded;
        let runtime = Rc::clone(&self.runtime);
        let books = Books { runtime: &runtime, host };
        if let Some(tunnel) = tunnel
            && host.response_header(":status").is_some_and(|status| tunnel.begins_with(&status))
        {
            // What follows is no body. It was measured until now: a head alone opens nothing.
            if let Some(measured) = self.upload.take().and_then(|upload| upload.measured()) {
                update(&mut shown, self.ledger.hear_body(&books, &measured));
            }
            self.admit(host);
        }
        if self.ledger.asks_for_success() {
            match of_the_head(host, grpc, self.complete) {
                Outcome::Failure => update(&mut shown, self.ledger.fail(&books)),
                Outcome::Success => update(&mut shown, self.ledger.succeed(&books)),
                Outcome::InTrailers => self.phase = Phase::Answered,
            }
        }
        update(&mut shown, self.ledger.hear_response(&books));
        self.show(host, &mut shown, &pools);
    }

    /// The response's trailers have come: where a gRPC upstream says how it went.
    pub fn on_response_trailers(&mut self, host: &impl Host) {
        let Phase::Answered = std::mem::replace(&mut self.phase, Phase::Finished) else { return };
        let runtime = Rc::clone(&self.runtime);
        let books = Books { runtime: &runtime, host };
        match of_the_trailers(host) {
            Outcome::Failure => self.ledger.fail(&books),
            Outcome::Success | Outcome::InTrailers => self.ledger.succeed(&books),
        };
    }

    /// The stream is over. One that goes on as another, by an internal redirect, comes back as a
    /// fresh one that is charged again, so this one's charges end here.
    pub fn on_end(&mut self, host: &impl Host) {
        let runtime = Rc::clone(&self.runtime);
        runtime.count_broken_invariants(host);
        let books = Books { runtime: &runtime, host };
        let upload = self.upload.take();
        let phase = match std::mem::replace(&mut self.phase, Phase::Finished) {
            Phase::Waiting(_, turn) => {
                self.give_up(host, &turn);
                return;
            }
            other @ (Phase::Fresh | Phase::Forwarded(_) | Phase::Answered | Phase::Finished) => other,
        };
        self.leave(host);
        self.admit(host);
        if matches!(phase, Phase::Forwarded(_)) && host.response_code_details().as_deref() == Some(INTERNAL_REDIRECT) {
            self.ledger.cancel(&books, Refund::Redirected);
            return;
        }
        if let Some(measured) = upload.and_then(|upload| upload.measured()) {
            // So much of it has come, and no more will.
            self.ledger.hear_body(&books, &measured);
        }
        if matches!(phase, Phase::Answered) && broken_off(host) {
            self.ledger.fail(&books);
        }
        match phase {
            Phase::Forwarded(_) | Phase::Answered => self.ledger.close(&books),
            Phase::Fresh | Phase::Waiting(..) | Phase::Finished => {}
        }
    }

    /// Asks all limits, and lets the request go on or answers it.
    fn decide(
        &mut self,
        host: &impl Host,
        request: &Request,
        caller: &Caller<'_>,
        checks: &mut [LimitCheck],
        pools: &[PoolId],
        now: &mut Timestamp,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let mut store = runtime.store.borrow_mut();
        let verdict = decide(&mut *store, host, checks, now);
        let stats = store.drain_stats();
        drop(store);
        self.observe(host, verdict, checks, stats);
        let shown = stated::shown(&runtime.policy, checks);
        self.log_decision(host, verdict, checks, &shown, request.tier, caller);
        if let Verdict::Refuse(refusal) = verdict {
            // What the others say is what would be left if they had been charged.
            let tells = checks.get(refusal.check).is_some_and(local::has_numbers);
            let shown = if tells { shown } else { stated::look(&runtime, host, checks, *now) };
            let under = Under { shown: &shown, pools };
            self.reply(host, &local::refused(&runtime.policy, refusal, checks, under, request, *now));
            (self.phase, self.upload) = (Phase::Finished, None);
            return Flow::Stop;
        }
        self.ledger = Ledger::of(&runtime.policy, checks);
        let mut forwarded =
            Forwarded { shown, pools: Vec::new(), grpc: request.is_grpc(), tunnel: request.tunnel(), entry: None };
        let held = self.upload.as_ref().is_some_and(|upload| upload.hold);
        let turn = |pools: &[PoolId]| Turn::of(&runtime.policy, pools, request, caller, now.nanos(), host.uptime());
        let asks = turn::asks(&runtime, pools, request, caller).map(|(pools, asks)| {
            forwarded.pools = pools;
            asks
        });
        let flow = match asks {
            Some(asks) if !held => self.enter(host, forwarded, asks, turn),
            asks => {
                forwarded.entry = asks.map(|asks| Box::new(Entry { turn: turn(&forwarded.pools), asks }));
                self.phase = Phase::Forwarded(forwarded);
                if held { self.hold(host) } else { Flow::Continue }
            }
        };
        if self.upload.is_some() || flow == Flow::Wait {
            self.admission = admission(checks, verdict).collect();
        } else if flow == Flow::Continue {
            let sink = Books { runtime: &*runtime, host }.sink();
            admission(checks, verdict).for_each(|event| sink.observe(event));
        }
        flow
    }

    fn observe(&self, host: &impl Host, verdict: Verdict, checks: &[LimitCheck], stats: StoreStats) {
        let sink = Books { runtime: &*self.runtime, host }.sink();
        for check in checks {
            if let Err(fault) = check.answer {
                sink.observe(Event::Fault(fault));
            }
            if let Some(decided) =
                DecisionLabel::of(check, verdict).filter(|decided| *decided != DecisionLabel::Admitted)
            {
                sink.observe(Event::Decision { owner: check.owner, decided });
            }
        }
        observe_stats(&sink, stats);
    }

    /// Nothing can refuse the request any more.
    fn admit(&mut self, host: &impl Host) {
        let runtime = Rc::clone(&self.runtime);
        let sink = Books { runtime: &*runtime, host }.sink();
        self.admission.drain(..).for_each(|event| sink.observe(event));
    }

    /// It is refused, and pays all the same: that is counted, and not that it went on.
    fn count_charges(&mut self, host: &impl Host) {
        self.admission.retain(|event| !matches!(event, Event::Decision { .. } | Event::Unlimited));
        self.admit(host);
    }

    fn log_decision(
        &self,
        host: &impl Host,
        verdict: Verdict,
        checks: &[LimitCheck],
        shown: &[LimitStatus],
        tier: Option<TierId>,
        caller: &Caller<'_>,
    ) {
        let policy = &self.runtime.policy;
        let Some(attributes) = &policy.access_log else { return };
        let of_claim = |place: usize| checks.get(place).map(|check| check.owner);
        let would_refuse = || longest_wait(checks, LimitCheck::denies).and_then(|(place, _)| of_claim(place));
        let (decided, limit) = match verdict {
            Verdict::Refuse(refusal) => (DecisionLabel::Refused, of_claim(refusal.check)),
            Verdict::Unlimited | Verdict::Admit => match would_refuse() {
                Some(limit) => (DecisionLabel::WouldRefuse, Some(limit)),
                None => (
                    DecisionLabel::Admitted,
                    fields::most_constrained(shown)
                        .and_then(|place| Some(CounterOwner::Limit(shown.get(place)?.limit))),
                ),
            },
        };
        let limit = limit.and_then(|owner| policy.owner_name(owner));
        let mut line = self.runtime.line.borrow_mut();
        access_log::write(&mut line, policy, attributes, decided, limit, tier, Some(caller));
        host.set_filter_state(access_log::KEY, &line);
    }

    /// Sets the fields, and removes what the upstream sent under the names of others.
    fn show(&self, host: &impl Host, shown: &mut [LimitStatus], pools: &[PoolId]) {
        let mut names = self.runtime.field_names.iter().copied();
        if names.len() == 0 {
            return;
        }
        tell_now(shown, host);
        fields::each(&self.runtime.policy, shown, pools, By::Upstream, |field, value| {
            names.by_ref().take_while(|name| *name != field).for_each(|name| host.remove_response_header(name));
            host.set_response_header(field, value);
        });
        names.for_each(|name| host.remove_response_header(name));
    }
}
