//! The record of a lease: numbers of variable length, one after the other.
//!
//! ```text
//!   6 ┊ length 1 ┊ left ┊ granted ┊ size ┊ since ┊ until ┊ until by the wall clock
//!     ┊ spent ┊ extra ┊ refund ┊ since ┊ seq ┊ window's end ┊ parts 1
//!     ┊ if pending: until ┊ spent ┊ extra ┊ refund ┊ since ┊ rest 1 ┊ need ┊ want ┊ lock
//!     ┊ if heard: at ┊ engine's time ┊ left ┊ next ┊ reset ┊ refused until ┊ wait until
//! ```
//!
//! The rest may be negative; its sign is the lowest bit.

use super::LEASE;
use crate::base::time::{Span, SteadyTime, Timestamp};
use crate::base::varint;
use crate::fleet::take::Rest;
use crate::host::fault::Fault;
use crate::limit::lease::{Heard, Held, Pending, State, Unreported};

/// The most bytes: instants take nine, units eight.
pub const BYTES_MAX: usize = 232;

/// The bits of `parts`.
const PENDING: u64 = 1;
const HEARD: u64 = 2;

/// Appends the record.
pub(super) fn encode(state: &State, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    out.extend_from_slice(&[LEASE, 0]);
    let mut push = |number: u64| varint::push(number, out);
    let held = &state.held;
    for number in [
        held.left,
        held.granted,
        held.size,
        held.since.nanos(),
        held.until.nanos(),
        held.until_wall.nanos(),
    ] {
        push(number);
    }
    push_report(&state.unreported, &mut push);
    push(state.seq);
    push(state.window_end.nanos());
    let pending = state.pending.map_or(0, |_| PENDING);
    push(pending | state.heard.map_or(0, |_| HEARD));
    if let Some(pending) = &state.pending {
        push(pending.until.nanos());
        push_report(&pending.report, &mut push);
        push(match pending.rest {
            Rest::Keep => 0,
            Rest::Return => 1,
            Rest::Forgotten => 2,
        });
        push(pending.need);
        push(pending.want);
        push(pending.lock.nanos());
    }
    if let Some(heard) = &state.heard {
        push(heard.at.nanos());
        push(heard.engine);
        let sign = u64::from(heard.left < 0);
        push(heard.left.unsigned_abs().saturating_mul(2) | sign);
        for at in [
            heard.next,
            heard.reset,
            heard.refused_until,
            heard.wait_until,
        ] {
            push(at.nanos());
        }
    }
    let length = u8::try_from(out.len().saturating_sub(start)).map_err(|_| Fault::BadRecord)?;
    if let Some(byte) = out.get_mut(start.saturating_add(1)) {
        *byte = length;
    }
    Ok(())
}

fn push_report(report: &Unreported, push: &mut impl FnMut(u64)) {
    push(report.spent);
    push(report.extra);
    push(report.refund);
    push(report.since);
}

/// Reads a record after its first byte; `None` if it cannot be one.
pub(super) fn decode(rest: &[u8]) -> Option<State> {
    let (_, rest) = rest.split_first()?;
    let mut numbers = Numbers(rest);
    let held = Held {
        left: numbers.next()?,
        granted: numbers.next()?,
        size: numbers.next()?,
        since: numbers.steady()?,
        until: numbers.steady()?,
        until_wall: Timestamp::from_nanos(numbers.next()?),
    };
    let unreported = numbers.report()?;
    let seq = numbers.next()?;
    let window_end = Timestamp::from_nanos(numbers.next()?);
    let parts = numbers.next()?;
    let pending = if parts & PENDING == 0 {
        None
    } else {
        Some(numbers.pending()?)
    };
    let heard = if parts & HEARD == 0 {
        None
    } else {
        Some(numbers.heard()?)
    };
    numbers.0.is_empty().then_some(State {
        held,
        unreported,
        seq,
        pending,
        heard,
        window_end,
        last: None,
    })
}

/// The numbers that are left to read.
struct Numbers<'r>(&'r [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u64> {
        let (number, rest) = varint::read(self.0)?;
        self.0 = rest;
        Some(number)
    }

    fn steady(&mut self) -> Option<SteadyTime> {
        self.next().map(SteadyTime::from_nanos)
    }

    fn report(&mut self) -> Option<Unreported> {
        Some(Unreported {
            spent: self.next()?,
            extra: self.next()?,
            refund: self.next()?,
            since: self.next()?,
        })
    }

    fn pending(&mut self) -> Option<Pending> {
        Some(Pending {
            until: self.steady()?,
            report: self.report()?,
            rest: match self.next()? {
                0 => Rest::Keep,
                1 => Rest::Return,
                2 => Rest::Forgotten,
                _ => return None,
            },
            need: self.next()?,
            want: self.next()?,
            lock: Span::from_nanos(self.next()?),
        })
    }

    fn heard(&mut self) -> Option<Heard> {
        Some(Heard {
            at: self.steady()?,
            engine: self.next()?,
            left: {
                let number = self.next()?;
                let left = i64::try_from(number >> 1).ok()?;
                if number & 1 == 0 {
                    left
                } else {
                    left.saturating_neg()
                }
            },
            next: self.steady()?,
            reset: self.steady()?,
            refused_until: self.steady()?,
            wait_until: self.steady()?,
        })
    }
}
