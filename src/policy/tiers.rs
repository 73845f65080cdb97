//! Tiers: classes of requests, each with budgets of its own, found from the request alone.

use std::collections::HashMap;

use super::Context;
use super::error::Reason;
use super::reader::Field;
use super::route::{Route, RouteId};
use super::select::read_routes;

/// One class of requests.
#[derive(Debug)]
pub struct Tier {
    /// Its name.
    pub name: Box<str>,
    /// A request that one of these matches belongs to it, unless an earlier tier has it.
    pub routes: Vec<RouteId>,
}

const TIERS_MAX: usize = 1_000;

/// Reads the tiers, each in its place: one with a fault is `None`, so that the numbers stay right.
pub(super) fn read(field: Field<'_>, context: &mut Context) -> Vec<Option<Tier>> {
    let Some(nodes) = field.full_list(TIERS_MAX) else { return Vec::new() };
    let mut names = HashMap::new();
    let mut earlier: Vec<(Route, String)> = Vec::new();
    field.each(nodes, |field| {
        let Some(map) = field.map() else { return Some(None) };
        let name = map.require("name").and_then(|field| {
            let name = field.name()?;
            if let Some(first) = names.insert(name.to_owned(), field.at.to_string()) {
                return field.refuse(Reason::Duplicate { value: Some(name.to_owned()), first });
            }
            Some(name.into())
        });
        let routes = map.require("routes").and_then(|routes| {
            let read = read_routes(routes, &mut context.routes)?;
            never_reached(&field, &read, &earlier);
            Some(read)
        });
        map.end();
        let tier = name.zip(routes).map(|(name, routes): (Box<str>, Vec<(Route, RouteId)>)| {
            let ids = routes.iter().map(|(_, id)| *id).collect();
            let at = field.at.to_string();
            earlier.extend(routes.into_iter().map(|(route, _)| (route, at.clone())));
            Tier { name, routes: ids }
        });
        Some(tier)
    })
}

/// Notes a tier of which every route is covered by one of an earlier tier.
fn never_reached(field: &Field<'_>, routes: &[(Route, RouteId)], earlier: &[(Route, String)]) {
    let by = |route: &Route| earlier.iter().find(|(first, _)| first.covers(route)).map(|(_, at)| at);
    let covered: Option<Vec<&String>> = routes.iter().map(|(route, _)| by(route)).collect();
    if let Some(first) = covered.and_then(|all| all.first().copied().cloned()) {
        field.fault(Reason::NeverReached { by: first });
    }
}
