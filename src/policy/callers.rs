//! Callers: the credentials that a request may present, the attributes that belong to them, and the
//! other sources of attributes.

pub(crate) mod credential;
pub(crate) mod source;

use super::Context;
use super::attributes::{ATTRIBUTES_MAX, AttributeId, Known};
use super::directory::{self, Directory};
use super::error::Reason;
use super::reader::{Field, MapField};
use super::route::RouteId;
use super::select::read_routes;
use crate::base::id::{CredentialId, IdVec};
use crate::base::property::{Property, PropertySet};

pub use self::credential::{Credential, Place};
pub use self::source::{Source, Steps};

/// How callers are identified.
#[derive(Debug, Default)]
pub struct Callers {
    /// Where they are asked for: elsewhere everybody is anonymous. `None` is everywhere.
    pub routes: Option<Vec<RouteId>>,
    /// All credentials, in the order in which they are looked for.
    pub credentials: IdVec<CredentialId, Credential>,
    /// The entries of their secrets.
    pub directory: Directory,
    /// Attributes with sources of their own.
    pub sources: Vec<(AttributeId, Vec<Source>)>,
    /// What becomes of a credential that the directory does not have.
    pub unknown: OnUnidentified,
    /// What becomes of a request without a credential.
    pub absent: OnUnidentified,
    /// What the proxy must be asked for each request.
    pub properties: PropertySet,
    /// What of a request's head says who sent it.
    pub identity_inputs: IdentityInputs,
}

/// The parts of a request's head on which it depends who sent it: where they are the same, so is
/// the caller.
#[derive(Debug, Default)]
pub struct IdentityInputs {
    /// The headers that are read, by name, each once.
    pub headers: Vec<Box<str>>,
    /// Whether the query is read.
    pub query: bool,
    /// Whether what routes capture in the path is.
    pub path: bool,
}

/// What to do with a caller who is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnidentified {
    /// 401.
    Refuse,
    /// Goes on without attributes.
    #[default]
    Anonymous,
}

const STANCES: [(&str, OnUnidentified); 2] = [
    ("refuse", OnUnidentified::Refuse),
    ("anonymous", OnUnidentified::Anonymous),
];
/// What Envoy makes of `Host`, and of HTTP/2's own field.
pub const AUTHORITY: &str = ":authority";
/// The longest step of a path in metadata.
pub(crate) const STEP_BYTES_MAX: usize = 128;
pub(crate) const STEPS_MAX: usize = 16;

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

    /// Settles what the proxy says of itself, once for all requests: `find` has the value of a path
    /// in its metadata. Before this, nothing there has a value.
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
                Place::Metadata(_) => {}
            }
        }
        for source in sources.iter().flat_map(|(_, sources)| sources) {
            match source {
                Source::Header(name) => identity_inputs.headers.push(name.clone()),
                Source::Host => identity_inputs.headers.push(AUTHORITY.into()),
                Source::Query(_) => identity_inputs.query = true,
                Source::Path(_) => identity_inputs.path = true,
                Source::Directory(_)
                | Source::Metadata { .. }
                | Source::RouteMetadata(_)
                | Source::NodeMetadata(..)
                | Source::ClientAddress { .. }
                | Source::ClientCertificate(_) => {}
            }
        }
        identity_inputs.headers.sort_unstable();
        identity_inputs.headers.dedup();
        identity_inputs
    }
}

pub(super) fn read(field: Field<'_>, context: &mut Context) -> Option<Callers> {
    let map =
        field.map("{ credentials: [{ name: api_key, header: x-api-key }], directory: [] }")?;
    let errors_before = field.errors.count();
    let routes = map.optional("for", None, |field| read_where(field, context).map(Some));
    let credentials = map
        .require("credentials")
        .and_then(|field| credential::read(field, context));
    let entries = map.get("directory");
    declare_attributes(&map, entries.as_ref(), context);
    let directory = map.optional("directory", Directory::default(), |field| {
        directory::read(field, context)
    });
    let credentials = credentials.map(IdVec::from);
    let none = IdVec::default();
    let places = credentials.as_ref().unwrap_or(&none);
    let sources = map.optional("attributes", Vec::new(), |field| {
        source::read(field, places, context)
    });
    context.attributes.close(match &directory {
        Some(_) if field.errors.count() == errors_before => Known::All {
            directory: entries.is_some(),
        },
        Some(_) | None => Known::Nothing,
    });
    let unknown = stance(map.get("unknown"));
    let absent = stance(map.get("absent"));
    let looked_up = places
        .iter()
        .any(|credential| !matches!(credential.place, Place::Metadata(_)));
    if unknown == Some(OnUnidentified::Refuse)
        && entries.is_none()
        && (looked_up || credentials.is_none())
    {
        field.error(Reason::NoAcceptedCredential);
    }
    map.deny_unknown();
    let (credentials, sources) = (credentials?, sources?);
    Some(Callers {
        routes: routes?,
        properties: properties(&credentials, &sources),
        identity_inputs: IdentityInputs::of(&credentials, &sources),
        credentials,
        directory: directory?,
        sources,
        unknown: unknown?,
        absent: absent?,
    })
}

/// Adds the attributes that entries of the directory may have, those that are still to come too.
fn declare_attributes(map: &MapField<'_>, entries: Option<&Field<'_>>, context: &mut Context) {
    let Some(field) = map.get("directory_attributes") else {
        return;
    };
    if entries.is_none() {
        field.error(Reason::RequiresSibling {
            sibling: "`directory`",
        });
    }
    let Some(nodes) = field.list(ATTRIBUTES_MAX) else {
        return;
    };
    field.each_unique(nodes, |field| {
        context.attributes.declare(&field, field.string()?)
    });
}

/// Nothing written is `refuse`: a policy that names credentials means them.
fn stance(field: Option<Field<'_>>) -> Option<OnUnidentified> {
    field.map_or(Some(OnUnidentified::Refuse), |field| {
        field.choice("a treatment of unidentified callers", &STANCES)
    })
}

fn read_where(field: Field<'_>, context: &mut Context) -> Option<Vec<RouteId>> {
    let map = field.map("{ routes: [/v1/**] }")?;
    let routes = map
        .require("routes")
        .and_then(|field| read_routes(field, &mut context.routes));
    map.deny_unknown();
    Some(routes?.into_iter().map(|(_, id)| id).collect())
}

/// What has to be asked for each request; the proxy's own metadata is the same for all of them.
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

/// Steps to a value in metadata, from a list of at least `least`.
fn read_steps(field: Field<'_>, least: usize) -> Option<Steps> {
    let nodes = field.non_empty_list(STEPS_MAX)?;
    let steps = field.each(nodes, |step| step.text(STEP_BYTES_MAX).map(Box::from));
    if steps.len() < nodes.len() {
        return None;
    }
    if steps.len() < least {
        field.refuse(Reason::NamespaceAlone)
    } else {
        Some(steps)
    }
}
