//! Limits that all proxies share: the requests that wait for the engine, and the calls to it.
//!
//! ```text
//!   request ─ lacks units ─▶ needed ┐                  ┌▶ answer ▶ entered ▶ requests decide
//!   request ─ lease is low ▶ due ───┼ one call for all ┤
//!   tick ──── lease ends ──▶ due ───┘   (64 takes)     └▶ fault ─▶ asked again, or without it
//! ```
//!
//! All of this is one worker's. The leases are in shared data, so a worker uses what another one
//! took, and waits if another one asks: until the next tick, which is at most 20 ms away.
//!
//! Bounded: a worker remembers `DUE_MAX` leases to report to the engine, and `REVIEWS_MAX` that it
//! took. A forgotten lease lapses, which is safe. A request waits for two timeouts at most.

mod breaker;
mod calls;
mod decide;
mod pace;
mod wanted;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use breaker::Breaker;
pub use calls::CallResult;
use wanted::{Reviews, Wanted, wanted};

use super::runtime::Runtime;
use crate::base::id::{CounterOwner, LimitId};
use crate::base::time::{Span, SteadyTime};
use crate::fleet::redis::resp::Form;
use crate::fleet::take::{ProxyId, Take};
use crate::host::shared::SharedData;
use crate::host::stream::{CallToken, Clock, EngineCalls, Meter};
use crate::limit::Rule;
use crate::limit::lease::{Lease, Sent};
use crate::observe::{EngineEvent, Event};
use crate::policy::engine::Engine;
use crate::queue::membership::RootId;
use crate::queue::stream::StreamId;
use crate::store::key::{Key, Secret};
use crate::store::{LimitCheck, Locked};

/// The period of ticks.
pub const TICK: Span = Span::from_nanos(20_000_000);

/// The same while more requests are to decide again than one callback lets go on.
const BACKLOG_TICK: Span = Span::from_nanos(1_000_000);

/// Most leases that wait for the next call without a request that waits for them.
const DUE_MAX: usize = 4_096;

/// Most counters of which requests lack units: further requests do without the engine.
const NEEDED_MAX: usize = 4_096;

/// Most leases that a worker renews or returns.
const REVIEWS_MAX: usize = 65_536;

/// Most requests that one callback lets go on: see [`crate::queue::worker::ACTIONS_MAX`].
const WAKES_MAX: usize = crate::queue::worker::ACTIONS_MAX;

/// Most calls of which one request waits for the answers.
const ROUNDS_MAX: u8 = 3;

/// The ports for calls to the engine.
pub trait CallHost: Clock + Meter + EngineCalls {}

impl<T: Clock + Meter + EngineCalls> CallHost for T {}

/// The calls of one worker to the engine for one policy.
#[derive(Debug)]
pub(super) struct Sharing {
    engine: Engine,
    password: Option<Box<str>>,
    proxy: ProxyId,
    root: RootId,
    /// Takes that requests wait for.
    needed: BTreeMap<Key, Wanted>,
    /// Takes that no request waits for.
    due: BTreeMap<Key, Wanted>,
    /// The place at which the next call continues in these two, so that no key is always the last.
    cursor: Option<Key>,
    calls: BTreeMap<CallToken, Call>,
    waiting: BTreeMap<StreamId, Waiting>,
    reviews: Reviews,
    breaker: Breaker,
    /// Whether calls wait for the next tick: within the callback with the end of a call, Envoy
    /// would give a new one the connection that the engine is about to close.
    holds_back: bool,
    /// Whether more requests are to decide again than one callback lets go on.
    has_backlog: bool,
    /// How the next call names the script.
    form: Form,
    /// The time of the last log line about a failure of the engine.
    logged: Option<SteadyTime>,
}

/// A call on its way.
#[derive(Debug)]
struct Call {
    takes: Vec<Asked>,
    sent: Sent,
    form: Form,
}

/// One take of a call.
#[derive(Clone, Copy, Debug)]
struct Asked {
    key: Key,
    lease: Lease,
    limit: LimitId,
    take: Take,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    keys: Vec<Key>,
    since: SteadyTime,
    until: SteadyTime,
    /// Whether a call of this worker for it has ended.
    has_answer: bool,
}

/// How far a request has got with the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AskState {
    /// Until when it may wait; `None` if it has not waited.
    until: Option<SteadyTime>,
    pub(super) rounds: u8,
    /// Whether the request has no body.
    pub(super) ends: bool,
    /// Bytes of the body that the host has kept meanwhile.
    kept: usize,
}

