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

use std::rc::Rc;

use super::failure::{Outcome, broken_off, of_the_head, of_the_trailers};
use super::ledger::{Books, Changed, Ledger};
use super::runtime::{Runtime, Scratch};
use super::stated::{self, tell_now, update};
use super::turn::{Turn, arrive};
use super::upload::{self, Upload};
use crate::base::time::Timestamp;
use crate::engine::{Verdict, decide, longest_wait};
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::{Decided, Event, Refund, Sink, access_log, admission, observe_tally};
use crate::payload::body::Refused;
use crate::queue::stream::{Answer, Arrival, Refusal, StreamId};
use crate::reply::fields::{self, By, Shown};
use crate::reply::local::{self, Under};
use crate::request::head::Request;
use crate::request::identify::{Caller, Unidentified, suspect};
use crate::request::select::select;
use crate::store::{Claim, Store, Tally};

/// What the host does with the request next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It waits for its body.
    Hold,
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
    /// Whether all of the request has come.
    complete: bool,
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
    shown: Vec<Shown>,
    /// The pools that hold for it.
    pools: Vec<usize>,
    grpc: bool,
}

/// How Envoy names the end of a stream that goes on as another one.
const INTERNAL_REDIRECT: &[u8] = b"internal_redirect";

impl<D: SharedData + SharedQueue> Stream<D> {
    /// A stream of which nothing was seen yet; `id` is its own in this VM.
    #[must_use]
    pub fn new(runtime: Rc<Runtime<D>>, id: StreamId) -> Self {
        let (ledger, admission) = (Ledger::default(), Vec::new());
        Self { runtime, phase: Phase::Fresh, ledger, admission, upload: None, complete: false, id }
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
        let Scratch { request, numbers, claims, regulars } = &mut *scratch;
        request.read(host, &runtime.policy, ends);
        let flow = match regulars.identify(request, &runtime.policy) {
            Err(why) => self.turn_away(host, request, why, now),
            Ok(caller) => {
                select(request, &caller, &runtime.policy, &runtime.keys, numbers, claims);
                match Upload::open(&runtime, request, &caller, numbers, claims, now.nanos()) {
                    Err(refused) => self.refuse_at_head(host, request, &caller, refused, claims, now),
                    Ok(upload) => {
                        self.upload = upload.map(Box::new);
                        self.decide(host, request, &caller, claims, &mut now)
                    }
                }
            }
        };
        runtime.scratch.replace(Some(scratch));
        flow
    }

    /// It has waited: it is its turn, or it was too long. True where the host is to resume the request;
    /// otherwise it was answered.
    pub fn on_turn(&mut self, host: &impl Host, answer: Answer) -> bool {
        let (forwarded, turn) = match std::mem::replace(&mut self.phase, Phase::Finished) {
            Phase::Waiting(forwarded, turn) => (forwarded, turn),
            other @ (Phase::Fresh | Phase::Forwarded(_) | Phase::Answered | Phase::Finished) => {
                self.phase = other;
                return false;
            }
        };
        self.observe_turn(host, &turn, -1);
        match answer {
            Answer::Resume => {
                self.phase = Phase::Forwarded(forwarded);
                if self.upload.is_none() {
                    self.admit(host);
                }
                true
            }
            Answer::Refuse(refusal) => {
                self.refuse_turn(host, &turn, refusal, forwarded.shown);
                false
            }
        }
    }

    /// More of the request's body has come: the host has `size` bytes for us. `ends` is whether that is
    /// all of it.
    pub fn on_request_body(&mut self, host: &impl Host, size: usize, ends: bool) -> Flow {
        self.complete |= ends;
        let Some(upload) = &mut self.upload else { return Flow::Continue };
        if let Err(refused) = upload.take(host, size) {
            return self.refuse_upload(host, refused);
        }
        if ends {
            return self.end_upload(host);
        }
        if upload.hold { Flow::Hold } else { Flow::Continue }
    }

    /// The request's trailers have come: its body has ended.
    pub fn on_request_trailers(&mut self, host: &impl Host) -> Flow {
        self.complete = true;
        self.end_upload(host)
    }

    /// The response's head has come, be it the upstream's or one that Envoy made.
    pub fn on_response_headers(&mut self, host: &impl Host) {
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
        let Forwarded { mut shown, pools, grpc } = forwarded;
        let runtime = Rc::clone(&self.runtime);
        let books = Books { runtime: &runtime, host };
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
        if let Some(upload) = upload {
            // So much of it has come, and no more will.
            self.ledger.hear_body(&books, &upload.measured());
        }
        if matches!(phase, Phase::Answered) && broken_off(host) {
            self.ledger.fail(&books);
        }
        match phase {
            Phase::Forwarded(_) | Phase::Answered => self.ledger.close(&books),
            Phase::Fresh | Phase::Waiting(..) | Phase::Finished => {}
        }
    }

