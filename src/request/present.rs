//! The credentials that a request presents: each secret is looked up in the directory.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::audit::{CredentialOutcome, Origin, Trace};
use super::credential::{self, Ambiguous, Identifier, Presented};
use super::head::Request;
use super::identify::{AuthFailure, Caller, Value};
use super::issuers::IssuerSet;
use crate::base::id::CredentialId;
use crate::policy::Policy;
use crate::policy::attributes::Attributes;
use crate::policy::callers::OnUnidentified;
use crate::policy::callers::credential::Credential;
use crate::policy::directory::{Digest, Lookup};

/// Whether an unknown credential is skipped because the one before it that it names is presented.
fn gives_way(
    id: CredentialId,
    credential: &Credential,
    presented: &IssuerSet,
    policy: &Policy,
) -> bool {
    policy
        .callers
        .credentials
        .entries()
        .take_while(|(other, _)| *other < id)
        .filter(|(_, other)| Some(other.attribute) == credential.unless)
        .any(|(other, _)| presented.contains(other))
}

/// The secret that a request presents: of several the first that is not accepted, otherwise the
/// first.
#[derive(Default)]
struct Sent {
    first: Option<Identifier>,
    refused: Option<Identifier>,
}

impl Sent {
    fn add(&mut self, identifier: Option<Identifier>, is_accepted: bool) {
        self.first = self.first.or(identifier);
        if !is_accepted {
            self.refused = self.refused.or(identifier);
        }
    }

    fn identifier(&self) -> Option<Identifier> {
        self.refused.or(self.first)
    }
}

/// Looks up a secret by its digest, and gives the caller the attributes of its entry. Returns
/// whether it is accepted; `None` if the other credential identifies the caller.
fn look_up<'r>(
    caller: &mut Caller<'r>,
    (id, digest): (CredentialId, &Digest),
    presented: &IssuerSet,
    request: &Request,
    policy: &'r Policy,
    trace: &mut impl Trace,
) -> Result<Option<bool>, AuthFailure> {
    let callers = &policy.callers;
    let outcome = match callers.directory.find(digest, request.now) {
        Lookup::Known(entry) => {
            trace.credential(id, CredentialOutcome::Known(digest));
            caller.ends_by(entry.until());
            for (attribute, text) in entry.values() {
                let value = Value::Text(Cow::Borrowed(text.as_bytes()));
                caller.set_or_conflict(attribute, value, Origin::Entry(id), trace)?;
            }
            return Ok(Some(true));
        }
        Lookup::Expired(until) => CredentialOutcome::Expired(digest, until),
        Lookup::Unknown => CredentialOutcome::Unknown(digest),
    };
    let credential = callers.credentials.get(id);
    if credential.is_some_and(|credential| gives_way(id, credential, presented, policy)) {
        return Ok(None);
    }
    trace.credential(id, outcome);
    if callers.unknown == OnUnidentified::Refuse {
        let attribute = credential.map(|credential| credential.attribute);
        trace.refuse(AuthFailure::Unknown, attribute)?;
    }
    Ok(Some(false))
}

/// Looks up the credentials of `request`. Returns which of them it presents.
pub(super) fn present<'r>(
    caller: &mut Caller<'r>,
    request: &'r Request,
    policy: &'r Policy,
    trace: &mut impl Trace,
) -> Result<IssuerSet, AuthFailure> {
    let callers = &policy.callers;
    let mut presented = IssuerSet::default();
    let mut first_accepted = None;
    let mut sent = Sent::default();
    for (id, credential) in callers.credentials.entries() {
        let (is_accepted, identifier) = match credential::find(request, &credential.place) {
            Err(Ambiguous) => {
                trace.credential(id, CredentialOutcome::Ambiguous);
                trace.refuse(AuthFailure::Ambiguous, Some(credential.attribute))?;
                continue;
            }
            Ok(None) => continue,
            Ok(Some(Presented::Verified(identifier))) => {
                trace.credential(id, CredentialOutcome::Verified(identifier));
                (true, identifier)
            }
            Ok(Some(Presented::Secret(secret))) => {
                let digest: Digest = Sha256::digest(&secret).into();
                let Some(is_accepted) =
                    look_up(caller, (id, &digest), &presented, request, policy, trace)?
                else {
                    trace.credential(id, CredentialOutcome::PassedOver);
                    continue;
                };
                (is_accepted, Some(credential::identifier(&digest)))
            }
        };
        if let Some(identifier) = identifier {
            let value = Value::Identifier(identifier);
            caller.set_or_conflict(credential.attribute, value, Origin::Credential(id), trace)?;
        }
        sent.add(identifier, is_accepted);
        presented.add(id);
        first_accepted = first_accepted.or(Some(credential).filter(|_| is_accepted));
    }
    if let Some(attribute) = policy.attributes.presented() {
        caller.set(attribute, sent.identifier().map(Value::Identifier));
    }
    if let Some(first) = first_accepted {
        let name = Value::Text(Cow::Borrowed(first.name.as_bytes()));
        caller.set_or_conflict(Attributes::CREDENTIAL, name, Origin::First, trace)?;
    } else if presented.is_empty() && callers.absent == OnUnidentified::Refuse {
        trace.refuse(AuthFailure::Absent, None)?;
    }
    Ok(presented)
}
