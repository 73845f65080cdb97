//! The document as a whole.

use schemars::JsonSchema;

use super::callers::Callers;
use super::limits::Limit;
use super::payloads::Payload;
use super::pools::{Pool, Seats};
use super::replies::Replies;
use super::select::{Selector, Tier};
use super::shape::at_least_one;
use super::words::Name;
use crate::policy::attributes::ATTRIBUTES_MAX;
use crate::policy::exempt::EXEMPTIONS_MAX;
use crate::policy::limits::LIMITS_MAX;
use crate::policy::payloads::PAYLOADS_MAX;
use crate::policy::pools::POOLS_MAX;
use crate::policy::seats::SEAT_LIMITS_MAX;
use crate::policy::tiers::TIERS_MAX;
use crate::policy::{KEYS_MAX_DEFAULT, KEYS_MAX_LIMIT, KINDS, VERSION};

/// # Sluicegate policy
///
/// The callers of an API, the limits that apply to them, and the replies that they get: at least
/// one of `limits`, `concurrency`, `seats` and `payloads`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(KINDS))]
pub(super) struct Policy {
    /// The version of the language.
    version: Version,
    /// The name of the policy in metrics and in the store. Under another name all counters begin
    /// anew.
    name: Name,
    /// Who calls the API, and how callers are identified. If omitted, every caller is anonymous.
    callers: Option<Callers>,
    /// Classes of requests. The first tier that matches is used; a request that matches none has no
    /// tier.
    #[schemars(length(min = 1, max = TIERS_MAX))]
    tiers: Option<Vec<Tier>>,
    /// Requests to which no limit applies, and whose responses have no limit fields. One match is
    /// enough.
    #[schemars(length(min = 1, max = EXEMPTIONS_MAX))]
    exempt: Option<Vec<Selector>>,
    /// The limits. If several apply to a request, all must admit it, and a refused request is
    /// charged to none.
    #[schemars(length(min = 1, max = LIMITS_MAX))]
    limits: Option<Vec<Limit>>,
    /// The number of requests in flight at a time. If several pools apply to a request, it takes a
    /// slot of each, in this order.
    #[schemars(length(min = 1, max = POOLS_MAX))]
    concurrency: Option<Vec<Pool>>,
    /// The number of distinct holders at a time. These are limits, too: all must admit a request.
    #[schemars(length(min = 1, max = SEAT_LIMITS_MAX))]
    seats: Option<Vec<Seats>>,
    /// Bounds on bodies, checked while they stream. Only the first that selects a request applies
    /// to it; a refused request is charged to no limit.
    #[schemars(length(min = 1, max = PAYLOADS_MAX))]
    payloads: Option<Vec<Payload>>,
    /// What responses tell callers.
    replies: Option<Replies>,
    /// The number of counters to keep.
    store: Option<Store>,
    /// One string for each line of Envoy's access log: `%FILTER_STATE(wasm.sluicegate:PLAIN)%`. If
    /// omitted, there is none.
    access_log: Option<AccessLog>,
}

/// The version of the language.
#[derive(JsonSchema)]
#[schemars(inline, extend("const" = VERSION))]
struct Version(u32);

/// The number of counters to keep.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Store {
    /// The most live counters over all limits of the policy; `sluicegate check` prints the memory.
    /// If more are live, the counter is evicted whose loss gains its caller least.
    #[schemars(range(min = 1, max = KEYS_MAX_LIMIT), extend("default" = KEYS_MAX_DEFAULT))]
    keys_max: Option<u32>,
}

/// What the access log contains of a request in addition to its decision, limit and tier.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AccessLog {
    /// The caller's attributes to log. A credential's own attribute is an identifier, never the
    /// secret.
    #[schemars(length(max = ATTRIBUTES_MAX), extend("uniqueItems" = true))]
    attributes: Vec<Name>,
}
