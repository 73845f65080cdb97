//! A pool of slots: a maximum of requests of one key in flight, and a queue before them.
//!
//! ```text
//!   leases   worker 7: 3   worker 9: 1   ◀── the head, whenever a slot is free
//!   waiting                                  [9·14] [7·21] [9·15] …  ◀── new tickets, if they fit
//! ```
//!
//! The state is the number of leases of each worker, and the tickets of the waiting requests in the
//! order of their arrival. Every change grants all tickets that fit, so between two changes no
//! request waits for a free slot. Each worker writes its own part, its leases and its tickets;
//! writing it twice changes nothing.

use crate::base::time::Span;

/// At most `slots` requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    slots: u32,
    length: u32,
    timeout: Span,
}

/// Most slots of a pool.
pub const SLOTS_MAX: u32 = 1_000_000;

/// Most requests that wait for one key: their tickets are read and written with each change.
pub const QUEUE_LENGTH_MAX: u32 = 1_000;

/// The longest wait; Envoy's own timeouts for a stream are of this order.
pub const TIMEOUT_MAX: Span = Span::from_seconds(3_600);

/// A worker of the proxy, from when it joins until it is gone. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// A place in a queue: its worker, and that worker's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// The worker of the waiting request.
    pub worker: WorkerId,
    /// The worker's number for the ticket.
    pub number: u32,
}

/// Slots that one worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The worker.
    pub worker: WorkerId,
    /// The number of slots, at least one.
    pub count: u32,
}

/// The state of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The workers that hold slots, each once.
    pub leases: Vec<Lease>,
    /// The waiting requests, in the order of arrival.
    pub waiting: Vec<Ticket>,
}

/// The answer to a request for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A slot was free, and the request has it.
    Admit,
    /// The request waits.
    Wait,
    /// Slots and queue are full.
    Full,
}

impl Pool {
    /// `slots`, a queue of `length`, and the longest wait in it; `None` if one is out of its
    /// range. There is at least one slot. A queue of no length refuses at once.
    #[must_use]
    pub fn new(slots: u32, length: u32, timeout: Span) -> Option<Self> {
        let fits = (1..=SLOTS_MAX).contains(&slots)
            && length <= QUEUE_LENGTH_MAX
            && timeout <= TIMEOUT_MAX
            && (length == 0 || timeout > Span::ZERO);
        fits.then_some(Self {
            slots,
            length,
            timeout,
        })
    }

    /// The same without a queue.
    #[must_use]
    pub const fn without_queue(&self) -> Self {
        Self {
            length: 0,
            timeout: Span::ZERO,
            ..*self
        }
    }

    /// Most requests in flight.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Most requests that wait.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// The longest wait.
    #[must_use]
    pub const fn timeout(&self) -> Span {
        self.timeout
    }

    /// Grants free slots to the first tickets, at most `most` of them. Returns these tickets.
    pub fn grant(&self, state: &mut State, most: usize) -> Vec<Ticket> {
        let free = self.free(state).min(most).min(state.waiting.len());
        let heads: Vec<Ticket> = state.waiting.drain(..free).collect();
        for head in &heads {
            state.set_leases(head.worker, state.leases_of(head.worker).saturating_add(1));
        }
        heads
    }

    /// Answers a request for a slot. It never overtakes a waiting one.
    pub fn enter(&self, state: &mut State, ticket: Ticket) -> Entry {
        if state.waiting.is_empty() && self.free(state) > 0 {
            state.set_leases(
                ticket.worker,
                state.leases_of(ticket.worker).saturating_add(1),
            );
            return Entry::Admit;
        }
        if u32::try_from(state.waiting.len()).is_ok_and(|waiting| waiting < self.length) {
            state.waiting.push(ticket);
            return Entry::Wait;
        }
        Entry::Full
    }

    /// The number of free slots.
    #[must_use]
    pub fn free(&self, state: &State) -> usize {
        usize::try_from(u64::from(self.slots).saturating_sub(state.in_flight()))
            .unwrap_or(usize::MAX)
    }
}

