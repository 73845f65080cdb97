//! The table of the proxy: for each series what is to be sent, what is being sent, and the requests
//! of its limit's current window.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::batch::Batch;
use super::recent::{Recent, Reckoning};
use super::series::{Series, Tags, split};
use crate::base::varint;

/// The form of the bytes.
const FORM: u8 = 1;

/// The bytes of a series that is reckoned with: a table has `series_max` times as many.
const SERIES_BYTES: usize = 512;

/// The most bytes of the keys in one batch, so that no collector finds it too large.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// The seconds without a request after which a series makes room for another one.
const QUIET: u64 = 300;

/// How many series a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most series apart from those that count the others.
    pub series_max: u32,
}

/// The requests of one series in one second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition<'s> {
    /// The series.
    pub series: Series<'s>,
    /// How its window is found; `None` for what found no place in the worker.
    pub reckoning: Option<Reckoning>,
    /// The second of Unix time.
    pub at: u64,
    /// The requests.
    pub requests: u64,
}

/// The table, whose keys are those in the bytes that it was read from.
#[derive(Debug, Default)]
pub struct Table<'a> {
    batch: Option<Batch>,
    /// The nanosecond up to which the last batch counts; zero if there was none.
    since: u64,
    /// The key of the last series that went into a batch for which there were too many.
    after: Vec<u8>,
    entries: BTreeMap<Cow<'a, [u8]>, Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// Requests that are to be sent.
    pending: u64,
    /// Those of the current batch.
    sending: u64,
    /// The second of the last request.
    seen: u64,
    recent: Recent,
}

/// A point of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point<'t> {
    /// The key of the series.
    pub key: &'t [u8],
    /// The series.
    pub series: Series<'t>,
    /// The requests of the batch.
    pub requests: u64,
    /// Those of the limit's current window, if there are any.
    pub recent: Option<u64>,
}

