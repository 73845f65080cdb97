//! The schema of a value.

use serde_json::{Map, Value as Json, json};

use super::super::prose::{paragraphs, unlinked};
use super::Schema;
use crate::policy::language::{
    Describe, GROUPED, KeyDescription, Kind as _, Name, Shape, Stated, TextFormat, WordDescription,
};

/// The schema of a value, to which a description can be added.
pub(super) struct ValueSchema {
    pub(super) schema: Map<String, Json>,
}

impl ValueSchema {
    fn of(schema: Json) -> Self {
        Self {
            schema: schema.as_object().cloned().unwrap_or_default(),
        }
    }

    /// Adds the description of the value. Editors show only the nearest description, so it contains
    /// that of a named format.
    pub(super) fn describe(&mut self, text: String, shape: &Shape) {
        let mut text = unlinked(&text);
        if let Shape::Text(format) = shape
            && !format.name.is_empty()
        {
            text = format!("{text}\n\n{}", paragraphs(&[format.doc]));
        }
        self.schema
            .shift_insert(0, "description".to_owned(), text.into());
    }
}

/// Numbers from here on may be written in groups of digits, and are strings then.
const GROUPED_FROM: u64 = 1_000;

impl Schema {
    /// The value of a key, without its description.
    pub(super) fn property(&mut self, key: &KeyDescription) -> ValueSchema {
        let mut value = self.value(&key.shape);
        if let Stated::Default(default) = &key.stated {
            value.schema.insert("default".to_owned(), default.clone());
        }
        value
    }

    pub(super) fn value(&mut self, shape: &Shape) -> ValueSchema {
        ValueSchema::of(match shape {
            Shape::Count { min, max } if min == max => json!({ "type": "integer", "const": min }),
            Shape::Count { min, max } if *max < GROUPED_FROM => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Shape::Count { min, max } => json!({ "anyOf": [
                { "type": "integer", "minimum": min, "maximum": max },
                { "type": "string", "pattern": GROUPED },
            ] }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::True => json!({ "type": "boolean", "const": true }),
            Shape::Choice(words) => {
                json!({ "oneOf": words.iter().map(word).collect::<Vec<_>>() })
            }
            Shape::Text(format) => self.text(format),
            Shape::List {
                min,
                max,
                unique,
                of,
            } => self.list((*min, *max), *unique, of),
            Shape::Map(description) => self.map(*description),
            Shape::Either(shapes) => {
                let choices: Vec<Json> = shapes
                    .iter()
                    .map(|shape| self.value(shape).schema.into())
                    .collect();
                json!({ "anyOf": choices })
            }
            // The mapping states it as a constraint.
            Shape::BySibling(_) => json!({}),
        })
    }

    fn list(&mut self, (min, max): (usize, usize), unique: bool, of: &Shape) -> Json {
        let mut list = json!({ "type": "array" });
        if let Some(list) = list.as_object_mut() {
            let items = self.value(of).schema;
            if !items.is_empty() {
                list.insert("items".to_owned(), items.into());
            }
            if min > 0 {
                list.insert("minItems".to_owned(), min.into());
            }
            list.insert("maxItems".to_owned(), max.into());
            if unique {
                list.insert("uniqueItems".to_owned(), true.into());
            }
        }
        list
    }

    /// A reference to a mapping.
    pub(super) fn map(&mut self, describe: Describe) -> Json {
        let description = describe();
        self.refer(description.name, |schema| {
            schema.mapping(&description).into()
        })
    }

    /// A reference to the format of names.
    pub(super) fn name(&mut self) -> Json {
        self.value(&Name::shape()).schema.into()
    }

    fn text(&mut self, format: &TextFormat) -> Json {
        if format.name.is_empty() {
            keywords(format)
        } else {
            self.refer(format.name, |_| keywords(format))
        }
    }
}

fn keywords(format: &TextFormat) -> Json {
    let mut schema = Map::new();
    let mut insert = |keyword: &str, value: Json| schema.insert(keyword.to_owned(), value);
    if !format.name.is_empty() {
        insert("description", paragraphs(&[format.doc]).into());
    }
    if !format.examples.is_empty() {
        insert("examples", format.examples.into());
    }
    insert("type", "string".into());
    if let Some(pattern) = &format.pattern {
        insert("pattern", pattern.as_str().into());
    }
    if !format.words.is_empty() {
        insert("enum", format.words.as_slice().into());
    }
    if !format.but.is_empty() {
        insert("not", json!({ "enum": format.but }));
    }
    let (min, max) = format.bytes;
    if let Some(min) = min {
        insert("minLength", min.into());
    }
    if let Some(max) = max {
        insert("maxLength", max.into());
    }
    schema.into()
}

fn word(word: &WordDescription) -> Json {
    json!({
        "description": unlinked(&paragraphs(word.doc)),
        "type": "string",
        "const": word.text,
    })
}
