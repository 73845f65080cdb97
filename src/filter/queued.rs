//! The slots of pools: a request acquires them, waits for them, and releases them.

use std::cell::RefCell;
use std::rc::Rc;

use super::admit::Head;
use super::phase::{Effect, Event};
use super::settle::{Changed, StreamCx};
use super::stream::{Flow, StreamState};
use crate::base::id::{IdVec, PoolId};
use crate::base::invariant::invariant;
use crate::base::time::Span;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::Enforcement;
use crate::observe::access_log::Line;
use crate::observe::{DecisionLabel, Event as Observed, Refund, Shadowed};
use crate::policy::Policy;
use crate::policy::pools::PoolLimit;
use crate::queue::live::LivePool;
use crate::queue::membership::RootId;
use crate::queue::stream::{Admission, Answer, Note, SlotRequest, StreamId};
use crate::queue::worker::Worker;
use crate::reply::addressee::ReplyContext;
use crate::reply::fields::PoolStatus;
use crate::request::checks::part_value;
use crate::store::key::Key;

/// The pools of a policy that is enforced.
#[derive(Debug)]
pub(super) struct Pools<D> {
    /// The worker of this VM, the same for all policies.
    pub(super) worker: Rc<RefCell<Worker<D>>>,
    /// The root that this policy's streams are under.
    pub(super) root: RootId,
    pub(super) live: IdVec<PoolId, Rc<LivePool>>,
}

/// A request that does not get its slots at once.
#[derive(Debug, Default)]
pub(super) struct Queued {
    /// The pools, in the order in which they are asked.
    pub(super) pools: Vec<QueuedPool>,
    /// The data of the request head for a refusal, since the head is gone by then.
    pub(super) context: ReplyContext,
    /// When the request asked for its slots.
    since: Span,
    /// The pools in shadow, which were asked before.
    pub(super) shadows: usize,
    /// Whether the body was read before. Then the request pays even if a pool refuses it.
    body_was_read: bool,
}

/// One pool that a request needs a slot of.
#[derive(Debug)]
pub(super) struct QueuedPool {
    pub(super) id: PoolId,
    /// The line for the access log if this pool refuses the request, or would.
    pub(super) line: Option<String>,
}

/// The slots that a held request asks for once its body has been read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) queued: Queued,
    pub(super) slots: Slots,
}

/// The slots that a request asks for.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The pools in shadow, which are asked first.
    pub(super) shadows: Vec<QueuedPool>,
    requests: Vec<SlotRequest>,
}

impl QueuedPool {
    fn of(policy: &Policy, id: PoolId, decision: DecisionLabel, head: Head<'_>) -> Self {
        let limit = policy.pools.get(id).map(|limit| &*limit.scope.name);
        let line = Line {
            decision,
            limit,
            tier: head.request.tier,
            engine: None,
            caller: head.caller,
        };
        Self {
            id,
            line: line.to_text(policy),
        }
    }
}

impl Queued {
    /// A request that asks for slots of these pools at `since`, and before that of this number of
    /// pools in shadow.
    pub(super) fn of(
        policy: &Policy,
        (pools, shadows): (&[PoolStatus], usize),
        head: Head<'_>,
        since: Span,
    ) -> Self {
        let refused =
            |status: &PoolStatus| QueuedPool::of(policy, status.pool, DecisionLabel::Refused, head);
        Self {
            pools: pools.iter().map(refused).collect(),
            context: ReplyContext::of(head.request, head.caller, policy, head.now.nanos()),
            since,
            shadows,
            body_was_read: false,
        }
    }

