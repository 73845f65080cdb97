//! What a type cannot say of its fields: which of them go together.

use std::collections::BTreeMap;

use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform, transform_subschemas};
use serde_json::{Map, Value, json};

/// Of these keys there is exactly one.
pub(super) fn exactly_one(keys: &[&str]) -> impl FnMut(&mut Schema) {
    let one: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    move |schema| all_of(schema, json!({ "oneOf": one }))
}

/// Of these keys there is at least one.
pub(super) fn at_least_one(keys: &[&str]) -> impl FnMut(&mut Schema) {
    let any: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    move |schema| all_of(schema, json!({ "anyOf": any }))
}

/// `key` has a meaning only beside `other`.
///
/// `dependentRequired` says the same, and editors that know no later draft than 7 pass it over.
pub(super) fn only_beside(key: &str, other: &str) -> impl FnMut(&mut Schema) {
    where_then(json!({ "required": [key] }), json!({ "required": [other] }))
}

/// `key` and `other` never stand together.
pub(super) fn never_beside(key: &str, other: &str) -> impl FnMut(&mut Schema) {
    let rule = json!({ "not": { "required": [key, other] } });
    move |schema| all_of(schema, rule.clone())
}

/// Where `case` holds, `rule` does.
pub(super) fn where_then(case: Value, rule: Value) -> impl FnMut(&mut Schema) {
    let rule = json!({ "if": case, "then": rule });
    move |schema| all_of(schema, rule.clone())
}

/// One more rule for the same value.
fn all_of(schema: &mut Schema, rule: Value) {
    if let Value::Array(rules) = schema.ensure_object().entry("allOf").or_insert_with(|| json!([])) {
        rules.push(rule);
    }
}

/// Makes of what `schemars` writes what the language says: nothing is ever null, no number has a
/// machine's width, a comment's line breaks are not the text's, and words for people come first.
#[derive(Clone, Debug)]
pub(super) struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        not_null(schema);
        take(schema, "format");
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = joined(text);
        }
        put_first(&["$schema", "title", "description", "$ref"], schema);
        transform_subschemas(self, schema);
    }
}

/// Tells of a key also what its kind of value is, where that is a word with a form of its own: an editor
/// shows the nearer text alone.
pub(super) fn tell_forms(schema: &mut Schema) {
    let is_word = |(_, kind): &(&String, &Value)| kind.get("type").is_some_and(|kind| kind == "string");
    let told = |(name, kind): (&String, &Value)| Some((format!("#/$defs/{name}"), kind.get("description")?.clone()));
    let words = schema.get("$defs").and_then(Value::as_object).into_iter().flatten().filter(is_word);
    let words: BTreeMap<String, Value> = words.filter_map(told).collect();
    RecursiveTransform(|schema: &mut Schema| {
        let form = schema.get("$ref").and_then(Value::as_str).and_then(|name| words.get(name)).and_then(Value::as_str);
        if let (Some(form), Some(Value::String(text))) = (form.map(str::to_owned), schema.get_mut("description")) {
            *text = format!("{text}\n\n{form}");
        }
    })
    .transform(schema);
}

fn put_first(keys: &[&str], schema: &mut Schema) {
    let first = keys.iter().filter_map(|key| Some(((*key).to_owned(), take(schema, key)?)));
    let mut ordered: Map<String, Value> = first.collect();
    if let Some(rest) = schema.as_object_mut() {
        ordered.append(rest);
        *rest = ordered;
    }
}

/// An `Option` is a key that may be left out, not one that may be null.
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
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
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

/// Takes a key out, and leaves the others in their order.
fn take(schema: &mut Schema, key: &str) -> Option<Value> {
    schema.as_object_mut()?.shift_remove(key)
}

/// The paragraphs of a comment, each on one line.
fn joined(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.lines().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
