//! The answers that the gateway gives itself: 429 for a limit, 401 for a caller it does not know.

use super::fields::{self, By, LimitStatus};
use super::{ietf, trace_id};
use crate::base::id::{CounterOwner, PoolId};
use crate::base::path::Ambiguity;
use crate::base::time::{Span, Timestamp};
use crate::engine::Refusal;
use crate::host::stream::{Dialect, GrpcStatus, LocalReply};
use crate::payload::body::{Reason, Rejection};
use crate::policy::Policy;
use crate::policy::callers::Place;
use crate::policy::replies::{PROBLEM, Refused, Reply};
use crate::policy::template::Placeholder;
use crate::queue::stream::Reason as QueueReason;
use crate::request::head::Request;
use crate::request::identify::AuthFailure;
use crate::store::LimitCheck;

/// Headers of a refusal, so that their list need not grow.
const HEADERS_USUAL: usize = 8;

/// The most that jitter adds to a wait, however long that is.
const JITTER_MAX: Span = Span::from_seconds(60);

/// The limits and pools under which a request was answered, as its fields show them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Under<'a> {
    /// The limits.
    pub shown: &'a [LimitStatus],
    /// The pools.
    pub pools: &'a [PoolId],
}

/// The answer to a request that limits refuse; `checks` are all that it asked.
#[must_use]
pub fn refused(
    policy: &Policy,
    refusal: Refusal,
    checks: &[LimitCheck],
    under: Under<'_>,
    request: &Request,
    now: Timestamp,
) -> LocalReply {
    let name = |check: &LimitCheck| policy.owner_name(check.owner);
    let longest = checks.get(refusal.check);
    let limit = longest.and_then(name).unwrap_or_default();
    let noise = longest.map_or(0, |check| check.key.fingerprint) ^ now.nanos();
    let retry_after = refusal.retry_after.map(|wait| jittered(wait, policy, noise).seconds_up().max(1));
    let refusing = || checks.iter().filter(|check| !check.admits());
    let mut headers = Vec::with_capacity(HEADERS_USUAL);
    headers.extend(retry_after.map(|seconds| ("retry-after", digits(seconds))));
    let by = match longest.filter(|check| has_numbers(check)).map(|check| check.owner) {
        Some(CounterOwner::Limit(limit)) => By::Limit { limit, retry_after },
        Some(CounterOwner::Seats(_)) | None => By::Other { retry_after },
    };
    fields::each(policy, under.shown, under.pools, by, |name, value| headers.push((name, value.to_owned())));
    let seat = longest.and_then(|check| policy.seat_limit(check.owner));
    let plain = || match retry_after {
        Some(seconds) => format!("limit {limit} exceeded: retry after {seconds} s"),
        None => format!("limit {limit} exceeded: the request costs more than it ever admits"),
    };
    let fill = |placeholder, text: &mut String| match placeholder {
        Placeholder::TraceId => trace_id::write(text, &request.headers, noise),
        Placeholder::RetryAfter => push_wait(text, retry_after),
        Placeholder::Limit => text.push_str(limit),
        Placeholder::Status | Placeholder::Title | Placeholder::Reason | Placeholder::Max | Placeholder::Detail => {}
    };
    let status = seat.map_or(429, |seat| seat.status);
    let reply = LocalReply {
        dialect: Dialect::Http,
        status,
        details: ["sluicegate_refused:", limit].concat(),
        headers,
        body: String::new(),
        grpc_status: GrpcStatus::ResourceExhausted,
    };
    match &policy.replies.refused {
        Refused::Problem => with_body(reply, request.dialect(), PROBLEM, plain, || problem(status, limit, retry_after)),
        Refused::Words(words) => {
            with_body(reply, request.dialect(), &words.content_type, plain, || words.body.render(fill))
        }
        Refused::QuotaExceeded => {
            with_body(reply, request.dialect(), PROBLEM, plain, || ietf::problem(status, refusing().filter_map(name)))
        }
    }
}

/// Whether a check that refuses has a counter that the fields can tell of.
#[must_use]
pub const fn has_numbers(check: &LimitCheck) -> bool {
    check.answer.is_ok() && matches!(check.owner, CounterOwner::Limit(_))
}

