//! Which selectors to look at for a request, so that a request costs what holds for it and not what
//! the policy has.
//!
//! A selector stands at one place for each combination of a route, a tier and a value of each
//! attribute that it asks for. A request visits the places that its own lead to:
//!
//! ```text
//!   root ─┬─ route 7 ───── tier 2 ─── org: acme ─▶ 3
//!         ├─ tier 2 ─────────────────────────────▶ 0, 5
//!         ├─ org: acme ─┬────────────────────────▶ 4
//!         │             └─ plan: gold ───────────▶ 1, 8
//!         └──────────────────────────────────────▶ 2, 9
//! ```
//!
//! Lists multiply: a thousand routes and a thousand values would be a million places. So a selector
//! takes `NODES_PER_TERM` places for each thing that it names, and no more. Where that is not
//! enough it stands under what few others ask for, and whoever finds it there looks at the rest.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::attributes::AttributeId;
use super::route::RouteId;
use super::select::Selector;
use crate::base::id::TierId;

/// The numbers of a list of selectors, by what selects.
#[derive(Debug, Default)]
pub struct SelectorIndex {
    root: Node,
    /// The selectors that stand under none of their routes, in order, and those routes, in order.
    unindexed: Vec<(u16, Box<[RouteId]>)>,
}

/// What holds for whoever leads here, and where they lead from here.
#[derive(Debug, Default)]
struct Node {
    numbers: Vec<u16>,
    branches: Vec<Branch>,
}

/// Places by one thing that a request has; in any place one branch for each.
#[derive(Debug)]
enum Branch {
    /// By the numbers of the routes that match. Routes come first, so that the root alone has them.
    Routes(Vec<Node>),
    Tiers(BTreeMap<TierId, Node>),
    Values(AttributeId, BTreeMap<Box<[u8]>, Node>),
}

/// One thing that a selector names. The order is that in which they lead from place to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Term<'s> {
    Route(RouteId),
    Tier(TierId),
    Value(AttributeId, &'s str),
}

/// So many places hold a selector for each thing that it names: memory grows as the document does.
const NODES_PER_TERM: usize = 4;

impl SelectorIndex {
    pub(super) fn of<'s>(selectors: impl Iterator<Item = &'s Selector>) -> Self {
        let selectors: Vec<_> = selectors.map(|selector| (selector, conditions(selector))).collect();
        let mut frequencies: BTreeMap<Term<'s>, usize> = BTreeMap::new();
        for term in selectors.iter().flat_map(|(_, conditions)| conditions).flatten() {
            let frequency = frequencies.entry(*term).or_default();
            *frequency = frequency.saturating_add(1);
        }
        let mut candidates = Self::default();
        for (number, (selector, conditions)) in (0_u16..).zip(selectors) {
            let conditions = affordable(conditions, |term| frequencies.get(term).copied().unwrap_or_default());
            candidates.root.put(&conditions, number);
            let placed = conditions.iter().flatten().any(|term| matches!(term, Term::Route(_)));
            if let Some(routes) = &selector.routes
                && !placed
            {
                let mut routes = routes.clone();
                routes.sort_unstable();
                candidates.unindexed.push((number, routes.into()));
            }
        }
        candidates
    }

    /// Fills `found` with the numbers of the selectors that may hold, in the order of the document,
    /// each once: all that hold, and of those with routes only such of which one matches. `value` is
    /// what the caller has.
    pub fn find<'v>(
        &self,
        tier: Option<TierId>,
        routes: &[RouteId],
        value: impl Fn(AttributeId) -> Option<&'v [u8]>,
        found: &mut Vec<u16>,
    ) {
        found.clear();
        self.root.find(tier, routes, &value, found);
        found.sort_unstable();
        found.dedup();
        if !self.unindexed.is_empty() {
            found.retain(|number| self.matches(*number, routes));
        }
    }

    /// Whether one of `routes` is the selector's, where its place does not say so.
    fn matches(&self, number: u16, routes: &[RouteId]) -> bool {
        let own = self.unindexed.binary_search_by_key(&number, |(number, _)| *number);
        let own = own.ok().and_then(|index| self.unindexed.get(index));
        own.is_none_or(|(_, own)| routes.iter().any(|route| own.binary_search(route).is_ok()))
    }
}

