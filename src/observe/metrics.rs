//! Events as the proxy's counters, each with a closed set of labels, defined once when the policy
//! is loaded.
//!
//! Envoy has no labels for a filter's counters. They stand in the name, in the form that
//! `stats_config.stats_tags` takes out again: `policy.=.demo;.;limit.=.standard;.;…_total`.

use super::{DecisionLabel, Event, Refund, Sink};
use crate::base::id::{CounterOwner, IdVec, LimitId, PayloadId, PerOwner, PoolId};
use crate::base::path::Ambiguity;
use crate::host::fault::Fault;
use crate::host::stream::{Meter, MetricId, MetricKind};
use crate::payload::body::Reason;
use crate::policy::Policy;
use crate::policy::limits::{ChargeWhen, CostSource, Limit};
use crate::policy::payloads::Payload;
use crate::policy::pools::PoolLimit;
use crate::queue::stream::Reason as QueueReason;
use crate::request::identify::AuthFailure;

/// The labels that occur; the bootstrap has one rule for each.
pub const LABELS: [&str; 5] = [POLICY, LIMIT, DECISION, REASON, FAULT];

const POLICY: &str = "policy";
const LIMIT: &str = "limit";
const DECISION: &str = "decision";
const REASON: &str = "reason";
const FAULT: &str = "fault";

/// The limit of a request to which none applies. No limit can have this name.
const NO_LIMIT: &str = "-";

/// The numbers of a policy's counters.
#[derive(Debug)]
pub struct Counters {
    requests: PerOwner<[MetricId; 3]>,
    overage: PerOwner<MetricId>,
    units: IdVec<LimitId, Option<MetricId>>,
    given_back: PerOwner<Vec<(Refund, MetricId)>>,
    unlimited: MetricId,
    unauthorized: [MetricId; 4],
    paths: Vec<MetricId>,
    payloads: IdVec<PayloadId, Vec<(Reason, MetricId)>>,
    queues: IdVec<PoolId, Queue>,
    faults: [MetricId; 6],
    evicted: MetricId,
    conflicts: MetricId,
}

/// What is told of one pool's queue.
#[derive(Debug)]
struct Queue {
    refused: [MetricId; 3],
    depth: MetricId,
    wait: MetricId,
}

/// How many, of what.
enum Amount {
    Add(MetricId, u64),
    Adjust(MetricId, i64),
    Record(MetricId, u64),
}

impl Counters {
    /// Defines all counters of `policy`. `define` gives the same number for the same name.
    pub fn define(policy: &Policy, mut define: impl FnMut(MetricKind, &str) -> MetricId) -> Self {
        let mut metric = |kind: MetricKind, labels: &[(&str, &str)], name: &str| {
            let mut full = format!("{POLICY}.=.{};.;", policy.name);
            for (label, value) in labels {
                full.push_str(&format!("{label}.=.{value};.;"));
            }
            define(kind, &(full + name))
        };
        let queue = |limit: &PoolLimit| {
            let name = [(LIMIT, &*limit.scope.name)];
            let refused = |reason: QueueReason| {
                let labels = [(LIMIT, &*limit.scope.name), (REASON, reason.name())];
                metric(MetricKind::Counter, &labels, "sluicegate_queue_refused_total")
            };
            Queue {
                refused: QueueReason::ALL.map(refused),
                depth: metric(MetricKind::Gauge, &name, "sluicegate_queue_depth"),
                // Envoy's histograms have no unit and whole numbers alone.
                wait: metric(MetricKind::Histogram, &name, "sluicegate_queue_wait_ms"),
            }
        };
        let queues = policy.pools.iter().map(queue).collect();
        let mut counter = |labels: &[(&str, &str)], name: &str| metric(MetricKind::Counter, labels, name);
        let mut requests = |limit: &str, decided: DecisionLabel| {
            counter(&[(LIMIT, limit), (DECISION, decided.name())], "sluicegate_requests_total")
        };
        let by_limit = policy.for_each_owner(|_, name| DecisionLabel::ALL.map(|decided| requests(name, decided)));
        let unlimited = requests(NO_LIMIT, DecisionLabel::Admitted);
        let mut payload = |payload: &Payload| -> Vec<(Reason, MetricId)> {
            let labels = |reason: Reason| [(LIMIT, &*payload.scope.name), (REASON, reason.name())];
            let define = |reason| (reason, counter(&labels(reason), "sluicegate_payloads_refused_total"));
            payload.reasons().into_iter().map(define).collect()
        };
        let payloads = policy.payloads.iter().map(&mut payload).collect();
        let mut units = |limit: &Limit| match limit.cost {
            CostSource::Fixed(_) => None,
            CostSource::Header(_)
            | CostSource::ResponseHeader(_)
            | CostSource::Bytes
            | CostSource::Lines
            | CostSource::Items(_) => Some(counter(&[(LIMIT, &limit.scope.name)], "sluicegate_units_total")),
        };
        let units = policy.limits.iter().map(&mut units).collect();
        let given_back = policy.for_each_owner(|owner, name| {
            let define =
                |why: Refund| (why, counter(&[(LIMIT, name), (REASON, why.name())], "sluicegate_refunds_total"));
            refunds(policy, owner).map(define).collect()
        });
        let path = |why: Ambiguity| counter(&[(REASON, why.name())], "sluicegate_paths_refused_total");
        // Without routes all paths are the same to a policy.
        let paths = Ambiguity::ALL.into_iter().filter(|_| policy.routes.route_count() > 0).map(path).collect();
        let overage = policy.for_each_owner(|_, name| counter(&[(LIMIT, name)], "sluicegate_overage_units_total"));
        Self {
            requests: by_limit,
            unlimited,
            payloads,
            queues,
            units,
            overage,
            given_back,
            unauthorized: AuthFailure::ALL.map(|why| counter(&[(REASON, why.name())], "sluicegate_unauthorized_total")),
            paths,
            faults: Fault::NAMES.map(|fault| counter(&[(FAULT, fault)], "sluicegate_faults_total")),
            evicted: counter(&[], "sluicegate_records_evicted_total"),
            conflicts: counter(&[], "sluicegate_conflicts_total"),
        }
    }

