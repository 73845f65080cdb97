//! Attributes: what is known of a caller, by name. Names become numbers when the policy is loaded.

use super::error::Reason;
use super::reader::{Field, is_name};

/// An attribute's number within its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId(u16);

impl AttributeId {
    /// The number, from 0, without gaps.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// All attributes of a policy.
#[derive(Debug)]
pub struct Attributes {
    names: Vec<Box<str>>,
    /// Whether a name that nothing gives is a fault. It is not while the directory is empty: its
    /// entries are still to come, and bring their attributes.
    closed: bool,
    /// The attributes up to this number are the credentials' own.
    credentials: usize,
}

/// The most attributes that a policy can have.
pub const ATTRIBUTES_MAX: usize = 64;

/// The name of the attribute that says which credential was presented first.
const CREDENTIAL: &str = "credential";

/// Words that select requests by something else than an attribute, or name a digest.
const RESERVED: [&str; 4] = [CREDENTIAL, "tier", "routes", "sha256"];

impl Default for Attributes {
    fn default() -> Self {
        Self { names: vec![CREDENTIAL.into()], closed: false, credentials: 0 }
    }
}

impl Attributes {
    /// The attribute `credential`, which every policy has.
    pub const CREDENTIAL: AttributeId = AttributeId(0);

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The name of an attribute of this policy.
    #[must_use]
    pub fn name(&self, id: AttributeId) -> &str {
        self.names.get(id.index()).map_or("", AsRef::as_ref)
    }

    pub(super) fn find(&self, name: &str) -> Option<AttributeId> {
        let index = self.names.iter().position(|known| **known == *name)?;
        u16::try_from(index).ok().map(AttributeId)
    }

    /// Adds what a credential, an entry or a source gives. `shown` is the name as a fault may say
    /// it: not at all under the directory.
    pub(super) fn declare(&mut self, field: &Field<'_>, name: &str, shown: Option<&str>) -> Option<AttributeId> {
        let value = || shown.map(str::to_owned);
        if !is_name(name) {
            return field.refuse(Reason::BadName { value: value() });
        }
        if RESERVED.contains(&name) {
            return field.refuse(Reason::ReservedName { value: value() });
        }
        match self.find(name) {
            Some(id) if id.index() <= self.credentials => field.refuse(Reason::ReservedName { value: value() }),
            Some(id) => Some(id),
            None => self.add(field, name),
        }
    }

    /// Adds a credential's own attribute. Several credentials may share a name: they are ways to
    /// present one kind of secret.
    pub(super) fn declare_credential(&mut self, field: &Field<'_>, name: &str) -> Option<AttributeId> {
        let id = match self.find(name).filter(|id| *id != Self::CREDENTIAL) {
            Some(id) => id,
            None => self.declare(field, name, Some(name))?,
        };
        self.credentials = self.credentials.max(id.index());
        Some(id)
    }

    /// The attribute that a limit, an override or the access log names.
    pub(super) fn resolve(&mut self, field: &Field<'_>, name: &str) -> Option<AttributeId> {
        match self.find(name) {
            Some(id) => Some(id),
            None if !self.closed && is_name(name) && !RESERVED.contains(&name) => self.add(field, name),
            None => {
                let choices = self.names.iter().map(|name| name.to_string()).collect();
                field.refuse(Reason::NotOneOf { value: name.to_owned(), choices, kind: "an attribute of the callers" })
            }
        }
    }

    /// From here on every name must be one that something gives.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    fn add(&mut self, field: &Field<'_>, name: &str) -> Option<AttributeId> {
        if self.names.len() >= ATTRIBUTES_MAX {
            return field.refuse(Reason::TooManyAttributes { max: ATTRIBUTES_MAX });
        }
        self.names.push(name.into());
        self.find(name)
    }
}
