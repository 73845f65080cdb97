//! Events as the proxy's metrics, each with a closed set of labels, defined once when the policy is
//! loaded.
//!
//! A filter's metrics have no labels in Envoy. So the labels are part of the name, in a form from
//! which `stats_config.stats_tags` extracts them: `policy=.=demo;.;limit=.=standard;.;…_total`.

mod engine;
mod refused;
pub mod revision;
mod store;
mod uploads;
mod usage;

use std::collections::BTreeMap;

use super::{DecisionLabel, Event, Refund, Shadowed};
use crate::base::id::{
    CounterOwner, DenialId, Id as _, IdVec, LimitId, PayloadId, PerOwner, PoolId,
};
use crate::base::path::Ambiguity;
use crate::host::fault::Fault;
use crate::host::stream::{Meter, MetricId, MetricKind};
use crate::limit::Enforcement;
use crate::payload::body::Reason;
use crate::policy::Policy;
use crate::policy::costs::CostSource;
use crate::policy::limits::Limit;
use crate::policy::payloads::Payload;
use crate::queue::stream::Reason as QueueReason;
use crate::request::identify::AuthFailure;
use engine::EngineMetrics;
use store::StoreMetrics;
use uploads::UploadMetrics;
use usage::UsageMetrics;

/// All labels; the bootstrap has one rule for each.
pub const LABELS: [&str; 12] = [
    POLICY, LIMIT, ENTRY, DECISION, REASON, FAULT, OUTCOME, EVENT, MODE, REVISION, VERSION, STATUS,
];

const POLICY: &str = "policy";
const LIMIT: &str = "limit";
const ENTRY: &str = "entry";
const DECISION: &str = "decision";
const REASON: &str = "reason";
const FAULT: &str = "fault";
const OUTCOME: &str = "outcome";
const EVENT: &str = "event";
const MODE: &str = "mode";
const REVISION: &str = "revision";
const STATUS: &str = "status";
const VERSION: &str = "version";

/// The limit of a request to which none applies. No limit can have this name.
const NO_LIMIT: &str = "-";

/// The metrics of one policy.
#[derive(Debug)]
pub struct Metrics {
    requests: PerOwner<[MetricId; DecisionLabel::ALL.len()]>,
    overage: PerOwner<MetricId>,
    refunds: PerOwner<[Option<MetricId>; Refund::ALL.len()]>,
    /// `None` for a limit without a lock.
    locks: IdVec<LimitId, Option<MetricId>>,
    /// `None` for a limit of a fixed cost.
    units: IdVec<LimitId, Option<MetricId>>,
    unlimited: MetricId,
    /// `None` without an endpoint.
    answered: Option<MetricId>,
    would_refuse: WouldRefuse,
    unauthorized: [MetricId; AuthFailure::ALL.len()],
    denied: IdVec<DenialId, MetricId>,
    paths: [Option<MetricId>; Ambiguity::ALL.len()],
    payloads: IdVec<PayloadId, [Option<MetricId>; Reason::ALL.len()]>,
    queues: IdVec<PoolId, QueueMetrics>,
    /// By status.
    refused: BTreeMap<u32, MetricId>,
    faults: [MetricId; Fault::NAMES.len()],
    store: StoreMetrics,
    /// `None` if no limit is shared.
    engine: Option<EngineMetrics>,
    /// `None` without an export of usage.
    usage: Option<UsageMetrics>,
    /// `None` if no body is inspected.
    uploads: Option<UploadMetrics>,
}

/// Requests that something in shadow would have refused; `None` for parts that are enforced.
#[derive(Debug)]
struct WouldRefuse {
    no_limit: Option<MetricId>,
    pools: IdVec<PoolId, Option<MetricId>>,
    payloads: IdVec<PayloadId, Option<MetricId>>,
}

/// The metrics of one pool's queue.
#[derive(Debug)]
struct QueueMetrics {
    refused: [MetricId; QueueReason::ALL.len()],
    depth: MetricId,
    wait: MetricId,
}

/// A change of one metric.
enum Change {
    Add(MetricId, u64),
    Adjust(MetricId, i64),
    Record(MetricId, u64),
}

/// Defines the metrics of one policy at the host.
struct Definer<'a, F> {
    policy: &'a str,
    define: F,
}

