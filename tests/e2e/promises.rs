//! The promises of windows, to compare with the responses of many clients; and the calendar, by
//! another library.

use super::{SECOND, until};
use crate::harness::{Answer, now};
use chrono::{
    DateTime, Datelike as _, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _,
};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::time::Duration;

/// A rolling window's promise, to compare with the responses of many clients. A request was decided
/// between its sending and its arrival at the upstream, or its refusal. The assertions hold for any
/// instants in between, so a slow machine is never taken for a wrong limit.
#[derive(Clone, Copy)]
pub(crate) struct Rolling {
    pub(crate) quota: usize,
    pub(crate) window: Duration,
}

impl Rolling {
    /// Fails if more than the quota was admitted within one window, or a request was refused
    /// although capacity had come back. Returns the number admitted.
    pub(crate) fn assert_held(self, answers: &[Answer]) -> usize {
        let mut admitted: Vec<(Duration, Duration)> = Vec::new();
        for answer in answers {
            match answer.status {
                200 => admitted.push((answer.sent, answer.arrived().expect("it arrived"))),
                429 => {}
                other => panic!("status {other}"),
            }
        }
        for (start, _) in &admitted {
            let within = |(sent, arrived): &&(Duration, Duration)| {
                sent >= start && *arrived < *start + self.window
            };
            let count = admitted.iter().filter(within).count();
            assert!(
                count <= self.quota,
                "{count} of {} within {:?}",
                self.quota,
                self.window
            );
        }
        // Capacity comes back at most a twentieth of the window late.
        let counts_for = self.window + self.window / 20;
        for refused in answers.iter().filter(|answer| answer.status == 429) {
            let count = admitted
                .iter()
                .filter(|(sent, arrived)| {
                    *arrived + counts_for > refused.sent && *sent < refused.received
                })
                .count();
            assert!(
                count >= self.quota,
                "refused when only {count} of {} could still count",
                self.quota
            );
        }
        admitted.len()
    }
}

/// A calendar window's promise, to compare with the responses of many clients.
#[derive(Clone, Copy)]
pub(crate) struct Calendar {
    pub(crate) quota: usize,
    pub(crate) period: Duration,
}

impl Calendar {
    /// Fails if more than the quota was admitted in one window, by the reset of each response and
    /// by the arrivals; or if one refused with less admitted. Returns the number admitted.
    pub(crate) fn assert_held(self, answers: &[Answer]) -> usize {
        let mut windows: BTreeMap<Duration, (usize, bool)> = BTreeMap::new();
        for answer in answers {
            let (admitted, refused) = windows.entry(window_end(answer, self.period)).or_default();
            match answer.status {
                200 => *admitted += 1,
                429 => *refused = true,
                other => panic!("status {other}"),
            }
        }
        assert!(windows.len() > 1, "no window turned");
        for (end, (admitted, refused)) in &windows {
            assert!(
                *admitted <= self.quota,
                "{admitted} of {} until {end:?}",
                self.quota
            );
            assert!(
                !refused || *admitted == self.quota,
                "refused after {admitted} of {} until {end:?}",
                self.quota
            );
            let start = *end - self.period;
            let arrived = answers
                .iter()
                .filter(|answer| {
                    answer.sent >= start && answer.arrived().is_some_and(|at| at < *end)
                })
                .count();
            assert!(
                arrived <= self.quota,
                "{arrived} of {} arrived until {end:?}",
                self.quota
            );
        }
        windows.values().map(|(admitted, _)| admitted).sum()
    }
}

/// The end of the window of a response: the multiple of `period` that its `X-RateLimit-Reset`
/// names.
pub(crate) fn window_end(answer: &Answer, period: Duration) -> Duration {
    let reset = Duration::from_secs(answer.number("x-ratelimit-reset").expect("a reset"));
    assert!(
        (SECOND..=period).contains(&reset),
        "{reset:?} of {period:?}"
    );
    let end = next_turn(answer.sent + reset - SECOND, period);
    assert!(
        end <= answer.received + reset,
        "no window of {period:?} ends {reset:?} after {:?}",
        answer.sent
    );
    end
}

/// The first multiple of `period` after `time`.
fn next_turn(time: Duration, period: Duration) -> Duration {
    let count = time.as_nanos() / period.as_nanos() + 1;
    Duration::from_nanos(u64::try_from(count * period.as_nanos()).expect("a time of this age"))
}

/// Waits for the next window if the current one ends within `room`.
pub(crate) async fn away_from_the_turn(period: Duration, room: Duration) {
    let turn = next_turn(now(), period);
    if turn < now() + room {
        until(turn).await;
    }
}

/// The begin of the month after that of `time` in a zone, by another calendar library.
pub(crate) fn next_month(time: Duration, zone: Tz) -> Duration {
    let today = local(time, zone).date();
    let first = today.with_day(1).expect("every month has one") + Months::new(1);
    midnight(first, zone)
}

fn local(time: Duration, zone: Tz) -> NaiveDateTime {
    let seconds = i64::try_from(time.as_secs()).expect("a time of this age");
    DateTime::from_timestamp(seconds, 0)
        .expect("a time of this age")
        .with_timezone(&zone)
        .naive_local()
}

/// The instant at which a day begins.
fn midnight(day: NaiveDate, zone: Tz) -> Duration {
    let local = day
        .and_time(NaiveTime::MIN)
        .and_local_timezone(zone)
        .earliest()
        .expect("a midnight that exists");
    Duration::from_secs(u64::try_from(local.timestamp()).expect("a time of this age"))
}

/// The end of the window of `time`, by another calendar library.
pub(crate) fn window_end_in(time: Duration, zone: Tz, window: &str) -> Duration {
    let today = local(time, zone).date();
    let month = |count: u32| {
        let begun = today.month0() / count * count;
        let first = NaiveDate::from_ymd_opt(today.year(), begun + 1, 1).expect("a first day");
        midnight(first + Months::new(count), zone)
    };
    match window {
        // Every zone here is off by half an hour at most.
        "1h" => {
            next_turn(
                time + offset_in_hour(time, zone),
                Duration::from_secs(3_600),
            ) - offset_in_hour(time, zone)
        }
        "1d" => midnight(today + Days::new(1), zone),
        "1w" => midnight(
            today + Days::new(7 - u64::from(today.weekday().num_days_from_monday())),
            zone,
        ),
        "1mo" => next_month(time, zone),
        "3mo" => month(3),
        "12mo" => month(12),
        other => panic!("{other}"),
    }
}

/// The difference between the zone's minutes and those of UTC.
fn offset_in_hour(time: Duration, zone: Tz) -> Duration {
    let minutes = |zone: Tz| i64::from(local(time, zone).minute());
    Duration::from_secs(
        60 * u64::try_from((minutes(zone) - minutes(Tz::UTC)).rem_euclid(60)).expect("minutes"),
    )
}
