//! The open arrays and objects, and what they tell of the bounds.
//!
//! A matching object is known by one of its members, which may stand behind others that nest. So each
//! frame knows how tall the tallest chain of matching objects within it is, and how many of those around
//! it match. While an object is open, what is known of those around it does not change; so the moment at
//! which the last object of a chain matches is the moment at which the chain is known.

use std::collections::HashSet;
use std::hash::Hasher as _;
use std::rc::Rc;

use siphasher::sip::SipHasher13;

use super::path::{JsonPath, PATH_BYTES_MAX};
use super::rules::{JsonRules, NAMES_MAX};
use super::{Bound, Breach};

/// What a value can be that holds others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Array,
    Object,
}

#[derive(Debug)]
pub(super) struct Stack {
    rules: Rc<JsonRules>,
    frames: Vec<Frame>,
    /// The place of the next value.
    next: Place,
    /// The name or text at hand, as far as a policy could name it.
    text: Vec<u8>,
    /// The conditions that the member at hand decides; a bit each.
    deciding: u8,
    /// The value that is measured, where one is open.
    measured: Option<Measured>,
    /// Objects that match.
    objects: u64,
    items: Option<u64>,
    names: Names,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    container: Container,
    place: Place,
    /// Members or items that have begun.
    entries: u64,
    /// The conditions that hold; a bit each.
    conditions: u8,
    matches: bool,
    /// Matching objects around it.
    above: u32,
    /// Matching objects in the tallest chain within it.
    within: u32,
    /// Names that were remembered before its own.
    names_before: usize,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Tokens of each path on the way here; [`OFF`] where the way is another.
    ways: [u8; PATHS],
    /// Whether it lies below the place of [`super::ObjectsRule::below`].
    below: bool,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    /// The offset behind the last byte that it may have.
    end: u64,
    /// The number of frames around it.
    depth: usize,
}

/// Names of the open objects, as hashes: two of one object are taken for the same once in 2^64.
#[derive(Debug, Default)]
struct Names {
    hasher: SipHasher13,
    list: Vec<u64>,
    /// With the depth of their objects.
    set: HashSet<(usize, u64)>,
}

/// The paths of [`JsonRules`]: of the value, of what objects lie below, of the items.
const PATHS: usize = 3;
const VALUE: usize = 0;
const BELOW: usize = 1;
const ITEMS: usize = 2;
const OFF: u8 = u8::MAX;

/// Longer names and texts are none that a policy can name.
const TEXT_MAX: usize = PATH_BYTES_MAX;

impl Stack {
    pub(super) fn new(rules: Rc<JsonRules>) -> Self {
        let paths = paths(&rules);
        let ways = paths.map(|path| if path.is_some() { 0 } else { OFF });
        Self {
            frames: Vec::new(),
            next: Place { ways, below: false },
            text: Vec::new(),
            deciding: 0,
            measured: None,
            objects: 0,
            items: None,
            names: Names::default(),
            rules,
        }
    }

    pub(super) fn rules(&self) -> &JsonRules {
        &self.rules
    }

    pub(super) fn items(&self) -> Option<u64> {
        let open =
            self.frames.iter().find(|frame| frame.container == Container::Array && self.is_at(&frame.place, ITEMS));
        open.map(|frame| frame.entries.saturating_add(self.items.unwrap_or_default())).or(self.items)
    }

    /// The array or object at hand.
    pub(super) fn container(&self) -> Option<Container> {
        self.frames.last().map(|frame| frame.container)
    }

    /// A name begins. Whether its bytes are wanted.
    pub(super) fn begin_name(&mut self) -> Result<bool, Bound> {
        self.text.clear();
        self.names.hasher = SipHasher13::new();
        let Some(frame) = self.frames.last_mut() else { return Ok(false) };
        frame.entries = frame.entries.saturating_add(1);
        if self.rules.members.is_some_and(|max| frame.entries > max) {
            return Err(Bound::Members);
        }
        let on_a_way = frame.place.ways.iter().any(|way| *way != OFF);
        Ok(frame.place.below || on_a_way || self.rules.refuse_duplicate_names)
    }

