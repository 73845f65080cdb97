//! A page of pools: the records of the keys that fall on one key of shared data.
//!
//! ```text
//!   record   leases 2 ┊ waiting 2 ┊ (worker 4, count 4) … ┊ (worker 4, number 4) …
//! ```
//!
//! A key without requests in flight and without a queue has no record, so the records are bounded
//! by the open streams. The bytes of one page are bounded all the same.

use std::collections::BTreeSet;

use crate::host::fault::Fault;
use crate::limit::pool::{Lease, State, Ticket, WorkerId};
use crate::store::page::{Page, Record, Replaced};

/// Pages, fixed for ever: a key's page depends on it.
pub const PAGES: u32 = 1_024;

/// A page never grows beyond this. A queue of the greatest length takes an eighth of it.
pub const PAGE_BYTES_MAX: usize = 64 * 1_024;

const HEAD_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;

/// A page of pools.
pub type PoolPage = Page<State>;

/// The bytes of a record's two lists.
struct Lists<'p> {
    leases: &'p [u8],
    waiting: &'p [u8],
}

impl<'p> Lists<'p> {
    fn read(bytes: &'p [u8]) -> Option<Self> {
        let (leases, rest) = bytes.split_first_chunk()?;
        let (waiting, rest) = rest.split_first_chunk()?;
        let (leases, rest) = rest.split_at_checked(list_bytes(*leases))?;
        let (waiting, _) = rest.split_at_checked(list_bytes(*waiting))?;
        Some(Self { leases, waiting })
    }
}

fn list_bytes(count: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(count)).saturating_mul(ENTRY_BYTES)
}

impl Record for State {
    const PAGE_BYTES_MAX: usize = PAGE_BYTES_MAX;

    fn length(bytes: &[u8]) -> Option<usize> {
        let Lists { leases, waiting } = Lists::read(bytes)?;
        Some(
            HEAD_BYTES
                .saturating_add(leases.len())
                .saturating_add(waiting.len()),
        )
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let entries = self.leases.len().saturating_add(self.waiting.len());
        out.reserve(
            entries
                .saturating_mul(ENTRY_BYTES)
                .saturating_add(HEAD_BYTES),
        );
        for length in [self.leases.len(), self.waiting.len()] {
            let count = u16::try_from(length).map_err(|_| Fault::Full)?;
            out.extend_from_slice(&count.to_le_bytes());
        }
        let leases = self.leases.iter().map(|lease| (lease.worker, lease.count));
        let waiting = self
            .waiting
            .iter()
            .map(|ticket| (ticket.worker, ticket.number));
        for (WorkerId(worker), number) in leases.chain(waiting) {
            out.extend_from_slice(&worker.to_le_bytes());
            out.extend_from_slice(&number.to_le_bytes());
        }
        Ok(())
    }

    fn decode(record: &[u8]) -> Result<Self, Fault> {
        let Lists { leases, waiting } = Lists::read(record).ok_or(Fault::BadRecord)?;
        let leases = pairs(leases).map(|(worker, count)| Lease {
            worker: WorkerId(worker),
            count,
        });
        let waiting = pairs(waiting).map(|(worker, number)| Ticket {
            worker: WorkerId(worker),
            number,
        });
        Ok(Self {
            leases: leases.collect(),
            waiting: waiting.collect(),
        })
    }
}

impl PoolPage {
    /// Stores `state` under `fingerprint`, or removes the record if the state is idle; true if that
    /// changes the page.
    ///
    /// # Errors
    /// [`Fault::Full`] if the page would grow beyond its bound.
    pub fn put(&mut self, fingerprint: u64, state: &State) -> Result<bool, Fault> {
        if state.is_idle() {
            return Ok(self.remove(fingerprint));
        }
        match self.replace(fingerprint, state)? {
            Replaced::Unchanged => Ok(false),
            Replaced::Changed => Ok(true),
            Replaced::Absent => self.append(fingerprint, state).map(|()| true),
        }
    }

    /// The workers that have a lease or a ticket here.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if this is not such a page.
    pub fn workers(&self) -> Result<BTreeSet<WorkerId>, Fault> {
        let mut records = self.records();
        let mut workers = BTreeSet::new();
        for slice in &mut records {
            let Lists { leases, waiting } = Lists::read(slice.record).ok_or(Fault::BadRecord)?;
            workers.extend(
                pairs(leases)
                    .chain(pairs(waiting))
                    .map(|(worker, _)| WorkerId(worker)),
            );
        }
        records.finish().map(|()| workers)
    }

