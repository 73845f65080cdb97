//! The directory: the attributes of a credential, found by the SHA-256 of its secret.
//!
//! A hundred thousand entries are normal, so equal values are kept once and entries need no
//! separate allocation.

use std::collections::HashMap;
use std::fmt;

use super::Context;
use super::attributes::AttributeId;
use super::document::Value;
use super::error::{InEntry, Reason};
use super::language as lang;
use super::reader::{Field, Items};

/// The SHA-256 of a secret.
pub type Digest = [u8; 32];

/// All entries, compiled.
#[derive(Default)]
pub struct Directory {
    /// Sorted by digest; each with the place of the entry's first value.
    entries: Vec<(Digest, u32)>,
    /// The values of all entries, one entry's after the other, a `None` after each entry's last.
    values: Vec<Option<(AttributeId, u32)>>,
    texts: Vec<Box<str>>,
}

impl Directory {
    /// The values of the entry with this digest; `None` for an unknown secret.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<impl Iterator<Item = (AttributeId, &str)>> {
        let place = self
            .entries
            .binary_search_by(|(known, _)| known.cmp(digest))
            .ok()?;
        let start = self
            .entries
            .get(place)
            .and_then(|(_, start)| usize::try_from(*start).ok())?;
        let values = self.values.get(start..)?.iter().map_while(|value| *value);
        Some(values.map(|(attribute, text)| (attribute, self.text(text))))
    }

    /// The values of all entries, one after the other.
    pub fn values(&self) -> impl Iterator<Item = (AttributeId, &str)> {
        self.values
            .iter()
            .flatten()
            .map(|(attribute, text)| (*attribute, self.text(*text)))
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    fn text(&self, number: u32) -> &str {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.texts.get(number))
            .map_or("", AsRef::as_ref)
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

/// Reads the entries. No error repeats anything that occurs here alone, not even a key.
pub(super) fn read(
    list: &Items<'_, lang::Map<lang::DirectoryEntry>>,
    context: &mut Context,
) -> Directory {
    let mut builder = Builder::default();
    let mut seen: HashMap<Digest, usize> = HashMap::with_capacity(list.len());
    for (index, entry) in list.fields().enumerate() {
        let Some((digest, values)) = read_entry(entry, context) else {
            continue;
        };
        if let Some(first) = seen.insert(digest, index) {
            entry.error(Reason::Duplicate {
                value: None,
                first: list.at(first),
            });
        }
        builder.add(digest, &values);
    }
    builder.build()
}

fn read_entry<'a>(
    entry: Field<'a>,
    context: &mut Context,
) -> Option<(Digest, Vec<(AttributeId, &'a str)>)> {
    let map = entry.map::<lang::DirectoryEntry>()?;
    let digest = map.read(lang::DirectoryEntry::SHA256);
    let mut values = Vec::new();
    for (child, _) in map.rest() {
        // The value's line, but no deeper place than the entry's: the key may be a secret.
        let hidden = Field {
            node: &child.value,
            ..entry
        };
        let attribute = context.attributes.declare_held(&hidden, &child.key);
        let said = attribute.and_then(|id| context.attributes.said(id));
        values.extend(attribute.zip(entry_value(&hidden, said)));
    }
    Some((digest?, values))
}

/// `said` is the attribute's name if a message may repeat it.
fn entry_value<'a>(hidden: &Field<'a>, said: Option<&str>) -> Option<&'a str> {
    let reason = match &hidden.node.value {
        Value::String(text) if text.is_empty() => Reason::Empty,
        Value::String(text) if text.len() > lang::ATTRIBUTE_BYTES_MAX => Reason::TooLong {
            max: lang::ATTRIBUTE_BYTES_MAX,
        },
        Value::String(text) => return Some(text),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_)) => Reason::NotA {
            wanted: "a string",
            found: other.kind(),
        },
    };
    let part = InEntry::Value(said.map(str::to_owned));
    hidden.refuse(Reason::InEntry {
        part,
        reason: Box::new(reason),
    })
}

/// The SHA-256 that is written as `text`.
pub(super) fn parse_digest(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let high = char::from(*high).to_digit(16)?;
        let low = char::from(*low).to_digit(16)?;
        *byte = u8::try_from((high << 4) | low).ok()?;
    }
    Some(digest)
}

/// Collects entries.
#[derive(Default)]
struct Builder {
    directory: Directory,
    numbers: HashMap<Box<str>, u32>,
}

impl Builder {
    fn add(&mut self, digest: Digest, values: &[(AttributeId, &str)]) {
        let start = u32::try_from(self.directory.values.len()).unwrap_or(u32::MAX);
        for (attribute, text) in values {
            let number = self.number(text);
            self.directory.values.push(Some((*attribute, number)));
        }
        self.directory.values.push(None);
        self.directory.entries.push((digest, start));
    }

    fn build(mut self) -> Directory {
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
