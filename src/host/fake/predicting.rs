//! A worker that predicts versions, as the filter does on Envoy.

use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::shared::predictor::{ProbeKey, VersionPredictor, VersionProbe};
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::Clock;

/// Shared data whose values can be written without a version, as the probe writes its own.
pub(crate) trait Overwrite: SharedData {
    fn overwrite(&self, key: &[u8], value: &[u8]);
}

/// One worker over `data`; without a predictor it reads each version.
#[derive(Debug)]
pub(crate) struct PredictingWorker<D> {
    pub(crate) data: D,
    predictor: Option<VersionPredictor>,
}

impl<D> PredictingWorker<D> {
    pub(crate) const fn new(data: D, predictor: Option<VersionPredictor>) -> Self {
        Self { data, predictor }
    }
}

impl<D: Overwrite> SharedData for PredictingWorker<D> {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        self.data.read(key)
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        let swap = self.data.swap(key, value, seen)?;
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

impl<D: Overwrite> VersionProbe for PredictingWorker<D> {
    fn write(&self, key: ProbeKey) -> Option<u32> {
        let key = [key as u8];
        self.data.overwrite(&key, &[]);
        self.data.read(&key).ok().map(|(_, version)| version.cas())
    }
}

impl<D: Clock> Clock for PredictingWorker<D> {
    fn now(&self) -> Timestamp {
        self.data.now()
    }
}
