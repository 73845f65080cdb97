//! Who is calling: the credentials that a request may present, and what they stand for.

use std::collections::HashMap;

use super::Context;
use super::attributes::{AttributeId, Complete};
use super::directory::{self, Directory};
use super::error::Reason;
use super::reader::{Field, is_token};
use super::route::{Route, RouteId};
use super::select::read_routes;

/// How callers are identified.
#[derive(Debug, Default)]
pub struct Callers {
    /// Where they are asked for: elsewhere everybody is anonymous. `None` is everywhere.
    pub routes: Option<Vec<RouteId>>,
    /// All credentials, in the order in which they are looked for.
    pub credentials: Vec<Credential>,
    /// What their secrets stand for.
    pub directory: Directory,
    /// Attributes with sources of their own.
    pub sources: Vec<(AttributeId, Vec<Source>)>,
    /// What becomes of a credential that the directory does not have.
    pub unknown: Stance,
    /// What becomes of a request without a credential.
    pub absent: Stance,
}

/// One way to present a secret.
#[derive(Debug)]
pub struct Credential {
    /// Its name.
    pub name: Box<str>,
    /// The attribute of that name: an opaque identifier of the secret.
    pub attribute: AttributeId,
    /// Where it stands.
    pub place: Place,
}

/// Where a credential stands in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a header.
    Header {
        /// The header's name, in lower case.
        name: Box<str>,
        /// The word before the secret, compared without regard to case (RFC 9110 §11.1).
        scheme: Option<Box<str>>,
    },
    /// In a query parameter.
    Query {
        /// The parameter's name, decoded.
        name: Box<str>,
    },
}

impl Place {
    /// The same for all spellings of one place.
    fn spelled_alike(&self) -> Self {
        match self.clone() {
            Self::Header { name, scheme } => {
                Self::Header { name, scheme: scheme.map(|scheme| scheme.to_ascii_lowercase().into()) }
            }
            query @ Self::Query { .. } => query,
        }
    }
}

/// What to do with a caller who is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stance {
    /// 401.
    Refuse,
    /// Goes on without attributes.
    #[default]
    Anonymous,
}

/// Where an attribute's value may come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This attribute of the directory's entry.
    Directory(AttributeId),
    /// The segment of the path that the route captures under the attribute's name.
    Path(Box<Route>),
}

const CREDENTIALS_MAX: usize = 16;
const SOURCES_MAX: usize = 16;
const TOKEN_BYTES_MAX: usize = 128;
const STANCES: [(&str, Stance); 2] = [("refuse", Stance::Refuse), ("anonymous", Stance::Anonymous)];

pub(super) fn read(field: Field<'_>, context: &mut Context) -> Option<Callers> {
    let map = field.map()?;
    let faults_before = field.faults.count();
    let routes = map.optional("for", None, |field| read_where(field, context).map(Some));
    let credentials = match map.require("credentials") {
        Some(field) => read_credentials(field, context),
        None => None,
    };
    let directory = map.optional("directory", Directory::default(), |field| directory::read(field, context));
    let sources = map.optional("attributes", Vec::new(), |field| read_attributes(field, context));
    context.attributes.close(match &directory {
        Some(directory) if field.faults.count() == faults_before && directory.count() > 0 => Complete::All,
        Some(_) if field.faults.count() == faults_before => Complete::Credentials,
        Some(_) | None => Complete::Nothing,
    });
    let unknown = stance(map.get("unknown"));
    let absent = stance(map.get("absent"));
    if unknown == Some(Stance::Refuse) && map.get("directory").is_none() {
        field.fault(Reason::NobodyKnown);
    }
    map.end();
    Some(Callers {
        routes: routes?,
        credentials: credentials?,
        directory: directory?,
        sources: sources?,
        unknown: unknown?,
        absent: absent?,
    })
}

/// Nothing written is `refuse`: a policy that names credentials means them.
fn stance(field: Option<Field<'_>>) -> Option<Stance> {
    field.map_or(Some(Stance::Refuse), |field| field.choice("a stance", &STANCES))
}

