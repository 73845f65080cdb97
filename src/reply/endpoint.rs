//! The answers of the endpoint at which callers read their own numbers.
//!
//! ```json
//! {"at":"2026-11-29T18:40:12Z","limits":[{"name":"status","label":"Monitor status",
//!  "per":{"org":"acme"},"quota":120,"window":60,"remaining":117,"used":3,"more":12,"reset":48}],
//!  "ask":["editor"]}
//! ```
//!
//! Nothing here can change a counter: all that it has of the store is [`Peek`].

use super::addressee::shown;
use super::fields::LimitStatus;
use super::refusal::wait_seconds;
use super::status::title;
use crate::engine::longest_wait;
use crate::host::stream::{Clock, Dialect, GrpcStatus, LocalReply, Properties};
use crate::limit::Cost;
use crate::policy::Policy;
use crate::policy::limits::Limit;
use crate::policy::replies::{Endpoint, PROBLEM};
use crate::policy::scope::{KeyPart, Scope};
use crate::policy::template::{Escape, InstantForm};
use crate::request::applicable::{Applicable, is_shown};
use crate::request::checks::{self, part_value};
use crate::request::endpoint::{Misuse, without_path};
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::store::key::LimitKeys;
use crate::store::{LimitCheck, Peek};

/// The endpoint of a policy, and the counters that it looks at.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a, S> {
    /// The policy.
    pub policy: &'a Policy,
    /// The keys of its counters.
    pub keys: &'a LimitKeys,
    /// The counters.
    pub store: &'a S,
}

/// The verdict that a request would get.
#[derive(Clone, Copy, Debug)]
struct Outlook {
    admitted: bool,
    /// In seconds; `None` if no wait is needed, or none helps.
    retry_after: Option<u64>,
}

