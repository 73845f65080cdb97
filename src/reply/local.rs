//! The local replies: the one answer that each kind of refusal gets.

use super::fields::{self, Applied, Responder};
use super::ietf;
use super::refusal::{Refusal, ReplyTo};
use super::status::title;
use crate::base::id::CounterOwner;
use crate::base::time::Timestamp;
use crate::host::stream::{Dialect, LocalReply};
use crate::payload::body::Rejection;
use crate::policy::Policy;
use crate::policy::callers::Place;
use crate::policy::replies::{PROBLEM, Refused};
use crate::policy::template::Placeholder;
use crate::request::head::Request;
use crate::request::identify::AuthFailure;
use crate::store::LimitCheck;

#[cfg(test)]
mod tests;

/// The usual number of headers of a reply, reserved so that their list rarely grows.
const HEADERS_USUAL: usize = 8;

/// The reply to a request whose head is at hand. `applied` is what its fields show.
#[must_use]
pub fn reply_at_head(
    policy: &Policy,
    refusal: Refusal<'_>,
    request: &Request,
    now: Timestamp,
    applied: Applied<'_>,
) -> LocalReply {
    reply(
        policy,
        refusal,
        ReplyTo::head(request, &refusal, now),
        applied,
    )
}

/// The reply to a request that is refused. `applied` is what its fields show.
#[must_use]
pub fn reply(
    policy: &Policy,
    refusal: Refusal<'_>,
    to: ReplyTo<'_>,
    applied: Applied<'_>,
) -> LocalReply {
    let status = refusal.status(policy);
    let mut headers = headers(policy, refusal, applied);
    let body = if to.dialect == Dialect::Http {
        let (content_type, body) = body(policy, refusal, to, status);
        headers.push(("content-type", content_type.to_owned()));
        body
    } else {
        refusal.message()
    };
    LocalReply {
        dialect: to.dialect,
        status,
        details: refusal.details(),
        headers,
        body,
        grpc_status: refusal.grpc_status(),
    }
}

/// Whether the fields can state the counter of a check that refuses.
#[must_use]
pub const fn has_counter(check: &LimitCheck) -> bool {
    check.answer.is_ok() && matches!(check.owner, CounterOwner::Limit(_))
}

/// The headers of a reply, but for the type of its body.
fn headers(
    policy: &Policy,
    refusal: Refusal<'_>,
    applied: Applied<'_>,
) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(HEADERS_USUAL);
    let retry_after = refusal.retry_after();
    let responder = match refusal {
        Refusal::Unauthorized(failure) => {
            headers.push(("www-authenticate", challenges(policy, failure)));
            return headers;
        }
        Refusal::Denied(_) | Refusal::Path(_) | Refusal::Fault => return headers,
        Refusal::Limit {
            check:
                LimitCheck {
                    owner: CounterOwner::Limit(limit),
                    answer: Ok(_),
                    ..
                },
            ..
        } => Responder::Limit {
            limit: *limit,
            retry_after,
        },
        Refusal::Limit { .. } | Refusal::Pool { .. } | Refusal::Payload { .. } => {
            Responder::Other { retry_after }
        }
    };
    let field = retry_after.map(|seconds| {
        (
            "retry-after",
            itoa::Buffer::new().format(seconds).to_owned(),
        )
    });
    let (first, last) = if matches!(refusal, Refusal::Payload { .. }) {
        (None, field)
    } else {
        (field, None)
    };
    headers.extend(first);
    fields::each(policy, applied, responder, |name, value| {
        headers.push((name, value.to_owned()))
    });
    headers.extend(last);
    headers
}

/// The type of the body, and the body.
fn body<'p>(
    policy: &'p Policy,
    refusal: Refusal<'_>,
    to: ReplyTo<'_>,
    status: u32,
) -> (&'p str, String) {
    let words = match refusal {
        Refusal::Unauthorized(_) => &policy.replies.unauthorized,
        Refusal::Denied(_) => &policy.replies.denied,
        Refusal::Payload { .. } => &policy.replies.payload,
        Refusal::Path(_) | Refusal::Fault => return (PROBLEM, problem(status, &refusal.detail())),
        Refusal::Limit { .. } | Refusal::Pool { .. } => match &policy.replies.refused {
            Refused::Problem => return (PROBLEM, problem(status, &refusal.detail())),
            Refused::QuotaExceeded => return (PROBLEM, quota_exceeded(policy, refusal, status)),
            Refused::Words(words) => words,
        },
    };
    let body = words
        .body
        .render(|placeholder, text| fill(text, placeholder, refusal, to, status));
    (&words.content_type, body)
}

