//! Maps, key by key, as their mapping declares them.
//!
//! Code that does not depend on types is not inlined into each read: a policy is read once, and
//! Envoy compiles the whole filter before its first request.

use std::marker::PhantomData;

use super::Field;
use crate::policy::document::{Entry, Value};
use crate::policy::error::Reason;
use crate::policy::language::{Constraint, Fills, Key, Kind, Mapping, Presence};

/// A map with the keys of `M`. [`MapField::finish`] reports errors of the map as a whole.
pub(crate) struct MapField<'a, M> {
    field: Field<'a>,
    entries: &'a [Entry],
    mapping: PhantomData<fn() -> M>,
}

impl<'a, M: Mapping> MapField<'a, M> {
    pub(super) fn of(field: Field<'a>, entries: &'a [Entry]) -> Self {
        Self {
            field,
            entries,
            mapping: PhantomData,
        }
    }

    /// The map itself.
    pub(crate) fn field(&self) -> &Field<'a> {
        &self.field
    }

    /// Whether the key is present.
    pub(crate) fn has<K, P>(&self, key: Key<M, K, P>) -> bool {
        find(self.entries, key.name).is_some()
    }

    /// The value of a key; `None` if it is absent, which is noted if the key is required.
    pub(crate) fn value<'s, K, P: Presence>(&'s self, key: Key<M, K, P>) -> Option<Field<'s>> {
        value(&self.field, self.entries, key.name, P::REQUIRED)
    }

    /// Notes that a key is missing which only the circumstances require.
    pub(crate) fn missing<K, P>(&self, key: Key<M, K, P>) {
        missing(&self.field, key.name);
    }

    /// The value of a key as its kind reads it; `None` if there is an error, which is noted.
    pub(crate) fn read<'s, K, P>(&'s self, key: Key<M, K, P>) -> Option<P::Out>
    where
        K: Kind,
        P: Fills<K::Value<'s>>,
    {
        self.read_with(key, |_, value| Some(value))
    }

    /// As [`MapField::read`], with the result of `read` for the value.
    pub(crate) fn read_with<'s, K, P, T>(
        &'s self,
        key: Key<M, K, P>,
        read: impl FnOnce(Field<'s>, K::Value<'s>) -> Option<T>,
    ) -> Option<P::Out>
    where
        K: Kind,
        P: Fills<T>,
    {
        match value(&self.field, self.entries, key.name, P::REQUIRED) {
            Some(field) => read(field, K::read(field)?).map(P::present),
            None => key.presence.absent(),
        }
    }

    /// As [`MapField::read`], with the place of the value.
    pub(crate) fn open<'s, K, P>(&'s self, key: Key<M, K, P>) -> Option<P::Out>
    where
        K: Kind,
        P: Fills<(Field<'s>, K::Value<'s>)>,
    {
        self.read_with(key, |field, value| Some((field, value)))
    }

    /// The key that is present of those of which the mapping has exactly one; `None` if none or
    /// several are, which [`MapField::finish`] reports.
    pub(crate) fn only_one(&self) -> Option<&'static str> {
        only_one(self.entries, M::CONSTRAINTS)
    }

    /// The entries whose keys the operator chose.
    pub(crate) fn rest(&self) -> impl Iterator<Item = (&'a Entry, Field<'_>)> {
        self.entries
            .iter()
            .filter(|entry| !M::KEYS.contains(&&*entry.key))
            .map(|entry| (entry, entry_field(&self.field, entry)))
    }

    /// Reports the constraints that the keys break, and unknown keys.
    pub(crate) fn finish(&self) {
        check_constraints(&self.field, self.entries, M::CONSTRAINTS);
        if !M::OPEN {
            self.deny_unknown_but(M::KEYS);
        }
    }

    /// Reports the keys that are not `known`.
    pub(crate) fn deny_unknown_but(&self, known: &'static [&'static str]) {
        deny_unknown(&self.field, self.entries, known);
    }
}

fn find<'e>(entries: &'e [Entry], key: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| *entry.key == *key)
}

