//! Overrides: other numbers for some callers, found without a walk of the list.
//!
//! Ten thousand organizations may each have an override. Those that ask for the same attributes
//! share one map from the values to the first override that has them, so that the cost of a look-up
//! depends on the number of different sets of attributes: usually one.

use std::collections::BTreeMap;

use super::Context;
use super::attributes::AttributeId;
use super::error::Reason;
use super::language as lang;
use super::reader::{Field, Items, MapField};
use super::select::{Condition, read_conditions};

/// All overrides of one limit, each with its value.
#[derive(Debug)]
pub struct Overrides<T> {
    all: Vec<T>,
    sets: Vec<Set>,
}

/// The content of an override.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override<T> {
    /// The limit does not apply.
    Unlimited,
    /// Other numbers.
    Other(T),
}

/// The overrides that ask for these attributes.
#[derive(Debug)]
struct Set {
    attributes: Vec<AttributeId>,
    /// By their values, one after the other.
    first: Tree,
}

#[derive(Debug)]
enum Tree {
    /// The place in `all`.
    Found(usize),
    /// By the value of the next attribute.
    Next(BTreeMap<Box<[u8]>, Self>),
}

/// Lists of values multiply: `{ org: [a, b], plan: [c, d] }` is four callers.
const COMBINATIONS_MAX: usize = 10_000;
/// The same over all overrides of a policy, less the values that are written: a few hundred
/// kilobytes of lists would otherwise take all the memory of a VM.
const MULTIPLIED_MAX: usize = 200_000;

impl<T> Default for Overrides<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            sets: Vec::new(),
        }
    }
}

impl<T> Overrides<T> {
    /// The value of the first override whose conditions the caller meets.
    pub fn find<'v>(&self, value: impl Fn(AttributeId) -> Option<&'v [u8]>) -> Option<&T> {
        self.all.get(self.first(value)?)
    }

    /// The number of the first override for a caller with these values.
    pub(crate) fn first<'v>(
        &self,
        value: impl Fn(AttributeId) -> Option<&'v [u8]>,
    ) -> Option<usize> {
        self.sets
            .iter()
            .filter_map(|set| set.first.find(set.attributes.iter().map(|id| value(*id))))
            .min()
    }

    /// The attributes that select an override.
    pub fn attributes(&self) -> impl Iterator<Item = AttributeId> {
        self.sets
            .iter()
            .flat_map(|set| set.attributes.iter().copied())
    }

    /// The values of all overrides, in order.
    #[must_use]
    pub fn all(&self) -> &[T] {
        &self.all
    }
}

impl<T> Override<T> {
    /// The other numbers, unless the limit does not apply.
    #[must_use]
    pub const fn other(&self) -> Option<&T> {
        match self {
            Self::Unlimited => None,
            Self::Other(other) => Some(other),
        }
    }
}

impl<T> Overrides<Override<T>> {
    /// The number of the override by which the limit does not apply to a caller with these values.
    pub(crate) fn unlimited<'v>(
        &self,
        value: impl Fn(AttributeId) -> Option<&'v [u8]>,
    ) -> Option<usize> {
        self.first(value)
            .filter(|number| matches!(self.all.get(*number), Some(Override::Unlimited)))
    }

    /// What applies to a caller with these values: `base`, or what an override says instead; `None`
    /// if the limit does not apply.
    pub fn applied<'o, 'v>(
        &'o self,
        base: &'o T,
        value: impl Fn(AttributeId) -> Option<&'v [u8]>,
    ) -> Option<&'o T> {
        self.find(value).map_or(Some(base), Override::other)
    }
}

impl Tree {
    /// The place for these values; `None` if one is missing or differs.
    fn find<'v>(&self, values: impl Iterator<Item = Option<&'v [u8]>>) -> Option<usize> {
        let mut at = self;
        for value in values {
            let Self::Next(next) = at else { return None };
            at = next.get(value?)?;
        }
        if let Self::Found(place) = at {
            Some(*place)
        } else {
            None
        }
    }

    /// Sets the place for these values, unless one is set.
    fn add<'v>(&mut self, mut values: impl Iterator<Item = &'v str>, place: usize) {
        match (self, values.next()) {
            (Self::Next(next), Some(value)) => {
                next.entry(value.as_bytes().into())
                    .or_insert_with(|| Self::Next(BTreeMap::new()))
                    .add(values, place);
            }
            (this @ Self::Next(_), None) => *this = Self::Found(place),
            (Self::Found(_), _) => {}
        }
    }
}

