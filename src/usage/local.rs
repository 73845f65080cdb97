//! The counts of one worker since it merged: one entry for each series and callback-free.
//!
//! The key is short and specific to one policy: the number of the limit, the status, the numbers of
//! the rule, and the values of the tags.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::series::{Status, split};
use crate::base::varint;

/// The most bytes of a tag's value.
const VALUE_BYTES_MAX: usize = 128;

/// The bytes of a longer value before its hash.
const VALUE_BYTES_KEPT: usize = 100;

/// The value of a tag of a caller without one.
const NO_VALUE: &str = "N/A";

/// The requests of one series, by the second in which they came: ticks are a second apart, so there
/// are two in all but a worker that was delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The first second, and its requests.
    pub first: (u64, u64),
    /// The last second, and the requests since the first one.
    pub last: (u64, u64),
}

/// The series of one worker.
#[derive(Debug)]
pub struct Local {
    entries: HashMap<Box<[u8]>, Tally>,
    entries_max: usize,
    /// Requests for which there was no place, by limit and status.
    overflow: HashMap<(u16, u8), u64>,
}

/// A key of [`Local`] in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalKey<'a> {
    /// The limit's number.
    pub limit: u16,
    /// The outcome of the requests.
    pub status: Status,
    /// The quota.
    pub count: u64,
    /// The seconds for which it is granted; zero if the calendar says so.
    pub period: u64,
    /// The values of the tags, as [`push_tags`] writes them.
    pub tags: &'a [u8],
}

impl<'a> LocalKey<'a> {
    /// Replaces `out` by the key as bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.limit.to_le_bytes());
        out.push(self.status as u8);
        varint::push(self.count, out);
        varint::push(self.period, out);
        out.extend_from_slice(self.tags);
    }

    /// Reads what [`LocalKey::write`] wrote.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([low, high, status], rest) = bytes.split_first_chunk()?;
        let (count, rest) = varint::read(rest)?;
        let (period, tags) = varint::read(rest)?;
        Some(Self {
            limit: u16::from_le_bytes([*low, *high]),
            status: Status::of(*status)?,
            count,
            period,
            tags,
        })
    }

    /// The values of the tags.
    pub fn values(&self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.tags;
        std::iter::from_fn(move || {
            let (value, after) = split(rest)?;
            rest = after;
            std::str::from_utf8(value).ok()
        })
    }
}

/// Appends the value of one tag. A client may choose how long it is, and which bytes it has.
pub fn push_tags<'v>(values: impl Iterator<Item = Option<&'v [u8]>>, out: &mut Vec<u8>) {
    for value in values {
        let text = value.map_or(NO_VALUE.into(), String::from_utf8_lossy);
        let short = (text.len() > VALUE_BYTES_MAX).then(|| shortened(&text));
        let text = short.as_deref().unwrap_or(&text);
        varint::push(u64::try_from(text.len()).unwrap_or_default(), out);
        out.extend_from_slice(text.as_bytes());
    }
}

/// The beginning of a text, and a hash of all of it.
fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(VALUE_BYTES_KEPT);
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push('~');
    for byte in Sha256::digest(text.as_bytes()).iter().take(8) {
        short.push_str(&format!("{byte:02x}"));
    }
    short
}

impl Local {
    /// Without requests. A proxy's table of `series_max` has place for them.
    #[must_use]
    pub fn new(series_max: u32) -> Self {
        let series_max = usize::try_from(series_max).unwrap_or(usize::MAX);
        Self {
            entries: HashMap::new(),
            entries_max: series_max,
            overflow: HashMap::new(),
        }
    }

    /// Counts one request in the second `now`.
    pub fn count(&mut self, key: &[u8], now: u64) {
        if let Some(tally) = self.entries.get_mut(key) {
            tally.add(now, 1);
        } else if self.entries.len() < self.entries_max {
            let first = (now, 1);
            let last = (now, 0);
            self.entries.insert(key.into(), Tally { first, last });
        } else if let Some(key) = LocalKey::read(key) {
            let place = self.overflow.entry((key.limit, key.status as u8));
            let requests = place.or_default();
            *requests = requests.saturating_add(1);
        }
    }

    /// Whether there is nothing to merge.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.overflow.is_empty()
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (LocalKey<'_>, &Tally)> {
        let all = self.entries.iter();
        all.filter_map(|(key, tally)| Some((LocalKey::read(key)?, tally)))
    }

    /// The requests for which there was no place, by limit and status.
    pub fn overflow(&self) -> impl Iterator<Item = (u16, Status, u64)> {
        let all = self.overflow.iter();
        all.filter_map(|((limit, status), requests)| {
            Some((*limit, Status::of(*status)?, *requests))
        })
    }

    /// Forgets everything: it is merged.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.overflow.clear();
    }
}

impl Tally {
    fn add(&mut self, now: u64, requests: u64) {
        let (second, count) = &mut self.first;
        if *second == now {
            *count = count.saturating_add(requests);
        } else {
            self.last = (now, self.last.1.saturating_add(requests));
        }
    }

    /// The seconds with their requests.
    pub fn seconds(&self) -> impl Iterator<Item = (u64, u64)> {
        let all = [self.first, self.last].into_iter();
        all.filter(|(_, requests)| *requests > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_place_is_counted_by_limit_and_status() {
        let mut local = Local::new(2);
        let mut key = Vec::new();
        for caller in ["a", "b", "c", "d", "a"] {
            let mut tags = Vec::new();
            push_tags([Some(caller.as_bytes())].into_iter(), &mut tags);
            let parts = LocalKey {
                limit: 7,
                status: Status::Blocked,
                count: 300,
                period: 0,
                tags: &tags,
            };
            parts.write(&mut key);
            assert_eq!(LocalKey::read(&key), Some(parts));
            assert_eq!(parts.values().collect::<Vec<_>>(), [caller]);
            local.count(&key, 10);
        }
        let overflow: Vec<_> = local.overflow().collect();
        assert_eq!(overflow, [(7, Status::Blocked, 2)]);
        let counted: u64 = local.entries().map(|(_, tally)| tally.first.1).sum();
        assert_eq!(counted, 3);
    }

    #[test]
    fn a_long_value_is_cut_and_told_from_others() {
        let of = |value: &[u8]| {
            let mut out = Vec::new();
            push_tags([Some(value), None].into_iter(), &mut out);
            out
        };
        let long = |last: &str| of(format!("{}{last}", "ä".repeat(500)).as_bytes());
        assert!(long("a").len() < 140);
        assert_ne!(long("a"), long("b"));
        assert_eq!(of(b"\xff"), of("\u{fffd}".as_bytes()));
        assert!(of(b"x").ends_with(b"\x03N/A"));
    }

    #[test]
    fn seconds_are_told_apart() {
        let mut tally = Tally {
            first: (10, 1),
            last: (10, 0),
        };
        for second in [10, 11, 11, 12] {
            tally.add(second, 1);
        }
        assert_eq!(tally.seconds().collect::<Vec<_>>(), [(10, 2), (12, 3)]);
    }
}
