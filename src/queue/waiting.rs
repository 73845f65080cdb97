//! A worker's streams that wait for one key.
//!
//! The whole list is read far more often than one stream is added or removed, and nearly all are
//! added at the end and removed at the beginning.

use super::stream::StreamId;

/// Streams by the numbers of their tickets, which ascend.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    streams: Vec<(u32, StreamId)>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.streams.iter().map(|(number, _)| *number)
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.index(number).is_ok()
    }

    pub(super) fn insert(&mut self, number: u32, stream: StreamId) {
        match self.index(number) {
            Ok(index) => {
                if let Some(known) = self.streams.get_mut(index) {
                    known.1 = stream;
                }
            }
            Err(index) => self.streams.insert(index, (number, stream)),
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<StreamId> {
        self.index(number)
            .ok()
            .map(|index| self.streams.remove(index).1)
    }

    /// Removes all of these numbers, which may have any order.
    pub(super) fn remove_all(&mut self, numbers: &[u32]) {
        if !numbers.is_empty() {
            self.streams.retain(|(number, _)| !numbers.contains(number));
        }
    }

    fn index(&self, number: u32) -> Result<usize, usize> {
        self.streams
            .binary_search_by_key(&number, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0..4_u8, 0..9_u32, 0..9_u32), 0..40)) {
            let (mut waiting, mut map) = (Waiting::default(), BTreeMap::new());
            for (step, number, other) in steps {
                match step {
                    0 => prop_assert_eq!(waiting.remove(number), map.remove(&number)),
                    1 => {
                        waiting.remove_all(&[number, other]);
                        map.retain(|known, _| ![number, other].contains(known));
                    }
                    2.. => {
                        waiting.insert(number, StreamId(other));
                        map.insert(number, StreamId(other));
                    }
                }
                prop_assert!(waiting.numbers().eq(map.keys().copied()));
                prop_assert_eq!(waiting.contains(other), map.contains_key(&other));
                prop_assert_eq!(waiting.is_empty(), map.is_empty());
            }
        }
    }
}
