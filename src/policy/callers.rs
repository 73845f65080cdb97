//! Callers: the credentials that a request may present, the attributes that belong to them, and the
//! other sources of attributes.

pub(crate) mod credential;
pub mod host;
pub(crate) mod source;

use super::Context;
use super::attributes::{AttributeId, Known};
use super::directory::{self, Directory};
use super::error::Reason;
use super::language as lang;
use super::reader::MapField;
use super::route::RouteId;
use super::select::read_routes;
use crate::base::id::{CredentialId, IdVec};
use crate::base::property::{Property, PropertySet};

pub use self::credential::{BasicPart, Credential, Place};
pub use self::source::{Source, Steps};

/// How callers are identified.
#[derive(Debug, Default)]
pub struct Callers {
    /// The routes on which they are required: elsewhere all callers are anonymous. `None` is
    /// everywhere.
    pub routes: Option<Vec<RouteId>>,
    /// All credentials, in the order in which they are looked for.
    pub credentials: IdVec<CredentialId, Credential>,
    /// The entries of their secrets.
    pub directory: Directory,
    /// Attributes that have sources.
    pub sources: Vec<(AttributeId, Vec<Source>)>,
    /// The treatment of a credential that the directory does not have.
    pub unknown: OnUnidentified,
    /// The treatment of a request without a credential.
    pub absent: OnUnidentified,
    /// The properties to read for each request.
    pub properties: PropertySet,
    /// The parts of a request's head that identify the caller.
    pub identity_inputs: IdentityInputs,
}

/// The parts of a request's head that identify the caller: if they are the same, so is the caller.
#[derive(Debug, Default)]
pub struct IdentityInputs {
    /// The headers that are read, by name, each once.
    pub headers: Vec<Box<str>>,
    /// The cookies that are read, by name, each once.
    pub cookies: Vec<Box<str>>,
    /// Whether the query is read.
    pub query: bool,
    /// Whether captures of routes in the path are.
    pub path: bool,
}

/// The treatment of an unknown caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnidentified {
    /// 401.
    Refuse,
    /// Goes on without attributes.
    #[default]
    Anonymous,
}

/// Envoy's name for `Host`, and for HTTP/2's own field.
pub const AUTHORITY: &str = ":authority";

/// The header that has all cookies.
pub const COOKIE: &str = "cookie";

impl Callers {
    /// Whether a source reads the proxy's own metadata.
    #[must_use]
    pub fn asks_for_the_node(&self) -> bool {
        self.sources.iter().any(|(_, sources)| {
            sources
                .iter()
                .any(|source| matches!(source, Source::NodeMetadata(..)))
        })
    }

    /// Resolves the proxy's own metadata, once for all requests: `find` returns the value of a path
    /// in it. Before this, nothing there has a value.
    pub fn settle_node(&mut self, find: impl Fn(&Steps) -> Option<Box<[u8]>>) {
        for source in self.sources.iter_mut().flat_map(|(_, sources)| sources) {
            if let Source::NodeMetadata(path, value) = source {
                *value = find(path);
            }
        }
    }
}

impl IdentityInputs {
    fn of(credentials: &[Credential], sources: &[(AttributeId, Vec<Source>)]) -> Self {
        let mut identity_inputs = Self::default();
        for credential in credentials {
            match &credential.place {
                Place::Header { name, .. } => identity_inputs.headers.push(name.clone()),
                Place::Query { .. } => identity_inputs.query = true,
                Place::Cookie { name } => identity_inputs.cookies.push(name.clone()),
                Place::Metadata(_) => {}
            }
        }
        for source in sources.iter().flat_map(|(_, sources)| sources) {
            match source {
                Source::Header(name) => identity_inputs.headers.push(name.clone()),
                Source::Host(_) => identity_inputs.headers.push(AUTHORITY.into()),
                Source::Cookie(name) => identity_inputs.cookies.push(name.clone()),
                Source::Query(_) => identity_inputs.query = true,
                Source::Path(_) => identity_inputs.path = true,
                Source::Directory(_)
                | Source::Metadata { .. }
                | Source::RouteMetadata(_)
                | Source::NodeMetadata(..)
                | Source::Constant(_)
                | Source::ClientAddress { .. }
                | Source::ClientCertificate(_) => {}
            }
        }
        identity_inputs.headers.sort_unstable();
        identity_inputs.headers.dedup();
        identity_inputs.cookies.sort_unstable();
        identity_inputs.cookies.dedup();
        identity_inputs
    }
}

