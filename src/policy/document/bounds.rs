//! How much of a document is read before it is refused.

use super::{Entry, Rule};
use crate::base::pointer::Pointer;
use std::collections::HashSet;

/// Most lists and maps inside one another.
pub const DEPTH_MAX: usize = 32;
/// Most values in one document, lists and maps included, each alias counted as all that it expands
/// to.
pub const NODES_MAX: usize = 8_000_000;
/// Most values that YAML's anchors and aliases make copies of: far fewer, as no caller has to write
/// them.
pub const COPIES_MAX: usize = 1_000_000;
/// Most bytes of a document, and most bytes of text in its tree.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The bounds that are left to a document.
pub(super) struct Budget {
    nodes: usize,
    text: usize,
}

impl Budget {
    /// The budget of a document that has `bytes`.
    pub(super) fn of(bytes: usize) -> Result<Self, Rule> {
        if bytes > DOCUMENT_BYTES_MAX {
            return Err(Rule::TooLarge);
        }
        Ok(Self {
            nodes: NODES_MAX,
            text: DOCUMENT_BYTES_MAX,
        })
    }

    /// Takes the part that `nodes` values with `text` bytes of text need.
    pub(super) fn take(&mut self, nodes: usize, text: usize) -> Result<(), Rule> {
        self.nodes = self.nodes.checked_sub(nodes).ok_or(Rule::TooManyNodes)?;
        self.text = self.text.checked_sub(text).ok_or(Rule::TooLarge)?;
        Ok(())
    }
}

/// Whether `at` may contain lists and maps `height` deep.
pub(super) fn check_depth(at: &Pointer<'_>, height: usize) -> Result<(), Rule> {
    if at.depth().saturating_add(height) > DEPTH_MAX {
        Err(Rule::TooDeep)
    } else {
        Ok(())
    }
}

/// The first entry with the key of an earlier one.
pub(super) fn repeated(entries: &[Entry]) -> Option<&Entry> {
    const FEW: usize = 16;
    if entries.len() <= FEW {
        // The usual map: comparing all pairs is cheaper than a table.
        let mut entries_with_rank = entries.iter().enumerate();
        return entries_with_rank
            .find(|(rank, entry)| {
                entries
                    .iter()
                    .take(*rank)
                    .any(|before| before.key == entry.key)
            })
            .map(|(_, entry)| entry);
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().find(|entry| !seen.insert(&entry.key))
}
