//! The routes on which callers must identify themselves, and whether a limit's routes are among
//! them.

use std::collections::BTreeMap;

use crate::policy::document::{Node, Value};
use crate::policy::route::Route;

/// The routes of `callers.for`, and the other parts that decide which requests a limit counts.
pub(super) struct Asked {
    /// `None`: callers are asked everywhere, or the policy has none.
    within: Option<Vec<Route>>,
    /// Routes that are exempt for all callers: no limit counts them.
    exempt: Vec<Route>,
    tiers: BTreeMap<String, Vec<Route>>,
}

/// How the requests of a limit lie to the routes of `callers.for`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All within, or exempt, or callers are asked everywhere.
    Inside,
    /// Some may be outside.
    Partly,
    /// None is within.
    Outside,
}

impl Asked {
    pub(super) fn of(document: &Node) -> Self {
        Self {
            within: document
                .at("callers")
                .and_then(|callers| callers.at("for"))
                .map(routes),
            exempt: list(document, "exempt")
                .iter()
                .filter(|node| has_one_condition(node))
                .flat_map(routes)
                .collect(),
            tiers: list(document, "tiers")
                .iter()
                .filter_map(|tier| Some((tier.at("name")?.text()?.to_owned(), routes(tier))))
                .collect(),
        }
    }

    /// Of a limit without a selector.
    pub(super) fn everywhere(&self) -> Reach {
        self.reach_of(&[])
    }

    /// Two lists of routes, those of this `for` and those of its tiers. A request that it selects
    /// matches one of each. An empty list is any route.
    pub(super) fn selected(&self, selector: &Node) -> [Vec<Route>; 2] {
        let tiers = selector.at("tier").into_iter().flat_map(Node::texts);
        let of_tiers = tiers.filter_map(|name| self.tiers.get(name)).flatten();
        [routes(selector), of_tiers.cloned().collect()]
    }

    /// The reach of this `for`.
    pub(super) fn reach(&self, selector: &Node) -> Reach {
        match self.selected(selector).map(|routes| self.reach_of(&routes)) {
            [Reach::Inside, _] | [_, Reach::Inside] => Reach::Inside,
            [Reach::Outside, _] | [_, Reach::Outside] => Reach::Outside,
            [Reach::Partly, Reach::Partly] => Reach::Partly,
        }
    }

    /// Of requests of which each matches one of `routes`; of all if there is none.
    fn reach_of(&self, routes: &[Route]) -> Reach {
        let Some(within) = &self.within else {
            return Reach::Inside;
        };
        let all = Route::parse("/**").ok();
        let routes = if routes.is_empty() {
            all.as_slice()
        } else {
            routes
        };
        let covered = |route: &Route| {
            within
                .iter()
                .chain(&self.exempt)
                .any(|asked| asked.covers(route))
        };
        if routes.iter().all(|route| {
            covered(route) || by_method(route).is_some_and(|all| all.iter().all(covered))
        }) {
            Reach::Inside
        } else if routes
            .iter()
            .any(|route| within.iter().any(|asked| asked.meets(route)))
        {
            Reach::Partly
        } else {
            Reach::Outside
        }
    }
}

fn list<'d>(document: &'d Node, key: &str) -> &'d [Node] {
    match document.at(key).map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes,
        _ => &[],
    }
}

fn has_one_condition(selector: &Node) -> bool {
    matches!(&selector.value, Value::Map(entries) if entries.len() == 1)
}

/// The route once for each of its methods, which different routes may cover; `None` for any method.
fn by_method(route: &Route) -> Option<Vec<Route>> {
    let text = route.to_string();
    let (_, path) = text.split_once(' ')?;
    route
        .methods()
        .map(|method| Route::parse(&format!("{method} {path}")).ok())
        .collect()
}

fn routes(node: &Node) -> Vec<Route> {
    let texts = node.at("routes").map(Node::texts).unwrap_or_default();
    texts
        .into_iter()
        .filter_map(|text| Route::parse(text).ok())
        .collect()
}
