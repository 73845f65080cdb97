//! The limits in words: the count and the answer of each that applies, and why the others do not
//! apply.

use serde_json::{Value, json};

use super::explanation::{Limit, Missing, NotApplied, Part, Pool, Reason, Seats};
use super::missing::given_by;
use super::reasons::Reasons;
use super::recorder::lossy;
use super::upstream::Settled;
use crate::base::id::{CounterOwner, Id as _, TierId};
use crate::base::invariant::invariant;
use crate::base::number::counted;
use crate::base::units::write_span;
use crate::limit::calendar::Over;
use crate::limit::{Balance, Cost, Decision, Enforcement, Rule};
use crate::observe::DecisionLabel;
use crate::policy::Policy;
use crate::policy::charges::ChargeWhen;
use crate::policy::costs::{CostSource, Reservation, Settlement};
use crate::policy::limits::{self, Visibility};
use crate::policy::scope::{KeyPart, Scope};
use crate::policy::select::Condition;
use crate::request::applicable::{Applicable, Mismatch};
use crate::request::checks::{number, part_value};
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::store::{LimitCheck, Locked};

/// Values that are listed in a sentence, at most.
const VALUES_SHOWN: usize = 5;

/// A policy, and a request that is past identification.
pub(super) struct View<'a> {
    pub(super) policy: &'a Policy,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller<'a>,
    /// The inputs that it depends on and the arguments did not give.
    pub(super) not_given: &'a [Missing],
}

