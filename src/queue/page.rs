//! A page of pools: the records of the keys that stand under one key of shared data.
//!
//! ```text
//!   ├ fingerprint 8 ┼ leases 2 ┼ waiting 2 ┼ (worker 4, count 4) … ┼ (worker 4, number 4) … ┤ …
//! ```
//!
//! A key of which nobody is in flight and nobody waits has no record, so the records are bounded by
//! the streams that are open. The bytes of one page are bounded all the same.

use std::collections::BTreeSet;

use crate::host::fault::Fault;
use crate::limit::pool::{Lease, State, Ticket, WorkerId};

/// Pages, fixed for ever: a key's page depends on it.
pub const PAGES: u32 = 1_024;

/// A page never grows beyond this. A queue of the greatest length takes an eighth of it.
pub const PAGE_BYTES_MAX: usize = 64 * 1_024;

const HEAD_BYTES: usize = 12;
const ENTRY_BYTES: usize = 8;

/// The records of one page, as they are stored.
#[derive(Debug)]
pub struct Page {
    bytes: Vec<u8>,
}

/// The records of a page's bytes; ends at the first that is none.
struct Records<'p> {
    rest: &'p [u8],
}

/// One record, and where it ends.
struct Placed<'p> {
    fingerprint: u64,
    leases: &'p [u8],
    waiting: &'p [u8],
}

impl<'p> Records<'p> {
    fn read(&self) -> Option<(Placed<'p>, &'p [u8])> {
        let (fingerprint, rest) = self.rest.split_first_chunk()?;
        let (leases, rest) = rest.split_first_chunk()?;
        let (waiting, rest) = rest.split_first_chunk()?;
        let bytes = |count: &[u8; 2]| usize::from(u16::from_le_bytes(*count)).saturating_mul(ENTRY_BYTES);
        let (leases, rest) = rest.split_at_checked(bytes(leases))?;
        let (waiting, rest) = rest.split_at_checked(bytes(waiting))?;
        Some((Placed { fingerprint: u64::from_le_bytes(*fingerprint), leases, waiting }, rest))
    }
}

impl<'p> Iterator for Records<'p> {
    type Item = Placed<'p>;

    fn next(&mut self) -> Option<Placed<'p>> {
        let (placed, rest) = self.read()?;
        self.rest = rest;
        Some(placed)
    }
}

impl Placed<'_> {
    const fn size(&self) -> usize {
        HEAD_BYTES.saturating_add(self.leases.len()).saturating_add(self.waiting.len())
    }

    fn decode(&self) -> State {
        let leases = pairs(self.leases).map(|(worker, count)| Lease { worker: WorkerId(worker), count });
        let waiting = pairs(self.waiting).map(|(worker, number)| Ticket { worker: WorkerId(worker), number });
        State { leases: leases.collect(), waiting: waiting.collect() }
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

    /// The state under `fingerprint`, idle where there is none.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if a record before it cannot be one of ours.
    pub fn find(&self, fingerprint: u64) -> Result<State, Fault> {
        let mut records = self.records();
        match records.find(|placed| placed.fingerprint == fingerprint) {
            Some(placed) => Ok(placed.decode()),
            None if records.rest.is_empty() => Ok(State::default()),
            None => Err(Fault::BadRecord),
        }
    }

    /// Stores `state` under `fingerprint`, or nothing where it is idle; whether it was another before.
    ///
    /// # Errors
    /// [`Fault::Full`] where the page would grow beyond its bound.
    pub fn put(&mut self, fingerprint: u64, state: &State) -> Result<bool, Fault> {
        let mut records = self.records();
        let found = records.find(|placed| placed.fingerprint == fingerprint).map_or(0, |placed| placed.size());
        let end = self.bytes.len().saturating_sub(records.rest.len());
        let place = end.saturating_sub(found)..end;
        let record = if state.is_idle() { Vec::new() } else { encode(fingerprint, state)? };
        if self.bytes.get(place.clone()).is_some_and(|found| found == record) {
            return Ok(false);
        }
        let size = self.bytes.len().saturating_sub(found).saturating_add(record.len());
        if record.len() > found && size > PAGE_BYTES_MAX {
            return Err(Fault::Full);
        }
        if found == self.bytes.len() {
            // Most pages have one record at most.
            self.bytes = record;
        } else {
            self.bytes.splice(place, record);
        }
        Ok(true)
    }

    /// The workers that have a lease or a ticket here.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if this is no page of ours.
    pub fn workers(&self) -> Result<BTreeSet<WorkerId>, Fault> {
        let mut records = self.records();
        let mut workers = BTreeSet::new();
        for placed in &mut records {
            workers.extend(pairs(placed.leases).chain(pairs(placed.waiting)).map(|(worker, _)| WorkerId(worker)));
        }
        if records.rest.is_empty() { Ok(workers) } else { Err(Fault::BadRecord) }
    }

    /// Forgets the workers that `gone` names.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if this is no page of ours.
    pub fn forget(&mut self, gone: impl Fn(WorkerId) -> bool) -> Result<(), Fault> {
        let mut records = self.records();
        let mut left = Vec::with_capacity(self.bytes.len());
        for placed in &mut records {
            let mut state = placed.decode();
            state.forget(&gone);
            if !state.is_idle() {
                left.append(&mut encode(placed.fingerprint, &state)?);
            }
        }
        if !records.rest.is_empty() {
            return Err(Fault::BadRecord);
        }
        self.bytes = left;
        Ok(())
    }

    fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes }
    }
}

