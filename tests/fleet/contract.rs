//! The contract of every engine. A new one is finished when [`run`] passes.

use sluicegate::base::time::{Span, Timestamp};
use sluicegate::fleet::engine::Engine;
use sluicegate::fleet::take::{Answer, CounterName, Numbers, ProxyId, Rest, Take};

/// An engine whose time a test can wait for.
pub(crate) trait Timed: Engine {
    /// Lets this much time pass.
    fn pass(&mut self, time: Span);
}

const WINDOW: Span = Span::from_micros(1_500_000);

/// Makes a rule of one kind with this quota.
type Kind = fn(u64) -> Numbers;

const KINDS: [Kind; 3] = [
    |burst| Numbers::Bucket {
        burst,
        fill: Span::from_seconds(3_600),
    },
    |quota| Numbers::Rolling {
        quota,
        window: Span::from_seconds(3_600),
    },
    |quota| Numbers::Calendar {
        quota,
        start: Timestamp::from_micros(0),
        end: Timestamp::from_micros(1 << 52),
    },
];

/// Runs the contract; `engine` may have other counters.
pub(crate) fn run(engine: &mut impl Timed) {
    let mut number = 0;
    for kind in KINDS {
        for test in [
            no_more_is_granted_than_the_quota,
            a_copy_is_answered_alike_and_changes_nothing,
            an_older_take_changes_nothing,
            what_is_returned_can_be_taken_again,
            what_is_forgotten_is_charged,
            a_lease_that_lapses_is_charged,
            what_is_spent_late_is_charged_and_given_back,
            a_lock_refuses_everybody,
            another_quota_keeps_the_count,
        ] {
            number += 1;
            test(&mut Caller::new(engine, number, kind));
        }
    }
    waiting_is_enough(&mut Caller::new(engine, 100, |burst| Numbers::Bucket {
        burst,
        fill: WINDOW,
    }));
    waiting_is_enough(&mut Caller::new(engine, 101, |quota| Numbers::Rolling {
        quota,
        window: WINDOW,
    }));
    nothing_is_granted_outside_of_a_calendar_window(engine);
}

/// Takes from one counter.
struct Caller<'a, E> {
    engine: &'a mut E,
    counter: CounterName,
    kind: Kind,
    seq: u64,
}

impl<'a, E: Timed> Caller<'a, E> {
    fn new(engine: &'a mut E, counter: u8, kind: Kind) -> Self {
        Self {
            engine,
            counter: CounterName([counter; 16]),
            kind,
            seq: 0,
        }
    }

    /// A new take of a proxy that needs and wants this much.
    fn take(&mut self, proxy: u64, quota: u64, need: u64, want: u64) -> Take {
        self.seq += 1;
        Take {
            counter: self.counter,
            numbers: (self.kind)(quota),
            proxy: ProxyId(proxy),
            seq: self.seq,
            spent: 0,
            extra: 0,
            refund: 0,
            since: 0,
            rest: Rest::Keep,
            need,
            want,
            lock: Span::ZERO,
        }
    }

    fn ask(&mut self, take: &Take) -> Answer {
        self.engine.take(take).expect("an answer")
    }

    fn granted(&mut self, proxy: u64, quota: u64, need: u64) -> u64 {
        let take = self.take(proxy, quota, need, need);
        self.ask(&take).granted
    }
}

fn no_more_is_granted_than_the_quota<E: Timed>(caller: &mut Caller<'_, E>) {
    let mut granted = 0;
    for proxy in 0..40 {
        let take = caller.take(proxy, 100, 3, 50);
        let answer = caller.ask(&take);
        granted += answer.granted;
        assert_eq!(i128::from(answer.left), 100 - i128::from(granted));
        let is_short = answer.granted < 3;
        assert_eq!(answer.wait > Span::ZERO, is_short, "{answer:?}");
        assert_eq!(answer.again >= Span::from_micros(1_000), is_short);
        assert!(answer.next > Span::ZERO && answer.next <= answer.reset);
    }
    assert_eq!(granted, 100);
}

fn a_copy_is_answered_alike_and_changes_nothing<E: Timed>(caller: &mut Caller<'_, E>) {
    let take = Take {
        extra: 2,
        ..caller.take(1, 10, 1, 3)
    };
    let first = caller.ask(&take);
    assert_eq!((first.granted, first.left, first.lapsed), (3, 5, true));
    for _ in 0..3 {
        let copy = caller.ask(&take);
        assert!(copy.valid <= first.valid && copy.valid > Span::ZERO);
        assert!(copy.reset <= first.reset && copy.now == first.now);
        assert_eq!((copy.granted, copy.left, copy.lapsed), (3, 5, true));
    }
    assert_eq!(caller.granted(2, 10, 10), 5);
}

fn an_older_take_changes_nothing<E: Timed>(caller: &mut Caller<'_, E>) {
    let older = Take {
        extra: 5,
        rest: Rest::Return,
        ..caller.take(1, 10, 1, 1)
    };
    assert_eq!(caller.granted(1, 10, 4), 4);
    let answer = caller.ask(&older);
    assert_eq!((answer.granted, answer.lapsed), (0, true));
    assert_eq!(caller.granted(2, 10, 10), 6);
}

