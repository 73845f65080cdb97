#![allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]

use proptest::prelude::*;

use super::*;
use crate::base::rough::Rough;
use crate::base::time::Span;
use crate::base::units::Refill;
use crate::limit::rolling::{Entry, Grain};
use crate::limit::{calendar, gcra, rolling};

fn state(tat: u64) -> State {
    State::Bucket(gcra::State {
        tat: Timestamp::from_nanos(tat),
        refill: Refill::parse("60/min").unwrap(),
        burst: 3,
        generation: 5,
        charged: 7,
        returned: 9,
    })
}

/// One that grows with the number of its entries.
fn log(entries: u64) -> State {
    let entries = (1..=entries)
        .map(|number| Entry {
            at: Timestamp::from_nanos(number * 1_000_000),
            units: 1,
        })
        .collect();
    let (window, quota) = (Span::from_seconds(1), Rough::of(2));
    State::Rolling(rolling::State {
        window,
        grain: Grain::Exact,
        generation: 1,
        quota,
        entries,
    })
}

const NOW: Timestamp = Timestamp::from_nanos(1_000);

const fn done(evicted: u64, added: i64) -> Effect {
    Effect { evicted, added }
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let mut page = CounterPage::read(Vec::new());
    for (fingerprint, state) in [
        (1, state(5)),
        (2, log(1)),
        (3, state(6)),
        (1, state(8)),
        (2, log(20)),
        (2, log(3)),
    ] {
        let effect = page.put(fingerprint, &state, 10, NOW, |_| false);
        assert_eq!(effect.map(|it| it.evicted), Ok(0));
    }
    let page = CounterPage::read(page.bytes().to_vec());
    assert_eq!(
        [1, 2, 3, 4].map(|fingerprint| page.find(fingerprint).unwrap()),
        [Some(state(8)), Some(log(3)), Some(state(6)), None]
    );
}

/// Workers of another build read these bytes, unless the third byte of the key differs.
#[test]
fn the_stored_form_stays() {
    let mut page = CounterPage::read(Vec::new());
    let state = calendar::State {
        end: NOW,
        taken: 5,
        generation: 9,
        quota: Rough::of(1),
    };
    page.put(0x0203, &State::Calendar(state), 10, NOW, |_| false)
        .unwrap();
    let record = [
        2, 0xe8, 3, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
    ];
    assert_eq!(
        page.bytes(),
        [&[3, 2, 0, 0, 0, 0, 0, 0][..], &record].concat()
    );
}

#[test]
fn a_full_page_forgets_the_idle_first_and_then_the_cheapest() {
    let mut page = CounterPage::read(Vec::new());
    for (fingerprint, state) in [(2, log(5)), (3, state(3_000_000_000)), (1, state(900))] {
        let effect = page.put(fingerprint, &state, 3, NOW, |_| false);
        assert_eq!(effect, Ok(done(0, 1)));
    }
    assert_eq!(
        page.put(4, &state(9_000_000_000), 3, NOW, |_| false),
        Ok(done(0, 0)),
        "the idle one made room"
    );
    assert_eq!(
        page.put(5, &state(2_000_000_000), 3, NOW, |_| false),
        Ok(done(1, 0)),
        "a live one had to go"
    );
    assert_eq!(
        [1, 2, 3, 4, 5].map(|fingerprint| page.find(fingerprint).unwrap().is_some()),
        [false, true, false, true, true]
    );
}

#[test]
fn a_page_with_its_share_forgets_the_idle_before_it_is_full() {
    let mut page = CounterPage::read(Vec::new());
    let live = state(9_000_000_000);
    let added: Vec<i64> = (0..60)
        .map(|fingerprint| {
            let state = if fingerprint < 20 { &state(900) } else { &live };
            let effect = page.put(fingerprint, state, 68, NOW, |_| false).unwrap();
            assert_eq!(effect.evicted, 0);
            effect.added
        })
        .collect();
    // At 36 records, of which 20 are idle, and not again at 36 and 44 live ones.
    let expected: Vec<i64> = (0..60)
        .map(|count| if count == 36 { -19 } else { 1 })
        .collect();
    assert_eq!(added, expected);
}

#[test]
fn a_page_shrinks_when_its_capacity_does_and_spares_what_is_kept() {
    let mut page = CounterPage::read(Vec::new());
    for fingerprint in 0..10 {
        page.put(fingerprint, &state(5_000_000_000), 10, NOW, |_| false)
            .unwrap();
    }
    for fingerprint in 10..40 {
        page.put(fingerprint, &state(9_000_000_000), 4, NOW, |pinned| {
            (fingerprint - 1..=fingerprint).contains(&pinned)
        })
        .unwrap();
    }
    assert!(page.records().count() <= 5);
    assert!(page.find(38).unwrap().is_some() && page.find(39).unwrap().is_some());
}

