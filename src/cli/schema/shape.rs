//! Rules between fields, which a type cannot express.

use std::collections::BTreeMap;

use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform, transform_subschemas};
use serde_json::{Map, Value, json};

/// Exactly one of these keys is required.
pub(super) fn exactly_one(keys: &[&str]) -> impl FnMut(&mut Schema) {
    let one: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "required": [key] }))
        .collect();
    move |schema| all_of(schema, json!({ "oneOf": one }))
}

/// At least one of these keys is required.
pub(super) fn at_least_one(keys: &[&str]) -> impl FnMut(&mut Schema) {
    let any: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "required": [key] }))
        .collect();
    move |schema| all_of(schema, json!({ "anyOf": any }))
}

/// `key` requires `other`.
///
/// `dependentRequired` means the same, but editors that only know draft 7 ignore it.
pub(super) fn requires(key: &str, other: &str) -> impl FnMut(&mut Schema) {
    if_then(json!({ "required": [key] }), json!({ "required": [other] }))
}

/// `key` and `other` exclude each other.
pub(super) fn excludes(key: &str, other: &str) -> impl FnMut(&mut Schema) {
    let rule = json!({ "not": { "required": [key, other] } });
    move |schema| all_of(schema, rule.clone())
}

/// If `case` holds, `rule` must hold.
pub(super) fn if_then(case: Value, rule: Value) -> impl FnMut(&mut Schema) {
    let rule = json!({ "if": case, "then": rule });
    move |schema| all_of(schema, rule.clone())
}

/// Adds a rule for the same value.
fn all_of(schema: &mut Schema, rule: Value) {
    if let Value::Array(rules) = schema
        .ensure_object()
        .entry("allOf")
        .or_insert_with(|| json!([]))
    {
        rules.push(rule);
    }
}

/// Adapts the output of `schemars` to the language: no value may be null, no number has a machine's
/// width, line breaks of comments are not part of their text, and the texts for people come first.
#[derive(Clone, Debug)]
pub(super) struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        not_null(schema);
        take(schema, "format");
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = unwrapped(text);
        }
        move_first(&["$schema", "title", "description", "$ref"], schema);
        transform_subschemas(self, schema);
    }
}

/// Adds the description of the value's type to the description of a key, if the type is a string
/// with a format of its own: editors show only the nearer description.
pub(super) fn describe_formats(schema: &mut Schema) {
    let mut formats = BTreeMap::new();
    for (name, kind) in schema
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let (Some("string"), Some(Value::String(text))) = (
            kind.get("type").and_then(Value::as_str),
            kind.get("description"),
        ) {
            formats.insert(format!("#/$defs/{name}"), text.clone());
        }
    }
    RecursiveTransform(|schema: &mut Schema| {
        let format = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|name| formats.get(name));
        if let (Some(format), Some(Value::String(text))) = (format, schema.get_mut("description")) {
            *text = format!("{text}\n\n{format}");
        }
    })
    .transform(schema);
}

fn move_first(keys: &[&str], schema: &mut Schema) {
    let first = keys
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), take(schema, key)?)));
    let mut ordered: Map<String, Value> = first.collect();
    if let Some(rest) = schema.as_object_mut() {
        ordered.append(rest);
        *rest = ordered;
    }
}

/// An `Option` is a key that may be omitted, not one that may be null.
fn not_null(schema: &mut Schema) {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else {
        return;
    };
    let before = choices.len();
    choices.retain(|choice| *choice != json!({ "type": "null" }));
    if let ([Value::Object(one)], true) = (choices.as_slice(), choices.len() < before) {
        let one = one.clone();
        take(schema, "anyOf");
        for (key, value) in one {
            schema.ensure_object().entry(key).or_insert(value);
        }
    }
}

/// Removes a key, and keeps the order of the others.
fn take(schema: &mut Schema, key: &str) -> Option<Value> {
    schema.as_object_mut()?.shift_remove(key)
}

/// The paragraphs of a comment, each on one line.
fn unwrapped(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.lines().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
