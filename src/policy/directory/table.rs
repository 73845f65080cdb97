//! The table of all entries: bytes that are checked once, and then searched where they are.
//!
//! ```text
//!   entries, values, instants, texts, attributes: how many there are       5 × 4 bytes
//!   the short digest of each entry, ascending                            16 bytes each
//!   the row of each entry: its first value, or the number of all values  4 bytes each
//!   values, the last of each row marked: an attribute and a text         4 bytes each
//!   the instants until which entries are valid, in nanoseconds           8 bytes each
//!   where each text ends                                                 4 bytes each
//!   texts, UTF-8; the first are the names of the attributes
//! ```
//!
//! All numbers are little-endian. Equal texts are there once, and so are equal rows.

use std::fmt;
use std::ops::Range;
use std::str;

use crate::base::time::Timestamp;
use crate::policy::attributes::ATTRIBUTES_MAX;
use crate::policy::language::ATTRIBUTE_BYTES_MAX;

/// The key of an entry.
pub(super) type Short = [u8; 16];

pub(super) const COUNTS: usize = 5;
const SHORT_BYTES: usize = size_of::<Short>();
const WORD_BYTES: usize = size_of::<u32>();
const UNTIL_BYTES: usize = size_of::<u64>();

/// The bit of a value that is the last of its row.
pub(super) const LAST: u32 = 1 << 31;
/// The bits of a value below its attribute.
pub(super) const TEXT_BITS: u32 = 24;
/// The most texts that values can refer to.
pub(super) const TEXTS_MAX: u32 = 1 << TEXT_BITS;
/// The number in place of an attribute's where the value is an instant.
pub(super) const UNTIL: u32 = 127;

/// Entries, checked whole.
#[derive(Default)]
pub struct Table {
    bytes: Box<[u8]>,
    places: Places,
}

/// The places of the parts of a table, in bytes.
#[derive(Clone, Default)]
struct Places {
    digests: Range<usize>,
    rows: Range<usize>,
    values: Range<usize>,
    instants: Range<usize>,
    ends: Range<usize>,
    texts: Range<usize>,
    attributes: usize,
}

/// One item of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The value of an attribute, both by their numbers.
    Value { attribute: u8, text: u32 },
    /// The end of the entry's validity, by its number.
    Until(u32),
}

/// Bytes that are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableError;

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the packed directory is damaged, or of another version: render the configuration \
             again, with the command line of this filter",
        )
    }
}

impl fmt::Debug for Table {
    /// Without the content of the entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl Table {
    /// The table in `bytes`, checked in one pass.
    ///
    /// # Errors
    /// Anything that no table has: nothing is trusted.
    pub fn of(bytes: Box<[u8]>) -> Result<Self, TableError> {
        let places = Places::of(&bytes).ok_or(TableError)?;
        let table = Self { bytes, places };
        if table.is_valid() {
            Ok(table)
        } else {
            Err(TableError)
        }
    }