/// The answer to a request that the endpoint does not answer.
#[must_use]
pub fn misuse(why: Misuse, dialect: Dialect) -> LocalReply {
    let status = if why == Misuse::Method { 405 } else { 400 };
    let (title, detail) = (title(status), why.detail());
    let mut headers = vec![("cache-control".into(), NO_STORE.to_owned())];
    if why == Misuse::Method {
        headers.push(("allow".into(), "GET, HEAD".to_owned()));
    }
    let body = if dialect == Dialect::Http {
        headers.push(("content-type".into(), PROBLEM.to_owned()));
        format!(r#"{{"status":{status},"title":"{title}","detail":"{detail}"}}"#)
    } else {
        detail.to_owned()
    };
    LocalReply {
        dialect,
        status,
        details: DETAILS.to_owned(),
        headers,
        body,
        grpc_status: GrpcStatus::Unimplemented,
    }
}

pub(super) const NO_STORE: &str = "no-store";
pub(super) const DETAILS: &str = "sluicegate_endpoint";

impl<S: Peek> Counters<'_, S> {
    /// The numbers of `caller` that do not depend on its request.
    #[must_use]
    pub fn own(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        caller: &Caller<'_>,
        host: &(impl Properties + Clock),
    ) -> LocalReply {
        let request = without_path(request, host, self.policy);
        let mut applicable = Applicable::default();
        let ask = applicable.find_own(&request, caller, self.policy, endpoint);
        let mut checks = self.checks(&applicable, &request, caller);
        self.answer(&request, caller, &mut checks, &ask, None, host)
    }

    /// The verdict that `request`, to which `applicable` applies, would get.
    #[must_use]
    pub fn of_request(
        &self,
        request: &Request,
        caller: &Caller<'_>,
        applicable: &Applicable,
        host: &impl Clock,
    ) -> LocalReply {
        if applicable.ambiguity.is_some() || applicable.denial.is_some() {
            let outlook = Outlook {
                admitted: false,
                retry_after: None,
            };
            return self.answer(request, caller, &mut [], &[], Some(outlook), host);
        }
        let mut checks = self.checks(applicable, request, caller);
        for check in &mut checks {
            check.rule = check.rule.at(|| host.steady());
            check.ask(self.store, host);
        }
        let refusing = longest_wait(&checks, |check| !check.admits());
        let outlook = Outlook {
            admitted: refusing.is_none(),
            retry_after: refusing.and_then(|(_, wait)| wait).map(wait_seconds),
        };
        let pools = applicable.pools.iter();
        let pools = pools.filter_map(|id| Some(&self.policy.pools.get(*id)?.scope));
        let seats = applicable.seats.iter();
        let seats = seats.filter_map(|id| Some(&self.policy.seats.get(*id)?.scope));
        let ask: Vec<&str> = pools.chain(seats).map(|scope| &*scope.name).collect();
        self.answer(request, caller, &mut checks, &ask, Some(outlook), host)
    }

    fn checks(
        &self,
        applicable: &Applicable,
        request: &Request,
        caller: &Caller<'_>,
    ) -> Vec<LimitCheck> {
        let mut checks = Vec::new();
        let Self { policy, keys, .. } = *self;
        checks::fill(&mut checks, applicable, request, caller, policy, keys);
        checks
    }

    /// States the counters of the checks as they are.
    fn answer(
        &self,
        request: &Request,
        caller: &Caller<'_>,
        checks: &mut [LimitCheck],
        ask: &[&str],
        outlook: Option<Outlook>,
        clock: &impl Clock,
    ) -> LocalReply {
        let mut body = String::from(r#"{"at":""#);
        InstantForm::Iso8601.write(&mut body, clock.now());
        body.push_str(r#"","limits":["#);
        let before = body.len();
        for check in checks {
            let Some(limit) = self.policy.limit(check.owner).filter(|it| is_shown(it)) else {
                continue;
            };
            check.cost = Cost::Now(0);
            check.rule = check.rule.at(|| clock.steady());
            check.ask(self.store, clock);
            let Some(status) = LimitStatus::of(check, self.policy) else {
                continue;
            };
            if body.len() > before {
                body.push(',');
            }
            self.limit(&mut body, limit, &status.at(clock.now()), request, caller);
        }
        body.push_str(r#"],"ask":["#);
        for (place, name) in ask.iter().enumerate() {
            body.push_str(if place == 0 { "\"" } else { ",\"" });
            body.push_str(name);
            body.push('"');
        }
        body.push(']');
        if let Some(Outlook {
            admitted,
            retry_after,
        }) = outlook
        {
            body.push_str(r#","admitted":"#);
            body.push_str(if admitted { "true" } else { "false" });
            if let Some(seconds) = retry_after {
                number(&mut body, "retry_after", seconds);
            }
        }
        body.push('}');
        LocalReply {
            dialect: Dialect::Http,
            status: 200,
            details: DETAILS.to_owned(),
            headers: vec![
                ("cache-control".into(), NO_STORE.to_owned()),
                ("content-type".into(), "application/json".to_owned()),
            ],
            body,
            // A gRPC caller is not answered.
            grpc_status: GrpcStatus::Unimplemented,
        }
    }

    fn limit(
        &self,
        body: &mut String,
        limit: &Limit,
        status: &LimitStatus,
        request: &Request,
        caller: &Caller<'_>,
    ) {
        write_limit(body, limit, status, self.policy, |part| {
            part_value(&limit.scope, part, request, caller, self.policy).map(shown)
        });
        body.push('}');
    }
}

/// Writes the numbers of one limit, without the brace that ends them.
pub(super) fn write_limit(
    body: &mut String,
    limit: &Limit,
    status: &LimitStatus,
    policy: &Policy,
    part: impl Fn(&KeyPart) -> Option<String>,
) {
    names(body, &limit.scope, policy, part);
    number(body, "quota", status.quota);
    number(body, "window", status.window.seconds_up());
    // A counter that cannot be read has no numbers.
    if let Some(reading) = status.reading {
        let balance = reading.balance;
        number(body, "remaining", balance.remaining);
        number(body, "used", status.quota.saturating_sub(balance.remaining));
        number(body, "more", balance.next_unit_in.seconds_up());
        number(body, "reset", balance.reset_in.seconds_up());
    }
}

/// Begins a limit: its names, and the values of its key.
pub(super) fn names(
    body: &mut String,
    scope: &Scope,
    policy: &Policy,
    part: impl Fn(&KeyPart) -> Option<String>,
) {
    body.push_str(r#"{"name":"#);
    string(body, &scope.name);
    body.push_str(r#","label":"#);
    string(body, &scope.label);
    body.push_str(r#","per":{"#);
    for (place, key) in scope.per.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        string(body, key.name(&policy.attributes));
        body.push(':');
        match part(key) {
            Some(value) => string(body, &value),
            None => body.push_str("null"),
        }
    }
    body.push('}');
}

pub(super) fn string(body: &mut String, text: &str) {
    body.push('"');
    Escape::Json.write(body, text);
    body.push('"');
}

pub(super) fn number(body: &mut String, key: &str, value: u64) {
    for part in [",\"", key, "\":", itoa::Buffer::new().format(value)] {
        body.push_str(part);
    }
}
