//! Classes of requests, and selectors.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::words::{Name, OneOrMany, Route};
use crate::policy::select::{ROUTES_MAX, VALUE_BYTES_MAX};

/// A class of requests with budgets of its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Tier {
    /// The unique name of the tier.
    name: Name,
    /// Requests that match one of these routes are of this tier, unless an earlier tier matches.
    routes: Routes,
}

/// Routes, of which one must match.
#[derive(JsonSchema)]
pub(super) struct Routes(
    #[schemars(length(min = 1, max = ROUTES_MAX), extend("uniqueItems" = true))] Vec<Route>,
);

/// Selects requests: all conditions must hold. Every key except `tier`, `routes` and `credential`
/// is an attribute of the caller, as in `plan: free` or `org: [acme, globex]`; a caller without it
/// does not match.
#[derive(JsonSchema)]
#[schemars(extend("minProperties" = 1, "propertyNames" = names(&["sha256"])))]
pub(super) struct Selector {
    /// Requests of this tier, or of one of these.
    tier: Option<OneOrMany<Name>>,
    /// Requests that match one of these routes.
    routes: Option<Routes>,
    /// Callers whose first credential has this name, or one of these.
    credential: Option<OneOrMany<Name>>,
    #[schemars(flatten)]
    attributes: BTreeMap<String, Values>,
}

/// Selects callers: all conditions must hold. Each key is an attribute, as in `org: acme` or `plan:
/// [team, enterprise]`.
#[derive(JsonSchema)]
#[schemars(extend("minProperties" = 1, "propertyNames" = names(&["tier", "routes", "sha256"])))]
pub(super) struct CallerSelector {
    /// Callers whose first credential has this name, or one of these.
    credential: Option<OneOrMany<Name>>,
    #[schemars(flatten)]
    attributes: BTreeMap<String, Values>,
}

/// The value that the attribute must have, or a list of values, of which it must have one.
#[derive(JsonSchema)]
pub(super) struct Values(OneOrMany<Value>);

#[derive(JsonSchema)]
#[schemars(inline)]
struct Value(#[schemars(length(min = 1, max = VALUE_BYTES_MAX))] String);

/// The names of attributes, except for these.
fn names(but: &[&str]) -> serde_json::Value {
    json!({ "$ref": "#/$defs/Name", "not": { "enum": but } })
}
