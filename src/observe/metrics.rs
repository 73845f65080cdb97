//! Events as the proxy's counters, each with a closed set of labels, defined once when the policy
//! is loaded.
//!
//! Envoy has no labels for a filter's counters. They stand in the name, in the form that
//! `stats_config.stats_tags` takes out again: `policy.=.demo;.;limit.=.standard;.;…_total`.

use super::{Decided, Event, Sink};
use crate::host::fault::Fault;
use crate::host::stream::{CounterId, Meter};
use crate::payload::body::Reason;
use crate::policy::Policy;
use crate::policy::limits::{CostSource, Limit};
use crate::policy::payloads::Payload;
use crate::request::identify::Unidentified;

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
    requests: Vec<[CounterId; 3]>,
    overage: Vec<CounterId>,
    units: Vec<Option<CounterId>>,
    given_back: Vec<CounterId>,
    unlimited: CounterId,
    unauthorized: [CounterId; 4],
    payloads: Vec<Vec<(Reason, CounterId)>>,
    faults: [CounterId; 4],
    evicted: CounterId,
}

impl Counters {
    /// Defines all counters of `policy`. `define` gives the same number for the same name.
    pub fn define(policy: &Policy, mut define: impl FnMut(&str) -> CounterId) -> Self {
        let mut counter = |labels: &[(&str, &str)], name: &str| {
            let mut full = format!("{POLICY}.=.{};.;", policy.name);
            for (label, value) in labels {
                full.push_str(&format!("{label}.=.{value};.;"));
            }
            define(&(full + name))
        };
        let mut requests = |limit: &str, decided: Decided| {
            counter(&[(LIMIT, limit), (DECISION, decided.name())], "sluicegate_requests_total")
        };
        let by_limit =
            policy.limits.iter().map(|limit| Decided::ALL.map(|decided| requests(&limit.name, decided))).collect();
        let unlimited = requests(NO_LIMIT, Decided::Admitted);
        let mut payload = |payload: &Payload| -> Vec<(Reason, CounterId)> {
            let labels = |reason: Reason| [(LIMIT, &*payload.name), (REASON, reason.name())];
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
            | CostSource::Items(_) => Some(counter(&[(LIMIT, &limit.name)], "sluicegate_units_total")),
        };
        let units = policy.limits.iter().map(&mut units).collect();
        let mut each = |name: &str| -> Vec<CounterId> {
            policy.limits.iter().map(|limit| counter(&[(LIMIT, &limit.name)], name)).collect()
        };
        Self {
            requests: by_limit,
            unlimited,
            payloads,
            units,
            overage: each("sluicegate_overage_total"),
            given_back: each("sluicegate_given_back_total"),
            unauthorized: Unidentified::ALL
                .map(|why| counter(&[(REASON, why.name())], "sluicegate_unauthorized_total")),
            faults: Fault::NAMES.map(|fault| counter(&[(FAULT, fault)], "sluicegate_faults_total")),
            evicted: counter(&[], "sluicegate_records_evicted_total"),
        }
    }

    fn counter(&self, event: Event) -> Option<CounterId> {
        match event {
            Event::Decision { limit, decided } => {
                self.requests.get(limit).and_then(|all| all.get(decided as usize)).copied()
            }
            Event::Charged { limit, .. } => self.units.get(limit).copied().flatten(),
            Event::Overage { limit, .. } => self.overage.get(limit).copied(),
            Event::Unlimited => Some(self.unlimited),
            Event::Unauthorized(why) => self.unauthorized.get(why as usize).copied(),
            Event::PayloadRefused { payload, reason } => {
                self.payloads.get(payload)?.iter().find(|(known, _)| *known == reason).map(|(_, counter)| *counter)
            }
            Event::GivenBack { limit } => self.given_back.get(limit).copied(),
            Event::Fault(fault) => self.faults.get(fault.index()).copied(),
            Event::Evicted { .. } => Some(self.evicted),
        }
    }
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
        let amount = match event {
            Event::Evicted { records } => records,
            Event::Charged { units, .. } | Event::Overage { units, .. } => units,
            Event::Decision { .. }
            | Event::Unlimited
            | Event::Unauthorized(_)
            | Event::PayloadRefused { .. }
            | Event::GivenBack { .. }
            | Event::Fault(_) => 1,
        };
        if let Some(counter) = self.counters.counter(event) {
            self.meter.add(counter, amount);
        }
    }
}
