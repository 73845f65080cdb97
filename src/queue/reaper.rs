//! Sweeping: what dead workers left on the pages.
//!
//! All pages are gone through when a worker joins and when one is missing, and a few with every
//! beat in any case. The slots that come free are given out by those who wait, in their rounds: they
//! know the pool's numbers.

use super::membership::Membership;
use super::page::{self, PAGES, PoolPage};
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};

/// Pages at one tick: all of them in eight ticks.
const PAGES_A_TICK: u32 = 128;

/// Pages with each beat while nobody is missing: all of them in about half a minute.
const PAGES_A_HEARTBEAT: u32 = 32;

/// Where the sweeping is.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    next: u32,
    due: u32,
}

impl Reaper {
    /// All pages are to be looked at.
    pub(super) fn schedule_all(&mut self) {
        self.due = PAGES;
    }

    /// Some more are.
    pub(super) fn schedule_some(&mut self) {
        self.due = self.due.max(PAGES_A_HEARTBEAT);
    }

    /// Looks at what is due, as much as a tick may; a page that fails is looked at again.
    pub(super) fn step<H: SharedData>(&mut self, host: &H, membership: &mut Membership) -> Result<(), Fault> {
        for _ in 0..self.due.min(PAGES_A_TICK) {
            match sweep(host, membership, self.next) {
                // One without the form of a page has nothing that could be swept.
                Ok(()) | Err(Fault::BadRecord) => {}
                Err(fault) => return Err(fault),
            }
            self.due = self.due.saturating_sub(1);
            self.next = self.next.saturating_add(1).checked_rem(PAGES).unwrap_or_default();
        }
        Ok(())
    }
}

/// Removes from one page what belongs to workers that are gone.
fn sweep<H: SharedData>(host: &H, membership: &mut Membership, number: u32) -> Result<(), Fault> {
    let key = page::key(number);
    let updated = SharedCell::new(host, &key).update(|bytes| {
        let page = PoolPage::read(bytes);
        let workers = page.workers()?;
        if workers.iter().all(|worker| membership.contains(*worker)) {
            return Ok(Update::Keep(()));
        }
        // Read after the page, so no worker on the page can have joined since.
        membership.refresh(host)?;
        if workers.iter().all(|worker| membership.contains(*worker)) {
            return Ok(Update::Keep(()));
        }
        let left = page.without(|worker| !membership.contains(worker))?;
        Ok(Update::Store(left.into_bytes(), ()))
    });
    updated.map(drop)
}
