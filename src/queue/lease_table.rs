//! The lease table: this worker's part of all keys, reconciled with shared data.
//!
//! One [`LeaseTable::sync`] is one read, and one swap if something changed. A key that could not be
//! written is *dirty*, and is written again at each tick. Keys with waiting streams are looked at
//! again in rounds, in case the message that a slot was granted is lost.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::live::{LivePool, LivePools};
use super::local_state::{Change, LocalState, Reconciled};
use super::membership::{Heartbeat, Membership, RootId};
use super::page::{self, PoolPage};
use super::reaper::Reaper;
use super::round_robin::RoundRobin;
use super::stream::{SlotRequest, StreamId};
use crate::base::invariant::invariant;
use crate::base::time::Span;
use crate::host::fault::Fault;
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SWAP_ATTEMPTS_MAX, SharedCell, Update};
use crate::limit::pool::{Entry, Pool, State, WorkerId};
use crate::store::key::{Key, KeyMaker};

/// Dirty keys that are written again at one tick.
const FLUSHES_A_TICK: usize = 256;

/// Keys with waiting streams that are looked at again at one tick: up to ten times as many within a
/// second.
const ROUNDS_A_TICK: usize = 128;

/// Ticks of one round over all keys with waiting streams.
const TICKS_A_ROUND: usize = 8;

#[derive(Debug)]
pub(super) struct LeaseTable<H> {
    pub(super) host: H,
    pub(super) membership: Membership,
    pools: LivePools,
    states: BTreeMap<Key, LocalState>,
    dirty: RoundRobin,
    waiting: RoundRobin,
    reaper: Reaper,
    ticket: u32,
    /// Streams that were granted a slot since the last [`Self::drain_granted`].
    granted: Vec<StreamId>,
    pub(super) faults: Vec<Fault>,
}

/// Most faults that are kept until they are drained.
const FAULTS_MAX: usize = 64;

