//! The caller in words: its credentials, and the source of each attribute.

use super::explanation::{Attribute, Callers, Credential, Found, Refused};
use super::recorder::{CredentialRecord, Recorder, ValueRecord, lossy};
use super::{explanation, matched, time};
use crate::base::id::CredentialId;
use crate::base::property::Property;
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::policy::callers::source::certificate_parts;
use crate::policy::callers::{BasicPart, Place, Source, Steps};
use crate::request::audit::Origin;
use crate::request::head::Request;
use crate::request::identify::{AuthFailure, Caller, is_asked};

/// `record` ends when the caller is admitted or refused; `known` is all that is known of the
/// caller.
pub(super) fn callers(
    policy: &Policy,
    request: &Request,
    (record, known): (&Recorder, &Recorder),
    refused: Option<(AuthFailure, Option<AttributeId>)>,
    caller: Option<&Caller<'_>>,
) -> Callers {
    let defined = !policy.callers.credentials.is_empty();
    let asked = defined && is_asked(request, policy);
    let words = Words { policy, record };
    let known = Words {
        policy,
        record: known,
    };
    Callers {
        defined,
        asked,
        route: policy
            .callers
            .routes
            .as_ref()
            .and_then(|routes| matched(policy, request, routes)),
        credentials: if asked {
            words.credentials(refused.map(|(why, _)| why))
        } else {
            Vec::new()
        },
        refused: refused.map(|(why, _)| Refused {
            reason: why.name(),
            message: words.refused(why),
        }),
        refused_by: refused.and_then(|(_, attribute)| Some(words.name(attribute?).to_owned())),
        attributes: caller
            .map(|caller| known.attributes(caller))
            .unwrap_or_default(),
        missing: caller
            .map(|caller| known.without(caller))
            .unwrap_or_default(),
    }
}

/// A policy, and the record of how it identified the caller.
struct Words<'a> {
    policy: &'a Policy,
    record: &'a Recorder,
}

