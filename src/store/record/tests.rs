use proptest::prelude::*;

use super::*;
use crate::limit::rolling::Rolling;
use crate::limit::seats::{SEATS_MAX, Seats};
use crate::limit::{Cost, QUOTA_MAX};

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn states() -> impl Strategy<Value = State> {
    prop_oneof![buckets(), calendars(), seats(), rollings()]
}

fn buckets() -> impl Strategy<Value = State> {
    let bucket = (
        any::<u64>(),
        1..1_000_000_u32,
        any::<u32>(),
        any::<[u32; 2]>(),
        any::<u64>(),
    );
    bucket.prop_map(|(tat, rate, burst, [generation, charged], returned)| {
        State::Bucket(gcra::State {
            tat: Timestamp::from_nanos(tat),
            refill: Refill::parse(&format!("{rate}/d")).unwrap(),
            burst,
            generation,
            charged,
            returned,
        })
    })
}

fn calendars() -> impl Strategy<Value = State> {
    any::<(u64, u64, u32, u8)>().prop_map(|(end, taken, generation, quota)| {
        State::Calendar(calendar::State {
            end: Timestamp::from_nanos(end),
            taken,
            generation,
            quota: Rough::decode(quota),
        })
    })
}

fn seats() -> impl Strategy<Value = State> {
    let holders = proptest::collection::vec(any::<(u64, u64)>(), 0..=SEATS_MAX as usize);
    (holders, any::<u8>()).prop_map(|(holders, seats)| {
        let holders = holders.into_iter().map(|(holder, until)| Holder {
            holder,
            until: Timestamp::from_nanos(until),
        });
        State::Seats(seats::State {
            holders: holders.collect(),
            touch: None,
            seats: Rough::decode(seats),
        })
    })
}

fn rollings() -> impl Strategy<Value = State> {
    let entries = proptest::collection::vec((0..40_u64, 1..=QUOTA_MAX), 1..22);
    let rule = (1..31_622_400_u64, any::<(u32, u8)>(), any::<bool>());
    (entries, rule).prop_map(|(ages, (seconds, (generation, quota), exact))| {
        let window = Span::from_seconds(seconds);
        let grain = if exact { Grain::Exact } else { Grain::Coarse };
        let mut at = grain.end(NOW, window);
        let mut entries = Vec::new();
        for (age, units) in ages {
            at = at.after(grain.length(window).times(age.saturating_add(1)));
            let units = if exact { units % 32 } else { units };
            entries.push(Entry { at, units });
        }
        // The newest is anywhere in its grain.
        entries.last_mut().unwrap().at =
            at.before(Span::from_nanos(grain.length(window).nanos() / 3));
        State::Rolling(rolling::State {
            window,
            grain,
            generation,
            quota: Rough::decode(quota),
            entries,
        })
    })
}

/// The bytes of a bucket, a rolling window, a calendar window, seats and a lock. A release that
/// reads another form must not find the pages of this one.
#[test]
fn the_form_of_records_has_its_number() {
    let (at, later) = (Timestamp::from_nanos(0x0102), Timestamp::from_nanos(0x0304));
    let quota = Rough::decode(5);
    let (generation, window) = (6, Span::from_seconds(7));
    let states = [
        State::Bucket(gcra::State {
            tat: at,
            refill: Refill::parse("1/s").unwrap(),
            burst: 8,
            generation,
            charged: 9,
            returned: 10,
        }),
        State::Rolling(rolling::State {
            window,
            grain: Grain::Exact,
            generation,
            quota,
            entries: vec![Entry { at: NOW, units: 3 }],
        }),
        State::Calendar(calendar::State {
            end: later,
            taken: 11,
            generation,
            quota,
        }),
        State::Seats(seats::State {
            holders: vec![Holder {
                holder: 12,
                until: later,
            }],
            ..seats::State::default()
        }),
        State::Lock(lock::State { until: later }),
    ];
    let hex = |state: &State| {
        let mut bytes = Vec::new();
        encode(state, &mut bytes).unwrap();
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    };
    assert_eq!(
        states.each_ref().map(hex),
        [
            "00020100000000000001000000010000000800000006000000090000000a00000000000000",
            "011405060000000700000000002a36fe9c971703",
            "0204030000000000000b000000000000000600000005",
            "0413000c000000000000000403000000000000",
            "050403000000000000",
        ],
        "a new form needs a new FORMAT in store/shared/host_keys.rs, and a line in CHANGELOG.md"
    );
}

