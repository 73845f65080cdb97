//! What responses tell callers.

use super::Constraint;
use super::formats::{Body, MediaType, Placeholders, Share};
use super::key::{mapping, words};
use super::kind::{Choice, Map, Set};
use crate::policy::replies::{Reset, When};
use crate::policy::template::Placeholder;

mapping! {
    /// What responses tell callers.
    Replies "{ fields: { family: ietf } }" {
        /// The response header fields that show callers the state of their limits.
        FIELDS "fields": Map<Fields>, optional "`{ family: x-ratelimit }`";
        /// `Retry-After`: the time after which a caller should return.
        RETRY_AFTER "retry_after": Map<RetryAfter>, optional "no jitter";
        /// The body of a refusal by a limit, a pool or a seat limit.
        REFUSED "refused": Map<RefusedReply>,
            optional "a problem (RFC 9457); with `ietf` or `both`, the draft's own problem";
        /// The body of a 401.
        UNAUTHORIZED "unauthorized": Map<Unauthorized>, optional "a problem";
        /// The content type and body of a 403.
        DENIED "denied": Map<Denied>, optional "a problem";
        /// The body of a refused payload.
        PAYLOAD "payload": Map<RefusedPayload>, optional "a problem";
    }
}

mapping! {
    /// The header fields.
    Fields "{ family: x-ratelimit }"
    constraints [Constraint::Without {
        key: Self::FAMILY.name,
        words: &["ietf", "none"],
        keys: &[Self::RESET.name, Self::WITH.name],
        because: "`family: x-ratelimit` or `both`",
    }]
    {
        /// The fields.
        FAMILY "family": Choice<Family>, required;
        /// With `x-ratelimit` or `both`: the form of `X-RateLimit-Reset`.
        RESET "reset": Choice<Reset>, default Reset::Seconds;
        /// With `x-ratelimit` or `both`: further fields.
        WITH "with": Set<Choice<With>, 1, 16>, optional "none";
        /// The responses that have the fields.
        WHEN "when": Choice<When>, default When::Always;
    }
}

/// The fields of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `X-RateLimit-*`.
    XRateLimit,
    /// `RateLimit` and `RateLimit-Policy`.
    Ietf,
    /// All of them.
    Both,
    /// None of them.
    None,
}

/// An additional field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum With {
    /// `X-RateLimit-Period`.
    Period,
    /// `X-RateLimit-Name`.
    Name,
}

words! {
    Family, "a family of fields" {
        /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, of the limit with the fewest requests
        /// left.
        "x-ratelimit" => Self::XRateLimit,
        /// The draft standard's `RateLimit` and `RateLimit-Policy`, of all limits that apply.
        "ietf" => Self::Ietf,
        /// Both families.
        "both" => Self::Both,
        /// No fields.
        "none" => Self::None,
    }
}

words! {
    Reset, "a form of time" {
        /// Seconds from now.
        "seconds" => Self::Seconds,
        /// A Unix second.
        "unix-seconds" => Self::UnixSeconds,
        /// The seconds of `Retry-After`, only on responses that have it.
        "retry-after" => Self::RetryAfter,
    }
}

words! {
    With, "a further field" {
        /// `X-RateLimit-Period`, the length of the window in seconds.
        "period" => Self::Period,
        /// `X-RateLimit-Name`, the name of the limit.
        "name" => Self::Name,
    }
}

words! {
    When, "an occasion" {
        /// Every response to which a limit applied.
        "always" => Self::Always,
        /// Only refusals by limits, pools, seats and payloads.
        "refused" => Self::Refused,
    }
}

mapping! {
    /// The time after which a caller should return.
    RetryAfter "{ jitter: 20% }" {
        /// Adds up to this share of the wait, at most a minute, so that clients do not return at
        /// the same moment. Without `retry_after`, nothing is added.
        JITTER "jitter": Share, required;
    }
}

mapping! {
    /// The response to a request over a limit: 429.
    RefusedReply "{ content_type: text/plain, body: refused }" {
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, required;
        /// The body. `{trace_id}`, `{retry_after}` (seconds) and `{limit}` (its name) are replaced;
        /// other braces are text.
        BODY "body": Body<Self>, required;
    }
}

mapping! {
    /// The response to a caller that is not identified: 401.
    Unauthorized "{ content_type: text/plain, body: refused }" {
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, required;
        /// The body. `{trace_id}` is replaced; other braces are text.
        BODY "body": Body<Self>, required;
    }
}

mapping! {
    /// The response to a request that an entry of `deny` matches: 403.
    Denied "{ content_type: text/plain, body: denied }" {
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, required;
        /// The body. `{trace_id}` is replaced; other braces are text.
        BODY "body": Body<Self>, required;
    }
}

mapping! {
    /// The response to a request whose body is refused.
    RefusedPayload "{ content_type: text/plain, body: refused }" {
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, required;
        /// The body. `{trace_id}`, `{limit}` (its name), `{status}`, `{title}` (the status in
        /// words), `{reason}` (one word), `{max}` (the number that was exceeded, or 0) and
        /// `{detail}` (a sentence) are replaced; other braces are text.
        BODY "body": Body<Self>, required;
    }
}

impl Placeholders for RefusedReply {
    const KNOWN: &'static [Placeholder] = &Placeholder::REFUSED;
}

impl Placeholders for Unauthorized {
    // No limit applies to a caller that is not identified, so no wait helps.
    const KNOWN: &'static [Placeholder] = &[Placeholder::TraceId];
}

impl Placeholders for Denied {
    const KNOWN: &'static [Placeholder] = &[Placeholder::TraceId];
}

impl Placeholders for RefusedPayload {
    const KNOWN: &'static [Placeholder] = &Placeholder::PAYLOAD;
}
