//! The pages that this worker wrote last, with the versions that they have unless another worker
//! wrote at the same moment. A cached page is speculative: it holds only if a swap confirms it.

use crate::base::time::Timestamp;
use crate::host::shared::Version;
use crate::host::shared::cell::Seen;
use crate::host::shared::predictor::PREDICTION_AGE_MAX;

/// The most pages in the cache, and the most bytes of all together.
const PAGES_MAX: usize = 4_096;
const BYTES_MAX: usize = 8 << 20;

/// Pages by their numbers. Of two that fall on one slot, the cache holds the later one.
#[derive(Debug, Default)]
pub(super) struct PageCache {
    slots: Vec<Option<CachedPage>>,
    bytes: usize,
}

#[derive(Debug)]
struct CachedPage {
    number: u32,
    bytes: Vec<u8>,
    version: Version,
    at: Timestamp,
}

impl PageCache {
    /// A cache for a table of `pages` pages.
    pub(super) fn new(pages: u32) -> Self {
        let slots = usize::try_from(pages).map_or(PAGES_MAX, |pages| pages.min(PAGES_MAX));
        Self {
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
            bytes: 0,
        }
    }

    /// Takes the page out of the cache, since the caller is about to write another one.
    pub(super) fn take(&mut self, number: u32, now: Timestamp) -> Option<Seen> {
        let cached = self.remove(number)?;
        let is_young = cached.at <= now && now.since(cached.at) < PREDICTION_AGE_MAX;
        is_young.then_some(Seen {
            bytes: cached.bytes,
            version: cached.version,
            is_speculative: true,
        })
    }

    /// Drops a page that is about to be read and written.
    pub(super) fn forget(&mut self, number: u32) {
        self.remove(number);
    }

    fn remove(&mut self, number: u32) -> Option<CachedPage> {
        let cached = self
            .slot(number)?
            .take_if(|cached| cached.number == number)?;
        self.bytes = self.bytes.saturating_sub(cached.bytes.len());
        Some(cached)
    }

    /// Caches a page that was written at `now`.
    pub(super) fn keep(&mut self, number: u32, bytes: Vec<u8>, version: Version, now: Timestamp) {
        let size = bytes.len();
        if self.bytes.saturating_add(size) > BYTES_MAX {
            self.slots.fill_with(|| None);
            self.bytes = 0;
        }
        if let Some(slot) = self.slot(number) {
            let before = slot.replace(CachedPage {
                number,
                bytes,
                version,
                at: now,
            });
            let freed = before.map_or(0, |cached| cached.bytes.len());
            self.bytes = self.bytes.saturating_add(size).saturating_sub(freed);
        }
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<CachedPage>> {
        let number = usize::try_from(number).ok()?;
        let slot = number.checked_rem(self.slots.len())?;
        self.slots.get_mut(slot)
    }
}
