//! Selectors: the tiers, routes and attributes of a `for`, or of an entry of `exempt`.

use super::Context;
use super::attributes::{AttributeId, Attributes, CREDENTIAL, REFUSED_CREDENTIAL};
use super::error::{Reason, RefusedRule};
use super::language::{self as lang, Kind, Mapping};
use super::reader::{MapField, Values};
use super::route::{Route, RouteId, RouteTableBuilder};
use super::tiers::{self, ReadTier, ReadTiers};
use crate::base::id::TierId;
use crate::base::network::Network;

/// An attribute, and the values of which it must have one.
pub type Condition = (AttributeId, Vec<Box<str>>);

/// The requests that something applies to: all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// The request is of one of these tiers; `None` is any, and none.
    pub tiers: Option<Vec<TierId>>,
    /// One of these routes matches; `None` is any.
    pub routes: Option<Vec<RouteId>>,
    /// The client's address is in one of these; `None` is any.
    pub networks: Option<Vec<Network>>,
    /// None of these routes matches.
    pub except: Vec<RouteId>,
    /// It selects requests that are about to receive a 401, and no others.
    pub refused: bool,
    /// The caller's attribute has one of the values.
    pub attributes: Vec<Condition>,
}

impl Selector {
    /// Whether it selects all requests of its routes.
    pub(super) fn selects_by_routes_alone(&self) -> bool {
        self.tiers.is_none()
            && self.except.is_empty()
            && self.networks.is_none()
            && self.attributes.is_empty()
            && !self.refused
    }
}

/// A list of routes, all of them added to the policy's table.
pub(super) fn read_routes(
    list: &<lang::Routes as Kind>::Value<'_>,
    table: &mut RouteTableBuilder,
) -> Option<Vec<(Route, RouteId)>> {
    list.each(|field, route| {
        let id = table.add(route.clone(), field.string()?);
        Some((route, id))
    })
}

/// A selector as it is read, with data that only the rest of the reading needs.
pub(super) struct Selected {
    pub(super) selector: Selector,
    /// Its own routes.
    pub(super) routes: Vec<Route>,
    /// Whether nothing in it has an error: without a condition that has one, it would seem to
    /// select more requests.
    pub(super) is_sound: bool,
}

impl Selected {
    /// Selects all requests.
    pub(super) fn all() -> Self {
        Self {
            selector: Selector::default(),
            routes: Vec::new(),
            is_sound: true,
        }
    }

    /// The routes of which each selected request matches one: its own, else those of its tiers.
    /// None if any path is selected.
    pub(super) fn routes_or_those_of<'a>(&'a self, tiers: &'a ReadTiers) -> Vec<&'a Route> {
        if self.selector.routes.is_some() {
            return self.routes.iter().collect();
        }
        let tiers = self
            .selector
            .tiers
            .iter()
            .flatten()
            .filter_map(|tier| tiers.get(*tier)?.as_ref());
        tiers.flat_map(|read| &read.routes).collect()
    }
}

