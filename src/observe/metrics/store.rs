//! The metrics of the store of counters.

use super::Definer;
use crate::host::stream::{MetricId, MetricKind};

/// The metrics of the store of counters.
#[derive(Debug)]
pub(super) struct StoreMetrics {
    /// Live counters that were evicted.
    pub(super) evicted: MetricId,
    /// Pages that another worker wrote first.
    pub(super) conflicts: MetricId,
    /// Counters that an operator had begin anew.
    pub(super) resets: MetricId,
    /// The counters that the store holds.
    pub(super) counters: MetricId,
}

impl StoreMetrics {
    pub(super) fn define<F: FnMut(MetricKind, &str) -> MetricId>(
        definer: &mut Definer<'_, F>,
    ) -> Self {
        Self {
            evicted: definer.counter(&[], "sluicegate_records_evicted_total"),
            conflicts: definer.counter(&[], "sluicegate_conflicts_total"),
            resets: definer.counter(&[], "sluicegate_resets_total"),
            counters: definer.metric(MetricKind::Gauge, &[], "sluicegate_keys"),
        }
    }
}