impl<H: SharedData + SharedQueue> LeaseTable<H> {
    pub(super) fn new(host: H) -> Self {
        Self {
            host,
            membership: Membership::default(),
            pools: LivePools::default(),
            states: BTreeMap::new(),
            dirty: RoundRobin::default(),
            waiting: RoundRobin::default(),
            reaper: Reaper::default(),
            ticket: 0,
            granted: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Takes over a pool's limits. Additional slots are granted at the next tick.
    pub(super) fn reconfigure(
        &mut self,
        identity: &[u8],
        keys: &KeyMaker,
        limits: Pool,
    ) -> Rc<LivePool> {
        let (pool, has_more) = self.pools.reconfigure(identity, keys, limits);
        if has_more {
            for (key, local) in &self.states {
                if Rc::ptr_eq(&local.pool, &pool) && !local.waiting.is_empty() {
                    self.dirty.insert(*key);
                }
            }
        }
        pool
    }

    /// Makes sure that this worker is a member, and joins again if it may have been evicted.
    pub(super) fn ensure_member(&mut self, root: RootId, uptime: Span) -> Result<(), Fault> {
        if self.membership.may_be_evicted(uptime) {
            self.heartbeat(uptime)?;
        }
        self.listen(root, uptime)
    }

    /// Receives messages through `root`. One more heartbeat publishes a new queue.
    pub(super) fn listen(&mut self, root: RootId, uptime: Span) -> Result<(), Fault> {
        match self.membership.listen(&self.host, root) {
            Ok(true) => self.heartbeat(uptime),
            Ok(false) => Ok(()),
            Err(fault) => {
                // Without messages, a granted slot is found in the next round.
                self.record_fault(fault);
                Ok(())
            }
        }
    }

    fn heartbeat(&mut self, uptime: Span) -> Result<(), Fault> {
        match self.membership.heartbeat(&self.host, uptime)? {
            Heartbeat::Unchanged => {}
            Heartbeat::MemberLost => self.reaper.schedule_all(),
            Heartbeat::Joined => {
                self.reaper.schedule_all();
                for key in self.states.keys() {
                    self.dirty.insert(*key);
                }
            }
        }
        Ok(())
    }

    /// The record of `key`.
    pub(super) fn state(&self, key: Key) -> Result<State, Fault> {
        let page = SharedCell::new(&self.host, &page::key(key.page)).load()?;
        let found = PoolPage::read(page.bytes).find(key.fingerprint)?;
        Ok(found.unwrap_or_default())
    }

    /// Asks for a slot for a stream. Returns the number of its ticket as well, and the
    /// slots that are free after that.
    pub(super) fn enter(
        &mut self,
        request: &SlotRequest,
        stream: StreamId,
        uptime: Span,
    ) -> Result<(Entry, u32, u32), Fault> {
        let number = self.ticket;
        self.ticket = number.wrapping_add(1);
        let SlotRequest { pool, key, own, .. } = request;
        let key = *key;
        let mut local = self
            .states
            .remove(&key)
            .unwrap_or_else(|| LocalState::new(Rc::clone(pool)));
        local.own = *own;
        let change = Change {
            arrival: Some(number),
            expired: &[],
        };
        let reconciled = self.sync(key, &mut local, &change, uptime);
        let entry = reconciled.and_then(|reconciled| {
            let entry = invariant(reconciled.entry, "a stream that asks has an answer");
            Ok((entry.ok_or(Fault::Invariant)?, reconciled.free))
        });
        match entry {
            Ok((Entry::Admit, _)) => local.held = local.held.saturating_add(1),
            Ok((Entry::Wait, _)) => {
                local.waiting.insert(number, stream);
            }
            Ok((Entry::Full, _)) | Err(_) => {}
        }
        self.put(key, local);
        entry.map(|(entry, free)| (entry, number, free))
    }

    /// Releases a slot of `key`.
    pub(super) fn release(&mut self, key: Key, uptime: Span) {
        if let Some(local) = self.states.get_mut(&key) {
            local.held = local.held.saturating_sub(1);
            self.flush(key, uptime);
        }
    }

    /// Withdraws a ticket of `key`, or releases its slot if it has been granted meanwhile.
    pub(super) fn abandon(&mut self, key: Key, number: u32, uptime: Span) {
        let Some(local) = self.states.get_mut(&key) else {
            return;
        };
        if local.waiting.remove(number).is_none() {
            local.held = local.held.saturating_sub(1);
        }
        self.flush(key, uptime);
    }

    /// Removes tickets that waited too long from the queue of `key`. Returns those that it removed:
    /// the others were granted just in time. If the host fails, all count as removed.
    pub(super) fn expire(&mut self, key: Key, numbers: &[u32], uptime: Span) -> Vec<u32> {
        let Some(mut local) = self.states.remove(&key) else {
            return Vec::new();
        };
        let synced = self.sync(
            key,
            &mut local,
            &Change {
                arrival: None,
                expired: numbers,
            },
            uptime,
        );
        let expired = match synced {
            Ok(reconciled) => reconciled.expired,
            Err(fault) => {
                self.record_fault(fault);
                self.dirty.insert(key);
                numbers
                    .iter()
                    .copied()
                    .filter(|number| local.waiting.contains(*number))
                    .collect()
            }
        };
        local.waiting.remove_all(&expired);
        self.put(key, local);
        expired
    }

    /// Writes this worker's part of `key`, or marks the key as dirty.
    pub(super) fn flush(&mut self, key: Key, uptime: Span) {
        let Some(mut local) = self.states.remove(&key) else {
            self.dirty.remove(key);
            return;
        };
        if let Err(fault) = self.sync(key, &mut local, &Change::default(), uptime) {
            self.record_fault(fault);
            self.dirty.insert(key);
        }
        self.put(key, local);
    }

    /// The upkeep of a tick: heartbeat, dirty keys, the next part of a round, reaping.
    pub(super) fn maintain(&mut self, root: RootId, uptime: Span) {
        if self.membership.me().is_none() {
            return;
        }
        let due = self.membership.is_due(uptime);
        let last_heartbeat = if due { self.heartbeat(uptime) } else { Ok(()) };
        if due && last_heartbeat.is_ok() {
            self.reaper.schedule_some();
        }
        if let Err(fault) = last_heartbeat.and_then(|()| self.listen(root, uptime)) {
            self.record_fault(fault);
        }
        let a_turn = self
            .waiting
            .len()
            .div_ceil(TICKS_A_ROUND)
            .min(ROUNDS_A_TICK);
        for key in self
            .dirty
            .next(FLUSHES_A_TICK)
            .into_iter()
            .chain(self.waiting.next(a_turn))
        {
            self.flush(key, uptime);
        }
        if let Err(fault) = self.reaper.step(&self.host, &mut self.membership) {
            self.record_fault(fault);
        }
    }

    /// Returns the streams that were granted a slot since the last call.
    pub(super) fn drain_granted(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.granted)
    }

    /// Whether a stream of this worker waits for `key`.
    pub(super) fn waits_for(&self, key: Key) -> bool {
        self.waiting.contains(key)
    }

    pub(super) fn record_fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn put(&mut self, key: Key, local: LocalState) {
        if local.waiting.is_empty() {
            self.waiting.remove(key);
        } else {
            self.waiting.insert(key);
        }
        if !local.is_idle() || self.dirty.contains(key) {
            self.states.insert(key, local);
        }
    }

    /// Reconciles this worker's part of `key` with shared data. Nothing is written if nothing
    /// changed.
    fn sync(
        &mut self,
        key: Key,
        local: &mut LocalState,
        change: &Change<'_>,
        uptime: Span,
    ) -> Result<Reconciled, Fault> {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            if self.membership.may_be_evicted(uptime) {
                self.heartbeat(uptime)?;
            }
            let me = invariant(
                self.membership.me(),
                "a heartbeat makes this worker a member",
            );
            let me = me.ok_or(Fault::Invariant)?;
            let reconciled = reconcile_page(&self.host, key, local, me, change)?;
            if reconciled.was_evicted {
                self.membership.fence();
                continue;
            }
            local.published_as = Some(me);
            for number in &reconciled.granted {
                local.held = local.held.saturating_add(1);
                self.granted.extend(local.waiting.remove(*number));
            }
            if reconciled.more {
                self.dirty.insert(key);
            } else {
                self.dirty.remove(key);
            }
            for worker in &reconciled.notify {
                // The other worker makes up for a lost hint in its next round.
                if let Err(fault) = self.membership.send(&self.host, *worker, &message(key)) {
                    self.record_fault(fault);
                }
            }
            return Ok(reconciled);
        }
        Err(Fault::Contended)
    }
}

/// Writes `local` into the record of `key`, as the worker `me`.
fn reconcile_page<D: SharedData>(
    data: &D,
    key: Key,
    local: &LocalState,
    me: WorkerId,
    change: &Change<'_>,
) -> Result<Reconciled, Fault> {
    let page_key = page::key(key.page);
    let updated = SharedCell::new(data, &page_key).update(|bytes| {
        let mut page = PoolPage::read(bytes);
        let mut state = page.find(key.fingerprint)?.unwrap_or_default();
        let reconciled = local.reconcile(&mut state, me, change);
        let is_written = reconciled.has_written && !reconciled.was_evicted;
        if is_written && page.put(key.fingerprint, &state)? {
            return Ok(Update::Store(page.into_bytes(), reconciled));
        }
        Ok(Update::Keep(reconciled))
    });
    Ok(updated?.result)
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
    Some(Key {
        page: u32::from_le_bytes(*page),
        fingerprint: u64::from_le_bytes(*fingerprint),
    })
}
