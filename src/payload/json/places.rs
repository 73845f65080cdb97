//! How far the rules' paths have matched at the current value.
//!
//! A path has *matched* `steps` steps: they lead to the current value, or to one that contains it.
//! With `depth` arrays and objects open, a value is on a path if `depth` steps lead to it. It is
//! the end of the path if those are all of its steps.

use super::path::{JsonPath, Step};
use super::rules::JsonRules;

/// The paths of all rules.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Indexed by [`Role`].
    places: [Option<Place>; ROLES],
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
struct Place {
    path: JsonPath,
    steps: usize,
}

impl Places {
    /// Begins before the root, to which no step leads.
    pub(super) fn new(rules: &JsonRules) -> Self {
        let value = rules.value.as_ref().map(|rule| &rule.at);
        let below = rules.objects.as_ref().map(|rule| &rule.below);
        let place = |path: Option<&JsonPath>| path.map(|path| Place { path: path.clone(), steps: 0 });
        let mut places = Self { places: [value, below, rules.items.as_ref()].map(place), reach: 0 };
        places.settle();
        places
    }

    /// Whether the array or object at `depth`, from 1 on, may be on a path.
    pub(super) const fn reaches(&self, depth: usize) -> bool {
        depth <= self.reach
    }

    /// Whether a value within `depth` arrays and objects is the end of the path of `role`.
    pub(super) fn is_at(&self, role: Role, depth: usize) -> bool {
        let place = self.places.get(role as usize).and_then(Option::as_ref);
        place.is_some_and(|place| place.steps == depth && place.path.len() == depth)
    }

    /// The name of the next step from the object at `depth`, by the number of a role, if there is
    /// one.
    pub(super) fn name(&self, number: usize, depth: usize) -> Option<&[u8]> {
        self.places.get(number)?.as_ref()?.step_from(depth).map(|step| &*step.name)
    }

    /// The roles, one bit each, whose path continues from the object at `depth`.
    pub(super) fn wanted(&self, depth: usize) -> u16 {
        let leads_on = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.step_from(depth).is_some());
        self.places.iter().rev().fold(0, |roles, place| roles << 1 | u16::from(leads_on(place)))
    }

    /// Follows the paths of `roles` into a member of the object at `depth`.
    pub(super) fn enter_member(&mut self, roles: u16, depth: usize) {
        for (number, place) in self.places.iter_mut().enumerate() {
            if let Some(place) = place
                && roles >> number & 1 == 1
            {
                place.steps = depth;
            }
        }
        self.settle();
    }

    /// Follows the paths that lead to the item at `index` of the array at `depth`.
    pub(super) fn enter_item(&mut self, index: u64, depth: usize) {
        for place in self.places.iter_mut().flatten() {
            if place.step_from(depth).is_some_and(|step| step.index == Some(index)) {
                place.steps = depth;
                // No other value is deeper.
                self.reach = depth.saturating_add(1);
            }
        }
    }

    /// Leaves the value within `depth` arrays and objects.
    pub(super) fn leave(&mut self, depth: usize) {
        for place in self.places.iter_mut().flatten() {
            place.steps = place.steps.min(depth.saturating_sub(1));
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.reach = self.places.iter().flatten().map(|place| place.steps.saturating_add(1)).max().unwrap_or_default();
    }
}

impl Place {
    /// The next step from the open array or object at `depth`, if that is on the path.
    fn step_from(&self, depth: usize) -> Option<&Step> {
        if self.steps.saturating_add(1) == depth { self.path.step(self.steps) } else { None }
    }
}
