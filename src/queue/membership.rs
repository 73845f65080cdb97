//! Group membership: join, heartbeat, message queue, eviction of dead workers.

use super::member_list::{self, FailureDetector, Member, MemberList};
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::{QueueToken, SharedQueue};
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};
use crate::limit::pool::WorkerId;

/// The time between two heartbeats.
pub const HEARTBEAT_INTERVAL: Span = Span::from_seconds(1);

/// After this time without a heartbeat, a worker changes nothing before the next one: others may be
/// about to evict it. Longer than a few heartbeats, and shorter than
/// [`member_list::HEARTBEATS_MISSED_MAX`] of them by more than one callback takes.
const EVICTABLE_AFTER: Span = Span::from_seconds(3);

/// The root context of a callback. A newer one has a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RootId(pub u32);

/// The outcome of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heartbeat {
    /// The membership is as it was.
    Unchanged,
    /// Another worker is gone: its leases and tickets are to be reaped.
    MemberLost,
    /// This worker has a new number: its first, or the one after an eviction.
    Joined,
}

#[derive(Debug, Default)]
pub(super) struct Membership {
    me: Option<WorkerId>,
    index: Option<u16>,
    /// Whether it was evicted, so that it needs a new number before it acts.
    is_fenced: bool,
    last_heartbeat: Span,
    last_observation: Option<Span>,
    detector: FailureDetector,
    /// The member list as it was last read.
    members: MemberList,
    queue: Option<QueueToken>,
    listener: Option<RootId>,
}

impl Membership {
    /// The number of this worker; `None` until the first stream.
    pub(super) const fn me(&self) -> Option<WorkerId> {
        self.me
    }

    /// This worker's own queue, once it listens.
    pub(super) const fn queue(&self) -> Option<QueueToken> {
        self.queue
    }

    /// Whether a heartbeat is due.
    pub(super) fn is_due(&self, uptime: Span) -> bool {
        self.me.is_none() || uptime >= self.last_heartbeat.plus(HEARTBEAT_INTERVAL)
    }

    /// Whether other workers may have evicted this one.
    pub(super) fn may_be_evicted(&self, uptime: Span) -> bool {
        self.me.is_none() || self.is_fenced || uptime >= self.last_heartbeat.plus(EVICTABLE_AFTER)
    }

    /// Makes the next heartbeat give this worker a new number.
    pub(super) const fn fence(&mut self) {
        self.is_fenced = true;
    }

    /// Counts up this worker's heartbeat, and evicts the members that are dead. Joins if this
    /// worker is not on the member list.
    pub(super) fn heartbeat<H: SharedData>(
        &mut self,
        host: &H,
        uptime: Span,
    ) -> Result<Heartbeat, Fault> {
        // Observations are one interval apart, however often this worker's heartbeat is due.
        let observes = self
            .last_observation
            .is_none_or(|last| uptime >= last.plus(HEARTBEAT_INTERVAL));
        let updated = SharedCell::new(host, &member_list::KEY).update(|bytes| {
            let mut members = MemberList::read(&bytes)?;
            let detector = if observes {
                self.detector.observe(&members)
            } else {
                self.detector.clone()
            };
            let me = self.me;
            members.remove(|worker| {
                if Some(worker) == me {
                    self.is_fenced
                } else {
                    detector.is_dead(worker)
                }
            });
            let has_lost =
                detector.has_lost_members(&members) || self.detector.has_lost_members(&members);
            let joined = self.publish(&mut members)?;
            Ok(Update::Store(
                members.bytes(),
                (detector, members, joined, has_lost),
            ))
        });
        let (detector, members, joined, has_lost) = updated?.result;
        if observes {
            self.last_observation = Some(uptime);
        }
        (self.detector, self.members, self.last_heartbeat) = (detector, members, uptime);
        Ok(match joined {
            Some(member) => {
                self.become_member(member);
                Heartbeat::Joined
            }
            None if has_lost => Heartbeat::MemberLost,
            None => Heartbeat::Unchanged,
        })
    }

    /// Writes this worker's heartbeat and queue into `members`, or adds the worker.
    fn publish(&self, members: &mut MemberList) -> Result<Option<Member>, Fault> {
        if let Some(member) = self.me.and_then(|me| members.find_mut(me)) {
            member.heartbeat = member.heartbeat.wrapping_add(1);
            member.queue = self.queue;
            return Ok(None);
        }
        let joined = members.join(self.index)?;
        // A worker that was evicted and gets its old index has its queue already.
        if let Some(member) = members
            .find_mut(joined.worker)
            .filter(|_| self.index == Some(joined.index))
        {
            member.queue = self.queue;
        }
        Ok(Some(joined))
    }

    fn become_member(&mut self, member: Member) {
        (self.me, self.is_fenced) = (Some(member.worker), false);
        if self.index != Some(member.index) {
            (self.index, self.queue, self.listener) = (Some(member.index), None, None);
        }
    }

    /// Lets this worker's queue wake `root` if that is newer than the present listener. True if the
    /// others cannot know of the queue yet. A worker without an index has no queue, or two workers
    /// could listen to one.
    pub(super) fn listen<H: SharedQueue>(&mut self, host: &H, root: RootId) -> Result<bool, Fault> {
        let Some(index) = self
            .index
            .filter(|_| self.listener.is_none_or(|listener| root > listener))
        else {
            return Ok(false);
        };
        let [low, high] = index.to_le_bytes();
        let queue = host.register(&[b's', b'g', b'q', 1, low, high])?;
        let is_new = self.queue != Some(queue);
        (self.queue, self.listener) = (Some(queue), Some(root));
        Ok(is_new)
    }

    /// Notes that `root` receives no more messages. The root of the next callback listens instead.
    pub(super) fn forget_root(&mut self, root: RootId) {
        self.listener = self.listener.filter(|listener| *listener != root);
    }

    /// Sends a hint to `worker`. If it is lost, that worker's rounds make up for it.
    pub(super) fn send<H: SharedData + SharedQueue>(
        &mut self,
        host: &H,
        worker: WorkerId,
        message: &[u8],
    ) -> Result<(), Fault> {
        if self.members.find(worker).is_none() {
            self.refresh(host)?;
        }
        match self.members.find(worker).and_then(|member| member.queue) {
            Some(queue) => host.enqueue(queue, message),
            None => Ok(()),
        }
    }

    /// Whether `worker` is on the member list as it was last read.
    pub(super) fn contains(&self, worker: WorkerId) -> bool {
        self.members.find(worker).is_some()
    }

    /// Reads the member list. A worker that has written before and is not on it is dead for ever:
    /// it joins before it writes, and never returns under its number.
    pub(super) fn refresh<H: SharedData>(&mut self, host: &H) -> Result<(), Fault> {
        let (bytes, _) = host.read(&member_list::KEY)?;
        self.members = MemberList::read(&bytes)?;
        Ok(())
    }
}