impl Words<'_> {
    fn credentials(&self, refused: Option<AuthFailure>) -> Vec<Credential> {
        let stopped = refused.and_then(|why| self.stopped_at(why));
        let all = self.policy.callers.credentials.entries();
        all.map(|(id, credential)| {
            let (found, identifier) = match self.record.credentials.get(&id) {
                Some(CredentialRecord::Known(identifier)) => {
                    (Found::Known, Some(identifier.clone()))
                }
                Some(CredentialRecord::Unknown(identifier)) => {
                    (Found::Unknown, Some(identifier.clone()))
                }
                Some(CredentialRecord::Expired(identifier, _)) => {
                    (Found::Expired, Some(identifier.clone()))
                }
                Some(CredentialRecord::Verified(identifier)) => {
                    (Found::Verified, identifier.clone())
                }
                Some(CredentialRecord::PassedOver) => (Found::PassedOver, None),
                Some(CredentialRecord::Ambiguous) => (Found::Ambiguous, None),
                None if stopped.is_some_and(|stopped| id > stopped) => (Found::NotLookedAt, None),
                None => (Found::NotPresented, None),
            };
            explanation::Credential {
                name: credential.name.to_string(),
                place: place(&credential.place),
                found,
                identifier,
            }
        })
        .collect()
    }

    /// The credential after which no other was looked at.
    fn stopped_at(&self, why: AuthFailure) -> Option<CredentialId> {
        match why {
            AuthFailure::Absent => None,
            AuthFailure::Ambiguous if self.record.repeated.is_some() => None,
            AuthFailure::Unknown | AuthFailure::Ambiguous => {
                self.record.credentials.keys().next_back().copied()
            }
            AuthFailure::Conflicting => match self.record.conflict.as_ref()?.1.origin {
                Origin::Entry(id) | Origin::Credential(id) => Some(id),
                Origin::First | Origin::Source(_) => None,
            },
        }
    }

    fn refused(&self, why: AuthFailure) -> String {
        let last = self.record.credentials.keys().next_back();
        let credential = last.and_then(|id| self.policy.callers.credentials.get(*id));
        let name = credential.map_or("", |credential| &credential.name);
        match (why, &self.record.repeated, &self.record.conflict) {
            (AuthFailure::Absent, ..) => "no credential is presented".to_owned(),
            (AuthFailure::Unknown, ..) => match self.record.credentials.values().next_back() {
                Some(CredentialRecord::Expired(_, until)) => format!(
                    "the directory's entry of this {name} was valid until {}",
                    time::rfc3339(*until)
                ),
                Some(_) | None => format!("the directory does not have this {name}"),
            },
            (AuthFailure::Ambiguous, Some((attribute, number)), _) => {
                format!(
                    "the source of {} occurs twice: {}",
                    self.name(*attribute),
                    self.source(*attribute, *number)
                )
            }
            (AuthFailure::Ambiguous, None, _) => {
                format!(
                    "{name} is presented twice: {}",
                    credential
                        .map(|credential| place(&credential.place))
                        .unwrap_or_default()
                )
            }
            (AuthFailure::Conflicting, _, Some((attribute, second))) => {
                let first = self.record.values.get(attribute);
                let first = first.map(|found| self.described(*attribute, found));
                format!(
                    "{} is {} and {}",
                    self.name(*attribute),
                    first.unwrap_or_default(),
                    self.described(*attribute, second)
                )
            }
            (AuthFailure::Conflicting, _, None) => {
                "two credentials identify different callers".to_owned()
            }
        }
    }

    fn attributes(&self, caller: &Caller<'_>) -> Vec<Attribute> {
        let known = self
            .record
            .values
            .iter()
            .filter_map(|(id, found)| Some((*id, found, caller.value(*id)?)));
        known
            .map(|(id, found, value)| Attribute {
                name: self.name(id).to_owned(),
                value: lossy(value),
                from: self.origin(id, found.origin),
            })
            .collect()
    }

    fn without(&self, caller: &Caller<'_>) -> Vec<String> {
        let missing = self
            .policy
            .attributes
            .iter()
            .filter(|id| caller.value(*id).is_none());
        missing.map(|id| self.name(id).to_owned()).collect()
    }

    fn name(&self, attribute: AttributeId) -> &str {
        self.policy.attributes.name(attribute)
    }

    fn described(&self, attribute: AttributeId, found: &ValueRecord) -> String {
        format!("{} ({})", found.value, self.origin(attribute, found.origin))
    }

    fn credential(&self, id: CredentialId) -> &str {
        let credential = self.policy.callers.credentials.get(id);
        credential.map_or("", |credential| &credential.name)
    }

    fn origin(&self, attribute: AttributeId, origin: Origin) -> String {
        match origin {
            Origin::Entry(id) => format!("the directory, for {}", self.credential(id)),
            Origin::Credential(id) => format!("the identifier of {}", self.credential(id)),
            Origin::First => "the first that is presented".to_owned(),
            Origin::Source(number) => self.source(attribute, number),
        }
    }

    fn source(&self, attribute: AttributeId, number: usize) -> String {
        let list = self
            .policy
            .callers
            .sources
            .iter()
            .find(|(id, _)| *id == attribute);
        match list.and_then(|(_, sources)| sources.get(number)) {
            Some(Source::Directory(from)) => {
                let of = if *from == attribute {
                    String::new()
                } else {
                    format!("{} of ", self.name(*from))
                };
                match self.record.entries.get(from) {
                    Some(credential) => {
                        format!("{of}{}", self.origin(*from, Origin::Entry(*credential)))
                    }
                    None => format!("{of}the caller"),
                }
            }
            Some(Source::Path(route)) => format!("the path, by {route}"),
            Some(Source::Metadata { path, .. }) => format!("metadata {}", steps(path)),
            Some(Source::RouteMetadata(path)) => format!("the route's metadata {}", steps(path)),
            Some(Source::NodeMetadata(path, _)) => format!("the proxy's metadata {}", steps(path)),
            Some(Source::Query(name)) => format!("the query parameter {name}"),
            Some(Source::Cookie(name)) => format!("the cookie {name}"),
            Some(Source::Constant(_)) => "the policy's own value".to_owned(),
            Some(Source::Header(name)) => format!("the header {name}, which is trusted"),
            Some(Source::Host(None)) => "the host of the request".to_owned(),
            Some(Source::Host(Some(pattern))) => format!("the host, by {pattern}"),
            Some(Source::ClientAddress { .. }) => "the client's address".to_owned(),
            Some(Source::ClientCertificate(part)) => {
                format!("the client's certificate, {}", part_name(*part))
            }
            None => String::new(),
        }
    }
}

fn place(place: &Place) -> String {
    match place {
        Place::Header {
            name,
            scheme: Some(scheme),
            part,
        } => {
            let part = match part {
                Some(BasicPart::User) => ", user",
                Some(BasicPart::Password) => ", password",
                None => "",
            };
            format!("header {name}, {scheme}{part}")
        }
        Place::Header {
            name, scheme: None, ..
        } => format!("header {name}"),
        Place::Cookie { name } => format!("cookie {name}"),
        Place::Query { name } => format!("query {name}"),
        Place::Metadata(path) => format!("metadata {}", steps(path)),
    }
}

fn steps(path: &Steps) -> String {
    format!("[{}]", path.join(", "))
}

fn part_name(part: Property) -> &'static str {
    certificate_parts()
        .find(|(_, known)| *known == part)
        .map_or("", |(name, _)| name)
}
