//! `sluicegate schema`: the policy language as a JSON Schema, for editors and CI.
//!
//! ```text
//!   types that mirror the language ─▶ schemars ─▶ Plain ─▶ docs/policy.schema.json
//!   (editors show their comments)
//! ```
//!
//! The readers of [`crate::policy`] are authoritative. The schema accepts everything that they
//! accept, takes its numbers from their constants, and leaves to them what no schema can express:
//! names that occur elsewhere in the document, unreachable parts, sums. `tests/schema.rs` verifies
//! that, key by key.
//!
//! A new part of the language needs a type here: a field for each key, with `Option` if it may be
//! omitted.

#![allow(dead_code, reason = "these types only produce the schema")]

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

/// The schema, formatted so that two versions can be compared line by line.
pub(super) fn run() -> String {
    let generator = SchemaSettings::draft2020_12()
        .with_transform(shape::Plain)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<policy::Policy>();
    shape::describe_formats(&mut schema);
    format!("{:#}\n", schema.as_value())
}
