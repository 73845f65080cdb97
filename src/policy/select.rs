//! Selectors: the tiers, routes and attributes of a `for`, or of an entry of `exempt`.

use super::Context;
use super::attributes::{AttributeId, Attributes};
use super::document::Value;
use super::error::Reason;
use super::reader::{Field, MapField};
use super::route::{Route, RouteId, RouteTableBuilder};
use super::tiers::{self, ReadTier, ReadTiers};
use crate::base::id::TierId;

/// An attribute, and the values of which it must have one.
pub type Condition = (AttributeId, Vec<Box<str>>);

/// The requests that something applies to: all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// The request is of one of these tiers; `None` is any, and none.
    pub tiers: Option<Vec<TierId>>,
    /// One of these routes matches; `None` is any.
    pub routes: Option<Vec<RouteId>>,
    /// The caller's attribute has one of the values.
    pub attributes: Vec<Condition>,
}

pub(crate) const ROUTES_MAX: usize = 10_000;
pub(crate) const VALUES_MAX: usize = 1_000;
pub(crate) const VALUE_BYTES_MAX: usize = 256;

/// A list of routes, all of them added to the policy's table.
pub(super) fn read_routes(
    field: Field<'_>,
    table: &mut RouteTableBuilder,
) -> Option<Vec<(Route, RouteId)>> {
    let nodes = field.non_empty_list(ROUTES_MAX)?;
    let read = field.each_unique(nodes, |field| {
        let route = field.parsed(Route::parse, |value, error| Reason::BadRoute {
            value,
            error,
        })?;
        let id = table.add(route.clone());
        Some((route, id))
    });
    (read.len() == nodes.len()).then_some(read)
}

/// A selector as it is read, with what only the rest of the reading needs.
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
    field: Field<'_>,
    all: &ReadTiers,
    context: &mut Context,
) -> Option<Selected> {
    let errors_before = field.errors.count();
    let map = field.map("{ routes: [/v1/**] }")?;
    if map.is_empty() {
        field.error(Reason::Empty);
    }
    let tier = map.get("tier");
    let tiers = match tier {
        Some(field) => read_tiers(field, all).map(Some),
        None => Some(None),
    };
    let routes = map.optional("routes", None, |field| {
        read_routes(field, &mut context.routes).map(Some)
    });
    let attributes = read_conditions(&map, context);
    let (routes, ids) = match routes? {
        Some(read) => {
            let (routes, ids) = read.into_iter().unzip();
            (routes, Some(ids))
        }
        None => (Vec::new(), None),
    };
    let tiers = tiers?;
    if let (Some(tier), Some(ids_of_tiers)) = (tier, &tiers)
        && ids.is_some()
        && !ids_of_tiers
            .iter()
            .any(|id| tiers::meets(all, *id, &routes))
    {
        field.error(Reason::Contradiction {
            one: tier.at.to_string(),
            other: field.at.key("routes").to_string(),
        });
    }
    let is_sound = field.errors.count() == errors_before;
    Some(Selected {
        selector: Selector {
            tiers,
            routes: ids,
            attributes,
        },
        routes,
        is_sound,
    })
}

/// One tier's name or a list of them, as their ids.
fn read_tiers(field: Field<'_>, tiers: &ReadTiers) -> Option<Vec<TierId>> {
    let find = |field: &Field<'_>, name: &str| {
        let named =
            |read: &Option<ReadTier>| read.as_ref().is_some_and(|read| *read.tier.name == *name);
        let found = tiers
            .entries()
            .find(|(_, read)| named(read))
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
    };
    one_or_many(field, |field| find(&field, field.string()?))
}

/// All keys of a `for` that were not asked for by name: attributes of the caller.
pub(super) fn read_conditions(map: &MapField<'_>, context: &mut Context) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (entry, field) in map.others() {
        let attribute = context.attributes.resolve(&field, &entry.key);
        let values = one_or_many(field, |field| {
            let value = field.text(VALUE_BYTES_MAX)?;
            if attribute == Some(Attributes::CREDENTIAL) {
                context.attributes.check_credential(&field, value);
            }
            Some(Box::from(value))
        });
        conditions.extend(attribute.zip(values));
    }
    conditions
}

fn one_or_many<T: Clone + Ord>(
    field: Field<'_>,
    mut read: impl FnMut(Field<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    match &field.node.value {
        Value::List(_) => {
            let nodes = field.non_empty_list(VALUES_MAX)?;
            let read = field.each_unique(nodes, read);
            (read.len() == nodes.len()).then_some(read)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
            Some(vec![read(field)?])
        }
    }
}