impl<F: FnMut(MetricKind, &str) -> MetricId> Definer<'_, F> {
    fn metric(&mut self, kind: MetricKind, labels: &[(&str, &str)], name: &str) -> MetricId {
        let mut full = String::new();
        for (label, value) in [(POLICY, self.policy)].iter().chain(labels) {
            for part in [label, "=.=", value, ";.;"] {
                full.push_str(part);
            }
        }
        full.push_str(name);
        (self.define)(kind, &full)
    }

    fn counter(&mut self, labels: &[(&str, &str)], name: &str) -> MetricId {
        self.metric(MetricKind::Counter, labels, name)
    }

    fn requests(&mut self, limit: &str, decided: DecisionLabel) -> MetricId {
        self.counter(
            &[(LIMIT, limit), (DECISION, decided.name())],
            "sluicegate_requests_total",
        )
    }

    fn answered(&mut self, policy: &Policy) -> Option<MetricId> {
        policy.replies.endpoint.as_ref()?;
        Some(self.requests(NO_LIMIT, DecisionLabel::Answered))
    }

    fn refunds(
        &mut self,
        policy: &Policy,
        owner: CounterOwner,
        limit: &str,
    ) -> [Option<MetricId>; Refund::ALL.len()] {
        Refund::ALL.map(|why| {
            let labels = [(LIMIT, limit), (REASON, why.name())];
            is_possible(policy, owner, why)
                .then(|| self.counter(&labels, "sluicegate_refunds_total"))
        })
    }

    fn units(&mut self, limit: &Limit) -> Option<MetricId> {
        let varies = |cost: &CostSource| match cost {
            CostSource::Fixed(_) => false,
            CostSource::Header(_) | CostSource::Settled { .. } => true,
        };
        let varies = limit.costs.depends_on_route() || limit.costs.all().any(varies);
        varies.then(|| self.counter(&[(LIMIT, &limit.scope.name)], "sluicegate_units_total"))
    }

    fn locks(&mut self, limit: &Limit) -> Option<MetricId> {
        limit.lock?;
        Some(self.counter(&[(LIMIT, &limit.scope.name)], "sluicegate_locks_total"))
    }

    fn payload(&mut self, limit: &Payload) -> [Option<MetricId>; Reason::ALL.len()] {
        let possible = limit.reasons();
        Reason::ALL.map(|reason| {
            let labels = [(LIMIT, &*limit.scope.name), (REASON, reason.name())];
            possible
                .contains(&reason)
                .then(|| self.counter(&labels, "sluicegate_payloads_refused_total"))
        })
    }

    fn would_refuse(&mut self, policy: &Policy) -> WouldRefuse {
        let mut of = |name: &str, enforcement: Enforcement| {
            let is_shadow = enforcement == Enforcement::Shadow;
            is_shadow.then(|| self.requests(name, DecisionLabel::WouldRefuse))
        };
        let pools = policy.pools.iter();
        let payloads = policy.payloads.iter();
        WouldRefuse {
            no_limit: of(NO_LIMIT, policy.enforcement),
            pools: pools.map(|it| of(&it.scope.name, it.enforcement)).collect(),
            payloads: payloads
                .map(|it| of(&it.scope.name, it.enforcement))
                .collect(),
        }
    }

    fn queue(&mut self, pool: &str) -> QueueMetrics {
        QueueMetrics {
            refused: QueueReason::ALL.map(|reason| {
                let labels = [(LIMIT, pool), (REASON, reason.name())];
                self.counter(&labels, "sluicegate_queue_refused_total")
            }),
            depth: self.metric(
                MetricKind::Gauge,
                &[(LIMIT, pool)],
                "sluicegate_queue_depth",
            ),
            // Envoy's histograms have no unit, and only whole numbers.
            wait: self.metric(
                MetricKind::Histogram,
                &[(LIMIT, pool)],
                "sluicegate_queue_wait_ms",
            ),
        }
    }
}

impl Metrics {
    /// Defines all metrics of `policy`. `define` must return the same id for the same name.
    pub fn define(policy: &Policy, define: impl FnMut(MetricKind, &str) -> MetricId) -> Self {
        let mut definer = Definer {
            policy: &policy.name,
            define,
        };
        let limits = || policy.limits.iter();
        // Without routes no path is refused.
        let has_routes = policy.routes.route_count() > 0;
        Self {
            queues: policy
                .pools
                .iter()
                .map(|pool| definer.queue(&pool.scope.name))
                .collect(),
            requests: policy.for_each_owner(|_, name| {
                DecisionLabel::ALL.map(|decided| definer.requests(name, decided))
            }),
            unlimited: definer.requests(NO_LIMIT, DecisionLabel::Admitted),
            answered: definer.answered(policy),
            would_refuse: definer.would_refuse(policy),
            payloads: policy
                .payloads
                .iter()
                .map(|limit| definer.payload(limit))
                .collect(),
            locks: limits().map(|limit| definer.locks(limit)).collect(),
            units: limits().map(|limit| definer.units(limit)).collect(),
            refunds: policy.for_each_owner(|owner, name| definer.refunds(policy, owner, name)),
            paths: Ambiguity::ALL.map(|why| {
                let labels = [(REASON, why.name())];
                has_routes.then(|| definer.counter(&labels, "sluicegate_paths_refused_total"))
            }),
            overage: policy.for_each_owner(|_, name| {
                definer.counter(&[(LIMIT, name)], "sluicegate_overage_units_total")
            }),
            unauthorized: AuthFailure::ALL.map(|why| {
                definer.counter(&[(REASON, why.name())], "sluicegate_unauthorized_total")
            }),
            denied: policy
                .deny
                .ids()
                .map(|id| {
                    let entry = id.index().to_string();
                    definer.counter(&[(ENTRY, &*entry)], "sluicegate_denied_total")
                })
                .collect(),
            refused: refused::define(policy, &mut definer),
            faults: Fault::NAMES
                .map(|fault| definer.counter(&[(FAULT, fault)], "sluicegate_faults_total")),
            store: StoreMetrics::define(&mut definer),
            engine: EngineMetrics::define(policy, &mut definer),
            usage: UsageMetrics::define(policy, &mut definer),
            uploads: UploadMetrics::define(policy, &mut definer),
        }
    }

