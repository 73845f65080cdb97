//! Random takes, as no proxy would send them: every number anywhere in its range, copies, late
//! ones, and a clock that steps back.

use crate::random::Random;
use sluicegate::base::time::{Span, Timestamp};
use sluicegate::fleet::take::{CounterName, Numbers, ProxyId, Rest, Take};

const QUOTAS: [u64; 12] = [
    0,
    1,
    2,
    3,
    10,
    60,
    100,
    1_000,
    123_457,
    4_294_967_295,
    999_999_999_999_999,
    u64::MAX,
];

const SPANS: [u64; 10] = [
    1,
    3,
    999,
    150_000,
    1_000_000,
    3_600_000_000,
    86_400_000_000,
    7_777_777_777_777,
    31_622_400_000_000,
    u64::MAX,
];

/// One game: takes for one counter, each with the engine's time.
pub(crate) fn game(seed: u64) -> Vec<(u64, Take)> {
    let mut random = Random(seed);
    let random = &mut random;
    let mut clock = 1_700_000_000_000_000 + random.below(1_000_000_000_000);
    let kind = random.below(3);
    let begin = clock;
    let mut span = random.of(&SPANS);
    let mut quota = random.of(&QUOTAS);
    let proxies = 1 + random.below(4);
    let mut takes: Vec<(u64, Take)> = Vec::new();
    for _ in 0..5 + random.below(60) {
        if random.one_in(15) {
            quota = random.of(&QUOTAS);
        }
        if kind == 0 && random.one_in(15) {
            span = random.of(&SPANS);
        }
        clock = step(random, clock, span.min(31_622_400_000_000));
        let long = Span::from_micros(span);
        let numbers = match kind {
            0 => Numbers::Bucket {
                burst: quota,
                fill: long,
            },
            1 => Numbers::Rolling {
                quota,
                window: long,
            },
            _ => Numbers::Calendar {
                quota,
                start: Timestamp::from_micros(begin),
                end: Timestamp::from_micros(begin.saturating_add(span)),
            },
        };
        // A copy of one of the last takes, of which others may have come since.
        let recent = takes
            .iter()
            .rev()
            .nth(usize::try_from(random.below(6)).unwrap());
        let take = match recent {
            Some((_, earlier)) if random.one_in(5) => *earlier,
            _ => {
                // Counts up, but for a late one.
                let place = 10 * takes.len() as u64 + 100;
                let late = if random.one_in(12) { 35 } else { 0 };
                Take {
                    seq: place - late,
                    ..one(random, seed, proxies, numbers, clock)
                }
            }
        };
        takes.push((clock, take));
    }
    takes
}

fn step(random: &mut Random, clock: u64, span: u64) -> u64 {
    match random.below(12) {
        0 => clock - random.below(span.min(10_000_000_000)),
        1..=4 => clock,
        5..=7 => clock + random.below(span / 10 + 1),
        8 => clock + random.below(span + 1),
        9 => clock + random.below(300_000_000),
        10 => clock + random.below(20_000_000),
        _ => clock + random.below(200_000),
    }
}

fn one(random: &mut Random, seed: u64, proxies: u64, numbers: Numbers, clock: u64) -> Take {
    let (Numbers::Bucket { burst: quota, .. }
    | Numbers::Rolling { quota, .. }
    | Numbers::Calendar { quota, .. }) = numbers;
    let mut units = |rarely: u64| match random.below(rarely) {
        0 => random.below(quota.saturating_mul(2)),
        1 => random.below(4),
        2 => u64::MAX - random.below(2),
        _ => 0,
    };
    let (spent, extra, refund) = (units(4), units(20), units(15));
    let need = random.below(5).min(random.next());
    let lock = if random.one_in(30) { 5_000_000 } else { 0 };
    let mut counter = [0; 16];
    counter[..8].copy_from_slice(&seed.to_be_bytes());
    Take {
        counter: CounterName(counter),
        numbers,
        proxy: ProxyId(random.below(proxies).wrapping_sub(1)),
        seq: 0,
        spent,
        extra,
        refund,
        since: clock - random.below(10_000_000_000),
        rest: random.of(&[Rest::Keep, Rest::Return, Rest::Forgotten]),
        need,
        want: random
            .below(quota.saturating_mul(2))
            .min(random.of(&[8, 4096, u64::MAX])),
        lock: Span::from_micros(lock),
    }
}
