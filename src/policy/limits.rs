//! Limits: which requests each counts, under which key, and how many it admits.

use std::collections::HashMap;

use super::Context;
use super::attributes::{AttributeId, Attributes};
use super::document::Value;
use super::error::Reason;
use super::exempt::ReadExemptions;
use super::header;
use super::overrides::{self, Overrides};
use super::payloads;
use super::reader::{Field, MapField};
use super::route::Route;
use super::rules;
use super::select::{Selector, read_selector, routes_of};
use super::tiers::ReadTiers;
use crate::limit::{Enforcement, FailureMode, QUOTA_MAX, Rule};
use crate::payload::json::JsonPath;

/// One limit.
#[derive(Debug)]
pub struct Limit {
    /// Its name: in metrics, in the access log and in what callers are told.
    pub name: Box<str>,
    /// What its counters belong to. It does not contain the numbers of the rule, so that a policy
    /// which changes them keeps the counts.
    pub identity: Box<[u8]>,
    /// The requests that it counts.
    pub selector: Selector,
    /// What one counter is kept for: one per combination of values.
    pub per: Vec<KeyPart>,
    /// What it does with a caller who lacks a part of the key.
    pub absent: Absent,
    /// The rule.
    pub rule: Rule,
    /// The rule for some callers.
    pub overrides: Overrides<Rule>,
    /// Units that one request takes.
    pub cost: CostSource,
    /// Who pays.
    pub charge: ChargeWhen,
    /// Whether it refuses.
    pub enforcement: Enforcement,
    /// When callers see its numbers.
    pub visibility: Visibility,
    /// What holds if the counter cannot be had.
    pub failure: FailureMode,
}

/// What a limit does with a caller who lacks a part of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// It counts all such callers together.
    #[default]
    Count,
    /// It does not apply.
    Skip,
}

/// When callers see a limit's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Whenever it applies.
    #[default]
    Show,
    /// When it refuses; what is over its quota where it counts that.
    Hide,
}

/// Where the cost of a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// Always the same.
    Fixed(u64),
    /// A request header that no client can invent; one unit where it is missing or no number.
    Header(Box<str>),
    /// A response header; the same holds. The request is admitted while one unit is left.
    ResponseHeader(Box<str>),
    /// The bytes of its body as sent.
    Bytes,
    /// The lines of its body that are neither empty nor a comment.
    Lines,
    /// The items of the array at this place of its JSON; one unit where there is none.
    Items(JsonPath),
}

/// One part of a counter's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// An attribute of the caller.
    Attribute(AttributeId),
    /// What the limit's own route captured under this name.
    Capture(Box<str>),
}

/// When an admitted request is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargeWhen {
    /// Always.
    #[default]
    Admitted,
    /// It is given back if the answer's status is 400 or above.
    Success,
}

pub(crate) const LIMITS_MAX: usize = 10_000;
pub(crate) const PER_MAX: usize = 8;

/// The one request header whose value the proxy itself holds the client to.
pub(crate) const CONTENT_LENGTH: &str = "content-length";

/// What the limits are read beside.
pub(super) struct Siblings<'a> {
    pub(super) policy: Option<&'a str>,
    pub(super) tiers: &'a ReadTiers,
    pub(super) exempt: &'a ReadExemptions,
}

/// Reads all limits; `None` where one of them has an error.
pub(super) fn read(field: Field<'_>, siblings: &Siblings<'_>, context: &mut Context) -> Option<Vec<Limit>> {
    let nodes = field.non_empty_list(LIMITS_MAX)?;
    let read = field.each(nodes, |field| read_limit(field, siblings, context));
    (read.len() == nodes.len()).then_some(read)
}

