//! The metrics of the engine of limits that all proxies share.

use super::{Change, Definer, EVENT, LIMIT, MODE, OUTCOME};
use crate::base::id::{IdVec, LimitId};
use crate::host::stream::{MetricId, MetricKind};
use crate::observe::{EngineEvent, EngineOutcome, Fallback, LeaseUnits};
use crate::policy::Policy;
use crate::policy::limits::Limit;

/// The metrics of the engine of limits that all proxies share.
#[derive(Debug)]
pub(super) struct EngineMetrics {
    calls: [MetricId; EngineOutcome::ALL.len()],
    wait: MetricId,
    open: MetricId,
    /// `None` for a limit of this proxy alone.
    limits: IdVec<LimitId, Option<SharedLimitMetrics>>,
}

/// The metrics of one limit that all proxies share.
#[derive(Debug)]
struct SharedLimitMetrics {
    takes: MetricId,
    waits: MetricId,
    units: [MetricId; LeaseUnits::ALL.len()],
    fallbacks: [MetricId; Fallback::ALL.len()],
}

impl EngineMetrics {
    /// Defines them; `None` if no limit is shared.
    pub(super) fn define<F: FnMut(MetricKind, &str) -> MetricId>(
        policy: &Policy,
        definer: &mut Definer<'_, F>,
    ) -> Option<Self> {
        policy.engine.as_ref()?;
        Some(Self {
            calls: EngineOutcome::ALL.map(|outcome| {
                definer.counter(
                    &[(OUTCOME, outcome.name())],
                    "sluicegate_engine_calls_total",
                )
            }),
            wait: definer.metric(MetricKind::Histogram, &[], "sluicegate_engine_wait_ms"),
            open: definer.metric(MetricKind::Gauge, &[], "sluicegate_engine_open"),
            limits: policy
                .limits
                .iter()
                .map(|limit| SharedLimitMetrics::define(limit, definer))
                .collect(),
        })
    }

    /// The change by `event`; `None` if the policy has no metric for it.
    pub(super) fn change(&self, event: EngineEvent) -> Option<Change> {
        let of = |id: LimitId| self.limits.get(id)?.as_ref();
        Some(match event {
            EngineEvent::Wait(limit) => Change::Add(of(limit)?.waits, 1),
            EngineEvent::Take(limit) => Change::Add(of(limit)?.takes, 1),
            EngineEvent::Waited(span) => Change::Record(self.wait, span.nanos() / 1_000_000),
            EngineEvent::Call(outcome) => Change::Add(*self.calls.get(outcome as usize)?, 1),
            EngineEvent::Units {
                limit,
                outcome,
                units,
            } => Change::Add(*of(limit)?.units.get(outcome as usize)?, units),
            EngineEvent::Fallback { limit, mode } => {
                Change::Add(*of(limit)?.fallbacks.get(mode as usize)?, 1)
            }
            EngineEvent::Open { by } => Change::Adjust(self.open, by),
        })
    }
}

impl SharedLimitMetrics {
    fn define<F: FnMut(MetricKind, &str) -> MetricId>(
        limit: &Limit,
        definer: &mut Definer<'_, F>,
    ) -> Option<Self> {
        limit.shared?;
        let name = &*limit.scope.name;
        Some(Self {
            takes: definer.counter(&[(LIMIT, name)], "sluicegate_engine_takes_total"),
            waits: definer.counter(&[(LIMIT, name)], "sluicegate_engine_waits_total"),
            units: LeaseUnits::ALL.map(|outcome| {
                let labels = [(LIMIT, name), (EVENT, outcome.name())];
                definer.counter(&labels, "sluicegate_lease_units_total")
            }),
            fallbacks: Fallback::ALL.map(|mode| {
                let labels = [(LIMIT, name), (MODE, mode.name())];
                definer.counter(&labels, "sluicegate_engine_fallback_total")
            }),
        })
    }
}
