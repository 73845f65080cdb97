//! Attributes from elsewhere than a credential's entry: each from the first source that has a
//! value.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::Context;
use super::super::attributes::AttributeId;
use super::super::document::Value;
use super::super::error::Reason;
use super::super::header::{self, TOKEN_BYTES_MAX};
use super::super::reader::Field;
use super::super::route::Route;
use super::{Credential, Place, STEP_BYTES_MAX, read_steps};
use crate::base::id::{CredentialId, IdVec};
use crate::base::property::Property;

/// The way to a value in metadata: from map to map by key, into a list by index.
pub type Steps = Vec<Box<str>>;

/// Where an attribute's value may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This attribute of the directory's entry.
    Directory(AttributeId),
    /// The segment of the path that the route captures under the attribute's name.
    Path(Box<Route>),
    /// What an earlier filter found out.
    Metadata {
        /// The filter's name, then the keys.
        path: Steps,
        /// The credential that says this: it is on the path.
        claim_of: Option<CredentialId>,
    },
    /// What the configuration says of the route: a namespace, then the keys.
    RouteMetadata(Steps),
    /// What the proxy's configuration says of the proxy, with the value once that is settled.
    NodeMetadata(Steps, Option<Box<[u8]>>),
    /// A query parameter of this name, decoded.
    Query(Box<str>),
    /// A header of this name, in lower case, which no client can invent.
    Header(Box<str>),
    /// The host that the request is for, without its port.
    Host,
    /// The client's address, as many bits of it.
    ClientAddress {
        /// Of an IPv4 address, 0 to 32.
        v4_prefix: u32,
        /// Of an IPv6 address, 0 to 128.
        v6_prefix: u32,
    },
    /// This part of the client's certificate.
    ClientCertificate(Property),
}

impl Source {
    /// The path of the metadata that it reads, and the credential that writes it, if one does.
    #[must_use]
    pub fn metadata(&self) -> Option<(&Steps, Option<CredentialId>)> {
        if let Self::Metadata { path, claim_of } = self {
            Some((path, *claim_of))
        } else {
            None
        }
    }

    /// What the proxy has to be asked for it, for each request.
    pub(super) fn property(&self) -> Option<Property> {
        match self {
            Self::Metadata { .. } => Some(Property::Metadata),
            Self::RouteMetadata(_) => Some(Property::RouteMetadata),
            Self::ClientAddress { .. } => Some(Property::SourceAddress),
            Self::ClientCertificate(part) => Some(*part),
            Self::Directory(_)
            | Self::Path(_)
            | Self::NodeMetadata(..)
            | Self::Query(_)
            | Self::Header(_)
            | Self::Host => None,
        }
    }
}

pub(crate) const SOURCES_MAX: usize = 16;
pub(crate) const V4_PREFIX_DEFAULT: u32 = 32;
/// A client has a whole /64 to choose addresses from.
pub(crate) const V6_PREFIX_DEFAULT: u32 = 64;

/// The keys of the sources, in the order in which messages list them.
pub(crate) const KEYS: [&str; 10] = [
    "directory",
    "path",
    "metadata",
    "route_metadata",
    "node_metadata",
    "query",
    "header",
    "host",
    "client_address",
    "client_certificate",
];

pub(crate) const PARTS: [(&str, Property); 4] = [
    ("subject", Property::CertificateSubject),
    ("uri_san", Property::CertificateUriSan),
    ("dns_san", Property::CertificateDnsSan),
    ("sha256", Property::CertificateSha256),
];

/// Reads `attributes`. `credentials` are those of the policy, none where they have an error.
pub(super) fn read(
    field: Field<'_>,
    credentials: &IdVec<CredentialId, Credential>,
    context: &mut Context,
) -> Option<Vec<(AttributeId, Vec<Source>)>> {
    let map = field.map("{ org: [{ directory: org }] }")?;
    let mut all = Vec::new();
    for (entry, field) in map.others() {
        let attribute = context.attributes.declare(&field, &entry.key);
        let nodes = field.non_empty_list(SOURCES_MAX);
        let (Some(attribute), Some(nodes)) = (attribute, nodes) else {
            continue;
        };
        let mut seen: Vec<(Source, String)> = Vec::new();
        let mut sources = field.each(nodes, |field| {
            let source = read_source(field, &entry.key, credentials, context)?;
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == source) {
                return field.refuse(Reason::Duplicate {
                    value: None,
                    first: first.clone(),
                });
            }
            seen.push((source.clone(), field.at.to_string()));
            Some(source)
        });
        // An entry's own value comes first, unless the list says where among the others.
        if !sources
            .iter()
            .any(|source| matches!(source, Source::Directory(_)))
        {
            sources.insert(0, Source::Directory(attribute));
        }
        all.push((attribute, sources));
    }
    Some(all)
}