/// The usual problem of a refusal.
fn problem(status: u32, limit: &str, retry_after: Option<u64>) -> String {
    let title = title(status);
    let detail = match retry_after {
        Some(seconds) => format!("The limit {limit} is exceeded. Retry after {seconds} seconds."),
        None => format!("The limit {limit} is exceeded: the request costs more than it ever admits."),
    };
    format!(r#"{{"status":{status},"title":"{title}","detail":"{detail}"}}"#)
}

/// What the refusal of a payload needs of its request's head.
#[derive(Clone, Debug)]
pub struct ReplyContext {
    trace_id: String,
    dialect: Dialect,
}

impl ReplyContext {
    /// Of a request.
    #[must_use]
    pub fn of(request: &Request, noise: u64) -> Self {
        let mut trace_id = String::new();
        trace_id::write(&mut trace_id, &request.headers, noise);
        Self { trace_id, dialect: request.dialect() }
    }
}

/// The answer to a request whose payload the limit called `limit` refuses.
#[must_use]
pub fn payload_refused(
    policy: &Policy,
    limit: &str,
    refused: Rejection,
    told: &ReplyContext,
    under: Under<'_>,
) -> LocalReply {
    let (status, reason, detail) = (refused.reason.status(), refused.reason.name(), refused.detail());
    let retry_after = (refused.reason == Reason::Busy).then_some(BUSY_RETRY_AFTER);
    let mut headers = fields::all(policy, under.shown, under.pools, By::Other { retry_after });
    headers.extend(retry_after.map(|seconds| ("retry-after", digits(seconds))));
    let fill = |placeholder, text: &mut String| match placeholder {
        Placeholder::TraceId => text.push_str(&told.trace_id),
        Placeholder::Limit => text.push_str(limit),
        Placeholder::Status => push_digits(text, status.into()),
        Placeholder::Title => text.push_str(title(status)),
        Placeholder::Reason => text.push_str(reason),
        Placeholder::Max => push_digits(text, refused.max.unwrap_or_default()),
        Placeholder::Detail => text.push_str(&detail),
        Placeholder::RetryAfter => {}
    };
    let reply = LocalReply {
        dialect: Dialect::Http,
        status,
        details: ["sluicegate_payload_refused:", limit, ":", reason].concat(),
        headers,
        body: String::new(),
        grpc_status: match status {
            413 => GrpcStatus::ResourceExhausted,
            415 => GrpcStatus::Unimplemented,
            503 => GrpcStatus::Unavailable,
            _ => GrpcStatus::InvalidArgument,
        },
    };
    let Reply { content_type, body } = &policy.replies.payload;
    with_body(reply, told.dialect, content_type, || detail.clone(), || body.render(fill))
}

/// Seconds that a caller is told to wait where a queue refuses: nobody knows when slots come back.
const QUEUE_RETRY_AFTER: u64 = 1;

/// The same where there is no memory for a body.
const BUSY_RETRY_AFTER: u64 = 1;

/// The answer to a request that the queue of this pool refuses.
#[must_use]
pub fn queue_refused(
    policy: &Policy,
    pool: Option<PoolId>,
    reason: QueueReason,
    told: &ReplyContext,
    under: Under<'_>,
) -> LocalReply {
    let limit = pool.and_then(|id| policy.pools.get(id)).map_or("", |pool| &*pool.scope.name);
    let mut headers = Vec::with_capacity(HEADERS_USUAL);
    headers.push(("retry-after", digits(QUEUE_RETRY_AFTER)));
    headers.extend(fields::all(policy, under.shown, under.pools, By::Other { retry_after: Some(QUEUE_RETRY_AFTER) }));
    let why = match reason {
        QueueReason::QueueFull => "all slots and the queue are taken",
        QueueReason::QueueTimeout => "no slot came free in time",
        QueueReason::Unavailable(_) => "slots cannot be given at this moment",
    };
    let fill = |placeholder, text: &mut String| match placeholder {
        Placeholder::TraceId => text.push_str(&told.trace_id),
        Placeholder::RetryAfter => push_digits(text, QUEUE_RETRY_AFTER),
        Placeholder::Limit => text.push_str(limit),
        Placeholder::Status | Placeholder::Title | Placeholder::Reason | Placeholder::Max | Placeholder::Detail => {}
    };
    let plain = || format!("limit {limit} exceeded: {why}: retry after {QUEUE_RETRY_AFTER} s");
    let reply = LocalReply {
        dialect: Dialect::Http,
        status: 429,
        details: ["sluicegate_queue_refused:", limit, ":", reason.name()].concat(),
        headers,
        body: String::new(),
        grpc_status: GrpcStatus::ResourceExhausted,
    };
    match &policy.replies.refused {
        Refused::Problem => {
            with_body(reply, told.dialect, PROBLEM, plain, || problem(429, limit, Some(QUEUE_RETRY_AFTER)))
        }
        Refused::Words(words) => with_body(reply, told.dialect, &words.content_type, plain, || words.body.render(fill)),
        Refused::QuotaExceeded => {
            with_body(reply, told.dialect, PROBLEM, plain, || ietf::problem(429, std::iter::once(limit)))
        }
    }
}

/// A status in the words of RFC 9110 §15 and the IANA's registry; the client error that it is where it has none.
const fn title(status: u32) -> &'static str {
    match status {
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        503 => "Service Unavailable",
        // An unknown one is treated as 400 (RFC 9110 §15).
        _ => "Bad Request",
    }
}

