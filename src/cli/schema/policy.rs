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
/// Who calls an API, which limits hold for them, and what they are told: at least one of `limits`, `concurrency`,
/// `seats` and `payloads`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(KINDS))]
pub(super) struct Policy {
    /// The version of the language.
    version: Version,
    /// Names the policy in metrics and in the store: under another name all counts begin anew.
    name: Name,
    /// Who calls, and how they are known. Without it everybody is anonymous.
    callers: Option<Callers>,
    /// Classes of requests, found from the request alone. The first that matches wins; a request that none matches has
    /// no tier.
    #[schemars(length(min = 1, max = TIERS_MAX))]
    tiers: Option<Vec<Tier>>,
    /// Requests to which no limit applies, and which carry no field. One match is enough.
    #[schemars(length(min = 1, max = EXEMPTIONS_MAX))]
    exempt: Option<Vec<Selector>>,
    /// The limits. If several apply to a request, all must admit it, and a refused one is charged to none.
    #[schemars(length(min = 1, max = LIMITS_MAX))]
    limits: Option<Vec<Limit>>,
    /// How many requests are in flight at a time. If several apply to a request, it takes a slot of each, in this order.
    #[schemars(length(min = 1, max = POOLS_MAX))]
    concurrency: Option<Vec<Pool>>,
    /// How many distinct holders there are at a time. They are limits too: all must admit a request.
    #[schemars(length(min = 1, max = SEAT_LIMITS_MAX))]
    seats: Option<Vec<Seats>>,
    /// What bodies may be, while they stream. The first that selects a request holds for it, and no other; what is refused
    /// is charged to no limit.
    #[schemars(length(min = 1, max = PAYLOADS_MAX))]
    payloads: Option<Vec<Payload>>,
    /// What callers are told.
    replies: Option<Replies>,
    /// How many counters are kept.
    store: Option<Store>,
    /// One string for each line of Envoy's access log: `%FILTER_STATE(wasm.sluicegate:PLAIN)%`. Off unless it stands here.
    access_log: Option<AccessLog>,
}

/// The version of the language.
#[derive(JsonSchema)]
#[schemars(inline, extend("const" = VERSION))]
struct Version(u32);

/// How many counters are kept.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Store {
    /// Live counters over all limits of the policy; `sluicegate check` prints the memory. Where more live than fit, the
    /// one goes whose loss gives its caller least.
    #[schemars(range(min = 1, max = KEYS_MAX_LIMIT), extend("default" = KEYS_MAX_DEFAULT))]
    keys_max: Option<u32>,
}

/// What the access log says of a request, beside its decision, limit and tier.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AccessLog {
    /// The attributes of the caller that stand in it. A credential's own is an identifier, never the secret.
    #[schemars(length(max = ATTRIBUTES_MAX), extend("uniqueItems" = true))]
    attributes: Vec<Name>,
}
