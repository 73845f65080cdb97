//! Keeps the trace of a caller's identification.

use std::collections::BTreeMap;

use crate::base::id::CredentialId;
use crate::base::time::Timestamp;
use crate::policy::attributes::AttributeId;
use crate::request::audit::{CredentialOutcome, Origin, Trace};
use crate::request::credential::{Identifier, identifier};

/// Records how a caller is identified.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// The outcomes of the presented credentials.
    pub(super) credentials: BTreeMap<CredentialId, CredentialRecord>,
    /// The last value of each attribute, and its source.
    pub(super) values: BTreeMap<AttributeId, ValueRecord>,
    /// The credential whose entry of the directory has the attribute.
    pub(super) entries: BTreeMap<AttributeId, CredentialId>,
    /// The attribute with two different values, and the second one.
    pub(super) conflict: Option<(AttributeId, ValueRecord)>,
    /// The source that occurs twice: its attribute, and its number.
    pub(super) repeated: Option<(AttributeId, usize)>,
}

/// A value and its source.
#[derive(Debug)]
pub(super) struct ValueRecord {
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// The outcome of a credential, with its identifier if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CredentialRecord {
    Ambiguous,
    Verified(Option<String>),
    Known(String),
    Unknown(String),
    Expired(String, Timestamp),
    PassedOver,
}

impl Trace for Recorder {
    fn credential(&mut self, id: CredentialId, fate: CredentialOutcome<'_>) {
        let record = match fate {
            CredentialOutcome::Ambiguous => CredentialRecord::Ambiguous,
            CredentialOutcome::Verified(identifier) => {
                CredentialRecord::Verified(identifier.as_ref().map(text))
            }
            CredentialOutcome::Known(digest) => CredentialRecord::Known(text(&identifier(digest))),
            CredentialOutcome::Unknown(digest) => {
                CredentialRecord::Unknown(text(&identifier(digest)))
            }
            CredentialOutcome::Expired(digest, until) => {
                CredentialRecord::Expired(text(&identifier(digest)), until)
            }
            CredentialOutcome::PassedOver => CredentialRecord::PassedOver,
        };
        self.credentials.insert(id, record);
    }

    fn value(&mut self, attribute: AttributeId, value: &[u8], origin: Origin) {
        if let Origin::Entry(credential) = origin {
            self.entries.entry(attribute).or_insert(credential);
            // A second equal entry is not another one.
            self.values
                .entry(attribute)
                .or_insert_with(|| ValueRecord::of(value, origin));
            return;
        }
        self.values
            .insert(attribute, ValueRecord::of(value, origin));
    }

    fn conflict(&mut self, attribute: AttributeId, value: &[u8], origin: Origin) {
        self.conflict = Some((attribute, ValueRecord::of(value, origin)));
    }

    fn repeated(&mut self, attribute: AttributeId, source: usize) {
        self.repeated = Some((attribute, source));
    }
}

impl ValueRecord {
    fn of(value: &[u8], origin: Origin) -> Self {
        Self {
            value: lossy(value),
            origin,
        }
    }
}

/// A value for people: bytes that are not UTF-8 are marked.
pub(super) fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn text(identifier: &Identifier) -> String {
    lossy(identifier)
}
