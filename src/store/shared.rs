//! Counters in the proxy's shared data: fixed pages, changed by compare-and-swap.
//!
//! The host never frees a key of shared data, so the keys are a fixed set: the pages of one table
//! per policy. Their number follows from the first policy's `keys_max` and then stays for the life
//! of the proxy, because a record's page depends on it; a later `keys_max` changes how many records
//! a page may hold, and no count is lost (decision 0002).

use super::key::{Key, KeyMaker, Secret};
use super::page::{FINGERPRINT_BYTES, Page};
use super::page_cache::PageCache;
use super::{LimitCheck, Store, StoreStats};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::Clock;
use crate::limit::{Charge, Reading, Rule, State};

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

    /// The most bytes of the proxy's memory that the table can take, once, over all workers, where
    /// no record has more than `record_bytes`.
    #[must_use]
    pub fn bytes_max(&self, record_bytes: usize) -> u64 {
        let page = self.capacity.saturating_mul(record_bytes.saturating_add(FINGERPRINT_BYTES));
        let page = u64::try_from(page).unwrap_or(u64::MAX);
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
    stats: StoreStats,
    cache: PageCache,
    /// Reused from request to request.
    pages: Vec<LoadedPage>,
}

/// A page as it was read for the checks that stand on it.
#[derive(Debug)]
struct LoadedPage {
    number: u32,
    page: Result<Page, Fault>,
    version: Version,
    /// It is what this worker wrote, and a swap alone can tell whether it is still there.
    speculative: bool,
}

