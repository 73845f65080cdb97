//! Counts while a body is read. Each event of the grammar arrives here with the byte that proves
//! it.
//!
//! The work of every token is a few comparisons with plain fields, and always inlined: calls would
//! add a tenth to the cost. Paths and matches are separate, since few tokens need them.

use std::sync::Arc;

use super::breach::{Breach, Stop};
use super::cursors::{Cursors, Role};
use super::names::Names;
use super::rules::{DEPTH_MAX, DuplicateNames, JsonRules};

mod strings;

use self::strings::OpenText;
pub(super) use self::strings::Use;

#[derive(Clone, Debug)]
pub(super) struct Measures {
    rules: Arc<JsonRules>,
    cursors: Cursors,
    /// The innermost open array or object.
    top: Frame,
    /// The frames that contain it, the body itself first.
    outer: Vec<Frame>,
    depth_max: usize,
    /// In these four, the largest number means no bound.
    items_max: u64,
    members_max: u64,
    string_bytes_max: u64,
    name_bytes_max: u64,
    /// All conditions, one bit each.
    conditions: u16,
    text: OpenText,
    /// The conditions, one bit each, that have the name of the current member.
    named: u16,
    /// The first byte that makes the measured value too long; the largest number if no such value
    /// is open.
    value_end_max: u64,
    /// The depth below which objects count; the largest number if none do.
    counted_below: usize,
    matches: Matches,
    names: Option<Names>,
    items: Option<u64>,
}

/// An open array or object.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The number of items or members begun.
    entries: u64,
    /// The most nested matching objects that have ended in it.
    deepest: u16,
    /// The conditions that it meets, one bit each.
    met: u16,
    kind: Kind,
    /// Whether it is known to match.
    is_match: bool,
}
const _: () = assert!(DEPTH_MAX < u16::MAX as u32, "a chain has as many");
const _: () = assert!(size_of::<Frame>() == 16, "as the documentation says");

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The body itself.
    Body,
    /// `[`
    Array,
    /// `{`
    Object,
}

/// Counts the objects that match.
#[derive(Clone, Copy, Debug)]
struct Matches {
    /// The number of objects known to match.
    count: u64,
    /// The number of those that are open.
    open: u16,
}

