//! The ledger: what this worker holds of all keys, kept in step with shared data.
//!
//! One [`Ledger::sync`] is one read, and one swap if something changed. What could not be written
//! is *unsettled* and written again at each tick; what waits is looked at again in rounds, in case
//! the message that it has its slot was lost.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::SWAP_ATTEMPTS_MAX;
use super::live::{LivePool, LivePools};
use super::membership::{Beat, Membership, RootId};
use super::page::{self, Page};
use super::rounds::Rounds;
use super::share::{Merged, Share, Wish};
use super::stream::StreamId;
use super::sweep::Sweep;
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::{SharedData, Swap};
use crate::limit::pool::{Entry, Pool};
use crate::store::key::{Key, KeyMaker};

/// Keys whose writing is tried again at one tick.
const UNSETTLED_A_TICK: usize = 256;

/// Keys with waiting streams that are looked at again at one tick: up to ten times as many have
/// their turn within a second.
const ROUNDS_A_TICK: usize = 128;

/// Ticks in which all keys with waiting streams have their turn.
const TICKS_A_ROUND: usize = 8;

#[derive(Debug)]
pub(super) struct Ledger<H> {
    pub(super) host: H,
    pub(super) membership: Membership,
    pools: LivePools,
    shares: BTreeMap<Key, Share>,
    unsettled: Rounds,
    waiting: Rounds,
    sweep: Sweep,
    ticket: u32,
    /// Streams that have come to their slot since they were last asked for.
    granted: Vec<StreamId>,
    pub(super) faults: Vec<Fault>,
}

/// Faults remembered until they are asked for.
const FAULTS_MAX: usize = 64;

