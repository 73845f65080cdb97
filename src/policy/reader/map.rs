//! A mapping: its keys, each known once it was asked for.

use super::super::document::Entry;
use super::super::error::Reason;
use super::{Field, MapField};

impl<'a> MapField<'a> {
    pub(in crate::policy) fn field(&self) -> &Field<'a> {
        &self.field
    }

    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value under `key`, if it is there.
    pub(in crate::policy) fn get<'s>(&'s self, key: &'static str) -> Option<Field<'s>> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        let entry = self.entries.iter().find(|entry| *entry.key == *key)?;
        Some(self.value(entry))
    }

    /// What `read` makes of the value under `key`; `default` if there is none.
    pub(in crate::policy) fn optional<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Field<'_>) -> Option<T>,
    ) -> Option<T> {
        self.get(key).map_or(Some(default), read)
    }

    /// The value under `key`, which must be there.
    pub(in crate::policy) fn require<'s>(&'s self, key: &'static str) -> Option<Field<'s>> {
        let found = self.get(key);
        if found.is_none() {
            self.field.errors.note(
                self.field.at.key(key).to_string(),
                self.field.node.line,
                Reason::Missing,
            );
        }
        found
    }

    /// All entries that were not read by name: their keys are the operator's own.
    pub(in crate::policy) fn others<'s>(&'s self) -> impl Iterator<Item = (&'s Entry, Field<'s>)> {
        let asked = self.asked.borrow().clone();
        let others = self
            .entries
            .iter()
            .filter(move |entry| !asked.contains(&&*entry.key));
        others.map(|entry| (entry, self.value(entry)))
    }

    /// Reports each key that nothing has read.
    pub(in crate::policy) fn deny_unknown(&self) {
        let known = self.asked.borrow().clone();
        for (entry, field) in self.others() {
            let reason = Reason::UnknownKey {
                key: entry.key.to_string(),
                known: known.clone(),
            };
            field.errors.note(field.at.to_string(), entry.line, reason);
        }
    }

    fn value<'s>(&'s self, entry: &'s Entry) -> Field<'s> {
        Field {
            node: &entry.value,
            at: self.field.at.key(&entry.key),
            errors: self.field.errors,
        }
    }
}
