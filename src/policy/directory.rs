//! The directory: the attributes of a credential, found by the SHA-256 of its secret.
//!
//! A hundred thousand entries are normal, and each worker has them. So they are one [`Table`],
//! which is searched as it is: `render` writes it, and the filter neither parses nor copies it.

mod builder;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use super::Context;
use super::attributes::AttributeId;
use super::reader::Field;
use crate::base::time::Timestamp;

pub(super) use read::{parse_digest, read};
use table::{Item, Short};
pub use table::{Table, TableError};

/// The SHA-256 of a secret.
pub type Digest = [u8; 32];

/// All entries, compiled.
#[derive(Default)]
pub struct Directory {
    table: Table,
    /// The attributes of the policy, by their numbers in the table.
    attributes: Box<[AttributeId]>,
}

/// The result of a search in the directory.
#[derive(Debug)]
pub enum Lookup<'d> {
    /// An entry.
    Known(Entry<'d>),
    /// An entry that was valid until this instant. Its secret is unknown.
    Expired(Timestamp),
    /// Nothing.
    Unknown,
}

/// An entry of the directory.
#[derive(Clone, Copy)]
pub struct Entry<'d> {
    directory: &'d Directory,
    row: u32,
}

impl Directory {
    /// The entry with this digest, at the time `now`.
    #[must_use]
    pub fn find(&self, digest: &Digest, now: Timestamp) -> Lookup<'_> {
        let Some(row) = self.table.find(&short(digest)) else {
            return Lookup::Unknown;
        };
        let entry = Entry {
            directory: self,
            row,
        };
        match entry.until() {
            Some(until) if until <= now => Lookup::Expired(until),
            Some(_) | None => Lookup::Known(entry),
        }
    }

    /// The values that entries have, each at least once.
    pub fn values(&self) -> impl Iterator<Item = (AttributeId, &str)> {
        self.table.items().filter_map(|item| self.value(item))
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.count()
    }

    /// The entries as `render` writes them for the filter.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    fn value(&self, item: Item) -> Option<(AttributeId, &str)> {
        let Item::Value { attribute, text } = item else {
            return None;
        };
        let attribute = self.attributes.get(usize::from(attribute))?;
        Some((*attribute, self.table.text(text)))
    }
}

impl<'d> Entry<'d> {
    /// The values of the entry.
    pub fn values(self) -> impl Iterator<Item = (AttributeId, &'d str)> {
        let items = self.directory.table.row(self.row);
        items.filter_map(move |item| self.directory.value(item))
    }

    /// The instant from which on the secret is unknown.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        self.directory
            .table
            .row(self.row)
            .find_map(|item| match item {
                Item::Until(number) => self.directory.table.until(number),
                Item::Value { .. } => None,
            })
    }
}

impl fmt::Debug for Directory {
    /// Without the content of the entries, which no log repeats.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry<'_> {
    /// Without its content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

/// The first half of a digest, by which entries are found. To find another secret with the same 128
/// bits is as hard as to guess one.
fn short(digest: &Digest) -> Short {
    let (short, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *short
}

/// The directory of a table that `render` has written. Its attributes become those of the policy.
pub(super) fn of_table(table: Table, list: &Field<'_>, context: &mut Context) -> Option<Directory> {
    let names = table.attributes();
    let attributes = names
        .map(|name| context.attributes.declare_held(list, name))
        .collect::<Option<_>>()?;
    Some(Directory { table, attributes })
}
