//! One worker's part of one key, and how the other workers learn of changes.
//!
//! A worker writes its whole state and never a delta: its number of leases, and its tickets. If it
//! could not write (a fault, a conflict too many), it writes the next time; writing twice changes
//! nothing. Other workers change two things of that state: they grant its first ticket, and they
//! evict the worker. So a ticket that is gone from the record was granted if there is a lease for
//! it. If there is none, this worker was evicted, and writes all of its state under a new number.
//! The state under the old number is reaped like that of any dead worker.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::live::LivePool;
use super::waiting::Waiting;
use crate::limit::pool::{Entry, Pool, State, Ticket, WorkerId};

/// Most tickets that one change grants: each takes a message.
const GRANTS_MAX: usize = 64;

/// This worker's part of one key.
#[derive(Clone, Debug)]
pub(super) struct LocalState {
    pub(super) pool: Rc<LivePool>,
    /// The limits of the caller that asked last, if they are other than those of the pool. They
    /// apply to those that wait, too: as a rule all callers of one key have the same.
    pub(super) own: Option<Pool>,
    /// The number of its streams in flight.
    pub(super) held: u32,
    /// Its waiting streams, by the numbers of their tickets.
    pub(super) waiting: Waiting,
    /// The number of this worker when it last published its state.
    pub(super) published_as: Option<WorkerId>,
}

/// A change that is made as the state is published.
#[derive(Debug, Default)]
pub(super) struct Change<'w> {
    /// A stream asks for a slot; its ticket would have this number.
    pub(super) arrival: Option<u32>,
    /// Tickets that waited too long.
    pub(super) expired: &'w [u32],
}

/// The outcome of [`LocalState::reconcile`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reconciled {
    /// Tickets of this worker that were granted.
    pub(super) granted: Vec<u32>,
    /// Tickets of this worker that were removed because they waited too long.
    pub(super) expired: Vec<u32>,
    /// The answer to the stream that asks for a slot.
    pub(super) entry: Option<Entry>,
    /// Slots that are free after that.
    pub(super) free: u32,
    /// Other workers whose tickets were granted.
    pub(super) notify: BTreeSet<WorkerId>,
    /// Whether a ticket is still to be granted.
    pub(super) more: bool,
    /// Whether the record has fewer leases of this worker than it holds: it was evicted without
    /// knowing.
    pub(super) was_evicted: bool,
    /// Whether the state was written to, though perhaps with the same values.
    pub(super) has_written: bool,
}

impl LocalState {
    pub(super) fn new(pool: Rc<LivePool>) -> Self {
        Self {
            pool,
            own: None,
            held: 0,
            waiting: Waiting::default(),
            published_as: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.waiting.is_empty()
    }

    /// Writes this worker's part into `state`, grants the tickets that fit, and then answers the
    /// stream that asks. The local state does not change: if `state` cannot be stored, the next one
    /// is reconciled again.
    pub(super) fn reconcile(
        &self,
        state: &mut State,
        me: WorkerId,
        change: &Change<'_>,
    ) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let is_known = self.published_as == Some(me);
        // Mostly the tickets have not changed, which one pass over them finds out.
        if !change.expired.is_empty() || !state.tickets_of(me).eq(self.waiting.numbers()) {
            self.reconcile_tickets(state, me, change, &mut reconciled);
        }
        let granted = u32::try_from(reconciled.granted.len()).unwrap_or(u32::MAX);
        let (held, leased) = (self.held.saturating_add(granted), state.leases_of(me));
        reconciled.was_evicted = is_known && leased < held;
        if leased != held {
            state.set_leases(me, held);
            reconciled.has_written = true;
        }

        let pool = self.own.unwrap_or(self.pool.limits());
        for head in pool.grant(state, GRANTS_MAX) {
            reconciled.has_written = true;
            if head.worker == me {
                reconciled.granted.push(head.number);
            } else {
                reconciled.notify.insert(head.worker);
            }
        }
        reconciled.entry = change
            .arrival
            .map(|number| pool.enter(state, Ticket { worker: me, number }));
        reconciled.free = u32::try_from(pool.free(state)).unwrap_or(u32::MAX);
        reconciled.has_written |= matches!(reconciled.entry, Some(Entry::Admit | Entry::Wait));
        reconciled.more = !state.waiting.is_empty() && reconciled.free > 0;
        reconciled
    }

