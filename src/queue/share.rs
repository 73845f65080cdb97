//! What one worker holds of one key, and how that is told to the others.
//!
//! A worker never says what changed but how it is: so many leases, these tickets. What it could not
//! write (a fault, a conflict too many) it writes the next time, and what was written twice is the
//! same. Others change two things about it: they turn its first ticket into a lease, and they bury
//! it. So a ticket that is gone from the record was granted, if there is a lease for it; if there is
//! none, this worker was buried, and writes all that it has under a new number. What stands under the
//! old one is swept like that of any dead worker.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::live::LivePool;
use super::stream::StreamId;
use crate::limit::pool::{Entry, State, Ticket, WorkerId};

/// Most tickets that one change turns into leases: each takes a message.
const HANDED_MAX: usize = 64;

/// One worker's part of one key.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) pool: Rc<LivePool>,
    /// Its streams in flight.
    pub(super) held: u32,
    /// Its streams that wait, by the numbers of their tickets.
    pub(super) waiting: BTreeMap<u32, StreamId>,
    /// Who this worker was when it last wrote how it is.
    pub(super) written_as: Option<WorkerId>,
}

/// What is asked for beside telling how it is.
#[derive(Debug, Default)]
pub(super) struct Wish<'w> {
    /// A stream has come; its ticket would have this number.
    pub(super) arrival: Option<u32>,
    /// Tickets that have waited too long.
    pub(super) expired: &'w [u32],
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Tickets of this worker that have become leases.
    pub(super) granted: Vec<u32>,
    /// Tickets of this worker that are gone because they waited too long.
    pub(super) expired: Vec<u32>,
    /// What became of the stream that came.
    pub(super) entry: Option<Entry>,
    /// The others whose tickets have become leases.
    pub(super) told: BTreeSet<WorkerId>,
    /// Whether somebody is still to be let in.
    pub(super) more: bool,
    /// Whether the record has less of this worker than it must: it was buried, and has not heard.
    pub(super) is_swept: bool,
}

impl Share {
    pub(super) const fn new(pool: Rc<LivePool>) -> Self {
        Self { pool, held: 0, waiting: BTreeMap::new(), written_as: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.waiting.is_empty()
    }

    /// Writes this worker's part into `state`, lets in who fits, and then who comes. Nothing of the
    /// share changes: if the state cannot be stored this is done again with the next.
    pub(super) fn merge(&self, state: &mut State, me: WorkerId, wish: &Wish<'_>) -> Merged {
        let mut merged = Merged::default();
        let placed = state.tickets_of(me);
        let is_known = self.written_as == Some(me);
        for &number in self.waiting.keys() {
            match (placed.contains(&number), wish.expired.contains(&number)) {
                (false, _) if is_known => merged.granted.push(number),
                (_, true) => merged.expired.push(number),
                (true, false) => {}
                // Buried meanwhile: at the end of the queue once more.
                (false, false) => state.waiting.push(Ticket { worker: me, number }),
            }
        }
        let stays = |number: &u32| self.waiting.contains_key(number) && !merged.expired.contains(number);
        state.waiting.retain(|ticket| ticket.worker != me || stays(&ticket.number));
        let granted = u32::try_from(merged.granted.len()).unwrap_or(u32::MAX);
        let held = self.held.saturating_add(granted);
        merged.is_swept = is_known && state.leases_of(me) < held;
        state.set_leases(me, held);

        let pool = self.pool.numbers();
        for head in pool.hand_over(state, HANDED_MAX) {
            if head.worker == me {
                merged.granted.push(head.number);
            } else {
                merged.told.insert(head.worker);
            }
        }
        merged.entry = wish.arrival.map(|number| pool.enter(state, Ticket { worker: me, number }));
        merged.more = pool.free(state) > 0 && !state.waiting.is_empty();
        merged
    }
}
