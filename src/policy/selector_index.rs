//! Finds the selectors that may match a request, so that a request's cost depends on those, not on
//! the size of the policy.
//!
//! A selector is in one node for each combination of a route, a tier and a value of each attribute
//! that it names. A request visits the nodes that its own terms lead to:
//!
//! ```text
//!   root ─┬─ route 7 ───── tier 2 ─── org: acme ─▶ 3
//!         ├─ tier 2 ─────────────────────────────▶ 0, 5
//!         ├─ org: acme ─┬────────────────────────▶ 4
//!         │             └─ plan: gold ───────────▶ 1, 8
//!         └──────────────────────────────────────▶ 2, 9
//! ```
//!
//! Lists multiply: a thousand routes and a thousand values would be a million nodes. So a selector
//! is in at most `NODES_PER_TERM` nodes for each term. If that is not enough, it is indexed by the
//! terms that few other selectors name, and the caller of [`SelectorIndex::find`] compares the
//! rest.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::attributes::AttributeId;
use super::route::RouteId;
use super::select::Selector;
use crate::base::id::{DenialId, ExemptionId, LimitId, PayloadId, PoolId, SeatId, TierId};

/// A selector of a policy, by its owner.
///
/// The order is that in which a request visits those it meets: an exemption or a denial ends the
/// visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectorId {
    /// Of an exemption.
    Exemption(ExemptionId),
    /// Of a denial.
    Denial(DenialId),
    /// Of a limit.
    Limit(LimitId),
    /// Of a seat limit.
    Seats(SeatId),
    /// Of a concurrency limit.
    Pool(PoolId),
    /// Of a payload limit.
    Payload(PayloadId),
}

/// The selectors of a policy, by their terms.
#[derive(Debug, Default)]
pub struct SelectorIndex {
    root: Node,
    /// The selectors that are not indexed by their routes, and those routes, both in order.
    unindexed: Vec<(SelectorId, Box<[RouteId]>)>,
}

/// The selectors that need no further term, and the nodes that further terms lead to.
#[derive(Debug, Default)]
struct Node {
    ids: Vec<SelectorId>,
    branches: Vec<Branch>,
}

/// Nodes by one kind of term; a node has at most one branch of each kind.
#[derive(Debug)]
enum Branch {
    /// By route. Routes are the first terms, so only the root has this branch.
    Routes(Vec<Node>),
    Tiers(BTreeMap<TierId, Node>),
    Values(AttributeId, BTreeMap<Box<[u8]>, Node>),
}

/// One thing that a selector names. The order is that of the branches from the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Term<'s> {
    Route(RouteId),
    Tier(TierId),
    Value(AttributeId, &'s str),
}

/// The most nodes that hold a selector, for each of its terms: memory grows as the document does.
const NODES_PER_TERM: usize = 4;

impl SelectorIndex {
    /// Indexes selectors, which are in the order of their ids.
    pub(super) fn of<'s>(selectors: impl Iterator<Item = (SelectorId, &'s Selector)>) -> Self {
        let selectors: Vec<_> = selectors
            .map(|(id, selector)| (id, selector, conditions(selector)))
            .collect();
        let mut frequencies: BTreeMap<Term<'s>, usize> = BTreeMap::new();
        for term in selectors
            .iter()
            .flat_map(|(.., conditions)| conditions)
            .flatten()
        {
            let frequency = frequencies.entry(*term).or_default();
            *frequency = frequency.saturating_add(1);
        }
        let mut index = Self::default();
        for (id, selector, conditions) in selectors {
            let conditions = affordable(conditions, |term| {
                frequencies.get(term).copied().unwrap_or_default()
            });
            index.root.put(&conditions, id);
            let is_indexed = conditions
                .iter()
                .flatten()
                .any(|term| matches!(term, Term::Route(_)));
            if let Some(routes) = &selector.routes
                && !is_indexed
            {
                let mut routes = routes.clone();
                routes.sort_unstable();
                index.unindexed.push((id, routes.into()));
            }
        }
        index
    }

    /// Fills `found` with the selectors that may match, each once and in order: all that match, and
    /// of those with routes only such of which one matches. `value` returns the caller's
    /// attributes.
    pub fn find<'v>(
        &self,
        tier: Option<TierId>,
        routes: &[RouteId],
        value: impl Fn(AttributeId) -> Option<&'v [u8]>,
        found: &mut Vec<SelectorId>,
    ) {
        found.clear();
        self.root.find(tier, routes, &value, found);
        found.sort_unstable();
        found.dedup();
        if !self.unindexed.is_empty() {
            found.retain(|id| self.matches_route(*id, routes));
        }
    }

    /// Whether one of `routes` is the selector's, if its nodes do not say so.
    fn matches_route(&self, id: SelectorId, routes: &[RouteId]) -> bool {
        let own = self.unindexed.binary_search_by_key(&id, |(id, _)| *id);
        let own = own.ok().and_then(|index| self.unindexed.get(index));
        own.is_none_or(|(_, own)| routes.iter().any(|route| own.binary_search(route).is_ok()))
    }
}