    /// Finds out which tickets of this worker were granted, and writes those that still wait.
    fn reconcile_tickets(
        &self,
        state: &mut State,
        me: WorkerId,
        change: &Change<'_>,
        reconciled: &mut Reconciled,
    ) {
        let is_known = self.published_as == Some(me);
        let mut placed: Vec<u32> = state.tickets_of(me).collect();
        // They ascend in the order of their arrival, unless the numbers have wrapped around.
        placed.sort_unstable();
        placed.dedup();
        let mut placed = placed.into_iter().peekable();
        let mut gone = Vec::new();
        let before = state.waiting.len();
        for number in self.waiting.numbers() {
            gone.extend(std::iter::from_fn(|| {
                placed.next_if(|placed| *placed < number)
            }));
            let is_placed = placed.next_if_eq(&number).is_some();
            match (is_placed, change.expired.contains(&number)) {
                (false, _) if is_known => reconciled.granted.push(number),
                (true, true) => {
                    reconciled.expired.push(number);
                    gone.push(number);
                }
                (false, true) => reconciled.expired.push(number),
                (true, false) => {}
                // The worker was evicted meanwhile: its ticket goes to the end of the queue.
                (false, false) => state.waiting.push(Ticket { worker: me, number }),
            }
        }
        gone.extend(placed);
        reconciled.has_written |= state.waiting.len() > before || !gone.is_empty();
        if !gone.is_empty() {
            state.waiting.retain(|ticket| {
                ticket.worker != me || gone.binary_search(&ticket.number).is_err()
            });
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::time::Span;
    use crate::limit::pool::Lease;
    use crate::queue::live::LivePools;
    use crate::queue::stream::StreamId;
    use crate::store::key::KeyMaker;

    /// The same as [`LocalState::reconcile`], with sets of tickets.
    fn reconcile_by_sets(
        local: &LocalState,
        state: &mut State,
        me: WorkerId,
        change: &Change<'_>,
    ) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let placed: BTreeSet<u32> = state.tickets_of(me).collect();
        let waiting: BTreeSet<u32> = local.waiting.numbers().collect();
        let is_known = local.published_as == Some(me);
        for &number in &waiting {
            match (placed.contains(&number), change.expired.contains(&number)) {
                (false, _) if is_known => reconciled.granted.push(number),
                (_, true) => reconciled.expired.push(number),
                (true, false) => {}
                (false, false) => state.waiting.push(Ticket { worker: me, number }),
            }
        }
        state.waiting.retain(|Ticket { worker, number }| {
            *worker != me || waiting.contains(number) && !reconciled.expired.contains(number)
        });
        let held = local.held + u32::try_from(reconciled.granted.len()).unwrap();
        reconciled.was_evicted = is_known && state.leases_of(me) < held;
        state.set_leases(me, held);
        let pool = local.pool.limits();
        for head in pool.grant(state, GRANTS_MAX) {
            if head.worker == me {
                reconciled.granted.push(head.number);
            } else {
                reconciled.notify.insert(head.worker);
            }
        }
        reconciled.entry = change
            .arrival
            .map(|number| pool.enter(state, Ticket { worker: me, number }));
        reconciled.free = u32::try_from(pool.free(state)).unwrap();
        reconciled.more = pool.free(state) > 0 && !state.waiting.is_empty();
        reconciled
    }

    /// Leases and tickets of three workers, some of them twice.
    fn states() -> impl Strategy<Value = State> {
        let leases = proptest::collection::btree_map(0..3_u32, 1..4_u32, 0..3);
        let waiting = proptest::collection::vec((0..3_u32, 0..9_u32), 0..9);
        (leases, waiting, proptest::bool::ANY).prop_map(|(leases, waiting, in_order)| {
            let ticket = |(worker, number)| Ticket {
                worker: WorkerId(worker),
                number,
            };
            let mut waiting: Vec<Ticket> = waiting.into_iter().map(ticket).collect();
            if in_order {
                waiting.sort_by_key(|ticket| ticket.number);
            }
            State {
                leases: BTreeMap::into_iter(leases)
                    .map(|(worker, count)| Lease {
                        worker: WorkerId(worker),
                        count,
                    })
                    .collect(),
                waiting,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn one_walk_finds_what_sets_find(
            state in states(),
            held in 0..4_u32,
            slots in 1..7_u32,
            others in proptest::collection::btree_set(0..9_u32, 0..5),
            takes_its_own: bool,
            published_as in proptest::option::of(0..2_u32),
            arrival in proptest::option::of(9..11_u32),
            expired in proptest::collection::vec(0..9_u32, 0..3),
        ) {
            let me = WorkerId(0);
            let numbers = Pool::new(slots, 6, Span::from_seconds(1)).unwrap();
            let (pool, _) =
                LivePools::default().reconfigure(b"pool", &KeyMaker::new(&[0; 16], 1), numbers);
            let mut local = LocalState {
                held,
                published_as: published_as.map(WorkerId),
                ..LocalState::new(pool)
            };
            let own: Vec<u32> = state.tickets_of(me).filter(|_| takes_its_own).collect();
            for number in own
                .into_iter()
                .chain(others.into_iter().filter(|_| !takes_its_own || held == 0))
            {
                local.waiting.insert(number, StreamId(number));
            }
            let change = Change {
                arrival,
                expired: &expired,
            };
            let (mut fast, mut slow) = (state.clone(), state.clone());
            let reconciled = local.reconcile(&mut fast, me, &change);
            let expected = reconcile_by_sets(&local, &mut slow, me, &change);
            prop_assert!(reconciled.has_written || fast == state, "{reconciled:?}");
            prop_assert_eq!(
                Reconciled {
                    has_written: false,
                    ..reconciled
                },
                expected
            );
            prop_assert_eq!(fast, slow);
        }
    }
}
