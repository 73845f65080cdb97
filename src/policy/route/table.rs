//! Many routes, matched at once: a trie over segments, walked with a set of active nodes.
//!
//! ```text
//! /v2/**  /v2/*/items  /v2/data*          segments:  v2      a       items
//!
//! root ─ v2 ▶ ● ─ * ────▶ ● ─ items ▶ ◉   active:  root ▶ ● ──────▶ ● ──────▶ ◉
//!             ├─ data* ─▶ ◉               carried:        ◉ ──────▶ ◉ ──────▶ ◉
//!             └┄ ** ┄┄┄┄▶ ◉
//! ```
//!
//! Routes share the nodes of a common beginning. A node that is not behind a `**` has one way in,
//! so it is active at most once a step. A `**` is entered without a segment and, since it takes
//! any, never left again: such nodes stay in a separate list until the path ends. A request
//! therefore costs its segments × the nodes active, each a search that is logarithmic in the node's
//! literals and globs. Walking neither recurses nor allocates.
//!
//! Ordered maps rather than hash maps: no seed to get from the host, and the same walk every time.

use std::collections::BTreeMap;
use std::mem;

use super::wildcard::glob_fits;
use super::{PathBuffer, Route, Segment};

/// A route's number in the one table that gave it: 0 for the first, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(usize);

impl RouteId {
    /// The number, for tables parallel to this one.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// Routes compiled for matching; does not change any more.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// By their ids, as the policy has them first.
    written: Vec<Box<str>>,
    /// [`ROOT`] first; never empty.
    nodes: Vec<Node>,
}

/// Collects routes for a [`RouteTable`].
#[derive(Debug, Default)]
pub struct RouteTableBuilder {
    ids: BTreeMap<Route, RouteId>,
    /// By their ids.
    routes: Vec<Route>,
    /// By their ids.
    written: Vec<Box<str>>,
}

/// The matches of a request; used again for the next one, so that nothing is allocated.
///
/// Belongs to no table: it may go from one to the other, as at a reload.
#[derive(Debug, Default)]
pub struct Matches {
    ids: Vec<RouteId>,
    /// Reached with the segments so far, not by a `**`.
    active: Vec<NodeId>,
    next: Vec<NodeId>,
    /// Reached by a `**` at this segment or before.
    carried: Vec<NodeId>,
    /// By node: is it in `carried`? All `false` between walks.
    is_carried: Vec<bool>,
    /// Nodes walked from and globs tried by the last walk.
    #[cfg(test)]
    pub(super) visits: usize,
}

type NodeId = usize;

const ROOT: NodeId = 0;

#[derive(Debug, Default)]
struct Node {
    literals: BTreeMap<Box<[u8]>, NodeId>,
    globs: Globs,
    /// `*` and `{name}`.
    any: Option<NodeId>,
    /// `**`.
    rest: Option<NodeId>,
    /// The routes that end here.
    ends: Vec<RouteId>,
}

/// The globs of one node, by the lengths of their texts before the first `*` and after the last.
///
/// One look at each pair of lengths in use finds the few globs that can fit, so a thousand
/// `data…*` or `*.…` cost no more than one.
#[derive(Debug, Default)]
struct Globs(BTreeMap<(usize, usize), Vec<Glob>>);

#[derive(Debug)]
struct Glob {
    text: Box<[u8]>,
    /// Before the first `*`, and after the last.
    ends: (Box<[u8]>, Box<[u8]>),
    to: NodeId,
}

impl RouteTable {
    /// An empty table to add routes to.
    #[must_use]
    pub fn builder() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// Fills `out` with the routes that match, and replaces its content.
    pub fn matches(&self, method: &[u8], path: &PathBuffer, out: &mut Matches) {
        out.start(self.nodes.len());
        self.enter(ROOT, out);
        for segment in path.segments() {
            // A `**` that this segment leads to must not take this segment.
            let carried = out.carried.len();
            mem::swap(&mut out.active, &mut out.next);
            out.next.clear();
            if carried == 0 && out.active.is_empty() {
                break;
            }
            for index in 0..out.active.len() {
                self.follow(out.active.get(index).copied(), segment, out);
            }
            for index in 0..carried {
                self.follow(out.carried.get(index).copied(), segment, out);
            }
        }
        let reached = out
            .next
            .iter()
            .chain(&out.carried)
            .filter_map(|&id| self.nodes.get(id));
        let ended = reached.flat_map(|node| &node.ends);
        let admits = |id: &&RouteId| {
            self.route(**id)
                .is_some_and(|route| route.methods.admit(method))
        };
        out.ids.extend(ended.filter(admits));
        // Each route ends at one node, and each node was reached once: there is nothing twice.
        out.ids.sort_unstable();
        debug_assert!(out.ids.is_sorted_by(|a, b| a < b), "a route matches once");
    }

