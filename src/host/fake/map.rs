//! Shared data and shared queues as Envoy keeps them, without a proxy around them.

use std::collections::{HashMap, VecDeque};

use crate::host::fault::Fault;
use crate::host::queue::QueueToken;
use crate::host::shared::{Swap, Version};

/// Values by key. One counter numbers all versions, and no key is ever freed.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedMap {
    pub(crate) values: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    version: u32,
}

impl SharedMap {
    pub(crate) fn read(&self, key: &[u8]) -> (Vec<u8>, Version) {
        match self.values.get(key) {
            Some((value, cas)) => (value.clone(), Version::of(*cas)),
            None => (Vec::new(), Version::ABSENT),
        }
    }

    /// Whether there is no value under `key`, or an empty one.
    pub(crate) fn is_empty(&self, key: &[u8]) -> bool {
        self.values
            .get(key)
            .is_none_or(|(value, _)| value.is_empty())
    }

    /// Whether a swap that has seen this version meets another one.
    pub(crate) fn conflicts(&self, key: &[u8], seen: Version) -> bool {
        self.values
            .get(key)
            .is_some_and(|(_, cas)| *cas != seen.cas())
    }

    pub(crate) fn swap(&mut self, key: &[u8], value: &[u8], seen: Version) -> Swap {
        if self.conflicts(key, seen) {
            return Swap::Conflict;
        }
        self.overwrite(key, value);
        Swap::Done
    }

    /// Stores a value without regard to its version.
    pub(crate) fn overwrite(&mut self, key: &[u8], value: &[u8]) {
        self.version = self.version.wrapping_add(1);
        self.values
            .insert(key.to_vec(), (value.to_vec(), self.version));
    }
}

/// Queues by token: the name, and the messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueMap {
    queues: Vec<(Vec<u8>, VecDeque<Vec<u8>>)>,
}

impl QueueMap {
    pub(crate) fn register(&mut self, name: &[u8]) -> QueueToken {
        let known = self.queues.iter().position(|(known, _)| known == name);
        let index = known.unwrap_or_else(|| {
            self.queues.push((name.to_vec(), VecDeque::new()));
            self.queues.len().saturating_sub(1)
        });
        QueueToken(u32::try_from(index).unwrap())
    }

    pub(crate) fn enqueue(&mut self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        let (_, messages) = self
            .queues
            .get_mut(queue.0 as usize)
            .ok_or(Fault::HostStatus(1))?;
        messages.push_back(message.to_vec());
        Ok(())
    }

    pub(crate) fn dequeue(&mut self, queue: QueueToken) -> Option<Vec<u8>> {
        self.queues.get_mut(queue.0 as usize)?.1.pop_front()
    }

    pub(crate) fn is_empty(&self, queue: QueueToken) -> bool {
        self.queues
            .get(queue.0 as usize)
            .is_none_or(|(_, messages)| messages.is_empty())
    }
}