impl<H: SharedData + SharedQueue> Ledger<H> {
    pub(super) fn new(host: H) -> Self {
        Self {
            host,
            membership: Membership::default(),
            pools: LivePools::default(),
            shares: BTreeMap::new(),
            unsettled: Rounds::default(),
            waiting: Rounds::default(),
            sweep: Sweep::default(),
            ticket: 0,
            granted: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Takes over a pool's numbers. More slots are given out at the next tick.
    pub(super) fn reconfigure(&mut self, identity: &[u8], keys: &KeyMaker, numbers: Pool) -> Rc<LivePool> {
        let (pool, has_more) = self.pools.reconfigure(identity, keys, numbers);
        let waits = |share: &Share| has_more && Rc::ptr_eq(&share.pool, &pool) && !share.waiting.is_empty();
        for (key, _) in self.shares.iter().filter(|(_, share)| waits(share)) {
            self.unsettled.insert(*key);
        }
        pool
    }

    /// Makes sure that nobody has buried this worker, or joins anew.
    pub(super) fn attend(&mut self, root: RootId, uptime: Span) -> Result<(), Fault> {
        if self.membership.is_in_doubt(uptime) {
            self.beat(uptime)?;
        }
        self.listen(root, uptime)
    }

    /// Hears messages through `root`; others are told of a new queue by one more beat.
    pub(super) fn listen(&mut self, root: RootId, uptime: Span) -> Result<(), Fault> {
        match self.membership.listen(&self.host, root) {
            Ok(true) => self.beat(uptime),
            Ok(false) => Ok(()),
            Err(fault) => {
                // Without messages a slot is handed over in rounds: late, but it is.
                self.note(fault);
                Ok(())
            }
        }
    }

    fn beat(&mut self, uptime: Span) -> Result<(), Fault> {
        match self.membership.beat(&self.host, uptime)? {
            Beat::Usual => {}
            Beat::Missing => self.sweep.begin(),
            Beat::Joined => {
                self.sweep.begin();
                for key in self.shares.keys() {
                    self.unsettled.insert(*key);
                }
            }
        }
        Ok(())
    }

    /// A stream asks for a slot of `key`; where it waits, its ticket's number.
    pub(super) fn enter(
        &mut self,
        pool: &Rc<LivePool>,
        key: Key,
        stream: StreamId,
        uptime: Span,
    ) -> Result<(Entry, u32), Fault> {
        let number = self.ticket;
        self.ticket = number.wrapping_add(1);
        let mut share = self.shares.remove(&key).unwrap_or_else(|| Share::new(Rc::clone(pool)));
        let wish = Wish { arrival: Some(number), expired: &[] };
        let merged = self.sync_share(key, &mut share, &wish, uptime);
        let entry = merged.as_ref().map(|merged| merged.entry.unwrap_or(Entry::Full)).map_err(|fault| *fault);
        match entry {
            Ok(Entry::Admit) => share.held = share.held.saturating_add(1),
            Ok(Entry::Wait) => {
                share.waiting.insert(number, stream);
            }
            Ok(Entry::Full) | Err(_) => {}
        }
        self.put_back(key, share);
        entry.map(|entry| (entry, number))
    }

    /// A stream gives its slot of `key` back.
    pub(super) fn release(&mut self, key: Key, uptime: Span) {
        if let Some(share) = self.shares.get_mut(&key) {
            share.held = share.held.saturating_sub(1);
            self.settle(key, uptime);
        }
    }

    /// A stream waits no longer. It may have come to its slot without knowing.
    pub(super) fn abandon(&mut self, key: Key, number: u32, uptime: Span) {
        let Some(share) = self.shares.get_mut(&key) else { return };
        if share.waiting.remove(number).is_none() {
            share.held = share.held.saturating_sub(1);
        }
        self.settle(key, uptime);
    }

    /// Takes tickets that waited too long out of the queue of `key`; those that are, where the
    /// others have come to their slot just in time. If the host fails they have waited all the same.
    pub(super) fn expire(&mut self, key: Key, numbers: &[u32], uptime: Span) -> Vec<u32> {
        let Some(mut share) = self.shares.remove(&key) else { return Vec::new() };
        let synced = self.sync_share(key, &mut share, &Wish { arrival: None, expired: numbers }, uptime);
        let expired = match synced {
            Ok(merged) => merged.expired,
            Err(fault) => {
                self.note(fault);
                self.unsettled.insert(key);
                numbers.iter().copied().filter(|number| share.waiting.contains(*number)).collect()
            }
        };
        share.waiting.remove_all(&expired);
        self.put_back(key, share);
        expired
    }

    /// Tells how it is with `key`, or notes that this is still to be told.
    pub(super) fn settle(&mut self, key: Key, uptime: Span) {
        let Some(mut share) = self.shares.remove(&key) else {
            self.unsettled.remove(key);
            return;
        };
        if let Err(fault) = self.sync_share(key, &mut share, &Wish::default(), uptime) {
            self.note(fault);
            self.unsettled.insert(key);
        }
        self.put_back(key, share);
    }

    /// What a tick does beside answering: beating, settling, rounds, sweeping.
    pub(super) fn maintain(&mut self, root: RootId, uptime: Span) {
        if self.membership.me().is_none() {
            return;
        }
        let due = self.membership.is_due(uptime);
        let beaten = if due { self.beat(uptime) } else { Ok(()) };
        if due && beaten.is_ok() {
            self.sweep.go_on();
        }
        if let Err(fault) = beaten.and_then(|()| self.listen(root, uptime)) {
            self.note(fault);
        }
        let a_turn = self.waiting.len().div_ceil(TICKS_A_ROUND).min(ROUNDS_A_TICK);
        for key in self.unsettled.next(UNSETTLED_A_TICK).into_iter().chain(self.waiting.next(a_turn)) {
            self.settle(key, uptime);
        }
        if let Err(fault) = self.sweep.step(&self.host, &mut self.membership) {
            self.note(fault);
        }
    }

    /// Streams that have come to their slot.
    pub(super) fn drain_granted(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.granted)
    }

    /// Whether a stream of this worker waits for `key`.
    pub(super) fn waits_for(&self, key: Key) -> bool {
        self.waiting.contains(key)
    }

    pub(super) fn note(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn put_back(&mut self, key: Key, share: Share) {
        if share.waiting.is_empty() {
            self.waiting.remove(key);
        } else {
            self.waiting.insert(key);
        }
        if !share.is_idle() || self.unsettled.contains(key) {
            self.shares.insert(key, share);
        }
    }

    fn sync_share(&mut self, key: Key, share: &mut Share, wish: &Wish<'_>, uptime: Span) -> Result<Merged, Fault> {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            if self.membership.is_in_doubt(uptime) {
                self.beat(uptime)?;
            }
            let me = self.membership.me().ok_or(Fault::Contended)?;
            let (bytes, version) = self.host.read(&page::key(key.page))?;
            let mut page = Page::read(bytes);
            let mut state = page.find(key.fingerprint)?;
            let merged = share.merge(&mut state, me, wish);
            if merged.is_swept {
                self.membership.disown();
                continue;
            }
            if merged.has_written && page.put(key.fingerprint, &state)? {
                match self.host.swap(&page::key(key.page), page.bytes(), version)? {
                    Swap::Done => {}
                    Swap::Conflict => continue,
                }
            }
            share.written_as = Some(me);
            for number in &merged.granted {
                share.held = share.held.saturating_add(1);
                self.granted.extend(share.waiting.remove(*number));
            }
            if merged.more {
                self.unsettled.insert(key);
            } else {
                self.unsettled.remove(key);
            }
            for worker in &merged.told {
                // A hint that is lost is made up for in rounds.
                if let Err(fault) = self.membership.send(&self.host, *worker, &message(key)) {
                    self.note(fault);
                }
            }
            return Ok(merged);
        }
        Err(Fault::Contended)
    }
}

/// A hint to look at `key`.
pub(super) fn message(key: Key) -> [u8; 12] {
    let [p0, p1, p2, p3] = key.page.to_le_bytes();
    let [f0, f1, f2, f3, f4, f5, f6, f7] = key.fingerprint.to_le_bytes();
    [p0, p1, p2, p3, f0, f1, f2, f3, f4, f5, f6, f7]
}

/// The key that a hint names; `None` for the empty message, with which a worker wakes itself.
pub(super) fn key_of(message: &[u8]) -> Option<Key> {
    let (page, rest) = message.split_first_chunk()?;
    let (fingerprint, _) = rest.split_first_chunk()?;
    Some(Key { page: u32::from_le_bytes(*page), fingerprint: u64::from_le_bytes(*fingerprint) })
}