    fn turn_away(&mut self, host: &impl Host, request: &Request, why: Unidentified, now: Timestamp) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        Books { runtime: &runtime, host }.sink().observe(Event::Unauthorized(why));
        if let Some(attributes) = &policy.access_log {
            let mut line = runtime.line.borrow_mut();
            access_log::unauthorized(&mut line, policy, attributes, request.tier, why, &suspect(request, policy));
            host.set_filter_state(access_log::KEY, &line);
        }
        host.reply(&local::unauthorized(policy, why, request, now));
        self.phase = Phase::Finished;
        Flow::Stop
    }

    /// Asks all limits, and lets the request go on or answers it.
    fn decide(
        &mut self,
        host: &impl Host,
        request: &Request,
        caller: &Caller<'_>,
        claims: &mut [Claim],
        now: &mut Timestamp,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let mut store = runtime.store.borrow_mut();
        let verdict = decide(&mut *store, host, claims, now);
        let tally = store.drain_tally();
        drop(store);
        self.observe(host, verdict, claims, tally);
        let shown = stated::shown(&runtime.policy, claims);
        self.log_decision(host, verdict, claims, &shown, request.tier, caller);
        if let Verdict::Refuse(refusal) = verdict {
            let has_numbers = |claim: &Claim| local::has_numbers(&runtime.policy, claim);
            // What the others say is what would be left if they had been charged.
            let tells = claims.get(refusal.claim).is_some_and(has_numbers);
            let shown = if tells { shown } else { stated::look(&runtime, host, claims, *now) };
            let under = Under { shown: &shown, pools: &stated::pools(&runtime.policy, request, caller) };
            host.reply(&local::refused(&runtime.policy, refusal, claims, under, request, *now));
            (self.phase, self.upload) = (Phase::Finished, None);
            return Flow::Stop;
        }
        self.ledger = Ledger::of(&runtime.policy, claims);
        let mut forwarded = Forwarded { shown, pools: Vec::new(), grpc: request.is_grpc() };
        if let Some((pools, arrival)) = arrive(&runtime, self.id, request, caller, host) {
            // One that goes on at once needs no words.
            let turn = || Turn::of(&runtime.policy, &pools, request, caller, now.nanos(), host.uptime());
            match arrival {
                Arrival::Go => {}
                Arrival::Wait => {
                    let turn = turn();
                    self.observe_turn(host, &turn, 1);
                    self.phase = Phase::Waiting(Forwarded { pools, ..forwarded }, turn);
                    self.admission = admission(claims, verdict).collect();
                    return Flow::Wait;
                }
                Arrival::Refuse(refusal) => {
                    self.refuse_turn(host, &turn(), refusal, forwarded.shown);
                    return Flow::Stop;
                }
            }
            forwarded.pools = pools;
        }
        self.phase = Phase::Forwarded(forwarded);
        if self.upload.is_some() {
            self.admission = admission(claims, verdict).collect();
        } else {
            let sink = Books { runtime: &*runtime, host }.sink();
            admission(claims, verdict).for_each(|event| sink.observe(event));
        }
        if self.upload.as_ref().is_some_and(|upload| upload.hold) { Flow::Hold } else { Flow::Continue }
    }

    /// Answers a request whose head says that its payload is refused. It takes nothing from any limit,
    /// and is told where it stands with them all the same.
    fn refuse_at_head(
        &mut self,
        host: &impl Host,
        request: &Request,
        caller: &Caller<'_>,
        (number, refused): upload::Refusal,
        claims: &[Claim],
        now: Timestamp,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        let under =
            Under { shown: &stated::look(&runtime, host, claims, now), pools: &stated::pools(policy, request, caller) };
        let name = policy.payloads.get(number).map_or("", |payload| &payload.name);
        let line = access_log::refused(policy, name, request.tier, caller);
        let told = local::Told::of(request, now.nanos());
        self.answer_payload(host, number, refused, &told, line.as_deref(), under)
    }

    /// Answers a request whose body turned out to be refused: it was not admitted after all, so no
    /// limit is charged for it.
    fn refuse_upload(&mut self, host: &impl Host, refused: Refused) -> Flow {
        let Some(upload) = self.upload.take() else { return Flow::Continue };
        let runtime = Rc::clone(&self.runtime);
        self.admission.clear();
        let changed = self.ledger.cancel(&Books { runtime: &runtime, host }, Refund::PayloadRefused);
        let (mut shown, pools) = match std::mem::replace(&mut self.phase, Phase::Finished) {
            Phase::Forwarded(Forwarded { shown, pools, .. }) => (shown, pools),
            Phase::Fresh | Phase::Waiting(..) | Phase::Answered | Phase::Finished => Default::default(),
        };
        update(&mut shown, changed);
        tell_now(&mut shown, host);
        let under = Under { shown: &shown, pools: &pools };
        let number = upload.payload.unwrap_or_default();
        self.answer_payload(host, number, refused, &upload.told, upload.refused_line.as_deref(), under)
    }

    fn answer_payload(
        &mut self,
        host: &impl Host,
        number: usize,
        refused: Refused,
        told: &local::Told,
        line: Option<&str>,
        under: Under<'_>,
    ) -> Flow {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        let event = Event::PayloadRefused { payload: number, reason: refused.reason };
        Books { runtime: &runtime, host }.sink().observe(event);
        if let Some(line) = line {
            host.set_filter_state(access_log::KEY, line);
        }
        let name = policy.payloads.get(number).map_or("", |payload| &payload.name);
        host.reply(&local::payload_refused(policy, name, refused, told, under));
        self.phase = Phase::Finished;
        Flow::Stop
    }

    /// Answers a request that a pool refuses: it was not admitted, so no limit is charged for it.
    fn refuse_turn(&mut self, host: &impl Host, turn: &Turn, refusal: Refusal, mut shown: Vec<Shown>) {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        let books = Books { runtime: &runtime, host };
        self.admission.clear();
        update(&mut shown, self.ledger.cancel(&books, Refund::QueueRefused));
        let (pool, line) = turn.refused(refusal);
        books.sink().observe(Event::QueueRefused { pool, reason: refusal.reason });
        if let Some(line) = line {
            host.set_filter_state(access_log::KEY, line);
        }
        tell_now(&mut shown, host);
        let under = Under { shown: &shown, pools: &turn.pools };
        host.reply(&local::queue_refused(policy, pool, refusal.reason, &turn.told, under));
        (self.phase, self.upload) = (Phase::Finished, None);
    }

    /// It ends while it waits: it never had its turn, and nothing of it stays.
    fn give_up(&mut self, host: &impl Host, turn: &Turn) -> Vec<Changed> {
        let runtime = Rc::clone(&self.runtime);
        self.observe_turn(host, turn, -1);
        self.leave(host);
        self.admission.clear();
        self.upload = None;
        self.ledger.cancel(&Books { runtime: &runtime, host }, Refund::QueueLeft)
    }

    /// Gives its slots back, if it has any.
    fn leave(&self, host: &impl Host) {
        if let Some(pools) = &self.runtime.pools {
            pools.worker.borrow_mut().leave(self.id, host.uptime());
        }
    }

    fn observe_turn(&self, host: &impl Host, turn: &Turn, by: i64) {
        let sink = Books { runtime: &*self.runtime, host }.sink();
        for pool in &turn.pools {
            sink.observe(Event::Waiting { pool: *pool, by });
            if by < 0 {
                sink.observe(Event::Waited { pool: *pool, span: host.uptime().less(turn.since) });
            }
        }
    }

    /// The body has ended, which settles what it costs.
    fn end_upload(&mut self, host: &impl Host) -> Flow {
        let Some(upload) = &mut self.upload else { return Flow::Continue };
        if let Err(refused) = upload.finish() {
            return self.refuse_upload(host, refused);
        }
        let measured = upload.measured();
        self.upload = None;
        self.admit(host);
        let runtime = Rc::clone(&self.runtime);
        let changed = self.ledger.hear_body(&Books { runtime: &runtime, host }, &measured);
        if let Phase::Forwarded(forwarded) | Phase::Waiting(forwarded, _) = &mut self.phase {
            update(&mut forwarded.shown, changed);
        }
        Flow::Continue
    }

    fn observe(&self, host: &impl Host, verdict: Verdict, claims: &[Claim], tally: Tally) {
        let sink = Books { runtime: &*self.runtime, host }.sink();
        for claim in claims {
            if let Err(fault) = claim.answer {
                sink.observe(Event::Fault(fault));
            }
            if let Some(decided) = Decided::of(claim, verdict).filter(|decided| *decided != Decided::Admitted) {
                sink.observe(Event::Decision { limit: claim.limit, decided });
            }
        }
        observe_tally(&sink, tally);
    }

    /// Nothing can refuse the request any more.
    fn admit(&mut self, host: &impl Host) {
        let runtime = Rc::clone(&self.runtime);
        let sink = Books { runtime: &*runtime, host }.sink();
        self.admission.drain(..).for_each(|event| sink.observe(event));
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
        let limit = limit.map(|number| policy.claim_name(number));
        let mut line = self.runtime.line.borrow_mut();
        access_log::write(&mut line, policy, attributes, decided, limit, tier, Some(caller));
        host.set_filter_state(access_log::KEY, &line);
    }

    /// Sets the fields, and removes what the upstream sent under the names of others.
    fn show(&self, host: &impl Host, shown: &mut [Shown], pools: &[usize]) {
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
