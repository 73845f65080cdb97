//! The content of responses to callers.

use super::Constraint;
use super::formats::{MediaType, PlainPath, Reference, Share};
use super::key::{mapping, words};
use super::kind::{Choice, List, Map, Set};
use super::templates::{Body, FieldName, HeaderValue, Placeholders, RefusalStatus};
#[cfg(not(target_arch = "wasm32"))]
use super::{Kind, Names, Rest};
use crate::policy::replies::{Reset, When};
use crate::policy::template::{self, Word};

mapping! {
    /// The content of responses to callers.
    Replies "{ fields: { family: ietf } }" {
        /// The response header fields that show callers the state of their limits.
        FIELDS "fields": Map<Fields>, optional "`{ family: x-ratelimit }`";
        /// `Retry-After`: the time after which a caller should return.
        RETRY_AFTER "retry_after": Map<RetryAfter>, optional "no jitter";
        /// The answer to a request that a limit, a pool or a seat limit refuses.
        REFUSED "refused": Map<RefusedReply>,
            optional "a problem (RFC 9457); with `ietf` or `both`, the draft's own problem";
        /// The answer to a caller that is not identified: 401.
        UNAUTHORIZED "unauthorized": Map<Unauthorized>, optional "a problem";
        /// The answer to a request that an entry of `deny` matches: 403.
        DENIED "denied": Map<Denied>, optional "a problem";
        /// The answer to a request whose payload is refused.
        PAYLOAD "payload": Map<RefusedPayload>, optional "a problem";
        /// The endpoint at which callers read their own numbers: [the endpoint](#the-endpoint).
        ENDPOINT "endpoint": Map<Endpoint>, optional "none";
    }
}

mapping! {
    /// The endpoint at which callers read their own numbers. The gateway answers `GET` and `HEAD`
    /// itself, and other methods with a 405.
    Endpoint "{ path: /rate_limit }" {
        /// The path.
        PATH "path": PlainPath, required;
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
        /// Fields of your own, in addition to those of the family.
        WRITE "write": List<Map<WrittenField>, 1, 32>, optional "none";
    }
}

