//! Compares the keys, words, numbers and defaults of the schema with those of the readers: makes
//! each value of a valid policy wrong in turn, and compares what the reader would accept there with
//! the schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sluicegate::policy::Policy;
use sluicegate::policy::document::from_json;
use sluicegate::policy::error::Reason;

use super::{errors, schema, valid_policies};

/// A key or a word that no policy has.
const UNKNOWN: &str = "zzz-unknown";

/// Names that no schema can list.
const NAMED_IN_THE_DOCUMENT: [&str; 3] = ["a tier", "a credential", "a credential before this one"];

/// One place of a document: its pointer, and the schemas that apply to its value.
pub(super) struct Place<'s> {
    pub(super) at: String,
    pub(super) schemas: Vec<&'s Map<String, Value>>,
}

impl<'s> Place<'s> {
    /// The known keys of this map.
    fn keys(&self) -> BTreeSet<&'s str> {
        let properties = self
            .schemas
            .iter()
            .filter_map(|schema| schema.get("properties")?.as_object());
        properties
            .flat_map(|properties| properties.keys())
            .map(String::as_str)
            .collect()
    }

    /// Whether other keys are allowed, too.
    fn is_open(&self) -> bool {
        let additional: Vec<_> = self
            .schemas
            .iter()
            .filter_map(|schema| schema.get("additionalProperties"))
            .collect();
        assert_eq!(
            additional.len(),
            1,
            "{}: one schema says whether there are other keys",
            self.at
        );
        *additional[0] != json!(false)
    }

    /// The words of this choice.
    fn words(&self) -> BTreeSet<&'s str> {
        self.schemas
            .iter()
            .filter_map(|schema| schema.get("const")?.as_str())
            .collect()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.schemas
            .iter()
            .find_map(|schema| schema.get(key).or_else(|| schema.get("const"))?.as_u64())
    }
}

/// All places of `document`, which the schema accepts.
pub(super) fn places<'s>(root: &'s Value, document: &Value) -> Vec<Place<'s>> {
    let mut places = Vec::new();
    walk(
        root,
        applicable(root, root, document, false),
        document,
        String::new(),
        &mut places,
    );
    places
}

fn walk<'s>(
    root: &'s Value,
    schemas: Vec<&'s Map<String, Value>>,
    value: &Value,
    at: String,
    places: &mut Vec<Place<'s>>,
) {
    let below = |step: &str, child: &Value, places: &mut Vec<Place<'s>>| {
        let next = schemas.iter().filter_map(|schema| {
            if value.is_array() {
                return schema.get("items");
            }
            let named = schema
                .get("properties")
                .and_then(|properties| properties.get(step));
            named.or_else(|| schema.get("additionalProperties"))
        });
        let next = next
            .flat_map(|schema| applicable(root, schema, child, false))
            .collect();
        let step = step.replace('~', "~0").replace('/', "~1");
        walk(root, next, child, format!("{at}/{step}"), places);
    };
    match value {
        Value::Object(entries) => {
            for (key, child) in entries {
                below(key, child, places);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                below(&index.to_string(), child, places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    places.push(Place { at, schemas });
}

/// `schema` and all that it implies: its references, the rules that the keys of `value` trigger,
/// and those of its choices that match. All choices between single words, so that they can be
/// listed.
fn applicable<'s>(
    root: &'s Value,
    schema: &'s Value,
    value: &Value,
    chosen: bool,
) -> Vec<&'s Map<String, Value>> {
    let Some(map) = schema.as_object() else {
        return Vec::new();
    };
    let kind = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("unexpected kind of value: {other}"),
    };
    let has = |schema: &Value| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_none_or(|keys| {
            keys.iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some())
        })
    };
    if chosen && !(map.get("type").is_none_or(kind) && has(schema)) {
        return Vec::new();
    }
    let mut all = vec![map];
    if let Some(name) = map.get("$ref") {
        let target = root
            .pointer(name.as_str().unwrap().strip_prefix('#').unwrap())
            .unwrap();
        all.extend(applicable(root, target, value, chosen));
    }
    for rule in map
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if rule.get("if").is_some_and(has) {
            all.extend(applicable(root, &rule["then"], value, chosen));
        }
    }
    let choices = ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| map.get(key)?.as_array())
        .flatten();
    all.extend(choices.flat_map(|choice| applicable(root, choice, value, true)));
    all
}

/// `document` with another value at one place.
pub(super) fn with(document: &Value, at: &str, value: Value) -> Value {
    let mut changed = document.clone();
    *changed.pointer_mut(at).unwrap() = value;
    changed
}

/// The reason of the error at one place.
fn reason(document: &Value, at: &str) -> Option<Reason> {
    errors(document)
        .into_iter()
        .find(|error| error.at == at)
        .map(|error| error.reason)
}

