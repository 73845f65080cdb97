//! Warnings about valid parts that may not mean what the author intended: values that no caller
//! has, and attributes on routes where callers are not identified.
//!
//! The policy is checked already. This walks the document again, for the lines and for parts that
//! the compiled policy does not keep, because the filter has no use for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::asked::{Asked, Reach};
use super::values::Values;
use crate::policy::attributes::{AttributeId, Attributes, NO_CREDENTIAL};
use crate::policy::callers::{Place, Source};
use crate::policy::document::{Node, Value};
use crate::policy::error::{Quoted, Shown};
use crate::policy::{Policy, language};

/// One of them.
pub(in crate::cli) struct Warning {
    pub(in crate::cli) line: u32,
    pub(in crate::cli) at: String,
    pub(in crate::cli) text: String,
}

impl Warning {
    /// About the value at this pointer, of which every step is a plain key or an index.
    pub(super) fn at(document: &Node, at: &str, text: String) -> Self {
        let mut node = document;
        for step in at.split('/').skip(1) {
            let below = match &node.value {
                Value::List(nodes) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| nodes.get(index)),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Map(_) => node.at(step),
            };
            node = below.unwrap_or(node);
        }
        Self {
            line: node.line,
            at: at.to_owned(),
            text,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(&self.at), self.text)
    }
}

/// All warnings about the callers of a checked policy, in the order of their lines.
pub(super) fn callers(document: &Node, policy: &Policy) -> Vec<Warning> {
    let mut walk = Walk {
        policy,
        asked: Asked::of(document),
        values: BTreeMap::new(),
        entries: document
            .at("callers")
            .and_then(|callers| callers.at("directory"))
            .is_some(),
        found: Vec::new(),
    };
    for kind in language::Policy::KINDS {
        for (at, node) in document
            .at(kind)
            .into_iter()
            .flat_map(|list| items(list, format!("/{kind}")))
        {
            walk.limit(&at, node);
        }
    }
    for (key, never) in [
        ("exempt", "this exemption never applies"),
        ("deny", "this denial never applies"),
    ] {
        for (at, node) in document
            .at(key)
            .into_iter()
            .flat_map(|list| items(list, format!("/{key}")))
        {
            let reach = walk.asked.reach(node);
            walk.selector(&at, node, reach, never);
        }
    }
    walk.found.sort_by_key(|warning| warning.line);
    walk.found
}

/// The effect for a limit that no caller is under.
const NEVER: &str = "this limit never applies";

struct Walk<'p> {
    policy: &'p Policy,
    asked: Asked,
    /// The values that an attribute can have.
    values: BTreeMap<AttributeId, Values<'p>>,
    /// Whether the policy has a directory.
    entries: bool,
    found: Vec<Warning>,
}

/// The elements of a list, each with its pointer.
pub(super) fn items(list: &Node, at: String) -> impl Iterator<Item = (String, &Node)> {
    let nodes: &[Node] = if let Value::List(nodes) = &list.value {
        nodes
    } else {
        &[]
    };
    nodes
        .iter()
        .enumerate()
        .map(move |(index, node)| (format!("{at}/{index}"), node))
}

impl<'p> Walk<'p> {
    fn warn(&mut self, line: u32, at: String, text: String) {
        self.found.push(Warning { line, at, text });
    }

    /// A limit of any kind.
    fn limit(&mut self, at: &str, node: &Node) {
        let selector = node.at("for");
        let reach = selector.map_or_else(
            || self.asked.everywhere(),
            |selector| self.asked.reach(selector),
        );
        let selects = selector
            .is_some_and(|selector| self.selector(&format!("{at}/for"), selector, reach, NEVER));
        for (at, one) in node
            .at("overrides")
            .into_iter()
            .flat_map(|list| items(list, format!("{at}/overrides")))
        {
            if let Some(selector) = one.at("for") {
                self.selector(
                    &format!("{at}/for"),
                    selector,
                    reach,
                    "this override never applies",
                );
            }
        }
        let holder = node
            .at("holder")
            .and_then(|holder| Some((holder, self.identity(holder.text()?)?)));
        if let (Some((holder, name)), Reach::Outside) = (&holder, reach) {
            self.warn(holder.line, format!("{at}/holder"), outside(name, NEVER));
        }
        let skips = node.at("absent").and_then(Node::text) == Some("skip");
        let verb = match reach {
            Reach::Inside => return,
            // That is said already.
            Reach::Outside if selects || holder.is_some() => return,
            Reach::Outside if skips => NEVER,
            Reach::Outside => "all of its requests share one counter",
            // A caller without an attribute that is selected by, or without the holder, is not
            // counted.
            Reach::Partly if skips || selects || holder.is_some() => return,
            Reach::Partly => {
                "such requests share one counter; give this limit `for: { routes: […] }` within \
                 `callers.for`, or other attributes in `per`"
            }
        };
        for (at, part) in node
            .at("per")
            .into_iter()
            .flat_map(|list| items(list, format!("{at}/per")))
        {
            let Some(name) = part.text().and_then(|name| self.identity(name)) else {
                continue;
            };
            let text = match reach {
                Reach::Partly => format!(
                    "this limit also counts requests outside of `callers.for`, where no request \
                     has {}: {verb}",
                    Quoted(&name)
                ),
                Reach::Inside | Reach::Outside => outside(&name, verb),
            };
            self.warn(part.line, at, text);
        }
    }

