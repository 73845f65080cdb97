//! Workers over one fake host, callback by callback.

#![allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]

mod outages;

use std::rc::Rc;

use super::live::LivePool;
use super::membership::RootId;
use super::stream::{Action, Admission, Answer, Reason, Refusal, SlotRequest, StreamId};
use super::worker::{ACTIONS_MAX, Worker};
use crate::base::time::Span;
use crate::host::fake::FakeData;
use crate::host::fault::Fault;
use crate::host::queue::{QueueToken, SharedQueue as _};
use crate::limit::pool::Pool;
use crate::limit::{Enforcement, FailureMode};

const ROOT: RootId = RootId(1);

/// One worker and its pool `demo`.
struct One {
    worker: Worker<FakeData>,
    pool: Rc<LivePool>,
    uptime: Span,
}

fn pool(slots: u32, length: u32) -> Pool {
    Pool::new(slots, length, Span::from_seconds(2)).unwrap()
}

fn tenths(count: u64) -> Span {
    Span::from_nanos(count * 100_000_000)
}

impl One {
    fn new(data: &FakeData, numbers: Pool) -> Self {
        let mut worker = Worker::open(data.clone(), &[7; 16]).unwrap();
        let pool = worker.reconfigure(b"demo", numbers);
        Self {
            worker,
            pool,
            uptime: Span::ZERO,
        }
    }

    fn slot_request(&mut self, pool: &Rc<LivePool>, name: &str) -> SlotRequest {
        let mut key = self.worker.key(pool);
        key.push(Some(name.as_bytes()));
        SlotRequest {
            pool: Rc::clone(pool),
            own: None,
            key: key.finish(),
            failure: FailureMode::Deny,
            enforcement: Enforcement::Enforce,
        }
    }

    fn acquire(&mut self, stream: u32) -> Admission {
        let pool = Rc::clone(&self.pool);
        let request = self.slot_request(&pool, "key");
        self.worker
            .acquire(ROOT, StreamId(stream), vec![request], self.uptime)
    }

    fn acquire_with(&mut self, stream: u32, own: Pool) -> Admission {
        let pool = Rc::clone(&self.pool);
        let mut request = self.slot_request(&pool, "key");
        request.own = Some(own);
        self.worker
            .acquire(ROOT, StreamId(stream), vec![request], self.uptime)
    }

    fn release(&mut self, stream: u32) {
        self.worker.release(StreamId(stream), self.uptime);
    }

    fn hear(&mut self) -> Vec<(u32, Answer)> {
        answers(self.worker.on_message(self.uptime))
    }

    /// Lets `ticks` pass, and returns the answers.
    fn tick(&mut self, ticks: u64) -> Vec<(u32, Answer)> {
        (0..ticks)
            .flat_map(|_| {
                self.uptime = self.uptime.plus(tenths(1));
                answers(self.worker.on_tick(ROOT, self.uptime))
            })
            .collect()
    }
}

fn answers(actions: Vec<Action>) -> Vec<(u32, Answer)> {
    assert!(actions.len() <= ACTIONS_MAX);
    actions
        .into_iter()
        .map(|action| (action.stream.0, action.answer))
        .collect()
}

const fn refused(reason: Reason) -> Refusal {
    Refusal { pool: 0, reason }
}

const TIMEOUT: Answer = Answer::Refuse(refused(Reason::QueueTimeout));

/// The number of pages with records.
fn pages(data: &FakeData) -> usize {
    data.map
        .borrow()
        .values
        .iter()
        .filter(|(key, (value, _))| key.starts_with(b"sgp") && !value.is_empty())
        .count()
}

#[test]
fn a_slot_is_handed_from_worker_to_worker_in_order() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(1, 2)), One::new(&data, pool(1, 2)));
    assert_eq!(
        [a.acquire(1), b.acquire(1), a.acquire(2)],
        [Admission::Admit, Admission::Wait, Admission::Wait]
    );
    assert_eq!(b.acquire(2), Admission::Refuse(refused(Reason::QueueFull)));
    a.release(1);
    assert_eq!((a.hear(), b.hear()), (vec![], vec![(1, Answer::Resume)]));
    assert_eq!((a.hear(), b.hear()), (vec![], vec![]), "once");
    b.release(1);
    b.release(1);
    assert_eq!(a.hear(), [(2, Answer::Resume)]);
    a.release(2);
    assert_eq!(pages(&data), 0);
}

#[test]
fn a_slot_that_is_granted_to_a_stream_that_has_left_goes_on() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(1, 9)), One::new(&data, pool(1, 9)));
    assert_eq!(
        [a.acquire(1), b.acquire(1), a.acquire(2)],
        [Admission::Admit, Admission::Wait, Admission::Wait]
    );
    a.release(1);
    b.release(1);
    assert_eq!(b.hear(), []);
    assert_eq!(a.hear(), [(2, Answer::Resume)]);
    // Also if it is this worker's own, and has not been answered yet.
    assert_eq!(
        [a.acquire(3), a.acquire(4)],
        [Admission::Wait, Admission::Wait]
    );
    a.release(2);
    a.release(3);
    assert_eq!(a.hear(), [(4, Answer::Resume)]);
    a.release(4);
    assert_eq!(pages(&data), 0);
}

#[test]
fn a_request_that_waits_too_long_is_refused_unless_it_has_a_slot_by_then() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(1, 9)), One::new(&data, pool(1, 9)));
    assert_eq!(
        [a.acquire(1), b.acquire(1), b.acquire(2)],
        [Admission::Admit, Admission::Wait, Admission::Wait]
    );
    assert_eq!(b.tick(19), []);
    a.tick(19);
    a.release(1);
    assert_eq!(b.tick(1), [(2, TIMEOUT), (1, Answer::Resume)]);
    b.release(2);
    b.release(1);
    assert_eq!(pages(&data), 0);
}

