//! Attributes from elsewhere than a credential's entry: each from the first source that has a
//! value.

use super::super::Context;
use super::super::attributes::AttributeId;
use super::super::error::Reason;
use super::super::header;
#[cfg(not(target_arch = "wasm32"))]
use super::super::language::Words as _;
use super::super::language::{self as lang, Either, Kind};
use super::super::reader::{Field, MapField};
use super::super::route::Route;
use super::host::HostPattern;
use super::{COOKIE, Credential, Place};
use crate::base::id::{CredentialId, IdVec};
use crate::base::property::Property;

/// The way to a value in metadata: from map to map by key, into a list by index.
pub type Steps = Vec<Box<str>>;

/// The source of an attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This attribute of the directory's entry.
    Directory(AttributeId),
    /// The segment of the path that the route captures under the attribute's name.
    Path(Box<Route>),
    /// Dynamic metadata of an earlier filter.
    Metadata {
        /// The filter's name, then the keys.
        path: Steps,
        /// The credential that says this: it is on the path.
        claim_of: Option<CredentialId>,
    },
    /// Metadata of the route, from the configuration: a namespace, then the keys.
    RouteMetadata(Steps),
    /// Metadata of the proxy, from its configuration, with the value once that is resolved.
    NodeMetadata(Steps, Option<Box<[u8]>>),
    /// A query parameter of this name, decoded.
    Query(Box<str>),
    /// A cookie of this name.
    Cookie(Box<str>),
    /// This value, for each request.
    Constant(Box<str>),
    /// A header of this name, in lower case, which no client can invent.
    Header(Box<str>),
    /// The host that the request is for, without its port, or its label that the pattern captures
    /// under the attribute's name.
    Host(Option<Box<HostPattern>>),
    /// The client's address, of which these bits count.
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

    /// Whether it has a value only by a credential.
    #[must_use]
    pub const fn needs_credential(&self) -> bool {
        match self {
            Self::Directory(_) => true,
            Self::Metadata { claim_of, .. } => claim_of.is_some(),
            Self::Path(_)
            | Self::RouteMetadata(_)
            | Self::NodeMetadata(..)
            | Self::Query(_)
            | Self::Cookie(_)
            | Self::Constant(_)
            | Self::Header(_)
            | Self::Host(_)
            | Self::ClientAddress { .. }
            | Self::ClientCertificate(_) => false,
        }
    }

    /// Whether clients choose its value.
    pub(super) fn is_chosen(&self) -> bool {
        match self {
            Self::Path(_) | Self::Query(_) | Self::Cookie(_) | Self::Host(_) => true,
            Self::Directory(_)
            | Self::Metadata { .. }
            | Self::RouteMetadata(_)
            | Self::NodeMetadata(..)
            | Self::Constant(_)
            | Self::Header(_)
            | Self::ClientAddress { .. }
            | Self::ClientCertificate(_) => false,
        }
    }

    /// The property to read for it, for each request.
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
            | Self::Cookie(_)
            | Self::Constant(_)
            | Self::Header(_)
            | Self::Host(_) => None,
        }
    }
}

/// The words for the parts of a client's certificate.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn certificate_parts() -> impl Iterator<Item = (&'static str, Property)> {
    let words = Property::WORDS.iter().copied();
    words.zip(Property::VALUES.iter().copied())
}

/// Reads `attributes`. `credentials` are those of the policy, none if they have an error.
pub(super) fn read(
    map: &MapField<'_, lang::Sources>,
    credentials: &IdVec<CredentialId, Credential>,
    context: &mut Context,
) -> Option<Vec<(AttributeId, Vec<Source>)>> {
    let mut all = Vec::new();
    for (entry, field) in map.rest() {
        let attribute = context.attributes.declare(&field, &entry.key);
        let list = lang::SourceList::read(field);
        let (Some(attribute), Some(list)) = (attribute, list) else {
            continue;
        };
        let mut seen: Vec<(Source, String)> = Vec::new();
        let sources = list.0.each(|field, map| {
            let source = read_source(&map, &entry.key, credentials, context)?;
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == source) {
                return field.refuse(Reason::Duplicate {
                    value: None,
                    first: first.clone(),
                });
            }
            let constant = |(known, _): &&(Source, String)| matches!(known, Source::Constant(_));
            if let Some((_, first)) = seen.iter().find(constant) {
                return field.refuse(Reason::AfterConstant(first.clone()));
            }
            seen.push((source.clone(), field.at.to_string()));
            Some(source)
        });
        let mut sources = sources.unwrap_or_default();
        // An entry's own value is first, unless the list states its place among the others.
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
    map: &MapField<'_, lang::Source>,
    attribute: &str,
    credentials: &IdVec<CredentialId, Credential>,
    context: &mut Context,
) -> Option<Source> {
    let source = map
        .only_one()
        .and_then(|_| read_only_one(map, attribute, credentials, context));
    map.finish();
    source
}

