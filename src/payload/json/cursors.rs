//! How far the rules' paths have matched at the current value.
//!
//! A path has *matched* `steps` steps: they lead to the current value, or to one that contains it.
//! With `depth` arrays and objects open, a value is on a path if `depth` steps lead to it. It is
//! the end of the path if those are all of its steps.

use super::path::{JsonPath, Step};
use super::rules::JsonRules;

/// The paths of all rules.
#[derive(Clone, Debug)]
pub(super) struct Cursors {
    /// Indexed by [`Role`].
    cursors: [Option<Cursor>; ROLES],
    /// The greatest depth at which an open array or object may be on a path, so that deeper ones
    /// need no look-up.
    reach: usize,
}

/// The purpose of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The value whose length is measured.
    Value = 0,
    /// The value below which objects count.
    Below = 1,
    /// The array whose items are counted.
    Items = 2,
}

pub(super) const ROLES: usize = 3;

#[derive(Clone, Debug)]
struct Cursor {
    path: JsonPath,
    steps: usize,
}

impl Cursors {
    /// Begins before the root, to which no step leads.
    pub(super) fn new(rules: &JsonRules) -> Self {
        let value = rules.value.as_ref().map(|rule| &rule.at);
        let below = rules.objects.as_ref().map(|rule| &rule.below);
        let paths = [value, below, rules.items.as_ref()];
        let cursors = paths.map(|path| {
            path.map(|path| Cursor {
                path: path.clone(),
                steps: 0,
            })
        });
        let mut cursors = Self { cursors, reach: 0 };
        cursors.update_reach();
        cursors
    }

    /// Whether the array or object at `depth`, from 1 on, may be on a path.
    pub(super) const fn reaches(&self, depth: usize) -> bool {
        depth <= self.reach
    }

    /// Whether a value within `depth` arrays and objects is the end of the path of `role`.
    pub(super) fn is_at(&self, role: Role, depth: usize) -> bool {
        let cursor = self.cursors.get(role as usize).and_then(Option::as_ref);
        cursor.is_some_and(|cursor| cursor.steps == depth && cursor.path.len() == depth)
    }

    /// The name of the next step from the object at `depth`, by the number of a role, if there is
    /// one.
    pub(super) fn name(&self, number: usize, depth: usize) -> Option<&[u8]> {
        self.cursors
            .get(number)?
            .as_ref()?
            .step_from(depth)
            .map(|step| &*step.name)
    }

    /// The roles, one bit each, whose path continues from the object at `depth`.
    pub(super) fn continuing(&self, depth: usize) -> u16 {
        let steps = self
            .cursors
            .iter()
            .rev()
            .map(|cursor| cursor.as_ref()?.step_from(depth));
        steps.fold(0, |roles, step| roles << 1 | u16::from(step.is_some()))
    }

    /// Follows the paths of `roles` into a member of the object at `depth`.
    pub(super) fn enter_member(&mut self, roles: u16, depth: usize) {
        for (number, cursor) in self.cursors.iter_mut().enumerate() {
            if let Some(cursor) = cursor
                && roles >> number & 1 == 1
            {
                cursor.steps = depth;
            }
        }
        self.update_reach();
    }

    /// Follows the paths that lead to the item at `index` of the array at `depth`.
    pub(super) fn enter_item(&mut self, index: u64, depth: usize) {
        for cursor in self.cursors.iter_mut().flatten() {
            if cursor
                .step_from(depth)
                .is_some_and(|step| step.index == Some(index))
            {
                cursor.steps = depth;
                // No other value is deeper.
                self.reach = depth.saturating_add(1);
            }
        }
    }

    /// Leaves the value within `depth` arrays and objects.
    pub(super) fn leave(&mut self, depth: usize) {
        for cursor in self.cursors.iter_mut().flatten() {
            cursor.steps = cursor.steps.min(depth.saturating_sub(1));
        }
        self.update_reach();
    }

    fn update_reach(&mut self) {
        self.reach = self
            .cursors
            .iter()
            .flatten()
            .map(|cursor| cursor.steps.saturating_add(1))
            .max()
            .unwrap_or_default();
    }
}

impl Cursor {
    /// The next step from the open array or object at `depth`, if that is on the path.
    fn step_from(&self, depth: usize) -> Option<&Step> {
        if self.steps.saturating_add(1) == depth {
            self.path.step(self.steps)
        } else {
            None
        }
    }
}
