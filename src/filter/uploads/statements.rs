//! The statements of all workers about the bodies under one policy, as one value of shared data.
//!
//! ```text
//!   next number 4 ┊ (number 2, at 81 s, 3 open, 40960 bytes) …       little-endian
//! ```
//!
//! A worker without an open body has no entry. One with an open body renews its entry at each tick,
//! so an entry that is too old is of a VM that has failed.

use std::cell::Cell;

use crate::base::time::{Span, SteadyTime};
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SWAP_ATTEMPTS_MAX, SharedCell, Update};
use crate::payload::memory::Uploads;
use crate::queue::member_list::MEMBERS_MAX;

/// The age from which an entry does not count: five ticks.
pub(super) const STALE: Span = Span::from_seconds(5);

const ENTRY_BYTES: usize = 28;

/// The entry of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Its number, which no other entry has.
    number: u32,
    /// When the worker wrote it.
    at: SteadyTime,
    uploads: Uploads,
}

/// All entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Statements {
    next: u32,
    entries: Vec<Entry>,
}

/// States the bodies that a worker inspects at a time, under the number that it has or gets now.
/// Calls `show` with the bodies of all workers, again if others state theirs meanwhile: the last
/// call of all workers has the last sum.
///
/// # Errors
/// [`Fault`] if the host fails, if the record is not in its form, or has [`MEMBERS_MAX`] entries.
pub(super) fn state(
    (data, key): (&impl SharedData, &[u8]),
    number: &Cell<Option<u32>>,
    (now, own): (SteadyTime, Uploads),
    show: impl Fn(Uploads),
) -> Result<(), Fault> {
    let mut cell = SharedCell::new(data, key);
    let updated = cell.update(|bytes| {
        let before = Statements::read(&bytes)?;
        let mut after = before.clone();
        let number = after.state(number.get(), now, own)?;
        let result = (number, after.sum());
        Ok(match after == before {
            true => Update::Keep(result),
            false => Update::Store(after.bytes(), result),
        })
    });
    let (own_number, mut sum) = updated?.result;
    number.set(own_number);
    for _ in 0..SWAP_ATTEMPTS_MAX {
        show(sum);
        let present = Statements::read(&cell.load()?.bytes)?.sum();
        if present == sum {
            break;
        }
        sum = present;
    }
    Ok(())
}

impl Statements {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let (next, rest) = bytes.split_first_chunk().ok_or(Fault::BadRecord)?;
        let (entries, rest) = rest.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() {
            return Err(Fault::BadRecord);
        }
        let entries: Option<_> = entries.iter().map(Entry::read).collect();
        Ok(Self {
            next: u32::from_le_bytes(*next),
            entries: entries.ok_or(Fault::BadRecord)?,
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.next.to_le_bytes().to_vec();
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.number.to_le_bytes());
            for number in [entry.at.nanos(), entry.uploads.open, entry.uploads.bytes] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    /// Replaces the entry with this number, or adds one, and removes those that are too old.
    /// Returns the number.
    fn state(
        &mut self,
        number: Option<u32>,
        now: SteadyTime,
        uploads: Uploads,
    ) -> Result<Option<u32>, Fault> {
        self.entries
            .retain(|entry| Some(entry.number) != number && entry.is_fresh(now));
        if uploads == Uploads::default() {
            return Ok(number);
        }
        if self.entries.len() >= usize::from(MEMBERS_MAX) {
            return Err(Fault::Full);
        }
        let number = number.unwrap_or_else(|| {
            let own = self.next;
            self.next = own.wrapping_add(1);
            own
        });
        self.entries.push(Entry {
            number,
            at: now,
            uploads,
        });
        Ok(Some(number))
    }

    /// The bodies of all entries.
    fn sum(&self) -> Uploads {
        let mut sum = Uploads::default();
        for Entry { uploads, .. } in &self.entries {
            sum.open = sum.open.saturating_add(uploads.open);
            sum.bytes = sum.bytes.saturating_add(uploads.bytes);
        }
        sum
    }
}

impl Entry {
    fn read(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let [at, open, bytes] = rest.as_chunks().0 else {
            return None;
        };
        Some(Self {
            number: u32::from_le_bytes(*number),
            at: SteadyTime::from_nanos(u64::from_le_bytes(*at)),
            uploads: Uploads {
                open: u64::from_le_bytes(*open),
                bytes: u64::from_le_bytes(*bytes),
            },
        })
    }

