//! The metrics of the export of usage.

use super::Definer;
use crate::host::stream::{MetricId, MetricKind};
use crate::policy::Policy;

/// The metrics of the export of usage.
#[derive(Debug)]
pub(super) struct UsageMetrics {
    /// Calls that were not accepted.
    pub(super) failed: MetricId,
    /// Requests that were counted without the tags of their callers.
    pub(super) overflow: MetricId,
}

impl UsageMetrics {
    pub(super) fn define<F: FnMut(MetricKind, &str) -> MetricId>(
        policy: &Policy,
        definer: &mut Definer<'_, F>,
    ) -> Option<Self> {
        policy.usage.as_ref()?;
        Some(Self {
            failed: definer.counter(&[], "sluicegate_usage_failed_total"),
            overflow: definer.counter(&[], "sluicegate_usage_overflow_total"),
        })
    }
}
