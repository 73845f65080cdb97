//! Keys to look at again, in round-robin order.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use crate::store::key::Key;

/// A set whose members are visited in a circle, a few at a time.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    keys: BTreeSet<Key>,
    at: Option<Key>,
}

impl RoundRobin {
    pub(super) fn insert(&mut self, key: Key) {
        self.keys.insert(key);
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.keys.remove(&key);
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.keys.contains(&key)
    }

    /// The next keys, at most `most`, and each at most once.
    pub(super) fn next(&mut self, most: usize) -> Vec<Key> {
        let behind = self.at.map_or(Unbounded, Excluded);
        let ahead = self.keys.range((behind, Unbounded));
        let around = self
            .keys
            .iter()
            .take_while(|key| self.at.is_some_and(|at| **key <= at));
        let next: Vec<Key> = ahead.chain(around).take(most).copied().collect();
        self.at = next.last().copied().or(self.at);
        next
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_visited() {
        let key = |page| Key {
            page,
            fingerprint: 0,
        };
        let mut rounds = RoundRobin::default();
        assert_eq!(rounds.next(3), []);
        for page in 0..5 {
            rounds.insert(key(page));
        }
        assert_eq!(rounds.next(3), [0, 1, 2].map(key));
        rounds.remove(key(2));
        assert_eq!(rounds.next(3), [3, 4, 0].map(key));
        assert_eq!(rounds.next(9), [1, 3, 4, 0].map(key));
        assert_eq!((rounds.len(), rounds.contains(key(2))), (4, false));
    }
}