fn entry_field<'s>(map: &'s Field<'_>, entry: &'s Entry) -> Field<'s> {
    Field {
        node: &entry.value,
        at: map.at.key(&entry.key),
        errors: map.errors,
    }
}

#[inline(never)]
fn value<'s>(
    map: &'s Field<'_>,
    entries: &'s [Entry],
    key: &'static str,
    required: bool,
) -> Option<Field<'s>> {
    let found = find(entries, key);
    if found.is_none() && required {
        missing(map, key);
    }
    found.map(|entry| entry_field(map, entry))
}

#[inline(never)]
fn missing(map: &Field<'_>, key: &'static str) {
    let at = map.at.key(key).to_string();
    map.errors.note(at, map.node.line, Reason::Missing);
}

#[inline(never)]
fn only_one(entries: &[Entry], constraints: &[Constraint]) -> Option<&'static str> {
    let keys = constraints.iter().find_map(|constraint| match constraint {
        Constraint::ExactlyOne(keys) => Some(*keys),
        Constraint::LimitsOne(_)
        | Constraint::ChangesOne(_)
        | Constraint::NotEmpty
        | Constraint::Requires { .. }
        | Constraint::Excludes { .. }
        | Constraint::Without { .. } => None,
    })?;
    match present(entries, keys).as_slice() {
        [key] => Some(key),
        _ => None,
    }
}

#[inline(never)]
fn present(entries: &[Entry], keys: &[&'static str]) -> Vec<&'static str> {
    keys.iter()
        .copied()
        .filter(|key| find(entries, key).is_some())
        .collect()
}

#[inline(never)]
fn check_constraints(map: &Field<'_>, entries: &[Entry], constraints: &[Constraint]) {
    for constraint in constraints {
        match *constraint {
            Constraint::ExactlyOne(keys) => {
                let given = present(entries, keys);
                if given.len() != 1 {
                    map.error(Reason::NotOneSource {
                        sources: keys,
                        given,
                    });
                }
            }
            Constraint::LimitsOne(keys) if present(entries, keys).is_empty() => {
                map.error(Reason::EmptyLimit { keys });
            }
            Constraint::ChangesOne(keys) if present(entries, keys).is_empty() => {
                map.error(Reason::OverridesNothing { keys });
            }
            Constraint::NotEmpty if entries.is_empty() => map.error(Reason::Empty),
            Constraint::Requires {
                key,
                other,
                because,
            } if find(entries, other).is_none() => {
                report(map, entries, key, because);
            }
            Constraint::Excludes {
                key,
                other,
                because,
            } if find(entries, other).is_some() => {
                report(map, entries, key, because);
            }
            Constraint::Without {
                key,
                words,
                keys,
                because,
            } if is_one_of(entries, key, words) => {
                for key in keys {
                    report(map, entries, key, because);
                }
            }
            Constraint::LimitsOne(_)
            | Constraint::ChangesOne(_)
            | Constraint::NotEmpty
            | Constraint::Requires { .. }
            | Constraint::Excludes { .. }
            | Constraint::Without { .. } => {}
        }
    }
}

/// Reports that `key`, if it is present, applies only with something else.
fn report(map: &Field<'_>, entries: &[Entry], key: &str, because: &'static str) {
    if let Some(entry) = find(entries, key) {
        entry_field(map, entry).error(Reason::RequiresSibling { sibling: because });
    }
}

fn is_one_of(entries: &[Entry], key: &str, words: &[&str]) -> bool {
    find(entries, key).is_some_and(|entry| match &entry.value.value {
        Value::String(text) => words.contains(&&**text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => false,
    })
}

#[inline(never)]
fn deny_unknown(map: &Field<'_>, entries: &[Entry], known: &'static [&'static str]) {
    for entry in entries {
        if !known.contains(&&*entry.key) {
            let at = map.at.key(&entry.key).to_string();
            let key = entry.key.to_string();
            map.errors
                .note(at, entry.line, Reason::UnknownKey { key, known });
        }
    }
}
