//! Limits: which requests each counts, under which key, and how many it admits.

use std::collections::HashMap;

use super::Context;
use super::attributes::AttributeId;
use super::error::Reason;
use super::overrides::{self, Overrides};
use super::reader::Field;
use super::route::{Route, RouteId};
use super::select::{Condition, read_conditions, read_routes, read_tiers};
use super::tiers::{self, ReadTier};
use crate::base::units::Refill;
use crate::limit::FailureMode;
use crate::limit::gcra::{BURST_MAX, Bucket};

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
    pub per: Vec<Part>,
    /// The rule.
    pub bucket: Bucket,
    /// The rule for some callers.
    pub overrides: Overrides,
    /// Units that one request takes.
    pub cost: u32,
    /// Who pays.
    pub charge: ChargeWhen,
    /// What holds if the counter cannot be had.
    pub failure: FailureMode,
}

/// Which requests a limit counts: all conditions must hold.
#[derive(Debug, Default)]
pub struct Selector {
    /// The request is of one of these tiers; `None` is any, and none.
    pub tiers: Option<Vec<usize>>,
    /// One of these routes matches; `None` is any.
    pub routes: Option<Vec<RouteId>>,
    /// The caller's attribute has one of the values.
    pub attributes: Vec<Condition>,
}

/// One part of a counter's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
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

/// The limits to look at for a request, by what selects them.
#[derive(Debug, Default)]
pub struct Candidates {
    everywhere: Vec<u32>,
    by_tier: Vec<Vec<u32>>,
    by_route: Vec<Vec<u32>>,
}

const LIMITS_MAX: usize = 10_000;
const PER_MAX: usize = 8;

impl Candidates {
    pub(super) fn of(limits: &[Limit], tiers: usize, routes: usize) -> Self {
        let mut candidates =
            Self { everywhere: Vec::new(), by_tier: vec![Vec::new(); tiers], by_route: vec![Vec::new(); routes] };
        for (number, limit) in (0_u32..).zip(limits) {
            // A route says more than a tier: most requests match few routes.
            match (&limit.selector.routes, &limit.selector.tiers) {
                (Some(ids), _) => put(&mut candidates.by_route, ids.iter().map(|id| id.index()), number),
                (None, Some(tiers)) => put(&mut candidates.by_tier, tiers.iter().copied(), number),
                (None, None) => candidates.everywhere.push(number),
            }
        }
        candidates
    }

    /// Fills `found` with the numbers of the limits that the tier and the routes leave possible, in
    /// the order of the document, each once.
    pub fn find(&self, tier: Option<usize>, routes: &[RouteId], found: &mut Vec<usize>) {
        found.clear();
        let of_tier = tier.and_then(|tier| self.by_tier.get(tier));
        let of_routes = routes.iter().filter_map(|route| self.by_route.get(route.index()));
        let all = std::iter::once(&self.everywhere).chain(of_tier).chain(of_routes).flatten();
        found.extend(all.filter_map(|number| usize::try_from(*number).ok()));
        found.sort_unstable();
        found.dedup();
    }
}

fn put(lists: &mut [Vec<u32>], places: impl Iterator<Item = usize>, number: u32) {
    for place in places {
        lists.get_mut(place).into_iter().for_each(|list| list.push(number));
    }
}

/// Reads all limits; `None` where one of them has a fault.
pub(super) fn read(
    field: Field<'_>,
    tiers: &[Option<ReadTier>],
    policy: Option<&str>,
    context: &mut Context,
) -> Option<Vec<Limit>> {
    let nodes = field.full_list(LIMITS_MAX)?;
    let mut names = HashMap::new();
    let read = field.each(nodes, |field| read_limit(field, tiers, policy.unwrap_or_default(), &mut names, context));
    (read.len() == nodes.len()).then_some(read)
}

fn read_limit(
    field: Field<'_>,
    tiers: &[Option<ReadTier>],
    policy: &str,
    names: &mut HashMap<String, String>,
    context: &mut Context,
) -> Option<Limit> {
    let map = field.map()?;
    let name = map.require("name").and_then(|field| {
        let name = field.name()?;
        if let Some(first) = names.insert(name.to_owned(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate { value: Some(name.to_owned()), first });
        }
        Some(name)
    });
    let selected = map.optional("for", (Selector::default(), Vec::new()), |field| read_selector(field, tiers, context));
    let routes = selected.as_ref().map(|(_, routes)| &routes[..]);
    let per = map.require("per").and_then(|field| read_per(field, routes, context));
    let cost = map.optional("cost", 1, |field| field.count(1, BURST_MAX));
    let bucket = map.require("bucket").and_then(|field| read_bucket(field, cost.unwrap_or(1)));
    let overrides = map.optional("overrides", Overrides::default(), |field| {
        let base = overrides::Base {
            bucket,
            cost: cost.unwrap_or(1),
            conditions: selected.as_ref().map_or(&[], |(selector, _)| &selector.attributes),
            selector: map.field().at.key("for").to_string(),
        };
        overrides::read(field, &base, context)
    });
    let charge = map.optional("charge", ChargeWhen::default(), |field| {
        field.choice("a way to charge", &[("admitted", ChargeWhen::Admitted), ("success", ChargeWhen::Success)])
    });
    let failure = map.optional("failure", FailureMode::default(), |field| {
        field.choice("a failure mode", &[("allow", FailureMode::Allow), ("deny", FailureMode::Deny)])
    });
    map.end();
    let (name, per) = (name?, per?);
    Some(Limit {
        identity: identity(policy, name, &per, &context.attributes),
        name: name.into(),
        selector: selected?.0,
        per,
        bucket: bucket?,
        overrides: overrides?,
        cost: cost?,
        charge: charge?,
        failure: failure?,
    })
}

