//! The calls: all that is wanted goes out in one, and its answer is entered into the leases.

use std::collections::BTreeSet;

use log::warn;

use super::breaker::Turned;
use super::why::{CUT_OFF, NO_ANSWER, NO_CLUSTER, NO_CONNECTION, refusal_outcome};
use super::{Asked, Call, CallHost, DUE_MAX, Sharing, TICK, Waiting, Wanted, pace};
use crate::base::id::LimitId;
use crate::base::time::{Span, SteadyTime};
use crate::filter::runtime::Runtime;
use crate::fleet::engine::EngineError;
use crate::fleet::redis::resp::{self, Form, Login, TAKES_MAX};
use crate::fleet::take::{Answer, Take};
use crate::host::shared::SharedData;
use crate::host::stream::CallToken;
use crate::limit::Rule;
use crate::limit::lease::{Begun, Purpose, Sent};
use crate::limit::lock::Lock;
use crate::observe::{EngineEvent, EngineOutcome, Event, LeaseUnits};
use crate::queue::stream::StreamId;
use crate::store::Store as _;
use crate::store::key::Key;

/// The longest time between two lines in the log about the same trouble.
const LOG_EVERY: Span = Span::from_seconds(10);

/// The result of a call, from the host.
#[derive(Clone, Copy, Debug)]
pub enum CallResult<'a> {
    /// The peer answered with these bytes.
    Answered(&'a [u8]),
    /// The host refused the call, or the peer the connection: with this body.
    Refused(&'a [u8]),
    /// The call ended without an answer.
    Reset,
}

impl<D: SharedData> Runtime<D> {
    /// Sends the wanted takes, as far as the pace allows.
    pub(super) fn send(&self, host: &impl CallHost, now: SteadyTime, caller: Option<StreamId>) {
        let Some(sharing) = &self.sharing else { return };
        let mut sharing = sharing.borrow_mut();
        while sharing.has_wishes()
            && sharing.breaker.allows(now)
            && pace::admits(self.store.borrow().data(), now)
        {
            let takes = self.begin(&mut sharing, host);
            if takes.is_empty() {
                pace::give_back(self.store.borrow().data());
            } else {
                self.dispatch(&mut sharing, (host, caller), takes);
            }
        }
    }

    /// Begins the takes of one call.
    fn begin(&self, sharing: &mut Sharing, host: &impl CallHost) -> Vec<Asked> {
        let (mut takes, mut locks) = (Vec::new(), Vec::new());
        while takes.len() < TAKES_MAX {
            let Some((key, wanted, is_needed)) = sharing.next_wanted(takes.len()) else {
                break;
            };
            let purpose = match wanted {
                Wanted { need, .. } if is_needed => Purpose::Need(need),
                Wanted {
                    is_review: true, ..
                } => Purpose::Review,
                Wanted { .. } => Purpose::Refill,
            };
            let Wanted { lock, limit, .. } = wanted;
            let (proxy, timeout) = (sharing.proxy, sharing.engine.timeout);
            let lease = wanted.lease.at(host.steady());
            let begun = self.with_counters(host, |store| {
                store.change_lease(&key, host, |state, now| {
                    lease.begin(state, (purpose, lock), proxy, (now, timeout))
                })
            });
            let has_lock = matches!(begun, Ok(Begun::Take { take, .. }) if take.lock == lock);
            if lock > Span::ZERO && !has_lock {
                // Another take is on its way: the lock follows it.
                locks.push((key, wanted));
            }
            match begun {
                Ok(Begun::Take { take, returned }) => {
                    self.observe_units(host, limit, LeaseUnits::Returned, returned);
                    self.metrics
                        .observe(host, Event::Engine(EngineEvent::Take(limit)));
                    takes.push(Asked {
                        key,
                        lease,
                        limit,
                        take,
                    });
                }
                Ok(Begun::Elsewhere | Begun::Needless) => {}
                Err(fault) => self.metrics.observe(host, Event::Fault(fault)),
            }
        }
        for (key, wanted) in locks {
            sharing.note(key, Wanted { need: 0, ..wanted });
        }
        takes
    }

    fn dispatch(
        &self,
        sharing: &mut Sharing,
        (host, caller): (&impl CallHost, Option<StreamId>),
        takes: Vec<Asked>,
    ) {
        let engine = &sharing.engine;
        let form = sharing.form;
        let list: Vec<Take> = takes.iter().map(|asked| asked.take).collect();
        let body = resp::encode(sharing.login(), form, &list);
        let sent = Sent {
            at: host.steady(),
            wall: host.now(),
        };
        let context = (sharing.root.0, caller.map(|stream| stream.0));
        let token = host.call(context, &engine.cluster, &body, engine.timeout);
        sharing.breaker.sent();
        let call = Call { takes, sent, form };
        match token {
            Some(token) => {
                sharing.calls.insert(token, call);
            }
            None => self.fail(sharing, host, call, EngineOutcome::Unavailable, &NO_CLUSTER),
        }
    }

    /// The host reports the end of a call. The requests that are to decide again, after which
    /// [`Runtime::end_call`] must be called.
    pub fn on_call(
        &self,
        host: &impl CallHost,
        token: CallToken,
        result: CallResult<'_>,
    ) -> Vec<StreamId> {
        let Some(sharing) = &self.sharing else {
            return Vec::new();
        };
        let mut sharing = sharing.borrow_mut();
        sharing.holds_back = true;
        let Some(call) = sharing.calls.remove(&token) else {
            return Vec::new();
        };
        let keys: BTreeSet<Key> = call.takes.iter().map(|asked| asked.key).collect();
        // Requests that need more of these ask again when they have decided again.
        sharing.drop_needed(|key| keys.contains(key));
        let now = host.steady();
        match result {
            CallResult::Answered(bytes) => {
                self.read(&mut sharing, host, call, bytes);
            }
            CallResult::Refused(body) => {
                let outcome = refusal_outcome(body);
                self.fail(&mut sharing, host, call, outcome, &NO_CONNECTION);
            }
            CallResult::Reset => {
                let waited = now.since(call.sent.at);
                let is_late = waited.plus(TICK) >= sharing.engine.timeout;
                let (outcome, why) = if is_late {
                    (EngineOutcome::Timeout, &NO_ANSWER)
                } else {
                    (EngineOutcome::Unavailable, &CUT_OFF)
                };
                self.fail(&mut sharing, host, call, outcome, why);
            }
        }
        let asking = sharing.asking();
        let woken = sharing.wake(now, |waiting: &Waiting| {
            let mut keys = waiting.keys.iter().filter(|key| keys.contains(key));
            keys.any(|key| !asking.contains(key))
        });
        for id in &woken {
            if let Some(waiting) = sharing.waiting.get_mut(id) {
                waiting.has_answer = true;
            }
        }
        woken
    }

    /// The callback with the end of a call is over.
    pub fn end_call(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.borrow_mut().holds_back = false;
        }
    }

    /// Reads the answer to a call.
    fn read(&self, sharing: &mut Sharing, host: &impl CallHost, mut call: Call, bytes: &[u8]) {
        let list: Vec<Take> = call.takes.iter().map(|asked| asked.take).collect();
        let replies = match resp::decode(sharing.login(), &list, bytes) {
            Ok(replies) => replies,
            Err(error) => {
                return self.fail(sharing, host, call, EngineOutcome::of(error), &error);
            }
        };
        let error = replies.iter().find_map(|reply| reply.err());
        let answers: Vec<Option<Answer>> = replies.into_iter().map(Result::ok).collect();
        self.enter(sharing, host, &call, &answers);
        let mut answered = answers.iter().map(Option::is_some);
        call.takes.retain(|_| !answered.next().unwrap_or_default());
        match error {
            None => {
                self.metrics
                    .observe(host, Event::Engine(EngineEvent::Call(EngineOutcome::Ok)));
                sharing.form = Form::Digest;
                self.succeed(sharing, host);
            }
            Some(EngineError::NoScript) if call.form == Form::Digest => {
                // It heals with the next call.
                self.metrics.observe(
                    host,
                    Event::Engine(EngineEvent::Call(EngineOutcome::Script)),
                );
                sharing.form = Form::Text;
                self.succeed(sharing, host);
                self.ask_again(sharing, host, call.takes);
            }
            Some(error) => self.fail(sharing, host, call, EngineOutcome::of(error), &error),
        }
    }

    /// The engine is there.
    fn succeed(&self, sharing: &mut Sharing, host: &impl CallHost) {
        if sharing.breaker.succeeded() == Some(Turned::Closed) {
            self.metrics
                .observe(host, Event::Engine(EngineEvent::Open { by: -1 }));
        }
    }

    /// Enters the answers of a call.
    fn enter(
        &self,
        sharing: &mut Sharing,
        host: &impl CallHost,
        call: &Call,
        answers: &[Option<Answer>],
    ) {
        for (asked, answer) in call.takes.iter().zip(answers) {
            let Some(answer) = answer else { continue };
            let lease = asked.lease.at(host.steady());
            let (seq, sent) = (asked.take.seq, call.sent);
            let entered = self.with_counters(host, |store| {
                store.change_lease(&asked.key, host, |state, now| {
                    match lease.enter(state, (seq, sent), answer, now) {
                        Some((state, entered)) => {
                            let review = lease.review_at(&state);
                            (Some(state), Some((entered, review)))
                        }
                        None => (None, None),
                    }
                })
            });
            let Ok(Some((entered, review))) = entered else {
                continue;
            };
            sharing
                .reviews
                .set(asked.key, review, asked.lease, asked.limit);
            self.observe_units(host, asked.limit, LeaseUnits::Granted, entered.granted);
            self.observe_units(host, asked.limit, LeaseUnits::Lapsed, entered.lapsed);
            if entered.locked > Span::ZERO {
                let lock = Rule::Lock(Lock::new(entered.locked));
                // Without the record this proxy learns of the lock with its next take.
                let _ = self.with_counters(host, |store| {
                    store.force_charge(&asked.key.lock(), &lock, 1, host)
                });
            }
        }
    }

    /// A call has failed: the next call sends its takes again.
    fn fail(
        &self,
        sharing: &mut Sharing,
        host: &impl CallHost,
        call: Call,
        outcome: EngineOutcome,
        why: &dyn std::fmt::Display,
    ) {
        self.metrics
            .observe(host, Event::Engine(EngineEvent::Call(outcome)));
        let now = host.steady();
        if sharing.breaker.failed(now, now.nanos()) == Some(Turned::Open) {
            self.metrics
                .observe(host, Event::Engine(EngineEvent::Open { by: 1 }));
        }
        let is_logged = |at: SteadyTime| now.since(at) < LOG_EVERY;
        if !sharing.logged.is_some_and(is_logged) {
            sharing.logged = Some(now);
            warn!(
                "policy {}: the engine {} is unavailable: {why}",
                self.policy.name, sharing.engine.cluster
            );
        }
        self.ask_again(sharing, host, call.takes);
    }

    /// These takes are sent again: by a request that needs them, or else with the next call, since
    /// their reports must arrive.
    fn ask_again(&self, sharing: &mut Sharing, host: &impl CallHost, takes: Vec<Asked>) {
        for asked in self.give_up(host, takes) {
            sharing.note(asked.key, Wanted::of(asked.lease, asked.limit));
        }
    }

    /// Lets others send these takes again.
    fn give_up(&self, host: &impl CallHost, takes: Vec<Asked>) -> Vec<Asked> {
        for asked in &takes {
            let lease = asked.lease.at(host.steady());
            let seq = asked.take.seq;
            let given_up = self.with_counters(host, |store| {
                store.change_lease(&asked.key, host, |state, _| (lease.give_up(state, seq), ()))
            });
            if let Err(fault) = given_up {
                self.metrics.observe(host, Event::Fault(fault));
            }
        }
        takes
    }

    /// A tick: reviews leases that end soon, and sends the due takes. Returns the requests that are
    /// to decide again.
    pub fn on_share_tick(&self, host: &impl CallHost) -> Vec<StreamId> {
        let Some(sharing) = &self.sharing else {
            return Vec::new();
        };
        let now = host.steady();
        {
            let mut sharing = sharing.borrow_mut();
            sharing.drop_what_no_request_needs();
            while sharing.due.len() < DUE_MAX {
                let Some((key, lease, limit)) = sharing.reviews.pop_due(now) else {
                    break;
                };
                let wanted = Wanted {
                    is_review: true,
                    ..Wanted::of(lease, limit)
                };
                sharing.note(key, wanted);
            }
        }
        self.send(host, now, None);
        let mut sharing = sharing.borrow_mut();
        let asking = sharing.asking();
        sharing.wake(now, |waiting| {
            !waiting.keys.iter().any(|key| asking.contains(key))
        })
    }

    fn observe_units(&self, host: &impl CallHost, limit: LimitId, outcome: LeaseUnits, units: u64) {
        if units > 0 {
            self.metrics.observe(
                host,
                Event::Engine(EngineEvent::Units {
                    limit,
                    outcome,
                    units,
                }),
            );
        }
    }
}

impl Sharing {
    /// Whether there is something to ask, and it may be asked now.
    fn has_wishes(&self) -> bool {
        let has_any = !self.needed.is_empty() || !self.due.is_empty();
        has_any && !self.holds_back
    }

    /// How a connection begins.
    fn login(&self) -> Login<'_> {
        Login {
            user: self.engine.user.as_deref(),
            password: self.password.as_deref(),
            database: self.engine.database,
        }
    }
}