impl Node {
    /// Puts a number under each combination of one thing from each of `conditions`.
    fn put(&mut self, conditions: &[Vec<Term<'_>>], number: u16) {
        match conditions.split_first() {
            Some((term, rest)) => {
                for term in term {
                    self.under(*term).into_iter().for_each(|place| place.put(rest, number));
                }
            }
            None => self.numbers.push(number),
        }
    }

    /// The place to which `term` leads from here, made if it is new.
    fn under(&mut self, term: Term<'_>) -> Option<&mut Self> {
        if self.branches.iter_mut().all(|branch| branch.under(term).is_none()) {
            self.branches.push(Branch::of(term));
        }
        self.branches.iter_mut().find_map(|branch| branch.under(term))
    }

    fn find<'v>(
        &self,
        tier: Option<TierId>,
        routes: &[RouteId],
        value: &impl Fn(AttributeId) -> Option<&'v [u8]>,
        found: &mut Vec<u16>,
    ) {
        found.extend_from_slice(&self.numbers);
        for branch in &self.branches {
            match branch {
                Branch::Routes(places) => {
                    let matching = routes.iter().filter_map(|route| places.get(route.index()));
                    matching.for_each(|place| place.find(tier, routes, value, found));
                }
                Branch::Tiers(places) => {
                    let place = tier.and_then(|tier| places.get(&tier));
                    place.into_iter().for_each(|place| place.find(tier, routes, value, found));
                }
                Branch::Values(attribute, places) => {
                    let place = value(*attribute).and_then(|value| places.get(value));
                    place.into_iter().for_each(|place| place.find(tier, routes, value, found));
                }
            }
        }
    }
}

impl Branch {
    fn of(term: Term<'_>) -> Self {
        match term {
            Term::Route(_) => Self::Routes(Vec::new()),
            Term::Tier(_) => Self::Tiers(BTreeMap::new()),
            Term::Value(attribute, _) => Self::Values(attribute, BTreeMap::new()),
        }
    }

    /// The place to which `term` leads, made if it is new; `None` where the branch is by something else.
    fn under(&mut self, term: Term<'_>) -> Option<&mut Node> {
        match (self, term) {
            (Self::Routes(places), Term::Route(route)) => {
                let index = route.index();
                if places.len() <= index {
                    places.resize_with(index.saturating_add(1), Node::default);
                }
                places.get_mut(index)
            }
            (Self::Tiers(places), Term::Tier(tier)) => Some(places.entry(tier).or_default()),
            (Self::Values(known, places), Term::Value(attribute, value)) if *known == attribute => {
                Some(places.entry(value.as_bytes().into()).or_default())
            }
            (Self::Routes(_) | Self::Tiers(_) | Self::Values(..), _) => None,
        }
    }
}

/// What a selector asks for: of each list one.
fn conditions(selector: &Selector) -> Vec<Vec<Term<'_>>> {
    let routes = selector.routes.iter().map(|ids| ids.iter().copied().map(Term::Route).collect());
    let tiers = selector.tiers.iter().map(|tiers| tiers.iter().copied().map(Term::Tier).collect());
    let attributes = selector
        .attributes
        .iter()
        .map(|(attribute, values)| values.iter().map(|value| Term::Value(*attribute, value)).collect());
    routes.chain(tiers).chain(attributes).collect()
}

/// The conditions by which a selector is found: first what few name (`frequency` says how many), then what
/// is left of the places that it may take. At least one where there are any.
fn affordable<'s>(mut conditions: Vec<Vec<Term<'s>>>, frequency: impl Fn(&Term<'s>) -> usize) -> Vec<Vec<Term<'s>>> {
    let term = conditions.iter().map(Vec::len).fold(0, usize::saturating_add);
    let places_max = term.saturating_mul(NODES_PER_TERM);
    conditions.sort_by_cached_key(|condition| condition.iter().map(&frequency).max());
    let mut places: usize = 1;
    conditions.retain(|condition| {
        let with = places.saturating_mul(condition.len());
        let fits = with <= places_max;
        if fits {
            places = with;
        }
        fits
    });
    conditions.sort_unstable_by(|one, other| one.first().cmp(&other.first()));
    conditions
}
