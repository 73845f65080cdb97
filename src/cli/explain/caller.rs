//! Who calls, in words: what the request presents, and where each attribute comes from.

use super::explanation::{Attribute, Callers, Credential, Found, Refused};
use super::recorder::{Heard, Recorder, Told, lossy};
use super::{explanation, matched};
use crate::base::id::CredentialId;
use crate::base::property::Property;
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::policy::callers::source::certificate_parts;
use crate::policy::callers::{Place, Source, Steps};
use crate::request::audit::Origin;
use crate::request::head::Request;
use crate::request::identify::{AuthFailure, Caller, is_asked};

/// `heard` until the caller was let in or refused; `known` is all that is known of it.
pub(super) fn callers(
    policy: &Policy,
    request: &Request,
    (heard, known): (&Recorder, &Recorder),
    refused: Option<(AuthFailure, Option<AttributeId>)>,
    caller: Option<&Caller<'_>>,
) -> Callers {
    let defined = !policy.callers.credentials.is_empty();
    let asked = defined && is_asked(request, policy);
    let words = Words { policy, heard };
    let known = Words {
        policy,
        heard: known,
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

/// A policy, and what was heard while it was at work.
struct Words<'a> {
    policy: &'a Policy,
    heard: &'a Recorder,
}

impl Words<'_> {
    fn credentials(&self, refused: Option<AuthFailure>) -> Vec<Credential> {
        let stopped = refused.and_then(|why| self.stopped_at(why));
        let all = self.policy.callers.credentials.entries();
        all.map(|(id, credential)| {
            let (found, identifier) = match self.heard.credentials.get(&id) {
                Some(Heard::Known(identifier)) => (Found::Known, Some(identifier.clone())),
                Some(Heard::Unknown(identifier)) => (Found::Unknown, Some(identifier.clone())),
                Some(Heard::Verified(identifier)) => (Found::Verified, identifier.clone()),
                Some(Heard::PassedOver) => (Found::PassedOver, None),
                Some(Heard::Ambiguous) => (Found::Ambiguous, None),
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
            AuthFailure::Ambiguous if self.heard.repeated.is_some() => None,
            AuthFailure::Unknown | AuthFailure::Ambiguous => {
                self.heard.credentials.keys().next_back().copied()
            }
            AuthFailure::Conflicting => match self.heard.conflict.as_ref()?.1.origin {
                Origin::Entry(id) | Origin::Credential(id) => Some(id),
                Origin::First | Origin::Source(_) => None,
            },
        }
    }

    fn refused(&self, why: AuthFailure) -> String {
        let last = self.heard.credentials.keys().next_back();
        let credential = last.and_then(|id| self.policy.callers.credentials.get(*id));
        let name = credential.map_or("", |credential| &credential.name);
        match (why, &self.heard.repeated, &self.heard.conflict) {
            (AuthFailure::Absent, ..) => "no credential is presented".to_owned(),
            (AuthFailure::Unknown, ..) => format!("the directory does not have this {name}"),
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
                let first = self.heard.values.get(attribute);
                let first = first.map(|told| self.told(*attribute, told));
                format!(
                    "{} is {} and {}",
                    self.name(*attribute),
                    first.unwrap_or_default(),
                    self.told(*attribute, second)
                )
            }
            (AuthFailure::Conflicting, _, None) => {
                "two credentials stand for different callers".to_owned()
            }
        }
    }

    fn attributes(&self, caller: &Caller<'_>) -> Vec<Attribute> {
        let known = self
            .heard
            .values
            .iter()
            .filter_map(|(id, told)| Some((*id, told, caller.value(*id)?)));
        known
            .map(|(id, told, value)| Attribute {
                name: self.name(id).to_owned(),
                value: lossy(value),
                from: self.origin(id, told.origin),
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

    fn told(&self, attribute: AttributeId, told: &Told) -> String {
        format!("{} ({})", told.value, self.origin(attribute, told.origin))
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
                match self.heard.entries.get(from) {
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
            Some(Source::Header(name)) => format!("the header {name}, which is trusted"),
            Some(Source::Host) => "the host of the request".to_owned(),
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
        } => format!("header {name}, {scheme}"),
        Place::Header { name, scheme: None } => format!("header {name}"),
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
