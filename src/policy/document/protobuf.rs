//! A serialized `google.protobuf.Struct` to a tree: how Envoy hands over a `Struct` configuration.
//!
//! Source: `google/protobuf/struct.proto`; that a `Struct` arrives as its wire format, not as JSON,
//! is measured on Envoy 1.40. On the wire the last of two equal keys counts, as protobuf has it for
//! every map field, and the order of keys is undefined: here it is alphabetical.

use super::bounds::{Budget, check_depth};
use super::{Entry, Node, Rule, SyntaxError, Value, from_decimal};
use crate::base::number;
use crate::base::pointer::Pointer;
use prost::Message as _;
use prost_types::value::Kind;

/// Reads the wire format of a `google.protobuf.Struct`; no bytes are an empty one.
///
/// # Errors
/// Bytes that are not a `Struct`, a number that is not finite, a value without a kind, or a bound.
/// None has a line; those within a well-formed `Struct` have a pointer.
pub fn from_struct(bytes: &[u8]) -> Result<Node, SyntaxError> {
    let mut budget = Budget::of(bytes.len()).map_err(|rule| rule.at_position(0, 0))?;
    // prost stops at 100 messages inside one another, three for each map: not before `DEPTH_MAX`.
    let decoded =
        prost_types::Struct::decode(bytes).map_err(|_| Rule::NotStruct.at_position(0, 0))?;
    map(decoded, &Pointer::ROOT, &mut budget)
}

fn map(
    map: prost_types::Struct,
    at: &Pointer<'_>,
    budget: &mut Budget,
) -> Result<Node, SyntaxError> {
    enter(at, budget)?;
    let mut entries = Vec::with_capacity(map.fields.len());
    for (key, field) in map.fields {
        let value = value(field, &at.key(&key), budget)?;
        entries.push(Entry {
            key: key.into_boxed_str(),
            line: 0,
            value,
        });
    }
    Ok(Node::new(Value::Map(entries), 0))
}

fn list(
    list: prost_types::ListValue,
    at: &Pointer<'_>,
    budget: &mut Budget,
) -> Result<Node, SyntaxError> {
    enter(at, budget)?;
    let mut items = Vec::with_capacity(list.values.len().min(super::NODES_MAX));
    for (index, item) in list.values.into_iter().enumerate() {
        items.push(value(item, &at.index(index), budget)?);
    }
    Ok(Node::new(Value::List(items), 0))
}

fn value(
    value: prost_types::Value,
    at: &Pointer<'_>,
    budget: &mut Budget,
) -> Result<Node, SyntaxError> {
    let mut was_number = false;
    let value = match value.kind {
        Some(Kind::StructValue(fields)) => return map(fields, at, budget),
        Some(Kind::ListValue(items)) => return list(items, at, budget),
        Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(Kind::StringValue(text)) => {
            was_number = was_a_number(&text);
            Value::String(text.into_boxed_str())
        }
        Some(Kind::NumberValue(number)) => {
            Value::Number(number::from_f64(number).ok_or_else(|| Rule::NumberNotFinite.at(at, 0))?)
        }
        // struct.proto: "Absence of any variant indicates an error."
        None => return Err(Rule::ValueWithoutKind.at(at, 0)),
    };
    budget.take(1, 0).map_err(|rule| rule.at(at, 0))?;
    Ok(Node {
        was_number,
        ..Node::new(value, 0)
    })
}

/// Whether Envoy's YAML reader, or a text in quotes, may have given this text: it leaves nothing
/// but integers of 32 bits as numbers (measured on Envoy 1.40).
fn was_a_number(text: &str) -> bool {
    text.parse::<i32>().is_err() && from_decimal(text).is_some()
}

fn enter(at: &Pointer<'_>, budget: &mut Budget) -> Result<(), SyntaxError> {
    check_depth(at, 1)
        .and_then(|()| budget.take(1, 0))
        .map_err(|rule| rule.at(at, 0))
}
