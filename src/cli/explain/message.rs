//! Converts metadata of filters and configurations from JSON to the messages in which Envoy hands
//! it over.

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Proto};

use crate::policy::document::{Entry, Node, Value, from_json};

/// A serialized `envoy.config.core.v3.Metadata`, from an object of objects.
pub(super) fn metadata(json: &str) -> Result<Vec<u8>, String> {
    let document = from_json(json.as_bytes()).map_err(|error| error.to_string())?;
    let mut message = Vec::new();
    for namespace in object(&document)? {
        let values = object(&namespace.value).map_err(|why| format!("{}: {why}", namespace.key))?;
        let entry = [
            field(1, namespace.key.as_bytes()),
            field(2, &as_struct(values).encode_to_vec()),
        ]
        .concat();
        message.extend(field(1, &entry));
    }
    Ok(message)
}

/// A serialized `envoy.config.core.v3.Node` with this metadata, from an object.
pub(super) fn node(json: &str) -> Result<Vec<u8>, String> {
    let document = from_json(json.as_bytes()).map_err(|error| error.to_string())?;
    Ok(field(3, &as_struct(object(&document)?).encode_to_vec()))
}

fn object(node: &Node) -> Result<&[Entry], String> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::List(_)) => Err(format!("expected a JSON object, found {}", other.kind())),
    }
}

/// A field of a message that holds bytes, a text or a message.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), &mut field);
    field.extend_from_slice(bytes);
    field
}

fn as_struct(entries: &[Entry]) -> Struct {
    Struct {
        fields: entries
            .iter()
            .map(|entry| (entry.key.to_string(), as_value(&entry.value)))
            .collect(),
    }
}

fn as_value(node: &Node) -> Proto {
    let kind = match &node.value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(*truth),
        // A document's numbers are finite, and metadata has no others than these.
        Value::Number(text) => Kind::NumberValue(text.parse().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.to_string()),
        Value::List(items) => Kind::ListValue(ListValue {
            values: items.iter().map(as_value).collect(),
        }),
        Value::Map(entries) => Kind::StructValue(as_struct(entries)),
    };
    Proto { kind: Some(kind) }
}
