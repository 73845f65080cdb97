//! Overrides: other numbers for some callers, found without walking the list.
//!
//! Ten thousand organizations may each have an override. Those that ask for the same attributes
//! share one map from the values to the first override that has them, so that a look-up costs what
//! the different sets of attributes cost: as a rule one.

use std::collections::HashMap;

use super::Context;
use super::attributes::AttributeId;
use super::error::Reason;
use super::limits::{checked_bucket, read_burst, read_refill};
use super::reader::Field;
use super::select::{Condition, read_conditions};
use crate::limit::gcra::Bucket;

/// All overrides of one limit.
#[derive(Debug, Default)]
pub struct Overrides {
    buckets: Vec<Bucket>,
    sets: Vec<Set>,
}

/// The overrides that ask for these attributes.
#[derive(Debug)]
struct Set {
    attributes: Vec<AttributeId>,
    /// From the values, joined, to the place in `buckets`.
    first: HashMap<Vec<u8>, usize>,
}

const OVERRIDES_MAX: usize = 100_000;
/// Lists of values multiply: `{ org: [a, b], plan: [c, d] }` is four callers.
const COMBINATIONS_MAX: usize = 10_000;

impl Overrides {
    /// The bucket of the first override whose attributes the caller has.
    pub fn find<'v>(&self, value: impl Fn(AttributeId) -> Option<&'v [u8]>) -> Option<&Bucket> {
        let hit = |set: &Set| set.first.get(&joined(set.attributes.iter().map(|id| value(*id)))?).copied();
        let first = self.sets.iter().filter_map(hit).min()?;
        self.buckets.get(first)
    }
}

/// One key of several values; `None` where one is missing.
fn joined<'v>(values: impl Iterator<Item = Option<&'v [u8]>>) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for value in values {
        let value = value?;
        key.extend_from_slice(&value.len().to_le_bytes());
        key.extend_from_slice(value);
    }
    Some(key)
}

/// Reads the overrides of a limit with this bucket and cost.
pub(super) fn read(field: Field<'_>, base: Option<Bucket>, cost: u32, context: &mut Context) -> Option<Overrides> {
    let nodes = field.list(OVERRIDES_MAX)?;
    let mut overrides = Overrides::default();
    for (index, node) in nodes.iter().enumerate() {
        let field = Field { node, at: field.at.index(index), faults: field.faults };
        let Some((conditions, bucket)) = read_one(field, base, cost, context) else { continue };
        let number = overrides.buckets.len();
        overrides.buckets.push(bucket);
        if let Some(first) = overrides.add(conditions, number, &field) {
            field.fault(Reason::NeverReached { by: sibling(&field, first) });
        }
    }
    (overrides.buckets.len() == nodes.len()).then_some(overrides)
}

fn sibling(field: &Field<'_>, index: usize) -> String {
    let list = field.at.ancestor(field.at.depth().saturating_sub(1));
    list.index(index).to_string()
}

fn read_one(
    field: Field<'_>,
    base: Option<Bucket>,
    cost: u32,
    context: &mut Context,
) -> Option<(Vec<Condition>, Bucket)> {
    let map = field.map()?;
    let burst = map.get("burst");
    let refill = map.get("refill");
    if burst.is_none() && refill.is_none() {
        field.fault(Reason::OverridesNothing);
    }
    let burst = burst.map_or(base.map(|bucket| bucket.burst()), |field| read_burst(&field));
    let refill = refill.map_or(base.map(|bucket| bucket.refill()), |field| read_refill(&field));
    let conditions = map.require("for").and_then(|field| {
        let conditions = read_conditions(&field.map()?, context);
        if conditions.is_empty() { field.refuse(Reason::Empty) } else { Some(conditions) }
    });
    map.end();
    let bucket = checked_bucket(&field, burst?, refill?, cost);
    Some((conditions?, bucket?))
}

impl Overrides {
    /// Adds one override; the number of an earlier one if that takes all of its callers.
    fn add(&mut self, mut conditions: Vec<Condition>, number: usize, field: &Field<'_>) -> Option<usize> {
        conditions.sort_unstable_by_key(|(attribute, _)| *attribute);
        let attributes: Vec<AttributeId> = conditions.iter().map(|(attribute, _)| *attribute).collect();
        let mut keys: Vec<Vec<&[u8]>> = vec![Vec::new()];
        for (_, values) in &conditions {
            if keys.len().saturating_mul(values.len()) > COMBINATIONS_MAX {
                field.fault(Reason::TooMany { max: COMBINATIONS_MAX });
                return None;
            }
            keys = keys
                .iter()
                .flat_map(|key| values.iter().map(|value| [&key[..], &[value.as_bytes()]].concat()))
                .collect();
        }
        let set = match self.sets.iter_mut().find(|set| set.attributes == attributes) {
            Some(set) => set,
            None => self.sets.push_mut(Set { attributes, first: HashMap::new() }),
        };
        let mut taken = None;
        let mut fresh = false;
        for key in keys {
            let key = joined(key.into_iter().map(Some)).unwrap_or_default();
            let first = *set.first.entry(key).or_insert(number);
            fresh |= first == number;
            taken = taken.or(Some(first));
        }
        taken.filter(|_| !fresh)
    }
}
