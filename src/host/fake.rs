//! A host for tests, as far as several of them need the same.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::fault::Fault;
use super::shared::{SharedData, Swap, Version};
use super::stream::Clock;
use crate::base::time::Timestamp;

/// Shared data as Envoy keeps it: one counter for all versions, nothing is ever freed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeData {
    pub(crate) values: Rc<RefCell<Values>>,
    versions: Rc<Cell<u32>>,
    /// What every read answers, if it is set.
    pub(crate) fault: Rc<Cell<Option<Fault>>>,
}

pub(crate) type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

impl SharedData for FakeData {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        if let Some(fault) = self.fault.get() {
            return Err(fault);
        }
        let values = self.values.borrow();
        Ok(values.get(key).map_or((Vec::new(), Version::ABSENT), |(value, cas)| (value.clone(), Version::of(*cas))))
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        let mut values = self.values.borrow_mut();
        if values.get(key).is_some_and(|(_, cas)| *cas != seen.cas()) {
            return Ok(Swap::Conflict);
        }
        self.versions.set(self.versions.get().wrapping_add(1));
        values.insert(key.to_vec(), (value.to_vec(), self.versions.get()));
        Ok(Swap::Done)
    }
}

/// A clock that stands.
pub(crate) struct At(pub(crate) Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}
