//! `sluicegate schema`: the language of policies as a JSON Schema, for editors and for CI.
//!
//! ```text
//!   types that mirror the language ─▶ schemars ─▶ Plain ─▶ docs/policy.schema.json
//!   (their comments are what an editor shows)
//! ```
//!
//! The readers of [`crate::policy`] are the truth. The schema refuses nothing that they accept, takes
//! its numbers from their constants, and leaves to them what no schema can say: names that stand
//! elsewhere in the document, what can never be reached, sums. `tests/schema.rs` holds it to that, key
//! by key.
//!
//! A part of the language that is added needs its type here: a field for each key, `Option` where it may
//! be left out.

#![allow(dead_code, reason = "shapes of which only the schema is ever made")]

mod callers;
mod limits;
mod payloads;
mod policy;
mod pools;
mod replies;
mod select;
mod shape;
mod words;

use schemars::generate::SchemaSettings;

/// The schema, on as many lines as it takes to compare two of them.
pub(super) fn run() -> String {
    let generator = SchemaSettings::draft2020_12().with_transform(shape::Plain).into_generator();
    let mut schema = generator.into_root_schema_for::<policy::Policy>();
    shape::tell_forms(&mut schema);
    format!("{:#}\n", schema.as_value())
}
