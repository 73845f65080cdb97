//! What responses tell callers.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::shape::if_then;
use super::words::Share;
use crate::policy::replies::{BODY_BYTES_MAX, CONTENT_TYPE_BYTES_MAX};
use crate::policy::template::Placeholder;

/// What responses tell callers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Replies {
    /// The header fields that show callers the state of their limits. If omitted, the
    /// `X-RateLimit-*` fields on each response to which a limit applied.
    fields: Option<Fields>,
    /// The time after which a caller should retry.
    retry_after: Option<RetryAfter>,
    /// The response to a request over a limit. If omitted, a problem (RFC 9457); with the family
    /// `ietf` or `both`, the standard's `quota-exceeded`.
    refused: Option<Refused>,
    /// The response to a caller that is not identified. If omitted, a problem (RFC 9457).
    unauthorized: Option<Unauthorized>,
    /// The response to a request whose body is refused. If omitted, a problem (RFC 9457).
    payload: Option<RefusedPayload>,
}

/// The header fields.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = if_then(no_x_ratelimit(), no_x_ratelimit_keys()))]
struct Fields {
    /// The family of fields.
    family: Family,
    /// The format of `X-RateLimit-Reset`.
    #[schemars(extend("default" = "seconds"))]
    reset: Option<Reset>,
    /// Additional `X-RateLimit-*` fields.
    #[schemars(length(min = 1, max = 2), extend("uniqueItems" = true))]
    with: Option<Vec<With>>,
    /// The responses that have the fields.
    #[schemars(extend("default" = "always"))]
    when: Option<When>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
enum Family {
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, of the limit with the fewest requests left.
    #[schemars(rename = "x-ratelimit")]
    XRateLimit,
    /// `RateLimit` and `RateLimit-Policy` of the IETF draft, of all limits that apply.
    #[schemars(rename = "ietf")]
    Ietf,
    /// Both families.
    #[schemars(rename = "both")]
    Both,
    /// No fields.
    #[schemars(rename = "none")]
    None,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
enum Reset {
    /// The seconds until the whole quota is available.
    Seconds,
    /// The Unix time in seconds at which the whole quota is available.
    UnixSeconds,
    /// The seconds of `Retry-After`, on responses that have it.
    RetryAfter,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum With {
    /// `X-RateLimit-Period`: the length of the window in seconds.
    Period,
    /// `X-RateLimit-Name`: the name of the limit.
    Name,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum When {
    /// Every response to which a limit applied.
    Always,
    /// Refusals only.
    Refused,
}

/// The time after which a caller should retry.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RetryAfter {
    /// Up to this share of the wait is added, at most a minute, so that clients do not all retry at
    /// once.
    jitter: Share,
}

/// The response to a request over a limit: 429.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Refused {
    content_type: MediaType,
    /// The body. `{trace_id}`, `{retry_after}` (seconds) and `{limit}` (its name) are replaced;
    /// other braces stay.
    #[schemars(length(max = BODY_BYTES_MAX), regex(pattern = body(&Placeholder::REFUSED)))]
    body: String,
}

/// The response to a caller that is not identified: 401.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Unauthorized {
    content_type: MediaType,
    /// The body. `{trace_id}` is replaced; other braces stay.
    #[schemars(length(max = BODY_BYTES_MAX), regex(pattern = body(&[Placeholder::TraceId])))]
    body: String,
}

/// The response to a request whose body is refused.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RefusedPayload {
    content_type: MediaType,
    /// The body. `{trace_id}`, `{limit}` (its name), `{status}`, `{title}` (the status in words),
    /// `{reason}` (one word), `{max}` (the number that was exceeded, or 0) and `{detail}` (a
    /// sentence) are replaced; other braces stay.
    #[schemars(length(max = BODY_BYTES_MAX), regex(pattern = body(&Placeholder::PAYLOAD)))]
    body: String,
}

/// The media type of the body, such as `application/json`.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = media_type(), "maxLength" = CONTENT_TYPE_BYTES_MAX))]
struct MediaType(String);

fn media_type() -> String {
    let token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
    format!("^{token}/{token}(?: *;(?:[ -~]*[!-~])?)?$")
}

/// Words in braces must be among these placeholders.
fn body(known: &[Placeholder]) -> String {
    let known: Vec<&str> = known.iter().map(|placeholder| placeholder.name()).collect();
    format!(
        r"^(?:[^{{]|\{{(?![a-z_]+\}})|\{{(?:{})\}})*$",
        known.join("|")
    )
}

/// Whether the response has no `X-RateLimit-*` fields.
fn no_x_ratelimit() -> Value {
    json!({ "properties": { "family": { "enum": ["ietf", "none"] } } })
}

/// Rejects the keys that only apply to those fields.
fn no_x_ratelimit_keys() -> Value {
    json!({ "properties": { "reset": false, "with": false } })
}