#[test]
fn no_callback_answers_more_than_its_share() {
    let data = FakeData::default();
    let mut a = One::new(&data, pool(200, 900));
    let arrivals: Vec<Admission> = (0..600).map(|stream| a.acquire(stream)).collect();
    assert_eq!(
        arrivals
            .iter()
            .filter(|arrival| **arrival == Admission::Admit)
            .count(),
        200
    );
    for stream in 0..200 {
        a.release(stream);
    }
    let mut resumed = Vec::new();
    while resumed.len() < 200 {
        let more = a.hear();
        assert_eq!(more.len(), ACTIONS_MAX.min(200 - resumed.len()));
        resumed.extend(more);
    }
    assert!(
        resumed
            .into_iter()
            .eq((200..400).map(|stream| (stream, Answer::Resume)))
    );
    let mut refused = a.tick(20);
    assert_eq!(refused.len(), ACTIONS_MAX);
    while refused.len() < 200 {
        let more = a.hear();
        assert_eq!(more.len(), ACTIONS_MAX.min(200 - refused.len()));
        refused.extend(more);
    }
    for stream in 200..600 {
        a.release(stream);
    }
    assert_eq!((a.hear(), pages(&data)), (vec![], 0));
}

#[test]
fn another_policy_applies_at_once_also_to_waiting_requests() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(1, 9)), One::new(&data, pool(1, 9)));
    assert_eq!(
        [a.acquire(1), b.acquire(1), a.acquire(2), b.acquire(2)][1..],
        [Admission::Wait; 3]
    );
    a.worker.reconfigure(b"demo", pool(3, 9));
    assert_eq!(
        (a.tick(1), b.hear()),
        (vec![(2, Answer::Resume)], vec![(1, Answer::Resume)])
    );
    for one in [&mut a, &mut b] {
        one.worker.reconfigure(b"demo", pool(2, 9));
    }
    a.release(1);
    assert_eq!(
        (a.hear(), b.hear()),
        (vec![], vec![]),
        "two are in flight as it is"
    );
    assert_eq!(a.acquire(3), Admission::Wait);
    a.release(2);
    assert_eq!((a.hear(), b.hear()), (vec![], vec![(2, Answer::Resume)]));
}

#[test]
fn many_slots_more_let_many_in_within_a_few_ticks() {
    let data = FakeData::default();
    let mut a = One::new(&data, pool(1, 900));
    // Other keys wait as well, and are looked at in rounds.
    let other = a.worker.reconfigure(b"other", pool(1, 900));
    for stream in 0..100 {
        let request = a.slot_request(&other, &(stream % 50).to_string());
        a.worker
            .acquire(ROOT, StreamId(1_000 + stream), vec![request], a.uptime);
    }
    let waiting = (0..=200)
        .filter(|stream| a.acquire(*stream) == Admission::Wait)
        .count();
    a.worker.reconfigure(b"demo", pool(900, 900));
    let mut resumed = 0;
    for _ in 0..4 {
        resumed += a.tick(1).len();
        while let more @ 1.. = a.hear().len() {
            resumed += more;
        }
    }
    assert_eq!((waiting, resumed), (200, 200));
}

#[test]
fn a_stream_that_needs_two_pools_holds_the_first_while_it_waits_for_the_second() {
    let data = FakeData::default();
    let mut a = One::new(&data, pool(1, 1));
    let other = a.worker.reconfigure(b"other", pool(1, 1));
    let both = |a: &mut One, stream| {
        let pool = Rc::clone(&a.pool);
        let requests = vec![a.slot_request(&other, "x"), a.slot_request(&pool, "key")];
        a.worker.acquire(ROOT, StreamId(stream), requests, a.uptime)
    };
    assert_eq!(a.acquire(1), Admission::Admit);
    assert_eq!(
        [both(&mut a, 2), both(&mut a, 3)],
        [Admission::Wait, Admission::Wait]
    );
    a.release(1);
    assert_eq!(a.hear(), [(2, Answer::Resume)]);
    assert_eq!(a.acquire(4), Admission::Wait);
    a.release(2);
    assert_eq!(a.hear(), [(4, Answer::Resume)]);
    assert_eq!(
        a.acquire(5),
        Admission::Refuse(refused(Reason::QueueFull)),
        "the third waits here now"
    );
    a.release(4);
    assert_eq!(a.hear(), [(3, Answer::Resume)]);
    a.release(3);
    assert_eq!(pages(&data), 0);
}

#[test]
fn each_caller_of_a_key_has_its_own_slots() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(2, 0)), One::new(&data, pool(2, 0)));
    let refused = Admission::Refuse(Refusal {
        pool: 0,
        reason: Reason::QueueFull,
    });
    assert_eq!(a.acquire(1), Admission::Admit);
    assert_eq!(b.acquire_with(2, pool(1, 0)), refused);
    assert_eq!(b.acquire(3), Admission::Admit);
    assert_eq!(a.acquire(4), refused);
    assert_eq!(a.acquire_with(5, pool(3, 1)), Admission::Admit);
    assert_eq!(b.acquire_with(6, pool(3, 1)), Admission::Wait);
    assert_eq!(a.acquire_with(7, pool(3, 1)), refused);
    a.release(5);
    assert_eq!(b.hear(), [(6, Answer::Resume)]);
}