impl View<'_> {
    /// A limit that applies, with its decision; `balance` is its counter after the charge is
    /// settled.
    pub(super) fn applied(
        &self,
        check: &LimitCheck,
        decided: Option<DecisionLabel>,
        (settled, balance): (Settled, Balance),
    ) -> Option<Limit> {
        let CounterOwner::Limit(id) = check.owner else {
            return None;
        };
        let limit = self.policy.limits.get(id)?;
        let first = limit
            .overrides
            .first(|attribute| self.caller.selected(attribute));
        let retry_after = match check.answer {
            Ok(Decision::Deny { retry_after, .. }) => Some(retry_after.seconds_up().max(1)),
            Ok(Decision::Admit(_) | Decision::NeverFits(_)) | Err(_) => None,
        };
        Some(Limit {
            name: limit.scope.name.to_string(),
            label: limit.scope.label.to_string(),
            key: self.key(&limit.scope),
            rule: rule(&check.rule),
            r#override: first.map(|number| format!("/limits/{}/overrides/{number}", id.index())),
            quota_from: self.quota_from(limit),
            cost: settled.cost.or(match check.cost {
                Cost::Now(units) => Some(units),
                Cost::Reserved(_) => None,
            }),
            reserved: match check.cost {
                Cost::Now(_) => None,
                Cost::Reserved(units) => Some(units),
            },
            cost_from: self.cost_from(limit.costs.get(check.cost_number)?),
            charge: charge(&limit.charge),
            lock: limit.lock.map(|lock| write_span(lock.span())),
            locked: check.locked != Locked::No,
            refunded: settled.refunded,
            scope: match limit.shared {
                Some(_) => "global",
                None => "proxy",
            },
            enforcement: enforcement(check.enforcement),
            decision: decided.map(DecisionLabel::name),
            quota: check.rule.quota(),
            remaining: balance.remaining,
            overage: balance.overage,
            next_unit_in: balance.next_unit_in.seconds_up(),
            reset_in: balance.reset_in.seconds_up(),
            retry_after,
            shown: limit.visibility == Visibility::Show
                && check.enforcement == Enforcement::Enforce,
        })
    }

    /// The source of a quota or a burst that may be the caller's own.
    fn quota_from(&self, limit: &limits::Limit) -> Option<String> {
        let value = |attribute| self.caller.selected(attribute);
        let rule = limit.overrides.applied(&limit.rule, value)?;
        let own = rule.own?;
        let name = self.policy.attributes.name(own.attribute);
        let value = self.caller.value(own.attribute);
        Some(match value.and_then(number).filter(|number| *number > 0) {
            Some(number) if number > own.at_most => format!("at_most: {name} is {number}"),
            Some(_) => format!("attribute {name}"),
            None if value.is_some() => format!("else: {name} is not a whole number from 1 up"),
            None => format!(
                "else: the caller has no {name}{}",
                given_by(name, self.not_given)
            ),
        })
    }

    /// The source of a cost that varies.
    fn cost_from(&self, cost: &CostSource) -> Option<String> {
        let header = |name: &str| {
            let is_missing = self.request.headers.first(name).is_none();
            let missing = if is_missing { ", which is missing" } else { "" };
            format!("header {name}{missing}")
        };
        match cost {
            CostSource::Fixed(_) => None,
            CostSource::Header(name) => Some(header(name)),
            CostSource::Settled { reserve, by } => {
                let by = match by {
                    Settlement::ResponseHeader(name) => format!("response header {name}"),
                    Settlement::Bytes => "the bytes of the body".to_owned(),
                    Settlement::Lines => "the lines of the body".to_owned(),
                    Settlement::Items(at) => {
                        format!("the items of the array at {at} of the body")
                    }
                };
                Some(match reserve {
                    Reservation::Fixed(_) => by,
                    Reservation::Header { name, .. } => {
                        format!("{by}; reserved by {}", header(name))
                    }
                })
            }
        }
    }

    /// The limits that do not apply, each with its reason.
    pub(super) fn not_applied(
        &self,
        applicable: &Applicable,
        reasons: &Reasons<'_>,
    ) -> Vec<NotApplied> {
        let others = self
            .policy
            .limits
            .entries()
            .filter(|(id, _)| !applicable.limits.contains(id));
        let rows = others.filter_map(|(id, limit)| {
            let why = invariant(reasons.of(id), "a limit that does not apply was rejected")?;
            let (reason, message) = self.reason(limit, why);
            Some(NotApplied {
                name: limit.scope.name.to_string(),
                reason,
                message,
            })
        });
        rows.collect()
    }

    fn reason(&self, limit: &limits::Limit, why: Mismatch<'_>) -> (Reason, String) {
        match why {
            Mismatch::Tier => (
                Reason::Tier,
                self.other_tier(limit.scope.selector.tiers.as_deref().unwrap_or_default()),
            ),
            Mismatch::Routes => (Reason::Routes, "none of its routes matches".to_owned()),
            Mismatch::Address => (
                Reason::Address,
                "the client's address is in none of its networks".to_owned(),
            ),
            Mismatch::Except(route) => (
                Reason::Except,
                format!(
                    "its `except` has {}, which matches",
                    self.policy.routes.written(route)
                ),
            ),
            Mismatch::Attribute(condition) => (Reason::Attribute, self.other_value(condition)),
            Mismatch::Key(part) => {
                let missing = self.part_name(part);
                let not_given = given_by(missing, self.not_given);
                let why =
                    format!("the caller has no {missing}{not_given}, and it says absent: skip");
                (Reason::Key, why)
            }
            Mismatch::Unlimited(number) => (
                Reason::Unlimited,
                format!("its override {number} says unlimited"),
            ),
            Mismatch::Identified => (
                Reason::Identified,
                "it counts requests that receive a 401".to_owned(),
            ),
            Mismatch::Exempt => (
                Reason::Exempt,
                "the readings of the path that it matches are exempt".to_owned(),
            ),
        }
    }

    fn tier(&self, id: TierId) -> &str {
        self.policy.tiers.get(id).map_or("", |tier| &tier.name)
    }

    fn other_tier(&self, wanted: &[TierId]) -> String {
        let wanted = either(wanted.iter().map(|tier| self.tier(*tier)));
        match self.request.tier {
            Some(tier) => format!(
                "it is for tier {wanted}, and the request is of {}",
                self.tier(tier)
            ),
            None => format!("it is for tier {wanted}, and the request is of none"),
        }
    }

    fn other_value(&self, (attribute, wanted): &Condition) -> String {
        let name = self.policy.attributes.name(*attribute);
        let wanted = either(wanted.iter().map(|value| &**value));
        match self.caller.value(*attribute) {
            Some(value) => format!(
                "it is for {name} {wanted}, and the caller's is {}",
                lossy(value)
            ),
            None => format!(
                "it is for {name} {wanted}, and the caller has none{}",
                given_by(name, self.not_given)
            ),
        }
    }

    /// The pools of which the request needs a slot.
    pub(super) fn pools(&self, applicable: &Applicable) -> Vec<Pool> {
        let pools = applicable
            .pools
            .iter()
            .filter_map(|id| self.policy.pools.get(*id));
        let rows = pools.map(|limit| {
            let own = limit.own(|attribute| self.caller.selected(attribute));
            let applied = own.unwrap_or(limit.applied());
            Pool {
                name: limit.scope.name.to_string(),
                label: limit.scope.label.to_string(),
                key: self.key(&limit.scope),
                slots: applied.slots(),
                queue_length: applied.length(),
                queue_timeout: write_span(applied.timeout()),
                enforcement: enforcement(limit.enforcement),
            }
        });
        rows.collect()
    }

    /// The seats that a check is of, if it is of some.
    pub(super) fn seats(&self, check: &LimitCheck) -> Option<Seats> {
        let limit = self.policy.seat_limit(check.owner)?;
        let Rule::Seats(seats) = check.rule else {
            return None;
        };
        Some(Seats {
            name: limit.scope.name.to_string(),
            label: limit.scope.label.to_string(),
            key: self.key(&limit.scope),
            holder: self.part(&limit.scope, &KeyPart::Attribute(limit.holder)),
            seats: seats.seats(),
            idle: write_span(seats.idle()),
            status: limit.refusal_status(&self.policy.replies),
            enforcement: enforcement(limit.enforcement),
        })
    }

    fn key(&self, scope: &Scope) -> Vec<Part> {
        scope
            .per
            .iter()
            .map(|part| self.part(scope, part))
            .collect()
    }

    fn part(&self, scope: &Scope, part: &KeyPart) -> Part {
        let value = part_value(scope, part, self.request, self.caller, self.policy);
        Part {
            name: self.part_name(part).to_owned(),
            value: value.map(lossy),
        }
    }

    fn part_name<'a>(&'a self, part: &'a KeyPart) -> &'a str {
        match part {
            KeyPart::Attribute(attribute) => self.policy.attributes.name(*attribute),
            KeyPart::Capture(name) => name,
            KeyPart::Word(word) => word.name(),
        }
    }
}