#[test]
fn what_is_no_page_is_a_fault() {
    for bytes in [
        vec![1; 7],
        vec![9; 40],
        [vec![0; 8], vec![9]].concat(),
        [vec![0; 8], vec![1, 200, 0]].concat(),
    ] {
        assert_eq!(CounterPage::read(bytes).find(5), Err(Fault::BadRecord));
    }
    // A bucket without a rate.
    assert_eq!(
        CounterPage::read(vec![0; 37]).find(0),
        Err(Fault::BadRecord)
    );
    assert_eq!(CounterPage::read(Vec::new()).find(5), Ok(None));
}

/// A record of a window that is over at `end`, with so much taken of its quota.
#[derive(Clone, Copy, Debug)]
struct Window {
    end: u64,
    taken: u64,
    quota: u64,
}

impl Window {
    fn state(self) -> State {
        let Self { end, taken, quota } = self;
        let end = Timestamp::from_nanos(end);
        State::Calendar(calendar::State {
            end,
            taken,
            generation: 1,
            quota: Rough::of(quota),
        })
    }

    /// The gain of its caller at `NOW`, times `quota`.
    fn gain(self) -> u128 {
        u128::from(self.end.saturating_sub(NOW.nanos())) * u128::from(self.taken)
    }

    /// Whether losing this one gives its caller more than losing the other: by more than a rough
    /// quota may hide.
    fn is_worth_more_than(self, other: Self) -> bool {
        self.gain() * u128::from(other.quota) * 4 > other.gain() * u128::from(self.quota) * 5
    }
}

fn windows() -> impl Strategy<Value = Window> {
    (1..1_000_u64, 1..1_000_000_000_000_u64, 0..=100_u64).prop_map(|(end, quota, share)| Window {
        end: NOW.nanos() + (end << 20),
        taken: (quota / 100).max(1) * share,
        quota,
    })
}

proptest! {
    #[test]
    fn a_flood_of_one_limit_takes_no_more_than_its_share(
        capacity in 1..40_usize,
        limits in 1..5_u64,
        others in proptest::collection::vec((0..5_u64, windows()), 0..60),
        flood in proptest::collection::vec(windows(), 1..120),
    ) {
        let mut page = CounterPage::read(Vec::new());
        let mut all: Vec<(u64, Window)> = Vec::new();
        let arrivals = others
            .into_iter()
            .map(|(limit, window)| (limit % limits, window));
        // The last limit is that of the flood.
        let arrivals = arrivals.chain(flood.into_iter().map(|window| (limits, window)));
        for (number, (limit, window)) in (0..).zip(arrivals) {
            let fingerprint = limit << 48 | number;
            let effect = page
                .put(fingerprint, &window.state(), capacity, NOW, |_| false)
                .unwrap();
            let evicted = effect.evicted > 0;
            let is_live = |(_, window): &(u64, Window)| window.taken > 0;
            let (stays, gone): (Vec<_>, Vec<_>) = all
                .iter()
                .copied()
                .partition(|(key, _)| page.find(*key).unwrap().is_some());
            prop_assert!(
                page.records().count() <= capacity && page.find(fingerprint).unwrap().is_some()
            );
            let gone: Vec<_> = gone.into_iter().filter(is_live).collect();
            prop_assert_eq!((gone.len() == 1, gone.len() <= 1), (evicted, true));
            if let Some((key, lost)) = gone.first().copied() {
                let live: Vec<_> = all.iter().filter(|record| is_live(record)).collect();
                prop_assert!(live.len() == capacity, "there was room");
                let mut classes: Vec<u64> = live
                    .iter()
                    .map(|(key, _)| key >> 48)
                    .chain([limit])
                    .collect();
                classes.sort_unstable();
                classes.dedup();
                let share = capacity / classes.len();
                let count = |class: u64| live.iter().filter(|(key, _)| key >> 48 == class).count();
                let allowed = |class: u64| class == limit || count(class) > share;
                prop_assert!(allowed(key >> 48), "it had no more than its share");
                for (other, window) in stays.iter().filter(|record| is_live(record)) {
                    prop_assert!(
                        !allowed(other >> 48) || !lost.is_worth_more_than(*window),
                        "{lost:?}, {window:?}"
                    );
                }
            }
            all = stays;
            all.push((fingerprint, window));
        }
    }
}
