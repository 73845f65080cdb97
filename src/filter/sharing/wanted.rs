//! The takes to send to the engine, and the times at which leases are reviewed.

use std::collections::{BTreeMap, BTreeSet};

use super::REVIEWS_MAX;
use crate::base::id::{CounterOwner, LimitId};
use crate::base::time::{Span, SteadyTime};
use crate::limit::Rule;
use crate::limit::lease::Lease;
use crate::store::LimitCheck;
use crate::store::key::Key;

/// A counter that the engine is to be asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) lease: Lease,
    pub(super) limit: LimitId,
    /// Units that requests of this worker lack.
    pub(super) need: u64,
    /// Whether the lease ends soon.
    pub(super) is_review: bool,
    /// The lock that begins with it.
    pub(super) lock: Span,
}

/// The leases that this worker took, by when they are looked at again.
#[derive(Debug, Default)]
pub(super) struct Reviews {
    leases: BTreeMap<Key, (SteadyTime, Lease, LimitId)>,
    times: BTreeSet<(SteadyTime, Key)>,
}

impl Reviews {
    pub(super) fn set(&mut self, key: Key, at: Option<SteadyTime>, lease: Lease, limit: LimitId) {
        if let Some((before, ..)) = self.leases.remove(&key) {
            self.times.remove(&(before, key));
        }
        if let Some(at) = at
            && self.leases.len() < REVIEWS_MAX
        {
            self.leases.insert(key, (at, lease, limit));
            self.times.insert((at, key));
        }
    }

    pub(super) fn pop_due(&mut self, now: SteadyTime) -> Option<(Key, Lease, LimitId)> {
        let (_, key) = *self.times.first().filter(|(at, _)| *at <= now)?;
        self.times.pop_first();
        let (_, lease, limit) = self.leases.remove(&key)?;
        Some((key, lease, limit))
    }
}

impl Wanted {
    pub(super) fn merge(&mut self, other: Self) {
        self.lease = other.lease;
        self.need = self.need.saturating_add(other.need);
        self.is_review &= other.is_review;
        self.lock = self.lock.max(other.lock);
    }
}

impl Wanted {
    pub(super) const fn of(lease: Lease, limit: LimitId) -> Self {
        Self {
            lease,
            limit,
            need: 0,
            is_review: false,
            lock: Span::ZERO,
        }
    }
}

/// The counter of a check that all proxies share.
pub(super) fn wanted(check: &LimitCheck, need: u64) -> Option<(Key, Wanted)> {
    let (Rule::Lease(lease), CounterOwner::Limit(limit)) = (&check.rule, check.owner) else {
        return None;
    };
    let wanted = Wanted {
        need,
        ..Wanted::of(*lease, limit)
    };
    Some((check.key, wanted))
}
