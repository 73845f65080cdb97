//! The payload limits before one, which may leave it no request.

use std::collections::BTreeSet;

use super::super::error::Reason;
use super::super::reader::Field;
use super::super::route::Route;
use super::super::scope::Siblings;
use super::super::select::{Selected, Selector};

/// The requests that earlier payload limits take.
#[derive(Default)]
pub(super) struct Earlier(Vec<Taken>);

struct Taken {
    selector: Selector,
    /// The selector's own.
    routes: Vec<Route>,
    at: String,
}

impl Earlier {
    /// Reports a payload limit that no request reaches, and notes the selector of one that some
    /// reach.
    pub(super) fn take(&mut self, selected: &Selected, field: &Field<'_>, siblings: &Siblings<'_>) {
        let routes = selected.routes_or_those_of(siblings.tiers);
        let taken = self.takes(&selected.selector, &routes);
        if let Some(by) = taken.or_else(|| siblings.exempt.takes(routes.into_iter())) {
            field.error(Reason::NeverReached { by });
        } else if selected.is_sound && selected.selector.except.is_empty() {
            let (selector, routes) = (selected.selector.clone(), selected.routes.clone());
            self.0.push(Taken {
                selector,
                routes,
                at: field.at.to_string(),
            });
        }
    }

    /// The pointers of those that take all requests of `selector`, each of which matches one of
    /// `routes` if there are any; `None` if some may be left.
    fn takes(&self, selector: &Selector, routes: &[&Route]) -> Option<String> {
        let wider: Vec<&Taken> = self
            .0
            .iter()
            .filter(|taken| taken.includes(selector))
            .collect();
        if let Some(all) = wider.iter().find(|taken| taken.selector.routes.is_none()) {
            return Some(all.at.clone());
        }
        let mut by = BTreeSet::new();
        for route in routes {
            by.insert(
                wider
                    .iter()
                    .position(|taken| taken.routes.iter().any(|first| first.covers(route)))?,
            );
        }
        let by: Vec<&str> = by
            .into_iter()
            .filter_map(|number| Some(&*wider.get(number)?.at))
            .collect();
        (!by.is_empty()).then(|| by.join(", "))
    }
}

impl Taken {
    /// Whether all callers and tiers of `other` are among its own.
    fn includes(&self, other: &Selector) -> bool {
        let tiers = match (&self.selector.tiers, &other.tiers) {
            (None, _) => true,
            (Some(tiers), Some(others)) => others.iter().all(|tier| tiers.contains(tier)),
            (Some(_), None) => false,
        };
        let mut conditions = self.selector.attributes.iter();
        tiers
            && conditions.all(|(id, values)| {
                other.attributes.iter().any(|(other, with)| {
                    other == id && with.iter().all(|value| values.contains(value))
                })
            })
    }
}
