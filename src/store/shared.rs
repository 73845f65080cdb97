//! Counters in the proxy's shared data: fixed pages, changed by compare-and-swap.
//!
//! The host never frees a key of shared data, so the keys are a fixed set: the pages of one table
//! per policy. Their number follows from the first policy's `keys_max` and then stays for the life
//! of the proxy, because a record's page depends on it; a later `keys_max` changes how many records
//! a page may hold, and no count is lost (decision 0002).

mod geometry;
mod host_keys;
mod loaded_page;

pub use geometry::Geometry;
pub use host_keys::secret;

use host_keys::{page_key, table_of};
use loaded_page::{LoadedPage, all_admit, charge_page, checks_on, evaluate};

use super::key::{Key, KeyMaker, Secret};
use super::page::eviction::{CounterPage, Effect};
use super::page_cache::PageCache;
use super::{LimitCheck, Peek, Store, StoreStats};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{Seen, SharedCell, Stored, Update};
use crate::host::stream::Clock;
use crate::limit::{Charge, Reading, Rule, State, lease};

/// A store over the host's shared data.
#[derive(Debug)]
pub struct SharedStore<D> {
    data: D,
    secret: Secret,
    table: [u8; 8],
    is_new: bool,
    capacity: usize,
    keys: KeyMaker,
    stats: StoreStats,
    cache: PageCache,
    /// Reused from request to request.
    pages: Vec<LoadedPage>,
}

