//! The answers to operators who ask about the counters of one caller.
//!
//! ```json
//! {"at":"2026-11-29T18:40:12Z","policy":"demo","revision":"3f2a9c1d","limits":[{"name":"status",
//!  "label":"Monitor status","per":{"org":"acme"},"quota":120,"window":60,"remaining":117,"used":3,
//!  "more":12,"reset":48}],"seats":[],"concurrency":[],"needs":{"editor":["project"]}}
//! ```

use super::addressee::shown;
use super::endpoint::{self, DETAILS, NO_STORE, number, string, write_limit};
use super::fields::LimitStatus;
use super::status::title;
use crate::base::id::{CounterOwner, PoolId, SeatId};
use crate::host::stream::{Clock, Dialect, GrpcStatus, LocalReply};
use crate::limit::{Decision, Enforcement};
use crate::policy::Policy;
use crate::policy::replies::PROBLEM;
use crate::policy::scope::{KeyPart, Scope};
use crate::policy::template::InstantForm;
use crate::request::checks::look_at;
use crate::request::identify::Caller;
use crate::request::operator::{Misuse, Owner, Stated, names, owners, scopes};
use crate::store::key::LimitKeys;
use crate::store::{LimitCheck, Peek};

/// The slots of one key of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// The slots of the caller.
    pub slots: u32,
    /// Those that are free.
    pub free: u32,
    /// The requests that wait for one.
    pub waiting: u32,
}

/// A policy, its counters, and the caller that an operator describes.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a, S> {
    /// The policy.
    pub policy: &'a Policy,
    /// The keys of its counters.
    pub keys: &'a LimitKeys,
    /// The counters.
    pub store: &'a S,
    /// The values of the caller, as the operator states them.
    pub stated: &'a Stated<'a>,
    /// The same as a caller.
    pub caller: &'a Caller<'a>,
}

/// What `%RESPONSE_CODE_DETAILS%` has for a reset.
const RESET: &str = "sluicegate_reset";