/// The key of a page in shared data. The third byte names the form of a page, so that a build which
/// stores another form never reads this one.
#[must_use]
pub fn key(number: u32) -> [u8; 8] {
    let [n0, n1, n2, n3] = number.to_le_bytes();
    [b's', b'g', b'p', 1, n0, n1, n2, n3]
}

fn encode(fingerprint: u64, state: &State) -> Result<Vec<u8>, Fault> {
    let count = |length: usize| u16::try_from(length).map(u16::to_le_bytes).map_err(|_| Fault::Full);
    let entries = state.leases.len().saturating_add(state.waiting.len());
    let mut record = Vec::with_capacity(entries.saturating_mul(ENTRY_BYTES).saturating_add(HEAD_BYTES));
    record.extend_from_slice(&fingerprint.to_le_bytes());
    record.extend_from_slice(&count(state.leases.len())?);
    record.extend_from_slice(&count(state.waiting.len())?);
    let leases = state.leases.iter().map(|lease| (lease.worker, lease.count));
    for (WorkerId(worker), number) in leases.chain(state.waiting.iter().map(|ticket| (ticket.worker, ticket.number))) {
        record.extend_from_slice(&worker.to_le_bytes());
        record.extend_from_slice(&number.to_le_bytes());
    }
    Ok(record)
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
    entries.iter().map(|[w0, w1, w2, w3, n0, n1, n2, n3]| {
        (u32::from_le_bytes([*w0, *w1, *w2, *w3]), u32::from_le_bytes([*n0, *n1, *n2, *n3]))
    })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = State> {
        let entries = || proptest::collection::vec((0..5_u32, 1..9_u32), 0..6);
        (entries(), entries()).prop_map(|(leases, waiting)| State {
            leases: leases.into_iter().map(|(worker, count)| Lease { worker: WorkerId(worker), count }).collect(),
            waiting: waiting.into_iter().map(|(worker, number)| Ticket { worker: WorkerId(worker), number }).collect(),
        })
    }

    proptest! {
        #[test]
        fn a_page_is_a_map(steps in proptest::collection::vec((0..5_u64, states()), 0..20), gone: [bool; 5]) {
            let (mut page, mut map) = (Page::read(Vec::new()), BTreeMap::new());
            for (fingerprint, state) in steps {
                let is_new = page.find(fingerprint).unwrap() != state;
                prop_assert_eq!(page.put(fingerprint, &state).unwrap(), is_new);
                map.insert(fingerprint, state);
                page = Page::read(page.bytes().to_vec());
                for fingerprint in 0..5 {
                    prop_assert_eq!(page.find(fingerprint).unwrap(), map.get(&fingerprint).cloned().unwrap_or_default());
                }
            }
            let of = |state: &State| {
                let waiting: Vec<WorkerId> = state.waiting.iter().map(|ticket| ticket.worker).collect();
                [state.leases.iter().map(|lease| lease.worker).collect(), waiting].concat()
            };
            prop_assert_eq!(page.workers().unwrap(), map.values().flat_map(of).collect::<BTreeSet<_>>());
            page.forget(|WorkerId(worker)| gone[worker as usize]).unwrap();
            for state in map.values_mut() {
                state.forget(|WorkerId(worker)| gone[worker as usize]);
            }
            for (fingerprint, state) in &map {
                prop_assert_eq!(&page.find(*fingerprint).unwrap(), state);
            }
            prop_assert_eq!(page.bytes().is_empty(), map.values().all(State::is_idle));
        }

        #[test]
        fn any_bytes_are_a_page_or_a_fault(bytes in proptest::collection::vec(0..3_u8, 0..200)) {
            let mut page = Page::read(bytes);
            let workers = page.workers();
            prop_assert_eq!(page.forget(|_| true).is_err(), workers.is_err());
            let _ = page.find(7);
        }
    }

    #[test]
    fn a_page_that_is_full_takes_no_more_but_gives() {
        let mut page = Page::read(Vec::new());
        let ticket = |number| Ticket { worker: WorkerId(1), number };
        let mut state = State { leases: Vec::new(), waiting: (0..800).map(ticket).collect() };
        let full = (0..).find(|fingerprint| page.put(*fingerprint, &state) == Err(Fault::Full)).unwrap();
        assert!(full >= 8 && page.bytes().len() <= PAGE_BYTES_MAX);
        state.waiting.pop();
        assert_eq!(page.put(0, &state), Ok(true));
        state.waiting.clear();
        assert!((0..full).all(|fingerprint| page.put(fingerprint, &state) == Ok(true)));
        assert!(page.bytes().is_empty());
    }
}