impl<'a> Table<'a> {
    /// Reads a table; an empty one if the bytes are none.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[FORM])?;
        let (since, rest) = varint::read(rest)?;
        let (from, rest) = varint::read(rest)?;
        let (to, rest) = varint::read(rest)?;
        let (after, mut rest) = split(rest)?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (key, after) = split(rest)?;
            let (pending, after) = varint::read(after)?;
            let (sending, after) = varint::read(after)?;
            let (seen, after) = varint::read(after)?;
            let (recent, after) = Recent::read(after)?;
            let entry = Entry {
                pending,
                sending,
                seen,
                recent,
            };
            entries.push((Cow::Borrowed(key), entry));
            rest = after;
        }
        Some(Self {
            batch: (to > 0).then_some(Batch { from, to }),
            since,
            after: after.to_vec(),
            entries: entries.into_iter().collect(),
        })
    }

    /// The table as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        let batch = self.batch.unwrap_or(Batch { from: 0, to: 0 });
        for number in [self.since, batch.from, batch.to] {
            varint::push(number, &mut out);
        }
        push_bytes(&self.after, &mut out);
        for (key, entry) in &self.entries {
            push_bytes(key, &mut out);
            for number in [entry.pending, entry.sending, entry.seen] {
                varint::push(number, &mut out);
            }
            entry.recent.push(&mut out);
        }
        out
    }

    /// Adds requests at the second `now`. Returns how many found no place of their own.
    pub fn merge(&mut self, additions: &[Addition<'_>], now: u64, bounds: Bounds) -> u64 {
        let mut room = Room::of(self, bounds);
        let mut overflow = 0_u64;
        for addition in additions {
            let Addition {
                ref series,
                reckoning,
                at,
                requests,
            } = *addition;
            let key = series.encode();
            let has_place = reckoning.is_some()
                && (self.entries.contains_key(&key[..]) || room.take(self, &key, now));
            let key = match has_place {
                true => key,
                false => {
                    overflow = overflow.saturating_add(requests);
                    series.overflow().encode()
                }
            };
            let entry = self.entries.entry(Cow::Owned(key)).or_default();
            entry.pending = entry.pending.saturating_add(requests);
            entry.seen = entry.seen.max(at);
            if let Some(reckoning) = reckoning.filter(|_| has_place) {
                entry.recent.add(reckoning, at, requests);
            }
        }
        overflow
    }

    /// The batch to send at the nanosecond `now`: the current one if it was not accepted, otherwise
    /// a new one; `None` if there is nothing to say.
    pub fn begin(&mut self, now: u64) -> Option<Batch> {
        if self.batch.is_some() {
            return self.batch;
        }
        let seconds = now / NANOS;
        let has_recent = |entry: &Entry| entry.recent.requests(seconds) > 0;
        if !self
            .entries
            .values()
            .any(|entry| entry.pending > 0 || has_recent(entry))
        {
            self.since = now;
            return None;
        }
        // After a step of the clock an interval has no length.
        let since = if self.since == 0 { now } else { self.since };
        let batch = Batch {
            from: since.min(now),
            to: now,
        };
        self.batch = Some(batch);
        if self.choose() {
            self.since = now;
        }
        Some(batch)
    }

    /// Moves what is to be sent into the batch, as much as it may have, from where the last one
    /// ended. Whether that is all.
    fn choose(&mut self) -> bool {
        let (after, mut bytes) = (std::mem::take(&mut self.after), 0_usize);
        let from = (Bound::Excluded(&after[..]), Bound::Unbounded);
        let up_to = (Bound::Unbounded, Bound::Included(&after[..]));
        let mut chosen: Vec<Vec<u8>> = Vec::new();
        for (key, entry) in self
            .entries
            .range::<[u8], _>(from)
            .chain(self.entries.range::<[u8], _>(up_to))
            .filter(|(_, entry)| entry.pending > 0)
        {
            bytes = bytes.saturating_add(key.len());
            if bytes > BATCH_BYTES_MAX && !chosen.is_empty() {
                self.after = chosen.last().cloned().unwrap_or_default();
                break;
            }
            let _ = entry;
            chosen.push(key.to_vec());
        }
        for key in &chosen {
            if let Some(entry) = self.entries.get_mut(&key[..]) {
                entry.sending = std::mem::take(&mut entry.pending);
            }
        }
        self.after.is_empty()
    }

    /// The batch that ends at `to` was accepted, at the second `now`. Whether more is to be sent
    /// without delay; `None` if it was accepted before.
    pub fn accept(&mut self, to: u64, now: u64) -> Option<bool> {
        self.batch.filter(|batch| batch.to == to)?;
        self.batch = None;
        for entry in self.entries.values_mut() {
            entry.sending = 0;
        }
        self.entries
            .retain(|_, entry| entry.pending > 0 || !entry.recent.is_over(now));
        Some(!self.after.is_empty())
    }

    /// The points of the current batch, and of ratios that go on, at the second `now`.
    pub fn points(&self, now: u64) -> impl Iterator<Item = Point<'_>> {
        let mut bytes = 0_usize;
        self.entries.iter().filter_map(move |(key, entry)| {
            let recent = entry.recent.requests(now);
            if entry.sending == 0 {
                bytes = bytes.saturating_add(key.len());
                if recent == 0 || bytes > BATCH_BYTES_MAX {
                    return None;
                }
            }
            let series = Series::decode(key)?;
            let has_ratio = matches!(series.tags, Tags::Caller { .. }) && recent > 0;
            Some(Point {
                key,
                series,
                requests: entry.sending,
                recent: has_ratio.then_some(recent),
            })
        })
    }

    /// The batch that is not accepted yet.
    #[cfg(test)]
    pub(crate) const fn current(&self) -> Option<Batch> {
        self.batch
    }

    /// All requests that are not accepted yet.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> BTreeMap<Vec<u8>, u64> {
        let all = self.entries.iter();
        all.map(|(key, entry)| (key.to_vec(), entry.pending.saturating_add(entry.sending)))
            .filter(|(_, requests)| *requests > 0)
            .collect()
    }
}

const NANOS: u64 = 1_000_000_000;

/// The place that is left for further series.
struct Room {
    series: usize,
    bytes: usize,
    is_swept: bool,
    bounds: Bounds,
}

impl Room {
    fn of(table: &Table<'_>, bounds: Bounds) -> Self {
        let series_max = usize::try_from(bounds.series_max).unwrap_or(usize::MAX);
        let (mut series, mut bytes) = (0_usize, 0_usize);
        for (key, entry) in &table.entries {
            // The series that count the others have no window.
            if entry.recent != Recent::default() {
                series = series.saturating_add(1);
                bytes = bytes.saturating_add(key.len());
            }
        }
        Self {
            series: series_max.saturating_sub(series),
            bytes: series_max
                .saturating_mul(SERIES_BYTES)
                .saturating_sub(bytes),
            is_swept: false,
            bounds,
        }
    }

    /// Takes the place of one series, if there is one.
    fn take(&mut self, table: &mut Table<'_>, key: &[u8], now: u64) -> bool {
        let fits = |room: &Self| room.series > 0 && room.bytes >= key.len();
        if !fits(self) && !self.is_swept {
            table.entries.retain(|_, entry| {
                let is_quiet = entry.seen.saturating_add(QUIET) <= now;
                entry.pending > 0 || entry.sending > 0 || !(is_quiet || entry.recent.is_over(now))
            });
            *self = Self {
                is_swept: true,
                ..Self::of(table, self.bounds)
            };
        }
        let fits = fits(self);
        if fits {
            self.series = self.series.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(key.len());
        }
        fits
    }
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint::push(u64::try_from(bytes.len()).unwrap_or_default(), out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