fn read_source(
    field: Field<'_>,
    attribute: &str,
    credentials: &IdVec<CredentialId, Credential>,
    context: &mut Context,
) -> Option<Source> {
    let map = field.map("{ metadata: [envoy.filters.http.jwt_authn, session, sub] }")?;
    let found: Vec<(&'static str, Field<'_>)> = KEYS
        .iter()
        .filter_map(|key| Some((*key, map.get(key)?)))
        .collect();
    let trusted = map.get("trusted");
    header::only_beside_header(map.get("header").as_ref(), trusted.as_ref());
    let source = match found.as_slice() {
        [(key, value)] => read_one(key, *value, trusted, attribute, credentials, context),
        _ => field.refuse(Reason::NotOneSource {
            sources: &KEYS,
            given: found.iter().map(|(key, _)| *key).collect(),
        }),
    };
    map.deny_unknown();
    source
}

fn read_one(
    key: &str,
    value: Field<'_>,
    trusted: Option<Field<'_>>,
    attribute: &str,
    credentials: &IdVec<CredentialId, Credential>,
    context: &mut Context,
) -> Option<Source> {
    match key {
        "directory" => {
            // No entry has to have it now: directories change more often than policies.
            let name = value.string();
            name.and_then(|name| context.attributes.declare(&value, name))
                .map(Source::Directory)
        }
        "path" => read_path(&value, attribute).map(|route| Source::Path(Box::new(route))),
        "metadata" => read_metadata(value, credentials),
        "route_metadata" => read_steps(value, 2).map(Source::RouteMetadata),
        "node_metadata" => read_node_metadata(value),
        "query" => {
            let name = value.text(TOKEN_BYTES_MAX)?;
            let holds =
                |place: &Place| matches!(place, Place::Query { name: known } if **known == *name);
            no_secret(&value, credentials, holds)?;
            Some(Source::Query(name.into()))
        }
        "header" => {
            let name = header::read_name(&value);
            let trusted = header::read_trusted(&value, trusted.as_ref());
            let name = name?;
            no_secret(
                &value,
                credentials,
                |place| matches!(place, Place::Header { name: known, .. } if *known == name),
            )?;
            trusted.map(|()| Source::Header(name))
        }
        "host" => {
            if value.boolean()? {
                Some(Source::Host)
            } else {
                value.refuse(Reason::NotTrue)
            }
        }
        "client_address" => read_client_address(value),
        _ => value
            .choice("a part of a client's certificate", &PARTS)
            .map(Source::ClientCertificate),
    }
}

fn read_metadata(
    value: Field<'_>,
    credentials: &IdVec<CredentialId, Credential>,
) -> Option<Source> {
    let path = read_steps(value, 2)?;
    // The value there, if it is a text, may be a session's own secret.
    no_secret(
        &value,
        credentials,
        |place| matches!(place, Place::Metadata(verified) if *verified == path),
    )?;
    let says = |credential: &Credential| match &credential.place {
        Place::Metadata(verified) => path.starts_with(verified),
        Place::Header { .. } | Place::Query { .. } => false,
    };
    let claim_of = credentials
        .entries()
        .find(|(_, credential)| says(credential))
        .map(|(id, _)| id);
    Some(Source::Metadata { path, claim_of })
}

fn read_node_metadata(value: Field<'_>) -> Option<Source> {
    let path = match &value.node.value {
        Value::String(_) => value.text(STEP_BYTES_MAX).map(|step| vec![step.into()]),
        Value::List(_) => read_steps(value, 1),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Map(_)) => {
            value.refuse(Reason::NotA {
                wanted: "a string or a list",
                found: other.kind(),
            })
        }
    };
    path.map(|path| Source::NodeMetadata(path, None))
}

/// Attributes may be written down, secrets never: `holds` tells whether the source is a secret.
fn no_secret(
    field: &Field<'_>,
    credentials: &IdVec<CredentialId, Credential>,
    holds: impl Fn(&Place) -> bool,
) -> Option<()> {
    match credentials
        .iter()
        .find(|credential| holds(&credential.place))
    {
        Some(credential) => field.refuse(Reason::SecretAsAttribute {
            credential: credential.name.to_string(),
        }),
        None => Some(()),
    }
}

fn read_client_address(field: Field<'_>) -> Option<Source> {
    let map = field.map("{ v4_prefix: 32, v6_prefix: 64 }")?;
    let v4_prefix = map.optional("v4_prefix", V4_PREFIX_DEFAULT, |field| {
        field.count(0, Ipv4Addr::BITS)
    });
    let v6_prefix = map.optional("v6_prefix", V6_PREFIX_DEFAULT, |field| {
        field.count(0, Ipv6Addr::BITS)
    });
    map.deny_unknown();
    Some(Source::ClientAddress {
        v4_prefix: v4_prefix?,
        v6_prefix: v6_prefix?,
    })
}

fn read_path(field: &Field<'_>, attribute: &str) -> Option<Route> {
    let route = field.parsed(Route::parse, |value, error| Reason::BadRoute {
        value,
        error,
    })?;
    if route.methods().next().is_some() {
        return field.refuse(Reason::MethodInPath);
    }
    if route.captures().any(|name| name == attribute) {
        Some(route)
    } else {
        field.refuse(Reason::NoCapture {
            name: attribute.to_owned(),
        })
    }
}