#[test]
fn every_map_has_the_keys_that_its_reader_knows() {
    let root = schema();
    let mut compared = BTreeSet::new();
    for (name, document) in valid_policies() {
        for place in places(&root, &document) {
            let Some(Value::Object(map)) = document.pointer(&place.at) else {
                continue;
            };
            let mut longer = map.clone();
            longer.insert(UNKNOWN.to_owned(), json!("x"));
            let errors = reason(
                &with(&document, &place.at, longer.into()),
                &format!("{}/{UNKNOWN}", place.at),
            );
            match errors {
                Some(Reason::UnknownKey { known, .. }) => {
                    assert_eq!(
                        place.keys(),
                        known.into_iter().collect(),
                        "{name}: {}: the keys",
                        place.at
                    );
                    assert!(
                        !place.is_open(),
                        "{name}: {}: other keys must be refused",
                        place.at
                    );
                }
                _ => assert!(
                    place.is_open(),
                    "{name}: {}: other keys must be allowed",
                    place.at
                ),
            }
            compared.extend(
                place
                    .schemas
                    .iter()
                    .filter(|schema| schema.contains_key("additionalProperties"))
                    .map(|schema| std::ptr::from_ref::<Map<String, Value>>(schema)),
            );
        }
    }
    let mut maps: Vec<(&str, &Value)> = vec![("/", &root)];
    maps.extend(
        root["$defs"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, schema)| (&**name, schema)),
    );
    for (name, schema) in maps.iter().filter(|(_, schema)| schema["type"] == "object") {
        let compared = compared.contains(&std::ptr::from_ref(schema.as_object().unwrap()));
        assert!(
            compared,
            "no valid policy has a {name}: add one to tests/policies/ok_everything.yaml"
        );
    }
}

#[test]
fn every_choice_has_the_words_that_its_reader_knows() {
    let root = schema();
    let mut compared = 0;
    for (name, document) in valid_policies() {
        for place in places(&root, &document) {
            if !document.pointer(&place.at).is_some_and(Value::is_string) {
                continue;
            }
            let words = match reason(&with(&document, &place.at, json!(UNKNOWN)), &place.at) {
                Some(Reason::NotOneOf { kind, .. }) if NAMED_IN_THE_DOCUMENT.contains(&kind) => {
                    BTreeSet::new()
                }
                Some(Reason::NotOneOf { choices, .. }) => choices.into_iter().collect(),
                _ => BTreeSet::new(),
            };
            let stated: BTreeSet<String> = place.words().into_iter().map(str::to_owned).collect();
            assert_eq!(stated, words, "{name}: {}", place.at);
            compared += usize::from(!words.is_empty());
        }
    }
    assert!(compared > 50, "only {compared} choices");
}

#[test]
fn every_number_has_the_range_that_its_reader_has() {
    let root = schema();
    let mut compared = 0;
    for (name, document) in valid_policies() {
        for place in places(&root, &document) {
            if !document.pointer(&place.at).is_some_and(Value::is_number) {
                continue;
            }
            let stated = [place.number("minimum"), place.number("maximum")];
            let Some(Reason::OutOfRange { min, max, .. }) =
                reason(&with(&document, &place.at, json!(u64::MAX)), &place.at)
            else {
                panic!("{name}: {}: any number is allowed here", place.at)
            };
            // A constant has no range.
            let stated = if place
                .schemas
                .iter()
                .any(|schema| schema.contains_key("const"))
            {
                [Some(max); 2]
            } else {
                stated
            };
            assert_eq!(stated, [Some(min), Some(max)], "{name}: {}", place.at);
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} numbers");
}

/// A policy with a place for each default. It has no overrides, whose order would be arbitrary.
const LEAST: &str = r#"{
    "version": 1, "name": "least",
    "callers": { "credentials": [{ "name": "key", "header": "x-key" }], "directory": [],
        "attributes": { "place": [{ "client_address": {} }] } },
    "limits": [{ "name": "all", "per": [], "calendar": { "quota": 1, "window": "1d" } }],
    "concurrency": [{ "name": "pool", "per": [], "slots": 1 }],
    "seats": [{ "name": "seats", "per": [], "holder": "key", "seats": 1, "idle": "1s" }],
    "payloads": [{ "json": { "members": 1, "objects": { "where": { "type": "a" }, "count": 1 } } }],
    "replies": { "fields": { "family": "both" } },
    "store": {}
}"#;

#[test]
fn every_default_is_that_of_the_reader() {
    let root = schema();
    let document: Value = serde_json::from_str(LEAST).unwrap();
    let compiled = |document: &Value| {
        let policy = Policy::compile(&from_json(document.to_string().as_bytes()).unwrap());
        format!(
            "{:?}",
            policy.unwrap_or_else(|errors| panic!("{errors:#?}\n{document:#}"))
        )
    };
    let mut compared = BTreeMap::new();
    for place in places(&root, &document) {
        let properties = place
            .schemas
            .iter()
            .filter_map(|schema| schema.get("properties")?.as_object())
            .flatten();
        for (key, default) in
            properties.filter_map(|(key, schema)| Some((key, schema.get("default")?)))
        {
            let mut longer = document
                .pointer(&place.at)
                .unwrap()
                .as_object()
                .unwrap()
                .clone();
            assert_eq!(
                longer.insert(key.clone(), default.clone()),
                None,
                "{}/{key}: it must be absent",
                place.at
            );
            let longer = with(&document, &place.at, longer.into());
            assert_eq!(
                compiled(&longer),
                compiled(&document),
                "{}/{key}: {default}",
                place.at
            );
            compared.insert(format!("{}/{key}", place.at), default);
        }
    }
    let stated = root.to_string().matches("\"default\":").count();
    assert_eq!(
        compared.len(),
        stated,
        "a default of the schema has no place in {LEAST}: {compared:#?}"
    );
}