#[test]
fn all_seats_have_room_in_a_record() {
    let holders = (0..SEATS_MAX.into())
        .map(|holder| Holder { holder, until: NOW })
        .collect();
    let state = State::Seats(seats::State {
        holders,
        ..seats::State::default()
    });
    let mut bytes = Vec::new();
    assert_eq!(encode(&state, &mut bytes), Ok(()));
    let rule = Rule::Seats(Seats::new(SEATS_MAX, Span::from_seconds(1)).unwrap());
    assert!(bytes.len() == bytes_max(&rule) && bytes.len() <= BYTES_MAX);
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(first in states(), second in states()) {
        let mut bytes = Vec::new();
        encode(&first, &mut bytes).unwrap();
        let end = bytes.len();
        encode(&second, &mut bytes).unwrap();
        prop_assert_eq!(length(&bytes), Some(end));
        for now in [
            NOW,
            NOW.after(Span::from_seconds(1_000)),
            NOW.after(Span::from_seconds(20_000_000)),
        ] {
            prop_assert_eq!(eviction_cost(&bytes[..end], now), first.eviction_cost(now));
        }
        prop_assert_eq!(decode(&bytes[..end]), Ok(first));
        prop_assert_eq!(decode(&bytes[end..]), Ok(second));
    }

    #[test]
    fn any_bytes_are_a_record_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(length) = length(&bytes) {
            let _ = decode(&bytes[..length]);
        }
    }

    /// However many requests are under way when each of them turns out to cost far too much.
    #[test]
    fn what_is_overdrawn_has_room_in_a_record(
        quota in prop_oneof![1..40_u64, Just(8_000)],
        seconds in prop_oneof![1..600_u64, Just(31_622_400_u64)],
        steps in proptest::collection::vec((0..40_u32, prop_oneof![1..9_u64, 1..=u64::MAX]), 1..80),
    ) {
        let rule = Rule::Rolling(Rolling::new(quota, Span::from_seconds(seconds)).unwrap());
        let (mut state, mut now) = (None, NOW);
        for (step, cost) in steps {
            now = now.after(Span::from_nanos(
                seconds.saturating_mul(1_000_000_000) >> step,
            ));
            state = Some(rule.force_charge(state.as_ref(), now, cost).0);
            prop_assert_eq!(encode(state.as_ref().unwrap(), &mut Vec::new()), Ok(()));
        }
    }

    #[test]
    fn no_record_is_longer_than_its_rule_says(
        quota in prop_oneof![1..40_u64, Just(8_000), Just(QUOTA_MAX)],
        seconds in prop_oneof![1..600_u64, 1..31_622_400_u64],
        steps in proptest::collection::vec((0..2_000_000_u64, 1..9_u64), 1..200),
    ) {
        let rule = Rule::Rolling(Rolling::new(quota, Span::from_seconds(seconds)).unwrap());
        let (mut state, mut now) = (None, NOW);
        for (step, cost) in steps {
            now = now.after(Span::from_nanos(
                step.saturating_mul(seconds).saturating_mul(50),
            ));
            let cost = if quota > 1_000 { quota / 30 } else { cost };
            state = rule
                .evaluate(state.as_ref(), now, Cost::Now(cost))
                .after_charge
                .or(state);
            let mut bytes = Vec::new();
            if let Some(state) = &state {
                encode(state, &mut bytes).unwrap();
            }
            prop_assert!(
                bytes.len() <= bytes_max(&rule),
                "{} of \
                                                           {}",
                bytes.len(),
                bytes_max(&rule)
            );
        }
    }
}
