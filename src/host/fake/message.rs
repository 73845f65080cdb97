//! Envoy's messages about requests, serialized as the host hands them over.

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Value as Json;

/// A field of a message that holds bytes, a text or a message.
pub(crate) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// A serialized `Metadata`, from `{ namespace: { key: value } }`.
pub(crate) fn metadata(namespaces: &Json) -> Vec<u8> {
    let entry = |(name, values): (&String, &Json)| {
        field(
            1,
            &[
                field(1, name.as_bytes()),
                field(2, &as_struct(values).encode_to_vec()),
            ]
            .concat(),
        )
    };
    namespaces
        .as_object()
        .unwrap()
        .iter()
        .map(entry)
        .collect::<Vec<_>>()
        .concat()
}

/// A serialized `Node` with this metadata.
pub(crate) fn node(metadata: &Json) -> Vec<u8> {
    [
        field(1, b"id"),
        field(2, b"cluster"),
        field(3, &as_struct(metadata).encode_to_vec()),
    ]
    .concat()
}

pub(crate) fn as_struct(map: &Json) -> Struct {
    let fields = map.as_object().unwrap().iter();
    Struct {
        fields: fields
            .map(|(key, value)| (key.clone(), as_value(value)))
            .collect(),
    }
}

fn as_value(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(as_value).collect(),
        }),
        Json::Object(_) => Kind::StructValue(as_struct(value)),
    };
    Value { kind: Some(kind) }
}
