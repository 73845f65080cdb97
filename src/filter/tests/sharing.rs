//! Limits that all proxies share: requests that wait for the engine, and their verdicts without it.

mod engine;
mod faults;

use engine::Fleet;

use super::limits::header;
use crate::base::property::Property;
use crate::base::time::Span;
use crate::filter::sharing::CallResult;
use crate::filter::stream::Flow;
use crate::fleet::engine::Engine as _;
use crate::fleet::take::{ProxyId, Rest, Take};
use crate::host::fake::message::metadata;

/// A quota of which something is taken in advance, and one of which each request asks.
const LARGE: &str =
    "- { name: org, per: [org], scope: global, rolling: { quota: 1000, window: 1m } }";
const SMALL: &str = "- { name: org, per: [org], scope: global, rolling: { quota: 2, window: 1m } }";

const OK: &str = "outcome=.=ok;.;";

#[test]
fn a_request_waits_for_units_and_the_next_ones_spend_them() {
    let mut fleet = Fleet::new(&format!("  {LARGE}"));
    assert_eq!(fleet.send(), Flow::Wait);
    assert_eq!(fleet.pending().len(), 1);
    assert_eq!(fleet.answer(), [Flow::Continue]);
    let mut stream = fleet.waiting.pop_first().unwrap().1;
    let fields = fleet.proxy.answer(&mut stream, &[(":status", "200")]);
    assert_eq!(fields["x-ratelimit-limit"], "1000");
    assert_eq!(fields["x-ratelimit-remaining"], "999");
    for _ in 0..5 {
        assert_eq!(fleet.send(), Flow::Continue);
    }
    let line = fleet.proxy.filter_state.borrow().clone().unwrap();
    assert!(line.contains(" org=acme engine=lease "), "{line}");
    assert!(fleet.pending().is_empty());
    assert_eq!(fleet.count("limit=.=org;.;", "engine_waits_total"), 1);
    assert_eq!(fleet.count(OK, "engine_calls_total"), 1);
    let granted = "limit=.=org;.;event=.=granted;.;";
    assert_eq!(fleet.count(granted, "lease_units_total"), 9);
}

#[test]
fn a_lease_that_is_nearly_used_up_is_refilled_before_it_is() {
    let mut fleet = Fleet::new(&format!("  {LARGE}"));
    fleet.send();
    fleet.answer();
    for _ in 0..6 {
        assert_eq!(fleet.send(), Flow::Continue);
    }
    assert!(fleet.pending().is_empty(), "nothing is sent but by a tick");
    fleet.tick(20);
    let (_, takes) = fleet.pending().remove(0);
    let Take {
        spent,
        need,
        want,
        rest,
        ..
    } = takes[0];
    assert_eq!((spent, need, rest), (7, 0, Rest::Keep));
    assert!(want >= 8, "twice as many as before: {want}");
    fleet.answer();
    for _ in 0..10 {
        assert_eq!(fleet.send(), Flow::Continue);
    }
    assert_eq!(fleet.count("limit=.=org;.;", "engine_waits_total"), 1);
}

#[test]
fn the_engine_refuses_and_the_proxy_does_not_ask_again_at_once() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    for _ in 0..2 {
        assert_eq!(fleet.send(), Flow::Wait);
        assert_eq!(fleet.answer(), [Flow::Continue]);
    }
    assert_eq!(fleet.send(), Flow::Wait);
    assert_eq!(fleet.answer(), [Flow::Stop]);
    let reply = fleet.proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(header(&reply, "x-ratelimit-remaining"), Some("0"));
    assert_eq!(header(&reply, "retry-after"), Some("60"));
    for _ in 0..20 {
        assert_eq!(fleet.send(), Flow::Stop);
    }
    assert!(fleet.pending().is_empty());
    fleet.tick(61_000);
    assert_eq!(fleet.send(), Flow::Wait);
    assert_eq!(fleet.answer(), [Flow::Continue]);
}

#[test]
fn a_call_without_an_answer_is_made_once_more_with_the_same_numbers() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    assert_eq!(fleet.send(), Flow::Wait);
    let (_, first) = fleet.pending().remove(0);
    assert_eq!(fleet.end(CallResult::Reset), [Flow::Wait]);
    assert!(fleet.tick(20).is_empty());
    let (_, second) = fleet.pending().remove(0);
    assert_eq!(first, second);
    assert_eq!(fleet.answer(), [Flow::Continue]);
}

