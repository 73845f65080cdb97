//! Limits: the requests that each counts, their keys, and how many it admits.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::select::{CallerSelector, Selector};
use super::shape::{at_least_one, exactly_one, if_then, requires};
use super::words::{
    Burst, HeaderName, Length, Name, Period, Pointer, Quota, Rate, TimeZone, True, case_insensitive,
};
use crate::limit::QUOTA_MAX;
use crate::policy::limits::{CONTENT_LENGTH, COST_SOURCES};
use crate::policy::overrides::OVERRIDES_MAX;
use crate::policy::rules::KINDS;
use crate::policy::scope::PER_MAX;

/// One limit: exactly one of `bucket`, `rolling` and `calendar`.
#[derive(JsonSchema)]
#[schemars(
    rename = "Limit",
    deny_unknown_fields,
    transform = exactly_one(KINDS),
    transform = requires("over", "calendar")
)]
struct Keys {
    /// The unique name of the limit, in metrics, in the access log and in replies.
    name: Name,
    /// The requests that it counts. If omitted, all of them.
    r#for: Option<Selector>,
    /// One counter for each combination of these attributes; `[]` is one counter for all. A name
    /// that every route of `for.routes` captures is allowed, too.
    #[schemars(length(max = PER_MAX), extend("uniqueItems" = true))]
    per: Vec<Name>,
    /// What it does with a caller that lacks an attribute of `per`.
    #[schemars(extend("default" = "count"))]
    absent: Option<Absent>,
    /// A token bucket: a burst at once, then a steady refill.
    bucket: Option<Bucket>,
    /// A window that ends at the request: never more than the quota in any interval of its length.
    rolling: Option<Rolling>,
    /// A calendar window: the whole quota from one boundary to the next.
    calendar: Option<Calendar>,
    /// What to do with requests above the quota of a calendar window.
    #[schemars(extend("default" = "refuse"))]
    over: Option<Over>,
    /// Other numbers for some callers; the first that matches is used. A change of these keeps the
    /// counters.
    #[schemars(length(max = OVERRIDES_MAX))]
    overrides: Option<Vec<Value>>,
    /// The units that one request takes: a number, or their source.
    #[schemars(extend("default" = 1))]
    cost: Option<Cost>,
    /// Which requests are charged.
    #[schemars(extend("default" = "admitted"))]
    charge: Option<Charge>,
    /// Whether it refuses requests.
    #[schemars(extend("default" = "enforce"))]
    enforcement: Option<Enforcement>,
    /// When responses show its numbers.
    #[schemars(extend("default" = "show"))]
    fields: Option<Visibility>,
    /// What it does if its counter cannot be read.
    #[schemars(extend("default" = "allow"))]
    failure: Option<Failure>,
}

/// The keys, and the type of override for each kind of limit.
pub(super) struct Limit;

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        Keys::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Keys::json_schema(generator);
        for (kind, overrides) in [
            ("bucket", generator.subschema_for::<BucketOverride>()),
            ("rolling", generator.subschema_for::<RollingOverride>()),
            ("calendar", generator.subschema_for::<CalendarOverride>()),
        ] {
            let overrides = json!({ "properties": { "overrides": { "items": overrides } } });
            if_then(json!({ "required": [kind] }), overrides)(&mut schema);
        }
        schema
    }
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub(super) enum Absent {
    /// Count all such callers together.
    Count,
    /// Do not apply to them.
    Skip,
}

/// A token bucket. It must fill within 366 days.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Bucket {
    /// The most units at one instant.
    burst: Burst,
    /// The rate at which it refills, continuously.
    refill: Rate,
}

/// A window that ends at the request.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rolling {
    /// The units granted for each window.
    quota: Quota,
    /// The length of the window.
    window: Length,
}

/// A window of the calendar.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Calendar {
    /// The units granted for each window.
    quota: Quota,
    /// The period of the window.
    window: Period,
    /// The time zone in which it begins and ends.
    #[schemars(extend("default" = "UTC"))]
    zone: Option<TimeZone>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Over {
    /// Refuse them.
    Refuse,
    /// Admit them, and count the overage.
    Count,
}

/// Other numbers of a bucket: `burst`, `refill`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(&["burst", "refill"]))]
struct BucketOverride {
    /// The callers that it is for.
    r#for: CallerSelector,
    /// The most units at one instant. If omitted, as in the limit.
    burst: Option<Burst>,
    /// The rate at which it refills. If omitted, as in the limit.
    refill: Option<Rate>,
}

/// Another number of a rolling window.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RollingOverride {
    /// The callers that it is for.
    r#for: CallerSelector,
    /// The units granted for each window.
    quota: Quota,
}

/// Another quota of a calendar window, another `over`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(&["quota", "over"]))]
struct CalendarOverride {
    /// The callers that it is for.
    r#for: CallerSelector,
    /// The units granted for each window. If omitted, as in the limit.
    quota: Option<Quota>,
    /// What to do with requests above the quota. If omitted, as in the limit.
    over: Option<Over>,
}

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum Cost {
    /// A fixed number. A cost of 0 only reads the counter.
    Fixed(#[schemars(range(max = QUOTA_MAX))] u64),
    From(CostSource),
}

/// The source of a request's cost: exactly one key, apart from `trusted`. A header that is missing
/// or malformed counts as 1.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = exactly_one(COST_SOURCES),
    transform = requires("trusted", "header"),
    transform = if_then(untrusted_header(), json!({ "required": ["trusted"] }))
)]
struct CostSource {
    /// This request header, which no client can send; requires `trusted: true`, except for
    /// `content-length`.
    header: Option<HeaderName>,
    /// The promise that a component before this filter removes or overwrites the header in each
    /// request.
    trusted: Option<True>,
    /// This response header. The request is admitted if one unit is left, and charged when the
    /// response arrives.
    response_header: Option<HeaderName>,
    /// The bytes of the body as sent.
    bytes: Option<Measured>,
    /// The lines of the body that are neither empty nor a comment.
    lines: Option<Measured>,
    /// The items of the array at this pointer in the JSON; 1 if there is none.
    items: Option<Pointer>,
}

/// The body that is measured.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Measured {
    /// The request body. The request is admitted if one unit is left, and charged when its body has
    /// ended.
    Request,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Charge {
    /// Every admitted request.
    Admitted,
    /// As `admitted`, but the charge is refunded if the response has a status of 400 or above, or a
    /// `grpc-status` other than 0.
    Success,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Enforcement {
    /// Refuse requests above the limit.
    Enforce,
    /// Evaluate and count, but never refuse.
    Shadow,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Visibility {
    /// Whenever the limit applies.
    Show,
    /// If it refuses. For a limit that counts its overage, also above the quota.
    Hide,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub(super) enum Failure {
    /// Admit the request.
    Allow,
    /// Refuse the request with 429 and a `Retry-After` of one second.
    Deny,
}

/// Whether the cost comes from a header that a client can send.
fn untrusted_header() -> Value {
    let content_length = format!("^{}$", case_insensitive(CONTENT_LENGTH));
    json!({
        "required": ["header"],
        "properties": { "header": { "not": { "pattern": content_length } } },
    })
}
