//! A page: the records that stand under one key of shared data, one after the other.
//!
//! ```text
//!   ├ fingerprint 8 ┼ record ─┼ fingerprint 8 ┼ record ───┤ …
//! ```
//!
//! A page holds at most as many records as the policy's `keys_max` gives it. A full one first
//! forgets what is idle, since that changes nothing; then the record whose eviction gives its caller
//! the least, which is counted. Each limit has its share of the page: a flood of one takes no more than
//! that from others (decision 0024).

use super::{key, record};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::limit::State;

/// Bytes of a record's fingerprint.
pub const FINGERPRINT_BYTES: usize = 8;

/// The records of one page, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    bytes: Vec<u8>,
}

/// The records of a page's bytes; ends at the first that is none.
struct Records<'p> {
    rest: &'p [u8],
}

/// One record, and all of its bytes with the fingerprint.
#[derive(Clone, Copy)]
struct Placed<'p> {
    fingerprint: u64,
    record: &'p [u8],
    whole: &'p [u8],
}

impl<'p> Iterator for Records<'p> {
    type Item = Placed<'p>;

    fn next(&mut self) -> Option<Placed<'p>> {
        let (fingerprint, rest) = self.rest.split_first_chunk::<FINGERPRINT_BYTES>()?;
        let length = record::length(rest)?;
        let (record, after) = rest.split_at_checked(length)?;
        let (whole, _) = self.rest.split_at_checked(FINGERPRINT_BYTES.saturating_add(length))?;
        self.rest = after;
        Some(Placed { fingerprint: u64::from_le_bytes(*fingerprint), record, whole })
    }
}

impl Page {
    /// Takes a page's bytes.
    #[must_use]
    pub const fn read(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The page as it is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The state under `fingerprint`, if there is one.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if the record, or one before it, cannot be one of ours.
    pub fn find(&self, fingerprint: u64) -> Result<Option<State>, Fault> {
        let mut records = self.records();
        match records.find(|placed| placed.fingerprint == fingerprint) {
            Some(placed) => record::decode(placed.record).map(Some),
            None if records.rest.is_empty() => Ok(None),
            None => Err(Fault::BadRecord),
        }
    }

    /// Stores `state` under `fingerprint`; true where a live record had to go for it.
    ///
    /// A new record finds its place by forgetting an idle one if the page holds `capacity` records
    /// or more. Those that are `pinned`, which the same transaction charges, stay.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] where the state has no form.
    pub fn put(
        &mut self,
        fingerprint: u64,
        state: &State,
        capacity: usize,
        now: Timestamp,
        pinned: impl Fn(u64) -> bool,
    ) -> Result<bool, Fault> {
        if self.replace(fingerprint, state)? {
            return Ok(false);
        }
        let evicted = self.make_room(key::class(fingerprint), capacity, now, pinned);
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&fingerprint.to_le_bytes());
        self.write(state, before)?;
        Ok(evicted)
    }

    /// Stores `state` in place of the one under `fingerprint`; false where there is none.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] where the state has no form.
    pub fn replace(&mut self, fingerprint: u64, state: &State) -> Result<bool, Fault> {
        let mut records = self.records();
        let Some(found) = records.find(|placed| placed.fingerprint == fingerprint) else { return Ok(false) };
        let (after, size) = (records.rest.len(), found.record.len());
        let before = self.bytes.len();
        let start = before.saturating_sub(after).saturating_sub(size);
        self.write(state, before)?;
        let written = self.bytes.len().saturating_sub(before);
        if written == size {
            self.bytes.copy_within(before.., start);
            self.bytes.truncate(before);
        } else if let Some(tail) = self.bytes.get_mut(start..) {
            tail.rotate_right(written);
            let old = start.saturating_add(written);
            self.bytes.drain(old..old.saturating_add(size));
        }
        Ok(true)
    }

    /// Appends a record; the page is as long as `before` where it has no form.
    fn write(&mut self, state: &State, before: usize) -> Result<(), Fault> {
        self.bytes.reserve(record::BYTES_TYPICAL);
        record::encode(state, &mut self.bytes).inspect_err(|_| self.bytes.truncate(before))
    }

    fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes }
    }

    /// Forgets so much that a record more of this class fits; true where a live one had to go.
    fn make_room(&mut self, class: u64, capacity: usize, now: Timestamp, pinned: impl Fn(u64) -> bool) -> bool {
        if self.records().count() < capacity {
            return false;
        }
        let weigh = |placed: Placed<'_>| {
            let eviction_cost =
                if pinned(placed.fingerprint) { u128::MAX } else { record::eviction_cost(placed.record, now) };
            Weighed { class: key::class(placed.fingerprint), eviction_cost }
        };
        let mut all: Vec<Weighed> = self.records().map(weigh).collect();
        let live = all.iter().filter(|record| record.is_live()).count();
        // A smaller `keys_max` shrinks a page little by little: two go where one comes.
        let evicted = live.saturating_add(1).saturating_sub(capacity).min(2);
        for _ in 0..evicted {
            let victim = victim(&all, class, capacity).and_then(|index| all.get_mut(index));
            victim.into_iter().for_each(|record| record.eviction_cost = 0);
        }
        let mut left = Vec::with_capacity(self.bytes.len());
        let records = self.records().zip(&all).filter(|(_, weighed)| weighed.is_live());
        records.for_each(|(placed, _)| left.extend_from_slice(placed.whole));
        self.bytes = left;
        all.iter().filter(|record| record.is_live()).count() < live
    }
}

/// A record that may have to go.
struct Weighed {
    class: u64,
    /// What its caller would gain; as much as can be where it must stay.
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

/// The index of the record that goes for a new one of this class: the one whose eviction gives its caller the
/// least, among those of its own class and of classes with more than their share of the page.
///
/// So no class loses records to a flood of another one while it has no more than its share, whatever
/// those of the flood are worth; and what is worth more than the flood stays in any case.
fn victim(all: &[Weighed], class: u64, capacity: usize) -> Option<usize> {
    let mut counts: Vec<(u64, usize)> = vec![(class, 0)];
    for record in all.iter().filter(|record| record.is_live()) {
        match counts.iter_mut().find(|(known, _)| *known == record.class) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push((record.class, 1)),
        }
    }
    let share = capacity.checked_div(counts.len()).unwrap_or_default();
    let too_many = |class: u64| counts.iter().any(|(known, count)| *known == class && *count > share);
    let least = |allowed: &dyn Fn(&Weighed) -> bool| {
        let allowed = all.iter().enumerate().filter(|(_, record)| record.may_go() && allowed(record));
        allowed.min_by_key(|(_, record)| record.eviction_cost).map(|(index, _)| index)
    };
    // What one request charges on this page must stay, so that nothing else may be left of those.
    least(&|record| record.class == class || too_many(record.class)).or_else(|| least(&|_| true))
}

#[cfg(test)]
mod tests;
