//! Counters in the proxy's shared data: fixed pages, changed by compare-and-swap.
//!
//! The host never frees a key of shared data, so the keys are a fixed set: the pages of one table
//! per policy. Their number follows from the first policy's `keys_max` and then stays for the life
//! of the proxy, because a record's page depends on it; a later `keys_max` changes how many records
//! a page may hold, and no count is lost (decision 0002).

use super::key::{Key, KeyMaker, Secret};
use super::page::{Page, RECORD_BYTES};
use super::{Claim, Store};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::Clock;
use crate::limit::gcra::{Charge, State};

/// Records that a page holds on average when `keys_max` keys live.
const RECORDS_PER_PAGE: u32 = 36;

/// Keys fall on pages by chance: with room for this many records for each 36, a table that holds
/// `keys_max` keys has to drop a live one about once in a thousand fillings.
const PAGE_ROOM: u32 = 68;

/// How often one page is tried before the limit's failure mode decides. With two workers a first
/// retry is rare (one in ten thousand, measured), a second one rarer by as much.
const SWAP_ATTEMPTS_MAX: u32 = 16;

/// Bytes that the host spends on a key beside the value (measured: 185 to 190).
const HOST_KEY_BYTES: u64 = 190;

const KEY_BYTES: usize = 15;
const SECRET_KEY: &[u8] = b"sluicegate.sec1";
const _: () = assert!(SECRET_KEY.len() == KEY_BYTES, "it cannot be the key of a page: those begin otherwise");

/// The size of a policy's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pages: u32,
    capacity: usize,
}

impl Geometry {
    /// The table for `keys_max` live keys, with as many pages as suit it.
    #[must_use]
    pub fn new(keys_max: u32) -> Self {
        Self::with_pages(keys_max, keys_max.div_ceil(RECORDS_PER_PAGE).max(1))
    }

    fn with_pages(keys_max: u32, pages: u32) -> Self {
        let room = u64::from(keys_max).saturating_mul(u64::from(PAGE_ROOM)).div_ceil(u64::from(RECORDS_PER_PAGE));
        let capacity = room.div_ceil(u64::from(pages.max(1)));
        Self { pages, capacity: usize::try_from(capacity).unwrap_or(usize::MAX).max(1) }
    }

    /// The most bytes of the proxy's memory that the table can take, once, over all workers.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        let page = u64::try_from(self.capacity.saturating_mul(RECORD_BYTES)).unwrap_or(u64::MAX);
        u64::from(self.pages).saturating_mul(page.saturating_add(HOST_KEY_BYTES))
    }
}

/// A store over the host's shared data.
#[derive(Debug)]
pub struct SharedStore<D> {
    data: D,
    table: [u8; 8],
    capacity: usize,
    keys: KeyMaker,
    evictions: u64,
    /// Reused from request to request.
    reads: Vec<Read>,
}

/// A page as it was read for the claims that stand on it.
#[derive(Debug)]
struct Read {
    number: u32,
    page: Result<Page, Fault>,
    version: Version,
}

impl<D: SharedData> SharedStore<D> {
    /// Opens the table of the policy called `name`, and creates what is not there yet.
    ///
    /// `fresh` is taken for the proxy's secret if no worker stored one before.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    pub fn open(data: D, name: &str, keys_max: u32, fresh: &Secret) -> Result<Self, Fault> {
        let secret = agree(&data, SECRET_KEY, fresh)?;
        let table = table_of(name);
        let wanted = Geometry::new(keys_max);
        // The number of pages stands where the page after the last possible one would.
        let pages = u32::from_le_bytes(agree(&data, &page_key(table, u32::MAX), &wanted.pages.to_le_bytes())?);
        let geometry = Geometry::with_pages(keys_max, pages);
        Ok(Self {
            data,
            table,
            capacity: geometry.capacity,
            keys: KeyMaker::new(&secret, pages),
            evictions: 0,
            reads: Vec::new(),
        })
    }

    /// Makes the keys of this table.
    #[must_use]
    pub const fn keys(&self) -> &KeyMaker {
        &self.keys
    }

    fn read(&self, number: u32) -> Read {
        match self.data.read(&page_key(self.table, number)) {
            Ok((bytes, version)) => Read { number, page: Page::read(bytes), version },
            Err(fault) => Read { number, page: Err(fault), version: Version::ABSENT },
        }
    }

    /// Charges all claims of one page, reading and evaluating again as often as others write first.
    fn commit(&mut self, read: &mut Read, claims: &mut [Claim], now: Timestamp) -> Commit {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            let page = match &mut read.page {
                Ok(page) => page,
                Err(fault) => return failed(claims, read.number, *fault),
            };
            let mine: Vec<u64> = on(claims, read.number).map(|claim| claim.key.fingerprint).collect();
            let mut evicted = 0_u64;
            let mut changed = false;
            for claim in on(claims, read.number) {
                let state = match page.find(claim.key.fingerprint) {
                    Ok(state) => state,
                    Err(fault) => {
                        claim.answer = Err(fault);
                        claim.charge = None;
                        continue;
                    }
                };
                let evaluation = claim.bucket.evaluate(state.as_ref(), now, claim.cost);
                claim.answer = Ok(evaluation.decision);
                if let Some(state) = evaluation.charged {
                    let dropped = page.put(claim.key.fingerprint, &state, self.capacity, now, &mine);
                    evicted = evicted.saturating_add(u64::from(dropped));
                    changed = true;
                    claim.charge = Some(state.charge(claim.cost, now));
                }
            }
            if !on(claims, read.number).all(|claim| claim.admits()) {
                on(claims, read.number).for_each(|claim| claim.charge = None);
                return Commit::Denied;
            }
            if !changed {
                return Commit::Done;
            }
            match self.data.swap(&page_key(self.table, read.number), page.bytes(), read.version) {
                Ok(Swap::Done) => {
                    self.evictions = self.evictions.saturating_add(evicted);
                    return Commit::Done;
                }
                Ok(Swap::Conflict) => *read = self.read(read.number),
                Err(fault) => return failed(claims, read.number, fault),
            }
        }
        failed(claims, read.number, Fault::Contended)
    }

    /// Changes one record that is there; `change` sees it after it was read, and answers `None` to
    /// leave it as it is.
    fn change(&self, key: &Key, change: impl Fn(&State) -> Option<State>) -> Result<(), Fault> {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            let Read { page, version, .. } = self.read(key.page);
            let mut page = page?;
            let Some(state) = page.find(key.fingerprint)?.as_ref().and_then(&change) else { return Ok(()) };
            page.replace(key.fingerprint, &state);
            match self.data.swap(&page_key(self.table, key.page), page.bytes(), version)? {
                Swap::Done => return Ok(()),
                Swap::Conflict => {}
            }
        }
        Err(Fault::Contended)
    }
}

