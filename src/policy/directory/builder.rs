//! Collects entries for a table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::table::{COUNTS, LAST, Short, TEXT_BITS, TEXTS_MAX, UNTIL};
use super::{Directory, Table};
use crate::base::time::Timestamp;
use crate::policy::attributes::AttributeId;

/// Collects entries. Equal texts and equal rows are kept once.
#[derive(Default)]
pub(super) struct Builder {
    entries: Vec<(Short, u32)>,
    values: Vec<u32>,
    rows: HashMap<Box<[u32]>, u32>,
    instants: Vec<u64>,
    until_numbers: HashMap<u64, u32>,
    /// The values of all entries. The names of the attributes come before them.
    texts: Vec<Box<str>>,
    text_numbers: HashMap<Box<str>, u32>,
    attributes: Vec<AttributeId>,
}

impl Builder {
    /// Adds an entry. No two entries have the same digest.
    pub(super) fn add(
        &mut self,
        digest: Short,
        until: Option<Timestamp>,
        values: &[(AttributeId, &str)],
    ) {
        let mut row: Vec<u32> = Vec::with_capacity(values.len().saturating_add(1));
        for (attribute, text) in values {
            let attribute = self.attribute(*attribute);
            row.push((attribute << TEXT_BITS) | self.text(text));
        }
        row.sort_unstable();
        if let Some(until) = until {
            row.push((UNTIL << TEXT_BITS) | self.until(until.nanos()));
        }
        if let Some(last) = row.last_mut() {
            *last |= LAST;
        }
        let row = self.row(row.into());
        self.entries.push((digest, row));
    }

    /// The directory of all entries; `names` has the names of attributes.
    pub(super) fn build<'n>(self, name: impl Fn(AttributeId) -> &'n str) -> Directory {
        let attributes = self.attributes.clone();
        let names: Vec<&str> = attributes.iter().map(|id| name(*id)).collect();
        let bytes = self.bytes(&names);
        debug_assert!(Table::of(bytes.clone().into()).is_ok());
        Directory {
            // The bytes of no entries are a table, too.
            table: Table::of(bytes.into()).unwrap_or_default(),
            attributes: attributes.into(),
        }
    }

    fn bytes(mut self, names: &[&str]) -> Vec<u8> {
        self.entries.sort_unstable();
        // An entry without values has the row after all others.
        let none = small(self.values.len());
        let shift = small(names.len());
        let texts = || {
            names
                .iter()
                .copied()
                .chain(self.texts.iter().map(AsRef::as_ref))
        };
        let counts: [usize; COUNTS] = [
            self.entries.len(),
            self.values.len(),
            self.instants.len(),
            texts().count(),
            names.len(),
        ];
        let mut bytes = Vec::new();
        bytes.extend(counts.iter().flat_map(|count| small(*count).to_le_bytes()));
        bytes.extend(self.entries.iter().flat_map(|(digest, _)| *digest));
        let rows = self.entries.iter().map(|(_, row)| (*row).min(none));
        bytes.extend(rows.flat_map(u32::to_le_bytes));
        let values = self.values.iter().map(|word| {
            let is_until = (word & !LAST) >> TEXT_BITS == UNTIL;
            word.saturating_add(if is_until { 0 } else { shift })
        });
        bytes.extend(values.flat_map(u32::to_le_bytes));
        bytes.extend(self.instants.iter().flat_map(|until| until.to_le_bytes()));
        let mut end = 0_usize;
        for text in texts() {
            end = end.saturating_add(text.len());
            bytes.extend(small(end).to_le_bytes());
        }
        bytes.extend(texts().flat_map(str::bytes));
        bytes
    }

    fn row(&mut self, row: Box<[u32]>) -> u32 {
        if row.is_empty() {
            return u32::MAX;
        }
        let start = small(self.values.len());
        match self.rows.entry(row) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                self.values.extend(place.key());
                *place.insert(start)
            }
        }
    }

    fn attribute(&mut self, id: AttributeId) -> u32 {
        let known = self.attributes.iter().position(|known| *known == id);
        small(known.unwrap_or_else(|| {
            self.attributes.push(id);
            self.attributes.len().saturating_sub(1)
        }))
    }

    fn until(&mut self, nanos: u64) -> u32 {
        let number = small(self.instants.len());
        *self.until_numbers.entry(nanos).or_insert_with(|| {
            self.instants.push(nanos);
            number
        })
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.text_numbers.get(text) {
            return *number;
        }
        let number = small(self.texts.len());
        self.texts.push(text.into());
        self.text_numbers.insert(text.into(), number);
        number
    }
}

/// A count of values: a document has fewer than a table can refer to.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// All values of a document, and all names, can be referred to.
const _: () = assert!(crate::policy::document::NODES_MAX < (TEXTS_MAX as usize) - 64);
