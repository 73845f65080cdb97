//! A page: the fixed-size records that stand under one key of shared data.
//!
//! ```text
//!   0             8           16       20      24        28          36
//!   ├ fingerprint ┼─── tat ────┼ refill ┼ burst ┼ charged ┼ returned ─┤  next record …     little-endian
//! ```
//!
//! A page holds at most as many records as the policy's `keys_max` gives it. A full one first
//! forgets what is idle, since that changes nothing; then the record whose loss gives its caller
//! the least, which is counted.

use crate::base::time::Timestamp;
use crate::base::units::Refill;
use crate::host::fault::Fault;
use crate::limit::gcra::State;

/// Bytes of one record.
pub const RECORD_BYTES: usize = 36;

/// The records of one page, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    bytes: Vec<u8>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if the bytes are not a whole number of records.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Fault> {
        if bytes.len().is_multiple_of(RECORD_BYTES) { Ok(Self { bytes }) } else { Err(Fault::BadRecord) }
    }

    /// The page as it is stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The state under `fingerprint`, if there is one.
    ///
    /// # Errors
    /// [`Fault::BadRecord`] if the record cannot be one of ours.
    pub fn find(&self, fingerprint: u64) -> Result<Option<State>, Fault> {
        self.records().find(|record| fingerprint_of(record) == fingerprint).map(decode).transpose()
    }

    /// Stores `state` under `fingerprint`; true where a live record had to go for it.
    ///
    /// A new record finds its place by forgetting an idle one if the page holds `capacity` records
    /// or more. Those under `kept`, which the same transaction charges, stay.
    pub fn put(&mut self, fingerprint: u64, state: &State, capacity: usize, now: Timestamp, kept: &[u64]) -> bool {
        if self.replace(fingerprint, state) {
            return false;
        }
        let mut evicted = false;
        if self.records().len() >= capacity {
            self.forget_idle(now, kept);
            // A smaller `keys_max` shrinks a page little by little: two go where one comes.
            for _ in 0..2 {
                if self.records().len() >= capacity {
                    evicted |= self.evict_cheapest(now, kept);
                }
            }
        }
        self.bytes.extend_from_slice(&encode(fingerprint, state));
        evicted
    }

    /// Stores `state` in place of the one under `fingerprint`; false where there is none.
    pub fn replace(&mut self, fingerprint: u64, state: &State) -> bool {
        let place = self.records_mut().find(|place| fingerprint_of(place) == fingerprint);
        place.map(|place| *place = encode(fingerprint, state)).is_some()
    }

    fn records(&self) -> std::slice::Iter<'_, [u8; RECORD_BYTES]> {
        self.bytes.as_chunks().0.iter()
    }

    fn records_mut(&mut self) -> std::slice::IterMut<'_, [u8; RECORD_BYTES]> {
        self.bytes.as_chunks_mut().0.iter_mut()
    }

    fn forget_idle(&mut self, now: Timestamp, kept: &[u64]) {
        let mut live = Vec::with_capacity(self.bytes.len());
        for record in self.records() {
            let idle = decode(record).is_ok_and(|state| state.is_idle(now));
            if !idle || kept.contains(&fingerprint_of(record)) {
                live.extend_from_slice(record);
            }
        }
        self.bytes = live;
    }

    fn evict_cheapest(&mut self, now: Timestamp, kept: &[u64]) -> bool {
        let cheapest = self
            .records()
            .map(fingerprint_of)
            .zip(self.records().map(|record| decode(record).map_or(0, |state| state.loss(now))))
            .filter(|(fingerprint, _)| !kept.contains(fingerprint))
            .min_by_key(|(_, loss)| *loss)
            .map(|(fingerprint, _)| fingerprint);
        let Some(cheapest) = cheapest else { return false };
        let others = self.records().filter(|record| fingerprint_of(record) != cheapest);
        self.bytes = others.flatten().copied().collect();
        true
    }
}

fn fingerprint_of(record: &[u8; RECORD_BYTES]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *record;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn decode(record: &[u8; RECORD_BYTES]) -> Result<State, Fault> {
    let u64_at = |at| read_array(record, at).map_or(0, u64::from_le_bytes);
    let u32_at = |at| read_array(record, at).map_or(0, u32::from_le_bytes);
    Ok(State {
        tat: Timestamp::from_nanos(u64_at(8)),
        refill: Refill::decode(u32_at(16)).ok_or(Fault::BadRecord)?,
        burst: u32_at(20),
        charged: u32_at(24),
        returned: u64_at(28),
    })
}

fn read_array<const N: usize>(record: &[u8; RECORD_BYTES], at: usize) -> Option<[u8; N]> {
    record.get(at..)?.first_chunk().copied()
}

fn encode(fingerprint: u64, state: &State) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let fields = fingerprint
        .to_le_bytes()
        .into_iter()
        .chain(state.tat.nanos().to_le_bytes())
        .chain(state.refill.encode().to_le_bytes())
        .chain(state.burst.to_le_bytes())
        .chain(state.charged.to_le_bytes())
        .chain(state.returned.to_le_bytes());
    for (place, byte) in record.iter_mut().zip(fields) {
        *place = byte;
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(tat: u64) -> State {
        State {
            tat: Timestamp::from_nanos(tat),
            refill: Refill::parse("60/min").unwrap(),
            burst: 3,
            charged: 7,
            returned: 9,
        }
    }

    const NOW: Timestamp = Timestamp::from_nanos(1_000);

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let mut page = Page::default();
        page.put(1, &state(5), 10, NOW, &[]);
        page.put(2, &state(6), 10, NOW, &[]);
        page.put(1, &state(8), 10, NOW, &[]);
        let page = Page::read(page.bytes().to_vec()).unwrap();
        assert_eq!(page.find(1), Ok(Some(state(8))));
        assert_eq!(page.find(2), Ok(Some(state(6))));
        assert_eq!(page.find(3), Ok(None));
    }

    #[test]
    fn a_full_page_forgets_the_idle_first_and_then_the_cheapest() {
        let mut page = Page::default();
        for (fingerprint, tat) in [(1, 900), (2, 5_000_000_000), (3, 3_000_000_000)] {
            assert!(!page.put(fingerprint, &state(tat), 3, NOW, &[]));
        }
        assert!(!page.put(4, &state(9_000_000_000), 3, NOW, &[]), "the idle one made room");
        assert!(page.put(5, &state(2_000_000_000), 3, NOW, &[]), "a live one had to go");
        assert_eq!(
            [1, 2, 3, 4, 5].map(|fingerprint| page.find(fingerprint).unwrap().is_some()),
            [false, true, false, true, true]
        );
    }

    #[test]
    fn a_page_shrinks_when_its_capacity_does_and_spares_what_is_kept() {
        let mut page = Page::default();
        for fingerprint in 0..10 {
            page.put(fingerprint, &state(5_000_000_000), 10, NOW, &[]);
        }
        for fingerprint in 10..40 {
            page.put(fingerprint, &state(9_000_000_000), 4, NOW, &[fingerprint - 1, fingerprint]);
        }
        assert!(page.bytes().len() <= 5 * RECORD_BYTES);
        assert!(page.find(38).unwrap().is_some() && page.find(39).unwrap().is_some());
    }

    #[test]
    fn what_is_no_page_is_a_fault() {
        assert_eq!(Page::read(vec![0; 35]), Err(Fault::BadRecord));
        assert_eq!(Page::read(vec![0; 36]).unwrap().find(0), Err(Fault::BadRecord));
    }
}
