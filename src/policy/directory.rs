//! The directory: what a credential stands for, found by the SHA-256 of its secret.
//!
//! A hundred thousand entries are normal, so equal values are kept once and entries have no
//! allocation of their own.

use std::collections::HashMap;
use std::fmt;

use super::attributes::AttributeId;

/// The SHA-256 of a secret.
pub type Digest = [u8; 32];

/// All entries, compiled.
#[derive(Default)]
pub struct Directory {
    /// Sorted by digest; beside it the entry's first value.
    entries: Vec<(Digest, u32)>,
    /// The values of all entries, one entry's after the other, a `None` after each entry's last.
    values: Vec<Option<(AttributeId, u32)>>,
    texts: Vec<Box<str>>,
}

impl Directory {
    /// The values of the entry with this digest; `None` for an unknown secret.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<impl Iterator<Item = (AttributeId, &str)>> {
        let place = self.entries.binary_search_by(|(known, _)| known.cmp(digest)).ok()?;
        let start = self.entries.get(place).and_then(|(_, start)| usize::try_from(*start).ok())?;
        let values = self.values.get(start..)?.iter().map_while(|value| *value);
        Some(values.map(|(attribute, text)| (attribute, self.text(text))))
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    fn text(&self, number: u32) -> &str {
        usize::try_from(number).ok().and_then(|number| self.texts.get(number)).map_or("", AsRef::as_ref)
    }
}

impl fmt::Debug for Directory {
    /// Without what the entries say, which no log repeats.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// Collects entries.
#[derive(Default)]
pub(super) struct Builder {
    directory: Directory,
    numbers: HashMap<Box<str>, u32>,
}

impl Builder {
    pub(super) fn add(&mut self, digest: Digest, values: &[(AttributeId, &str)]) {
        let start = u32::try_from(self.directory.values.len()).unwrap_or(u32::MAX);
        for (attribute, text) in values {
            let number = self.number(text);
            self.directory.values.push(Some((*attribute, number)));
        }
        self.directory.values.push(None);
        self.directory.entries.push((digest, start));
    }

    pub(super) fn build(mut self) -> Directory {
        self.directory.entries.sort_unstable();
        self.directory
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.directory.texts.len()).unwrap_or(u32::MAX);
        self.directory.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }
}
