#![allow(clippy::arithmetic_side_effects, reason = "test code")]

mod access_log;
mod decisions;

use std::cell::RefCell;

use super::access_log::Line;
use super::metrics::Metrics;
use super::*;
use crate::base::id::{Id as _, LimitId, SeatId, TierId};
use crate::base::time::Timestamp;
use crate::engine;
use crate::host::headers::Headers;
use crate::host::stream::{Meter, MetricId};
use crate::limit::{Cost, FailureMode};
use crate::policy::Policy;
use crate::policy::document::from_yaml;
use crate::request::head::Request;
use crate::request::identify::{identify, suspect};
use crate::store::key::KeyMaker;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: key, header: x-key }]
  unknown: anonymous
  absent: anonymous
  attributes: { user: [{ header: x-user, trusted: true }] }
tiers: [{ name: write, routes: ["POST /**"] }]
limits:
  - { name: fixed, per: [], bucket: { burst: 3, refill: 1/min } }
  - { name: bytes, per: [], calendar: { quota: 9, window: 1d }, cost: { bytes: request },
      charge: success }
concurrency: [{ name: pool, per: [], slots: 1, queue: { length: 1, timeout: 1s } }]
seats: [{ name: seat, per: [], holder: user, seats: 1, idle: 1d }]
payloads: [{ name: body, json: { depth: 3 } }]
access_log: { attributes: [user, key] }
"#;

fn policy(text: &str) -> Policy {
    Policy::compile(&from_yaml(text).unwrap()).unwrap()
}

/// A host that records every change of a metric.
#[derive(Default)]
struct Host {
    names: RefCell<Vec<String>>,
    noted: RefCell<Vec<String>>,
}

impl Host {
    fn define(&self, policy: &Policy) -> Metrics {
        Metrics::define(policy, |kind, name| {
            let mut names = self.names.borrow_mut();
            names.push(format!("{kind:?} {name}"));
            MetricId(u32::try_from(names.len() - 1).unwrap())
        })
    }

    fn note(&self, how: &str, metric: MetricId) {
        self.noted
            .borrow_mut()
            .push(format!("{} {how}", self.names.borrow()[metric.0 as usize]));
    }
}

impl Meter for Host {
    fn add(&self, counter: MetricId, amount: u64) {
        self.note(&format!("+{amount}"), counter);
    }

    fn adjust(&self, gauge: MetricId, by: i64) {
        self.note(&format!("by {by}"), gauge);
    }

    fn set(&self, gauge: MetricId, value: u64) {
        self.note(&format!("is {value}"), gauge);
    }

    fn record(&self, histogram: MetricId, value: u64) {
        self.note(&format!("is {value}"), histogram);
    }
}

fn limit(number: u16) -> CounterOwner {
    CounterOwner::Limit(LimitId::new(number))
}

const SEATS: CounterOwner = CounterOwner::Seats(SeatId::FIRST);

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn every_event_changes_the_metric_of_its_name() {
    let reason = Reason::JsonDepth;
    let expected = [
        (
            Event::Refused { status: 422 },
            "Counter policy=.=demo;.;status=.=422;.;sluicegate_refused_requests_total +1",
        ),
        (
            Event::Decision {
                owner: limit(1),
                decided: DecisionLabel::WouldRefuse,
            },
            "Counter policy=.=demo;.;limit=.=bytes;.;decision=.=would_refuse;.;\
             sluicegate_requests_total +1",
        ),
        (
            Event::Decision {
                owner: SEATS,
                decided: DecisionLabel::Refused,
            },
            "Counter policy=.=demo;.;limit=.=seat;.;decision=.=refused;.;\
             sluicegate_requests_total +1",
        ),
        (
            Event::Unlimited,
            "Counter policy=.=demo;.;limit=.=-;.;decision=.=admitted;.;\
             sluicegate_requests_total +1",
        ),
        (
            Event::Unauthorized(AuthFailure::Conflicting),
            "Counter policy=.=demo;.;reason=.=conflicting;.;sluicegate_unauthorized_total +1",
        ),
        (
            Event::PathRefused(Ambiguity::Long),
            "Counter policy=.=demo;.;reason=.=long;.;sluicegate_paths_refused_total +1",
        ),
        (
            Event::Overage {
                owner: limit(1),
                units: 7,
            },
            "Counter policy=.=demo;.;limit=.=bytes;.;sluicegate_overage_units_total +7",
        ),
        (
            Event::QueueRefused {
                pool: PoolId::FIRST,
                reason: QueueReason::Unavailable(Fault::BadRecord),
            },
            "Counter policy=.=demo;.;limit=.=pool;.;reason=.=unavailable;.;\
             sluicegate_queue_refused_total +1",
        ),
        (
            Event::Waiting {
                pool: PoolId::FIRST,
                by: -1,
            },
            "Gauge policy=.=demo;.;limit=.=pool;.;sluicegate_queue_depth by -1",
        ),
        (
            Event::Waited {
                pool: PoolId::FIRST,
                span: Span::from_nanos(2_999_999),
            },
            "Histogram policy=.=demo;.;limit=.=pool;.;sluicegate_queue_wait_ms is 2",
        ),
        (
            Event::PayloadRefused {
                payload: PayloadId::FIRST,
                reason,
            },
            "Counter policy=.=demo;.;limit=.=body;.;reason=.=json_depth;.;\
             sluicegate_payloads_refused_total +1",
        ),
        (
            Event::Charged {
                owner: limit(1),
                units: 5,
            },
            "Counter policy=.=demo;.;limit=.=bytes;.;sluicegate_units_total +5",
        ),
        (
            Event::Refunded {
                owner: SEATS,
                why: Refund::QueueLeft,
            },
            "Counter policy=.=demo;.;limit=.=seat;.;reason=.=queue_left;.;\
             sluicegate_refunds_total +1",
        ),
        (
            Event::Fault(Fault::HostStatus(4)),
            "Counter policy=.=demo;.;fault=.=host_status;.;sluicegate_faults_total +1",
        ),
        (
            Event::Evicted { records: 2 },
            "Counter policy=.=demo;.;sluicegate_records_evicted_total +2",
        ),
        (
            Event::Conflicts { swaps: 3 },
            "Counter policy=.=demo;.;sluicegate_conflicts_total +3",
        ),
        (
            Event::Counters { by: -2 },
            "Gauge policy=.=demo;.;sluicegate_keys by -2",
        ),
    ];
    let host = Host::default();
    let metrics = host.define(&policy(POLICY));
    for (event, expected) in expected {
        metrics.observe(&host, event);
        assert_eq!(host.noted.take(), [expected], "{event:?}");
    }
}

