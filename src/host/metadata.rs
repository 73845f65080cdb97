//! Metadata of filters, routes and the proxy, as the host hands it over: serialized messages of
//! Envoy, in which values are found by their path without decoding the rest.
//!
//! ```text
//!   Metadata { 1: filter name ▶ Struct }    Struct    { 1: key ▶ Value }
//!   Node     { 3: Struct }                  ListValue { 1: Value … }
//!                           Value { 2: number  3: string  4: bool  5: Struct  6: ListValue }
//! ```
//!
//! A whole message is read because a host hands over single values without their types: a number
//! is eight bytes, and so may a string be. Of duplicate keys the last counts, as in protobuf.
//! Sources: `envoy/config/core/v3/base.proto`, `google/protobuf/struct.proto`.

use std::borrow::Cow;

use super::wire::{Fields, Payload};
use crate::base::number;

/// A single value: not null, a list or malformed bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'m> {
    /// A text, as its bytes.
    Text(&'m [u8]),
    /// A number; metadata has no other than these.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// A map from keys to values.
    Struct(Struct<'m>),
}

/// A serialized `google.protobuf.Struct`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Struct<'m>(&'m [u8]);

/// The value at `path` in a serialized `envoy.config.core.v3.Metadata`: a filter's name or another
/// namespace first, then keys; into a list by an index in decimal digits.
#[must_use]
pub fn in_metadata<'m, S: AsRef<str>>(message: &'m [u8], path: &[S]) -> Option<Value<'m>> {
    let (namespace, rest) = path.split_first()?;
    Struct(entry(message, namespace.as_ref())?).at(rest)
}

/// The value at `path` in the metadata of a serialized `envoy.config.core.v3.Node`.
#[must_use]
pub fn in_node<'m, S: AsRef<str>>(message: &'m [u8], path: &[S]) -> Option<Value<'m>> {
    Struct(parts(message, 3).last()?).at(path)
}

/// The id in a serialized `envoy.config.core.v3.Node`.
#[must_use]
pub fn node_id(message: &[u8]) -> Option<Box<str>> {
    let id = parts(message, 1).last()?;
    Some(String::from_utf8_lossy(id).into())
}

impl<'m> Struct<'m> {
    /// The value at `path`; of no path, this map.
    #[must_use]
    pub fn at<S: AsRef<str>>(self, path: &[S]) -> Option<Value<'m>> {
        self.walk(&mut path.iter().map(AsRef::as_ref))
    }

    /// One copy of this is enough for all kinds of paths.
    fn walk(self, path: &mut dyn Iterator<Item = &str>) -> Option<Value<'m>> {
        let mut place = Place::Value(Value::Struct(self));
        for step in path {
            let value = match place {
                Place::Value(Value::Struct(Self(fields))) => entry(fields, step)?,
                Place::List(items) => item(items, step)?,
                Place::Value(Value::Text(_) | Value::Number(_) | Value::Boolean(_)) => return None,
            };
            place = Place::of(value)?;
        }
        match place {
            Place::Value(value) => Some(value),
            Place::List(_) => None,
        }
    }
}

impl<'m> Value<'m> {
    /// The value as an attribute's: texts as they are, whole numbers below 2^53 in plain decimal,
    /// others in the shortest text, `true` and `false`. `None` for an empty text, for a number that
    /// is not finite, and for a map.
    #[must_use]
    pub fn text(self) -> Option<Cow<'m, [u8]>> {
        match self {
            Self::Text(text) => (!text.is_empty()).then_some(Cow::Borrowed(text)),
            Self::Number(number) => {
                number::from_f64(number).map(|text| Cow::Owned(text.into_string().into_bytes()))
            }
            Self::Boolean(true) => Some(Cow::Borrowed(b"true")),
            Self::Boolean(false) => Some(Cow::Borrowed(b"false")),
            Self::Struct(_) => None,
        }
    }
}

/// The value that a walk has reached.
enum Place<'m> {
    Value(Value<'m>),
    List(&'m [u8]),
}

impl<'m> Place<'m> {
    /// The content of a serialized `google.protobuf.Value`.
    fn of(value: &'m [u8]) -> Option<Self> {
        let (number, payload) = Fields::of(value)
            .filter(|(number, _)| (1..=6).contains(number))
            .last()?;
        Some(match (number, payload) {
            (2, Payload::Fixed64(bits)) => Self::Value(Value::Number(f64::from_bits(bits))),
            (3, Payload::Bytes(text)) => Self::Value(Value::Text(text)),
            (4, Payload::Varint(value)) => Self::Value(Value::Boolean(value != 0)),
            (5, Payload::Bytes(fields)) => Self::Value(Value::Struct(Struct(fields))),
            (6, Payload::Bytes(items)) => Self::List(items),
            _ => return None,
        })
    }
}

/// The value under `key` in a message whose first field is a map.
fn entry<'m>(message: &'m [u8], key: &str) -> Option<&'m [u8]> {
    parts(message, 1)
        .filter(|entry| part(entry, 1) == key.as_bytes())
        .last()
        .map(|entry| part(entry, 2))
}

/// A part of a map's entry. One that is not there is empty.
fn part(entry: &[u8], number: u64) -> &[u8] {
    parts(entry, number).last().unwrap_or_default()
}

/// The texts or messages that are field `number` of a message.
fn parts(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    Fields::of(message).filter_map(move |field| match field {
        (found, Payload::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

/// The element of a serialized `google.protobuf.ListValue` whose index `step` is.
fn item<'m>(list: &'m [u8], step: &str) -> Option<&'m [u8]> {
    let digits =
        step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    let index = step.parse().ok().filter(|_| digits)?;
    parts(list, 1).nth(index)
}

#[cfg(test)]
mod tests;
