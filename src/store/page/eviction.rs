//! Counters on a page, and which of them a full page evicts.
//!
//! A page holds at most as many records as the policy's `keys_max` gives it. Idle records go before
//! it is full, since that changes nothing. A full one without idle records evicts the record whose
//! eviction gains its caller the least, which is counted. Each limit has its share of the page: a
//! flood of requests under one limit takes no more than that from others (decision 0024).

use super::{Page, RecordSlice, Replaced};
use crate::base::invariant::invariant;
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::limit::State;
use crate::store::{key, record};

/// Records that a page holds on average when `keys_max` keys live.
pub const USUAL: u8 = 36;

/// Keys fall on pages by chance: with room for this many records for each [`USUAL`] ones, a table
/// that holds `keys_max` keys has to drop a live one about once in a thousand fillings.
pub const ROOM: u8 = 68;

/// New records between two sweeps of a page.
const STEP: usize = 8;

/// A page of counters.
pub type CounterPage = Page<State>;

/// The effect of a new state on its page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Live records that had to go.
    pub evicted: u64,
    /// Records that the page has more than before.
    pub added: i64,
}

impl Effect {
    /// Adds what a later state did.
    pub const fn add(&mut self, other: Self) {
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.added = self.added.saturating_add(other.added);
    }
}

impl CounterPage {
    /// Stores `state` under `fingerprint`.
    ///
    /// If the page holds `capacity` records or more, a new record takes the room of another one.
    /// Those that are `pinned`, which the same transaction charges, stay.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if the state has no form as a record.
    pub fn put(
        &mut self,
        fingerprint: u64,
        state: &State,
        capacity: usize,
        now: Timestamp,
        pinned: impl Fn(u64) -> bool,
    ) -> Result<Effect, Fault> {
        if self.replace(fingerprint, state)? != Replaced::Absent {
            return Ok(Effect::default());
        }
        let (gone, is_live) = self.make_room(key::class(fingerprint), capacity, now, pinned);
        self.append(fingerprint, state)?;
        let gone = i64::try_from(gone).unwrap_or(i64::MAX);
        Ok(Effect {
            evicted: is_live.into(),
            added: 1_i64.saturating_sub(gone),
        })
    }

    /// Removes the records under these fingerprints. Returns how many there were.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if the page has bytes that are no record: they are left alone.
    pub fn remove_all(&mut self, fingerprints: &[u64]) -> Result<i64, Fault> {
        let mut removed = 0_i64;
        for fingerprint in fingerprints {
            self.find(*fingerprint)?;
            removed = removed.saturating_add(self.remove(*fingerprint).into());
        }
        Ok(removed)
    }

    /// Removes idle records if the page has many, and evicts as many others as one more of this
    /// class needs: how many went, and whether one of them was live.
    fn make_room(
        &mut self,
        class: u64,
        capacity: usize,
        now: Timestamp,
        pinned: impl Fn(u64) -> bool,
    ) -> (usize, bool) {
        if !is_to_sweep(self.records().count(), capacity) {
            return (0, false);
        }
        let weigh = |slice: RecordSlice<'_>| {
            let is_pinned = pinned(slice.fingerprint);
            let eviction_cost = if is_pinned {
                u128::MAX
            } else {
                record::eviction_cost(slice.record, now)
            };
            Weighed {
                class: key::class(slice.fingerprint),
                eviction_cost,
            }
        };
        let mut all: Vec<Weighed> = self.records().map(weigh).collect();
        let live = all.iter().filter(|record| record.is_live()).count();
        // A smaller `keys_max` shrinks a page little by little: for each new record two go.
        let evicted = live.saturating_add(1).saturating_sub(capacity).min(2);
        for _ in 0..evicted {
            if let Some(victim) = victim(&all, class, capacity).and_then(|index| all.get_mut(index))
            {
                victim.eviction_cost = 0;
            }
        }
        let mut left = Vec::with_capacity(self.bytes.len());
        for (slice, _) in self
            .records()
            .zip(&all)
            .filter(|(_, weighed)| weighed.is_live())
        {
            left.extend_from_slice(slice.whole);
        }
        self.bytes = left;
        let left = all.iter().filter(|record| record.is_live()).count();
        (all.len().saturating_sub(left), left < live)
    }
}

/// Whether a page of `count` records is to lose those that are idle: it is full, or it has its
/// share of `keys_max`, and one [`STEP`] after the other more. So the records of all pages are not
/// many more than the live ones, and their number tells when live ones will be evicted.
fn is_to_sweep(count: usize, capacity: usize) -> bool {
    let share = capacity
        .saturating_mul(USUAL.into())
        .checked_div(ROOM.into())
        .unwrap_or_default();
    let above = count.checked_sub(share);
    count >= capacity || above.is_some_and(|above| above.is_multiple_of(STEP))
}

/// A record that may have to go.
struct Weighed {
    class: u64,
    /// The gain of its caller; the greatest number if it must stay.
    eviction_cost: u128,
}

impl Weighed {
    const fn is_live(&self) -> bool {
        self.eviction_cost > 0
    }

    const fn may_go(&self) -> bool {
        self.is_live() && self.eviction_cost < u128::MAX
    }
}

/// The index of the record that a new one of this class replaces: the one with the least eviction
/// cost among those of its class and of classes with more than their share of the page.
///
/// So no class loses records to a flood of another one while it has no more than its share, however
/// high the eviction cost of the flood's records; and a record with a higher eviction cost than
/// those stays in any case.
fn victim(all: &[Weighed], class: u64, capacity: usize) -> Option<usize> {
    let mut counts: Vec<(u64, usize)> = vec![(class, 0)];
    for record in all.iter().filter(|record| record.is_live()) {
        match counts.iter_mut().find(|(known, _)| *known == record.class) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((record.class, 1)),
        }
    }
    let share = invariant(
        capacity.checked_div(counts.len()),
        "the class of the new record is counted",
    )?;
    let has_too_many = |class: u64| {
        counts
            .iter()
            .any(|(known, count)| *known == class && *count > share)
    };
    // If all of those are pinned by the request, any other record may go.
    least(all, |record| {
        record.class == class || has_too_many(record.class)
    })
    .or_else(|| least(all, |_| true))
}

/// The index of the record with the least eviction cost among those that may go and are `allowed`.
fn least(all: &[Weighed], allowed: impl Fn(&Weighed) -> bool) -> Option<usize> {
    let allowed = all
        .iter()
        .enumerate()
        .filter(|(_, record)| record.may_go() && allowed(record));
    allowed
        .min_by_key(|(_, record)| record.eviction_cost)
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