    /// The attributes by which something selects; whether one is known only of identified callers.
    fn selector(&mut self, at: &str, node: &Node, reach: Reach, never: &str) -> bool {
        let Value::Map(entries) = &node.value else {
            return false;
        };
        let mut selects = false;
        for entry in entries
            .iter()
            .filter(|entry| !["tier", "routes", "client_address"].contains(&&*entry.key))
        {
            let at = format!("{at}/{}", entry.key);
            let matches_none = entry.value.texts().contains(NO_CREDENTIAL);
            if let Some(name) = self.identity(&entry.key).filter(|_| !matches_none) {
                selects = true;
                if reach == Reach::Outside {
                    self.warn(entry.line, at, outside(&name, never));
                    continue;
                }
            }
            match &entry.value.value {
                Value::List(_) => {
                    for (at, value) in items(&entry.value, at) {
                        self.value(&entry.key, &at, value);
                    }
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Map(_) => {
                    self.value(&entry.key, &at, &entry.value);
                }
            }
        }
        selects
    }

    /// A value that an attribute must have.
    fn value(&mut self, name: &str, at: &str, node: &Node) {
        let (Some(id), Some(value)) = (self.policy.attributes.find(name), node.text()) else {
            return;
        };
        let (policy, entries) = (self.policy, self.entries);
        if id == Attributes::CREDENTIAL && !entries && is_looked_up(policy, value) {
            let text = format!(
                "no secret of {} is ever accepted: the policy has no directory",
                Quoted(value)
            );
            self.warn(node.line, at.to_owned(), text);
            return;
        }
        let known = self
            .values
            .entry(id)
            .or_insert_with(|| Values::of(policy, id, entries));
        if let Some(why) = known.refuse(name, value) {
            let text = format!("no caller has {name} {}: {why}", Quoted(value));
            self.warn(node.line, at.to_owned(), text);
        }
    }

    /// The name, if only an identified caller can have the attribute.
    fn identity(&self, name: &str) -> Option<String> {
        let id = self.policy.attributes.find(name)?;
        let all = &self.policy.callers.sources;
        let sources = all.iter().find(|(known, _)| *known == id);
        let has_others = sources.is_some_and(|(_, sources)| {
            sources
                .iter()
                .any(|source| !matches!(source, Source::Directory(_)))
        });
        (!has_others).then(|| name.to_owned())
    }
}

/// Whether each credential of this name is looked up in the directory.
fn is_looked_up(policy: &Policy, name: &str) -> bool {
    let credentials = policy.callers.credentials.iter();
    let mut named = credentials
        .filter(|credential| *credential.name == *name)
        .peekable();
    named.peek().is_some()
        && named.all(|credential| !matches!(credential.place, Place::Metadata(_)))
}

fn outside(name: &str, so: &str) -> String {
    format!(
        "callers are not identified on its routes (`callers.for`), and no request there \
         has {}: {so}",
        Quoted(name)
    )
}

impl Node {
    /// The value under a key of this map.
    pub(super) fn at(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries
            .iter()
            .find(|entry| *entry.key == *key)
            .map(|entry| &entry.value)
    }

    /// The text that this is.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::String(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }

    /// The texts in this list, or the one that this is.
    pub(super) fn texts(&self) -> BTreeSet<&str> {
        match &self.value {
            Value::List(nodes) => nodes.iter().filter_map(Self::text).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
                self.text().into_iter().collect()
            }
        }
    }
}