impl<D: SharedData> SharedStore<D> {
    /// Opens the table of the policy called `name`, and creates it if it does not exist yet.
    ///
    /// `candidate` becomes the proxy's secret unless a worker has stored one before.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    pub fn open(data: D, name: &str, keys_max: u32, candidate: &Secret) -> Result<Self, Fault> {
        let secret = secret(&data, candidate)?;
        let table = table_of(name);
        let preferred = Geometry::new(keys_max);
        // The number of pages has the key that a page after the last possible one would have.
        let key = page_key(table, u32::MAX);
        let mut is_new = false;
        let opened = SharedCell::new(&data, &key).update(|bytes| {
            is_new = bytes.is_empty();
            if is_new {
                let pages = preferred.pages;
                return Ok(Update::Store(pages.to_le_bytes().to_vec(), pages));
            }
            let pages = bytes.try_into().map_err(|_| Fault::BadRecord)?;
            Ok(Update::Keep(u32::from_le_bytes(pages)))
        });
        let pages = opened?.result;
        let geometry = Geometry::with_pages(keys_max, pages);
        Ok(Self {
            data,
            secret,
            table,
            is_new,
            capacity: geometry.capacity,
            keys: KeyMaker::new(&secret, pages),
            stats: StoreStats::default(),
            cache: PageCache::new(pages),
            pages: Vec::new(),
        })
    }

    /// The host's shared data.
    pub const fn data(&self) -> &D {
        &self.data
    }

    /// Whether this created the table, which is empty therefore.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The proxy's secret.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Makes the keys of this table.
    #[must_use]
    pub const fn keys(&self) -> &KeyMaker {
        &self.keys
    }

    fn load(&self, number: u32) -> LoadedPage {
        LoadedPage::new(
            number,
            SharedCell::new(&self.data, &page_key(self.table, number)).load(),
        )
    }

    /// Takes the page from the cache, or reads it.
    fn load_cached(&mut self, number: u32, now: Timestamp) -> LoadedPage {
        match self.cache.take(number, now) {
            Some(seen) => LoadedPage::new(number, Ok(seen)),
            None => self.load(number),
        }
    }

    /// Caches a page that was stored, if its version could be predicted.
    fn cache_stored(&mut self, number: u32, stored: Option<Stored>, now: Timestamp) {
        if let Some(Stored {
            bytes,
            version: Some(version),
        }) = stored
        {
            self.cache.keep(number, bytes, version, now);
        }
    }

    /// Charges all checks of one page by their answers, and evaluates them again for as long as
    /// other workers write the page first. True if all of them still admit.
    fn commit(&mut self, loaded: LoadedPage, checks: &mut [LimitCheck], now: Timestamp) -> bool {
        let (number, capacity) = (loaded.number, self.capacity);
        let Ok(page) = loaded.page else {
            return all_admit(checks, number);
        };
        let mut is_speculative = loaded.is_speculative;
        let mut is_reread = false;
        let seen = Seen {
            bytes: page.into_bytes(),
            version: loaded.version,
            is_speculative,
        };
        let key = page_key(self.table, number);
        let mut cell = SharedCell::new(&self.data, &key);
        let updated = cell.update_from(Some(seen), |bytes| {
            let mut page = CounterPage::read(bytes);
            if std::mem::replace(&mut is_reread, true) {
                is_speculative = false;
                for check in checks_on(checks, number) {
                    evaluate(check, &page, now);
                }
                if !all_admit(checks, number) {
                    return Ok(Update::Keep(None));
                }
            }
            match charge_page(&mut page, number, checks, capacity, now)? {
                Some(effect) => Ok(Update::Store(page.into_bytes(), Some(effect))),
                None if is_speculative => Ok(Update::Reread),
                None => Ok(Update::Keep(Some(Effect::default()))),
            }
        });
        self.stats.conflicts = self.stats.conflicts.saturating_add(cell.conflicts());
        match updated {
            Ok(updated) => {
                self.stats.count(updated.result.unwrap_or_default());
                self.cache_stored(number, updated.stored, now);
                updated.result.is_some()
            }
            Err(fault) => {
                for check in checks_on(checks, number) {
                    check.fail(fault);
                }
                all_admit(checks, number)
            }
        }
    }

    /// Refunds the charges of a request that a later page refused.
    fn refund_all(&mut self, checks: &mut [LimitCheck], clock: &impl Clock) {
        for check in checks {
            if let Some(charge) = check.charge.take() {
                // If even this fails, the caller has paid for a request that was refused, and the
                // fault is counted: never more is admitted than the limit states.
                if let Err(fault) = self.refund(&check.key, &check.rule, &charge, clock) {
                    check.answer = Err(fault);
                }
            }
        }
    }

    /// Cuts a record that lies too far in the future. The counter after that.
    fn repair_record(
        &mut self,
        key: &Key,
        rule: &Rule,
        clock: &impl Clock,
    ) -> Result<Reading, Fault> {
        self.update_record(key, clock, |state, now| {
            let (reading, repaired) = rule.read(state, now);
            (repaired, reading)
        })
    }

    /// Changes one record. `change` gets the state, and the time read after it; it returns the
    /// state to store, or `None` to leave the record as it is.
    fn update_record<T>(
        &mut self,
        key: &Key,
        clock: &impl Clock,
        change: impl Fn(Option<&State>, Timestamp) -> (Option<State>, T),
    ) -> Result<T, Fault> {
        self.cache.forget(key.page);
        let capacity = self.capacity;
        let page_key = page_key(self.table, key.page);
        let mut cell = SharedCell::new(&self.data, &page_key);
        let updated = cell.update(|bytes| {
            let mut page = CounterPage::read(bytes);
            let state = page.find(key.fingerprint)?;
            let now = clock.now();
            let (changed, result) = change(state.as_ref(), now);
            let Some(state) = changed else {
                return Ok(Update::Keep((result, Effect::default(), now)));
            };
            let effect = page.put(key.fingerprint, &state, capacity, now, |_| false)?;
            Ok(Update::Store(page.into_bytes(), (result, effect, now)))
        });
        self.stats.conflicts = self.stats.conflicts.saturating_add(cell.conflicts());
        let updated = updated?;
        let (result, effect, now) = updated.result;
        self.stats.count(effect);
        self.cache_stored(key.page, updated.stored, now);
        Ok(result)
    }
}

