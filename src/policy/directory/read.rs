//! Reads entries as a policy lists them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::builder::Builder;
use super::{Context, Digest, Directory, short};
use crate::base::time::Timestamp;
use crate::policy::attributes::AttributeId;
use crate::policy::document::Value;
use crate::policy::error::{InEntry, Reason};
use crate::policy::language as lang;
use crate::policy::reader::{Field, Items};

/// An entry as it is read.
struct ReadEntry<'a> {
    digest: Digest,
    until: Option<Timestamp>,
    values: Vec<(AttributeId, &'a str)>,
}

/// Reads the entries. No error repeats anything that occurs here alone, not even a key.
pub(in crate::policy) fn read(
    list: &Items<'_, lang::Map<lang::DirectoryEntry>>,
    context: &mut Context,
) -> Directory {
    let mut builder = Builder::default();
    let mut seen = HashMap::with_capacity(list.len());
    for (index, field) in list.fields().enumerate() {
        let Some(entry) = read_entry(field, context) else {
            continue;
        };
        let digest = short(&entry.digest);
        match seen.entry(digest) {
            Entry::Occupied(first) => field.error(Reason::Duplicate {
                value: None,
                first: list.at(*first.get()),
            }),
            Entry::Vacant(place) => {
                place.insert(index);
                builder.add(digest, entry.until, &entry.values);
            }
        }
    }
    builder.build(|id| context.attributes.name(id))
}

fn read_entry<'a>(entry: Field<'a>, context: &mut Context) -> Option<ReadEntry<'a>> {
    let map = entry.map::<lang::DirectoryEntry>()?;
    let digest = map.read(lang::DirectoryEntry::SHA256);
    let until = map.read(lang::DirectoryEntry::UNTIL);
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
    Some(ReadEntry {
        digest: digest?,
        until: until?,
        values,
    })
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
pub(in crate::policy) fn parse_digest(text: &str) -> Option<Digest> {
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