impl AskState {
    /// The host has kept this much of the body.
    pub(super) const fn note_body(&mut self, size: usize) {
        self.kept = size;
    }

    /// Whether the request has waited for the engine.
    pub(super) const fn has_waited(&self) -> bool {
        self.until.is_some()
    }
}

impl Sharing {
    pub(super) fn new(
        engine: Engine,
        password: Option<Box<str>>,
        secret: &Secret,
        root: RootId,
    ) -> Self {
        Self {
            engine,
            password,
            proxy: proxy_id(secret),
            root,
            needed: BTreeMap::new(),
            due: BTreeMap::new(),
            cursor: None,
            calls: BTreeMap::new(),
            waiting: BTreeMap::new(),
            reviews: Reviews::default(),
            breaker: Breaker::default(),
            holds_back: false,
            has_backlog: false,
            form: Form::Digest,
            logged: None,
        }
    }

    /// Whether a request that has come this far may wait for the engine.
    fn may_ask(&self, asked: AskState, now: SteadyTime) -> bool {
        let has_time = asked.until.is_none_or(|until| now < until);
        let has_room = self.needed.len() < NEEDED_MAX;
        has_time && has_room && asked.rounds < ROUNDS_MAX && self.breaker.allows(now)
    }

    /// Notes a lease to report to the engine with the next call.
    fn note(&mut self, key: Key, wanted: Wanted) {
        if let Some(known) = self.needed.get_mut(&key).or_else(|| self.due.get_mut(&key)) {
            known.merge(wanted);
        } else if self.due.len() < DUE_MAX {
            self.due.insert(key, wanted);
        }
    }

    /// Notes that a request lacks units.
    fn need(&mut self, key: Key, wanted: Wanted) {
        let due = self.due.remove(&key);
        let known = self
            .needed
            .entry(key)
            .or_insert(Wanted { need: 0, ..wanted });
        known.merge(wanted);
        if let Some(due) = due {
            known.merge(due);
        }
    }

    /// The purpose of the next take of a call with this many, and whether a request needs it. Every
    /// fourth place is kept for takes that no request needs.
    fn next_wanted(&mut self, takes: usize) -> Option<(Key, Wanted, bool)> {
        let is_reserved = takes & 3 == 3 && !self.due.is_empty();
        let is_needed = !is_reserved && !self.needed.is_empty();
        let wishes = if is_needed {
            &mut self.needed
        } else {
            &mut self.due
        };
        let after = |key: Key| (Bound::Excluded(key), Bound::Unbounded);
        let next = self.cursor.and_then(|key| wishes.range(after(key)).next());
        let key = *next.or_else(|| wishes.iter().next())?.0;
        self.cursor = Some(key);
        Some((key, wishes.remove(&key)?, is_needed))
    }

    /// No request needs these any more. The engine still learns of a lock that begins with them.
    fn drop_needed(&mut self, is_dropped: impl Fn(&Key) -> bool) {
        let dropped = self.needed.extract_if(.., |key, _| is_dropped(key));
        let locks = dropped.filter(|(_, wanted)| wanted.lock > Span::ZERO);
        let locks: Vec<(Key, Wanted)> = locks.collect();
        for (key, wanted) in locks {
            self.note(key, Wanted { need: 0, ..wanted });
        }
    }

    /// Drops the needs of requests that are gone.
    fn drop_what_no_request_needs(&mut self) {
        let waiting = self.waiting.values().flat_map(|waiting| &waiting.keys);
        let waiting: BTreeSet<Key> = waiting.copied().collect();
        self.drop_needed(|key| !waiting.contains(key));
    }

    /// The requests that wait and are to decide again: those of `keys`, or those whose answer
    /// another worker may have entered meanwhile.
    fn wake(&mut self, now: SteadyTime, is_answered: impl Fn(&Waiting) -> bool) -> Vec<StreamId> {
        let ready = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.until <= now || is_answered(waiting));
        let mut ready: Vec<StreamId> = ready
            .map(|(id, _)| *id)
            .take(WAKES_MAX.saturating_add(1))
            .collect();
        self.has_backlog = ready.len() > WAKES_MAX;
        ready.truncate(WAKES_MAX);
        ready
    }

    /// The keys that this worker itself is about to ask for, or has asked.
    fn asking(&self) -> BTreeSet<Key> {
        let calls = self.calls.values().flat_map(|call| &call.takes);
        let asked = calls.map(|asked| asked.key);
        asked.chain(self.needed.keys().copied()).collect()
    }
}

