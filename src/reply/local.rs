//! The local replies: the one answer that each kind of refusal gets.

use std::borrow::Cow;

use super::addressee::ReplyTo;
use super::fields::{self, Applied, PoolStatus, Responder};
use super::ietf;
use super::refusal::{Refusal, wait_seconds};
use super::status::title;
use super::values::{Numbers, Values};
use crate::base::id::CounterOwner;
use crate::base::time::Span;
use crate::host::stream::{Dialect, LocalReply};
use crate::policy::Policy;
use crate::policy::callers::Place;
use crate::policy::limits::Visibility;
use crate::policy::replies::{PROBLEM, Problem, Reply};
use crate::policy::template::Escape;
use crate::request::identify::AuthFailure;
use crate::store::LimitCheck;

#[cfg(test)]
mod tests;

/// The usual number of headers of a reply, reserved so that their list rarely grows.
const HEADERS_USUAL: usize = 8;

const RETRY_AFTER: &str = "retry-after";

/// The answer to a request that is refused. Its fields show `applied`.
#[must_use]
pub fn reply(
    policy: &Policy,
    refusal: Refusal<'_>,
    to: ReplyTo<'_>,
    applied: Applied<'_>,
) -> LocalReply {
    let answer = Answer::of(policy, refusal, to, applied);
    let mut headers = answer.headers();
    let body = if to.dialect == Dialect::Http {
        let (content_type, body) = answer.body();
        headers.push(("content-type".into(), content_type.to_owned()));
        body
    } else {
        refusal.message(policy)
    };
    LocalReply {
        dialect: to.dialect,
        status: answer.status,
        details: refusal.details(),
        headers,
        body,
        grpc_status: refusal.grpc_status(),
    }
}

/// Whether the fields can state the counter of a check that refuses.
#[must_use]
pub fn has_counter(policy: &Policy, check: &LimitCheck) -> bool {
    let limit = policy.limit(check.owner);
    check.answer.is_ok() && limit.is_some_and(|limit| limit.visibility != Visibility::Never)
}

