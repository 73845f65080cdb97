//! Anchors and aliases, within bounds: nine lines of aliases of aliases can expand to a billion
//! values.

use super::{Budget, Entry, Node, Pointer, Rule, Value, check_depth};
use crate::policy::document::COPIES_MAX;
use crate::policy::document::error::in_directory;
use std::collections::HashMap;

/// The complete values that have an anchor, by the parser's number for it.
pub(super) struct Anchors {
    complete: HashMap<usize, Anchored>,
    copies_left: usize,
}

struct Anchored {
    node: Node,
    size: Size,
    in_directory: bool,
}

impl Default for Anchors {
    fn default() -> Self {
        Self {
            complete: HashMap::new(),
            copies_left: COPIES_MAX,
        }
    }
}

impl Anchors {
    /// Keeps a copy of the value that has the anchor, at `at`.
    pub(super) fn keep(
        &mut self,
        anchor: usize,
        node: &Node,
        at: &Pointer<'_>,
        budget: &mut Budget,
    ) -> Result<(), Rule> {
        let size = Size::of(node);
        pay(size, &mut self.copies_left, budget)?;
        self.complete.insert(
            anchor,
            Anchored {
                node: node.clone(),
                size,
                in_directory: in_directory(at),
            },
        );
        Ok(())
    }

    /// A copy, for `at`, of the value that has the anchor. An alias within its own anchor has no
    /// value yet.
    pub(super) fn copy(
        &mut self,
        anchor: usize,
        at: &Pointer<'_>,
        budget: &mut Budget,
    ) -> Result<Node, Rule> {
        let anchored = self.complete.get(&anchor).ok_or(Rule::UnknownAlias)?;
        if anchored.in_directory != in_directory(at) {
            return Err(Rule::AliasAcrossDirectory);
        }
        check_depth(at, anchored.size.height)?;
        pay(anchored.size, &mut self.copies_left, budget)?;
        Ok(anchored.node.clone())
    }
}

fn pay(size: Size, copies_left: &mut usize, budget: &mut Budget) -> Result<(), Rule> {
    *copies_left = copies_left
        .checked_sub(size.nodes)
        .ok_or(Rule::TooManyCopies)?;
    budget.take(size.nodes, size.text)
}

/// The part of the bounds that a tree takes.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    text: usize,
    /// Lists and maps inside one another.
    height: usize,
}

impl Size {
    fn of(node: &Node) -> Size {
        match &node.value {
            Value::Null | Value::Bool(_) => Size {
                nodes: 1,
                text: 0,
                height: 0,
            },
            Value::Number(text) | Value::String(text) => Size {
                nodes: 1,
                text: text.len(),
                height: 0,
            },
            Value::List(items) => items.iter().map(Size::of).fold(Size::EMPTY, Size::and),
            Value::Map(entries) => entries
                .iter()
                .map(Size::of_entry)
                .fold(Size::EMPTY, Size::and),
        }
    }

    /// A list or map without anything in it.
    const EMPTY: Size = Size {
        nodes: 1,
        text: 0,
        height: 1,
    };

    fn of_entry(entry: &Entry) -> Size {
        let value = Size::of(&entry.value);
        Size {
            text: value.text.saturating_add(entry.key.len()),
            ..value
        }
    }

    fn and(self, inner: Size) -> Size {
        Size {
            nodes: self.nodes.saturating_add(inner.nodes),
            text: self.text.saturating_add(inner.text),
            height: self.height.max(inner.height.saturating_add(1)),
        }
    }
}
