//! Single cases that are rare in a game.

use crate::base::time::{Span, Timestamp};
use crate::fleet::counter::Counter;
use crate::fleet::take::{Answer, CounterName, Numbers, ProxyId, Rest, Take};

const BEGIN: u64 = 1_700_000_000_000_000;
const SECOND: u64 = 1_000_000;

const ROLLING: Numbers = Numbers::Rolling {
    quota: 10,
    window: Span::from_seconds(60),
};
const BUCKET: Numbers = Numbers::Bucket {
    burst: 10,
    fill: Span::from_seconds(60),
};
const CALENDAR: Numbers = Numbers::Calendar {
    quota: 10,
    start: Timestamp::from_micros(BEGIN),
    end: Timestamp::from_micros(BEGIN + 3_600 * SECOND),
};
const KINDS: [Numbers; 3] = [BUCKET, ROLLING, CALENDAR];

fn take(numbers: Numbers, proxy: u64, seq: u64) -> Take {
    Take {
        counter: CounterName([0; 16]),
        numbers,
        proxy: ProxyId(proxy),
        seq,
        spent: 0,
        extra: 0,
        refund: 0,
        since: 0,
        rest: Rest::Keep,
        need: 0,
        want: 0,
        lock: Span::ZERO,
    }
}

/// The take with units that requests lack, and those that the proxy would like in advance.
fn asking(need: u64, want: u64, take: Take) -> Take {
    Take { need, want, ..take }
}

/// A take that charges units, at once.
fn charge(counter: &mut Counter, at: u64, numbers: Numbers, seq: u64, extra: u64) -> Answer {
    counter.take(
        at,
        &Take {
            extra,
            ..take(numbers, 9, seq)
        },
    )
}

#[test]
fn a_late_copy_of_a_refund_gives_nothing_twice() {
    for numbers in KINDS {
        let mut counter = Counter::default();
        charge(&mut counter, BEGIN, numbers, 1, 4);
        let refund = Take {
            refund: 4,
            since: BEGIN - 1,
            ..take(numbers, 1, 1)
        };
        let answer = counter.take(BEGIN + SECOND, &refund);
        assert!(answer.left >= 9, "{answer:?}");
        let left = charge(&mut counter, BEGIN + 2 * SECOND, numbers, 2, 6).left;
        // Others take meanwhile, and so the proxy without units might be forgotten.
        let before = charge(&mut counter, BEGIN + 20 * SECOND, numbers, 3, 0).left;
        counter.take(BEGIN + 21 * SECOND, &refund);
        let after = charge(&mut counter, BEGIN + 21 * SECOND, numbers, 4, 0).left;
        assert!(
            after <= before + 1 && before >= left,
            "{left}, {before}, {after}"
        );
    }
}

#[test]
fn a_refund_of_before_a_step_of_the_clock_is_void() {
    for numbers in [BUCKET, ROLLING] {
        let mut counter = Counter::default();
        let heard = charge(&mut counter, BEGIN, numbers, 1, 0).now;
        // Back by 30 s, and units that are charged then: their age is unknown.
        charge(&mut counter, BEGIN - 30 * SECOND, numbers, 2, 8);
        let refund = Take {
            refund: 8,
            since: heard,
            ..take(numbers, 1, 1)
        };
        let answer = counter.take(BEGIN - 20 * SECOND, &refund);
        assert!(answer.left <= 4, "{numbers:?}: {answer:?}");
        // Charged and refunded once everybody has heard of the new time.
        let heard = charge(&mut counter, BEGIN + 400 * SECOND, numbers, 3, 0).now;
        charge(&mut counter, BEGIN + 401 * SECOND, numbers, 4, 8);
        let refund = Take {
            refund: 8,
            since: heard,
            ..take(numbers, 1, 2)
        };
        let answer = counter.take(BEGIN + 402 * SECOND, &refund);
        assert!(answer.left >= 9, "{numbers:?}: {answer:?}");
    }
}

