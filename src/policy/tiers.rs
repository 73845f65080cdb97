//! Tiers: classes of requests, each with budgets of its own, found from the request alone.

use std::collections::HashMap;

use super::Context;
use super::error::Reason;
use super::language::{self as lang, Kind};
use super::reader::{Field, Items, MapField};
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

/// The tiers as they are read; `None` for one with an error, so that the ids stay right.
pub(super) type ReadTiers = IdVec<TierId, Option<ReadTier>>;

/// Reads the tiers.
pub(super) fn read(list: &Items<'_, lang::Map<lang::Tier>>, context: &mut Context) -> ReadTiers {
    let mut names = HashMap::new();
    let mut earlier: Vec<(Route, String)> = Vec::new();
    let read = list.each_field(|field| {
        let tier = lang::Map::read(field)
            .and_then(|map| read_tier(&map, &mut names, &mut earlier, context));
        Some(tier)
    });
    read.unwrap_or_default().into()
}

/// `names` and `earlier` are the names and the routes of the tiers before this one, each with its
/// pointer.
fn read_tier(
    map: &MapField<'_, lang::Tier>,
    names: &mut HashMap<String, String>,
    earlier: &mut Vec<(Route, String)>,
    context: &mut Context,
) -> Option<ReadTier> {
    let name = map.read_with(lang::Tier::NAME, |field, name| {
        match names.insert(name.to_owned(), field.at.to_string()) {
            Some(first) => field.refuse(Reason::Duplicate {
                value: Some(name.to_owned()),
                first,
            }),
            None => Some(Box::from(name)),
        }
    });
    let routes = map.read_with(lang::Tier::ROUTES, |_, list| {
        let read = read_routes(&list, &mut context.routes)?;
        never_reached(map.field(), &read, earlier);
        Some(read)
    });
    map.finish();
    let (routes, ids): (Vec<Route>, Vec<RouteId>) = routes?.into_iter().unzip();
    let name = name?;
    let at = map.field().at.to_string();
    earlier.extend(routes.iter().map(|route| (route.clone(), at.clone())));
    Some(ReadTier {
        tier: Tier { name, routes: ids },
        routes,
    })
}

/// Whether a request of this tier can match one of `routes`, as far as `covers` and
/// `meets` of two routes can decide: `false` is always right.
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
    tier.routes.iter().any(|own| {
        routes
            .iter()
            .any(|route| own.meets(route) && !taken(own) && !taken(route))
    })
}

/// Notes a tier of which every route is covered by one of an earlier tier.
fn never_reached(field: &Field<'_>, routes: &[(Route, RouteId)], earlier: &[(Route, String)]) {
    let covered: Option<Vec<&str>> = routes
        .iter()
        .map(|(route, _)| {
            let mut earlier = earlier.iter();
            let (_, at) = earlier.find(|(first, _)| first.covers(route))?;
            Some(at.as_str())
        })
        .collect();
    if let Some(mut by) = covered {
        by.dedup();
        field.error(Reason::NeverReached { by: by.join(", ") });
    }
}

/// The tiers, if none has an error.
pub(super) fn complete(read: ReadTiers) -> Option<IdVec<TierId, Tier>> {
    let tiers = Vec::from(read).into_iter();
    tiers.map(|read| Some(read?.tier)).collect()
}

/// By route, the first tier that it leads to.
pub(super) fn by_route(tiers: &IdVec<TierId, Tier>, routes: usize) -> Vec<Option<TierId>> {
    let mut first = vec![None; routes];
    for (id, tier) in tiers.entries() {
        for route in &tier.routes {
            if let Some(place @ None) = first.get_mut(route.index()) {
                *place = Some(id);
            }
        }
    }
    first
}