    /// The route behind `id`; `None` if the id is from another, larger table.
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0)
    }

    /// The route behind `id` as the policy has it; empty if the id is from another, larger table.
    #[must_use]
    pub fn written(&self, id: RouteId) -> &str {
        self.written.get(id.0).map_or("", |text| text)
    }

    /// The segment that `{name}` of a route captures in a path: see [`Route::capture`].
    #[must_use]
    pub fn capture<'path>(
        &self,
        id: RouteId,
        name: &str,
        path: &'path PathBuffer,
    ) -> Option<&'path [u8]> {
        self.route(id)?.capture(name, path)
    }

    /// How many different routes there are; ids are below it.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// Everything that `segment` leads to from one node.
    fn follow(&self, from: Option<NodeId>, segment: &[u8], out: &mut Matches) {
        let Some(node) = from.and_then(|id| self.nodes.get(id)) else {
            return;
        };
        out.visit();
        if let Some(&to) = node.literals.get(segment) {
            self.enter(to, out);
        }
        if let Some(to) = node.any {
            self.enter(to, out);
        }
        for glob in node.globs.candidates(segment) {
            out.visit();
            if glob_fits(&glob.text, segment) {
                self.enter(glob.to, out);
            }
        }
    }

    fn enter(&self, id: NodeId, out: &mut Matches) {
        out.next.push(id);
        let Some(rest) = self.nodes.get(id).and_then(|node| node.rest) else {
            return;
        };
        if let Some(is_carried) = out.is_carried.get_mut(rest)
            && !mem::replace(is_carried, true)
        {
            out.carried.push(rest);
        }
    }
}

impl RouteTableBuilder {
    /// Adds a route, or finds the very same one that was added before.
    ///
    /// Names of captures count: `/{a}` and `/{b}` are two routes.
    /// `text` is how the policy has it.
    pub fn add(&mut self, route: Route, text: &str) -> RouteId {
        let Self {
            ids,
            routes,
            written,
        } = self;
        *ids.entry(route).or_insert_with_key(|route| {
            routes.push(route.clone());
            written.push(text.into());
            RouteId(routes.len().saturating_sub(1))
        })
    }

    /// Compiles the routes.
    #[must_use]
    pub fn build(self) -> RouteTable {
        let mut nodes = vec![Node::default()];
        for (index, route) in self.routes.iter().enumerate() {
            let mut at = ROOT;
            let mut before = None;
            for segment in &route.segments {
                // `**/**` is `**`; without this a carried node could lead to a carried node.
                if (segment, before) != (&Segment::Rest, Some(&Segment::Rest)) {
                    at = child(&mut nodes, at, segment);
                }
                before = Some(segment);
            }
            if let Some(node) = nodes.get_mut(at) {
                node.ends.push(RouteId(index));
            }
        }
        RouteTable {
            routes: self.routes,
            written: self.written,
            nodes,
        }
    }
}

/// The node that `segment` leads to, made if it is not there yet.
fn child(nodes: &mut Vec<Node>, at: NodeId, segment: &Segment) -> NodeId {
    let fresh = nodes.len();
    let Some(node) = nodes.get_mut(at) else {
        return at;
    };
    let to = match segment {
        Segment::Literal(text) => *node.literals.entry(text.as_bytes().into()).or_insert(fresh),
        Segment::Glob(text) => node.globs.child(text.as_bytes(), fresh),
        Segment::Any | Segment::Capture(_) => *node.any.get_or_insert(fresh),
        Segment::Rest => *node.rest.get_or_insert(fresh),
    };
    if to == fresh {
        nodes.push(Node::default());
    }
    to
}

impl Globs {
    /// The node to which `text` leads; `fresh` if it is new.
    fn child(&mut self, text: &[u8], fresh: NodeId) -> NodeId {
        let mut parts = text.split(|&byte| byte == b'*');
        let ends: (Box<[u8]>, Box<[u8]>) = (
            parts.next().unwrap_or_default().into(),
            parts.next_back().unwrap_or_default().into(),
        );
        let globs = self.0.entry((ends.0.len(), ends.1.len())).or_default();
        let place = globs
            .binary_search_by(|glob| glob.ends.cmp(&ends).then_with(|| (*glob.text).cmp(text)));
        match place {
            Ok(found) => globs.get(found).map_or(fresh, |glob| glob.to),
            Err(gap) => {
                globs.insert(
                    gap,
                    Glob {
                        text: text.into(),
                        ends,
                        to: fresh,
                    },
                );
                fresh
            }
        }
    }

    /// The globs that begin and end as `segment` does.
    fn candidates(&self, segment: &[u8]) -> impl Iterator<Item = &Glob> {
        self.0.iter().flat_map(move |(&(head, tail), globs)| {
            let ends = segment.get(..head).zip(
                segment
                    .len()
                    .checked_sub(tail)
                    .and_then(|start| segment.get(start..)),
            );
            let first = ends.map_or(globs.len(), |ends| {
                globs.partition_point(|glob| glob.ends() < ends)
            });
            let globs = globs.get(first..).unwrap_or_default();
            globs
                .iter()
                .take_while(move |glob| Some(glob.ends()) == ends)
        })
    }
}

impl Glob {
    fn ends(&self) -> (&[u8], &[u8]) {
        (&self.ends.0, &self.ends.1)
    }
}

impl Matches {
    /// Nothing matched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The routes that matched, in order, each once.
    #[must_use]
    pub fn ids(&self) -> &[RouteId] {
        &self.ids
    }

    /// Whether `id` matched.
    #[must_use]
    pub fn contains(&self, id: RouteId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Counts the work, for tests alone.
    fn visit(&mut self) {
        #[cfg(test)]
        {
            self.visits = self.visits.saturating_add(1);
        }
    }

    fn start(&mut self, nodes: usize) {
        for id in self.carried.drain(..) {
            if let Some(is_carried) = self.is_carried.get_mut(id) {
                *is_carried = false;
            }
        }
        if self.is_carried.len() < nodes {
            self.is_carried.resize(nodes, false);
        }
        self.ids.clear();
        self.active.clear();
        self.next.clear();
        #[cfg(test)]
        {
            self.visits = 0;
        }
    }
}
