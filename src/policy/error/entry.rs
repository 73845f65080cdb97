//! Errors in an entry of the directory.

use std::fmt;

/// A part of an entry of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InEntry {
    /// A key.
    Key,
    /// The value of an attribute; its name, if that is declared elsewhere.
    Value(Option<String>),
}

impl fmt::Display for InEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("a key of this entry"),
            Self::Value(None) => f.write_str("a value of this entry"),
            Self::Value(Some(name)) => write!(f, "the {name} of this entry"),
        }
    }
}