impl Measures {
    pub(super) fn new(rules: Arc<JsonRules>, seed: u64) -> Self {
        let cursors = Cursors::new(&rules);
        let depth_max = usize::try_from(rules.depth.min(DEPTH_MAX)).unwrap_or_default();
        let names = match rules.duplicate_names {
            DuplicateNames::Allow => None,
            DuplicateNames::Refuse => Some(Names::new(seed)),
        };
        let conditions = rules
            .objects
            .as_ref()
            .map_or(0, |rule| rule.conditions.len());
        Self {
            cursors,
            top: Frame::new(Kind::Body),
            outer: Vec::new(),
            depth_max,
            items_max: rules.array_items.unwrap_or(u64::MAX),
            members_max: rules.members.unwrap_or(u64::MAX),
            string_bytes_max: rules.string_bytes.unwrap_or(u64::MAX),
            name_bytes_max: rules.name_bytes.unwrap_or(u64::MAX),
            conditions: !(u16::MAX << conditions),
            rules,
            text: OpenText::new(0),
            named: 0,
            value_end_max: u64::MAX,
            counted_below: usize::MAX,
            matches: Matches { count: 0, open: 0 },
            names,
            items: None,
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.top.kind
    }

    /// The items of the array that the rules name.
    pub(super) const fn items(&self) -> Option<u64> {
        self.items
    }

    /// The same, including those of an open array.
    pub(super) fn items_so_far(&self) -> Option<u64> {
        let frames = self.outer.iter().chain([&self.top]).enumerate();
        let open = frames.filter(|(depth, frame)| {
            frame.kind == Kind::Array && self.cursors.is_at(Role::Items, depth.saturating_sub(1))
        });
        let open = open
            .map(|(_, frame)| frame.entries)
            .reduce(u64::saturating_add);
        open.map(|open| open.saturating_add(self.items.unwrap_or_default()))
            .or(self.items)
    }

    /// The breach of the measured value if it has too many bytes before `end`.
    pub(super) fn overlong(&self, end: u64) -> Option<Stop> {
        let rule = self
            .rules
            .value
            .as_ref()
            .filter(|_| end > self.value_end_max)?;
        Some(Breach::ValueBytes { limit: rule.bytes }.at(self.value_end_max))
    }

    /// A value begins at `at`.
    #[inline(always)]
    pub(super) fn begin_value(&mut self, at: u64) -> Result<(), Stop> {
        if self.top.kind == Kind::Array {
            if self.top.entries >= self.items_max {
                return Err(Breach::ArrayItems {
                    limit: self.items_max,
                }
                .at(at));
            }
            if self.cursors.reaches(self.depth()) {
                self.cursors.enter_item(self.top.entries, self.depth());
            }
            self.top.entries = self.top.entries.saturating_add(1);
        }
        if self.cursors.reaches(self.depth().saturating_add(1)) {
            self.begin_at_path(at);
        }
        Ok(())
    }

    /// A value begins at which a path may end.
    fn begin_at_path(&mut self, at: u64) {
        let depth = self.depth();
        if let Some(rule) = &self.rules.value
            && self.cursors.is_at(Role::Value, depth)
        {
            self.value_end_max = at.saturating_add(rule.bytes);
        }
        if self.cursors.is_at(Role::Below, depth) {
            self.counted_below = depth.saturating_add(1);
        }
    }

    /// A value has ended; its last byte is before `end`.
    #[inline(always)]
    pub(super) fn end_value(&mut self, end: u64) -> Result<(), Stop> {
        if self.cursors.reaches(self.depth().saturating_add(1)) {
            self.end_at_path(end)
        } else {
            Ok(())
        }
    }

    /// A value has ended at which a path may end.
    fn end_at_path(&mut self, end: u64) -> Result<(), Stop> {
        let depth = self.depth();
        if self.cursors.is_at(Role::Value, depth) {
            if let Some(stop) = self.overlong(end) {
                return Err(stop);
            }
            self.value_end_max = u64::MAX;
        }
        if self.cursors.is_at(Role::Below, depth) {
            self.counted_below = usize::MAX;
        }
        self.cursors.leave(depth);
        Ok(())
    }

    /// The bracket at `at` opens an array or an object; its value has begun.
    #[inline(always)]
    pub(super) fn open(&mut self, kind: Kind, at: u64) -> Result<(), Stop> {
        if self.outer.len() >= self.depth_max {
            let limit = self.rules.depth.min(DEPTH_MAX);
            return Err(Breach::Depth { limit }.at(at));
        }
        self.outer.push(self.top);
        self.top = Frame::new(kind);
        self.named = 0;
        // Without conditions, the brace alone is enough to match.
        if kind == Kind::Object && self.counts() {
            self.match_top(at)
        } else {
            Ok(())
        }
    }

    /// The bracket before `end` closes the innermost array or object.
    #[inline(always)]
    pub(super) fn close(&mut self, end: u64) -> Result<(), Stop> {
        let closed = self.top;
        let depth = self.depth();
        if closed.kind == Kind::Array
            && self.cursors.reaches(depth)
            && self.cursors.is_at(Role::Items, depth.saturating_sub(1))
        {
            self.items = Some(
                self.items
                    .unwrap_or_default()
                    .saturating_add(closed.entries),
            );
        }
        if let Some(names) = &mut self.names
            && closed.kind == Kind::Object
        {
            names.close(closed.entries);
        }
        if let Some(outer) = self.outer.pop() {
            self.top = outer;
        }
        // The items of an array around an object have no name.
        self.named = 0;
        self.top.deepest = self
            .top
            .deepest
            .max(closed.deepest.saturating_add(u16::from(closed.is_match)));
        self.matches.open = self.matches.open.saturating_sub(u16::from(closed.is_match));
        self.end_value(end)
    }

    /// The innermost object matches if it meets the conditions and is not known to match yet.
    ///
    /// All matching objects in it have ended, and all matching objects around it that are known are
    /// open. In every chain of nested matching objects, one is the last to become known. Only then
    /// is the whole chain visible; before, it looks like a shorter one.
    fn match_top(&mut self, at: u64) -> Result<(), Stop> {
        let Some(rule) = self.rules.objects.as_ref().filter(|_| !self.top.is_match) else {
            return Ok(());
        };
        if self.top.met != self.conditions {
            return Ok(());
        }
        self.top.is_match = true;
        let Matches { count, open } = &mut self.matches;
        (*count, *open) = (count.saturating_add(1), open.saturating_add(1));
        if let Some(limit) = rule.count.filter(|limit| *count > *limit) {
            return Err(Breach::ObjectsCount { limit }.at(at));
        }
        let chain = u32::from(*open).saturating_add(self.top.deepest.into());
        match rule.depth.filter(|limit| chain > *limit) {
            Some(limit) => Err(Breach::ObjectsDepth { limit }.at(at)),
            None => Ok(()),
        }
    }

    /// Whether an object at this depth counts.
    fn counts(&self) -> bool {
        self.depth() > self.counted_below
    }

    /// The number of open arrays and objects.
    const fn depth(&self) -> usize {
        self.outer.len()
    }
}

impl Frame {
    const fn new(kind: Kind) -> Self {
        Self {
            entries: 0,
            deepest: 0,
            met: 0,
            kind,
            is_match: false,
        }
    }
}

impl Measures {
    /// The memory that they hold, in bytes.
    pub(super) fn memory(&self) -> usize {
        let frames = self.outer.capacity().saturating_mul(size_of::<Frame>());
        frames.saturating_add(self.names.as_ref().map_or(0, Names::memory))
    }
}
