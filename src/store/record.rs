//! A record: the state of one counter as bytes, which state their kind and length.
//!
//! ```text
//!   bucket     0 ┊ tat 8 ┊ refill 8 ┊ burst 4 ┊ generation 4 ┊ charged 4 ┊ returned 8
//!   rolling    1 ┊ length 1 ┊ quota 1 ┊ generation 4 ┊ window 4 ┊ newest 8 ┊ units ┊ (age, units)…
//!   calendar   2 ┊ end 8 ┊ taken 8 ┊ generation 4 ┊ quota 1
//!   seats      4 ┊ length 1 ┊ seats 1 ┊ (holder 8, until 8) …
//!   lock       5 ┊ until 8
//!   lease      6 ┊ length 1 ┊ numbers (`lease`)
//! ```
//!
//! Integers are little-endian. Instants are nanoseconds, a window is seconds, and a quota and a
//! number of seats are rough numbers.
//!
//! A rolling record's first byte is 3 if its grain is the coarse one. Its entries go from the
//! newest to the oldest; an age is the distance to the entry before, from grain to grain. Ages and
//! units are numbers of variable length: most take one byte.

mod lease;

pub use lease::BYTES_MAX as LEASE_BYTES_MAX;

use super::page::Record;
use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};
use crate::base::units::Refill;
use crate::base::varint;
use crate::host::fault::Fault;
use crate::limit::rolling::{ENTRIES_MAX, EXACT_QUOTA_MAX, Entry, Grain};
use crate::limit::seats::{self, Holder};
use crate::limit::{self, Rule, State, calendar, gcra, lock, rolling};

const BUCKET: u8 = if cfg!(feature = "other-format") { 9 } else { 0 };
const ROLLING: u8 = 1;
const CALENDAR: u8 = 2;
const ROLLING_COARSE: u8 = 3;
const SEATS: u8 = 4;
const LOCK: u8 = 5;
const LEASE: u8 = 6;

const BUCKET_BYTES: usize = 37;
const CALENDAR_BYTES: usize = 22;
const LOCK_BYTES: usize = 9;
/// Of a rolling record, before its entries.
const ROLLING_HEAD_BYTES: usize = 19;

/// Of a record of seats, before its holders; and of each of these.
const SEATS_HEAD_BYTES: usize = 3;
const HOLDER_BYTES: usize = 16;

/// The most bytes that any record can have: its length is one byte.
pub const BYTES_MAX: usize = 255;

/// Room for most records, so that it is asked for once.
const BYTES_TYPICAL: usize = 64;

impl Record for State {
    /// A page of counters is bounded by the number of its records.
    const PAGE_BYTES_MAX: usize = usize::MAX;

    fn length(bytes: &[u8]) -> Option<usize> {
        length(bytes)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.reserve(BYTES_TYPICAL);
        encode(self, out)
    }