impl Node {
    /// Puts a selector under each combination of one term from each of `conditions`.
    fn put(&mut self, conditions: &[Vec<Term<'_>>], id: SelectorId) {
        match conditions.split_first() {
            Some((terms, rest)) => {
                for term in terms {
                    if let Some(node) = self.under(*term) {
                        node.put(rest, id);
                    }
                }
            }
            None => self.ids.push(id),
        }
    }

    /// The node that `term` leads to from here, made if it is new.
    fn under(&mut self, term: Term<'_>) -> Option<&mut Self> {
        if self
            .branches
            .iter_mut()
            .all(|branch| branch.under(term).is_none())
        {
            self.branches.push(Branch::of(term));
        }
        self.branches
            .iter_mut()
            .find_map(|branch| branch.under(term))
    }

    fn find<'v>(
        &self,
        tier: Option<TierId>,
        routes: &[RouteId],
        value: &impl Fn(AttributeId) -> Option<&'v [u8]>,
        found: &mut Vec<SelectorId>,
    ) {
        found.extend_from_slice(&self.ids);
        for branch in &self.branches {
            match branch {
                Branch::Routes(nodes) => {
                    for node in routes.iter().filter_map(|route| nodes.get(route.index())) {
                        node.find(tier, routes, value, found);
                    }
                }
                Branch::Tiers(nodes) => {
                    if let Some(node) = tier.and_then(|tier| nodes.get(&tier)) {
                        node.find(tier, routes, value, found);
                    }
                }
                Branch::Values(attribute, nodes) => {
                    if let Some(node) = value(*attribute).and_then(|value| nodes.get(value)) {
                        node.find(tier, routes, value, found);
                    }
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

    /// The node that `term` leads to, made if it is new; `None` if the branch is of another kind.
    fn under(&mut self, term: Term<'_>) -> Option<&mut Node> {
        match (self, term) {
            (Self::Routes(nodes), Term::Route(route)) => {
                let index = route.index();
                if nodes.len() <= index {
                    nodes.resize_with(index.saturating_add(1), Node::default);
                }
                nodes.get_mut(index)
            }
            (Self::Tiers(nodes), Term::Tier(tier)) => Some(nodes.entry(tier).or_default()),
            (Self::Values(known, nodes), Term::Value(attribute, value)) if *known == attribute => {
                Some(nodes.entry(value.as_bytes().into()).or_default())
            }
            (Self::Routes(_) | Self::Tiers(_) | Self::Values(..), _) => None,
        }
    }
}

/// The conditions of a selector: one term of each must match.
fn conditions(selector: &Selector) -> Vec<Vec<Term<'_>>> {
    let routes = selector
        .routes
        .iter()
        .map(|ids| ids.iter().copied().map(Term::Route).collect());
    let tiers = selector
        .tiers
        .iter()
        .map(|tiers| tiers.iter().copied().map(Term::Tier).collect());
    let attributes = selector.attributes.iter().map(|(attribute, values)| {
        values
            .iter()
            .map(|value| Term::Value(*attribute, value))
            .collect()
    });
    routes.chain(tiers).chain(attributes).collect()
}

/// The conditions that a selector is indexed by: first those whose terms few selectors name, as
/// `frequency` counts them, then others while its nodes last. At least one if there are any.
fn affordable<'s>(
    mut conditions: Vec<Vec<Term<'s>>>,
    frequency: impl Fn(&Term<'s>) -> usize,
) -> Vec<Vec<Term<'s>>> {
    let terms = conditions
        .iter()
        .map(Vec::len)
        .fold(0, usize::saturating_add);
    let nodes_max = terms.saturating_mul(NODES_PER_TERM);
    conditions.sort_by_cached_key(|condition| condition.iter().map(&frequency).max());
    let mut nodes: usize = 1;
    conditions.retain(|condition| {
        let with = nodes.saturating_mul(condition.len());
        let fits = with <= nodes_max;
        if fits {
            nodes = with;
        }
        fits
    });
    conditions.sort_unstable_by(|one, other| one.first().cmp(&other.first()));
    conditions
}