/// Reads the one source that there is.
fn read_only_one(
    map: &MapField<'_, lang::Source>,
    attribute: &str,
    credentials: &IdVec<CredentialId, Credential>,
    context: &mut Context,
) -> Option<Source> {
    // No entry has to have it now: directories change more often than policies.
    let of_directory = map.read_with(lang::Source::DIRECTORY, |field, name| {
        let attribute = context.attributes.declare(&field, name)?;
        Some(Source::Directory(attribute))
    });
    let of_path = map.read_with(lang::Source::PATH, |field, route| {
        checked_path(&field, route, attribute).map(|route| Source::Path(Box::new(route)))
    });
    let of_metadata = map.read_with(lang::Source::METADATA, |field, path| {
        claim(&field, path, credentials)
    });
    let of_query = map.read_with(lang::Source::QUERY, |field, name| {
        no_secret(
            &field,
            credentials,
            |place| matches!(place, Place::Query { name: known } if **known == *name),
        )?;
        Some(Source::Query(name.into()))
    });
    let of_cookie = map.read_with(lang::Source::COOKIE, |field, name| {
        no_secret(&field, credentials, |place| match place {
            Place::Cookie { name: known } => **known == *name,
            Place::Header { name: known, .. } => **known == *COOKIE,
            Place::Query { .. } | Place::Metadata(_) => false,
        })?;
        Some(Source::Cookie(name.into()))
    });
    let of_header = map.read_with(lang::Source::HEADER, |field, name| {
        no_secret(&field, credentials, |place| match place {
            Place::Header { name: known, .. } => *known == name,
            Place::Cookie { .. } => *name == *COOKIE,
            Place::Query { .. } | Place::Metadata(_) => false,
        })?;
        Some(Source::Header(name))
    });
    let trusted = map.value(lang::Source::HEADER).map_or(Some(()), |header| {
        header::read_trusted(&header, map.value(lang::Source::TRUSTED).as_ref())
    });
    let of_host = map.read_with(lang::Source::HOST, |field, host| {
        read_host(&field, host, attribute).map(Source::Host)
    });
    let of_address = map.read_with(lang::Source::CLIENT_ADDRESS, |_, map| {
        read_client_address(&map)
    });
    let of_route = map.read(lang::Source::ROUTE_METADATA)?;
    let of_node = map.read(lang::Source::NODE_METADATA)?;
    let of_value = map.read(lang::Source::VALUE)?;
    let of_certificate = map.read(lang::Source::CLIENT_CERTIFICATE)?;
    trusted?;
    of_directory?
        .or(of_path?)
        .or(of_metadata?)
        .or(of_query?)
        .or(of_cookie?)
        .or(of_header?)
        .or(of_host?)
        .or(of_address?)
        .or(of_route.map(Source::RouteMetadata))
        .or(of_node.map(|path| Source::NodeMetadata(path, None)))
        .or(of_value.map(|value| Source::Constant(value.into())))
        .or(of_certificate.map(Source::ClientCertificate))
}

/// The metadata of an earlier filter at this path, which may belong to a credential.
fn claim(
    field: &Field<'_>,
    path: Steps,
    credentials: &IdVec<CredentialId, Credential>,
) -> Option<Source> {
    // The value there, if it is a text, may be a session's own secret.
    no_secret(
        field,
        credentials,
        |place| matches!(place, Place::Metadata(verified) if *verified == path),
    )?;
    let claim_of = credentials
        .entries()
        .find(|(_, credential)| match &credential.place {
            Place::Metadata(verified) => path.starts_with(verified),
            Place::Header { .. } | Place::Query { .. } | Place::Cookie { .. } => false,
        })
        .map(|(id, _)| id);
    Some(Source::Metadata { path, claim_of })
}

/// Attributes may be written down, secrets never: `holds` is whether the source is a secret.
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

/// The pattern, if it captures the attribute; `None` for the whole host.
fn read_host(
    field: &Field<'_>,
    host: Either<bool, HostPattern>,
    attribute: &str,
) -> Option<Option<Box<HostPattern>>> {
    match host {
        Either::One(true) => Some(None),
        Either::One(false) => field.refuse(Reason::NotTrue),
        Either::Other(pattern) if pattern.captures().any(|name| name == attribute) => {
            Some(Some(Box::new(pattern)))
        }
        Either::Other(_) => field.refuse(Reason::NoLabel(attribute.to_owned())),
    }
}

fn read_client_address(map: &MapField<'_, lang::AddressPrefixes>) -> Option<Source> {
    let v4_prefix = map.read(lang::AddressPrefixes::V4_PREFIX);
    let v6_prefix = map.read(lang::AddressPrefixes::V6_PREFIX);
    map.finish();
    Some(Source::ClientAddress {
        v4_prefix: v4_prefix?,
        v6_prefix: v6_prefix?,
    })
}

/// The route, if it is a path that captures the attribute.
fn checked_path(field: &Field<'_>, route: Route, attribute: &str) -> Option<Route> {
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
