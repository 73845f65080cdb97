#![allow(clippy::arithmetic_side_effects, reason = "test code")]

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

    fn record(&self, histogram: MetricId, value: u64) {
        self.note(&format!("is {value}"), histogram);
    }
}

fn limit(number: u16) -> CounterOwner {
    CounterOwner::Limit(LimitId::new(number))
}

const SEATS: CounterOwner = CounterOwner::Seats(SeatId::FIRST);

/// A check of the limit with this number.
fn check(policy: &Policy, number: u16, answer: Result<Decision, Fault>) -> LimitCheck {
    let key = KeyMaker::new(&[0; 16], 9).partition(b"a").finish();
    let owner = limit(number);
    let rule = policy.limit(owner).unwrap().rule;
    let mut check = LimitCheck::new(owner, key, rule, Cost::Now(4), FailureMode::Allow);
    (check.answer, check.at) = (answer, Timestamp::from_nanos(0));
    check
}

const ADMIT: Decision = Decision::Admit(BALANCE);
const BALANCE: Balance = Balance {
    remaining: 0,
    overage: 3,
    next_unit_in: Span::ZERO,
    reset_in: Span::ZERO,
};
const DENY: Decision = Decision::Deny {
    retry_after: Span::ZERO,
    balance: BALANCE,
};
const REFUSE: Verdict = Verdict::Refuse(engine::Refusal {
    check: 0,
    retry_after: None,
});

