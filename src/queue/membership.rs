//! This worker's place on the roster: joining, beating, being heard, burying the dead.

use super::SWAP_ATTEMPTS_MAX;
use super::roster::{self, Member, Roster, Watch};
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::{QueueToken, SharedQueue};
use crate::host::shared::{SharedData, Swap};
use crate::limit::pool::WorkerId;

/// The time between two beats.
pub const BEAT: Span = Span::from_seconds(1);

/// A worker that has not beaten for so long changes nothing before it has: others may be about to
/// bury it. Longer than a few beats and shorter than [`roster::BEATS_MISSED_MAX`] of them, by more
/// than one callback takes.
const DOUBT: Span = Span::from_seconds(3);

/// The root context of a callback. A newer one has a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RootId(pub u32);

/// What a beat brought to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing.
    Usual,
    /// Another worker is gone: what it held is to be swept.
    Missing,
    /// This worker has a new number, the first or one after it was buried.
    Joined,
}

#[derive(Debug, Default)]
pub(super) struct Membership {
    me: Option<WorkerId>,
    place: Option<u16>,
    /// Whether what it wrote has been swept, so that it needs a new number.
    is_disowned: bool,
    beaten: Span,
    watched: Option<Span>,
    watch: Watch,
    /// As it was last read.
    roster: Roster,
    queue: Option<QueueToken>,
    listener: Option<RootId>,
}

impl Membership {
    /// Which worker this is; `None` until the first stream.
    pub(super) const fn me(&self) -> Option<WorkerId> {
        self.me
    }

    /// This worker's own queue, once it listens.
    pub(super) const fn queue(&self) -> Option<QueueToken> {
        self.queue
    }

    /// Whether a beat is due.
    pub(super) fn is_due(&self, uptime: Span) -> bool {
        self.me.is_none() || uptime >= self.beaten.plus(BEAT)
    }

    /// Whether this worker may have been buried.
    pub(super) fn is_in_doubt(&self, uptime: Span) -> bool {
        self.me.is_none() || self.is_disowned || uptime >= self.beaten.plus(DOUBT)
    }

    /// The next beat gives this worker a new number.
    pub(super) const fn disown(&mut self) {
        self.is_disowned = true;
    }

    /// Counts up this worker's beat, and buries those whose beat stands still. Joins if it is not on
    /// the roster.
    pub(super) fn beat<H: SharedData>(&mut self, host: &H, uptime: Span) -> Result<Beat, Fault> {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            let (bytes, version) = host.read(&roster::KEY)?;
            let mut roster = Roster::read(&bytes)?;
            // Observations are a beat apart, whatever else makes this worker beat.
            let looks = self.watched.is_none_or(|watched| uptime >= watched.plus(BEAT));
            let watch = if looks { self.watch.after(&roster) } else { self.watch.clone() };
            let me = self.me;
            roster.remove(|worker| if Some(worker) == me { self.is_disowned } else { watch.buries(worker) });
            let missing = watch.misses(&roster) || self.watch.misses(&roster);
            let joined = self.sign(&mut roster)?;
            match host.swap(&roster::KEY, &roster.bytes(), version)? {
                Swap::Conflict => {}
                Swap::Done => {
                    if looks {
                        self.watched = Some(uptime);
                    }
                    (self.watch, self.roster, self.beaten) = (watch, roster, uptime);
                    return Ok(match joined {
                        Some(member) => {
                            self.become_member(member);
                            Beat::Joined
                        }
                        None if missing => Beat::Missing,
                        None => Beat::Usual,
                    });
                }
            }
        }
        Err(Fault::Contended)
    }

    /// Enters this worker's beat and queue, or the worker itself.
    fn sign(&self, roster: &mut Roster) -> Result<Option<Member>, Fault> {
        if let Some(member) = self.me.and_then(|me| roster.find_mut(me)) {
            member.beat = member.beat.wrapping_add(1);
            member.queue = self.queue;
            return Ok(None);
        }
        let joined = roster.join(self.place)?;
        // One that was buried and finds its place free has its queue already.
        if let Some(member) = roster.find_mut(joined.worker).filter(|_| self.place == Some(joined.place)) {
            member.queue = self.queue;
        }
        Ok(Some(joined))
    }

    fn become_member(&mut self, member: Member) {
        (self.me, self.is_disowned) = (Some(member.worker), false);
        if self.place != Some(member.place) {
            (self.place, self.queue, self.listener) = (Some(member.place), None, None);
        }
    }

    /// Has `root` woken for this worker's queue if it is newer than the one that is; true where
    /// others cannot know of the queue yet. Only with a place, lest two workers listen to one queue.
    pub(super) fn listen<H: SharedQueue>(&mut self, host: &H, root: RootId) -> Result<bool, Fault> {
        let Some(place) = self.place.filter(|_| self.listener.is_none_or(|listener| root > listener)) else {
            return Ok(false);
        };
        let [low, high] = place.to_le_bytes();
        let queue = host.register(&[b's', b'g', b'q', 1, low, high])?;
        let is_new = self.queue != Some(queue);
        (self.queue, self.listener) = (Some(queue), Some(root));
        Ok(is_new)
    }

    /// No more messages come through `root`; the next callback's root listens in its place.
    pub(super) fn forget_root(&mut self, root: RootId) {
        self.listener = self.listener.filter(|listener| *listener != root);
    }

    /// Sends a hint to `worker`. One that is lost is made up for by that worker's own rounds.
    pub(super) fn send<H: SharedData + SharedQueue>(
        &mut self,
        host: &H,
        worker: WorkerId,
        message: &[u8],
    ) -> Result<(), Fault> {
        if self.roster.find(worker).is_none() {
            self.look_up(host)?;
        }
        match self.roster.find(worker).and_then(|member| member.queue) {
            Some(queue) => host.enqueue(queue, message),
            None => Ok(()),
        }
    }

    /// Whether `worker` is on the roster as it was last read.
    pub(super) fn knows(&self, worker: WorkerId) -> bool {
        self.roster.find(worker).is_some()
    }

    /// Reads the roster. Who has written something before and is not on it is dead, and will be for
    /// ever: a worker joins first and writes then, and never comes back under its number.
    pub(super) fn look_up<H: SharedData>(&mut self, host: &H) -> Result<(), Fault> {
        let (bytes, _) = host.read(&roster::KEY)?;
        self.roster = Roster::read(&bytes)?;
        Ok(())
    }
}