#[test]
fn an_event_that_the_policy_cannot_cause_has_no_metric() {
    let host = Host::default();
    let metrics = host.define(&policy(
        "version: 1\nname: demo\nlimits: [{ name: one, per: [], bucket: { burst: 1, refill: 1/s } \
         }]\n",
    ));
    for event in [
        Event::Charged {
            owner: limit(0),
            units: 1,
        },
        Event::PathRefused(Ambiguity::Nul),
        Event::Refunded {
            owner: limit(0),
            why: Refund::Failed,
        },
        Event::Refunded {
            owner: limit(0),
            why: Refund::QueueRefused,
        },
        Event::Refunded {
            owner: limit(0),
            why: Refund::PayloadRefused,
        },
        Event::PayloadRefused {
            payload: PayloadId::FIRST,
            reason: Reason::Bytes,
        },
        Event::QueueRefused {
            pool: PoolId::FIRST,
            reason: QueueReason::QueueFull,
        },
        Event::Waiting {
            pool: PoolId::FIRST,
            by: 1,
        },
        Event::Waited {
            pool: PoolId::FIRST,
            span: Span::ZERO,
        },
        Event::Decision {
            owner: limit(1),
            decided: DecisionLabel::Admitted,
        },
    ] {
        metrics.observe(&host, event);
        assert!(host.noted.borrow().is_empty(), "{event:?}");
    }
    metrics.observe(
        &host,
        Event::Refunded {
            owner: limit(0),
            why: Refund::Redirected,
        },
    );
    assert_eq!(host.noted.take().len(), 1);
}

#[test]
fn every_metric_is_defined_once_and_has_known_labels() {
    let host = Host::default();
    host.define(&policy(POLICY));
    let names = host.names.take();
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "{name}");
        for (label, _) in name
            .split(' ')
            .next_back()
            .unwrap()
            .split(";.;")
            .filter_map(|part| part.split_once("=.="))
        {
            assert!(metrics::LABELS.contains(&label), "{name}");
        }
    }
}

#[test]
fn the_number_of_a_variant_is_its_index_among_all() {
    assert!(
        DecisionLabel::ALL
            .iter()
            .enumerate()
            .all(|(index, label)| *label as usize == index)
    );
    assert!(
        Refund::ALL
            .iter()
            .enumerate()
            .all(|(index, why)| *why as usize == index)
    );
    assert!(
        AuthFailure::ALL
            .iter()
            .enumerate()
            .all(|(index, why)| *why as usize == index)
    );
    assert!(
        Ambiguity::ALL
            .iter()
            .enumerate()
            .all(|(index, why)| *why as usize == index)
    );
    assert!(
        Reason::ALL
            .iter()
            .enumerate()
            .all(|(index, reason)| *reason as usize == index)
    );
    assert!(
        QueueReason::ALL
            .iter()
            .enumerate()
            .all(|(index, reason)| reason.index() == index)
    );
}

#[test]
fn a_store_that_counted_nothing_causes_no_event() {
    let events = |evicted, conflicts, added| {
        let mut events = Vec::new();
        let stats = StoreStats {
            evicted,
            conflicts,
            added,
        };
        store_events(stats, |event| events.push(event));
        events
    };
    assert_eq!(events(0, 0, 0), []);
    assert_eq!(events(2, 0, 0), [Event::Evicted { records: 2 }]);
    assert_eq!(
        events(2, 3, -1),
        [
            Event::Evicted { records: 2 },
            Event::Conflicts { swaps: 3 },
            Event::Counters { by: -1 }
        ]
    );
}