#[test]
fn a_step_of_the_clock_locks_nobody_out() {
    for numbers in [BUCKET, ROLLING] {
        let mut counter = Counter::default();
        charge(&mut counter, BEGIN + 86_400 * SECOND, numbers, 1, 10);
        let answer = counter.take(BEGIN, &asking(1, 1, take(numbers, 1, 1)));
        assert_eq!(answer.granted, 0);
        assert!(answer.wait <= Span::from_seconds(60), "{answer:?}");
        let answer = counter.take(BEGIN + 60 * SECOND, &asking(1, 1, take(numbers, 1, 2)));
        assert_eq!(answer.granted, 1);
    }
}

#[test]
fn three_proxies_take_all_of_a_small_quota() {
    for numbers in KINDS {
        let mut counter = Counter::default();
        let granted: u64 = (0..30)
            .map(|round| {
                let need = Take {
                    need: 1,
                    want: 9,
                    rest: Rest::Return,
                    ..take(numbers, round % 3, round + 1)
                };
                let spends = Take {
                    spent: u64::from(round >= 3),
                    ..need
                };
                counter.take(BEGIN + round * 1_000, &spends).granted.min(1)
            })
            .sum();
        assert_eq!(granted, 10);
    }
}

#[test]
fn the_time_to_ask_again_is_when_others_spare_units_lapse() {
    let mut counter = Counter::default();
    let spare = counter.take(BEGIN, &asking(0, 20, take(ROLLING, 1, 1)));
    assert_eq!(spare.granted, 5);
    let rest = counter.take(BEGIN, &asking(5, 5, take(ROLLING, 2, 1)));
    assert_eq!((rest.granted, rest.valid), (5, Span::from_micros(150_000)));
    let none = counter.take(BEGIN, &asking(1, 1, take(ROLLING, 3, 1)));
    assert_eq!((none.granted, none.again), (0, spare.valid));
    assert_eq!(
        none.wait,
        Span::from_seconds(60),
        "if the held units are spent"
    );
}

/// Otherwise units that were charged at an expiry would pass for younger ones, and be refunded
/// whole (seed 40610).
#[test]
fn a_copy_is_answered_with_the_time_of_its_take() {
    let mut counter = Counter::default();
    let first = Take {
        need: 1,
        want: 1,
        ..take(BUCKET, 1, 1)
    };
    assert_eq!(counter.take(BEGIN, &first).now, BEGIN);
    let copy = counter.take(BEGIN + 15 * SECOND, &first);
    assert_eq!((copy.now, copy.valid), (BEGIN, Span::ZERO));
}

/// Otherwise a proxy would spend the new unit until the old lease ends, after its own (seed 8419).
#[test]
fn a_lease_that_is_spent_whole_does_not_prolong_the_next_one() {
    let mut counter = Counter::default();
    let first = counter.take(
        BEGIN,
        &Take {
            want: 2,
            ..take(ROLLING, 1, 1)
        },
    );
    assert_eq!(
        (first.granted, first.valid),
        (2, Span::from_micros(15 * SECOND))
    );
    let one = Take {
        need: 1,
        want: 1,
        ..take(ROLLING, 1, 2)
    };
    let part = counter.take(BEGIN + SECOND, &Take { spent: 1, ..one });
    assert_eq!((part.granted, part.lapsed), (1, false));
    assert_eq!(part.valid, Span::from_micros(15 * SECOND), "never earlier");
    let whole = Take {
        spent: 2,
        seq: 3,
        ..one
    };
    let whole = counter.take(BEGIN + 2 * SECOND, &whole);
    assert_eq!((whole.granted, whole.lapsed), (1, true));
    assert_eq!(whole.valid, Span::from_micros(150_000));
}

#[test]
fn the_more_units_a_lease_has_the_shorter_it_is() {
    let valid = |want| {
        let numbers = Numbers::Rolling {
            quota: 10_000,
            window: Span::from_seconds(60),
        };
        let take = Take {
            want,
            ..take(numbers, 1, 1)
        };
        Counter::default().take(BEGIN, &take).valid
    };
    assert_eq!(valid(8), Span::from_seconds(300));
    assert_eq!(valid(500), Span::from_seconds(60));
    assert_eq!(valid(5_000), Span::from_seconds(6));
}
