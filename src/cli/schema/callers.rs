//! Who calls: credentials, the directory, and attributes from elsewhere.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde_json::{Value as Json, json};

use super::select::Routes;
use super::shape::{exactly_one, never_beside, only_beside, where_then};
use super::words::{Digest, HeaderName, Name, NewAttribute, ParameterName, Path, Scheme, Step, Steps, True};
use crate::policy::attributes::{ATTRIBUTES_MAX, RESERVED};
use crate::policy::callers::STEPS_MAX;
use crate::policy::callers::credential::CREDENTIALS_MAX;
use crate::policy::callers::source::{KEYS, SOURCES_MAX, V4_PREFIX_DEFAULT, V6_PREFIX_DEFAULT};
use crate::policy::directory::{ENTRIES_MAX, VALUE_BYTES_MAX};

/// Who calls, and how they are known.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = where_then(a_secret_is_refused(), json!({ "required": ["directory"] })),
    transform = only_beside("directory_attributes", "directory")
)]
pub(super) struct Callers {
    /// Where callers are asked who they are. Elsewhere nobody is: no credential is looked at, and nobody gets a 401.
    /// Without it they are asked everywhere.
    r#for: Option<Where>,
    /// What a request may present, in the order in which it is looked for. Several may share a name: they are ways to
    /// present one kind of credential.
    #[schemars(length(min = 1, max = CREDENTIALS_MAX))]
    credentials: Vec<Credential>,
    /// What secrets stand for. It may be `[]` for now.
    #[schemars(length(max = ENTRIES_MAX))]
    directory: Option<Vec<Entry>>,
    /// Attributes that entries of the directory may have: limits can name them, also while no entry has them. Those of
    /// the entries that are there need not be listed.
    #[schemars(length(max = ATTRIBUTES_MAX), extend("uniqueItems" = true))]
    directory_attributes: Option<Vec<NewAttribute>>,
    /// Attributes from elsewhere than the directory, each a list of sources: the first that has a value gives it.
    #[schemars(extend("propertyNames" = json!({ "$ref": "#/$defs/Name", "not": { "enum": RESERVED } })))]
    attributes: Option<BTreeMap<String, Sources>>,
    /// A secret that the directory does not have.
    #[schemars(extend("default" = "refuse"))]
    unknown: Option<OnUnidentified>,
    /// A request without any credential.
    #[schemars(extend("default" = "refuse"))]
    absent: Option<OnUnidentified>,
}

/// Where something holds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Where {
    /// Requests that one of these routes matches.
    routes: Routes,
}

/// What becomes of a caller who is not known.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum OnUnidentified {
    /// 401.
    Refuse,
    /// Goes on without attributes.
    Anonymous,
}

/// One way to present a credential: exactly one of `header`, `query` and `metadata`.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = exactly_one(&["header", "query", "metadata"]),
    transform = only_beside("scheme", "header"),
    transform = never_beside("unless", "metadata")
)]
struct Credential {
    /// Its name, and that of an attribute: an identifier of the secret, never the secret, as for `per: [api_key]`.
    name: NewAttribute,
    /// The header that holds a secret.
    header: Option<HeaderName>,
    /// The word before the secret, such as `Bearer`, in any letters. A header with another scheme does not hold it.
    scheme: Option<Scheme>,
    /// The query parameter that holds a secret.
    query: Option<ParameterName>,
    /// The dynamic metadata that an earlier filter leaves once it has verified something, as
    /// `[envoy.filters.http.jwt_authn, session]`. Presented if a map or a string stands there; never looked up.
    metadata: Option<Steps>,
    /// The name of a credential before this one. Where that one is presented too, a secret that the directory does not
    /// have is passed over, as if it were not there.
    unless: Option<Name>,
}

/// What one secret stands for. Beside `sha256` each key is an attribute of whoever presents it, as `org: acme`.
#[derive(JsonSchema)]
#[schemars(extend("propertyNames" = json!({ "$ref": "#/$defs/Name", "not": { "enum": not_held() } })))]
struct Entry {
    sha256: Digest,
    #[schemars(flatten)]
    attributes: BTreeMap<String, Held>,
}

/// The value of this attribute.
#[derive(JsonSchema)]
struct Held(#[schemars(length(min = 1, max = VALUE_BYTES_MAX))] String);

/// Where an attribute's value comes from: the first source that has one gives it. What the directory says of the same
/// attribute comes first, unless the list says where.
#[derive(JsonSchema)]
struct Sources(#[schemars(length(min = 1, max = SOURCES_MAX), extend("uniqueItems" = true))] Vec<Source>);

/// A source: exactly one key, but for `trusted`.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = exactly_one(&KEYS),
    transform = only_beside("header", "trusted"),
    transform = only_beside("trusted", "header")
)]
struct Source {
    /// This attribute of the caller's entry in the directory.
    directory: Option<Name>,
    /// The segment of the path that is captured under the attribute's own name. The client chooses it.
    path: Option<Path>,
    /// Dynamic metadata of an earlier filter, as `[envoy.filters.http.jwt_authn, session, sub]`.
    metadata: Option<Steps>,
    /// The metadata of the route in Envoy's configuration.
    route_metadata: Option<Steps>,
    /// The proxy's own metadata: a key, or a list of steps. Read once, when the policy is put to work.
    node_metadata: Option<NodeSteps>,
    /// This query parameter, decoded. The client chooses it.
    query: Option<ParameterName>,
    /// This header, which no client can send: with `trusted: true`.
    header: Option<HeaderName>,
    /// The promise that something before this filter removes or overwrites the header in each request.
    trusted: Option<True>,
    /// The host that the request is for, in lower case, without its port. The client chooses it, among those that
    /// Envoy's routes have.
    host: Option<True>,
    /// The client's address as Envoy determined it. `{}` takes the usual prefixes.
    client_address: Option<Prefixes>,
    /// A part of the client's certificate.
    client_certificate: Option<Part>,
}

/// A key, or the way to a value: keys, and indices into lists in quotes.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum NodeSteps {
    One(Step),
    Many(#[schemars(length(min = 1, max = STEPS_MAX))] Vec<Step>),
}

/// How many bits of the client's address count: whoever shares them shares the value.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Prefixes {
    /// Of an IPv4 address.
    #[schemars(range(max = Ipv4Addr::BITS), extend("default" = V4_PREFIX_DEFAULT))]
    v4_prefix: Option<u32>,
    /// Of an IPv6 address. A client has a whole /64 to choose from.
    #[schemars(range(max = Ipv6Addr::BITS), extend("default" = V6_PREFIX_DEFAULT))]
    v6_prefix: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Part {
    /// Its subject: `CN=billing,O=Acme`.
    Subject,
    /// Its first URI among the alternative names.
    UriSan,
    /// Its first DNS name among them.
    DnsSan,
    /// The SHA-256 of all of it.
    Sha256,
}

/// Words of the language that an entry's attribute cannot have for its name.
fn not_held() -> Vec<&'static str> {
    RESERVED.into_iter().filter(|word| *word != "sha256").collect()
}

/// Secrets are looked for, and unknown ones are refused.
fn a_secret_is_refused() -> Json {
    json!({ "properties": {
        "unknown": { "const": "refuse" },
        "credentials": { "contains": { "not": { "required": ["metadata"] } } },
    } })
}