#[test]
fn units_of_a_client_that_went_away_are_not_lost() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    fleet.send();
    let (_, mut stream) = fleet.waiting.pop_first().unwrap();
    stream.on_end(&fleet.proxy);
    assert!(fleet.answer().is_empty());
    assert_eq!(fleet.send(), Flow::Continue, "the unit is in the lease");
}

#[test]
fn all_or_none_of_several_limits_are_charged() {
    let mut fleet = Fleet::new(&format!(
        "  {LARGE}\n  - {{ name: one, per: [], scope: global, rolling: {{ quota: 1, window: 1m \
         }} }}"
    ));
    fleet.send();
    assert_eq!(fleet.pending()[0].1.len(), 2, "one call for both");
    assert_eq!(fleet.answer(), [Flow::Continue]);
    fleet.send();
    assert_eq!(fleet.answer(), [Flow::Stop]);
    // A spent unit keeps the lease for once.
    for _ in 0..2 {
        fleet.tick(250_000);
        while !fleet.pending().is_empty() {
            fleet.answer();
        }
    }
    let spent = "limit=.=org;.;event=.=returned;.;";
    assert_eq!(
        fleet.count(spent, "lease_units_total"),
        8,
        "the refused one paid nothing"
    );
}

#[test]
fn a_refund_goes_back_into_the_lease_or_to_the_engine() {
    let limit = "- { name: org, per: [org], scope: global, charge: success,
            rolling: { quota: 1000, window: 1m } }";
    let mut fleet = Fleet::new(&format!("  {limit}"));
    fleet.send();
    fleet.answer();
    let (_, mut stream) = fleet.waiting.pop_first().unwrap();
    let fields = fleet.proxy.answer(&mut stream, &[(":status", "500")]);
    assert_eq!(fields["x-ratelimit-remaining"], "1000");
    let send = |fleet: &mut Fleet| {
        let head: [(&str, &[u8]); 3] = [(":method", b"GET"), (":path", b"/a"), ("x-org", b"acme")];
        fleet.proxy.send(&fleet.runtime, &head).0
    };
    let mut late: Vec<_> = (0..7).map(|_| send(&mut fleet)).collect();
    fleet.tick(20);
    assert_eq!(fleet.pending()[0].1[0].spent, 7);
    fleet.answer();
    let fields = fleet.proxy.answer(&mut late[0], &[(":status", "500")]);
    assert_eq!(fields["x-ratelimit-remaining"], "994");
    fleet.tick(20);
    let take = fleet.pending()[0].1[0];
    assert_eq!((take.spent, take.refund), (0, 1));
    assert!(take.since > 0);
}

#[test]
fn late_costs_are_reported_beyond_the_lease() {
    let limit = "- { name: org, per: [org], scope: global, cost: { response_header: x-cost },
            rolling: { quota: 100, window: 1m } }";
    let mut fleet = Fleet::new(&format!("  {limit}"));
    fleet.send();
    fleet.answer();
    let (_, mut stream) = fleet.waiting.pop_first().unwrap();
    let fields = fleet
        .proxy
        .answer(&mut stream, &[(":status", "200"), ("x-cost", "50")]);
    assert_eq!(fields["x-ratelimit-remaining"], "50");
    fleet.tick(20);
    let take = fleet.pending()[0].1[0];
    assert_eq!(take.spent + take.extra, 50);
}

#[test]
fn a_limit_that_counts_never_waits() {
    let limit = "- { name: org, per: [org], scope: global, over: count,
            calendar: { quota: 3, window: 1d } }";
    let mut fleet = Fleet::new(&format!("  {limit}"));
    for _ in 0..5 {
        assert_eq!(fleet.send(), Flow::Continue);
    }
    fleet.tick(20);
    let take = fleet.pending()[0].1[0];
    assert_eq!((take.extra, take.want), (5, 0));
    fleet.answer();
    let head: [(&str, &[u8]); 3] = [(":method", b"GET"), (":path", b"/a"), ("x-org", b"acme")];
    let (mut stream, _) = fleet.proxy.send(&fleet.runtime, &head);
    let fields = fleet.proxy.answer(&mut stream, &[(":status", "200")]);
    assert_eq!(fields["x-ratelimit-remaining"], "0");
}

