//! The pages that this worker wrote last, with the versions that they have unless another worker
//! wrote since. What comes from here is a guess, and holds only where a swap confirms it.

use super::page::Page;
use crate::base::time::Timestamp;
use crate::host::shared::Version;
use crate::host::shared::predictor::GUESS_AGE_MAX;

/// The most pages that are kept, and the most bytes of them.
const PAGES_MAX: u32 = 4_096;
const BYTES_MAX: usize = 8 << 20;

/// Pages by their numbers; of two that have the same place the later one is kept.
#[derive(Debug, Default)]
pub(super) struct Recall {
    places: Vec<Option<Kept>>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    number: u32,
    page: Page,
    version: Version,
    at: Timestamp,
}

impl Recall {
    /// Of a table of `pages` pages.
    pub(super) fn new(pages: u32) -> Self {
        let places = usize::try_from(pages.min(PAGES_MAX)).unwrap_or_default();
        Self { places: std::iter::repeat_with(|| None).take(places).collect(), bytes: 0 }
    }

    /// The page, which is forgotten by that: whoever takes it writes it anew.
    pub(super) fn take(&mut self, number: u32, now: Timestamp) -> Option<(Page, Version)> {
        let kept = self.remove(number)?;
        let is_young = kept.at <= now && now.since(kept.at) < GUESS_AGE_MAX;
        is_young.then_some((kept.page, kept.version))
    }

    /// Forgets a page that will be read and written anew.
    pub(super) fn forget(&mut self, number: u32) {
        self.remove(number);
    }

    fn remove(&mut self, number: u32) -> Option<Kept> {
        let kept = self.place(number)?.take_if(|kept| kept.number == number)?;
        self.bytes = self.bytes.saturating_sub(kept.page.bytes().len());
        Some(kept)
    }

    /// Keeps a page as it was written at `now`.
    pub(super) fn keep(&mut self, number: u32, page: Page, version: Version, now: Timestamp) {
        let size = page.bytes().len();
        if self.bytes.saturating_add(size) > BYTES_MAX {
            self.places.iter_mut().for_each(|place| *place = None);
            self.bytes = 0;
        }
        if let Some(place) = self.place(number) {
            let before = place.replace(Kept { number, page, version, at: now });
            let freed = before.map_or(0, |kept| kept.page.bytes().len());
            self.bytes = self.bytes.saturating_add(size).saturating_sub(freed);
        }
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Kept>> {
        let number = usize::try_from(number).ok()?;
        let place = number.checked_rem(self.places.len())?;
        self.places.get_mut(place)
    }
}