impl<D: SharedData> Store for SharedStore<D> {
    fn try_charge_all(
        &mut self,
        checks: &mut [LimitCheck],
        now: Timestamp,
        clock: &impl Clock,
    ) -> bool {
        let mut pages = std::mem::take(&mut self.pages);
        pages.clear();
        for check in checks.iter_mut() {
            let loaded = match pages.iter().find(|loaded| loaded.number == check.key.page) {
                Some(loaded) => loaded,
                None => pages.push_mut(self.load_cached(check.key.page, now)),
            };
            loaded.evaluate(check, now);
        }
        let mut admitted = checks.iter().all(LimitCheck::admits);
        if !admitted && pages.iter().any(|loaded| loaded.is_speculative) {
            // A state that may be outdated refuses no request.
            for loaded in pages.iter_mut().filter(|loaded| loaded.is_speculative) {
                *loaded = self.load(loaded.number);
                for check in checks_on(checks, loaded.number) {
                    loaded.evaluate(check, now);
                }
            }
            admitted = checks.iter().all(LimitCheck::admits);
        }
        if admitted {
            admitted = pages
                .drain(..)
                .all(|loaded| self.commit(loaded, checks, now));
            if !admitted {
                self.refund_all(checks, clock);
            }
        }
        self.pages = pages;
        admitted
    }

    fn repair(&mut self, checks: &mut [LimitCheck], clock: &impl Clock) {
        for check in checks.iter_mut().filter(|check| check.is_ahead_of_clock) {
            // A repair that fails is left to the next request.
            if let Some((key, rule)) = check.lock_record() {
                let _ = self.repair_record(&key, &rule, clock);
            }
            let repaired = self.repair_record(&check.key, &check.rule, clock);
            if let (Ok(reading), false) = (repaired, check.denies()) {
                check.set_reading(reading);
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

    fn refund(
        &mut self,
        key: &Key,
        rule: &Rule,
        charge: &Charge,
        clock: &impl Clock,
    ) -> Result<Reading, Fault> {
        self.update_record(key, clock, |state, now| {
            let without = state.and_then(|state| state.refund(charge, now));
            let (reading, repaired) = rule.read(without.as_ref().or(state), now);
            (repaired.or(without), reading)
        })
    }

    fn change_lease<T>(
        &mut self,
        key: &Key,
        clock: &impl Clock,
        change: impl Fn(Option<&lease::State>, Timestamp) -> (Option<lease::State>, T),
    ) -> Result<T, Fault> {
        self.update_record(key, clock, |state, now| {
            let (changed, result) = change(state.and_then(State::lease), now);
            (changed.map(|state| State::Lease(state.into())), result)
        })
    }

    fn reset(&mut self, key: &Key) -> Result<bool, Fault> {
        self.cache.forget(key.page);
        let page_key = page_key(self.table, key.page);
        let mut cell = SharedCell::new(&self.data, &page_key);
        let updated = cell.update(|bytes| {
            let mut page = CounterPage::read(bytes);
            let removed = page.remove_all(&key.records().map(|key| key.fingerprint))?;
            Ok(if removed == 0 {
                Update::Keep(0)
            } else {
                Update::Store(page.into_bytes(), removed)
            })
        });
        self.stats.conflicts = self.stats.conflicts.saturating_add(cell.conflicts());
        let removed = updated?.result;
        self.stats.count(Effect {
            evicted: 0,
            added: 0_i64.saturating_sub(removed),
        });
        Ok(removed > 0)
    }

    fn drain_stats(&mut self) -> StoreStats {
        std::mem::take(&mut self.stats)
    }
}

impl<D: SharedData> Peek for SharedStore<D> {
    fn state(&self, key: &Key) -> Result<Option<State>, Fault> {
        self.load(key.page).page?.find(key.fingerprint)
    }
}

#[cfg(test)]
mod tests;
