//! From credentials to a caller: what is known of whoever sent the request.

use sha2::{Digest as _, Sha256};

use super::credential;
use super::head::Request;
use crate::policy::Policy;
use crate::policy::attributes::{AttributeId, Attributes};
use crate::policy::callers::{Source, Stance};
use crate::policy::directory::Digest;

/// A caller: the values of the policy's attributes, where it has them.
#[derive(Debug)]
pub struct Caller<'r> {
    values: Vec<Option<Value<'r>>>,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
enum Value<'r> {
    Text(&'r [u8]),
    /// The first half of a secret's SHA-256, in hexadecimal digits: the same secret is the same
    /// caller, and nobody gets from here to the secret.
    Identifier([u8; 32]),
}

/// Why a request is not let in: a closed set, for metrics and the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unidentified {
    /// No credential was presented.
    Absent,
    /// A credential is not in the directory.
    Unknown,
    /// A credential was presented twice.
    Ambiguous,
    /// Two credentials stand for different callers.
    Conflicting,
}

impl Unidentified {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Unknown, Self::Ambiguous, Self::Conflicting];

    /// The name in metrics and details.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
            Self::Conflicting => "conflicting",
        }
    }
}

impl<'r> Caller<'r> {
    /// The value of an attribute, if the caller has it.
    #[must_use]
    pub fn value(&self, attribute: AttributeId) -> Option<&[u8]> {
        self.values.get(attribute.index())?.as_ref().map(Value::bytes)
    }

    /// Sets a value; an error where another one stands.
    fn learn(&mut self, attribute: AttributeId, value: Value<'r>) -> Result<(), Unidentified> {
        match self.values.get_mut(attribute.index()) {
            Some(Some(known)) if known.bytes() != value.bytes() => return Err(Unidentified::Conflicting),
            Some(place) => *place = Some(value),
            None => {}
        }
        Ok(())
    }
}

impl Value<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Identifier(digits) => digits,
        }
    }
}

/// Finds out who sent `request`.
///
/// # Errors
/// Why the policy does not let it in.
pub fn identify<'r>(request: &'r Request, policy: &'r Policy) -> Result<Caller<'r>, Unidentified> {
    let mut caller = Caller { values: vec![None; policy.attributes.count()] };
    let callers = &policy.callers;
    let asked = callers.routes.as_ref().is_none_or(|routes| routes.iter().any(|id| request.matches.contains(*id)));
    if asked {
        let mut first = None;
        for credential in &callers.credentials {
            let Some(secret) = credential::find(request, &credential.place).map_err(|_| Unidentified::Ambiguous)?
            else {
                continue;
            };
            let digest: Digest = Sha256::digest(&secret).into();
            match callers.directory.find(&digest) {
                Some(mut values) => {
                    values.try_for_each(|(attribute, text)| caller.learn(attribute, Value::Text(text.as_bytes())))?;
                }
                None if callers.unknown == Stance::Refuse => return Err(Unidentified::Unknown),
                None => {}
            }
            caller.learn(credential.attribute, Value::Identifier(identifier(&digest)))?;
            first = first.or(Some(credential));
        }
        match first {
            Some(first) => caller.learn(Attributes::CREDENTIAL, Value::Text(first.name.as_bytes()))?,
            None if callers.absent == Stance::Refuse => {
                return Err(Unidentified::Absent);
            }
            None => {}
        }
    }
    derive(&mut caller, request, policy);
    Ok(caller)
}

/// Sets the attributes that have sources of their own. Each reads what the directory gave, so none
/// is changed before all are found.
fn derive<'r>(caller: &mut Caller<'r>, request: &'r Request, policy: &'r Policy) {
    let first = |attribute: AttributeId, sources: &'r [Source]| {
        sources.iter().find_map(|source| match source {
            Source::Directory(from) => caller.values.get(from.index()).copied().flatten(),
            Source::Path(route) => route.capture(policy.attributes.name(attribute), &request.path).map(Value::Text),
        })
    };
    let found: Vec<_> =
        policy.callers.sources.iter().map(|(attribute, sources)| (*attribute, first(*attribute, sources))).collect();
    for (attribute, value) in found {
        if let Some(place) = caller.values.get_mut(attribute.index()) {
            *place = value;
        }
    }
}

fn identifier(digest: &Digest) -> [u8; 32] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut digits = [0; 32];
    for ([high, low], byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *high = digit(byte >> 4);
        *low = digit(byte & 15);
    }
    digits
}