/// Another number for each life of the proxy, as its secret is.
fn proxy_id(secret: &Secret) -> ProxyId {
    use std::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher13::new_with_key(secret);
    hasher.write(b"engine");
    ProxyId(hasher.finish())
}

impl<D: SharedData> Runtime<D> {
    /// Whether the policy has limits that all proxies share. If so, [`Runtime::share`] must be
    /// called.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.policy.engine.is_some()
    }

    /// Starts to share limits by calls in callbacks of `root`. `password` is that of the engine.
    pub fn share(&mut self, root: RootId, password: Option<Box<str>>) {
        if let Some(engine) = self.policy.engine.clone() {
            let secret = *self.store.borrow().secret();
            let sharing = Sharing::new(engine, password, &secret, root);
            self.sharing = Some(sharing.into());
        }
    }

    /// How long until the next tick should come; `None` if no limit is shared.
    #[must_use]
    pub fn share_period(&self) -> Option<Span> {
        let sharing = self.sharing.as_ref()?.borrow();
        Some(if sharing.has_backlog {
            BACKLOG_TICK
        } else {
            TICK
        })
    }

    /// Whether a request may wait for the engine.
    pub(super) fn may_ask(&self, asked: AskState, now: SteadyTime) -> bool {
        let sharing = self.sharing.as_ref();
        sharing.is_some_and(|sharing| sharing.borrow().may_ask(asked, now))
    }

    /// Lets a request wait for the units that its checks lack.
    pub(super) fn ask(
        &self,
        host: &impl CallHost,
        stream: StreamId,
        asked: &mut AskState,
        checks: &[LimitCheck],
    ) {
        let Some(sharing) = &self.sharing else { return };
        let now = host.steady();
        {
            let mut sharing = sharing.borrow_mut();
            let timeout = sharing.engine.timeout;
            let until = *asked.until.get_or_insert(now.after(timeout.times(2)));
            let mut keys = Vec::new();
            for check in checks.iter().filter(|check| check.lacks) {
                if let Some((key, wanted)) = wanted(check, check.cost.units()) {
                    sharing.need(key, wanted);
                    keys.push(key);
                    self.metrics
                        .observe(host, Event::Engine(EngineEvent::Wait(wanted.limit)));
                }
            }
            let since = now;
            sharing.waiting.insert(
                stream,
                Waiting {
                    keys,
                    since,
                    until,
                    has_answer: false,
                },
            );
        }
        self.send(host, now, Some(stream));
    }

    /// Notes the leases of these decided checks that the engine needs a report of. It is asked at
    /// once for a lease that is all but used up.
    pub(super) fn note_due(&self, host: &impl CallHost, stream: StreamId, checks: &[LimitCheck]) {
        let Some(sharing) = &self.sharing else { return };
        for check in checks {
            let locks = check.locked == Locked::ByThis;
            if (check.is_due || locks)
                && let Some((key, mut wanted)) = wanted(check, 0)
            {
                if locks {
                    wanted.lock = check.lock.map_or(Span::ZERO, |lock| lock.span());
                }
                sharing.borrow_mut().note(key, wanted);
            }
        }
        if checks.iter().any(|check| check.is_urgent) {
            self.send(host, host.steady(), Some(stream));
        }
    }

    /// Notes that a counter was charged or refunded late.
    pub(super) fn note_change(&self, owner: CounterOwner, key: Key, rule: &Rule) {
        if let (Some(sharing), Rule::Lease(lease), CounterOwner::Limit(limit)) =
            (&self.sharing, rule, owner)
        {
            let wanted = Wanted::of(*lease, limit);
            sharing.borrow_mut().note(key, wanted);
        }
    }

    /// A stream has ended, or continues. Returns whether a call for it has ended.
    pub(super) fn stop_waiting(&self, host: &impl CallHost, stream: StreamId) -> bool {
        let sharing = self.sharing.as_ref();
        let waited = sharing.and_then(|sharing| sharing.borrow_mut().waiting.remove(&stream));
        let has_answer = waited.as_ref().is_some_and(|waiting| waiting.has_answer);
        if let Some(Waiting { since, .. }) = waited {
            let span = host.steady().since(since);
            self.metrics
                .observe(host, Event::Engine(EngineEvent::Waited(span)));
        }
        has_answer
    }
}