    /// The table as it is written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.places.rows.len() / WORD_BYTES
    }

    /// The row of an entry.
    pub(super) fn find(&self, digest: &Short) -> Option<u32> {
        let (digests, _) = self.part(&self.places.digests).as_chunks::<SHORT_BYTES>();
        let place = digests.binary_search(digest).ok()?;
        self.word(&self.places.rows, place)
    }

    /// The items of a row.
    pub(super) fn row(&self, row: u32) -> impl Iterator<Item = Item> {
        let start = usize::try_from(row).unwrap_or(usize::MAX);
        let mut goes_on = true;
        self.words(&self.places.values)
            .get(start..)
            .unwrap_or_default()
            .iter()
            .map_while(move |word| {
                let word = u32::from_le_bytes(*word);
                let is_here = goes_on;
                goes_on = word & LAST == 0;
                is_here.then(|| Item::of(word))
            })
    }

    /// The items of all rows.
    pub(super) fn items(&self) -> impl Iterator<Item = Item> {
        let words = self.words(&self.places.values).iter();
        words.map(|word| Item::of(u32::from_le_bytes(*word)))
    }

    /// The text of this number.
    pub(super) fn text(&self, number: u32) -> &str {
        let text = usize::try_from(number)
            .ok()
            .and_then(|number| self.part(&self.places.texts).get(self.place(number)?));
        text.and_then(|text| str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    /// The instant of this number.
    pub(super) fn until(&self, number: u32) -> Option<Timestamp> {
        let (instants, _) = self.part(&self.places.instants).as_chunks();
        let nanos = instants.get(usize::try_from(number).ok()?)?;
        Some(Timestamp::from_nanos(u64::from_le_bytes(*nanos)))
    }

    /// The names of the attributes, by their numbers.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &str> {
        (0_u32..)
            .take(self.places.attributes)
            .map(|number| self.text(number))
    }

    fn part(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    fn words(&self, place: &Range<usize>) -> &[[u8; WORD_BYTES]] {
        self.part(place).as_chunks().0
    }

    fn word(&self, place: &Range<usize>, number: usize) -> Option<u32> {
        let word = self.words(place).get(number)?;
        Some(u32::from_le_bytes(*word))
    }

    /// The place of a text among all texts.
    fn place(&self, number: usize) -> Option<Range<usize>> {
        let start = match number.checked_sub(1) {
            Some(before) => self.word(&self.places.ends, before)?,
            None => 0,
        };
        let end = self.word(&self.places.ends, number)?;
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    fn is_valid(&self) -> bool {
        self.digests_ascend() && self.rows_begin() && self.values_refer() && self.texts_fit()
    }

    fn digests_ascend(&self) -> bool {
        let (digests, _) = self.part(&self.places.digests).as_chunks::<SHORT_BYTES>();
        digests.is_sorted_by(|one, next| one < next)
    }

    /// Whether each row begins at the first value, after the last of another row, or after all.
    fn rows_begin(&self) -> bool {
        let values = self.words(&self.places.values);
        self.words(&self.places.rows).iter().all(|row| {
            let start = usize::try_from(u32::from_le_bytes(*row)).unwrap_or(usize::MAX);
            match start.checked_sub(1) {
                None => true,
                Some(before) => values
                    .get(before)
                    .is_some_and(|word| u32::from_le_bytes(*word) & LAST != 0),
            }
        })
    }

    /// Whether all values are of attributes and texts that are there, the attributes of each row in
    /// ascending order.
    fn values_refer(&self) -> bool {
        let (instants, texts) = (self.places.instants.len(), self.places.ends.len());
        let (instants, texts) = (instants / UNTIL_BYTES, texts / WORD_BYTES);
        let mut before = None;
        for word in self.words(&self.places.values) {
            let word = u32::from_le_bytes(*word);
            let attribute = (word & !LAST) >> TEXT_BITS;
            let (known, refers) = match Item::of(word) {
                Item::Until(number) => (true, (number, instants)),
                Item::Value { attribute, text } => {
                    let known = usize::from(attribute) < self.places.attributes;
                    (known, (text, texts))
                }
            };
            let (number, count) = refers;
            let is_there = usize::try_from(number).is_ok_and(|number| number < count);
            if !known || !is_there || before.is_some_and(|before| before >= attribute) {
                return false;
            }
            before = (word & LAST == 0).then_some(attribute);
        }
        before.is_none()
    }

    /// Whether all texts are UTF-8, of a length that values can have, and take up all bytes.
    fn texts_fit(&self) -> bool {
        let Ok(all) = str::from_utf8(self.part(&self.places.texts)) else {
            return false;
        };
        let mut start = 0;
        for end in self.words(&self.places.ends) {
            let end = usize::try_from(u32::from_le_bytes(*end)).unwrap_or(usize::MAX);
            let text = all.get(start..end);
            if text.is_none_or(|text| !(1..=ATTRIBUTE_BYTES_MAX).contains(&text.len())) {
                return false;
            }
            start = end;
        }
        start == all.len()
    }
}

impl Item {
    fn of(word: u32) -> Self {
        let attribute = (word & !LAST) >> TEXT_BITS;
        let number = word & (TEXTS_MAX - 1);
        match u8::try_from(attribute) {
            Ok(attribute) if u32::from(attribute) != UNTIL => Self::Value {
                attribute,
                text: number,
            },
            Ok(_) | Err(_) => Self::Until(number),
        }
    }
}

impl Places {
    /// The places of the parts; `None` if they are not all there, or if there is more.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (counts, _) = bytes.as_chunks::<WORD_BYTES>();
        let mut counts = counts.iter().take(COUNTS).map(|count| {
            let count = u32::from_le_bytes(*count);
            usize::try_from(count).ok()
        });
        let mut count = || counts.next().flatten();
        let (entries, values, instants, texts) = (count()?, count()?, count()?, count()?);
        let attributes = count()?;
        let mut end = COUNTS.checked_mul(WORD_BYTES)?;
        let mut part = |count: usize, size: usize| {
            let start = end;
            end = start.checked_add(count.checked_mul(size)?)?;
            Some(start..end)
        };
        let places = Self {
            digests: part(entries, SHORT_BYTES)?,
            rows: part(entries, WORD_BYTES)?,
            values: part(values, WORD_BYTES)?,
            instants: part(instants, UNTIL_BYTES)?,
            ends: part(texts, WORD_BYTES)?,
            texts: end..bytes.len(),
            attributes,
        };
        let fits = end <= bytes.len() && attributes <= texts.min(ATTRIBUTES_MAX);
        fits.then_some(places)
    }
}