impl State {
    /// Requests in flight, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.leases
            .iter()
            .fold(0, |sum, lease| sum.saturating_add(u64::from(lease.count)))
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.leases.is_empty() && self.waiting.is_empty()
    }

    /// The number of slots that `worker` holds.
    #[must_use]
    pub fn leases_of(&self, worker: WorkerId) -> u32 {
        self.leases
            .iter()
            .find(|lease| lease.worker == worker)
            .map_or(0, |lease| lease.count)
    }

    /// Sets the number of slots that `worker` holds.
    pub fn set_leases(&mut self, worker: WorkerId, count: u32) {
        match self.leases.iter_mut().find(|lease| lease.worker == worker) {
            Some(lease) => lease.count = count,
            None => self.leases.push(Lease { worker, count }),
        }
        self.leases.retain(|lease| lease.count > 0);
    }

    /// The numbers of the tickets that `worker` has here, in the order of arrival.
    pub fn tickets_of(&self, worker: WorkerId) -> impl Iterator<Item = u32> {
        self.waiting
            .iter()
            .filter(move |ticket| ticket.worker == worker)
            .map(|ticket| ticket.number)
    }

    /// Removes the leases and tickets of the workers that `gone` names.
    pub fn forget(&mut self, gone: impl Fn(WorkerId) -> bool) {
        self.leases.retain(|lease| !gone(lease.worker));
        self.waiting.retain(|ticket| !gone(ticket.worker));
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    fn pool(slots: u32, length: u32) -> Pool {
        Pool::new(slots, length, Span::from_seconds(1)).unwrap()
    }

    /// Steps: `worker number`, `-worker` for a slot that is returned, `+slots` for another policy.
    /// Each is followed by its result.
    fn check(mut pool: Pool, steps: &str) {
        let mut state = State::default();
        for step in steps.split('\n').map(str::trim) {
            let (action, expected) = step.split_once(" => ").unwrap();
            let worker = |text: &str| if text == "a" { A } else { B };
            let actual = if let Some(name) = action.strip_prefix('-') {
                state.set_leases(worker(name), state.leases_of(worker(name)) - 1);
                format!(
                    "{:?}",
                    pool.grant(&mut state, 64)
                        .iter()
                        .map(|ticket| ticket.number)
                        .collect::<Vec<_>>()
                )
            } else if let Some(slots) = action.strip_prefix('+') {
                pool = Pool::new(slots.parse().unwrap(), pool.length(), pool.timeout()).unwrap();
                format!(
                    "{:?}",
                    pool.grant(&mut state, 64)
                        .iter()
                        .map(|ticket| ticket.number)
                        .collect::<Vec<_>>()
                )
            } else {
                let (name, number) = action.split_once(' ').unwrap();
                let ticket = Ticket {
                    worker: worker(name),
                    number: number.parse().unwrap(),
                };
                format!("{:?}", pool.enter(&mut state, ticket))
            };
            assert_eq!(actual, expected, "{step}: {state:?}");
        }
    }

    #[test]
    fn the_queue_is_first_come_first_served() {
        check(
            pool(2, 3),
            "a 1 => Admit
             b 1 => Admit
             b 2 => Wait
             a 2 => Wait
             a 3 => Wait
             b 3 => Full
             -a => [2]
             b 4 => Wait
             -b => [2]
             -b => [3]
             -a => [4]
             -a => []
             b 5 => Admit",
        );
    }

    #[test]
    fn another_number_of_slots_holds_from_when_it_is_taken() {
        check(
            pool(3, 9),
            "a 1 => Admit
             a 2 => Admit
             a 3 => Admit
             a 4 => Wait
             a 5 => Wait
             a 6 => Wait
             +1 => []
             -a => []
             -a => []
             -a => [4]
             +9 => [5, 6]",
        );
    }

    #[test]
    fn no_request_overtakes_a_waiting_one() {
        let ticket = |number| Ticket { worker: A, number };
        let mut state = State {
            leases: Vec::new(),
            waiting: vec![ticket(1), ticket(2)],
        };
        let pool = pool(9, 9);
        assert_eq!(pool.grant(&mut state, 1), [ticket(1)]);
        assert_eq!(pool.enter(&mut state, ticket(3)), Entry::Wait);
        assert_eq!(pool.grant(&mut state, 9), [ticket(2), ticket(3)]);
    }

    #[test]
    fn a_pool_has_bounds() {
        let second = Span::from_seconds(1);
        assert!(Pool::new(1, 0, Span::ZERO).is_some());
        for (slots, length, timeout) in [
            (0, 1, second),
            (SLOTS_MAX + 1, 1, second),
            (1, QUEUE_LENGTH_MAX + 1, second),
            (1, 1, Span::ZERO),
            (1, 1, TIMEOUT_MAX.plus(second)),
        ] {
            assert_eq!(Pool::new(slots, length, timeout), None);
        }
    }

    #[test]
    fn what_is_of_a_worker_that_is_gone_is_forgotten() {
        let pool = pool(1, 9);
        let mut state = State::default();
        for (worker, number) in [(A, 1), (B, 1), (A, 2), (B, 2)] {
            pool.enter(&mut state, Ticket { worker, number });
        }
        assert!(state.tickets_of(B).eq([1, 2]));
        state.forget(|worker| worker == A);
        assert_eq!((state.in_flight(), state.waiting.len()), (0, 2));
        state.forget(|worker| worker == B);
        assert!(state.is_idle());
    }
}
