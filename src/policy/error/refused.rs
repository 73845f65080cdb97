//! The rules of limits on requests that are about to receive a 401.

use std::fmt;

use super::words::Quoted;

/// A rule that a limit with `credential: refused` breaks, or that another selector breaks by that
/// word; `Display` states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedRule {
    /// The word is allowed in the `for` of a limit alone.
    Elsewhere,
    /// The word is next to others.
    NextToOthers,
    /// The limit has a key that it cannot have.
    Key,
    /// The limit counts by this attribute, which comes from a credential.
    NeedsCredential(String),
}

impl fmt::Display for RefusedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere => {
                f.write_str("`refused` is allowed only in the `for` of a limit in `limits`")
            }
            Self::NextToOthers => f.write_str(
                "`refused` selects requests that receive a 401, and cannot be next to other \
                 values: write a limit for each",
            ),
            Self::Key => f.write_str(
                "does not apply to refused credentials: each request that receives a 401 counts \
                 as one",
            ),
            Self::NeedsCredential(name) => write!(
                f,
                "{} comes from a credential, and here none is accepted: use an attribute with \
                 another source, such as the client's address, or `presented`",
                Quoted(name)
            ),
        }
    }
}
