//! Measures a JSON body while it streams: is it JSON, and does it keep the rules?
//!
//! ```text
//! chunk ─▶ grammar ─┬▶ text, number, literal                 the next tokens (RFC 8259)
//!                   └▶ measures ─┬▶ frames                   the open arrays and objects
//!                                ├▶ cursors                  how far each JSON pointer has matched
//!                                └▶ candidates, names        which names match, which occurred
//! ```
//!
//! A [`Meter`] takes chunks that are cut anywhere, and keeps none of their bytes. It keeps a frame
//! of 16 bytes for each open array or object, at most the depth that the rules allow. Its result
//! does not depend on where the chunks were cut, and it reports a breach no later than at the end
//! of the chunk that proves it.
//!
//! JSON is valid as in RFC 8259, in strict UTF-8 and without a byte order mark; an escaped
//! surrogate must be one of a pair (as for `serde_json`). Numbers have no largest value. Decision
//! 0014 defines the units of each rule, with reasons.

mod breach;
mod candidates;
mod cursors;
mod measures;
mod meter;
mod names;
mod number;
mod path;
mod rules;
mod scan;
mod text;

pub use self::breach::Breach;
pub use self::meter::{Measurements, Meter};
pub use self::names::NAMES_MAX;
pub use self::path::{JsonPath, PATH_BYTES_MAX, PATH_STEPS_MAX, PathError};
pub use self::rules::{
    CONDITION_BYTES_MAX, CONDITIONS_MAX, Conditions, DEPTH_DEFAULT, DEPTH_MAX, DuplicateNames,
    JsonRules, ObjectsRule, ValueRule,
};

#[cfg(test)]
mod tests;
