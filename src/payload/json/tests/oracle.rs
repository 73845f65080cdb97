//! An obvious measure of a whole document that is JSON, by recursion.

use std::collections::HashSet;

use super::super::{Bound, JsonPath, JsonRules};

/// A value with its bytes, and the way to it.
struct Value {
    way: Vec<String>,
    bytes: u64,
    kind: Kind,
}

enum Kind {
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
    Other,
}

pub(super) struct Document(Value);

pub(super) fn measure(document: &str) -> Document {
    let mut rest = document;
    Document(read(&mut rest, Vec::new()))
}

/// Reads one value from the beginning of `rest`.
fn read(rest: &mut &str, way: Vec<String>) -> Value {
    *rest = rest.trim_start();
    let all = *rest;
    let within = |step: String| [way.clone(), vec![step]].concat();
    let kind = match all.as_bytes()[0] {
        b'"' => Kind::Text(text(rest)),
        b'[' => {
            let mut items = Vec::new();
            while next(rest, "[,") {
                items.push(read(rest, within(items.len().to_string())));
            }
            Kind::Array(items)
        }
        b'{' => {
            let mut members = Vec::new();
            while next(rest, "{,") {
                *rest = rest.trim_start();
                let name = text(rest);
                *rest = rest.trim_start().strip_prefix(':').unwrap();
                members.push((name.clone(), read(rest, within(name))));
            }
            Kind::Object(members)
        }
        _ => {
            let end = rest.find([',', ']', '}', ' ', '\n']).unwrap_or(rest.len());
            *rest = &rest[end..];
            Kind::Other
        }
    };
    Value { way, bytes: (all.len() - rest.len()) as u64, kind }
}

/// Goes behind the opening bracket or a comma if an element follows; behind the closing bracket otherwise.
fn next(rest: &mut &str, separators: &str) -> bool {
    *rest = rest.trim_start();
    let separator = rest.starts_with(|one| separators.contains(one));
    *rest = rest[1..].trim_start();
    let empty = separator && rest.starts_with([']', '}']);
    if empty {
        *rest = &rest[1..];
    }
    separator && !empty
}

fn text(rest: &mut &str) -> String {
    let mut end = 1;
    while rest.as_bytes()[end] != b'"' {
        end += if rest.as_bytes()[end] == b'\\' { 2 } else { 1 };
    }
    let (text, behind) = rest.split_at(end + 1);
    *rest = behind;
    serde_json::from_str(text).unwrap()
}

impl Value {
    fn children(&self) -> Vec<&Value> {
        match &self.kind {
            Kind::Array(items) => items.iter().collect(),
            Kind::Object(members) => members.iter().map(|(_, value)| value).collect(),
            Kind::Text(_) | Kind::Other => Vec::new(),
        }
    }

    fn all(&self) -> Vec<&Value> {
        let mut all = vec![self];
        self.children().iter().for_each(|child| all.extend(child.all()));
        all
    }

    fn depth(&self) -> u32 {
        let within = self.children().iter().map(|child| child.depth()).max().unwrap_or(0);
        within + u32::from(matches!(self.kind, Kind::Array(_) | Kind::Object(_)))
    }

    fn is_at(&self, path: &JsonPath) -> bool {
        self.way.iter().map(String::as_str).eq(path.tokens().iter().map(|token| &**token))
    }

    fn is_below(&self, path: &JsonPath) -> bool {
        let tokens = path.tokens();
        self.way.len() > tokens.len() && self.way.iter().zip(tokens).all(|(step, token)| **step == **token)
    }

    fn matches(&self, rules: &JsonRules) -> bool {
        let Kind::Object(members) = &self.kind else { return false };
        let has = |name: &str, wanted: &str| {
            members.iter().any(|(own, value)| own == name && matches!(&value.kind, Kind::Text(text) if text == wanted))
        };
        let rule = rules.objects.as_ref().unwrap();
        self.is_below(&rule.below) && rule.conditions.iter().all(|(name, wanted)| has(name, wanted))
    }

    /// Matching objects in the tallest chain from here on.
    fn chain(&self, rules: &JsonRules) -> u32 {
        let within = self.children().iter().map(|child| child.chain(rules)).max().unwrap_or(0);
        within + u32::from(self.matches(rules))
    }
}

impl Document {
    /// All bounds that the document breaks.
    pub(super) fn broken(&self, rules: &JsonRules) -> Vec<Bound> {
        let all = self.0.all();
        let mut broken = Vec::new();
        let mut note = |bound, is_broken| {
            if is_broken {
                broken.push(bound);
            }
        };
        let over = |max: Option<u64>, size: usize| max.is_some_and(|max| size as u64 > max);
        note(Bound::Depth, self.0.depth() > rules.depth);
        if let Some(rule) = &rules.value {
            note(Bound::ValueBytes, all.iter().any(|value| value.is_at(&rule.at) && value.bytes > rule.bytes));
        }
        if let Some(rule) = &rules.objects {
            note(Bound::ObjectCount, over(rule.count, all.iter().filter(|value| value.matches(rules)).count()));
            note(Bound::ObjectDepth, rule.depth.is_some_and(|max| self.0.chain(rules) > max));
        }
        for value in all {
            match &value.kind {
                Kind::Text(text) => note(Bound::StringBytes, over(rules.string_bytes, text.len())),
                Kind::Array(items) => note(Bound::ArrayItems, over(rules.array_items, items.len())),
                Kind::Object(members) => {
                    note(Bound::Members, over(rules.members, members.len()));
                    note(Bound::NameBytes, members.iter().any(|(name, _)| over(rules.name_bytes, name.len())));
                    let unique: HashSet<&String> = members.iter().map(|(name, _)| name).collect();
                    note(Bound::DuplicateNames, rules.refuse_duplicate_names && unique.len() < members.len());
                }
                Kind::Other => {}
            }
        }
        broken
    }

    /// Items of all arrays at a path.
    pub(super) fn items(&self, at: &JsonPath) -> Option<u64> {
        let count = |value: &&Value| {
            let Kind::Array(items) = &value.kind else { return None };
            value.is_at(at).then_some(items.len() as u64)
        };
        self.0.all().iter().filter_map(count).reduce(|one, other| one + other)
    }
}
