//! The pace: at most fifty calls a second over all workers of a proxy, for any number of callers.
//! Due takes wait for the next call, which carries all of them.

use crate::base::time::{Span, SteadyTime};
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};

/// The key of the pace in shared data, of the length of the other keys.
const KEY: &[u8] = b"sluicegate.pac1";

/// One call in this time.
const INTERVAL: Span = Span::from_nanos(20_000_000);

/// How far calls may be ahead of the pace: five of them at once.
const AHEAD: Span = Span::from_nanos(80_000_000);

/// Whether one more call may be made at `now`, which is noted then. If the host fails, it may.
pub(super) fn admits(data: &impl SharedData, now: SteadyTime) -> bool {
    let mut cell = SharedCell::new(data, KEY);
    let updated = cell.update(|bytes| {
        let arrival = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // A time beyond the reach of a pace is not this proxy's, and counts as none.
        let arrival = SteadyTime::from_nanos(arrival).min(now.after(AHEAD).after(INTERVAL));
        if arrival.since(now) > AHEAD {
            return Ok(Update::Keep(false));
        }
        let next = arrival.max(now).after(INTERVAL);
        Ok(Update::Store(next.nanos().to_le_bytes().to_vec(), true))
    });
    updated.map_or(true, |updated| updated.result)
}

/// Takes back a call that was not made after all. If the host fails, it counts.
pub(super) fn give_back(data: &impl SharedData) {
    let mut cell = SharedCell::new(data, KEY);
    let _ = cell.update(|bytes| {
        let arrival = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let earlier = SteadyTime::from_nanos(arrival).before(INTERVAL);
        Ok(Update::Store(earlier.nanos().to_le_bytes().to_vec(), ()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeData;

    #[test]
    fn there_are_fifty_calls_a_second_and_five_at_once() {
        let data = FakeData::default();
        let start = 1_000_000_000_000;
        let calls = (0..10_000_u64)
            .filter(|step| admits(&data, SteadyTime::from_nanos(start + step * 1_000_000)))
            .count();
        assert_eq!(calls, 10 * 50 + 4);
        let later = SteadyTime::from_nanos(start * 2);
        assert_eq!((0..20).filter(|_| admits(&data, later)).count(), 5);
        give_back(&data);
        assert_eq!((0..20).filter(|_| admits(&data, later)).count(), 1);
    }
}
