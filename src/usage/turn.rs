//! Whose turn it is to send: a time in shared data, before which no worker sends.

use crate::base::time::{Span, SteadyTime};
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};

/// The longest that a turn is held.
pub const HELD_MAX: Span = Span::from_seconds(600);

/// Takes the turn at `now`, for `hold` at most. The turn, or `None` if it is another worker's or
/// not yet time.
pub fn take(data: &impl SharedData, key: &[u8], now: SteadyTime, hold: Span) -> Option<SteadyTime> {
    let until = now.after(hold);
    let mut cell = SharedCell::new(data, key);
    let updated = cell.update(|bytes| {
        let due = time(&bytes);
        // A later time than a turn can have is not of this proxy: it is as good as none.
        if due > now && due.since(now) <= HELD_MAX {
            return Ok(Update::Keep(false));
        }
        Ok(Update::Store(until.nanos().to_le_bytes().to_vec(), true))
    });
    let is_taken = updated.is_ok_and(|updated| updated.result);
    is_taken.then_some(until)
}

/// Ends a turn: from `next` on any worker may take it. If another worker has it by now, it stays.
pub fn end(data: &impl SharedData, key: &[u8], turn: SteadyTime, next: SteadyTime) {
    let mut cell = SharedCell::new(data, key);
    let _ = cell.update(|bytes| {
        if time(&bytes) != turn {
            return Ok(Update::Keep(()));
        }
        Ok(Update::Store(next.nanos().to_le_bytes().to_vec(), ()))
    });
}

fn time(bytes: &[u8]) -> SteadyTime {
    let nanos = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    SteadyTime::from_nanos(nanos.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeData;

    #[test]
    fn a_turn_is_one_workers_until_it_ends() {
        let data = FakeData::default();
        let at = |seconds: u64| SteadyTime::from_nanos(seconds * 1_000_000_000);
        let hold = Span::from_seconds(10);
        let turn = take(&data, b"key", at(100), hold).unwrap();
        assert_eq!(take(&data, b"key", at(109), hold), None);
        end(&data, b"key", turn, at(105));
        let second = take(&data, b"key", at(105), hold).unwrap();
        // The first worker is late: the turn is not its own any more.
        end(&data, b"key", turn, at(0));
        assert_eq!(take(&data, b"key", at(106), hold), None);
        // The second one died.
        assert!(take(&data, b"key", second, hold).is_some());
        // A clock that began anew, as in another process.
        assert!(take(&data, b"other", at(10_000), hold).is_some());
        assert!(take(&data, b"other", at(1), hold).is_some());
    }
}