    /// The pool that refused a slot.
    pub(super) fn refusing(&self, request: usize) -> Option<&QueuedPool> {
        self.pools.get(request.checked_sub(self.shadows)?)
    }
}

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// The pools that may refuse the request, in their order, and the slots that it needs; `None`
    /// if it needs none.
    pub(super) fn slots(&self, head: Head<'_>) -> Option<(Vec<PoolStatus>, Slots)> {
        let running = self.runtime.pools.as_ref()?;
        if head.pools.is_empty() {
            return None;
        }
        let policy = &self.runtime.policy;
        let pools = self.pool_statuses(head);
        let mut slots = Slots {
            shadows: Vec::new(),
            requests: Vec::with_capacity(head.pools.len()),
        };
        for enforcement in [Enforcement::Shadow, Enforcement::Enforce] {
            for id in head.pools {
                let found = running.live.get(*id).zip(policy.pools.get(*id));
                let Some((pool, limit)) = invariant(found, "every pool of a policy runs with it")
                    .filter(|(_, limit)| limit.enforcement == enforcement)
                else {
                    continue;
                };
                if enforcement == Enforcement::Shadow {
                    let shadow = QueuedPool::of(policy, *id, DecisionLabel::WouldRefuse, head);
                    slots.shadows.push(shadow);
                }
                slots.requests.push(SlotRequest {
                    pool: Rc::clone(pool),
                    own: limit.own(|attribute| head.caller.selected(attribute)),
                    key: self.slot_key(running, pool, limit, head),
                    failure: limit.scope.failure,
                    enforcement,
                });
            }
        }
        (!slots.requests.is_empty()).then_some((pools, slots))
    }

    /// The key of the slots of a request in a pool.
    fn slot_key(
        &self,
        running: &Pools<D>,
        pool: &LivePool,
        limit: &PoolLimit,
        head: Head<'_>,
    ) -> Key {
        let (policy, scope) = (&self.runtime.policy, &limit.scope);
        let mut key = running.worker.borrow().key(pool);
        for part in &scope.per {
            key.push(part_value(scope, part, head.request, head.caller, policy));
        }
        key.finish()
    }

    /// Asks for all slots that a request needs. `pools` are those that may refuse it, which learn
    /// how many slots are free.
    pub(super) fn acquire(
        &self,
        stream: StreamId,
        slots: Slots,
        pools: &mut [PoolStatus],
    ) -> Admission {
        let Some(Pools { worker, root, .. }) = &self.runtime.pools else {
            return Admission::Admit;
        };
        let Slots { shadows, requests } = slots;
        let uptime = self.host.uptime();
        let mut worker = worker.borrow_mut();
        let admission = worker.acquire(*root, stream, requests, uptime);
        for note in worker.notes() {
            match *note {
                Note::Granted { request, free } => {
                    let place = request.checked_sub(shadows.len());
                    if let Some(pool) = place.and_then(|place| pools.get_mut(place)) {
                        pool.free = Some(free);
                    }
                }
                Note::WouldRefuse { request } => {
                    if let Some(shadow) = shadows.get(request) {
                        self.observe(Observed::WouldRefuse(Shadowed::Pool(shadow.id)));
                        self.log_refusal(shadow.line.as_deref());
                    }
                }
            }
        }
        admission
    }

    /// Acts on the answer of the pools to a request that was forwarded so far.
    pub(super) fn enqueue(
        &self,
        stream: &mut StreamState,
        queued: Queued,
        admission: Admission,
    ) -> Flow {
        match admission {
            Admission::Admit => Flow::Continue,
            Admission::Wait => {
                self.observe_waiting(&queued, 1);
                stream.on(Event::Wait(Box::new(queued)));
                Flow::Wait
            }
            Admission::Refuse(denial) => {
                let Effect::Settle(forwarded) = stream.on(Event::Refuse) else {
                    return Flow::Continue;
                };
                self.refuse_queued(stream, forwarded, &queued, denial)
            }
        }
    }

    /// Asks for the slots of a request whose held body has been read.
    pub(super) fn enter_held(&self, stream: &mut StreamState, entry: Entry) -> Flow {
        let Entry { mut queued, slots } = entry;
        queued.since = self.host.uptime();
        queued.body_was_read = true;
        let id = stream.id;
        let forwarded = stream.phase_mut().forwarded_mut();
        let pools = forwarded.map_or(&mut [][..], |forwarded| &mut forwarded.pools);
        let admission = self.acquire(id, slots, pools);
        self.enqueue(stream, queued, admission)
    }

    /// The queue answers a request that waits. Returns whether the request continues.
    pub(super) fn leave_queue(&self, stream: &mut StreamState, answer: Answer) -> bool {
        match answer {
            Answer::Resume => {
                let Effect::LeaveQueue(queued) = stream.on(Event::Grant) else {
                    return false;
                };
                self.observe_waiting(&queued, -1);
                // It had to wait for the first slot that it did not get at once: the last one.
                if let Some(forwarded) = stream.phase_mut().forwarded_mut()
                    && let Some(pool) = forwarded.pools.iter_mut().find(|pool| pool.free.is_none())
                {
                    pool.free = Some(0);
                }
                if stream.body.as_ref().is_none_or(|body| body.has_passed()) {
                    self.observe_admission(stream);
                }
                true
            }
            Answer::Refuse(denial) => {
                let Effect::Abandon(forwarded, queued) = stream.on(Event::Expire) else {
                    return false;
                };
                self.observe_waiting(&queued, -1);
                self.refuse_queued(stream, forwarded, &queued, denial);
                false
            }
        }
    }

    /// The request ends while it waits.
    pub(super) fn abandon(&self, stream: &mut StreamState, queued: &Queued) -> Vec<Changed> {
        self.observe_waiting(queued, -1);
        self.release_slots(stream.id);
        stream.body = None;
        self.settle_queued(stream, queued, Refund::QueueLeft)
    }

    /// Refunds everything to a request that never gets its slots, unless its body was read.
    pub(super) fn settle_queued(
        &self,
        stream: &mut StreamState,
        queued: &Queued,
        why: Refund,
    ) -> Vec<Changed> {
        if queued.body_was_read {
            self.observe_charges(stream);
            stream.charges.refund_seats(self);
            return stream.charges.settle_refused(self, None);
        }
        stream.admission.clear();
        stream.usage.clear();
        stream.charges.cancel(self, why)
    }

    /// Releases the stream's slots, or its places in queues, if it has any.
    pub(super) fn release_slots(&self, stream: StreamId) {
        if let Some(pools) = &self.runtime.pools {
            pools
                .worker
                .borrow_mut()
                .release(stream, self.host.uptime());
        }
    }

    fn observe_waiting(&self, queued: &Queued, by: i64) {
        for QueuedPool { id, .. } in &queued.pools {
            self.observe(Observed::Waiting { pool: *id, by });
            if by < 0 {
                self.observe(Observed::Waited {
                    pool: *id,
                    span: self.host.uptime().less(queued.since),
                });
            }
        }
    }
}