enum Commit {
    Done,
    Denied,
}

impl<D: SharedData> Store for SharedStore<D> {
    fn take(&mut self, claims: &mut [Claim], now: Timestamp, clock: &impl Clock) -> bool {
        let mut reads = std::mem::take(&mut self.reads);
        reads.clear();
        for claim in claims.iter_mut() {
            let read = match reads.iter().find(|read| read.number == claim.key.page) {
                Some(read) => read,
                None => reads.push_mut(self.read(claim.key.page)),
            };
            claim.charge = None;
            let state = match &read.page {
                Ok(page) => page.find(claim.key.fingerprint),
                Err(fault) => Err(*fault),
            };
            let evaluation = state.map(|state| claim.bucket.evaluate(state.as_ref(), now, claim.cost));
            claim.in_need_of_repair = evaluation.is_ok_and(|evaluation| evaluation.repaired.is_some());
            claim.answer = evaluation.map(|evaluation| evaluation.decision);
        }
        let mut admitted = claims.iter().all(Claim::admits);
        if admitted {
            admitted = reads.iter_mut().all(|read| matches!(self.commit(read, claims, now), Commit::Done));
            if !admitted {
                for claim in claims.iter_mut() {
                    if let Some(charge) = claim.charge.take() {
                        // If even this fails the caller has paid for a request that was refused,
                        // and the fault is counted: never more admitted than the limit states.
                        if let Err(fault) = self.give_back(&claim.key, &charge, clock) {
                            claim.answer = Err(fault);
                        }
                    }
                }
            }
        }
        self.reads = reads;
        admitted
    }

    fn repair(&mut self, claims: &[Claim], clock: &impl Clock) {
        for claim in claims.iter().filter(|claim| claim.in_need_of_repair) {
            let evaluate = |state: &State| claim.bucket.evaluate(Some(state), clock.now(), claim.cost).repaired;
            // A repair that fails is left to the next refusal.
            let _ = self.change(&claim.key, evaluate);
        }
    }

    fn give_back(&mut self, key: &Key, charge: &Charge, clock: &impl Clock) -> Result<(), Fault> {
        self.change(key, |state| state.give_back(charge, clock.now()))
    }

    fn drain_evictions(&mut self) -> u64 {
        std::mem::take(&mut self.evictions)
    }
}

/// The claims whose counters stand on page `number`.
fn on(claims: &mut [Claim], number: u32) -> impl Iterator<Item = &mut Claim> {
    claims.iter_mut().filter(move |claim| claim.key.page == number)
}

/// Marks the claims of a page that could not be written; their failure modes decide.
fn failed(claims: &mut [Claim], number: u32, fault: Fault) -> Commit {
    let mut admits = true;
    for claim in on(claims, number) {
        claim.answer = Err(fault);
        claim.charge = None;
        admits &= claim.admits();
    }
    if admits { Commit::Done } else { Commit::Denied }
}

/// Stores `proposed` if nothing is stored, and reads what is: all workers agree on the first.
fn agree<const N: usize, D: SharedData>(data: &D, key: &[u8], proposed: &[u8; N]) -> Result<[u8; N], Fault> {
    for _ in 0..SWAP_ATTEMPTS_MAX {
        let (bytes, version) = data.read(key)?;
        if !bytes.is_empty() {
            return bytes.try_into().map_err(|_| Fault::BadRecord);
        }
        data.swap(key, proposed, version)?;
    }
    Err(Fault::Contended)
}

/// Fifteen bytes, which the host's strings hold without an allocation. The first three name us
/// and the form of a page, so that a build which stores another form never reads this one.
fn page_key(table: [u8; 8], number: u32) -> [u8; KEY_BYTES] {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = table;
    let [n0, n1, n2, n3] = number.to_le_bytes();
    [b's', b'g', 1, t0, t1, t2, t3, t4, t5, t6, t7, n0, n1, n2, n3]
}

/// The table of one policy: its name, hashed with a fixed key.
fn table_of(name: &str) -> [u8; 8] {
    use std::hash::Hasher as _;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests;
