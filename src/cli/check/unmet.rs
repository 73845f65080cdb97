//! Routes in a limit that none of its requests matches.

use super::asked::Asked;
use super::warnings::{Warning, items};
use crate::policy::document::Node;
use crate::policy::language;
use crate::policy::route::Route;

/// The warnings about routes of `except` and of costs.
pub(super) fn unmet(document: &Node) -> Vec<Warning> {
    let asked = Asked::of(document);
    let mut found = Vec::new();
    for kind in language::Policy::KINDS {
        for (at, limit) in of(document, kind, "") {
            let selected = Selected::of(limit.at("for"), &asked);
            if let Some(selector) = limit.at("for") {
                found.extend(selected.excludes_nothing(selector, &format!("{at}/for")));
            }
            found.extend(selected.costs_nothing(limit, &at));
        }
    }
    for key in ["exempt", "deny"] {
        for (at, selector) in of(document, key, "") {
            let selected = Selected::of(Some(selector), &asked);
            found.extend(selected.excludes_nothing(selector, &at));
        }
    }
    found
}

/// The elements of the list under a key, each with its pointer.
fn of<'d>(node: &'d Node, key: &str, at: &str) -> impl Iterator<Item = (String, &'d Node)> {
    let list = node.at(key);
    let at = format!("{at}/{key}");
    list.into_iter()
        .flat_map(move |list| items(list, at.clone()))
}

/// The requests that a `for` selects.
#[derive(Default)]
struct Selected {
    /// Lists of routes, of each of which a request matches one. An empty list is any route.
    routes: [Vec<Route>; 2],
    /// Routes of which a request matches none.
    except: Vec<Route>,
}

impl Selected {
    fn of(selector: Option<&Node>, asked: &Asked) -> Self {
        let Some(selector) = selector else {
            return Self::default();
        };
        let except = selector.at("except").map(Node::texts).unwrap_or_default();
        let except = except
            .into_iter()
            .filter_map(|text| Route::parse(text).ok());
        Self {
            routes: asked.selected(selector),
            except: except.collect(),
        }
    }

    /// Whether some request of these routes may match `route`.
    fn meets(&self, route: &Route) -> bool {
        let meets = |routes: &Vec<Route>| {
            routes.is_empty() || routes.iter().any(|selected| selected.meets(route))
        };
        self.routes.iter().all(meets)
    }

    /// Routes of `except` that exclude no request.
    fn excludes_nothing(&self, selector: &Node, at: &str) -> Vec<Warning> {
        let routes = of(selector, "except", at).filter_map(|(at, node)| {
            let route = Route::parse(node.text()?).ok()?;
            let text = "this route excludes nothing: none of the requests that are selected \
                        matches it";
            (!self.meets(&route)).then(|| Warning {
                line: node.line,
                at,
                text: text.to_owned(),
            })
        });
        routes.collect()
    }

    /// Routes of costs that no request of the limit has.
    fn costs_nothing(&self, limit: &Node, at: &str) -> Vec<Warning> {
        let routes = of(limit, "cost", at)
            .flat_map(|(at, entry)| of(entry, "routes", &at).collect::<Vec<_>>());
        let never = routes.filter_map(|(at, node)| {
            let route = Route::parse(node.text()?).ok()?;
            let why = if !self.meets(&route) {
                "the limit counts no request that matches it"
            } else if self.except.iter().any(|except| except.covers(&route)) {
                "the limit excludes all requests that match it"
            } else {
                return None;
            };
            Some(Warning {
                line: node.line,
                at,
                text: format!("no request has this cost: {why}"),
            })
        });
        never.collect()
    }
}
