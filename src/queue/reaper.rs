//! The reaper removes the leases and tickets of dead workers from all pages.
//!
//! It goes through all pages when a worker joins and when one is lost, and through a few with every
//! heartbeat in any case. The workers with waiting streams grant the slots that this frees, in
//! their rounds, since they know the pool's limits.

use super::membership::Membership;
use super::page::{self, PAGES, PoolPage};
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};

/// Pages at one tick: all of them in eight ticks.
const PAGES_A_TICK: u32 = 128;

/// Pages with each heartbeat while no member is lost: all of them in about half a minute.
const PAGES_A_HEARTBEAT: u32 = 32;

/// The progress of the reaper.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    next: u32,
    due: u32,
}

impl Reaper {
    /// Makes all pages due.
    pub(super) fn schedule_all(&mut self) {
        self.due = PAGES;
    }

    /// Makes some more pages due.
    pub(super) fn schedule_some(&mut self) {
        self.due = self.due.max(PAGES_A_HEARTBEAT);
    }

    /// Scans pages that are due, up to the number that a tick allows. A page that fails stays due.
    pub(super) fn step<H: SharedData>(
        &mut self,
        host: &H,
        membership: &mut Membership,
    ) -> Result<(), Fault> {
        for _ in 0..self.due.min(PAGES_A_TICK) {
            match reap(host, membership, self.next) {
                // A value without the form of a page has nothing to reap.
                Ok(()) | Err(Fault::BadRecord) => {}
                Err(fault) => return Err(fault),
            }
            self.due = self.due.saturating_sub(1);
            self.next = self
                .next
                .saturating_add(1)
                .checked_rem(PAGES)
                .unwrap_or_default();
        }
        Ok(())
    }
}

/// Removes from one page the entries of workers that are gone.
fn reap<H: SharedData>(host: &H, membership: &mut Membership, number: u32) -> Result<(), Fault> {
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
