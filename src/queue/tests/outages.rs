//! Lost messages, failing hosts, dead workers, and living ones that were evicted.

use super::*;

#[test]
fn a_lost_message_costs_a_second_and_no_slot() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(1, 9)), One::new(&data, pool(1, 9)));
    assert_eq!(
        [a.acquire(1), b.acquire(1)],
        [Admission::Admit, Admission::Wait]
    );
    a.release(1);
    let queue = QueueToken(1);
    assert_eq!(
        data.dequeue(queue).map(|message| message.is_some()),
        Ok(true)
    );
    assert_eq!(b.tick(10), [(1, Answer::Resume)]);
    // A message that woke no worker is received at the next tick.
    data.enqueue(queue, &[]).unwrap();
    assert_eq!(b.tick(1), []);
    assert_eq!(data.dequeue(queue), Ok(None));
}

#[test]
fn what_a_dead_worker_held_is_free_within_nine_seconds() {
    let data = FakeData::default();
    let patient = Pool::new(2, 9, Span::from_seconds(60)).unwrap();
    let (mut a, mut b) = (One::new(&data, patient), One::new(&data, patient));
    assert_eq!(
        [a.acquire(1), a.acquire(2), a.acquire(3)],
        [Admission::Admit, Admission::Admit, Admission::Wait]
    );
    assert_eq!(
        [b.acquire(1), b.acquire(2)],
        [Admission::Wait, Admission::Wait]
    );
    a.tick(3);
    drop(a);
    assert_eq!(b.tick(50), []);
    let resumed: Vec<_> = [b.tick(40), b.hear()].concat();
    assert_eq!(resumed, [(1, Answer::Resume), (2, Answer::Resume)]);
    for stream in [1, 2] {
        b.release(stream);
    }
    assert_eq!(pages(&data), 0);
}

/// Two workers over one slot: the first has a stream in flight and one that waits, and was then
/// evicted by the second, whose stream has the slot.
fn evicted_and_present(data: &FakeData) -> (One, One) {
    let patient = Pool::new(1, 9, Span::from_seconds(60)).unwrap();
    let (mut a, mut b) = (One::new(data, patient), One::new(data, patient));
    assert_eq!(
        [a.acquire(1), a.acquire(2), b.acquire(1)],
        [Admission::Admit, Admission::Wait, Admission::Wait]
    );
    assert_eq!([b.tick(80), b.hear()].concat(), [(1, Answer::Resume)]);
    (a, b)
}

#[test]
fn a_living_worker_that_was_evicted_returns_with_all_it_had() {
    let data = FakeData::default();
    let (mut a, mut b) = evicted_and_present(&data);
    // The next callback of the worker that was suspended. Its first stream is still in flight, and
    // its second was not granted a slot although its ticket is gone.
    a.uptime = tenths(80);
    assert_eq!(a.acquire(3), Admission::Wait);
    b.release(1);
    assert_eq!([a.tick(9), a.hear(), b.tick(9)].concat(), []);
    a.release(1);
    assert_eq!(a.hear(), [(2, Answer::Resume)]);
    a.release(2);
    assert_eq!(a.hear(), [(3, Answer::Resume)]);
    a.release(3);
    assert_eq!(pages(&data), 0);
}

#[test]
fn a_worker_that_finds_its_leases_reaped_needs_no_tick_to_know() {
    let data = FakeData::default();
    let (mut a, mut b) = evicted_and_present(&data);
    // It was suspended in the middle of a callback, so it still has the old time.
    a.release(1);
    assert_eq!((a.hear(), a.acquire(3)), (vec![], Admission::Wait));
    b.release(1);
    assert_eq!(a.hear(), [(2, Answer::Resume)]);
    for stream in [2, 3] {
        a.release(stream);
    }
    assert_eq!(pages(&data), 0);
}

#[test]
fn a_release_that_fails_is_done_at_a_later_tick() {
    let data = FakeData::default();
    let mut a = One::new(&data, pool(1, 9));
    assert_eq!(
        [a.acquire(1), a.acquire(2)],
        [Admission::Admit, Admission::Wait]
    );
    data.fault.set(Some(Fault::HostStatus(10)));
    a.release(1);
    assert_eq!(
        a.acquire(3),
        Admission::Refuse(refused(Reason::Unavailable(Fault::HostStatus(10))))
    );
    assert_eq!(a.tick(3), []);
    assert!(!a.worker.drain_faults().is_empty());
    data.fault.set(None);
    assert_eq!((a.tick(1), a.hear()), (vec![(2, Answer::Resume)], vec![]));
    a.release(2);
    assert_eq!(pages(&data), 0);
}

#[test]
fn a_ticket_that_cannot_be_taken_back_is_refused_in_time_all_the_same() {
    let data = FakeData::default();
    let (mut a, mut b) = (One::new(&data, pool(1, 9)), One::new(&data, pool(1, 9)));
    assert_eq!(
        [a.acquire(1), b.acquire(1)],
        [Admission::Admit, Admission::Wait]
    );
    b.tick(19);
    b.uptime = b.uptime.plus(tenths(1));
    data.fault.set(Some(Fault::HostStatus(10)));
    assert_eq!(b.hear(), [(1, TIMEOUT)]);
    data.fault.set(None);
    a.release(1);
    assert_eq!(b.tick(1), []);
    assert_eq!(pages(&data), 0);
}
