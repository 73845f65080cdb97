//! A JSON body, measured while it passes: is it JSON, and does it keep to the rules?
//!
//! ```text
//! chunk ─▶ grammar ─┬▶ text, number, literal                 what may come next (RFC 8259)
//!                   └▶ measures ─┬▶ frames                   what is open, and what is in it
//!                                ├▶ places                   how far along each JSON pointer this is
//!                                └▶ candidates, names        which name is which, seen which
//! ```
//!
//! A [`Meter`] takes the bytes as they come, cut anywhere, and keeps none of them. What it keeps is a
//! frame of 16 bytes for each array and object that is open, so at most as many as the rules let nest.
//! Its answer does not depend on where the chunks were cut, and a breach is told at the end of the
//! chunk that proves it, at the latest.
//!
//! What is valid is what RFC 8259 says, in strict UTF-8 and without a byte order mark; an escaped
//! surrogate must have its other half (as for `serde_json`). A number may be as large as it likes.
//! What each rule counts, and why so: decision 0014.

mod breach;
mod candidates;
mod measures;
mod meter;
mod names;
mod number;
mod path;
mod places;
mod rules;
mod scan;
mod text;

pub use self::breach::Breach;
pub use self::meter::{Measured, Meter};
pub use self::names::NAMES_MAX;
pub use self::path::{JsonPath, PATH_BYTES_MAX, PATH_STEPS_MAX, PathError};
pub use self::rules::{
    CONDITION_BYTES_MAX, CONDITIONS_MAX, Conditions, DEPTH_DEFAULT, DEPTH_MAX, DuplicateNames, JsonRules, ObjectsRule,
    ValueRule,
};

#[cfg(test)]
mod tests;