/// The usual problem of a refusal.
fn problem(status: u32, detail: &str) -> String {
    let title = title(status);
    format!(r#"{{"status":{status},"title":"{title}","detail":"{detail}"}}"#)
}

/// The problem `quota-exceeded`, with the names of all limits that refuse.
fn quota_exceeded(policy: &Policy, refusal: Refusal<'_>, status: u32) -> String {
    match refusal {
        Refusal::Limit { checks, .. } => {
            let refusing = checks.iter().filter(|check| !check.admits());
            ietf::problem(
                status,
                refusing.filter_map(|check| policy.owner_name(check.owner)),
            )
        }
        Refusal::Unauthorized(_)
        | Refusal::Denied(_)
        | Refusal::Path(_)
        | Refusal::Pool { .. }
        | Refusal::Payload { .. }
        | Refusal::Fault => ietf::problem(status, refusal.limit().into_iter()),
    }
}

/// Appends the value of a placeholder. A policy's reader accepts in each body only those
/// placeholders that its kind of refusal has.
fn fill(
    text: &mut String,
    placeholder: Placeholder,
    refusal: Refusal<'_>,
    to: ReplyTo<'_>,
    status: u32,
) {
    match placeholder {
        Placeholder::TraceId => to.push_trace_id(text),
        Placeholder::RetryAfter => match refusal.retry_after() {
            Some(seconds) => push_digits(text, seconds),
            // JSON's word for none.
            None => text.push_str("null"),
        },
        Placeholder::Limit => text.extend(refusal.limit()),
        Placeholder::Status => push_digits(text, status.into()),
        Placeholder::Title => text.push_str(title(status)),
        Placeholder::Reason => {
            text.extend(rejection(refusal).map(|rejection| rejection.reason.name()))
        }
        // A reason without a bound has 0.
        Placeholder::Max => push_digits(
            text,
            rejection(refusal)
                .and_then(|rejection| rejection.max)
                .unwrap_or(0),
        ),
        Placeholder::Detail => text.push_str(&refusal.detail()),
    }
}

const fn rejection(refusal: Refusal<'_>) -> Option<Rejection> {
    match refusal {
        Refusal::Payload { rejection, .. } => Some(rejection),
        Refusal::Unauthorized(_)
        | Refusal::Denied(_)
        | Refusal::Path(_)
        | Refusal::Limit { .. }
        | Refusal::Pool { .. }
        | Refusal::Fault => None,
    }
}

fn push_digits(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// The challenges of a 401, which must say what would be accepted (RFC 9110 §15.5.2): one for each
/// scheme of the policy, or `ApiKey` if it has none.
fn challenges(policy: &Policy, why: AuthFailure) -> String {
    let realm = &policy.name;
    let mut all: Vec<String> = Vec::new();
    for credential in &policy.callers.credentials {
        let Place::Header {
            scheme: Some(scheme),
            ..
        } = &credential.place
        else {
            continue;
        };
        // RFC 6750 §3.1: a token that was presented and is not valid.
        let error = match why {
            AuthFailure::Absent => "",
            AuthFailure::Unknown | AuthFailure::Ambiguous | AuthFailure::Conflicting => {
                ", error=\"invalid_token\""
            }
        };
        let error = if scheme.eq_ignore_ascii_case("bearer") {
            error
        } else {
            ""
        };
        let challenge = format!("{scheme} realm=\"{realm}\"{error}");
        // A user and a password are two credentials of one scheme.
        if !all.contains(&challenge) {
            all.push(challenge);
        }
    }
    if all.is_empty() {
        format!("ApiKey realm=\"{realm}\"")
    } else {
        all.join(", ")
    }
}