    /// Shows that the policy has no counters. The host may have shown those of a table that is
    /// gone.
    pub fn begin(&self, meter: &impl Meter) {
        meter.set(self.store.counters, 0);
    }

    /// Counts `event` at the host.
    pub fn observe(&self, meter: &impl Meter, event: Event) {
        match self.change(event) {
            Some(Change::Add(counter, amount)) => meter.add(counter, amount),
            Some(Change::Adjust(gauge, by)) => meter.adjust(gauge, by),
            Some(Change::Record(histogram, value)) => meter.record(histogram, value),
            None => {}
        }
    }

    /// The change by `event`; `None` if the policy has no metric for it.
    fn change(&self, event: Event) -> Option<Change> {
        let counter = match event {
            Event::Decision { owner, decided } => {
                *self.requests.get(owner)?.get(decided as usize)?
            }
            Event::Charged {
                owner: CounterOwner::Limit(limit),
                units,
            } => {
                return Some(Change::Add((*self.units.get(limit)?)?, units));
            }
            // A seat limit has a fixed cost.
            Event::Charged {
                owner: CounterOwner::Seats(_),
                ..
            } => return None,
            Event::Locked(CounterOwner::Limit(limit)) => (*self.locks.get(limit)?)?,
            // A seat limit has no lock.
            Event::Locked(CounterOwner::Seats(_)) => return None,
            Event::Overage { owner, units } => {
                return Some(Change::Add(*self.overage.get(owner)?, units));
            }
            Event::QueueRefused { pool, reason } => {
                *self.queues.get(pool)?.refused.get(reason.index())?
            }
            Event::Waiting { pool, by } => {
                return Some(Change::Adjust(self.queues.get(pool)?.depth, by));
            }
            Event::Waited { pool, span } => {
                return Some(Change::Record(
                    self.queues.get(pool)?.wait,
                    span.nanos() / 1_000_000,
                ));
            }
            Event::Unlimited => self.unlimited,
            Event::Answered => self.answered?,
            Event::Refused { status } => *self.refused.get(&status)?,
            Event::WouldRefuse(Shadowed::NoLimit) => self.would_refuse.no_limit?,
            Event::WouldRefuse(Shadowed::Pool(pool)) => (*self.would_refuse.pools.get(pool)?)?,
            Event::WouldRefuse(Shadowed::Payload(payload)) => {
                (*self.would_refuse.payloads.get(payload)?)?
            }
            Event::Unauthorized(why) => *self.unauthorized.get(why as usize)?,
            Event::Denied(entry) => *self.denied.get(entry)?,
            Event::PathRefused(why) => (*self.paths.get(why as usize)?)?,
            Event::PayloadRefused { payload, reason } => {
                (*self.payloads.get(payload)?.get(reason as usize)?)?
            }
            Event::Refunded { owner, why } => (*self.refunds.get(owner)?.get(why as usize)?)?,
            Event::UsageFailed => self.usage.as_ref()?.failed,
            Event::UsageOverflow(requests) => {
                return Some(Change::Add(self.usage.as_ref()?.overflow, requests));
            }
            Event::Engine(event) => return self.engine.as_ref()?.change(event),
            Event::Reset => self.store.resets,
            Event::Fault(fault) => *self.faults.get(fault.index())?,
            Event::Evicted { records } => return Some(Change::Add(self.store.evicted, records)),
            Event::Counters { by } => return Some(Change::Adjust(self.store.counters, by)),
            Event::Conflicts { swaps } => return Some(Change::Add(self.store.conflicts, swaps)),
        };
        Some(Change::Add(counter, 1))
    }
}

/// Whether charges of this limit or seat limit can be refunded for this reason.
fn is_possible(policy: &Policy, owner: CounterOwner, why: Refund) -> bool {
    match why {
        Refund::Failed | Refund::NotCounted => policy
            .limit(owner)
            .is_some_and(|limit| Refund::by_response(&limit.charge) == Some(why)),
        Refund::Redirected => true,
        Refund::QueueRefused | Refund::QueueLeft => !policy.pools.is_empty(),
        Refund::PayloadRefused => !policy.payloads.is_empty(),
    }
}
