//! Limits: which requests each counts, under which key, and how many it admits.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::select::{CallerSelector, Selector};
use super::shape::{at_least_one, exactly_one, only_beside, where_then};
use super::words::{Burst, HeaderName, Length, Name, Period, Pointer, Quota, Rate, TimeZone, True};
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
    transform = only_beside("over", "calendar")
)]
struct Keys {
    /// Its name, which no other limit has: in metrics, in the access log and in what callers are told.
    name: Name,
    /// Which requests it counts. Without it all of them.
    r#for: Option<Selector>,
    /// One counter for each combination of these attributes; `[]` is one for all. A name that every route of `for.routes`
    /// captures may stand here too.
    #[schemars(length(max = PER_MAX), extend("uniqueItems" = true))]
    per: Vec<Name>,
    /// What it does with a caller who lacks an attribute of `per`.
    #[schemars(extend("default" = "count"))]
    absent: Option<Absent>,
    /// A token bucket: a burst at once, then a steady refill.
    bucket: Option<Bucket>,
    /// A window that moves along with the time: never more than the quota in any interval of its length.
    rolling: Option<Rolling>,
    /// A window of the calendar: from one boundary to the next, each with the whole quota.
    calendar: Option<Calendar>,
    /// What becomes of requests above the quota of a calendar window.
    #[schemars(extend("default" = "refuse"))]
    over: Option<Over>,
    /// Other numbers for some callers; the first that matches counts. Counts are kept when these change.
    #[schemars(length(max = OVERRIDES_MAX))]
    overrides: Option<Vec<Value>>,
    /// Units that one request takes: a number, or where it comes from.
    #[schemars(extend("default" = 1))]
    cost: Option<Cost>,
    /// Who pays.
    #[schemars(extend("default" = "admitted"))]
    charge: Option<Charge>,
    /// Whether it refuses.
    #[schemars(extend("default" = "enforce"))]
    enforcement: Option<Enforcement>,
    /// When callers see its numbers.
    #[schemars(extend("default" = "show"))]
    fields: Option<Visibility>,
    /// What holds while its counter cannot be had.
    #[schemars(extend("default" = "allow"))]
    failure: Option<Failure>,
}

/// The keys, and of what kind the overrides are.
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
            where_then(json!({ "required": [kind] }), overrides)(&mut schema);
        }
        schema
    }
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub(super) enum Absent {
    /// It counts all such callers together.
    Count,
    /// It does not apply to them.
    Skip,
}

/// A token bucket. It must fill within 366 days.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Bucket {
    /// Units that it holds: the most at one instant.
    burst: Burst,
    /// How fast it fills, continuously.
    refill: Rate,
}

/// A window that moves along with the time.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rolling {
    /// Units that are granted for each window.
    quota: Quota,
    /// How long it is.
    window: Length,
}

/// A window of the calendar.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Calendar {
    /// Units that are granted for each window.
    quota: Quota,
    /// What it is.
    window: Period,
    /// In whose local time it begins and ends.
    #[schemars(extend("default" = "UTC"))]
    zone: Option<TimeZone>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Over {
    /// They are refused.
    Refuse,
    /// They are admitted, and what is over is counted.
    Count,
}

/// Other numbers of a bucket: `burst`, `refill`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(&["burst", "refill"]))]
struct BucketOverride {
    /// Whose numbers these are.
    r#for: CallerSelector,
    /// Units that the bucket holds; those of the limit where it is left out.
    burst: Option<Burst>,
    /// How fast it fills; as the limit says where it is left out.
    refill: Option<Rate>,
}

/// Another number of a rolling window.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RollingOverride {
    /// Whose number this is.
    r#for: CallerSelector,
    /// Units that are granted for each window.
    quota: Quota,
}

/// Another number of a calendar window, another `over`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = at_least_one(&["quota", "over"]))]
struct CalendarOverride {
    /// Whose these are.
    r#for: CallerSelector,
    /// Units that are granted for each window; those of the limit where it is left out.
    quota: Option<Quota>,
    /// What becomes of requests above it; as the limit says where it is left out.
    over: Option<Over>,
}

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum Cost {
    /// Always so many. A cost of 0 only looks.
    Fixed(#[schemars(range(max = QUOTA_MAX))] u64),
    From(CostSource),
}

/// Where the cost of a request comes from: exactly one key, but for `trusted`. A header that is missing or malformed
/// counts as 1.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    transform = exactly_one(COST_SOURCES),
    transform = only_beside("trusted", "header"),
    transform = where_then(header_of_a_client(), json!({ "required": ["trusted"] }))
)]
struct CostSource {
    /// This request header, which no client can send: with `trusted: true`. `content-length` needs no promise.
    header: Option<HeaderName>,
    /// The promise that something before this filter removes or overwrites the header in each request.
    trusted: Option<True>,
    /// This response header. The request is admitted while one unit is left, and the next one sees what it took.
    response_header: Option<HeaderName>,
    /// The bytes of its body as sent.
    bytes: Option<Measured>,
    /// The lines of its body that are neither empty nor a comment.
    lines: Option<Measured>,
    /// The items of the array at this place of its JSON; 1 where there is none.
    items: Option<Pointer>,
}

/// Whose body is measured.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Measured {
    /// The request's. It is admitted while one unit is left, and charged when its body has ended.
    Request,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Charge {
    /// Every admitted request.
    Admitted,
    /// What a request took is given back where the response has a status of 400 or above, or a `grpc-status` other than 0.
    Success,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Enforcement {
    /// It refuses.
    Enforce,
    /// It is evaluated and counted, and never refuses.
    Shadow,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Visibility {
    /// Whenever it applies.
    Show,
    /// When it refuses; and what is over its quota where it counts that.
    Hide,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub(super) enum Failure {
    /// The request goes on.
    Allow,
    /// The request is refused: 429, to come back after a second.
    Deny,
}

/// There is a header that a client can invent.
fn header_of_a_client() -> Value {
    let letter = |letter: char| match letter {
        'a'..='z' => format!("[{}{letter}]", letter.to_ascii_uppercase()),
        other => other.to_string(),
    };
    let believed: String = CONTENT_LENGTH.chars().map(letter).collect();
    json!({ "required": ["header"], "properties": { "header": { "not": { "pattern": format!("^{believed}$") } } } })
}