    /// Whether the entry counts at `now`. Another worker may have written it after that; one of a
    /// time that is yet to come is none of this proxy's.
    fn is_fresh(&self, now: SteadyTime) -> bool {
        now.since(self.at) < STALE && self.at.since(now) < STALE
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "test code")]

    use super::*;
    use crate::host::fake::FakeData;

    const KEY: &[u8] = b"key";

    fn at(seconds: u64) -> SteadyTime {
        SteadyTime::from_nanos(seconds * 1_000_000_000)
    }

    fn some(open: u64) -> Uploads {
        let bytes = open * 10;
        Uploads { open, bytes }
    }

    /// The sum that a worker shows when it states `open` bodies at this second.
    fn stated(
        data: &FakeData,
        worker: &Cell<Option<u32>>,
        second: u64,
        open: u64,
    ) -> Result<Uploads, Fault> {
        let shown = Cell::default();
        let show = |all| shown.set(all);
        state((data, KEY), worker, (at(second), some(open)), show).map(|()| shown.get())
    }

    fn entries(data: &FakeData) -> usize {
        let (bytes, _) = data.map.borrow().read(KEY);
        Statements::read(&bytes).unwrap().entries.len()
    }

    #[test]
    fn the_sum_counts_each_worker_by_its_last_statement() {
        let data = FakeData::default();
        let (one, two) = (Cell::default(), Cell::default());
        assert_eq!(stated(&data, &one, 100, 0), Ok(some(0)));
        assert!(data.map.borrow().is_empty(KEY), "there is nothing to state");
        assert_eq!(stated(&data, &one, 100, 3), Ok(some(3)));
        assert_eq!(stated(&data, &two, 100, 4), Ok(some(7)));
        assert_eq!(stated(&data, &one, 101, 1), Ok(some(5)));
        assert_eq!(stated(&data, &two, 101, 0), Ok(some(1)));
        assert_eq!(stated(&data, &one, 102, 0), Ok(some(0)));
        assert_eq!(entries(&data), 0);
        assert_eq!(stated(&data, &two, 103, 2), Ok(some(2)));
        assert_eq!((one.get(), two.get()), (Some(0), Some(1)));
    }

    #[test]
    fn a_worker_that_states_nothing_any_more_is_dropped() {
        let data = FakeData::default();
        let (dead, alive) = (Cell::default(), Cell::default());
        stated(&data, &dead, 100, 3).unwrap();
        assert_eq!(stated(&data, &alive, 104, 0), Ok(some(3)));
        assert_eq!(stated(&data, &alive, 105, 0), Ok(some(0)));
        // It was not dead but paused.
        assert_eq!(stated(&data, &dead, 106, 3), Ok(some(3)));
        // Times of a clock that has begun anew.
        assert_eq!(stated(&data, &alive, 1, 2), Ok(some(2)));
    }

    #[test]
    fn a_record_is_bounded() {
        let data = FakeData::default();
        let workers: Vec<_> = (0..=MEMBERS_MAX).map(|_| Cell::default()).collect();
        let (last, others) = workers.split_last().unwrap();
        for worker in others {
            stated(&data, worker, 100, 1).unwrap();
        }
        assert_eq!(stated(&data, last, 100, 1), Err(Fault::Full));
        assert_eq!(entries(&data), others.len());
        assert_eq!(stated(&data, &workers[0], 101, 2), Ok(some(1_025)));
        // All others are too old.
        assert_eq!(stated(&data, last, 105, 1), Ok(some(3)));
    }

    #[test]
    fn what_is_no_record_is_a_fault() {
        for length in [1, 3, 5, 31, 33] {
            let read = Statements::read(&vec![1; length]);
            assert_eq!(read, Err(Fault::BadRecord), "{length}");
        }
    }

    #[test]
    fn a_sum_that_another_worker_changes_while_it_is_shown_is_shown_anew() {
        let data = FakeData::default();
        let (one, two) = (Cell::default(), Cell::default());
        stated(&data, &two, 100, 5).unwrap();
        let gauge = Cell::default();
        let is_overtaken = Cell::new(true);
        let show = |all| {
            if is_overtaken.replace(false) {
                gauge.set(stated(&data, &two, 100, 0).unwrap());
            }
            gauge.set(all);
        };
        state((&data, KEY), &one, (at(100), some(1)), show).unwrap();
        assert_eq!(gauge.get(), some(1));
    }
}