/// As a policy writes it.
pub(super) const fn enforcement(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Shadow => "shadow",
    }
}

/// The rule as a policy has it.
fn rule(rule: &Rule) -> Value {
    match rule {
        Rule::Bucket(bucket) => {
            json!({ "bucket": { "burst": bucket.burst(), "refill": bucket.refill().to_string() } })
        }
        Rule::Rolling(rolling) => {
            let window = write_span(rolling.window());
            json!({ "rolling": { "quota": rolling.quota(), "window": window } })
        }
        Rule::Calendar(calendar) => {
            let over = match calendar.over() {
                Over::Refuse => "refuse",
                Over::Count => "count",
            };
            let (window, zone) = (calendar.period().to_string(), calendar.zone().name());
            json!({
                "calendar": { "quota": calendar.quota(), "window": window, "zone": zone },
                "over": over,
            })
        }
        Rule::Seats(seats) => {
            json!({ "seats": { "seats": seats.seats(), "idle": write_span(seats.idle()) } })
        }
        Rule::Lock(lock) => json!({ "lock": write_span(lock.span()) }),
        Rule::Lease(lease) => self::rule(&lease.counted().rule()),
    }
}

/// `a`, `a or b`, `a, b or c`; of many the first.
fn either<'s>(words: impl ExactSizeIterator<Item = &'s str>) -> String {
    let more = words.len().saturating_sub(VALUES_SHOWN);
    let mut words: Vec<String> = words.take(VALUES_SHOWN).map(str::to_owned).collect();
    if more > 0 {
        words.push(counted(more, "other"));
    }
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

/// Which responses are charged, as a policy writes it.
fn charge(when: &ChargeWhen) -> String {
    match when {
        ChargeWhen::Admitted => "admitted".to_owned(),
        ChargeWhen::Success => "success".to_owned(),
        ChargeWhen::Failure => "failure".to_owned(),
        ChargeWhen::Statuses(statuses) => {
            format!("[{}]", statuses.names().collect::<Vec<_>>().join(", "))
        }
    }
}