    /// Bytes of the name or text at hand, without escapes.
    pub(super) fn collect(&mut self, bytes: &[u8]) {
        let room = TEXT_MAX.saturating_add(1).saturating_sub(self.text.len());
        self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.rules.refuse_duplicate_names {
            self.names.hasher.write(bytes);
        }
    }

    /// The name at hand has ended: what stands behind it is known.
    pub(super) fn end_name(&mut self) -> Result<(), Bound> {
        let depth = self.frames.len();
        if self.rules.refuse_duplicate_names && !self.names.add(depth) {
            return Err(Bound::DuplicateNames);
        }
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let name = self.text.as_slice();
        self.deciding = 0;
        if frame.place.below {
            let conditions = self.rules.objects.iter().flat_map(|rule| &rule.conditions);
            for (number, (wanted, _)) in (0_u32..).zip(conditions) {
                if wanted.as_bytes() == name {
                    self.deciding |= 1_u8.wrapping_shl(number);
                }
            }
        }
        self.next = self.step(&frame.place, |token| token.as_bytes() == name);
        Ok(())
    }

    /// Whether the text of the member at hand decides whether its object matches.
    pub(super) fn wants_text(&mut self) -> bool {
        self.text.clear();
        self.deciding != 0 && self.container() == Some(Container::Object)
    }

    /// The text at hand has ended, as a value.
    pub(super) fn end_text(&mut self) -> Result<(), Bound> {
        let Some(rule) = self.rules.objects.as_ref().filter(|_| self.deciding != 0) else { return Ok(()) };
        let Some(frame) = self.frames.last_mut().filter(|frame| frame.container == Container::Object) else {
            return Ok(());
        };
        for (number, (_, wanted)) in (0_u32..).zip(&rule.conditions) {
            let bit = 1_u8.wrapping_shl(number);
            if self.deciding & bit != 0 && wanted.as_bytes() == self.text {
                frame.conditions |= bit;
            }
        }
        let all = rule.conditions.len() <= usize::try_from(frame.conditions.count_ones()).unwrap_or_default();
        if frame.matches || !all {
            return Ok(());
        }
        frame.matches = true;
        self.objects = self.objects.saturating_add(1);
        let chain = frame.above.saturating_add(1).saturating_add(frame.within);
        if rule.count.is_some_and(|max| self.objects > max) {
            Err(Bound::ObjectCount)
        } else if rule.depth.is_some_and(|max| chain > max) {
            Err(Bound::ObjectDepth)
        } else {
            Ok(())
        }
    }

