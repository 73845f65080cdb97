//! The endpoint at which callers read their own numbers.

use crate::policy::attributes::AttributeId;
use crate::policy::callers::Source;
use crate::policy::language as lang;
use crate::policy::limits::Limit;
use crate::policy::reader::{Field, MapField};
use crate::policy::route::{Matches, RouteId, RouteTableBuilder};
use crate::policy::scope::{KeyPart, KeyWord, Scope};

/// The endpoint at which callers read their own numbers.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The route that matches its path.
    route: RouteId,
    /// The attributes whose values another path or query changes, in order.
    varying: Vec<AttributeId>,
}

pub(super) fn read(
    map: &MapField<'_, lang::Endpoint>,
    routes: &mut RouteTableBuilder,
) -> Option<Endpoint> {
    let path = map.read_with(lang::Endpoint::PATH, |field: Field<'_>, route| {
        Some(routes.add(route, field.string()?))
    });
    map.finish();
    Some(Endpoint {
        route: path?,
        varying: Vec::new(),
    })
}

impl Endpoint {
    /// Notes which attributes depend on the path or the query of a request.
    pub(in crate::policy) fn note(&mut self, sources: &[(AttributeId, Vec<Source>)]) {
        let varies = |source: &Source| matches!(source, Source::Path(_) | Source::Query(_));
        let varying = sources
            .iter()
            .filter(|(_, sources)| sources.iter().any(varies));
        self.varying = varying.map(|(attribute, _)| *attribute).collect();
        self.varying.sort_unstable();
    }

    /// Whether a request with these routes is for it.
    #[must_use]
    pub fn matches(&self, matches: &Matches) -> bool {
        matches.contains(self.route)
    }

    /// The route that matches its path.
    #[must_use]
    pub const fn route(&self) -> RouteId {
        self.route
    }

    /// Whether another path or query may give the caller another value of the attribute.
    #[must_use]
    pub fn varies(&self, attribute: AttributeId) -> bool {
        self.varying.binary_search(&attribute).is_ok()
    }

    /// Whether it depends on the request, and not on the caller alone, if a limit applies, and by
    /// which numbers and key.
    #[must_use]
    pub fn depends_on_request(&self, limit: &Limit) -> bool {
        let mut overridden = limit.overrides.attributes();
        self.scope_depends(&limit.scope) || overridden.any(|attribute| self.varies(attribute))
    }

    fn scope_depends(&self, scope: &Scope) -> bool {
        let selector = &scope.selector;
        let mut conditions = selector.attributes.iter();
        selector.tiers.is_some()
            || selector.routes.is_some()
            || !selector.except.is_empty()
            || conditions.any(|(attribute, _)| self.varies(*attribute))
            || scope.per.iter().any(|part| match part {
                KeyPart::Attribute(attribute) => self.varies(*attribute),
                KeyPart::Capture(_)
                | KeyPart::Word(KeyWord::Route | KeyWord::Method | KeyWord::Tier) => true,
                KeyPart::Word(KeyWord::Host) => false,
            })
    }
}
