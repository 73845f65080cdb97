//! A request's turn: the slots that it needs, and what waits for them.

use std::cell::RefCell;
use std::rc::Rc;

use super::runtime::Runtime;
use crate::base::id::{IdVec, PoolId};
use crate::base::invariant::invariant;
use crate::base::time::Span;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Uptime;
use crate::observe::access_log;
use crate::policy::Policy;
use crate::queue::live::LivePool;
use crate::queue::membership::RootId;
use crate::queue::stream::{Admission, Ask, Refusal, StreamId};
use crate::queue::worker::Worker;
use crate::reply::local::ReplyContext;
use crate::request::checks::part_value;
use crate::request::head::Request;
use crate::request::identify::Caller;

/// The pools of a policy at work.
#[derive(Debug)]
pub(super) struct Pools<D> {
    /// The one of this VM, whatever policies it serves.
    pub(super) worker: Rc<RefCell<Worker<D>>>,
    /// Through whose callbacks this policy's streams come.
    pub(super) root: RootId,
    /// One for each pool of the policy.
    pub(super) live: IdVec<PoolId, Rc<LivePool>>,
}

/// A request that needs slots.
#[derive(Debug)]
pub(super) struct Turn {
    /// The pools, in the order in which they are asked.
    pub(super) pools: Vec<PoolId>,
    /// What a refusal needs of the request's head, which is gone by then.
    pub(super) told: ReplyContext,
    /// The lines of refusals for the access log, one for each pool.
    lines: Vec<String>,
    /// When it came.
    pub(super) since: Span,
    /// Whether its body was read before, for which it pays whatever becomes of it.
    pub(super) paid: bool,
}

/// The slots that a held request asks for when its body has passed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) turn: Turn,
    pub(super) asks: Vec<Ask>,
}

impl Turn {
    /// Of a request that came at `since`, and does not go on at once.
    pub(super) fn of(
        policy: &Policy,
        pools: &[PoolId],
        request: &Request,
        caller: &Caller<'_>,
        noise: u64,
        since: Span,
    ) -> Self {
        let name = |pool: &PoolId| policy.pools.get(*pool).map_or("", |pool| &*pool.scope.name);
        let line = |pool: &PoolId| access_log::refused(policy, Some(name(pool)), request.tier, caller);
        let lines = pools.iter().filter_map(line).collect();
        Self { pools: pools.to_vec(), told: ReplyContext::of(request, noise), lines, since, paid: false }
    }

    /// The same of a request whose body was read before it came to its turn.
    pub(super) fn after_body(self, since: Span) -> Self {
        Self { since, paid: true, ..self }
    }

    /// The pool that refused, and the line for the access log.
    pub(super) fn refused(&self, refusal: Refusal) -> (Option<PoolId>, Option<&str>) {
        let pool = invariant(self.pools.get(refusal.ask), "a refusal names a pool that was asked");
        (pool.copied(), self.lines.get(refusal.ask).map(String::as_str))
    }
}

/// The slots that a request to which these pools apply needs, and of which pools; `None` if it needs none.
pub(super) fn asks<D: SharedData + SharedQueue>(
    runtime: &Runtime<D>,
    pools: &[PoolId],
    request: &Request,
    caller: &Caller<'_>,
) -> Option<(Vec<PoolId>, Vec<Ask>)> {
    let Pools { worker, live, .. } = runtime.pools.as_ref()?;
    let policy = &runtime.policy;
    let worker = worker.borrow();
    let (mut asks, mut asked) = (Vec::with_capacity(pools.len()), Vec::with_capacity(pools.len()));
    for id in pools {
        let (Some(pool), Some(limit)) = (live.get(*id), policy.pools.get(*id)) else { continue };
        let mut key = worker.key(pool);
        for part in &limit.scope.per {
            key.push(part_value(&limit.scope, part, request, caller, policy));
        }
        asks.push(Ask { pool: Rc::clone(pool), key: key.finish(), failure: limit.scope.failure });
        asked.push(*id);
    }
    (!asks.is_empty()).then_some((asked, asks))
}

/// Asks for all of them.
pub(super) fn arrive<D: SharedData + SharedQueue>(
    runtime: &Runtime<D>,
    stream: StreamId,
    asks: Vec<Ask>,
    host: &impl Uptime,
) -> Admission {
    match &runtime.pools {
        Some(Pools { worker, root, .. }) => worker.borrow_mut().acquire(*root, stream, asks, host.uptime()),
        None => Admission::Admit,
    }
}