    fn amount(&self, event: Event) -> Option<Amount> {
        let one = match event {
            Event::Decision { owner, decided } => {
                self.requests.get(owner).and_then(|all| all.get(decided as usize)).copied()
            }
            Event::Charged { owner, units } => {
                let CounterOwner::Limit(limit) = owner else { return None };
                return Some(Amount::Add(self.units.get(limit).copied().flatten()?, units));
            }
            Event::Overage { owner, units } => return Some(Amount::Add(*self.overage.get(owner)?, units)),
            Event::QueueRefused { pool, reason } => self.queues.get(pool)?.refused.get(reason.index()).copied(),
            Event::Waiting { pool, by } => return Some(Amount::Adjust(self.queues.get(pool)?.depth, by)),
            Event::Waited { pool, span } => {
                return Some(Amount::Record(self.queues.get(pool)?.wait, span.nanos() / 1_000_000));
            }
            Event::Unlimited => Some(self.unlimited),
            Event::Unauthorized(why) => self.unauthorized.get(why as usize).copied(),
            Event::PathRefused(why) => self.paths.get(why as usize).copied(),
            Event::PayloadRefused { payload, reason } => {
                self.payloads.get(payload)?.iter().find(|(known, _)| *known == reason).map(|(_, counter)| *counter)
            }
            Event::Refunded { owner, why } => {
                self.given_back.get(owner)?.iter().find(|(known, _)| *known == why).map(|(_, counter)| *counter)
            }
            Event::Fault(fault) => self.faults.get(fault.index()).copied(),
            Event::Evicted { records } => return Some(Amount::Add(self.evicted, records)),
            Event::Conflicts { swaps } => return Some(Amount::Add(self.conflicts, swaps)),
        };
        Some(Amount::Add(one?, 1))
    }
}

/// Why charges of this limit or seat limit can be refunded under the policy.
fn refunds(policy: &Policy, owner: CounterOwner) -> impl Iterator<Item = Refund> {
    let for_success = policy.limit(owner).is_some_and(|limit| limit.charge == ChargeWhen::Success);
    let (pools, payloads) = (!policy.pools.is_empty(), !policy.payloads.is_empty());
    let possible = [
        (Refund::Failed, for_success),
        (Refund::Redirected, true),
        (Refund::QueueRefused, pools),
        (Refund::QueueLeft, pools),
        (Refund::PayloadRefused, payloads),
    ];
    possible.into_iter().filter_map(|(why, is_possible)| is_possible.then_some(why))
}

/// Counts events at the host.
#[derive(Debug)]
pub struct MetricsSink<'a, M> {
    /// The policy's counters.
    pub counters: &'a Counters,
    /// Where they are.
    pub meter: &'a M,
}

impl<M: Meter> Sink for MetricsSink<'_, M> {
    fn observe(&self, event: Event) {
        match self.counters.amount(event) {
            Some(Amount::Add(counter, amount)) => self.meter.add(counter, amount),
            Some(Amount::Adjust(gauge, by)) => self.meter.adjust(gauge, by),
            Some(Amount::Record(histogram, value)) => self.meter.record(histogram, value),
            None => {}
        }
    }
}