#[test]
fn a_lock_reaches_the_engine_and_comes_from_it() {
    let limit = SMALL.replace("per:", "over: { lock: 5m }, per:");
    let mut fleet = Fleet::new(&format!("  {limit}"));
    for _ in 0..2 {
        fleet.send();
        fleet.answer();
    }
    fleet.send();
    let name = fleet.pending()[0].1[0];
    assert_eq!(fleet.proxy.calls.borrow()[0].cluster, "sluicegate_engine");
    assert_eq!(fleet.answer(), [Flow::Stop]);
    fleet.tick(20);
    assert_eq!(fleet.pending()[0].1[0].lock, Span::from_seconds(300));
    fleet.answer();
    // Another proxy sees it.
    let other = Take {
        proxy: ProxyId(5),
        seq: 1,
        lock: Span::ZERO,
        ..name
    };
    let answer = fleet.engine.take(&other).unwrap();
    assert!(answer.locked > Span::from_seconds(299), "{answer:?}");
}

#[test]
fn all_that_is_due_goes_out_in_few_calls() {
    let mut fleet = Fleet::new(&format!("  {LARGE}"));
    for org in 0..200 {
        assert_eq!(fleet.send_as(&org.to_string(), &[]), Flow::Wait);
    }
    assert!(fleet.pending().len() <= 5, "{}", fleet.pending().len());
    let mut flows = Vec::new();
    for _ in 0..20 {
        while !fleet.pending().is_empty() {
            flows.extend(fleet.answer());
        }
        flows.extend(fleet.tick(20));
    }
    let admitted = flows.iter().filter(|flow| **flow == Flow::Continue).count();
    assert_eq!(admitted, 200, "{flows:?}");
    let calls = fleet.proxy.calls.borrow().len();
    assert!(calls <= 12, "{calls}");
}

#[test]
fn a_held_body_waits_with_its_request() {
    let mut fleet = Fleet::new(&format!(
        "  {SMALL}\npayloads: [{{ hold: true, bytes: 4B }}]"
    ));
    for (body, flow) in [("abc", Flow::Continue), ("abcde", Flow::Stop)] {
        assert_eq!(fleet.send(), Flow::Hold);
        let (id, mut stream) = fleet.waiting.pop_first().unwrap();
        fleet.proxy.body.replace(body.as_bytes().to_vec());
        let kept = stream.on_request_body(&fleet.proxy, body.len(), true, &mut super::slice());
        assert_eq!(kept, Flow::Hold);
        fleet.waiting.insert(id, stream);
        assert_eq!(fleet.answer(), [flow], "{body}");
        fleet.waiting.clear();
    }
}

#[test]
fn the_endpoint_states_what_the_engine_said_last() {
    let mut fleet = Fleet::new(&format!(
        "  {SMALL}\nreplies: {{ endpoint: {{ path: /mine }} }}"
    ));
    fleet.send();
    fleet.answer();
    fleet.proxy.tick.set(0);
    let head: [(&str, &[u8]); 3] = [(":method", b"GET"), (":path", b"/mine"), ("x-org", b"acme")];
    let (_, flow) = fleet.proxy.send(&fleet.runtime, &head);
    assert_eq!(flow, Flow::Stop);
    let body = fleet.proxy.replies.borrow_mut().pop().unwrap().body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let limit = &body["limits"][0];
    assert_eq!(
        (&limit["quota"], &limit["remaining"]),
        (&2.into(), &1.into()),
        "{body}"
    );
    let reset = limit["reset"].as_u64().unwrap();
    assert!((55..=60).contains(&reset), "{body}");
}

#[test]
fn an_operator_sees_what_the_engine_said_last_and_resets_nothing() {
    let mut fleet = Fleet::new(&format!("  {SMALL}"));
    fleet.send();
    fleet.answer();
    let role = serde_json::json!({ "sluicegate": { "role": "operator" } });
    fleet.proxy.know(Property::RouteMetadata, metadata(&role));
    let ask = |method: &[u8]| {
        let path = &b"/sluicegate/limits/org?org=acme"[..];
        let head = [(":method", method), (":path", path)];
        let (_, flow) = fleet.proxy.send(&fleet.runtime, &head);
        assert_eq!(flow, Flow::Stop);
        let reply = fleet.proxy.replies.borrow_mut().pop().unwrap();
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        (reply.status, body)
    };
    let (status, body) = ask(b"GET");
    let limit = &body["limits"][0];
    let shown = (status, &limit["remaining"], &limit["scope"]);
    assert_eq!(shown, (200, &1.into(), &"global".into()), "{body}");
    let (status, body) = ask(b"DELETE");
    let advice = body["detail"].as_str().unwrap();
    assert!(
        status == 409 && advice.contains("with an override"),
        "{advice}"
    );
    assert_eq!(ask(b"GET").1["limits"][0]["remaining"], 1);
}