/// The answer to a caller who is not let in. A 401 must say what would be accepted (RFC 9110
/// §15.5.2): each scheme of the policy, or `ApiKey` where it has none.
#[must_use]
pub fn unauthorized(policy: &Policy, why: AuthFailure, request: &Request, now: Timestamp) -> LocalReply {
    let fill = |placeholder, text: &mut String| match placeholder {
        Placeholder::TraceId => trace_id::write(text, &request.headers, now.nanos()),
        Placeholder::RetryAfter
        | Placeholder::Limit
        | Placeholder::Status
        | Placeholder::Title
        | Placeholder::Reason
        | Placeholder::Max
        | Placeholder::Detail => {}
    };
    let reply = LocalReply {
        dialect: Dialect::Http,
        status: 401,
        details: ["sluicegate_unauthorized:", why.name()].concat(),
        headers: vec![("www-authenticate", challenges(policy, why))],
        body: String::new(),
        grpc_status: GrpcStatus::Unauthenticated,
    };
    let plain = || "valid credentials are required".to_owned();
    let Reply { content_type, body } = &policy.replies.unauthorized;
    with_body(reply, request.dialect(), content_type, plain, || body.render(fill))
}

/// The answer to a request whose path has no safe reading.
#[must_use]
pub fn path_refused(why: Ambiguity, request: &Request) -> LocalReply {
    let reply = LocalReply {
        dialect: Dialect::Http,
        status: 400,
        details: ["sluicegate_path_refused:", why.name()].concat(),
        headers: Vec::new(),
        body: String::new(),
        grpc_status: GrpcStatus::InvalidArgument,
    };
    let plain = || why.detail().to_owned();
    let problem = || format!(r#"{{"status":400,"title":"Bad Request","detail":"{}"}}"#, why.detail());
    with_body(reply, request.dialect(), PROBLEM, plain, problem)
}

/// The reply with its body, which a gRPC caller gets as `grpc-message`.
fn with_body(
    mut reply: LocalReply,
    dialect: Dialect,
    content_type: &str,
    plain: impl FnOnce() -> String,
    body: impl FnOnce() -> String,
) -> LocalReply {
    reply.dialect = dialect;
    if dialect == Dialect::Http {
        reply.headers.push(("content-type", content_type.to_owned()));
        reply.body = body();
    } else {
        reply.body = plain();
    }
    reply
}

fn digits(number: u64) -> String {
    itoa::Buffer::new().format(number).to_owned()
}

/// The seconds of a wait, or the word that JSON has for none.
fn push_wait(text: &mut String, retry_after: Option<u64>) {
    match retry_after {
        Some(seconds) => push_digits(text, seconds),
        None => text.push_str("null"),
    }
}

fn push_digits(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

fn challenges(policy: &Policy, why: AuthFailure) -> String {
    let realm = &policy.name;
    let mut all: Vec<String> = Vec::new();
    for credential in &policy.callers.credentials {
        let Place::Header { scheme: Some(scheme), .. } = &credential.place else { continue };
        // RFC 6750 §3.1: a token that was presented and is not valid.
        let error = match why {
            AuthFailure::Absent => "",
            AuthFailure::Unknown | AuthFailure::Ambiguous | AuthFailure::Conflicting => ", error=\"invalid_token\"",
        };
        let error = if scheme.eq_ignore_ascii_case("bearer") { error } else { "" };
        all.push(format!("{scheme} realm=\"{realm}\"{error}"));
    }
    if all.is_empty() { format!("ApiKey realm=\"{realm}\"") } else { all.join(", ") }
}

/// The wait and a share of it on top, never less than the wait.
fn jittered(wait: Span, policy: &Policy, noise: u64) -> Span {
    let most = policy.replies.jitter.of(wait).min(JITTER_MAX);
    // Any mixing serves: what it spreads is how clients come back, not a secret.
    let share = noise.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let extra = (u128::from(most.nanos()).saturating_mul(u128::from(share))) >> 32;
    wait.plus(Span::from_nanos(u64::try_from(extra).unwrap_or_default()))
}
