//! JSON to a tree, and back.

use super::bounds::{Budget, check_depth, repeated};
use super::{Entry, Node, Rule, SyntaxError, Value};
use crate::base::number;
use crate::base::pointer::Pointer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads a JSON text, of any kind of value. The tree has no lines; a byte order mark before it is
/// ignored.
///
/// Integers are exact. A fraction of more than 15 digits is read to its last digit but one, unless
/// `serde_json` is built with `float_roundtrip`; nothing in a policy needs one.
///
/// # Errors
/// The first error. An error in the text has a line and a column, an error in the tree (a duplicate
/// key, a bound) has a pointer.
pub fn from_json(text: &[u8]) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(text);
    let budget = Budget::of(text.len()).map_err(|rule| rule.at_position(0, 0))?;
    if text.trim_ascii().is_empty() {
        return Err(Rule::EmptyDocument.at_position(0, 0));
    }
    let mut reader = Reader {
        budget,
        error: None,
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = Place {
        at: &Pointer::ROOT,
        reader: &mut reader,
    }
    .deserialize(&mut json);
    let read = read.and_then(|node| json.end().map(|()| node));
    // serde's errors carry nothing but text, so an error of ours is kept next to them.
    read.map_err(|error| reader.error.take().unwrap_or_else(|| syntax_error(&error)))
}

struct Reader {
    budget: Budget,
    error: Option<SyntaxError>,
}

/// The place of the next value.
struct Place<'a> {
    at: &'a Pointer<'a>,
    reader: &'a mut Reader,
}

impl Place<'_> {
    fn check<E: Error>(&mut self, checked: Result<(), Rule>) -> Result<(), E> {
        checked.map_err(|rule| self.refuse(rule, self.at))
    }

    /// Notes the error, and stops serde.
    fn refuse<E: Error>(&mut self, rule: Rule, at: &Pointer<'_>) -> E {
        self.reader.error = Some(rule.at(at, 0));
        E::custom("")
    }

    fn node<E: Error>(mut self, value: Value) -> Result<Node, E> {
        let taken = self.reader.budget.take(1, 0);
        self.check(taken)?;
        Ok(Node::new(value, 0))
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.node(Value::Number(value.to_string().into_boxed_str()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Number(value.to_string().into_boxed_str()))
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Node, E> {
        match number::from_f64(value) {
            Some(text) => self.node(Value::Number(text)),
            None => Err(self.refuse(Rule::NumberTooLarge, self.at)),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.node(Value::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut json: A) -> Result<Node, A::Error> {
        self.check(check_depth(self.at, 1))?;
        let mut items = Vec::new();
        loop {
            let at = self.at.index(items.len());
            let Some(item) = json.next_element_seed(Place {
                at: &at,
                reader: &mut *self.reader,
            })?
            else {
                break;
            };
            items.push(item);
        }
        items.shrink_to_fit();
        self.node(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut json: A) -> Result<Node, A::Error> {
        self.check(check_depth(self.at, 1))?;
        let mut entries = Vec::new();
        while let Some(key) = json.next_key::<Box<str>>()? {
            let at = self.at.key(&key);
            let value = json.next_value_seed(Place {
                at: &at,
                reader: &mut *self.reader,
            })?;
            entries.push(Entry {
                key,
                line: 0,
                value,
            });
        }
        if let Some(entry) = repeated(&entries) {
            return Err(self.refuse(Rule::RepeatedKey, &self.at.key(&entry.key)));
        }
        entries.shrink_to_fit();
        self.node(Value::Map(entries))
    }
}

/// serde_json's error in our words. It names its kinds only by their (constant) texts; one that is
/// not in this table loses its words, never its place.
fn syntax_error(error: &serde_json::Error) -> SyntaxError {
    const RULES: [(&str, Rule); 14] = [
        ("EOF ", Rule::EarlyEnd),
        ("trailing characters", Rule::TrailingText),
        ("trailing comma", Rule::TrailingComma),
        ("expected `,` or", Rule::MissingComma),
        ("expected `:`", Rule::MissingColon),
        ("key must be a string", Rule::KeyNotString),
        ("number out of range", Rule::NumberTooLarge),
        ("invalid unicode code point", Rule::NotUnicode),
        ("lone leading surrogate", Rule::NotUnicode),
        ("unexpected end of hex escape", Rule::NotUnicode),
        ("control character", Rule::ControlCharacter),
        ("invalid escape", Rule::UnknownEscape),
        ("recursion limit", Rule::TooDeep),
        ("", Rule::NotJson),
    ];
    let message = error.to_string();
    let rule = RULES
        .iter()
        .find(|(start, _)| message.starts_with(start))
        .map_or(Rule::NotJson, |(_, rule)| *rule);
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    rule.at_position(small(error.line()), small(error.column()))
}

/// Appends the tree as compact JSON.
pub(super) fn write(node: &Node, text: &mut String) {
    match &node.value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => text.push_str(number),
        Value::String(string) => write_string(string, text),
        Value::List(items) => {
            text.push('[');
            write_each(items, text, write);
            text.push(']');
        }
        Value::Map(entries) => {
            text.push('{');
            write_each(entries, text, |entry, text| {
                write_string(&entry.key, text);
                text.push(':');
                write(&entry.value, text);
            });
            text.push('}');
        }
    }
}

fn write_each<T>(items: &[T], text: &mut String, write: impl Fn(&T, &mut String)) {
    for (rank, item) in items.iter().enumerate() {
        if rank > 0 {
            text.push(',');
        }
        write(item, text);
    }
}

/// Appends a text in quotes.
pub(in crate::policy) fn write_string(string: &str, text: &mut String) {
    text.push_str(&serde_json::Value::from(string).to_string());
}
