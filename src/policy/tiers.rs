//! Tiers: classes of requests, each with budgets of its own, found from the request alone.

use std::collections::HashMap;

use super::Context;
use super::error::Reason;
use super::reader::Field;
use super::route::{Route, RouteId};
use super::select::read_routes;
use crate::base::id::{IdVec, TierId};

/// One class of requests.
#[derive(Debug)]
pub struct Tier {
    /// Its name.
    pub name: Box<str>,
    /// A request that one of these matches belongs to it, unless an earlier tier has it.
    pub routes: Vec<RouteId>,
}

/// A tier and the routes themselves, which only the rest of the reading needs.
pub(super) struct ReadTier {
    pub(super) tier: Tier,
    pub(super) routes: Vec<Route>,
}

pub(crate) const TIERS_MAX: usize = 1_000;

/// The tiers as they are read; `None` for one with an error, so that the ids stay right.
pub(super) type ReadTiers = IdVec<TierId, Option<ReadTier>>;

/// Reads the tiers.
pub(super) fn read(field: Field<'_>, context: &mut Context) -> ReadTiers {
    let Some(nodes) = field.non_empty_list(TIERS_MAX) else {
        return ReadTiers::default();
    };
    let mut names = HashMap::new();
    let mut earlier: Vec<(Route, String)> = Vec::new();
    let read = field.each(nodes, |field| {
        let Some(map) = field.map("{ name: write, routes: [\"POST /v1/**\"] }") else {
            return Some(None);
        };
        let name = map.require("name").and_then(|field| {
            let name = field.name()?;
            if let Some(first) = names.insert(name.to_owned(), field.at.to_string()) {
                return field.refuse(Reason::Duplicate {
                    value: Some(name.to_owned()),
                    first,
                });
            }
            Some(name.into())
        });
        let routes = map.require("routes").and_then(|routes| {
            let read = read_routes(routes, &mut context.routes)?;
            never_reached(&field, &read, &earlier);
            Some(read)
        });
        map.deny_unknown();
        let read = name.zip(routes).map(|(name, routes)| {
            let (routes, ids): (Vec<Route>, Vec<RouteId>) = routes.into_iter().unzip();
            let at = field.at.to_string();
            earlier.extend(routes.iter().map(|route| (route.clone(), at.clone())));
            ReadTier {
                tier: Tier { name, routes: ids },
                routes,
            }
        });
        Some(read)
    });
    read.into()
}

/// Whether a request of this tier can match one of `routes`, as far as `covers` and
/// `meets` of two routes can tell: `false` is always right.
pub(super) fn meets(tiers: &ReadTiers, id: TierId, routes: &[Route]) -> bool {
    let Some(Some(tier)) = tiers.get(id) else {
        return true;
    };
    let taken = |route: &Route| {
        let earlier = tiers
            .entries()
            .take_while(|(other, _)| *other < id)
            .filter_map(|(_, read)| read.as_ref());
        earlier
            .flat_map(|read| &read.routes)
            .any(|first| first.covers(route))
    };
    let some_left = |own: &Route| {
        routes
            .iter()
            .any(|route| own.meets(route) && !taken(own) && !taken(route))
    };
    tier.routes.iter().any(some_left)
}

/// Notes a tier of which every route is covered by one of an earlier tier.
fn never_reached(field: &Field<'_>, routes: &[(Route, RouteId)], earlier: &[(Route, String)]) {
    let by = |route: &Route| {
        earlier
            .iter()
            .find(|(first, _)| first.covers(route))
            .map(|(_, at)| at)
    };
    let covered: Option<Vec<&str>> = routes
        .iter()
        .map(|(route, _)| by(route).map(String::as_str))
        .collect();
    if let Some(mut by) = covered {
        by.dedup();
        field.error(Reason::NeverReached { by: by.join(", ") });
    }
}