impl<D: SharedData> SharedStore<D> {
    /// Opens the table of the policy called `name`, and creates what is not there yet.
    ///
    /// `candidate` is taken for the proxy's secret if no worker stored one before.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    pub fn open(data: D, name: &str, keys_max: u32, candidate: &Secret) -> Result<Self, Fault> {
        let secret = secret(&data, candidate)?;
        let table = table_of(name);
        let wanted = Geometry::new(keys_max);
        // The number of pages stands where the page after the last possible one would.
        let pages = u32::from_le_bytes(get_or_init(&data, &page_key(table, u32::MAX), &wanted.pages.to_le_bytes())?);
        let geometry = Geometry::with_pages(keys_max, pages);
        Ok(Self {
            data,
            table,
            capacity: geometry.capacity,
            keys: KeyMaker::new(&secret, pages),
            stats: StoreStats::default(),
            cache: PageCache::new(pages),
            pages: Vec::new(),
        })
    }

    /// Makes the keys of this table.
    #[must_use]
    pub const fn keys(&self) -> &KeyMaker {
        &self.keys
    }

    fn load(&self, number: u32) -> LoadedPage {
        match self.data.read(&page_key(self.table, number)) {
            Ok((bytes, version)) => LoadedPage { number, page: Ok(Page::read(bytes)), version, speculative: false },
            Err(fault) => LoadedPage { number, page: Err(fault), version: Version::ABSENT, speculative: false },
        }
    }

    /// What this worker wrote to the page last, or what is there.
    fn load_cached(&mut self, number: u32, now: Timestamp) -> LoadedPage {
        match self.cache.take(number, now) {
            Some((page, version)) => LoadedPage { number, page: Ok(page), version, speculative: true },
            None => self.load(number),
        }
    }

    /// Stores a page, and remembers it where its version is predicted.
    fn swap(&mut self, loaded: &mut LoadedPage, now: Timestamp) -> Result<Swap, Fault> {
        let Ok(page) = &mut loaded.page else { return Ok(Swap::Done) };
        let swap = self.data.swap(&page_key(self.table, loaded.number), page.bytes(), loaded.version)?;
        match (swap, self.data.predicted()) {
            (Swap::Done, Some(version)) => self.cache.keep(loaded.number, std::mem::take(page), version, now),
            (Swap::Done, None) => {}
            // What was cached need not have been there any more.
            (Swap::Conflict, _) if loaded.speculative => {}
            (Swap::Conflict, _) => self.stats.conflicts = self.stats.conflicts.saturating_add(1),
        }
        Ok(swap)
    }

    /// Charges all checks of one page by their answers. Where others wrote first, it reads and asks
    /// again, as often as [`SWAP_ATTEMPTS_MAX`].
    fn commit(&mut self, loaded: &mut LoadedPage, checks: &mut [LimitCheck], now: Timestamp) -> Commit {
        for _ in 0..SWAP_ATTEMPTS_MAX {
            if !checks_on(checks, loaded.number).all(|check| check.admits()) {
                return Commit::Denied;
            }
            let Ok(page) = &mut loaded.page else { return Commit::of(checks, loaded.number) };
            checks_on(checks, loaded.number).for_each(|check| check.pay(now));
            let pinned = |fingerprint| checks.iter().any(|check| check.key == Key { page: loaded.number, fingerprint });
            let (mut evicted, mut changed) = (0_u64, false);
            for check in checks.iter().filter(|check| check.key.page == loaded.number) {
                let Some(state) = &check.next else { continue };
                match page.put(check.key.fingerprint, state, self.capacity, now, pinned) {
                    Ok(dropped) => evicted = evicted.saturating_add(u64::from(dropped)),
                    Err(fault) => return fail_page(checks, loaded.number, fault),
                }
                changed = true;
            }
            if changed {
                match self.swap(loaded, now) {
                    Ok(Swap::Done) => {
                        self.stats.evicted = self.stats.evicted.saturating_add(evicted);
                        return Commit::of(checks, loaded.number);
                    }
                    Ok(Swap::Conflict) => {}
                    Err(fault) => return fail_page(checks, loaded.number, fault),
                }
            } else if !loaded.speculative {
                return Commit::of(checks, loaded.number);
            }
            *loaded = self.load(loaded.number);
            checks_on(checks, loaded.number).for_each(|check| loaded.ask(check, now));
        }
        fail_page(checks, loaded.number, Fault::Contended)
    }

    /// Gives back what was charged for a request that a later page refused.
    fn refund_all(&mut self, checks: &mut [LimitCheck], clock: &impl Clock) {
        for check in checks {
            if let Some(charge) = check.charge.take() {
                // If even this fails the caller has paid for a request that was refused, and the
                // fault is counted: never more admitted than the limit states.
                if let Err(fault) = self.refund(&check.key, &check.rule, &charge, clock) {
                    check.answer = Err(fault);
                }
            }
        }
    }

    /// Changes one record; `change` sees what there is after it was read, and answers what to store, or
    /// `None` to leave it as it is.
    fn update_record<T>(
        &mut self,
        key: &Key,
        clock: &impl Clock,
        change: impl Fn(Option<&State>, Timestamp) -> (Option<State>, T),
    ) -> Result<T, Fault> {
        self.cache.forget(key.page);
        for _ in 0..SWAP_ATTEMPTS_MAX {
            let mut loaded = self.load(key.page);
            let page = loaded.page.as_mut().map_err(|fault| *fault)?;
            let state = page.find(key.fingerprint)?;
            let now = clock.now();
            let (changed, told) = change(state.as_ref(), now);
            let Some(state) = changed else { return Ok(told) };
            let evicted = page.put(key.fingerprint, &state, self.capacity, now, |_| false)?;
            match self.swap(&mut loaded, now)? {
                Swap::Done => {
                    self.stats.evicted = self.stats.evicted.saturating_add(u64::from(evicted));
                    return Ok(told);
                }
                Swap::Conflict => {}
            }
        }
        Err(Fault::Contended)
    }
}

impl LoadedPage {
    fn ask(&self, check: &mut LimitCheck, now: Timestamp) {
        let state = match &self.page {
            Ok(page) => page.find(check.key.fingerprint),
            Err(fault) => Err(*fault),
        };
        check.ask(state.as_ref().map(Option::as_ref).map_err(|fault| *fault), now);
    }
}

enum Commit {
    Done,
    Denied,
}

impl Commit {
    /// By the answers of the checks of a page that was written: a fault may have come up meanwhile.
    fn of(checks: &mut [LimitCheck], number: u32) -> Self {
        if checks_on(checks, number).all(|check| check.admits()) { Self::Done } else { Self::Denied }
    }
}

