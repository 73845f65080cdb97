//! The slow and obvious oracle: a valid body as a tree, with duplicates, and the offset of each
//! value.

use std::collections::BTreeSet;

/// A value and the range of its bytes.
#[derive(Debug)]
pub(super) struct Tree {
    start: usize,
    end: usize,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Scalar,
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Parses a valid body.
    pub(super) fn parse(body: &[u8]) -> Self {
        Parser { body, at: 0 }.value()
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.end - self.start) as u64
    }

    fn children(&self) -> Vec<&Self> {
        match &self.node {
            Node::Scalar | Node::Text(_) => vec![],
            Node::Array(items) => items.iter().collect(),
            Node::Object(members) => members.iter().map(|(_, value)| value).collect(),
        }
    }

    /// The value and all values in it.
    pub(super) fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        all.extend(self.children().into_iter().flat_map(Self::all));
        all
    }

    /// All values at the path of these names and indexes.
    pub(super) fn at(&self, steps: &[&str]) -> Vec<&Self> {
        let [step, steps @ ..] = steps else {
            return vec![self];
        };
        let next: Vec<&Self> = match &self.node {
            Node::Scalar | Node::Text(_) => vec![],
            Node::Array(items) => items
                .iter()
                .enumerate()
                .filter(|(index, _)| index.to_string() == *step)
                .map(|(_, item)| item)
                .collect(),
            Node::Object(members) => members
                .iter()
                .filter(|(name, _)| name == step)
                .map(|(_, value)| value)
                .collect(),
        };
        next.into_iter().flat_map(|value| value.at(steps)).collect()
    }

    pub(super) fn depth(&self) -> u64 {
        let inner = self
            .children()
            .into_iter()
            .map(Self::depth)
            .max()
            .unwrap_or(0);
        inner + u64::from(matches!(self.node, Node::Array(_) | Node::Object(_)))
    }

    fn is_match(&self, conditions: &[(&str, &str)]) -> bool {
        let Node::Object(members) = &self.node else {
            return false;
        };
        conditions.iter().all(|(name, text)| {
            members.iter().any(|(has, value)| {
                has == name && matches!(&value.node, Node::Text(said) if said == text)
            })
        })
    }

    /// The number of matching objects within this value.
    pub(super) fn matches_below(&self, conditions: &[(&str, &str)]) -> u64 {
        self.all()
            .into_iter()
            .skip(1)
            .filter(|value| value.is_match(conditions))
            .count() as u64
    }

    /// How deeply these nest.
    pub(super) fn nested_below(&self, conditions: &[(&str, &str)]) -> u64 {
        self.children()
            .into_iter()
            .map(|value| value.nested_below(conditions) + u64::from(value.is_match(conditions)))
            .max()
            .unwrap_or(0)
    }

    pub(super) fn items(&self) -> Option<u64> {
        if let Node::Array(items) = &self.node {
            Some(items.len() as u64)
        } else {
            None
        }
    }

    pub(super) fn names(&self) -> Option<Vec<&str>> {
        let Node::Object(members) = &self.node else {
            return None;
        };
        Some(members.iter().map(|(name, _)| name.as_str()).collect())
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Node::Text(text) = &self.node {
            Some(text)
        } else {
            None
        }
    }

    pub(super) fn has_duplicates(&self) -> bool {
        self.all()
            .into_iter()
            .filter_map(Self::names)
            .any(|names| names.iter().collect::<BTreeSet<_>>().len() < names.len())
    }
}

struct Parser<'b> {
    body: &'b [u8],
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Tree {
        self.skip(b" \n\r\t");
        let start = self.at;
        let node = match self.body[start] {
            b'[' => Node::Array(self.list(b']', Self::value)),
            b'{' => Node::Object(self.list(b'}', |parser| (parser.name(), parser.value()))),
            b'"' => Node::Text(self.text()),
            _ => {
                self.skip(b"truefalsn-+.E0123456789");
                Node::Scalar
            }
        };
        Tree {
            start,
            end: self.at,
            node,
        }
    }

    fn list<T>(&mut self, end: u8, entry: impl Fn(&mut Self) -> T) -> Vec<T> {
        let mut entries = Vec::new();
        self.at += 1;
        self.skip(b" \n\r\t,");
        while self.body[self.at] != end {
            entries.push(entry(self));
            self.skip(b" \n\r\t,");
        }
        self.at += 1;
        entries
    }

    fn text(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while self.body[self.at] != b'"' {
            self.at += if self.body[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_slice(&self.body[start..self.at]).unwrap()
    }

    fn name(&mut self) -> String {
        let name = self.text();
        self.skip(b" \n\r\t:");
        name
    }

    fn skip(&mut self, bytes: &[u8]) {
        while self
            .body
            .get(self.at)
            .is_some_and(|byte| bytes.contains(byte))
        {
            self.at += 1;
        }
    }
}
