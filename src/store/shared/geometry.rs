//! The size of a policy's table of pages.

use crate::store::page::FINGERPRINT_BYTES;
use crate::store::page::eviction::{ROOM, USUAL};

/// Bytes that the host spends on a key besides the value (measured: 185 to 190).
pub(super) const HOST_KEY_BYTES: u64 = 190;

/// The size of a policy's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub(super) pages: u32,
    pub(super) capacity: usize,
}

impl Geometry {
    /// The table for `keys_max` live keys, with as many pages as suit it.
    #[must_use]
    pub fn new(keys_max: u32) -> Self {
        Self::with_pages(keys_max, keys_max.div_ceil(USUAL.into()).max(1))
    }

    pub(super) fn with_pages(keys_max: u32, pages: u32) -> Self {
        let room = u64::from(keys_max)
            .saturating_mul(u64::from(ROOM))
            .div_ceil(u64::from(USUAL));
        let capacity = room.div_ceil(u64::from(pages.max(1)));
        Self {
            pages,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX).max(1),
        }
    }

    /// The most bytes of the proxy's memory that the table can take, once, over all workers, if no
    /// record has more than `record_bytes`.
    #[must_use]
    pub fn bytes_max(&self, record_bytes: usize) -> u64 {
        let page = self
            .capacity
            .saturating_mul(record_bytes.saturating_add(FINGERPRINT_BYTES));
        let page = u64::try_from(page).unwrap_or(u64::MAX);
        u64::from(self.pages).saturating_mul(page.saturating_add(HOST_KEY_BYTES))
    }
}