/// The limit that has the overrides.
pub(super) struct Base<'a> {
    /// The conditions of its `for`.
    pub(super) conditions: &'a [Condition],
    /// The pointer of its `for`.
    pub(super) selector: String,
}

/// Reads the overrides `list` of a limit, each of which `read` reads. The first part of its result
/// is the callers.
pub(super) fn read<K: lang::Kind, T>(
    list: &Items<'_, K>,
    context: &mut Context,
    mut read: impl FnMut(Field<'_>, &mut Context) -> Option<(Vec<Condition>, T)>,
) -> Option<Overrides<T>> {
    let mut overrides = Overrides::default();
    for field in list.fields() {
        let Some((conditions, one)) = read(field, context) else {
            continue;
        };
        let number = overrides.all.len();
        overrides.all.push(one);
        if let Some(first) = overrides.add(conditions, number, &field, &mut context.multiplied) {
            field.error(Reason::NeverReached { by: list.at(first) });
        }
    }
    (overrides.all.len() == list.len()).then_some(overrides)
}

/// Reads the callers of an override from its `for`, which is `None` if it has an error.
pub(super) fn read_callers(
    selector: Option<MapField<'_, lang::CallerSelector>>,
    base: &Base<'_>,
    context: &mut Context,
) -> Option<Vec<Condition>> {
    let map = selector?;
    let field = map.field();
    let conditions = read_conditions(&map, context, false);
    if contradict(&conditions, base.conditions) {
        field.error(Reason::Contradiction {
            one: field.at.to_string(),
            other: base.selector.clone(),
        });
    }
    map.finish();
    // Without a condition that has an error, it would seem to take callers of others.
    (conditions.len() == map.rest().count() && !conditions.is_empty()).then_some(conditions)
}

/// Whether no caller can meet both: one attribute would need two values.
fn contradict(ours: &[Condition], theirs: &[Condition]) -> bool {
    ours.iter().any(|(id, values)| {
        theirs
            .iter()
            .any(|(other, with)| other == id && !values.iter().any(|value| with.contains(value)))
    })
}

impl<T> Overrides<T> {
    /// Adds one override; the number of an earlier one if such take all of its callers.
    fn add(
        &mut self,
        mut conditions: Vec<Condition>,
        number: usize,
        field: &Field<'_>,
        multiplied: &mut usize,
    ) -> Option<usize> {
        conditions.sort_unstable_by_key(|(attribute, _)| *attribute);
        let Some(callers) = combinations(&conditions) else {
            return field.refuse(Reason::TooManyCombinations(COMBINATIONS_MAX));
        };
        let written: usize = conditions.iter().map(|(_, values)| values.len()).sum();
        let with_these = multiplied.saturating_add(callers.len().saturating_sub(written));
        if with_these > MULTIPLIED_MAX {
            return field.refuse(Reason::TooManyCombinationsInAll(MULTIPLIED_MAX));
        }
        *multiplied = with_these;
        let earlier: Option<Vec<usize>> = callers
            .iter()
            .map(|caller| {
                self.first(|id| {
                    let mut values = caller.iter();
                    let (_, value) = values.find(|(known, _)| *known == id)?;
                    Some(value.as_bytes())
                })
            })
            .collect();
        let attributes: Vec<AttributeId> =
            conditions.iter().map(|(attribute, _)| *attribute).collect();
        let set = match self
            .sets
            .iter_mut()
            .find(|set| set.attributes == attributes)
        {
            Some(set) => set,
            None => self.sets.push_mut(Set {
                attributes,
                first: Tree::Next(BTreeMap::new()),
            }),
        };
        for caller in callers {
            set.first
                .add(caller.iter().map(|(_, value)| *value), number);
        }
        earlier?.first().copied()
    }
}

/// Each combination of one value per condition; `None` if they are too many.
fn combinations(conditions: &[Condition]) -> Option<Vec<Vec<(AttributeId, &str)>>> {
    let mut all: Vec<Vec<(AttributeId, &str)>> = vec![Vec::new()];
    for (attribute, values) in conditions {
        if all.len().saturating_mul(values.len()) > COMBINATIONS_MAX {
            return None;
        }
        let mut longer = Vec::with_capacity(all.len().saturating_mul(values.len()));
        for caller in &all {
            for value in values {
                longer.push([&caller[..], &[(*attribute, &**value)]].concat());
            }
        }
        all = longer;
    }
    Some(all)
}