/// The headers of an answer, by their names in lower case.
type Headers = Vec<(Cow<'static, str>, String)>;

/// One answer, before it is written.
struct Answer<'a> {
    policy: &'a Policy,
    refusal: Refusal<'a>,
    to: ReplyTo<'a>,
    applied: Applied<'a>,
    status: u32,
    /// The policy's settings for it, the limit's own first.
    replies: [Option<&'a Reply>; 2],
}

impl<'a> Answer<'a> {
    fn of(policy: &'a Policy, refusal: Refusal<'a>, to: ReplyTo<'a>, applied: Applied<'a>) -> Self {
        Self {
            policy,
            refusal,
            to,
            applied,
            status: refusal.status(policy),
            replies: refusal.replies(policy),
        }
    }

    /// All headers but the type of the body.
    fn headers(&self) -> Headers {
        let mut headers = self.usual_headers();
        let [own, shared] = self
            .replies
            .map(|reply| reply.map_or(&[][..], |reply| &reply.headers));
        let is_own = |name: &str| own.iter().any(|(known, _)| **known == *name);
        let others = shared.iter().filter(|(name, _)| !is_own(name));
        if own.is_empty() && shared.is_empty() {
            return headers;
        }
        let values = self.values();
        for (name, template) in own.iter().chain(others) {
            headers.retain(|(known, _)| **known != **name);
            let mut value = String::new();
            let has_value =
                template.header(&mut value, |placeholder, out| values.fill(placeholder, out));
            if has_value && !template.is_empty() {
                headers.push((name.to_string().into(), value));
            }
        }
        headers
    }

    /// The headers that the policy does not write for this answer.
    fn usual_headers(&self) -> Headers {
        let mut headers = Vec::with_capacity(HEADERS_USUAL);
        let retry_after = self.refusal.retry_after();
        let responder = match self.refusal {
            Refusal::Unauthorized(failure) => {
                headers.push(("www-authenticate".into(), challenges(self.policy, failure)));
                return headers;
            }
            Refusal::Denied(_) | Refusal::Path(_) | Refusal::Fault => return headers,
            Refusal::Limit { check, .. } => limit_responder(self.policy, check, retry_after),
            Refusal::Pool { .. } | Refusal::Payload { .. } => Responder::Other { retry_after },
        };
        if let Some(wait) = retry_after {
            let seconds = itoa::Buffer::new().format(wait_seconds(wait)).to_owned();
            headers.push((RETRY_AFTER.into(), seconds));
        }
        let (policy, applied) = (self.policy, self.applied);
        fields::each(policy, applied, responder, self.to, |name, value| {
            // The policy may write this one itself.
            if name == RETRY_AFTER {
                headers.retain(|(known, _)| known != RETRY_AFTER);
            }
            headers.push((fields::known_name(name), value.to_owned()));
        });
        headers
    }

    /// The type of the body, and the body.
    fn body(&self) -> (&'a str, String) {
        let [own, shared] = self.replies;
        let all = || [own, shared].into_iter().flatten();
        let content_type = all().find_map(|reply| reply.content_type.as_ref());
        let (text, escape) = content_type.map_or((PROBLEM, Escape::Json), |content_type| {
            (&*content_type.text, content_type.escape)
        });
        let body = match all().find_map(|reply| reply.body.as_ref()) {
            Some(template) => {
                let values = self.values();
                template.body(escape, |placeholder, out| values.fill(placeholder, out))
            }
            None => self.problem(),
        };
        (text, body)
    }

    /// The values for the policy's own texts: those of the limit that refuses, as far as callers
    /// may know it.
    fn values(&self) -> Values<'a> {
        let Self {
            policy,
            refusal,
            to,
            applied,
            status,
            ..
        } = *self;
        Values {
            policy,
            numbers: numbers(policy, refusal, to, applied),
            retry_after: refusal.retry_after(),
            to,
            refusal: Some((refusal, status)),
        }
    }

    /// The body if the policy has none.
    fn problem(&self) -> String {
        let over_a_limit = matches!(self.refusal, Refusal::Limit { .. } | Refusal::Pool { .. });
        match self.policy.replies.problem {
            Problem::QuotaExceeded if over_a_limit => {
                quota_exceeded(self.policy, self.refusal, self.status)
            }
            Problem::QuotaExceeded | Problem::Usual => {
                let detail = self.refusal.detail(self.policy);
                let (status, title) = (self.status, title(self.status));
                format!(r#"{{"status":{status},"title":"{title}","detail":"{detail}"}}"#)
            }
        }
    }
}

/// The responder if a limit or a seat limit refuses.
fn limit_responder(policy: &Policy, check: &LimitCheck, retry_after: Option<Span>) -> Responder {
    match check.owner {
        CounterOwner::Limit(limit) if has_counter(policy, check) => {
            Responder::Limit { limit, retry_after }
        }
        CounterOwner::Limit(_) if check.answer.is_ok() => Responder::Unseen { retry_after },
        CounterOwner::Limit(_) | CounterOwner::Seats(_) => Responder::Other { retry_after },
    }
}

/// The name and the numbers of the limit that refuses.
fn numbers<'a>(
    policy: &'a Policy,
    refusal: Refusal<'a>,
    to: ReplyTo<'a>,
    applied: Applied<'a>,
) -> Option<Numbers<'a>> {
    let scope = refusal.scope(policy)?;
    let alone = || Numbers::of_scope(scope, to.route(scope, policy), to.now);
    match refusal {
        Refusal::Limit {
            check, retry_after, ..
        } => {
            let found = match check.owner {
                CounterOwner::Limit(id) => applied.limits.iter().find(|status| status.limit == id),
                CounterOwner::Seats(_) => None,
            };
            let never_fits = retry_after.is_none();
            let numbers = found.and_then(|status| Numbers::of_limit(policy, status, never_fits));
            Some(numbers.unwrap_or_else(alone))
        }
        Refusal::Pool { pool, .. } => {
            let found = applied.pools.iter().find(|status| status.pool == pool);
            let limit = policy.pools.get(pool)?;
            let status = PoolStatus {
                pool,
                slots: found.map_or(limit.pool.slots(), |status| status.slots),
                free: Some(0),
                route: found.and_then(|status| status.route),
            };
            Numbers::of_pool(policy, &status, to.now)
        }
        Refusal::Payload { .. }
        | Refusal::Unauthorized(_)
        | Refusal::Denied(_)
        | Refusal::Path(_)
        | Refusal::Fault => Some(alone()),
    }
}

/// The problem `quota-exceeded`, with the names of all limits that refuse and are shown.
fn quota_exceeded(policy: &Policy, refusal: Refusal<'_>, status: u32) -> String {
    match refusal {
        Refusal::Limit { checks, .. } => {
            let refusing = checks.iter().filter(|check| !check.admits());
            let seen = refusing.filter(|check| {
                let limit = policy.limit(check.owner);
                limit.is_none_or(|limit| limit.visibility != Visibility::Never)
            });
            ietf::problem(
                status,
                seen.filter_map(|check| policy.owner_name(check.owner)),
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

/// The challenges of a 401, which must name the accepted schemes (RFC 9110 §15.5.2): one for each
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
