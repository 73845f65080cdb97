//! A worker that foresees versions, as the filter does, and one that does not.

use super::Worker;
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::shared::predictor::{ProbeKey, VersionPredictor, VersionProbe};
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::Clock;

pub(super) struct Seer {
    worker: Worker,
    /// It looks the counter up after every wrong guess: most interleavings for the least steps.
    predictor: Option<VersionPredictor>,
}

impl Seer {
    pub(super) fn new(worker: &Worker, foresees: bool) -> Self {
        Self { worker: worker.clone(), predictor: foresees.then(|| VersionPredictor::new(0)) }
    }
}

impl SharedData for Seer {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        self.worker.read(key)
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        let swap = self.worker.swap(key, value, seen)?;
        match (&self.predictor, swap) {
            (Some(predictor), Swap::Done) => predictor.stored(self),
            (Some(predictor), Swap::Conflict) => predictor.conflicted(),
            (None, _) => {}
        }
        Ok(swap)
    }

    fn predicted(&self) -> Option<Version> {
        self.predictor.as_ref().and_then(VersionPredictor::version)
    }
}

impl VersionProbe for Seer {
    fn write(&self, key: ProbeKey) -> Option<u32> {
        let key = [key as u8];
        self.worker.step(|world| {
            world.version += 1;
            world.values.insert(key.to_vec(), (Vec::new(), world.version));
        });
        self.worker.step(|world| world.values.get(&key[..]).map(|(_, version)| *version))
    }
}

impl Clock for Seer {
    fn now(&self) -> Timestamp {
        self.worker.now()
    }
}
