//! An engine in memory, for tests and for the command line.

use std::collections::BTreeMap;

use super::counter::Counter;
use super::engine::{Engine, EngineError};
use super::redis::resp::key;
use super::take::{Answer, Take};

/// All counters of an engine, and its clock.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The engine's time, in microseconds since the epoch.
    pub clock: u64,
    counters: BTreeMap<String, Counter>,
}

impl Engine for Memory {
    fn take(&mut self, take: &Take) -> Result<Answer, EngineError> {
        let counter = self.counters.entry(key(take)).or_default();
        Ok(counter.take(self.clock, take))
    }
}
