//! Attributes: named values of a caller. Names become numbers when the policy is loaded.

use super::error::{InEntry, Reason, RefusedRule, nearest};
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
    names: Vec<Name>,
    known: Known,
    /// The attributes up to this number are the credentials' own.
    credentials: usize,
    /// The identifier of the secret that a request presents, if the policy reads it.
    presented: Option<AttributeId>,
    /// Those that may have a value without a credential.
    free: Vec<AttributeId>,
    /// Those that may have a value that the client chooses.
    chosen: Vec<AttributeId>,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// Whether it occurs outside of the directory, too, so that a message may repeat it.
    said: bool,
}

/// Whether it is known which attributes the callers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// No: something about the callers has an error, which says enough.
    Nothing,
    /// Yes.
    All {
        /// Whether there is a directory, for whose entries an attribute can be declared.
        directory: bool,
    },
}

/// The most attributes that a policy can have.
pub const ATTRIBUTES_MAX: usize = 64;

/// The name of the attribute that says which credential was presented first.
pub(super) const CREDENTIAL: &str = "credential";

/// The value of `credential` in a selector that matches requests without an accepted credential.
pub const NO_CREDENTIAL: &str = "none";

/// The value of `credential` in a limit on requests that are about to receive a 401.
pub(crate) const REFUSED_CREDENTIAL: &str = "refused";

/// The name of the attribute that is the identifier of the secret that a request presents.
pub(crate) const PRESENTED: &str = "presented";

/// Words that select requests by something other than an attribute, or name a part of an entry
/// or the presented credential.
pub(crate) const RESERVED: [&str; 10] = [
    CREDENTIAL, "tier", "routes", "except", "route", "method", "host", "sha256", "until", PRESENTED,
];

/// Words that cannot name a credential.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn no_credentials() -> Vec<&'static str> {
    [&RESERVED[..], &[NO_CREDENTIAL, REFUSED_CREDENTIAL]].concat()
}

