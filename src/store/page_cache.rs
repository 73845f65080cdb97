//! The pages that this worker wrote last, with the versions that they have unless another worker
//! wrote since. What comes from here is a guess, and holds only where a swap confirms it.

use super::page::Page;
use crate::base::time::Timestamp;
use crate::host::shared::Version;
use crate::host::shared::predictor::PREDICTION_AGE_MAX;

/// The most pages that are cached, and the most bytes of them.
const PAGES_MAX: u32 = 4_096;
const BYTES_MAX: usize = 8 << 20;

/// Pages by their numbers; of two that have the same slot the later one is cached.
#[derive(Debug, Default)]
pub(super) struct PageCache {
    slots: Vec<Option<CachedPage>>,
    bytes: usize,
}

#[derive(Debug)]
struct CachedPage {
    number: u32,
    page: Page,
    version: Version,
    at: Timestamp,
}

impl PageCache {
    /// Of a table of `pages` pages.
    pub(super) fn new(pages: u32) -> Self {
        let slots = usize::try_from(pages.min(PAGES_MAX)).unwrap_or_default();
        Self { slots: std::iter::repeat_with(|| None).take(slots).collect(), bytes: 0 }
    }

    /// The page, which is forgotten by that: whoever takes it writes it anew.
    pub(super) fn take(&mut self, number: u32, now: Timestamp) -> Option<(Page, Version)> {
        let cached = self.remove(number)?;
        let is_young = cached.at <= now && now.since(cached.at) < PREDICTION_AGE_MAX;
        is_young.then_some((cached.page, cached.version))
    }

    /// Forgets a page that will be read and written anew.
    pub(super) fn forget(&mut self, number: u32) {
        self.remove(number);
    }

    fn remove(&mut self, number: u32) -> Option<CachedPage> {
        let cached = self.slot(number)?.take_if(|cached| cached.number == number)?;
        self.bytes = self.bytes.saturating_sub(cached.page.bytes().len());
        Some(cached)
    }

    /// Keeps a page as it was written at `now`.
    pub(super) fn keep(&mut self, number: u32, page: Page, version: Version, now: Timestamp) {
        let size = page.bytes().len();
        if self.bytes.saturating_add(size) > BYTES_MAX {
            self.slots.iter_mut().for_each(|slot| *slot = None);
            self.bytes = 0;
        }
        if let Some(slot) = self.slot(number) {
            let before = slot.replace(CachedPage { number, page, version, at: now });
            let freed = before.map_or(0, |cached| cached.page.bytes().len());
            self.bytes = self.bytes.saturating_add(size).saturating_sub(freed);
        }
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<CachedPage>> {
        let number = usize::try_from(number).ok()?;
        let slot = number.checked_rem(self.slots.len())?;
        self.slots.get_mut(slot)
    }
}