    fn decode(record: &[u8]) -> Result<Self, Fault> {
        decode(record)
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length = match *bytes.first()? {
        BUCKET => BUCKET_BYTES,
        CALENDAR => CALENDAR_BYTES,
        LOCK => LOCK_BYTES,
        ROLLING | ROLLING_COARSE | SEATS | LEASE => usize::from(*bytes.get(1)?),
        _ => return None,
    };
    (length > 0 && length <= bytes.len()).then_some(length)
}

/// The most bytes that a record of `rule` can have, unless a response overdraws it.
#[must_use]
pub fn bytes_max(rule: &Rule) -> usize {
    match rule {
        Rule::Bucket(_) => BUCKET_BYTES,
        Rule::Calendar(_) => CALENDAR_BYTES,
        Rule::Lock(_) => LOCK_BYTES,
        Rule::Lease(_) => LEASE_BYTES_MAX,
        Rule::Seats(seats) => {
            let seats = usize::try_from(seats.seats()).unwrap_or(usize::MAX);
            SEATS_HEAD_BYTES.saturating_add(seats.saturating_mul(HOLDER_BYTES))
        }
        Rule::Rolling(rolling) => {
            let quota = rolling.quota();
            // A small quota has at most as many entries, and their ages add up to one window.
            let (entries, age) = if quota <= EXACT_QUOTA_MAX {
                let grains = rolling
                    .window()
                    .whole(Grain::Exact.length(rolling.window()));
                (
                    quota,
                    varint::size(grains.checked_div(quota).unwrap_or(grains)).saturating_add(1),
                )
            } else {
                (22, 1)
            };
            let entries = usize::try_from(entries).unwrap_or(ENTRIES_MAX);
            ROLLING_HEAD_BYTES
                .saturating_add(entries.saturating_mul(age.saturating_add(varint::size(quota))))
        }
    }
}

/// Appends the record of `state`. No rule makes a state that has no form.
fn encode(state: &State, out: &mut Vec<u8>) -> Result<(), Fault> {
    match state {
        State::Bucket(state) => {
            out.push(BUCKET);
            out.extend_from_slice(&state.tat.nanos().to_le_bytes());
            out.extend_from_slice(&state.refill.encode().to_le_bytes());
            out.extend_from_slice(&state.burst.to_le_bytes());
            out.extend_from_slice(&state.generation.to_le_bytes());
            out.extend_from_slice(&state.charged.to_le_bytes());
            out.extend_from_slice(&state.returned.to_le_bytes());
        }
        State::Calendar(state) => {
            out.push(CALENDAR);
            out.extend_from_slice(&state.end.nanos().to_le_bytes());
            out.extend_from_slice(&state.taken.to_le_bytes());
            out.extend_from_slice(&state.generation.to_le_bytes());
            out.push(state.quota.encode());
        }
        State::Rolling(state) => encode_rolling(state, out)?,
        State::Lease(state) => lease::encode(state, out)?,
        State::Lock(state) => {
            out.push(LOCK);
            out.extend_from_slice(&state.until.nanos().to_le_bytes());
        }
        State::Seats(state) => {
            let size = state
                .holders
                .len()
                .saturating_mul(HOLDER_BYTES)
                .saturating_add(SEATS_HEAD_BYTES);
            let size = u8::try_from(size).map_err(|_| Fault::BadRecord)?;
            out.extend_from_slice(&[SEATS, size, state.seats.encode()]);
            for holder in &state.holders {
                out.extend_from_slice(&holder.holder.to_le_bytes());
                out.extend_from_slice(&holder.until.nanos().to_le_bytes());
            }
        }
    }
    Ok(())
}

fn encode_rolling(state: &rolling::State, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    let window = u32::try_from(state.window.seconds_up()).map_err(|_| Fault::BadRecord)?;
    let newest = state
        .entries
        .last()
        .map_or(Timestamp::from_nanos(0), |entry| entry.at);
    out.push(if state.grain == Grain::Exact {
        ROLLING
    } else {
        ROLLING_COARSE
    });
    out.extend_from_slice(&[0, state.quota.encode()]);
    out.extend_from_slice(&state.generation.to_le_bytes());
    out.extend_from_slice(&window.to_le_bytes());
    out.extend_from_slice(&newest.nanos().to_le_bytes());
    let grain = state.grain.length(state.window);
    // All but the newest are at the ends of their grains.
    let mut younger = state.grain.end(newest, state.window);
    for (index, entry) in state.entries.iter().rev().enumerate() {
        if index > 0 {
            let age = younger.since(entry.at);
            // Most follow one another, and a division takes as long as all the rest.
            varint::push(if age == grain { 1 } else { age.whole(grain) }, out);
            younger = entry.at;
        }
        varint::push(entry.units, out);
    }
    let length = u8::try_from(out.len().saturating_sub(start)).map_err(|_| Fault::BadRecord)?;
    if let Some(byte) = out.get_mut(start.saturating_add(1)) {
        *byte = length;
    }
    Ok(())
}

fn decode(record: &[u8]) -> Result<State, Fault> {
    parse(record).ok_or(Fault::BadRecord)
}

fn parse(record: &[u8]) -> Option<State> {
    let (kind, mut rest) = record.split_first()?;
    Some(match *kind {
        BUCKET => State::Bucket(gcra::State {
            tat: Timestamp::from_nanos(u64_of(&mut rest)?),
            refill: Refill::decode(u64_of(&mut rest)?)?,
            burst: u32_of(&mut rest)?,
            generation: u32_of(&mut rest)?,
            charged: u32_of(&mut rest)?,
            returned: u64_of(&mut rest)?,
        }),
        CALENDAR => State::Calendar(calendar::State {
            end: Timestamp::from_nanos(u64_of(&mut rest)?),
            taken: u64_of(&mut rest)?,
            generation: u32_of(&mut rest)?,
            quota: Rough::decode(u8_of(&mut rest)?),
        }),
        ROLLING | ROLLING_COARSE => {
            let mut log = Log::of(record)?;
            // Each takes a byte at least.
            let mut entries: Vec<Entry> = Vec::with_capacity(log.rest.len().min(ENTRIES_MAX));
            entries.extend(&mut log);
            entries.reverse();
            let Log {
                window,
                grain,
                generation,
                quota,
                ..
            } = log;
            let state = rolling::State {
                window,
                grain,
                generation,
                quota,
                entries,
            };
            log.rest.is_empty().then_some(State::Rolling(state))?
        }
        LEASE => State::Lease(lease::decode(rest)?.into()),
        LOCK => State::Lock(lock::State {
            until: Timestamp::from_nanos(u64_of(&mut rest)?),
        }),
        SEATS => {
            let (_, mut rest) = rest.split_first()?;
            let seats = Rough::decode(u8_of(&mut rest)?);
            let mut holders = Vec::with_capacity(rest.len().checked_div(HOLDER_BYTES)?);
            while !rest.is_empty() {
                let (holder, until) = (u64_of(&mut rest)?, u64_of(&mut rest)?);
                holders.push(Holder {
                    holder,
                    until: Timestamp::from_nanos(until),
                });
            }
            State::Seats(seats::State {
                holders,
                touch: None,
                seats,
            })
        }
        _ => return None,
    })
}

/// A rolling record, read entry by entry from the newest to the oldest, without an allocation.
struct Log<'r> {
    window: Span,
    grain: Grain,
    grain_length: Span,
    generation: u32,
    quota: Rough,
    /// The time of the entry before, from the second one on the end of its grain.
    at: Timestamp,
    index: usize,
    rest: &'r [u8],
}

