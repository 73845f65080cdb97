//! The slots of pools: a request acquires them, waits for them, and releases them.

use std::cell::RefCell;
use std::rc::Rc;

use super::admit::Head;
use super::phase::{Effect, Event};
use super::settle::{Changed, StreamCx};
use super::stream::{Flow, StreamState};
use crate::base::id::{IdVec, PoolId};
use crate::base::time::Span;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::access_log::Line;
use crate::observe::{DecisionLabel, Event as Observed, Refund};
use crate::policy::Policy;
use crate::queue::live::LivePool;
use crate::queue::membership::RootId;
use crate::queue::stream::{Admission, Answer, SlotRequest, StreamId};
use crate::queue::worker::Worker;
use crate::reply::addressee::ReplyContext;
use crate::reply::fields::PoolStatus;

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
    /// What a refusal needs of the request head, which is gone by then.
    pub(super) context: ReplyContext,
    /// When the request asked for its slots.
    since: Span,
    /// Whether the body was read before. Then the request pays even if a pool refuses it.
    body_was_read: bool,
}

/// One pool that a request needs a slot of.
#[derive(Debug)]
pub(super) struct QueuedPool {
    pub(super) id: PoolId,
    /// The line for the access log if this pool refuses the request.
    pub(super) line: Option<String>,
}

/// The slots that a held request asks for once its body has been read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) queued: Queued,
    pub(super) requests: Vec<SlotRequest>,
}

impl Queued {
    /// A request that asks for slots of these pools at `since`.
    pub(super) fn of(policy: &Policy, pools: &[PoolStatus], head: Head<'_>, since: Span) -> Self {
        let mut queued = Self {
            pools: Vec::with_capacity(pools.len()),
            context: ReplyContext::of(head.request, head.caller, policy, head.now.nanos()),
            since,
            body_was_read: false,
        };
        for status in pools {
            let limit = policy
                .pools
                .get(status.pool)
                .map(|limit| &*limit.scope.name);
            let line = Line {
                decision: DecisionLabel::Refused,
                limit,
                tier: head.request.tier,
                caller: head.caller,
            };
            queued.pools.push(QueuedPool {
                id: status.pool,
                line: line.to_text(policy),
            });
        }
        queued
    }
}

impl<D: SharedData + SharedQueue, H: Host> StreamCx<'_, D, H> {
    /// Asks for all slots that a request needs.
    pub(super) fn acquire(&self, stream: StreamId, requests: Vec<SlotRequest>) -> Admission {
        match &self.runtime.pools {
            Some(Pools { worker, root, .. }) => {
                worker
                    .borrow_mut()
                    .acquire(*root, stream, requests, self.host.uptime())
            }
            None => Admission::Admit,
        }
    }

    /// Acts on what the pools said to a request that was forwarded so far.
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
        let Entry {
            mut queued,
            requests,
        } = entry;
        queued.since = self.host.uptime();
        queued.body_was_read = true;
        let admission = self.acquire(stream.id, requests);
        self.enqueue(stream, queued, admission)
    }

    /// The queue answers a request that waits. Returns whether the request goes on.
    pub(super) fn leave_queue(&self, stream: &mut StreamState, answer: Answer) -> bool {
        match answer {
            Answer::Resume => {
                let Effect::LeaveQueue(queued) = stream.on(Event::Grant) else {
                    return false;
                };
                self.observe_waiting(&queued, -1);
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