/// Reads a selector; `None` if its routes or tiers have an error.
pub(super) fn read_selector(
    map: &MapField<'_, lang::Selector>,
    all: &ReadTiers,
    context: &mut Context,
    allows_refused: bool,
) -> Option<Selected> {
    let errors = map.field().errors;
    let errors_before = errors.count();
    let tiers = map.read_with(lang::Selector::TIER, |_, names| read_tiers(&names, all));
    let routes = map.read_with(lang::Selector::ROUTES, |_, list| {
        read_routes(&list, &mut context.routes)
    });
    let except = map.read_with(lang::Selector::EXCEPT, |_, list| {
        read_routes(&list, &mut context.routes)
    });
    let networks = map.read_with(lang::Selector::CLIENT_ADDRESS, |_, networks| {
        networks.each(|_, network| Some(network))
    });
    let mut attributes = read_conditions(map, context, allows_refused);
    let refused = take_refused(map, &mut attributes);
    map.finish();
    let (excluded, except): (Vec<Route>, _) = except?.into_iter().flatten().unzip();
    let (routes, ids) = match routes? {
        Some(read) => {
            let (routes, ids) = read.into_iter().unzip();
            (routes, Some(ids))
        }
        None => (Vec::new(), None),
    };
    let tiers = tiers?;
    if let (Some(tier), Some(ids_of_tiers)) = (map.value(lang::Selector::TIER), &tiers)
        && ids.is_some()
        && !ids_of_tiers
            .iter()
            .any(|id| tiers::meets(all, *id, &routes))
    {
        let other = map.field().at.key(lang::Selector::ROUTES.name);
        map.field().error(Reason::Contradiction {
            one: tier.at.to_string(),
            other: other.to_string(),
        });
    }
    let mut selected = Selected {
        selector: Selector {
            tiers,
            routes: ids,
            networks: networks?,
            except,
            refused,
            attributes,
        },
        routes,
        is_sound: false,
    };
    report_excluded(map, &selected, &excluded, all);
    selected.is_sound = errors.count() == errors_before;
    Some(selected)
}

/// Reports a selector all of whose requests are excluded.
fn report_excluded(
    map: &MapField<'_, lang::Selector>,
    selected: &Selected,
    excluded: &[Route],
    tiers: &ReadTiers,
) {
    let own = selected.routes_or_those_of(tiers);
    let any = Route::any();
    let of_any = [&any];
    let routes: &[&Route] = if own.is_empty() { &of_any } else { &own };
    let is_excluded = |route: &&Route| excluded.iter().any(|except| except.covers(route));
    if !excluded.is_empty()
        && routes.iter().all(is_excluded)
        && let Some(field) = map.value(lang::Selector::EXCEPT)
    {
        field.error(Reason::AllExcluded);
    }
}

/// One tier's name or a list of them, as their ids.
fn read_tiers(names: &Values<'_, lang::Reference>, tiers: &ReadTiers) -> Option<Vec<TierId>> {
    names.each(|field, name| {
        let found = tiers
            .entries()
            .find(|(_, read)| is_named(read.as_ref(), name))
            .map(|(id, _)| id);
        // A tier with an error is missing here; its own error says enough.
        if found.is_none() && tiers.iter().all(Option::is_some) {
            let choices = tiers
                .iter()
                .flatten()
                .map(|read| read.tier.name.to_string())
                .collect();
            field.error(Reason::not_one_of(name, choices, "a tier"));
        }
        found
    })
}

fn is_named(read: Option<&ReadTier>, name: &str) -> bool {
    read.is_some_and(|read| *read.tier.name == *name)
}

/// Whether the conditions ask for refused credentials; then that condition is removed.
fn take_refused(map: &MapField<'_, lang::Selector>, conditions: &mut Vec<Condition>) -> bool {
    let asks = |(attribute, values): &Condition| {
        *attribute == Attributes::CREDENTIAL
            && values.iter().any(|value| **value == *REFUSED_CREDENTIAL)
    };
    let Some(place) = conditions.iter().position(asks) else {
        return false;
    };
    let (_, values) = conditions.remove(place);
    if values.len() > 1 {
        let mut fields = map.rest().filter(|(entry, _)| *entry.key == *CREDENTIAL);
        if let Some((_, field)) = fields.next() {
            field.error(Reason::Refused(RefusedRule::NextToOthers));
        }
    }
    true
}

/// The conditions on attributes of the caller.
pub(super) fn read_conditions<M: Mapping>(
    map: &MapField<'_, M>,
    context: &mut Context,
    allows_refused: bool,
) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (entry, field) in map.rest() {
        let attribute = context.attributes.resolve(&field, &entry.key);
        let values = lang::ConditionValues::read(field).and_then(|values| {
            values.each(|field, value| {
                if attribute == Some(Attributes::CREDENTIAL) {
                    context
                        .attributes
                        .check_credential(&field, value, allows_refused);
                }
                Some(Box::from(value))
            })
        });
        conditions.extend(attribute.zip(values));
    }
    conditions
}