impl<S: Peek> Described<'_, S> {
    /// The check of one limit or seat limit.
    ///
    /// # Errors
    /// [`Misuse`] if nothing is said of a value that the limit depends on, or if it does not apply
    /// to the caller.
    pub fn check(&self, owner: CounterOwner) -> Result<LimitCheck, Misuse> {
        self.all_said(Owner::Counter(owner))?;
        let check = look_at(owner, self.stated, self.caller, self.policy, self.keys);
        check.ok_or(Misuse::DoesNotApply)
    }

    fn all_said(&self, owner: Owner) -> Result<(), Misuse> {
        let missing = self.stated.missing(owner, self.policy);
        if missing.is_empty() {
            return Ok(());
        }
        Err(Misuse::Missing(
            missing.into_iter().map(str::to_owned).collect(),
        ))
    }

    /// The numbers of one limit, seat limit or pool, or of all that apply to the caller. A `reset`
    /// says whether there was a counter to remove.
    ///
    /// # Errors
    /// [`Misuse`] if the one has no numbers for this caller.
    pub fn numbers(
        &self,
        only: Option<Owner>,
        reset: Option<bool>,
        slots: impl Fn(PoolId) -> Option<Occupancy>,
        clock: &impl Clock,
    ) -> Result<LocalReply, Misuse> {
        let (policy, mut needs) = (self.policy, Vec::new());
        let mut lists = [String::new(), String::new(), String::new()];
        for owner in owners(policy).filter(|owner| only.is_none_or(|only| only == *owner)) {
            let [limits, seats, pools] = &mut lists;
            let written = match owner {
                Owner::Counter(counter @ CounterOwner::Limit(_)) => self
                    .check(counter)
                    .map(|check| item(limits, |body| self.limit(body, check, clock))),
                Owner::Counter(counter @ CounterOwner::Seats(id)) => self
                    .check(counter)
                    .map(|check| item(seats, |body| self.seats(body, id, check, clock))),
                Owner::Pool(id) => self
                    .pool(id, &slots)
                    .map(|slots| item(pools, |body| self.slots(body, id, slots))),
            };
            match (written, only) {
                (Ok(()), _) | (Err(Misuse::DoesNotApply), None) => {}
                (Err(Misuse::Missing(names)), None) => needs.push((owner, names)),
                (Err(why), _) => return Err(why),
            }
        }
        let mut body = String::from(r#"{"at":""#);
        InstantForm::Iso8601.write(&mut body, clock.now());
        body.push_str(r#"","policy":"#);
        string(&mut body, &policy.name);
        body.push_str(r#","revision":"#);
        string(&mut body, &policy.revision);
        if let Some(existed) = reset {
            body.push_str(if existed {
                r#","reset":true"#
            } else {
                r#","reset":false"#
            });
        }
        for (name, list) in ["limits", "seats", "concurrency"].into_iter().zip(&lists) {
            for part in [",\"", name, "\":[", list, "]"] {
                body.push_str(part);
            }
        }
        body.push_str(r#","needs":{"#);
        for (place, (owner, names)) in needs.iter().enumerate() {
            if place > 0 {
                body.push(',');
            }
            string(&mut body, owner.scope(policy).map_or("", |it| &it.name));
            body.push(':');
            strings(&mut body, names.iter().map(|name| &**name));
        }
        body.push_str("}}\n");
        let details = if reset.is_some() { RESET } else { DETAILS };
        Ok(reply(200, details, "application/json", body))
    }

    fn limit(&self, body: &mut String, mut check: LimitCheck, clock: &impl Clock) {
        let Some(limit) = self.policy.limit(check.owner) else {
            return;
        };
        check.rule = check.rule.at(|| clock.steady());
        check.ask(self.store, clock);
        let Some(status) = LimitStatus::of(&check, self.policy) else {
            return;
        };
        write_limit(body, limit, &status.at(clock.now()), self.policy, |part| {
            self.part(part)
        });
        if matches!(&check.answer, Ok(decision) if !decision.admits()) {
            body.push_str(r#","locked":true"#);
        }
        if limit.shared.is_some() {
            body.push_str(r#","scope":"global""#);
        }
        self.end(body, limit.enforcement);
    }

    fn seats(&self, body: &mut String, id: SeatId, mut check: LimitCheck, clock: &impl Clock) {
        let Some(limit) = self.policy.seats.get(id) else {
            return;
        };
        check.ask(self.store, clock);
        self.head(body, &limit.scope);
        number(body, "seats", check.rule.quota());
        if let Ok(balance) = check.answer.as_ref().map(Decision::balance) {
            number(body, "free", balance.remaining);
            number(body, "reset", balance.reset_in.seconds_up());
        }
        self.end(body, limit.enforcement);
    }

    fn pool(
        &self,
        id: PoolId,
        slots: impl Fn(PoolId) -> Option<Occupancy>,
    ) -> Result<Occupancy, Misuse> {
        self.all_said(Owner::Pool(id))?;
        let limit = self.policy.pools.get(id).filter(|limit| {
            let value = |attribute| self.caller.selected(attribute);
            limit.overrides.unlimited(value).is_none()
                && self
                    .stated
                    .may_apply(&limit.scope, self.caller, self.policy)
        });
        limit.ok_or(Misuse::DoesNotApply)?;
        slots(id).ok_or(Misuse::Fault)
    }

    fn slots(&self, body: &mut String, id: PoolId, occupancy: Occupancy) {
        let Some(limit) = self.policy.pools.get(id) else {
            return;
        };
        self.head(body, &limit.scope);
        number(body, "slots", occupancy.slots.into());
        number(body, "free", occupancy.free.into());
        number(body, "waiting", occupancy.waiting.into());
        self.end(body, limit.enforcement);
    }

    fn head(&self, body: &mut String, scope: &Scope) {
        endpoint::names(body, scope, self.policy, |part| self.part(part));
    }

    fn end(&self, body: &mut String, enforcement: Enforcement) {
        if enforcement == Enforcement::Shadow {
            body.push_str(r#","enforcement":"shadow""#);
        }
        body.push('}');
    }

    fn part(&self, part: &KeyPart) -> Option<String> {
        self.stated.part(part, self.policy).map(shown)
    }
}

/// Adds an item to a list.
fn item(list: &mut String, write: impl FnOnce(&mut String)) {
    if !list.is_empty() {
        list.push(',');
    }
    write(list);
}

fn strings<'t>(body: &mut String, texts: impl Iterator<Item = &'t str>) {
    body.push('[');
    for (place, text) in texts.enumerate() {
        if place > 0 {
            body.push(',');
        }
        string(body, text);
    }
    body.push(']');
}

/// The answer to a question that has none.
#[must_use]
pub fn misuse(why: &Misuse, policy: &Policy, dialect: Dialect) -> LocalReply {
    let status = match why {
        Misuse::Method | Misuse::NoLimit => 405,
        Misuse::UnknownLimit(_) | Misuse::DoesNotApply => 404,
        Misuse::Pool | Misuse::Shared => 409,
        Misuse::UnknownName(_) | Misuse::Repeated(_) | Misuse::Missing(_) => 400,
        Misuse::Fault => 503,
    };
    let detail = advice(why, policy);
    if dialect != Dialect::Http {
        return LocalReply {
            dialect,
            ..reply(status, DETAILS, "text/plain", detail)
        };
    }
    let mut body = String::from("{\"status\":");
    body.push_str(itoa::Buffer::new().format(status));
    body.push_str(",\"title\":");
    string(&mut body, title(status));
    body.push_str(",\"detail\":");
    string(&mut body, &detail);
    body.push_str("}\n");
    reply(status, DETAILS, PROBLEM, body)
}

/// What an operator can do.
fn advice(why: &Misuse, policy: &Policy) -> String {
    let fixed = match why {
        Misuse::Method => "limits answer GET, and one limit also DELETE, which resets it",
        Misuse::NoLimit => "DELETE resets one limit: add its name to the path",
        Misuse::Pool => {
            "the slots of a pool belong to requests in flight, which release them; there is \
             nothing to reset"
        }
        Misuse::Shared => {
            "other proxies hold units of this counter in advance, so one proxy cannot reset it: \
             give the caller more units with an override"
        }
        Misuse::DoesNotApply => "the limit does not apply to a caller with these values",
        Misuse::Fault => "the counter cannot be read at the moment: try again",
        Misuse::UnknownLimit(name) => {
            return format!(
                "the policy has no limit {}; it has: {}",
                shown(name.as_bytes()),
                listed(scopes(policy).map(|scope| &*scope.name))
            );
        }
        Misuse::UnknownName(name) => {
            return format!(
                "the policy has no attribute or key {}; it has: {}",
                shown(name.as_bytes()),
                listed(names(policy))
            );
        }
        Misuse::Repeated(name) => return format!("{} occurs twice", shown(name.as_bytes())),
        Misuse::Missing(names) => {
            let all: Vec<String> = names.iter().map(|name| format!("{name}=")).collect();
            return format!(
                "the limit also depends on {}: add {} with the caller's values, empty if it has \
                 none",
                names.join(", "),
                all.join(" and ")
            );
        }
    };
    fixed.to_owned()
}

/// The different names, as far as an answer has room for them.
fn listed<'p>(names: impl Iterator<Item = &'p str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if all.len() == NAMES_MAX {
            all.push("…");
            break;
        }
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.join(", ")
}

/// The most names in an answer.
const NAMES_MAX: usize = 100;

fn reply(status: u32, details: &str, content_type: &str, body: String) -> LocalReply {
    let mut headers = vec![
        ("cache-control".into(), NO_STORE.to_owned()),
        ("content-type".into(), content_type.to_owned()),
    ];
    if status == 405 {
        headers.push(("allow".into(), "GET, HEAD, DELETE".to_owned()));
    }
    LocalReply {
        dialect: Dialect::Http,
        status,
        details: details.to_owned(),
        headers,
        body,
        grpc_status: GrpcStatus::Unimplemented,
    }
}
