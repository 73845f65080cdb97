#![allow(clippy::arithmetic_side_effects, reason = "test code")]

//! The three forms against one another, and against documents that mean harm.

mod broken;
mod forms;
mod hostile;

use super::*;

/// The tree with its lines, a map's as `key@line: value`, to compare with.
fn lined(node: &Node) -> String {
    let value = match &node.value {
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(lined).collect::<Vec<_>>().join(" ")
        ),
        Value::Map(entries) => {
            let entry =
                |entry: &Entry| format!("{}@{}:{}", entry.key, entry.line, lined(&entry.value));
            format!(
                "{{{}}}",
                entries.iter().map(entry).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => node.to_json(),
    };
    format!("{value}@{}", node.line)
}

fn yaml(text: &str) -> String {
    from_yaml(text).map_or_else(|error| error.to_string(), |node| node.to_json())
}

fn json(text: impl AsRef<[u8]>) -> String {
    from_json(text.as_ref()).map_or_else(|error| error.to_string(), |node| node.to_json())
}

/// Every key of every map in the alphabet's order, and no lines.
fn sorted(mut node: Node) -> Node {
    node.line = 0;
    match &mut node.value {
        Value::List(items) => *items = std::mem::take(items).into_iter().map(sorted).collect(),
        Value::Map(entries) => {
            *entries = std::mem::take(entries)
                .into_iter()
                .map(|entry| Entry {
                    line: 0,
                    value: sorted(entry.value),
                    ..entry
                })
                .collect();
            entries.sort_by(|one, other| one.key.cmp(&other.key));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    node
}

/// The same tree as a `google.protobuf.Value`.
fn protobuf(node: &Node) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match &node.value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(*truth),
        Value::Number(text) => Kind::NumberValue(text.parse().unwrap()),
        Value::String(text) => Kind::StringValue(text.to_string()),
        Value::List(items) => Kind::ListValue(prost_types::ListValue {
            values: items.iter().map(protobuf).collect(),
        }),
        Value::Map(_) => Kind::StructValue(fields(node)),
    };
    prost_types::Value { kind: Some(kind) }
}

fn fields(node: &Node) -> prost_types::Struct {
    let Value::Map(entries) = &node.value else {
        panic!("only a map is a Struct")
    };
    let fields = entries
        .iter()
        .map(|entry| (entry.key.to_string(), protobuf(&entry.value)))
        .collect();
    prost_types::Struct { fields }
}
