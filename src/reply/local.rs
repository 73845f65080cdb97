//! The answers that the gateway gives itself: 429 for a limit, 401 for a caller it does not know.

use super::fields::Shown;
use super::trace::trace_id;
use crate::base::time::{Span, Timestamp};
use crate::engine::Refusal;
use crate::host::stream::{GrpcStatus, LocalReply};
use crate::policy::Policy;
use crate::policy::callers::Place;
use crate::policy::replies::Reply;
use crate::policy::template::Placeholder;
use crate::request::head::Request;
use crate::request::identify::Unidentified;
use crate::store::Claim;

/// The answer to a request over `limit`.
#[must_use]
pub fn refused(
    policy: &Policy,
    limit: &str,
    refusal: Refusal,
    claim: &Claim,
    request: &Request,
    now: Timestamp,
) -> LocalReply {
    let noise = claim.key.fingerprint ^ now.nanos();
    let retry_after = refusal.retry_after.map(|wait| jittered(wait, policy, noise).seconds_up().max(1));
    let mut headers: Vec<(&'static str, String)> = Vec::with_capacity(5);
    headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
    if let Some((form, shown)) = policy.replies.fields.zip(Shown::of(claim, now)) {
        headers.extend(shown.fields(form).map(|(name, value)| (name, value.to_string())));
    }
    let plain = match retry_after {
        Some(seconds) => format!("limit {limit} exceeded: retry after {seconds} s"),
        None => format!("limit {limit} exceeded: the request costs more than it ever admits"),
    };
    let fill = |placeholder, text: &mut String| match placeholder {
        Placeholder::TraceId => text.push_str(&trace_id(&request.headers, noise)),
        Placeholder::RetryAfter => text.push_str(&retry_after.unwrap_or_default().to_string()),
        Placeholder::Limit => text.push_str(limit),
    };
    let reply = LocalReply {
        status: 429,
        details: format!("sluicegate_refused:{limit}"),
        headers,
        body: plain,
        grpc_status: GrpcStatus::ResourceExhausted,
    };
    with_body(reply, &policy.replies.refused, request, fill)
}

/// The answer to a caller who is not let in. A 401 must say what would be accepted (RFC 9110
/// §15.5.2): each scheme of the policy, or `ApiKey` where it has none.
#[must_use]
pub fn unauthorized(policy: &Policy, why: Unidentified, request: &Request, now: Timestamp) -> LocalReply {
    let fill = |placeholder, text: &mut String| match placeholder {
        Placeholder::TraceId => text.push_str(&trace_id(&request.headers, now.nanos())),
        Placeholder::RetryAfter | Placeholder::Limit => {}
    };
    let reply = LocalReply {
        status: 401,
        details: format!("sluicegate_unauthorized:{}", why.name()),
        headers: vec![("www-authenticate", challenges(policy, why))],
        body: "valid credentials are required".to_owned(),
        grpc_status: GrpcStatus::Unauthenticated,
    };
    with_body(reply, &policy.replies.unauthorized, request, fill)
}

/// Envoy makes a gRPC caller's `grpc-message` of the body, and sets the content type itself.
fn with_body(
    mut reply: LocalReply,
    words: &Reply,
    request: &Request,
    fill: impl FnMut(Placeholder, &mut String),
) -> LocalReply {
    if !request.is_grpc() {
        reply.headers.push(("content-type", words.content_type.to_string()));
        reply.body = words.body.render(fill);
    }
    reply
}

fn challenges(policy: &Policy, why: Unidentified) -> String {
    let realm = &policy.name;
    let mut all: Vec<String> = Vec::new();
    for credential in &policy.callers.credentials {
        let Place::Header { scheme: Some(scheme), .. } = &credential.place else { continue };
        // RFC 6750 §3.1: a token that was presented and is not valid.
        let error = match why {
            Unidentified::Absent => "",
            Unidentified::Unknown | Unidentified::Ambiguous | Unidentified::Conflicting => ", error=\"invalid_token\"",
        };
        let error = if scheme.eq_ignore_ascii_case("bearer") { error } else { "" };
        all.push(format!("{scheme} realm=\"{realm}\"{error}"));
    }
    if all.is_empty() { format!("ApiKey realm=\"{realm}\"") } else { all.join(", ") }
}

/// The wait and a share of it on top, never less than the wait.
fn jittered(wait: Span, policy: &Policy, noise: u64) -> Span {
    let most = policy.replies.jitter.of(wait);
    // Any mixing serves: what it spreads is how clients come back, not a secret.
    let share = noise.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let extra = (u128::from(most.nanos()).saturating_mul(u128::from(share))) >> 32;
    wait.plus(Span::from_nanos(u64::try_from(extra).unwrap_or_default()))
}
