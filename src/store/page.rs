//! A page: the records that stand under one key of shared data, one after the other.
//!
//! ```text
//!   ├ fingerprint 8 ┼ record ─┼ fingerprint 8 ┼ record ───┤ …
//! ```
//!
//! A page holds at most as many records as the policy's `keys_max` gives it. A full one first
//! forgets what is idle, since that changes nothing; then the record whose loss gives its caller
//! the least, which is counted.

use super::record;
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
    /// or more. Those that are `kept`, which the same transaction charges, stay.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] where the state has no form.
    pub fn put(
        &mut self,
        fingerprint: u64,
        state: &State,
        capacity: usize,
        now: Timestamp,
        kept: impl Fn(u64) -> bool,
    ) -> Result<bool, Fault> {
        if self.replace(fingerprint, state)? {
            return Ok(false);
        }
        let evicted = self.make_room(capacity, now, kept);
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
        self.bytes.reserve(record::BYTES_USUAL);
        record::encode(state, &mut self.bytes).inspect_err(|_| self.bytes.truncate(before))
    }

    fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes }
    }

    /// Forgets so much that a record more fits; true where a live one had to go.
    fn make_room(&mut self, capacity: usize, now: Timestamp, kept: impl Fn(u64) -> bool) -> bool {
        if self.records().count() < capacity {
            return false;
        }
        let loss = |placed: Placed<'_>| {
            if kept(placed.fingerprint) { u64::MAX } else { record::loss(placed.record, now) }
        };
        let mut losses: Vec<u64> = self.records().map(loss).collect();
        let live = losses.iter().filter(|loss| **loss > 0).count();
        // A smaller `keys_max` shrinks a page little by little: two go where one comes.
        let evicted = live.saturating_add(1).saturating_sub(capacity).min(2);
        for _ in 0..evicted {
            let cheapest = losses.iter_mut().filter(|loss| (1..u64::MAX).contains(*loss)).min();
            cheapest.into_iter().for_each(|loss| *loss = 0);
        }
        let mut left = Vec::with_capacity(self.bytes.len());
        let records = self.records().zip(&losses).filter(|(_, loss)| **loss > 0);
        records.for_each(|(placed, _)| left.extend_from_slice(placed.whole));
        self.bytes = left;
        losses.iter().filter(|loss| **loss > 0).count() < live
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]
mod tests {
    use super::*;
    use crate::base::time::Span;
    use crate::base::units::Refill;
    use crate::limit::rolling::{Entry, Grain};
    use crate::limit::{gcra, rolling};

    fn state(tat: u64) -> State {
        State::Bucket(gcra::State {
            tat: Timestamp::from_nanos(tat),
            refill: Refill::parse("60/min").unwrap(),
            burst: 3,
            charged: 7,
            returned: 9,
        })
    }

    /// One that grows with the number of its entries.
    fn log(entries: u64) -> State {
        let entry = |number: u64| Entry { at: Timestamp::from_nanos(number * 1_000_000), units: 1 };
        let entries = (1..=entries).map(entry).collect();
        State::Rolling(rolling::State { window: Span::from_seconds(1), grain: Grain::Exact, life: 1, entries })
    }

    const NOW: Timestamp = Timestamp::from_nanos(1_000);

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let mut page = Page::default();
        for (fingerprint, state) in
            [(1, state(5)), (2, log(1)), (3, state(6)), (1, state(8)), (2, log(20)), (2, log(3))]
        {
            assert_eq!(page.put(fingerprint, &state, 10, NOW, |_| false), Ok(false));
        }
        let page = Page::read(page.bytes().to_vec());
        assert_eq!(
            [1, 2, 3, 4].map(|fingerprint| page.find(fingerprint).unwrap()),
            [Some(state(8)), Some(log(3)), Some(state(6)), None]
        );
    }

    #[test]
    fn a_full_page_forgets_the_idle_first_and_then_the_cheapest() {
        let mut page = Page::default();
        for (fingerprint, state) in [(1, state(900)), (2, log(5)), (3, state(3_000_000_000))] {
            assert_eq!(page.put(fingerprint, &state, 3, NOW, |_| false), Ok(false));
        }
        assert_eq!(page.put(4, &state(9_000_000_000), 3, NOW, |_| false), Ok(false), "the idle one made room");
        assert_eq!(page.put(5, &state(2_000_000_000), 3, NOW, |_| false), Ok(true), "a live one had to go");
        assert_eq!(
            [1, 2, 3, 4, 5].map(|fingerprint| page.find(fingerprint).unwrap().is_some()),
            [false, true, false, true, true]
        );
    }

    #[test]
    fn a_page_shrinks_when_its_capacity_does_and_spares_what_is_kept() {
        let mut page = Page::default();
        for fingerprint in 0..10 {
            page.put(fingerprint, &state(5_000_000_000), 10, NOW, |_| false).unwrap();
        }
        for fingerprint in 10..40 {
            let kept = |kept| (fingerprint - 1..=fingerprint).contains(&kept);
            page.put(fingerprint, &state(9_000_000_000), 4, NOW, kept).unwrap();
        }
        assert!(page.records().count() <= 5);
        assert!(page.find(38).unwrap().is_some() && page.find(39).unwrap().is_some());
    }

    #[test]
    fn what_is_no_page_is_a_fault() {
        for bytes in [vec![1; 7], vec![9; 40], [vec![0; 8], vec![9]].concat(), [vec![0; 8], vec![1, 200, 0]].concat()] {
            assert_eq!(Page::read(bytes).find(5), Err(Fault::BadRecord));
        }
        // A bucket without a rate.
        assert_eq!(Page::read(vec![0; 37]).find(0), Err(Fault::BadRecord));
        assert_eq!(Page::default().find(5), Ok(None));
    }
}
