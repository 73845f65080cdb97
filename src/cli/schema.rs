//! `sluicegate schema`: the policy language as a JSON Schema, for editors and CI.
//!
//! The schema is written from the declarations that the readers use
//! ([`crate::policy::language`]). It accepts everything that they accept, and leaves to them the
//! rules that no schema can express: names that occur elsewhere in the document, unreachable parts,
//! sums. `tests/schema.rs` verifies both, over every policy of the corpus.
//!
//! Editors that only know draft 7 ignore keywords such as `dependentRequired`, so constraints
//! between keys are `if` and `then`.

mod value;

use serde_json::{Map, Value as Json, json};

use super::prose::{paragraphs, requirements, unlinked};
use crate::policy::header::TOKEN_BYTES_MAX;
use crate::policy::language::{
    Constraint, Description, KeyDescription, Mapping as _, Names, Policy, Rest, Shape, Stated,
    settable_header, tag,
};

/// The schema, formatted so that two versions can be compared line by line.
pub(super) fn run() -> String {
    let mut schema = Schema::default();
    let mut root = Map::new();
    root.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    root.insert("title".to_owned(), "Sluicegate policy".into());
    root.append(&mut schema.mapping(&Policy::description()));
    root.insert("$defs".to_owned(), schema.definitions.into());
    format!("{:#}\n", Json::Object(root))
}

/// The definitions so far, in the order of their first use.
#[derive(Default)]
struct Schema {
    definitions: Map<String, Json>,
}

impl Schema {
    /// A reference to a definition, which `write` writes if it is new.
    fn refer(&mut self, name: &str, write: impl FnOnce(&mut Self) -> Json) -> Json {
        if !self.definitions.contains_key(name) {
            // The place keeps the order, and ends a cycle.
            self.definitions.insert(name.to_owned(), Json::Null);
            let definition = write(self);
            self.definitions.insert(name.to_owned(), definition);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// A mapping.
    fn mapping(&mut self, of: &Description) -> Map<String, Json> {
        let mut text = vec![paragraphs(of.doc)];
        text.extend(requirements(of));
        let mut schema = Map::new();
        schema.insert("description".to_owned(), unlinked(&text.join(" ")).into());
        schema.insert("type".to_owned(), "object".into());
        let mut properties = Map::new();
        for key in &of.keys {
            let mut property = self.property(key);
            if is_in_one_of(of.constraints, key.name) {
                property.describe(paragraphs(key.doc), &key.shape);
            } else {
                property.describe(with_absence(key), &key.shape);
            }
            properties.insert(key.name.to_owned(), property.schema.into());
        }
        if let Some(rest) = &of.rest {
            self.rest(rest, &mut properties, &mut schema);
        } else {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        if of
            .constraints
            .iter()
            .any(|constraint| matches!(constraint, Constraint::NotEmpty))
        {
            schema.insert("minProperties".to_owned(), 1.into());
        }
        schema.insert("properties".to_owned(), properties.into());
        let required: Vec<&str> = of
            .keys
            .iter()
            .filter(|key| is_required(key))
            .map(|key| key.name)
            .collect();
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        let mut rules: Vec<Json> = of.constraints.iter().filter_map(constraint).collect();
        rules.extend(of.schema.iter().cloned());
        for key in &of.keys {
            rules.extend(self.by_sibling(key));
        }
        if !rules.is_empty() {
            schema.insert("allOf".to_owned(), rules.into());
        }
        schema
    }

    /// The keys that the operator chooses.
    fn rest(
        &mut self,
        rest: &Rest,
        properties: &mut Map<String, Json>,
        schema: &mut Map<String, Json>,
    ) {
        let mut names = match rest.names {
            Names::But(words) => json!({ "not": { "enum": words } }),
            Names::Text(max) => json!({ "maxLength": max }),
            Names::Settable => json!({
                "maxLength": TOKEN_BYTES_MAX,
                "pattern": settable_header(),
            }),
            Names::Tag(words) => json!({ "not": { "enum": words }, "pattern": tag() }),
        };
        if let (Names::But(_), Some(names)) = (&rest.names, names.as_object_mut()) {
            names.extend(self.name().as_object().cloned().unwrap_or_default());
        }
        schema.insert("propertyNames".to_owned(), names);
        let mut values = self.value(&rest.shape);
        values.describe(rest.doc.to_owned(), &rest.shape);
        schema.insert("additionalProperties".to_owned(), values.schema.into());
        let (min, max) = rest.count;
        for (keyword, count) in [("minProperties", min), ("maxProperties", max)] {
            schema.extend(count.map(|count| (keyword.to_owned(), count.into())));
        }
        for word in &rest.words {
            let mut property = self.property(word);
            property.describe(with_absence(word), &word.shape);
            properties.insert(word.name.to_owned(), property.schema.into());
        }
    }

    /// The values of a list whose form follows from the key next to it.
    fn by_sibling(&mut self, key: &KeyDescription) -> Vec<Json> {
        let Shape::List { of, .. } = &key.shape else {
            return Vec::new();
        };
        let Shape::BySibling(cases) = &**of else {
            return Vec::new();
        };
        let mut rules = Vec::new();
        for (sibling, description) in cases {
            let items = self.map(*description);
            rules.push(json!({
                "if": { "required": [sibling] },
                "then": { "properties": { key.name: { "items": items } } },
            }));
        }
        rules
    }
}

fn is_required(key: &KeyDescription) -> bool {
    matches!(key.stated, Stated::Required)
}

/// Whether a constraint, rather than the key, states the meaning of its absence.
fn is_in_one_of(constraints: &[Constraint], name: &str) -> bool {
    constraints.iter().any(|constraint| match constraint {
        Constraint::ExactlyOne(keys) => keys.contains(&name),
        Constraint::LimitsOne(keys) | Constraint::ChangesOne(keys) => *keys == [name],
        Constraint::NotEmpty
        | Constraint::Requires { .. }
        | Constraint::Excludes { .. }
        | Constraint::Without { .. } => false,
    })
}

fn with_absence(key: &KeyDescription) -> String {
    let text = paragraphs(key.doc);
    match key.stated {
        Stated::Optional(absent) => format!("{text} If omitted: {absent}."),
        Stated::Required | Stated::Default(_) => text,
    }
}

fn constraint(constraint: &Constraint) -> Option<Json> {
    Some(match *constraint {
        Constraint::ExactlyOne(keys) => json!({ "oneOf": present(keys) }),
        Constraint::LimitsOne(keys) | Constraint::ChangesOne(keys) => {
            json!({ "anyOf": present(keys) })
        }
        // A keyword of the mapping.
        Constraint::NotEmpty => return None,
        Constraint::Requires { key, other, .. } => json!({
            "if": { "required": [key] },
            "then": { "required": [other] },
        }),
        Constraint::Excludes { key, other, .. } => json!({ "not": { "required": [key, other] } }),
        Constraint::Without {
            key, words, keys, ..
        } => {
            let denied: Map<String, Json> = keys
                .iter()
                .map(|key| ((*key).to_owned(), false.into()))
                .collect();
            json!({
                "if": { "required": [key], "properties": { key: { "enum": words } } },
                "then": { "properties": denied },
            })
        }
    })
}

fn present(keys: &[&str]) -> Vec<Json> {
    keys.iter()
        .map(|key| json!({ "required": [key] }))
        .collect()
}