impl<'r> Log<'r> {
    fn of(record: &'r [u8]) -> Option<Self> {
        let (kind, rest) = record.split_first()?;
        let grain = if *kind == ROLLING {
            Grain::Exact
        } else {
            Grain::Coarse
        };
        let (_, mut rest) = rest.split_first()?;
        let quota = Rough::decode(u8_of(&mut rest)?);
        let generation = u32_of(&mut rest)?;
        let window = Span::from_seconds(u64::from(u32_of(&mut rest)?));
        let at = Timestamp::from_nanos(u64_of(&mut rest)?);
        Some(Self {
            window,
            grain,
            grain_length: grain.length(window),
            generation,
            quota,
            at,
            index: 0,
            rest,
        })
    }
}

impl Iterator for Log<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut rest = self.rest;
        if self.index > 0 {
            let age = match varint_of(&mut rest)? {
                // Most follow one another.
                1 => self.grain_length,
                grains => self.grain_length.times(grains),
            };
            let end = if self.index == 1 {
                self.grain.end(self.at, self.window)
            } else {
                self.at
            };
            self.at = end.before(age);
        }
        let units = varint_of(&mut rest)?;
        self.index = self.index.saturating_add(1);
        self.rest = rest;
        Some(Entry { at: self.at, units })
    }
}

/// The gain of its caller if this record were forgotten ([`State::eviction_cost`]); 0 if it cannot
/// be read.
#[must_use]
pub fn eviction_cost(record: &[u8], now: Timestamp) -> u128 {
    match record.first() {
        Some(&(ROLLING | ROLLING_COARSE)) => Log::of(record).map_or(0, |log| {
            let (window, quota) = (log.window, log.quota);
            limit::eviction_cost(
                log.map(|entry| (entry.units, entry.at.after(window).since(now))),
                quota,
            )
        }),
        _ => decode(record).map_or(0, |state| state.eviction_cost(now)),
    }
}

fn u8_of(bytes: &mut &[u8]) -> Option<u8> {
    let (head, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*head)
}

fn u64_of(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*head))
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

fn varint_of(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = varint::read(bytes)?;
    *bytes = rest;
    Some(number)
}

#[cfg(test)]
mod tests;