pub(super) fn read(map: &MapField<'_, lang::Callers>, context: &mut Context) -> Option<Callers> {
    let errors_before = map.field().errors.count();
    let routes = map.read_with(lang::Callers::FOR, |_, map| read_routes_of(&map, context));
    let credentials = map.read_with(lang::Callers::CREDENTIALS, |_, list| {
        credential::read(&list, context)
    });
    // An entry may have these attributes, including those that are added later.
    map.read_with(lang::Callers::DIRECTORY_ATTRIBUTES, |_, names| {
        names.each(|field, name| context.attributes.declare(&field, name))
    });
    let directory = map.read_with(lang::Callers::DIRECTORY, |field, list| {
        match context.packed.take() {
            Some(table) => directory::of_table(table, &field, context),
            None => Some(directory::read(&list, context)),
        }
    });
    let credentials = credentials.map(|read| IdVec::from(read.unwrap_or_default()));
    let none = IdVec::default();
    let places = credentials.as_ref().unwrap_or(&none);
    let sources = map.read_with(lang::Callers::ATTRIBUTES, |_, map| {
        source::read(&map, places, context)
    });
    let free = sources.iter().flatten().flatten();
    let free = free.filter(|(_, sources)| !sources.iter().all(Source::needs_credential));
    let free = free.map(|(attribute, _)| *attribute).collect();
    context.attributes.set_free(free);
    let chosen = sources.iter().flatten().flatten();
    let chosen = chosen.filter(|(_, sources)| sources.iter().any(Source::is_chosen));
    let chosen = chosen.map(|(attribute, _)| *attribute).collect();
    context.attributes.set_chosen(chosen);
    let has_directory = map.has(lang::Callers::DIRECTORY);
    context.attributes.close(match &directory {
        Some(_) if map.field().errors.count() == errors_before => Known::All {
            directory: has_directory,
        },
        Some(_) | None => Known::Nothing,
    });
    let unknown = map.read(lang::Callers::UNKNOWN);
    let absent = map.read(lang::Callers::ABSENT);
    let looked_up = places
        .iter()
        .any(|credential| !matches!(credential.place, Place::Metadata(_)));
    if unknown == Some(OnUnidentified::Refuse)
        && !has_directory
        && (looked_up || credentials.is_none())
    {
        map.field().error(Reason::NoAcceptedCredential);
    }
    map.finish();
    let (credentials, sources) = (credentials?, sources?.unwrap_or_default());
    Some(Callers {
        routes: routes?,
        properties: properties(&credentials, &sources),
        identity_inputs: IdentityInputs::of(&credentials, &sources),
        credentials,
        directory: directory?.unwrap_or_default(),
        sources,
        unknown: unknown?,
        absent: absent?,
    })
}

fn read_routes_of(
    map: &MapField<'_, lang::CallerRoutes>,
    context: &mut Context,
) -> Option<Vec<RouteId>> {
    let routes = map.read_with(lang::CallerRoutes::ROUTES, |_, list| {
        read_routes(&list, &mut context.routes)
    });
    map.finish();
    Some(routes?.into_iter().map(|(_, id)| id).collect())
}

/// The properties to read for each request; the proxy's own metadata is the same for all of them.
fn properties(credentials: &[Credential], sources: &[(AttributeId, Vec<Source>)]) -> PropertySet {
    let mut all = PropertySet::default();
    if credentials
        .iter()
        .any(|credential| matches!(credential.place, Place::Metadata(_)))
    {
        all.add(Property::Metadata);
    }
    sources
        .iter()
        .flat_map(|(_, sources)| sources)
        .filter_map(Source::property)
        .for_each(|property| all.add(property));
    all
}
