//! Changes of the policy, which wait in shared data until they are accepted: once per proxy and
//! change, whichever worker notices it and whichever sends it.

use std::collections::BTreeMap;
use std::str::FromStr as _;

/// The name of the event.
pub const EVENT: &str = "sluicegate.policy.changed";

/// The most changes that wait; the oldest are forgotten.
const WAITING_MAX: usize = 16;

/// The most names of limits that a change states in one list.
const NAMES_MAX: usize = 100;

/// The limits of a policy by name, each with a digest of its content.
pub type Limits<'a> = BTreeMap<&'a str, &'a str>;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The nanosecond of Unix time.
    pub at: u64,
    /// The revisions before and after it.
    revisions: [String; 2],
    /// The names of the limits that were added, removed and changed.
    limits: [String; 3],
}

impl Change {
    /// From one revision with its limits to another.
    #[must_use]
    pub fn between(at: u64, old: (&str, &Limits<'_>), new: (&str, &Limits<'_>)) -> Self {
        let names = |of: &Limits<'_>, is_one: &dyn Fn(&str, &str) -> bool| {
            let mut names = of.iter().filter(|(name, digest)| is_one(name, digest));
            let mut text = String::new();
            for (name, _) in names.by_ref().take(NAMES_MAX) {
                if !text.is_empty() {
                    text.push(',');
                }
                text.push_str(name);
            }
            match names.count() {
                0 => text,
                more => format!("{text},… and {more} more"),
            }
        };
        let added = names(new.1, &|name, _| !old.1.contains_key(name));
        let removed = names(old.1, &|name, _| !new.1.contains_key(name));
        let changed = names(new.1, &|name, digest| {
            old.1.get(name).is_some_and(|before| *before != digest)
        });
        Self {
            at,
            revisions: [old.0.to_owned(), new.0.to_owned()],
            limits: [added, removed, changed],
        }
    }

    /// Its values, by name.
    pub(super) fn texts<'t>(
        &'t self,
        policy: &'t str,
    ) -> impl Iterator<Item = (&'static str, &'t str)> {
        let [old, new] = &self.revisions;
        let [added, removed, changed] = &self.limits;
        [
            ("security_rule.ruleset.name", policy),
            ("security_rule.version", new),
            ("sluicegate.revision.old", old),
            ("sluicegate.revision.new", new),
            ("sluicegate.limits.added", added),
            ("sluicegate.limits.removed", removed),
            ("sluicegate.limits.changed", changed),
        ]
        .into_iter()
    }

    fn write(&self, text: &mut String) {
        text.push_str(&self.at.to_string());
        for part in self.revisions.iter().chain(&self.limits) {
            text.push('\t');
            text.push_str(part);
        }
        text.push('\n');
    }

    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let at = parts.next().and_then(|at| u64::from_str(at).ok())?;
        let mut next = || parts.next().map(str::to_owned);
        Some(Self {
            at,
            revisions: [next()?, next()?],
            limits: [next()?, next()?, next()?],
        })
    }
}

/// The changes that wait.
#[must_use]
pub fn read(bytes: &[u8]) -> Vec<Change> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().filter_map(Change::read).collect()
}

/// Changes as [`read`] reads them, without the oldest if there are too many.
#[must_use]
pub fn write(changes: &[Change]) -> Vec<u8> {
    let first = changes.len().saturating_sub(WAITING_MAX);
    let mut text = String::new();
    for change in changes.iter().skip(first) {
        change.write(&mut text);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_what_differs() {
        let old = Limits::from([("a", "1"), ("b", "1"), ("c", "1")]);
        let new = Limits::from([("b", "2"), ("c", "1"), ("d", "1"), ("e", "1")]);
        let change = Change::between(7, ("one", &old), ("two", &new));
        let texts: Vec<_> = change.texts("shop").collect();
        let expected = [
            ("security_rule.ruleset.name", "shop"),
            ("security_rule.version", "two"),
            ("sluicegate.revision.old", "one"),
            ("sluicegate.revision.new", "two"),
            ("sluicegate.limits.added", "d,e"),
            ("sluicegate.limits.removed", "a"),
            ("sluicegate.limits.changed", "b"),
        ];
        assert_eq!(texts, expected);
        assert_eq!(read(&write(std::slice::from_ref(&change))), [change]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let names: Vec<String> = (100..350).map(|it| format!("limit{it}")).collect();
        let all: Limits<'_> = names.iter().map(|name| (&**name, "1")).collect();
        let none = Limits::new();
        let mut waiting = Vec::new();
        for at in 0..100 {
            waiting.push(Change::between(at, ("one", &none), ("two", &all)));
            waiting = read(&write(&waiting));
        }
        assert_eq!(waiting.len(), WAITING_MAX);
        assert_eq!(waiting.last().map(|change| change.at), Some(99));
        assert!(waiting[0].limits[0].ends_with("limit199,… and 150 more"));
        assert!(read(b"\xff").is_empty());
        assert!(read(b"nothing\n1\t2\n").is_empty());
    }
}
