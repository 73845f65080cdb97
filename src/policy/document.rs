//! A policy's document: one tree, whichever of its three forms it arrives in.
//!
//! ```text
//! YAML, JSON ─ from_yaml ──────────────────────────┐                   (command line)
//!                                                  ├─▶ Node ─ to_json ─▶ filter configuration
//! configuration ─ from_configuration ─┬ from_json ─┤                   (filter)
//!                                     └ from_struct┘
//! ```
//!
//! The same document gives the same tree in every form, the lines apart, which only YAML has: `60`,
//! `60.0` and the `f64` of a `Struct` are all the number `60`. (The order of a map's keys is the
//! document's own, in a `Struct` the alphabet's.) A tree is bounded ([`DEPTH_MAX`], [`NODES_MAX`])
//! and no map in it has a key twice. No error repeats any text of the document, which may hold
//! secrets, except map keys in a pointer, and none of those under `/callers/directory`.

mod bounds;
mod configuration;
mod error;
mod json;
mod number;
mod protobuf;
#[cfg(not(target_arch = "wasm32"))]
mod yaml;

use std::fmt;

pub use bounds::{COPIES_MAX, DEPTH_MAX, DOCUMENT_BYTES_MAX, NODES_MAX};
pub use configuration::from_configuration;
pub use error::{Rule, SyntaxError, mentionable};
pub use json::from_json;
pub(super) use json::write_string;
pub(super) use number::from_decimal;
pub use protobuf::from_struct;
#[cfg(not(target_arch = "wasm32"))]
pub use yaml::from_yaml;

/// Only a hint that the text is UTF-8: ignored.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A value and the line it begins on.
#[derive(Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// From 1; 0 if the form has no lines. The content of an alias keeps the anchor's lines.
    pub line: u32,
    /// Whether a text may have been a number: in a `Struct`, since Envoy's YAML reader makes texts
    /// of all numbers but integers of 32 bits.
    pub was_number: bool,
}

/// The same value on the same line: its original form does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (&self.value, self.line) == (&other.value, other.line)
    }
}

impl Eq for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("value", &self.value)
            .field("line", &self.line)
            .finish()
    }
}

/// A value that a document can contain.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`, `~`, or nothing after the colon.
    Null,
    /// `true` or `false`; never `yes` or `on`, which are strings.
    Bool(bool),
    /// In JSON's notation, and the same in every form: an integer that is exact (all of `i64` and
    /// `u64`, from a `Struct` those below 2^53) in plain decimal, any other the shortest text that
    /// reads as the same `f64`, with a point or an exponent. Finite.
    Number(Box<str>),
    /// Any text.
    String(Box<str>),
    /// Values in order.
    List(Vec<Node>),
    /// Keys with their values, without duplicates.
    Map(Vec<Entry>),
}

impl Value {
    /// The value under this key of a map; `None` for another kind of value.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => {
                let mut entries = entries.iter();
                entries
                    .find(|entry| &*entry.key == key)
                    .map(|entry| &entry.value.value)
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::List(_) => None,
        }
    }
}

/// A key of a map with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Any text.
    pub key: Box<str>,
    /// The key's line, from 1; 0 if the form has no lines.
    pub line: u32,
    /// The value of the key.
    pub value: Node,
}

impl Node {
    /// A value of a document that distinguishes numbers from texts.
    #[must_use]
    pub const fn new(value: Value, line: u32) -> Self {
        Self {
            value,
            line,
            was_number: false,
        }
    }

    /// The tree as compact JSON, from which [`from_json`] reads the same tree again, without lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        json::write(self, &mut text);
        text
    }
}

impl Value {
    /// The kind of this value, for a message: `a list`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl fmt::Debug for Value {
    /// Only the kind: the value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for Entry {
    /// Without the key, which in a directory may be a secret too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("line", &self.line)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
