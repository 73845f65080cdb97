//! Callers: credentials, the directory, and attributes from other sources.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde_json::{Value as Json, json};

use super::select::Routes;
use super::shape::{exactly_one, excludes, if_then, requires};
use super::words::{
    Digest, HeaderName, Name, NewAttribute, ParameterName, Path, Scheme, Step, Steps, True,
};
use crate::policy::attributes::{ATTRIBUTES_MAX, RESERVED};
use crate::policy::callers::STEPS_MAX;
use crate::policy::callers::credential::CREDENTIALS_MAX;
use crate::policy::callers::source::{KEYS, SOURCES_MAX, V4_PREFIX_DEFAULT, V6_PREFIX_DEFAULT};
use crate::policy::directory::{ENTRIES_MAX, VALUE_BYTES_MAX};

/// Who calls the API, and how callers are identified.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = if_then(refuses_unknown_secrets(), json!({ "required": ["directory"] })),
    transform = requires("directory_attributes", "directory")
)]
pub(super) struct Callers {
    /// The requests whose caller is identified. For all others no credential is read, and none gets
    /// a 401. If omitted, all requests are.
    r#for: Option<Where>,
    /// The credentials that a request may present, in order of preference. Several may share a
    /// name: they are ways to present one kind of credential.
    #[schemars(length(min = 1, max = CREDENTIALS_MAX))]
    credentials: Vec<Credential>,
    /// The secrets and the attributes of their callers. May be `[]` for now.
    #[schemars(length(max = ENTRIES_MAX))]
    directory: Option<Vec<Entry>>,
    /// Attributes that directory entries may have. Limits can name them even if no entry has them
    /// yet. Attributes of existing entries need not be listed.
    #[schemars(length(max = ATTRIBUTES_MAX), extend("uniqueItems" = true))]
    directory_attributes: Option<Vec<NewAttribute>>,
    /// Attributes from sources other than the directory, each a list of sources: the first that has
    /// a value is used.
    #[schemars(extend(
        "propertyNames" = json!({ "$ref": "#/$defs/Name", "not": { "enum": RESERVED } })
    ))]
    attributes: Option<BTreeMap<String, Sources>>,
    /// What to do with a secret that is not in the directory.
    #[schemars(extend("default" = "refuse"))]
    unknown: Option<OnUnidentified>,
    /// What to do with a request without a credential.
    #[schemars(extend("default" = "refuse"))]
    absent: Option<OnUnidentified>,
}

/// Selects requests.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Where {
    /// Requests that match one of these routes.
    routes: Routes,
}

/// What to do with a caller that is not identified.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum OnUnidentified {
    /// Answer 401.
    Refuse,
    /// Continue without attributes.
    Anonymous,
}

/// One way to present a credential: exactly one of `header`, `query` and `metadata`.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = exactly_one(&["header", "query", "metadata"]),
    transform = requires("scheme", "header"),
    transform = excludes("unless", "metadata")
)]
struct Credential {
    /// The name of the credential and of its attribute, which is an identifier of the secret, never
    /// the secret itself, as in `per: [api_key]`.
    name: NewAttribute,
    /// The header that contains the secret.
    header: Option<HeaderName>,
    /// The word before the secret, such as `Bearer`, case-insensitive. A header with another scheme
    /// does not count.
    scheme: Option<Scheme>,
    /// The query parameter that contains the secret.
    query: Option<ParameterName>,
    /// The dynamic metadata that an earlier filter writes after it has verified a credential, as
    /// `[envoy.filters.http.jwt_authn, session]`. The credential counts as presented if the value
    /// is a map or a string; it is never looked up in the directory.
    metadata: Option<Steps>,
    /// The name of an earlier credential. If that one is presented too, a secret that is not in the
    /// directory is ignored.
    unless: Option<Name>,
}

/// A secret and its attributes. Every key except `sha256` is an attribute of its caller, as in
/// `org: acme`.
#[derive(JsonSchema)]
#[schemars(extend(
    "propertyNames" = json!({ "$ref": "#/$defs/Name", "not": { "enum": not_attributes() } })
))]
struct Entry {
    sha256: Digest,
    #[schemars(flatten)]
    attributes: BTreeMap<String, Held>,
}

/// The value of this attribute.
#[derive(JsonSchema)]
struct Held(#[schemars(length(min = 1, max = VALUE_BYTES_MAX))] String);

/// The sources of an attribute: the first that has a value is used. The directory comes first,
/// unless the list contains it.
#[derive(JsonSchema)]
struct Sources(
    #[schemars(length(min = 1, max = SOURCES_MAX), extend("uniqueItems" = true))] Vec<Source>,
);

/// A source: exactly one key, apart from `trusted`.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = exactly_one(&KEYS),
    transform = requires("header", "trusted"),
    transform = requires("trusted", "header")
)]
struct Source {
    /// This attribute of the caller's directory entry.
    directory: Option<Name>,
    /// The segment of the path that is captured under the attribute's own name. The client chooses
    /// it.
    path: Option<Path>,
    /// Dynamic metadata of an earlier filter, as `[envoy.filters.http.jwt_authn, session, sub]`.
    metadata: Option<Steps>,
    /// Metadata of the route in Envoy's configuration.
    route_metadata: Option<Steps>,
    /// Metadata of the proxy: a key, or a list of steps. Read once, when the policy takes effect.
    node_metadata: Option<NodeSteps>,
    /// This query parameter, decoded. The client chooses it.
    query: Option<ParameterName>,
    /// This header, which no client can send; requires `trusted: true`.
    header: Option<HeaderName>,
    /// The promise that a component before this filter removes or overwrites the header in each
    /// request.
    trusted: Option<True>,
    /// The host of the request in lower case, without its port. The client chooses it from those
    /// that Envoy's routes have.
    host: Option<True>,
    /// The client's address as Envoy determined it. `{}` uses the default prefixes.
    client_address: Option<Prefixes>,
    /// A part of the client's certificate.
    client_certificate: Option<Part>,
}

/// A key, or a path to a value: keys, and quoted indices into lists.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum NodeSteps {
    One(Step),
    Many(#[schemars(length(min = 1, max = STEPS_MAX))] Vec<Step>),
}

/// The number of bits of the client's address that count: clients that share these bits share the
/// value.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Prefixes {
    /// For an IPv4 address.
    #[schemars(range(max = Ipv4Addr::BITS), extend("default" = V4_PREFIX_DEFAULT))]
    v4_prefix: Option<u32>,
    /// For an IPv6 address. A client usually has a whole /64 to choose from.
    #[schemars(range(max = Ipv6Addr::BITS), extend("default" = V6_PREFIX_DEFAULT))]
    v6_prefix: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Part {
    /// The subject: `CN=billing,O=Acme`.
    Subject,
    /// The first URI among the alternative names.
    UriSan,
    /// The first DNS name among the alternative names.
    DnsSan,
    /// The SHA-256 of the whole certificate.
    Sha256,
}

/// Words of the language that cannot be attributes of an entry.
fn not_attributes() -> Vec<&'static str> {
    RESERVED
        .into_iter()
        .filter(|word| *word != "sha256")
        .collect()
}

/// Whether secrets are accepted, and unknown ones refused.
fn refuses_unknown_secrets() -> Json {
    json!({ "properties": {
        "unknown": { "const": "refuse" },
        "credentials": { "contains": { "not": { "required": ["metadata"] } } },
    } })
}