#[test]
fn every_event_changes_the_metric_of_its_name() {
    let reason = Reason::JsonDepth;
    let expected = [
        (
            Event::Decision {
                owner: limit(1),
                decided: DecisionLabel::WouldRefuse,
            },
            "Counter policy.=.demo;.;limit.=.bytes;.;decision.=.would_refuse;.;\
             sluicegate_requests_total +1",
        ),
        (
            Event::Decision {
                owner: SEATS,
                decided: DecisionLabel::Refused,
            },
            "Counter policy.=.demo;.;limit.=.seat;.;decision.=.refused;.;\
             sluicegate_requests_total +1",
        ),
        (
            Event::Unlimited,
            "Counter policy.=.demo;.;limit.=.-;.;decision.=.admitted;.;\
             sluicegate_requests_total +1",
        ),
        (
            Event::Unauthorized(AuthFailure::Conflicting),
            "Counter policy.=.demo;.;reason.=.conflicting;.;sluicegate_unauthorized_total +1",
        ),
        (
            Event::PathRefused(Ambiguity::Long),
            "Counter policy.=.demo;.;reason.=.long;.;sluicegate_paths_refused_total +1",
        ),
        (
            Event::Overage {
                owner: limit(1),
                units: 7,
            },
            "Counter policy.=.demo;.;limit.=.bytes;.;sluicegate_overage_units_total +7",
        ),
        (
            Event::QueueRefused {
                pool: PoolId::FIRST,
                reason: QueueReason::Unavailable(Fault::BadRecord),
            },
            "Counter policy.=.demo;.;limit.=.pool;.;reason.=.unavailable;.;\
             sluicegate_queue_refused_total +1",
        ),
        (
            Event::Waiting {
                pool: PoolId::FIRST,
                by: -1,
            },
            "Gauge policy.=.demo;.;limit.=.pool;.;sluicegate_queue_depth by -1",
        ),
        (
            Event::Waited {
                pool: PoolId::FIRST,
                span: Span::from_nanos(2_999_999),
            },
            "Histogram policy.=.demo;.;limit.=.pool;.;sluicegate_queue_wait_ms is 2",
        ),
        (
            Event::PayloadRefused {
                payload: PayloadId::FIRST,
                reason,
            },
            "Counter policy.=.demo;.;limit.=.body;.;reason.=.json_depth;.;\
             sluicegate_payloads_refused_total +1",
        ),
        (
            Event::Charged {
                owner: limit(1),
                units: 5,
            },
            "Counter policy.=.demo;.;limit.=.bytes;.;sluicegate_units_total +5",
        ),
        (
            Event::Refunded {
                owner: SEATS,
                why: Refund::QueueLeft,
            },
            "Counter policy.=.demo;.;limit.=.seat;.;reason.=.queue_left;.;\
             sluicegate_refunds_total +1",
        ),
        (
            Event::Fault(Fault::HostStatus(4)),
            "Counter policy.=.demo;.;fault.=.host_status;.;sluicegate_faults_total +1",
        ),
        (
            Event::Evicted { records: 2 },
            "Counter policy.=.demo;.;sluicegate_records_evicted_total +2",
        ),
        (
            Event::Conflicts { swaps: 3 },
            "Counter policy.=.demo;.;sluicegate_conflicts_total +3",
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
            .filter_map(|part| part.split_once(".=."))
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
fn a_decision_is_labelled_by_its_check_and_the_verdict() {
    let policy = policy(POLICY);
    let label = |answer, enforcement, verdict| {
        let mut check = check(&policy, 0, answer);
        check.enforcement = enforcement;
        DecisionLabel::of(&check, verdict)
    };
    for (answer, enforcement, in_admitted, in_refused) in [
        (
            Ok(ADMIT),
            Enforcement::Enforce,
            Some(DecisionLabel::Admitted),
            None,
        ),
        (
            Ok(ADMIT),
            Enforcement::Shadow,
            Some(DecisionLabel::Admitted),
            None,
        ),
        (
            Ok(DENY),
            Enforcement::Shadow,
            Some(DecisionLabel::WouldRefuse),
            Some(DecisionLabel::WouldRefuse),
        ),
        (
            Ok(DENY),
            Enforcement::Enforce,
            Some(DecisionLabel::Refused),
            Some(DecisionLabel::Refused),
        ),
        // With `failure: allow`.
        (
            Err(Fault::Full),
            Enforcement::Enforce,
            Some(DecisionLabel::Admitted),
            None,
        ),
    ] {
        assert_eq!(
            label(answer, enforcement, Verdict::Admit),
            in_admitted,
            "{answer:?} {enforcement:?}"
        );
        assert_eq!(
            label(answer, enforcement, REFUSE),
            in_refused,
            "{answer:?} {enforcement:?}"
        );
    }
}

#[test]
fn an_admission_counts_each_limit_its_charge_and_its_overage() {
    let policy = policy(POLICY);
    let mut charged = check(&policy, 1, Ok(ADMIT));
    let mut shadow = check(&policy, 0, Ok(DENY));
    shadow.enforcement = Enforcement::Shadow;
    let unread = check(&policy, 0, Err(Fault::Contended));
    let rule = policy.limits[1].rule;
    let evaluation = rule.evaluate(None, Timestamp::from_nanos(0), Cost::Now(4));
    charged.charge = evaluation
        .after_charge
        .map(|state| state.charge(4, Timestamp::from_nanos(0)));
    assert!(charged.charge.is_some());
    let mut events = Vec::new();
    admission(&[charged, shadow, unread], Verdict::Admit, |event| {
        events.push(event)
    });
    let admitted = |number| Event::Decision {
        owner: limit(number),
        decided: DecisionLabel::Admitted,
    };
    assert_eq!(
        events,
        [
            admitted(1),
            Event::Charged {
                owner: limit(1),
                units: 4
            },
            Event::Overage {
                owner: limit(1),
                units: 3
            },
            // The shadow was counted with the decision, and a counter that was not read was not
            // charged.
            admitted(0),
        ]
    );
    let mut events = Vec::new();
    admission(&[], Verdict::Unlimited, |event| events.push(event));
    assert_eq!(events, [Event::Unlimited]);
}

#[test]
fn overage_is_never_more_than_the_charge() {
    for (over, units, expected) in [(0, 4, None), (3, 4, Some(3)), (9, 4, Some(4)), (9, 0, None)] {
        let found = overage(
            limit(1),
            Balance {
                overage: over,
                ..BALANCE
            },
            units,
        );
        assert_eq!(
            found,
            expected.map(|units| Event::Overage {
                owner: limit(1),
                units
            })
        );
    }
}

#[test]
fn a_store_that_counted_nothing_causes_no_event() {
    let events = |evicted, conflicts| {
        let mut events = Vec::new();
        store_events(StoreStats { evicted, conflicts }, |event| {
            events.push(event)
        });
        events
    };
    assert_eq!(events(0, 0), []);
    assert_eq!(events(2, 0), [Event::Evicted { records: 2 }]);
    assert_eq!(
        events(2, 3),
        [Event::Evicted { records: 2 }, Event::Conflicts { swaps: 3 }]
    );
}

#[test]
fn a_line_says_what_the_policy_asks_for_in_one_word_each() {
    let policy = policy(POLICY);
    let long = "x".repeat(300);
    for (user, written) in [
        (None, "-".to_owned()),
        (Some("alice"), "alice".to_owned()),
        (Some("a b=c\"d\\e%f"), "a%20b%3Dc%22d%5Ce%25f".to_owned()),
        (Some("\u{e9}\u{1}"), "%C3%A9%01".to_owned()),
        (Some(&long), "x".repeat(256)),
    ] {
        let pairs: Vec<(&str, &[u8])> = user
            .iter()
            .map(|user| ("x-user", user.as_bytes()))
            .collect();
        let request = Request {
            headers: Headers::new(Headers::encode(&pairs)),
            ..Request::default()
        };
        let caller = identify(&request, &policy).unwrap();
        let line = |decision, limit, tier| {
            Line {
                decision,
                limit,
                tier,
                caller: &caller,
            }
            .to_text(&policy)
            .unwrap()
        };
        assert_eq!(
            line(DecisionLabel::Admitted, Some("bytes"), Some(TierId::FIRST)),
            format!("decision=admitted limit=bytes tier=write user={written} key=-")
        );
        assert_eq!(
            line(DecisionLabel::WouldRefuse, None, None),
            format!("decision=would_refuse limit=- tier=- user={written} key=-")
        );
    }
}

#[test]
fn a_line_is_written_only_if_the_policy_wants_one_and_replaces_the_last() {
    let silent = policy(&POLICY.replace("access_log: { attributes: [user, key] }", ""));
    let request = Request::default();
    let caller = identify(&request, &silent).unwrap();
    let line = Line {
        decision: DecisionLabel::Refused,
        limit: None,
        tier: None,
        caller: &caller,
    };
    assert_eq!(line.to_text(&silent), None);
    let mut text = "the line before".to_owned();
    line.write(&mut text, &silent, &[]);
    assert_eq!(text, "decision=refused limit=- tier=-");
}

#[test]
fn a_401_names_the_credential_that_occurs_more_than_once() {
    let policy = policy(POLICY);
    let pairs: [(&str, &[u8]); 2] = [("x-key", b"a"), ("x-key", b"b")];
    let request = Request {
        headers: Headers::new(Headers::encode(&pairs)),
        ..Request::default()
    };
    let attributes = policy.access_log.as_ref().unwrap();
    let mut text = String::new();
    for (why, end) in [
        (AuthFailure::Ambiguous, " ambiguous=key"),
        (AuthFailure::Unknown, ""),
    ] {
        let refused = suspect(&request, &policy);
        access_log::unauthorized(&mut text, &policy, attributes, None, why, &refused);
        assert_eq!(
            text,
            format!("decision=refused limit=- tier=- user=- key=-{end}")
        );
    }
}