impl<D: SharedData> Store for SharedStore<D> {
    fn try_charge_all(&mut self, checks: &mut [LimitCheck], now: Timestamp, clock: &impl Clock) -> bool {
        let mut pages = std::mem::take(&mut self.pages);
        pages.clear();
        for check in checks.iter_mut() {
            let loaded = match pages.iter().find(|loaded| loaded.number == check.key.page) {
                Some(loaded) => loaded,
                None => pages.push_mut(self.load_cached(check.key.page, now)),
            };
            loaded.ask(check, now);
        }
        let mut admitted = checks.iter().all(LimitCheck::admits);
        if !admitted && pages.iter().any(|loaded| loaded.speculative) {
            // Nobody is refused for what may not be there any more.
            for loaded in pages.iter_mut().filter(|loaded| loaded.speculative) {
                *loaded = self.load(loaded.number);
                checks_on(checks, loaded.number).for_each(|check| loaded.ask(check, now));
            }
            admitted = checks.iter().all(LimitCheck::admits);
        }
        if admitted {
            admitted = pages.iter_mut().all(|loaded| matches!(self.commit(loaded, checks, now), Commit::Done));
            if !admitted {
                self.refund_all(checks, clock);
            }
        }
        self.pages = pages;
        admitted
    }

    fn repair(&mut self, checks: &mut [LimitCheck], clock: &impl Clock) {
        for check in checks.iter_mut().filter(|check| check.is_ahead_of_clock) {
            let repaired = self.update_record(&check.key, clock, |state, now| {
                let (reading, repaired) = check.rule.read(state, now);
                (repaired, reading)
            });
            // A repair that fails is left to the next request.
            if let (Ok(reading), false) = (repaired, check.denies()) {
                check.restate(reading);
            }
        }
    }

    fn force_charge(
        &mut self,
        key: &Key,
        rule: &Rule,
        units: u64,
        clock: &impl Clock,
    ) -> Result<(Reading, Charge), Fault> {
        self.update_record(key, clock, |state, now| {
            let (state, balance) = rule.force_charge(state, now, units);
            let charge = state.charge(units, now);
            (Some(state), (Reading { balance, at: now }, charge))
        })
    }

    fn refund(&mut self, key: &Key, rule: &Rule, charge: &Charge, clock: &impl Clock) -> Result<Reading, Fault> {
        self.update_record(key, clock, |state, now| {
            let without = state.and_then(|state| state.refund(charge, now));
            let (reading, repaired) = rule.read(without.as_ref().or(state), now);
            (repaired.or(without), reading)
        })
    }

    fn drain_stats(&mut self) -> StoreStats {
        std::mem::take(&mut self.stats)
    }
}

/// The checks whose counters stand on page `number`.
fn checks_on(checks: &mut [LimitCheck], number: u32) -> impl Iterator<Item = &mut LimitCheck> {
    checks.iter_mut().filter(move |check| check.key.page == number)
}

/// Marks the checks of a page that could not be written; their failure modes decide.
fn fail_page(checks: &mut [LimitCheck], number: u32, fault: Fault) -> Commit {
    checks_on(checks, number).for_each(|check| check.fail(fault));
    Commit::of(checks, number)
}

/// The proxy's secret; `candidate` where no worker stored one before.
///
/// # Errors
/// [`Fault`] if the host fails.
pub fn secret<D: SharedData>(data: &D, candidate: &Secret) -> Result<Secret, Fault> {
    get_or_init(data, SECRET_KEY, candidate)
}

/// Stores `candidate` if nothing is stored, and reads what is: all workers agree on the first.
fn get_or_init<const N: usize, D: SharedData>(data: &D, key: &[u8], candidate: &[u8; N]) -> Result<[u8; N], Fault> {
    for _ in 0..SWAP_ATTEMPTS_MAX {
        let (bytes, version) = data.read(key)?;
        if !bytes.is_empty() {
            return bytes.try_into().map_err(|_| Fault::BadRecord);
        }
        data.swap(key, candidate, version)?;
    }
    Err(Fault::Contended)
}

/// Fifteen bytes, which the host's strings hold without an allocation. The first three name us
/// and the form of a page, so that a build which stores another form never reads this one.
fn page_key(table: [u8; 8], number: u32) -> [u8; KEY_BYTES] {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = table;
    let [n0, n1, n2, n3] = number.to_le_bytes();
    [b's', b'g', 4, t0, t1, t2, t3, t4, t5, t6, t7, n0, n1, n2, n3]
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
