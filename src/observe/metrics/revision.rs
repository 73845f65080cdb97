//! The metrics that say which policy a proxy enforces.

use super::{Definer, REVISION, VERSION};
use crate::host::stream::{Meter, MetricId, MetricKind};
use crate::policy::Policy;

/// Shows operators the policy that this proxy enforces, the second of Unix time since when, and the
/// number of counters that it may have. `previous` is the revision and the version before, if they
/// are others.
pub fn show(
    policy: &Policy,
    (previous, since): (Option<(&str, &str)>, u64),
    meter: &impl Meter,
    define: impl FnMut(MetricKind, &str) -> MetricId,
) {
    let mut definer = Definer {
        policy: &policy.name,
        define,
    };
    if let Some((revision, version)) = previous {
        meter.set(definer.info(revision, version), 0);
    }
    meter.set(definer.info(&policy.revision, crate::base::VERSION), 1);
    let gauges = [
        ("sluicegate_policy_loaded_seconds", since),
        ("sluicegate_keys_max", policy.keys_max.into()),
    ];
    for (name, value) in gauges {
        meter.set(definer.metric(MetricKind::Gauge, &[], name), value);
    }
}

impl<F: FnMut(MetricKind, &str) -> MetricId> Definer<'_, F> {
    fn info(&mut self, revision: &str, version: &str) -> MetricId {
        let labels = [(REVISION, revision), (VERSION, version)];
        self.metric(MetricKind::Gauge, &labels, "sluicegate_policy_info")
    }
}