fn read_limit(field: Field<'_>, siblings: &Siblings<'_>, context: &mut Context) -> Option<Limit> {
    let map = field.map("{ name: all, per: [], bucket: { burst: 100, refill: 60/min } }")?;
    let name = read_name(&map, context);
    let selected = read_for(&map, siblings, context);
    let routes = selected.as_ref().map(|(_, routes)| &routes[..]);
    let per = map.require("per").and_then(|field| read_per(field, routes, context));
    let absent = read_absent(&map);
    let cost = map.optional("cost", CostSource::Fixed(1), read_cost);
    let least = cost.as_ref().map_or(0, CostSource::least);
    let rule = rules::read(&map).filter(|rule| fits(&rule_field(&map), rule, least));
    let overrides = map.optional("overrides", Overrides::default(), |field| {
        let base = overrides::Base {
            conditions: selected.as_ref().map_or(&[], |(selector, _)| &selector.attributes),
            selector: map.field().at.key("for").to_string(),
        };
        overrides::read(field, &base, context, |map| {
            rules::read_override(map, rule).filter(|rule| fits(map.field(), rule, least))
        })
    });
    let charge = map.optional("charge", ChargeWhen::default(), |field| {
        field.choice("a way to charge", &[("admitted", ChargeWhen::Admitted), ("success", ChargeWhen::Success)])
    });
    let enforcement = map.optional("enforcement", Enforcement::default(), |field| {
        field.choice("an enforcement", &[("enforce", Enforcement::Enforce), ("shadow", Enforcement::Shadow)])
    });
    let visibility = map.optional("fields", Visibility::default(), |field| {
        field.choice("a visibility", &[("show", Visibility::Show), ("hide", Visibility::Hide)])
    });
    let failure = read_failure(&map);
    map.deny_unknown();
    let (name, per, rule) = (name?, per?, rule?);
    Some(Limit {
        identity: siblings.identity(&name, &rules::identity(&rule), &per, &context.attributes),
        name,
        selector: selected?.0,
        per,
        absent: absent?,
        rule,
        overrides: overrides?,
        cost: cost?,
        charge: charge?,
        enforcement: enforcement?,
        visibility: visibility?,
        failure: failure?,
    })
}

/// A name that nothing else has.
pub(super) fn read_name(map: &MapField<'_>, context: &mut Context) -> Option<Box<str>> {
    let field = map.require("name")?;
    let name = field.name()?;
    if let Some(first) = context.take_name(name, &field.at) {
        return field.refuse(Reason::Duplicate { value: Some(name.to_owned()), first });
    }
    Some(name.into())
}

/// Which requests something holds for, and the routes; noted where all of them are exempt.
pub(super) fn read_for(
    map: &MapField<'_>,
    siblings: &Siblings<'_>,
    context: &mut Context,
) -> Option<(Selector, Vec<Route>)> {
    let all = (Selector::default(), Vec::new());
    map.optional("for", all, |field| read_selector(field, siblings.tiers, context))
        .inspect(|(selector, routes)| never_left(map.field(), selector, routes, siblings))
}

pub(super) fn read_absent(map: &MapField<'_>) -> Option<Absent> {
    map.optional("absent", Absent::default(), |field| {
        field.choice("a treatment of absent parts", &[("count", Absent::Count), ("skip", Absent::Skip)])
    })
}

pub(super) fn read_failure(map: &MapField<'_>) -> Option<FailureMode> {
    map.optional("failure", FailureMode::default(), |field| {
        field.choice("a failure mode", &[("allow", FailureMode::Allow), ("deny", FailureMode::Deny)])
    })
}

/// Notes it where all requests that a limit could count are exempt.
fn never_left(field: &Field<'_>, selector: &Selector, routes: &[Route], siblings: &Siblings<'_>) {
    if let Some(by) = siblings.exempt.takes(routes_of(selector, routes, siblings.tiers).into_iter()) {
        field.error(Reason::NeverReached { by });
    }
}

/// Notes it where a request never fits because of its own cost.
fn fits(field: &Field<'_>, rule: &Rule, cost: u64) -> bool {
    let fits = cost <= rule.quota();
    if !fits {
        field.error(Reason::CostAboveQuota { cost, quota: rule.quota() });
    }
    fits
}

/// The place of the rule, for an error of it as a whole.
fn rule_field<'m>(map: &'m MapField<'_>) -> Field<'m> {
    let found = ["bucket", "rolling", "calendar"].into_iter().find_map(|key| map.get(key));
    found.unwrap_or(*map.field())
}