    /// A value begins at the byte `here`.
    pub(super) fn begin_value(&mut self, here: u64) -> Result<(), Bound> {
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.container == Container::Array) {
            let index = frame.entries;
            frame.entries = index.saturating_add(1);
            if self.rules.array_items.is_some_and(|max| frame.entries > max) {
                return Err(Bound::ArrayItems);
            }
            let place = frame.place;
            self.next = self.step(&place, |token| is_index(token, index));
        }
        if let Some(rule) = self.rules.value.as_ref().filter(|_| self.is_at(&self.next, VALUE)) {
            self.measured = Some(Measured { end: here.saturating_add(rule.bytes), depth: self.frames.len() });
        }
        Ok(())
    }

    /// An array or object begins, at the value that has begun.
    pub(super) fn open(&mut self, container: Container) -> Result<(), Bound> {
        let most = usize::try_from(self.rules.depth).unwrap_or(usize::MAX);
        if self.frames.len() >= most {
            return Err(Bound::Depth);
        }
        let around = self.frames.last();
        let above = around.map_or(0, |frame| frame.above.saturating_add(u32::from(frame.matches)));
        if container == Container::Array && self.is_at(&self.next, ITEMS) {
            self.items.get_or_insert(0);
        }
        self.frames.push(Frame {
            container,
            place: self.next,
            entries: 0,
            conditions: 0,
            matches: false,
            above,
            within: 0,
            names_before: self.names.list.len(),
        });
        Ok(())
    }

    /// The array or object at hand ends.
    pub(super) fn close(&mut self) {
        let depth = self.frames.len();
        let Some(frame) = self.frames.pop() else { return };
        self.names.forget(depth, frame.names_before);
        if frame.container == Container::Array && self.is_at(&frame.place, ITEMS) {
            self.items = Some(self.items.unwrap_or_default().saturating_add(frame.entries));
        }
        if let Some(around) = self.frames.last_mut() {
            let chain = frame.within.saturating_add(u32::from(frame.matches));
            around.within = around.within.max(chain);
        }
    }

    /// The value at hand has ended before the byte `behind`.
    pub(super) fn end_value(&mut self, behind: u64) -> Result<(), Bound> {
        self.deciding = 0;
        match self.measured.filter(|measured| measured.depth == self.frames.len()) {
            Some(measured) => {
                self.measured = None;
                if behind > measured.end { Err(Bound::ValueBytes) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// How many bytes the measured value may still have from the byte `here` on.
    pub(super) fn bytes_left(&self, here: u64) -> Option<u64> {
        self.measured.map(|measured| measured.end.saturating_sub(here))
    }

    /// Whether the measured value is small enough, of which all bytes before `here` are.
    pub(super) fn check_value(&self, here: u64) -> Result<(), Breach> {
        let over = self.measured.is_some_and(|measured| here > measured.end);
        if over { Err(Breach::Over(Bound::ValueBytes)) } else { Ok(()) }
    }

    /// Whether `place` is where the path with this number leads.
    fn is_at(&self, place: &Place, path: usize) -> bool {
        let way = place.ways.get(path).copied().unwrap_or(OFF);
        let tokens = paths(&self.rules).get(path).copied().flatten().map_or(usize::MAX, |path| path.tokens().len());
        usize::from(way) == tokens
    }

    /// The place of a value within the one at `from`, for whose step a path has such a token.
    fn step(&self, from: &Place, is_step: impl Fn(&str) -> bool) -> Place {
        let below = from.below || self.is_at(from, BELOW);
        if from.ways == [OFF; PATHS] {
            return Place { ways: from.ways, below };
        }
        let mut ways = [OFF; PATHS];
        for ((way, before), path) in ways.iter_mut().zip(from.ways).zip(paths(&self.rules)) {
            let token = path.and_then(|path| path.tokens().get(usize::from(before)));
            if token.is_some_and(|token| is_step(token)) {
                *way = before.saturating_add(1);
            }
        }
        Place { ways, below }
    }
}

impl Names {
    /// Remembers the name that was hashed; whether it is new to its object, and there is room for it.
    fn add(&mut self, depth: usize) -> bool {
        let name = self.hasher.finish();
        let new = self.list.len() < NAMES_MAX && self.set.insert((depth, name));
        self.list.push(name);
        new
    }

    /// Forgets the names of the object that ends at this depth.
    fn forget(&mut self, depth: usize, from: usize) {
        for name in self.list.drain(from.min(self.list.len())..) {
            self.set.remove(&(depth, name));
        }
    }
}

fn paths(rules: &JsonRules) -> [Option<&JsonPath>; PATHS] {
    let below = rules.objects.as_ref().map(|rule| &rule.below);
    [rules.value.as_ref().map(|rule| &rule.at), below, rules.items.as_ref()]
}

/// Whether a pointer's token is this index: digits, without zeros before them (RFC 6901 §4).
fn is_index(token: &str, index: u64) -> bool {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    canonical && token.parse() == Ok(index)
}