impl Default for Attributes {
    fn default() -> Self {
        let credential = Name {
            text: CREDENTIAL.into(),
            said: true,
        };
        Self {
            names: vec![credential],
            known: Known::Nothing,
            credentials: 0,
            presented: None,
            free: Vec::new(),
            chosen: Vec::new(),
        }
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

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = AttributeId> {
        (0_u16..).map(AttributeId).take(self.names.len())
    }

    /// The name of an attribute of this policy.
    #[must_use]
    pub fn name(&self, id: AttributeId) -> &str {
        self.names.get(id.index()).map_or("", |name| &name.text)
    }

    /// The identifier of the secret that a request presents, if the policy reads it.
    #[must_use]
    pub(crate) const fn presented(&self) -> Option<AttributeId> {
        self.presented
    }

    /// [`Self::presented`], from here on read.
    pub(super) fn resolve_presented(&mut self, field: &Field<'_>) -> Option<AttributeId> {
        if self.presented.is_none() {
            self.presented = self.add(PRESENTED);
        }
        self.presented.or_else(|| {
            field.refuse(Reason::TooManyAttributes {
                max: ATTRIBUTES_MAX,
            })
        })
    }

    /// Whether the attribute may have a value without a credential.
    pub(super) fn is_free(&self, id: AttributeId) -> bool {
        self.known == Known::Nothing || self.presented == Some(id) || self.free.contains(&id)
    }

    /// States which attributes may have a value without a credential.
    pub(super) fn set_free(&mut self, free: Vec<AttributeId>) {
        self.free = free;
    }

    /// Whether clients choose the value, or it is the identifier of a credential or its name.
    pub(super) fn is_chosen(&self, id: AttributeId) -> bool {
        id.index() <= self.credentials || self.chosen.contains(&id)
    }

    /// States which attributes may have a value that the client chooses.
    pub(super) fn set_chosen(&mut self, chosen: Vec<AttributeId>) {
        self.chosen = chosen;
    }

    /// The attribute of this name.
    pub(crate) fn find(&self, name: &str) -> Option<AttributeId> {
        let index = self.names.iter().position(|known| *known.text == *name)?;
        u16::try_from(index).ok().map(AttributeId)
    }

    /// Adds an attribute that a credential or a source supplies, or that an entry of the directory
    /// may have.
    pub(super) fn declare(&mut self, field: &Field<'_>, name: &str) -> Option<AttributeId> {
        let id = self
            .declared(name, Some(name))
            .map_err(|reason| field.error(reason))
            .ok()?;
        self.names.get_mut(id.index())?.said = true;
        Some(id)
    }

    /// Adds an attribute of an entry of the directory. An error contains the name of a credential
    /// and a word of the language, and no other: a secret in the wrong place may be the key.
    pub(super) fn declare_held(&mut self, entry: &Field<'_>, name: &str) -> Option<AttributeId> {
        match self.declared(name, None) {
            Ok(id) => Some(id),
            Err(reason @ (Reason::ReservedName { .. } | Reason::CredentialsName { .. })) => {
                entry.refuse(reason)
            }
            Err(reason) => entry.refuse(Reason::InEntry {
                part: InEntry::Key,
                reason: Box::new(reason),
            }),
        }
    }

    /// The attribute of this name, added if it is new; else the rule that the name breaks. A name
    /// that is not `mentionable` may be a secret.
    fn declared(&mut self, name: &str, mentionable: Option<&str>) -> Result<AttributeId, Reason> {
        if !is_name(name) {
            return Err(Reason::BadName {
                value: mentionable.map(str::to_owned),
            });
        }
        if RESERVED.contains(&name) {
            return Err(Reason::ReservedName {
                value: name.to_owned(),
            });
        }
        match self.find(name) {
            Some(id) if id.index() <= self.credentials => Err(Reason::CredentialsName {
                value: name.to_owned(),
            }),
            Some(id) => Ok(id),
            None => self.add(name).ok_or(Reason::TooManyAttributes {
                max: ATTRIBUTES_MAX,
            }),
        }
    }

    /// The name of an attribute that occurs outside of the directory, too.
    pub(super) fn said(&self, id: AttributeId) -> Option<&str> {
        self.names
            .get(id.index())
            .filter(|name| name.said)
            .map(|name| &*name.text)
    }

    /// Adds a credential's own attribute. Several credentials may share a name: they are ways to
    /// present one kind of secret.
    pub(super) fn declare_credential(
        &mut self,
        field: &Field<'_>,
        name: &str,
    ) -> Option<AttributeId> {
        if [NO_CREDENTIAL, REFUSED_CREDENTIAL].contains(&name) {
            return field.refuse(Reason::ReservedCredential {
                value: name.to_owned(),
            });
        }
        let id = match self.find(name).filter(|id| *id != Self::CREDENTIAL) {
            Some(id) => id,
            None => self.declare(field, name)?,
        };
        self.credentials = self.credentials.max(id.index());
        Some(id)
    }

    /// The attribute that a limit, an override or the access log names; here it is said.
    pub(super) fn resolve(&mut self, field: &Field<'_>, name: &str) -> Option<AttributeId> {
        match (self.find(name), self.known) {
            (Some(id), _) => Some(id),
            (None, Known::Nothing) if is_name(name) && !RESERVED.contains(&name) => {
                let added = self.add(name);
                added.or_else(|| {
                    field.refuse(Reason::TooManyAttributes {
                        max: ATTRIBUTES_MAX,
                    })
                })
            }
            (None, known) => {
                // A key of the directory that differs from this by a typing error is not a secret.
                let nearest =
                    nearest(name, self.names.iter().map(|known| &*known.text)).map(str::to_owned);
                field.refuse(Reason::NoSuchAttribute {
                    value: name.to_owned(),
                    choices: self.choices(),
                    nearest,
                    directory: known == Known::All { directory: true },
                })
            }
        }
    }

    /// Checks a value of the attribute `credential`: the name of one of them.
    /// `refused` selects requests that are about to receive a 401, if that `is_allowed`.
    pub(super) fn check_credential(&self, field: &Field<'_>, name: &str, is_allowed: bool) {
        if name == REFUSED_CREDENTIAL {
            if !is_allowed {
                field.error(Reason::Refused(RefusedRule::Elsewhere));
            }
            return;
        }
        let names = self.names.iter().skip(1).take(self.credentials);
        let names = names.map(|name| &*name.text);
        let choices: Vec<String> = names.chain([NO_CREDENTIAL]).map(str::to_owned).collect();
        if self.known != Known::Nothing && !choices.iter().any(|choice| choice == name) {
            field.error(Reason::not_one_of(name, choices, "a credential"));
        }
    }

    /// Ends the declarations: from now on every name must be one of `known`.
    pub(super) fn close(&mut self, known: Known) {
        self.known = known;
    }

    /// The attributes in words, those that only the directory names as a whole.
    fn choices(&self) -> Vec<String> {
        let said = self.names.iter().filter(|name| name.said);
        let mut choices: Vec<&str> = said.map(|name| &*name.text).collect();
        // A Struct has no order of keys: the same error has the same words in every form.
        choices.sort_unstable();
        if self.names.iter().any(|name| !name.said) {
            choices.push("those of the directory's entries");
        }
        choices.into_iter().map(str::to_owned).collect()
    }

    fn add(&mut self, name: &str) -> Option<AttributeId> {
        if self.names.len() >= ATTRIBUTES_MAX {
            return None;
        }
        self.names.push(Name {
            text: name.into(),
            said: false,
        });
        self.find(name)
    }
}