/// Policy, limit, key and kind; a NUL cannot stand in a name.
fn identity(policy: &str, name: &str, per: &[Part], attributes: &super::Attributes) -> Box<[u8]> {
    let mut identity = [policy, name, "bucket"].join("\0");
    for part in per {
        let (mark, name) = match part {
            Part::Attribute(id) => ("\0=", attributes.name(*id)),
            Part::Capture(name) => ("\0{", &**name),
        };
        identity.push_str(mark);
        identity.push_str(name);
    }
    identity.into_bytes().into()
}

/// What `for` says, and its routes; `None` where they or the tiers have a fault.
fn read_selector(field: Field<'_>, all: &[Option<ReadTier>], context: &mut Context) -> Option<(Selector, Vec<Route>)> {
    let map = field.map()?;
    if map.is_empty() {
        field.fault(Reason::Empty);
    }
    let tier = map.get("tier");
    let tiers = match tier {
        Some(field) => read_tiers(field, all).map(Some),
        None => Some(None),
    };
    let routes = map.optional("routes", None, |field| read_routes(field, &mut context.routes).map(Some));
    let attributes = read_conditions(&map, context);
    let (routes, ids) = match routes? {
        Some(read) => {
            let (routes, ids) = read.into_iter().unzip();
            (routes, Some(ids))
        }
        None => (Vec::new(), None),
    };
    let tiers = tiers?;
    if let (Some(tier), Some(numbers)) = (tier, &tiers)
        && ids.is_some()
        && !numbers.iter().any(|number| tiers::meets(all, *number, &routes))
    {
        field.fault(Reason::Contradiction { one: tier.at.to_string(), other: field.at.key("routes").to_string() });
    }
    Some((Selector { tiers, routes: ids, attributes }, routes))
}

/// The parts of the key; `routes` are the limit's own, `None` where they are not known.
fn read_per(field: Field<'_>, routes: Option<&[Route]>, context: &mut Context) -> Option<Vec<Part>> {
    let nodes = field.list(PER_MAX)?;
    let mut seen = HashMap::new();
    let read = field.each(nodes, |field| {
        let name = field.string()?;
        if let Some(first) = seen.insert(name.to_owned(), field.at.to_string()) {
            return field.refuse(Reason::Duplicate { value: Some(name.to_owned()), first });
        }
        let Some(routes) = routes else { return context.attributes.find(name).map(Part::Attribute) };
        let captures = |route: &Route| route.captures().any(|capture| capture == name);
        if !routes.iter().any(captures) {
            context.attributes.resolve(&field, name).map(Part::Attribute)
        } else if context.attributes.find(name).is_some() {
            field.refuse(Reason::CaptureIsAttribute { name: name.to_owned() })
        } else if routes.iter().all(captures) {
            Some(Part::Capture(name.into()))
        } else {
            field.refuse(Reason::NoCapture { name: name.to_owned() })
        }
    });
    (read.len() == nodes.len()).then_some(read)
}

fn read_bucket(field: Field<'_>, cost: u32) -> Option<Bucket> {
    let map = field.map()?;
    let burst = map.require("burst").and_then(|field| read_burst(&field));
    let refill = map.require("refill").and_then(|field| read_refill(&field));
    map.end();
    checked_bucket(&field, burst?, refill?, cost)
}

pub(super) fn read_burst(field: &Field<'_>) -> Option<u32> {
    field.count(1, BURST_MAX)
}

pub(super) fn read_refill(field: &Field<'_>) -> Option<Refill> {
    field.quantity(Refill::parse)
}

/// The bucket of checked numbers, where they go together.
pub(super) fn checked_bucket(field: &Field<'_>, burst: u32, refill: Refill, cost: u32) -> Option<Bucket> {
    match Bucket::new(burst, refill) {
        None => field.refuse(Reason::WindowTooLong),
        Some(_) if cost > burst => field.refuse(Reason::CostAboveBurst { cost, burst }),
        Some(bucket) => Some(bucket),
    }
}