fn what_is_returned_can_be_taken_again<E: Timed>(caller: &mut Caller<'_, E>) {
    assert_eq!(caller.granted(1, 10, 8), 8);
    let take = Take {
        spent: 3,
        rest: Rest::Return,
        ..caller.take(1, 10, 0, 0)
    };
    let answer = caller.ask(&take);
    assert_eq!((answer.granted, answer.left), (0, 7));
    assert_eq!((answer.valid, answer.lapsed), (Span::ZERO, true));
    assert_eq!(caller.granted(2, 10, 10), 7);
}

fn what_is_forgotten_is_charged<E: Timed>(caller: &mut Caller<'_, E>) {
    assert_eq!(caller.granted(1, 10, 8), 8);
    let take = Take {
        rest: Rest::Forgotten,
        ..caller.take(1, 10, 5, 5)
    };
    let answer = caller.ask(&take);
    assert_eq!((answer.granted, answer.left, answer.lapsed), (2, 0, true));
}

fn a_lease_that_lapses_is_charged<E: Timed>(caller: &mut Caller<'_, E>) {
    let take = caller.take(1, 10, 6, 6);
    let answer = caller.ask(&take);
    assert_eq!(answer.granted, 6);
    assert!(answer.valid > Span::ZERO && answer.valid <= Span::from_micros(150_000));
    caller.engine.pass(answer.valid.plus(Span::from_micros(1)));
    let late = Take {
        spent: 6,
        ..caller.take(1, 10, 0, 0)
    };
    let answer = caller.ask(&late);
    assert_eq!((answer.left, answer.lapsed), (4, true));
}

fn what_is_spent_late_is_charged_and_given_back<E: Timed>(caller: &mut Caller<'_, E>) {
    let since = caller.take(1, 10, 0, 0);
    let since = caller.ask(&since).now;
    let more = Take {
        extra: 15,
        ..caller.take(1, 10, 1, 1)
    };
    let answer = caller.ask(&more);
    assert_eq!((answer.granted, answer.left), (0, -5));
    let back = Take {
        refund: 8,
        since,
        ..caller.take(1, 10, 1, 1)
    };
    let answer = caller.ask(&back);
    assert_eq!(answer.granted, 1);
    assert!((1..=2).contains(&answer.left), "{answer:?}");
}

fn a_lock_refuses_everybody<E: Timed>(caller: &mut Caller<'_, E>) {
    let lock = Span::from_micros(200_000);
    let take = Take {
        lock,
        ..caller.take(1, 10, 0, 0)
    };
    assert_eq!(caller.ask(&take).locked, lock);
    let longer = Take {
        lock: Span::from_seconds(60),
        ..caller.take(2, 10, 1, 1)
    };
    let answer = caller.ask(&longer);
    assert!(answer.locked <= lock && answer.granted == 0);
    assert_eq!((answer.wait, answer.again), (answer.locked, answer.locked));
    caller.engine.pass(answer.locked.plus(Span::from_micros(1)));
    assert_eq!(caller.granted(3, 10, 1), 1);
}

fn another_quota_keeps_the_count<E: Timed>(caller: &mut Caller<'_, E>) {
    assert_eq!(caller.granted(1, 10, 8), 8);
    assert_eq!(caller.granted(2, 5, 1), 0);
    assert_eq!(caller.granted(2, 20, 15), 12);
}

/// A proxy that waits for the stated time is granted its need, if no other is faster.
fn waiting_is_enough<E: Timed>(caller: &mut Caller<'_, E>) {
    let all = Take {
        extra: 10,
        ..caller.take(1, 10, 0, 0)
    };
    caller.ask(&all);
    let take = caller.take(1, 10, 4, 4);
    let answer = caller.ask(&take);
    assert!(answer.granted == 0 && answer.wait <= WINDOW, "{answer:?}");
    caller.engine.pass(answer.wait);
    assert_eq!(caller.granted(1, 10, 4), 4);
}

fn nothing_is_granted_outside_of_a_calendar_window(engine: &mut impl Timed) {
    let mut caller = Caller::new(engine, 102, KINDS[2]);
    let take = caller.take(1, 10, 1, 1);
    let now = caller.ask(&take).now;
    let mut in_window = |start, end| {
        let take = Take {
            numbers: Numbers::Calendar {
                quota: 10,
                start: Timestamp::from_micros(start),
                end: Timestamp::from_micros(end),
            },
            ..caller.take(2, 10, 1, 5)
        };
        caller.ask(&take)
    };
    let before = in_window(now + 60_000_000, now + 120_000_000);
    assert_eq!(before.granted, 0);
    assert!(before.wait > Span::ZERO && before.wait <= Span::from_seconds(60));
    let after = in_window(0, now - 1);
    assert_eq!(after.granted, 0);
    assert!(after.wait > Span::ZERO && after.again > Span::ZERO);
    let within = in_window(0, now + 10_000_000);
    assert!(within.granted > 0 && within.valid <= Span::from_seconds(10));
}
