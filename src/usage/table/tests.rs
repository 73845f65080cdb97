#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::usage::series::Status;

const NOW: u64 = 1_700_000_000;

fn series(limit: &'static str, caller: &'static str, status: Status) -> Series<'static> {
    let own = vec![("org", caller)];
    let tags = Tags::Caller {
        count: 10,
        period: 60,
        own,
    };
    Series {
        metric: "usage",
        limit,
        status,
        tags,
    }
}

fn addition(series: Series<'static>, at: u64, requests: u64) -> Addition<'static> {
    let reckoning = Some(Reckoning::Sliding { seconds: 60 });
    Addition {
        series,
        reckoning,
        at,
        requests,
    }
}

fn of(callers: &[&'static str]) -> Vec<Addition<'static>> {
    let one = |caller: &&'static str| addition(series("all", caller, Status::Passed), NOW, 1);
    callers.iter().map(one).collect()
}

fn sent(table: &Table<'_>, now: u64) -> u64 {
    table.points(now).map(|point| point.requests).sum()
}

#[test]
fn a_batch_is_the_same_until_it_is_accepted() {
    let mut table = Table::default();
    let bounds = Bounds { series_max: 9 };
    assert_eq!(table.begin(NOW * NANOS), None);
    table.merge(&of(&["a", "b"]), NOW, bounds);
    let batch = table.begin((NOW + 10) * NANOS).unwrap();
    assert_eq!(batch.from, NOW * NANOS);
    let first: Vec<_> = table
        .points(NOW)
        .map(|it| (it.key.to_vec(), it.requests))
        .collect();
    table.merge(&of(&["a", "c"]), NOW, bounds);
    let bytes = table.encode();
    let mut again = Table::decode(&bytes);
    assert_eq!(again.begin((NOW + 20) * NANOS), Some(batch));
    let points = again.points(NOW).filter(|it| it.requests > 0);
    let second: Vec<_> = points.map(|it| (it.key.to_vec(), it.requests)).collect();
    assert_eq!(first, second);
    assert_eq!(again.accept(batch.to, NOW), Some(false));
    assert_eq!(
        again.accept(batch.to, NOW),
        None,
        "an answer that comes twice"
    );
    assert_eq!(again.waiting().values().sum::<u64>(), 2);
    let next = again.begin((NOW + 30) * NANOS).unwrap();
    assert_eq!((next.from, sent(&again, NOW)), (batch.to, 2));
}

#[test]
fn what_finds_no_place_keeps_limit_and_status() {
    let mut table = Table::default();
    let bounds = Bounds { series_max: 2 };
    let mut all = of(&["a", "b", "c", "d"]);
    all.push(addition(series("other", "a", Status::Blocked), NOW, 5));
    assert_eq!(table.merge(&all, NOW, bounds), 7);
    table.begin(NOW * NANOS);
    let overflow: Vec<_> = table
        .points(NOW)
        .filter(|it| it.series.tags == Tags::Overflow)
        .map(|it| (it.series.limit, it.series.status, it.requests, it.recent))
        .collect();
    let expected = [
        ("all", Status::Passed, 2, None),
        ("other", Status::Blocked, 5, None),
    ];
    assert_eq!(overflow, expected);
}

#[test]
fn a_series_makes_room_once_it_is_sent_and_quiet() {
    let mut table = Table::default();
    let bounds = Bounds { series_max: 1 };
    let hour = Some(Reckoning::Sliding { seconds: 3_600 });
    let one = |caller, at| Addition {
        reckoning: hour,
        ..addition(series("all", caller, Status::Passed), at, 1)
    };
    table.merge(&[one("a", NOW)], NOW, bounds);
    assert_eq!(
        table.merge(&[one("b", NOW + 400)], NOW + 400, bounds),
        1,
        "not sent yet"
    );
    let batch = table.begin((NOW + 400) * NANOS).unwrap();
    table.accept(batch.to, NOW + 400);
    table.merge(&[one("a", NOW + 401)], NOW + 401, bounds);
    let batch = table.begin((NOW + 402) * NANOS).unwrap();
    table.accept(batch.to, NOW + 402);
    assert_eq!(
        table.merge(&[one("b", NOW + 700)], NOW + 700, bounds),
        1,
        "not quiet"
    );
    assert_eq!(table.merge(&[one("b", NOW + 701)], NOW + 701, bounds), 0);
}

#[test]
fn long_keys_take_the_place_of_several() {
    let mut table = Table::default();
    let bounds = Bounds { series_max: 10 };
    let long: Vec<String> = (0..10)
        .map(|it| format!("{it}{}", "x".repeat(1_000)))
        .collect();
    let all: Vec<_> = long
        .iter()
        .map(|value| {
            let own = vec![("org", &**value)];
            let tags = Tags::Caller {
                count: 1,
                period: 1,
                own,
            };
            let series = Series {
                metric: "m",
                limit: "l",
                status: Status::Passed,
                tags,
            };
            let reckoning = Some(Reckoning::Sliding { seconds: 60 });
            Addition {
                series,
                reckoning,
                at: NOW,
                requests: 1,
            }
        })
        .collect();
    assert_eq!(table.merge(&all, NOW, bounds), 5);
    assert!(table.encode().len() < 10 * SERIES_BYTES + 500);
}

#[test]
fn a_large_table_is_sent_in_several_batches_and_each_series_once() {
    let names: Vec<String> = (0..9_000)
        .map(|it| format!("{it}{}", "x".repeat(100)))
        .collect();
    let mut table = Table::default();
    let all: Vec<_> = names
        .iter()
        .map(|value| {
            let own = vec![("org", &**value)];
            let tags = Tags::Caller {
                count: 1,
                period: 1,
                own,
            };
            let series = Series {
                metric: "m",
                limit: "l",
                status: Status::Passed,
                tags,
            };
            let reckoning = Some(Reckoning::Sliding { seconds: 1 });
            Addition {
                series,
                reckoning,
                at: NOW,
                requests: 1,
            }
        })
        .collect();
    table.merge(&all, NOW, Bounds { series_max: 10_000 });
    let (mut total, mut batches) = (0, 0);
    loop {
        batches += 1;
        let batch = table.begin((NOW + 100 + batches) * NANOS).unwrap();
        let points = table.points(NOW + 100);
        let bytes: usize = points.map(|it| it.key.len()).sum();
        assert!(bytes <= BATCH_BYTES_MAX);
        total += sent(&table, NOW + 100);
        if table.accept(batch.to, NOW + 100) == Some(false) {
            break;
        }
    }
    assert_eq!((total, batches), (9_000, 3));
    assert_eq!(table.begin((NOW + 200) * NANOS), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_table(bytes: Vec<u8>) {
        let table = Table::decode(&bytes);
        prop_assert!(table.points(0).count() <= bytes.len());
    }

    /// Against plain maps: what was accepted and what waits is what was counted.
    #[test]
    fn nothing_is_lost_or_counted_twice(
        series_max in 0..5_u32,
        steps in proptest::collection::vec((0..6_u8, 0..5_usize, 0..2_usize, 1..9_u64), 1..80),
    ) {
        const CALLERS: [&str; 5] = ["a", "b", "c", "d", "e"];
        const LIMITS: [&str; 2] = ["all", "day"];
        let bounds = Bounds { series_max };
        let (mut bytes, mut now) = (Vec::new(), NOW);
        let (mut counted, mut accepted) = (BTreeMap::new(), BTreeMap::new());
        for (what, caller, limit, requests) in steps {
            now += requests * 20;
            let mut table = Table::decode(&bytes);
            match what {
                0..=3 => {
                    let series = series(LIMITS[limit], CALLERS[caller], Status::Passed);
                    *counted.entry(LIMITS[limit]).or_default() += requests;
                    table.merge(&[addition(series, now, requests)], now, bounds);
                }
                4 => drop(table.begin(now * NANOS)),
                _ => if let Some(batch) = table.begin(now * NANOS) {
                    for point in table.points(now) {
                        *accepted.entry(LIMITS[usize::from(point.series.limit == "day")])
                            .or_default() += point.requests;
                    }
                    table.accept(batch.to, now);
                }
            }
            bytes = table.encode();
            let table = Table::decode(&bytes);
            prop_assert_eq!(table.encode(), bytes.clone());
            let own = table.entries.keys().filter(|key| {
                Series::decode(key).is_some_and(|it| it.tags != Tags::Overflow)
            });
            prop_assert!(own.count() <= series_max as usize);
            let mut sum: BTreeMap<&str, u64> = accepted.clone();
            for (key, requests) in table.waiting() {
                let day = Series::decode(&key).unwrap().limit == "day";
                *sum.entry(LIMITS[usize::from(day)]).or_default() += requests;
            }
            sum.retain(|_, requests| *requests > 0);
            prop_assert_eq!(&sum, &counted);
        }
    }
}
