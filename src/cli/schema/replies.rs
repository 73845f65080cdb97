//! What callers are told.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::shape::where_then;
use super::words::Share;
use crate::policy::replies::{BODY_BYTES_MAX, CONTENT_TYPE_BYTES_MAX};
use crate::policy::template::Placeholder;

/// What callers are told.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Replies {
    /// The header fields by which a caller knows where it stands. Without it: the `X-RateLimit-*` fields, on each response
    /// that a limit applied to.
    fields: Option<Fields>,
    /// When to come back.
    retry_after: Option<RetryAfter>,
    /// The answer to a request over a limit. Without it a problem (RFC 9457); with the family `ietf` or `both` the
    /// standard's `quota-exceeded`.
    refused: Option<Refused>,
    /// The answer to a caller who is not let in. Without it a problem (RFC 9457).
    unauthorized: Option<Unauthorized>,
    /// The answer to a request with a body that is refused. Without it a problem (RFC 9457).
    payload: Option<RefusedPayload>,
}

/// The header fields.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = where_then(no_x_ratelimit(), no_form()))]
struct Fields {
    /// Which fields.
    family: Family,
    /// How `X-RateLimit-Reset` tells its time.
    #[schemars(extend("default" = "seconds"))]
    reset: Option<Reset>,
    /// `X-RateLimit-*` fields beside the usual ones.
    #[schemars(length(min = 1, max = 2), extend("uniqueItems" = true))]
    with: Option<Vec<With>>,
    /// On which responses.
    #[schemars(extend("default" = "always"))]
    when: Option<When>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
enum Family {
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, of the limit that has the fewest requests left.
    #[schemars(rename = "x-ratelimit")]
    XRateLimit,
    /// `RateLimit` and `RateLimit-Policy` of the IETF's draft, of all limits that apply.
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
    /// Seconds from now until the limit is full again.
    Seconds,
    /// The Unix second at which it is full again.
    UnixSeconds,
    /// The seconds of `Retry-After`, and only where that stands.
    RetryAfter,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum With {
    /// `X-RateLimit-Period`: the window's length in seconds.
    Period,
    /// `X-RateLimit-Name`: the limit's name.
    Name,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum When {
    /// On each that a limit applied to.
    Always,
    /// On refusals alone.
    Refused,
}

/// When to come back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RetryAfter {
    /// Up to this share of the wait is added, at most a minute, so that clients do not all come back at once.
    jitter: Share,
}

/// The answer to a request over a limit: 429.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Refused {
    content_type: MediaType,
    /// Its text. `{trace_id}`, `{retry_after}` (seconds) and `{limit}` (its name) are filled in; other braces are text.
    #[schemars(length(max = BODY_BYTES_MAX), regex(pattern = body(&Placeholder::REFUSED)))]
    body: String,
}

/// The answer to a caller who is not let in: 401.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Unauthorized {
    content_type: MediaType,
    /// Its text. `{trace_id}` is filled in; other braces are text.
    #[schemars(length(max = BODY_BYTES_MAX), regex(pattern = body(&[Placeholder::TraceId])))]
    body: String,
}

/// The answer to a request with a body that is refused.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RefusedPayload {
    content_type: MediaType,
    /// Its text. `{trace_id}`, `{limit}` (its name), `{status}`, `{title}` (the status in words), `{reason}` (one word),
    /// `{max}` (the number that is exceeded, else 0) and `{detail}` (a sentence) are filled in; other braces are text.
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

/// Words in braces are placeholders, and these.
fn body(known: &[Placeholder]) -> String {
    let known: Vec<&str> = known.iter().map(|placeholder| placeholder.name()).collect();
    format!(r"^(?:[^{{]|\{{(?![a-z_]+\}})|\{{(?:{})\}})*$", known.join("|"))
}

/// There are no `X-RateLimit-*` fields.
fn no_x_ratelimit() -> Value {
    json!({ "properties": { "family": { "enum": ["ietf", "none"] } } })
}

/// Nothing says how they look.
fn no_form() -> Value {
    json!({ "properties": { "reset": false, "with": false } })
}