fn read_where(field: Field<'_>, context: &mut Context) -> Option<Vec<RouteId>> {
    let map = field.map()?;
    let routes = map.require("routes").and_then(|field| read_routes(field, &mut context.routes));
    map.end();
    Some(routes?.into_iter().map(|(_, id)| id).collect())
}

fn read_credentials(field: Field<'_>, context: &mut Context) -> Option<Vec<Credential>> {
    let nodes = field.full_list(CREDENTIALS_MAX)?;
    let mut places = HashMap::new();
    let read = field.each(nodes, |field| {
        let map = field.map()?;
        let name = map.require("name").and_then(|field| {
            let name = field.name()?;
            Some((name, context.attributes.declare_credential(&field, name)?))
        });
        let header = map.get("header");
        let scheme = map.get("scheme");
        let query = map.get("query");
        let place = match (&header, &query) {
            (Some(header), None) => read_header(header, scheme.as_ref()),
            (None, Some(query)) => {
                if let Some(scheme) = &scheme {
                    scheme.fault(Reason::SchemeWithoutHeader);
                }
                query.text(TOKEN_BYTES_MAX).map(|name| Place::Query { name: name.into() })
            }
            (Some(_), Some(_)) | (None, None) => {
                map.field().refuse(Reason::NotOneSource { sources: &["header", "query"] })
            }
        };
        map.end();
        let ((name, attribute), place) = name.zip(place)?;
        if let Some(first) = places.insert(place.spelled_alike(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate { value: None, first });
        }
        Some(Credential { name: name.into(), attribute, place })
    });
    (read.len() == nodes.len()).then_some(read)
}

fn read_header(header: &Field<'_>, scheme: Option<&Field<'_>>) -> Option<Place> {
    let name = token(header, "a header");
    let scheme = match scheme {
        Some(scheme) => token(scheme, "an authentication scheme").map(Some),
        None => Some(None),
    };
    let (name, scheme) = name.zip(scheme)?;
    Some(Place::Header { name: name.to_ascii_lowercase().into(), scheme: scheme.map(Box::from) })
}

fn token<'a>(field: &Field<'a>, kind: &'static str) -> Option<&'a str> {
    let text = field.text(TOKEN_BYTES_MAX)?;
    if is_token(text) { Some(text) } else { field.refuse(Reason::BadToken { value: text.to_owned(), kind }) }
}

fn read_attributes(field: Field<'_>, context: &mut Context) -> Option<Vec<(AttributeId, Vec<Source>)>> {
    let map = field.map()?;
    let mut all = Vec::new();
    for (entry, field) in map.others() {
        let attribute = context.attributes.declare(&field, &entry.key);
        let nodes = field.full_list(SOURCES_MAX);
        let (Some(attribute), Some(nodes)) = (attribute, nodes) else { continue };
        let mut sources = field.each_once(nodes, |source| read_source(source, &entry.key, context));
        // An entry's own value comes first, unless the list says where among the others.
        if !sources.iter().any(|source| matches!(source, Source::Directory(_))) {
            sources.insert(0, Source::Directory(attribute));
        }
        all.push((attribute, sources));
    }
    Some(all)
}

fn read_source(field: Field<'_>, attribute: &str, context: &mut Context) -> Option<Source> {
    let map = field.map()?;
    let directory = map.get("directory");
    let path = map.get("path");
    let source = match (&directory, &path) {
        (Some(directory), None) => {
            // No entry has to have it now: directories change more often than policies.
            let name = directory.string();
            name.and_then(|name| context.attributes.declare(directory, name)).map(Source::Directory)
        }
        (None, Some(path)) => read_path(path, attribute).map(|route| Source::Path(Box::new(route))),
        (Some(_), Some(_)) | (None, None) => {
            map.field().refuse(Reason::NotOneSource { sources: &["directory", "path"] })
        }
    };
    map.end();
    source
}

fn read_path(field: &Field<'_>, attribute: &str) -> Option<Route> {
    let route = field.parsed(Route::parse, |value, error| Reason::BadRoute { value, error })?;
    if route.methods().next().is_some() {
        return field.refuse(Reason::MethodInPath);
    }
    if route.captures().any(|name| name == attribute) {
        Some(route)
    } else {
        field.refuse(Reason::NoCapture { name: attribute.to_owned() })
    }
}