mapping! {
    /// A header field of your own. It replaces the upstream's field of this name, or removes that
    /// if it has no value. Of several entries with one name, the first that has a value is sent; an
    /// entry takes the place of a field of the family.
    WrittenField "{ name: X-Rate-Limit-Remaining, value: \"{remaining}\" }" {
        /// The name of the field.
        NAME "name": FieldName, required;
        /// The value, a [template](#templates). If a placeholder has no value, the entry has none.
        VALUE "value": HeaderValue<Self>, required;
        /// The limits and pools whose numbers the value shows: of those that apply, the one with
        /// the fewest units left.
        OF "of": Set<Reference, 1, 16>, optional "the limit that `X-RateLimit-*` shows: the one \
            with the fewest requests left; on a refusal, the limit that refuses";
        /// The responses that have the field.
        WHEN "when": Choice<When>, optional "that of `fields`";
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
        /// No fields but those of `write`.
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
        /// Only responses to requests that were admitted.
        "admitted" => Self::Admitted,
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
    /// The answer to a request that a limit, a pool or a seat limit refuses. A limit may have its
    /// own answer under its key `refused`; parts that it omits come from here.
    RefusedReply "{ content_type: text/plain, body: refused }"
    constraints [Constraint::Requires {
        key: Self::BODY.name,
        other: Self::CONTENT_TYPE.name,
        because: "`content_type`",
    }]
    {
        /// The status: 400 to 599, or 200 for an API that answers so. A gRPC caller gets its own.
        STATUS "status": RefusalStatus, optional "429; that of a seat limit is its own";
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, optional "that of a problem";
        /// The body, a [template](#templates).
        BODY "body": Body<Self>, optional "a problem";
        /// Further header fields, or others in place of those that the answer has.
        HEADERS "headers": Map<RefusedHeaders>, optional "none";
    }
}

mapping! {
    /// The answer of one limit, pool or seat limit. Parts that it omits come from
    /// `replies.refused`.
    OwnRefusal "{ status: 403 }"
    constraints [Constraint::NotEmpty]
    {
        /// The status: 400 to 599, or 200.
        STATUS "status": RefusalStatus, optional "that of `replies.refused`";
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, optional "that of `replies.refused`";
        /// The body, a [template](#templates).
        BODY "body": Body<RefusedReply>, optional "that of `replies.refused`";
        /// Header fields, in addition to those of `replies.refused`, or in place of them.
        HEADERS "headers": Map<RefusedHeaders>, optional "those of `replies.refused`";
    }
}

mapping! {
    /// The answer to a caller that is not identified: 401.
    Unauthorized "{ content_type: text/plain, body: refused }"
    constraints [Constraint::Requires {
        key: Self::BODY.name,
        other: Self::CONTENT_TYPE.name,
        because: "`content_type`",
    }]
    {
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, optional "that of a problem";
        /// The body, a [template](#templates).
        BODY "body": Body<Self>, optional "a problem";
        /// Further header fields, or others in place of `WWW-Authenticate`.
        HEADERS "headers": Map<UnauthorizedHeaders>, optional "none";
    }
}

mapping! {
    /// The answer to a request that an entry of `deny` matches: 403.
    Denied "{ content_type: text/plain, body: denied }"
    constraints [Constraint::Requires {
        key: Self::BODY.name,
        other: Self::CONTENT_TYPE.name,
        because: "`content_type`",
    }]
    {
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, optional "that of a problem";
        /// The body, a [template](#templates).
        BODY "body": Body<Self>, optional "a problem";
        /// Further header fields.
        HEADERS "headers": Map<DeniedHeaders>, optional "none";
    }
}

mapping! {
    /// The answer to a request whose payload is refused. A payload limit may have its own answer
    /// under its key `refused`; parts that it omits come from here.
    RefusedPayload "{ content_type: text/plain, body: refused }"
    constraints [Constraint::Requires {
        key: Self::BODY.name,
        other: Self::CONTENT_TYPE.name,
        because: "`content_type`",
    }]
    {
        /// The status: 400 to 599, or 200. A 503, which is not the client's fault, stays one.
        STATUS "status": RefusalStatus, optional "by the [reason](#payloads)";
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, optional "that of a problem";
        /// The body, a [template](#templates).
        BODY "body": Body<Self>, optional "a problem";
        /// Further header fields, or others in place of those that the answer has.
        HEADERS "headers": Map<PayloadHeaders>, optional "none";
    }
}

mapping! {
    /// The answer of one payload limit. Parts that it omits come from `replies.payload`.
    OwnPayloadRefusal "{ status: 400 }"
    constraints [Constraint::NotEmpty]
    {
        /// The status: 400 to 599, or 200. A 503, which is not the client's fault, stays one.
        STATUS "status": RefusalStatus, optional "that of `replies.payload`";
        /// The `Content-Type` of the body.
        CONTENT_TYPE "content_type": MediaType, optional "that of `replies.payload`";
        /// The body, a [template](#templates).
        BODY "body": Body<RefusedPayload>, optional "that of `replies.payload`";
        /// Header fields, in addition to those of `replies.payload`, or in place of them.
        HEADERS "headers": Map<PayloadHeaders>, optional "those of `replies.payload`";
    }
}

/// Declares the header fields of an answer with the placeholders of a reply.
macro_rules! headers {
    ($(#[doc = $doc:literal])+ $name:ident of $reply:ident) => {
        mapping! {
            $(#[doc = $doc])+
            $name "{ x-limited: \"true\" }" {}
            rest Rest {
                key: "name of the header",
                doc: "The value, a [template](#templates). If a placeholder has no value, or the \
                      template is empty, the answer does not have the header.",
                names: Names::Settable,
                shape: HeaderValue::<$reply>::shape(),
                count: (None, Some(HEADERS_MAX)),
                absent: "none",
                words: Vec::new(),
            };
        }
    };
}

/// The most headers of one answer.
pub(crate) const HEADERS_MAX: usize = 32;

headers! {
    /// Header fields of the answer to a request that a limit refuses.
    RefusedHeaders of RefusedReply
}
headers! {
    /// Header fields of a 401.
    UnauthorizedHeaders of Unauthorized
}
headers! {
    /// Header fields of a 403.
    DeniedHeaders of Denied
}
headers! {
    /// Header fields of the answer to a request whose payload is refused.
    PayloadHeaders of RefusedPayload
}

impl Placeholders for WrittenField {
    const KNOWN: &'static [Word] = template::IN_FIELDS;
}

impl Placeholders for RefusedReply {
    const KNOWN: &'static [Word] = template::REFUSED;
}

impl Placeholders for Unauthorized {
    const KNOWN: &'static [Word] = template::UNAUTHORIZED;
}

impl Placeholders for Denied {
    const KNOWN: &'static [Word] = template::DENIED;
}

impl Placeholders for RefusedPayload {
    const KNOWN: &'static [Word] = template::PAYLOAD;
}
