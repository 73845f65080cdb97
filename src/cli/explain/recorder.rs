//! Keeps the trace of a caller's identification.

use std::collections::BTreeMap;

use crate::base::id::CredentialId;
use crate::policy::attributes::AttributeId;
use crate::request::audit::{CredentialOutcome, Origin, Trace};
use crate::request::credential::{Identifier, identifier};

/// All that was told, in its order.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// What became of the credentials that were presented.
    pub(super) credentials: BTreeMap<CredentialId, Heard>,
    /// The values that were told last, and where each comes from.
    pub(super) values: BTreeMap<AttributeId, Told>,
    /// Of the attributes that entries of the directory give, whose entry.
    pub(super) entries: BTreeMap<AttributeId, CredentialId>,
    /// The attribute of which two say different things, and what the second says.
    pub(super) conflict: Option<(AttributeId, Told)>,
    /// The source that occurs twice: its attribute, and its number.
    pub(super) repeated: Option<(AttributeId, usize)>,
}

/// A value, and where it comes from.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// What became of a credential; of one that has an identifier, that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Ambiguous,
    Verified(Option<String>),
    Known(String),
    Unknown(String),
    PassedOver,
}

impl Trace for Recorder {
    fn credential(&mut self, id: CredentialId, fate: CredentialOutcome<'_>) {
        let heard = match fate {
            CredentialOutcome::Ambiguous => Heard::Ambiguous,
            CredentialOutcome::Verified(identifier) => {
                Heard::Verified(identifier.as_ref().map(text))
            }
            CredentialOutcome::Known(digest) => Heard::Known(text(&identifier(digest))),
            CredentialOutcome::Unknown(digest) => Heard::Unknown(text(&identifier(digest))),
            CredentialOutcome::PassedOver => Heard::PassedOver,
        };
        self.credentials.insert(id, heard);
    }

    fn value(&mut self, attribute: AttributeId, value: &[u8], origin: Origin) {
        if let Origin::Entry(credential) = origin {
            self.entries.entry(attribute).or_insert(credential);
            // A second entry that says the same is no news.
            self.values
                .entry(attribute)
                .or_insert_with(|| Told::of(value, origin));
            return;
        }
        self.values.insert(attribute, Told::of(value, origin));
    }

    fn conflict(&mut self, attribute: AttributeId, value: &[u8], origin: Origin) {
        self.conflict = Some((attribute, Told::of(value, origin)));
    }

    fn repeated(&mut self, attribute: AttributeId, source: usize) {
        self.repeated = Some((attribute, source));
    }
}

impl Told {
    fn of(value: &[u8], origin: Origin) -> Self {
        Self {
            value: lossy(value),
            origin,
        }
    }
}

/// A value for people: what is not UTF-8 is marked as such.
pub(super) fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn text(identifier: &Identifier) -> String {
    lossy(identifier)
}
