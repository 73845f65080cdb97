//! The metrics of the bodies that are inspected.

use super::{Definer, Metrics};
use crate::host::stream::{Meter, MetricId, MetricKind};
use crate::payload::memory::Uploads;
use crate::policy::Policy;

/// The metrics of the bodies that all workers inspect.
#[derive(Debug)]
pub(super) struct UploadMetrics {
    open: MetricId,
    memory: MetricId,
}

impl UploadMetrics {
    /// Defines them; `None` if the policy inspects no body.
    pub(super) fn define<F: FnMut(MetricKind, &str) -> MetricId>(
        policy: &Policy,
        definer: &mut Definer<'_, F>,
    ) -> Option<Self> {
        policy.inspects_bodies().then(|| Self {
            open: definer.metric(MetricKind::Gauge, &[], "sluicegate_uploads_open"),
            memory: definer.metric(MetricKind::Gauge, &[], "sluicegate_decoder_memory_bytes"),
        })
    }
}

impl Metrics {
    /// Shows the bodies that all workers inspect.
    pub fn show_uploads(&self, meter: &impl Meter, uploads: Uploads) {
        if let Some(metrics) = &self.uploads {
            meter.set(metrics.open, uploads.open);
            meter.set(metrics.memory, uploads.bytes);
        }
    }
}
