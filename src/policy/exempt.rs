//! Exemptions: requests to which no limit applies, and which carry no field. Denials: requests that
//! receive a 403.

use super::Context;
use super::error::Reason;
use super::language as lang;
use super::reader::Items;
use super::route::Route;
use super::select::{Selected, Selector, read_selector};
use super::tiers::ReadTiers;

/// The exemptions as they are read, with data that only the rest of the reading needs.
#[derive(Default)]
pub(super) struct ReadExemptions {
    pub(super) selectors: Vec<Selector>,
    /// Routes that are exempt for all callers, and the pointer of the entry.
    pub(super) unconditional: Vec<(Route, String)>,
}

/// Reads the exemptions; `None` if one has an error.
pub(super) fn read(
    list: &Items<'_, lang::Map<lang::Selector>>,
    tiers: &ReadTiers,
    context: &mut Context,
) -> Option<ReadExemptions> {
    let mut read = ReadExemptions::default();
    let all = list.each(|field, map| {
        Some((
            read_selector(&map, tiers, context, false)?,
            field.at.to_string(),
        ))
    })?;
    for (
        Selected {
            selector,
            routes,
            is_sound,
        },
        at,
    ) in all
    {
        if is_sound && selector.selects_by_routes_alone() {
            read.unconditional
                .extend(routes.into_iter().map(|route| (route, at.clone())));
        }
        read.selectors.push(selector);
    }
    Some(read)
}

/// Reads the denials; `None` if one has an error.
pub(super) fn read_denials(
    list: &Items<'_, lang::Map<lang::Selector>>,
    tiers: &ReadTiers,
    exempt: &ReadExemptions,
    context: &mut Context,
) -> Option<Vec<Selector>> {
    list.each(|field, map| {
        let selected = read_selector(&map, tiers, context, false)?;
        let routes = selected.routes_or_those_of(tiers).into_iter();
        if let Some(by) = exempt.takes(routes) {
            field.error(Reason::NeverReached { by });
        }
        Some(selected.selector)
    })
}

impl ReadExemptions {
    /// The pointers of the entries that take all requests of these routes; `None` if some are left.
    pub(super) fn takes<'r>(&self, routes: impl Iterator<Item = &'r Route>) -> Option<String> {
        let mut by: Vec<&str> = Vec::new();
        for route in routes {
            let mut entries = self.unconditional.iter();
            let (_, at) = entries.find(|(exempt, _)| exempt.covers(route))?;
            by.push(at);
        }
        by.sort_unstable();
        by.dedup();
        (!by.is_empty()).then(|| by.join(", "))
    }
}