/// The keys of a cost, of which there is exactly one.
pub(crate) const COST_SOURCES: &[&str] = &["header", "response_header", "bytes", "lines", "items"];

/// A number, or where it comes from.
fn read_cost(field: Field<'_>) -> Option<CostSource> {
    let Value::Map(_) = field.node.value else { return field.count(0, QUOTA_MAX).map(CostSource::Fixed) };
    let map = field.map("{ header: x-cost, trusted: true }")?;
    let given: Vec<_> = COST_SOURCES.iter().filter_map(|key| Some((*key, map.get(key)?))).collect();
    let trusted = map.get("trusted");
    let header = given.iter().find(|(key, _)| *key == "header").map(|(_, field)| field);
    header::only_beside_header(header, trusted.as_ref());
    let of_the_request =
        |field: &Field<'_>, source| field.choice("a body that can be measured", &[("request", ())]).map(|()| source);
    let cost = match given.as_slice() {
        [("header", field)] => read_cost_header(field, trusted.as_ref()).map(CostSource::Header),
        [("response_header", field)] => header::read_name(field).map(CostSource::ResponseHeader),
        [("bytes", field)] => of_the_request(field, CostSource::Bytes),
        [("lines", field)] => of_the_request(field, CostSource::Lines),
        [(_, field)] => payloads::read_path(*field).map(CostSource::Items),
        _ => {
            let given = given.iter().map(|(key, _)| *key).collect();
            map.field().refuse(Reason::NotOneSource { sources: COST_SOURCES, given })
        }
    };
    map.deny_unknown();
    cost
}

fn read_cost_header(field: &Field<'_>, trusted: Option<&Field<'_>>) -> Option<Box<str>> {
    let name = header::read_name(field)?;
    if *name != *CONTENT_LENGTH || trusted.is_some() {
        header::read_trusted(field, trusted)?;
    }
    Some(name)
}

impl CostSource {
    /// What every request costs at least: what must fit, or the limit refuses all of them.
    fn least(&self) -> u64 {
        match self {
            Self::Fixed(units) => *units,
            Self::Header(_) | Self::ResponseHeader(_) | Self::Bytes | Self::Lines | Self::Items(_) => 0,
        }
    }
}

impl Siblings<'_> {
    /// Policy, limit, kind and key; a NUL cannot stand in a name.
    pub(super) fn identity(&self, name: &str, kind: &str, per: &[KeyPart], attributes: &Attributes) -> Box<[u8]> {
        let mut identity = [self.policy.unwrap_or_default(), name, kind].join("\0");
        for part in per {
            let (mark, name) = match part {
                KeyPart::Attribute(id) => ("\0=", attributes.name(*id)),
                KeyPart::Capture(name) => ("\0{", &**name),
            };
            identity.push_str(mark);
            identity.push_str(name);
        }
        identity.into_bytes().into()
    }
}

/// The parts of the key; `routes` are the limit's own, `None` where they are not known.
pub(super) fn read_per(field: Field<'_>, routes: Option<&[Route]>, context: &mut Context) -> Option<Vec<KeyPart>> {
    let nodes = field.list(PER_MAX)?;
    let mut seen = HashMap::new();
    let read = field.each(nodes, |field| {
        let name = field.string()?;
        if let Some(first) = seen.insert(name.to_owned(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate { value: Some(name.to_owned()), first });
        }
        let Some(routes) = routes else { return context.attributes.find(name).map(KeyPart::Attribute) };
        let captures = |route: &Route| route.captures().any(|capture| capture == name);
        if !routes.iter().any(captures) {
            context.attributes.resolve(&field, name).map(KeyPart::Attribute)
        } else if context.attributes.find(name).is_some() {
            field.refuse(Reason::CaptureIsAttribute { name: name.to_owned() })
        } else if routes.iter().all(captures) {
            Some(KeyPart::Capture(name.into()))
        } else {
            field.refuse(Reason::NoCapture { name: name.to_owned() })
        }
    });
    (read.len() == nodes.len()).then_some(read)
}