    /// Returns the page without the workers that `is_gone` names.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if this is not such a page.
    pub fn without(&self, is_gone: impl Fn(WorkerId) -> bool) -> Result<Self, Fault> {
        let mut records = self.records();
        let mut left = Self::read(Vec::with_capacity(self.bytes().len()));
        for slice in &mut records {
            let mut state = State::decode(slice.record)?;
            state.forget(&is_gone);
            if !state.is_idle() {
                left.append(slice.fingerprint, &state)?;
            }
        }
        records.finish().map(|()| left)
    }
}

/// The key of a page in shared data. The third byte names the form of a page, so that a build which
/// stores another form never reads this one.
#[must_use]
pub fn key(number: u32) -> [u8; 8] {
    let [n0, n1, n2, n3] = number.to_le_bytes();
    [b's', b'g', b'p', 1, n0, n1, n2, n3]
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
    entries.iter().map(|[w0, w1, w2, w3, n0, n1, n2, n3]| {
        (
            u32::from_le_bytes([*w0, *w1, *w2, *w3]),
            u32::from_le_bytes([*n0, *n1, *n2, *n3]),
        )
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
            leases: leases
                .into_iter()
                .map(|(worker, count)| Lease {
                    worker: WorkerId(worker),
                    count,
                })
                .collect(),
            waiting: waiting
                .into_iter()
                .map(|(worker, number)| Ticket {
                    worker: WorkerId(worker),
                    number,
                })
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn a_page_is_a_map(
            steps in proptest::collection::vec((0..5_u64, states()), 0..20),
            gone: [bool; 5],
        ) {
            let (mut page, mut map) = (PoolPage::read(Vec::new()), BTreeMap::new());
            for (fingerprint, state) in steps {
                let is_new = page.find(fingerprint).unwrap().unwrap_or_default() != state;
                prop_assert_eq!(page.put(fingerprint, &state).unwrap(), is_new);
                map.insert(fingerprint, state);
                page = PoolPage::read(page.bytes().to_vec());
                for fingerprint in 0..5 {
                    let stored = map.get(&fingerprint).filter(|state| !state.is_idle());
                    prop_assert_eq!(page.find(fingerprint).unwrap(), stored.cloned());
                }
            }
            prop_assert_eq!(
                page.workers().unwrap(),
                map.values()
                    .flat_map(|state| {
                        let waiting: Vec<WorkerId> =
                            state.waiting.iter().map(|ticket| ticket.worker).collect();
                        [
                            state.leases.iter().map(|lease| lease.worker).collect(),
                            waiting,
                        ]
                        .concat()
                    })
                    .collect::<BTreeSet<_>>()
            );
            page = page
                .without(|WorkerId(worker)| gone[worker as usize])
                .unwrap();
            for state in map.values_mut() {
                state.forget(|WorkerId(worker)| gone[worker as usize]);
            }
            for (fingerprint, state) in &map {
                prop_assert_eq!(&page.find(*fingerprint).unwrap().unwrap_or_default(), state);
            }
            prop_assert_eq!(page.bytes().is_empty(), map.values().all(State::is_idle));
        }

        #[test]
        fn any_bytes_are_a_page_or_a_fault(bytes in proptest::collection::vec(0..3_u8, 0..200)) {
            let page = PoolPage::read(bytes);
            prop_assert_eq!(page.without(|_| true).is_err(), page.workers().is_err());
            let _ = page.find(7);
        }
    }

    /// Workers of another build read these bytes, unless the third byte of the key differs.
    #[test]
    fn the_stored_form_stays() {
        let mut page = PoolPage::read(Vec::new());
        let leases = vec![Lease {
            worker: WorkerId(7),
            count: 3,
        }];
        let waiting = vec![Ticket {
            worker: WorkerId(9),
            number: 0x0102,
        }];
        assert_eq!(page.put(5, &State { leases, waiting }), Ok(true));
        let lists = [1, 0, 1, 0, 7, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 2, 1, 0, 0];
        assert_eq!(
            page.bytes(),
            [&[5, 0, 0, 0, 0, 0, 0, 0][..], &lists].concat()
        );
        assert_eq!(key(0x0304), *b"sgp\x01\x04\x03\x00\x00");
    }

    #[test]
    fn a_page_that_is_full_takes_no_more_but_gives() {
        let mut page = PoolPage::read(Vec::new());
        let mut state = State {
            leases: Vec::new(),
            waiting: (0..800)
                .map(|number| Ticket {
                    worker: WorkerId(1),
                    number,
                })
                .collect(),
        };
        let full = (0..)
            .find(|fingerprint| page.put(*fingerprint, &state) == Err(Fault::Full))
            .unwrap();
        assert!(full >= 8 && page.bytes().len() <= PAGE_BYTES_MAX);
        state.waiting.pop();
        assert_eq!(page.put(0, &state), Ok(true));
        state.waiting.clear();
        assert!((0..full).all(|fingerprint| page.put(fingerprint, &state) == Ok(true)));
        assert!(page.bytes().is_empty());
    }
}
