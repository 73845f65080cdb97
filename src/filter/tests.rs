//! Streams over a fake host: every event in every phase, and the results that clients and operators
//! see.

/// A policy of two organizations, whose secrets are demo-acme-1 and demo-globex-1. `$rest` begins
/// with further keys of `callers`.
macro_rules! policy_of_two {
    ($rest:literal) => {
        concat!(
            r#"
version: 1
name: demo
callers:
  credentials:
    - { name: token, header: authorization, scheme: Bearer }
    - { name: key, header: x-key }
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex }
"#,
            $rest
        )
    };
}

mod announce;
mod answers;
mod bodies;
mod callers;
mod costs;
mod credentials;
mod denials;
mod endpoint;
mod limits;
mod locks;
mod numbers;
mod operator;
mod parts;
mod paths;
mod payloads;
mod pools;
mod proxy;
mod refunds;
mod refused;
mod reservations;
mod rig;
mod scopes;
mod shadow;
mod sharing;
mod statuses;
mod unidentified;
mod uploads;
mod usage;

use std::rc::Rc;

use proxy::{Pairs, Proxy};

use super::runtime::Runtime;
use super::stream::{Flow, Stream};
use crate::host::fault::Fault;
use crate::host::headers::Headers;
use crate::host::stream::GrpcStatus;
use crate::payload::slice::Slice;
use crate::queue::stream::StreamId;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  for: { routes: ["/v2/**"] }
  credentials:
    - { name: token, header: authorization, scheme: Bearer }
    - { name: api_key, header: x-api-key }
  directory:
    # demo-acme-1
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme }
    # demo-acme-2
    - { sha256: 0f6ef3a1c3c44c2ebda0cd37ec10be0c0832c7b639dd11f0193c9337a22f19a2, org: acme }
    # demo-globex-1
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex }
  attributes:
    thing: [{ path: "/v2/things/{thing}/**" }]
tiers:
  - { name: read, routes: ["GET /v2/**"] }
  - { name: write, routes: ["/v2/**"] }
limits:
  - { name: reads, for: { tier: read }, per: [org], bucket: { burst: 3, refill: 60/min },
      charge: success }
  - { name: writes, for: { tier: write }, per: [org], bucket: { burst: 2, refill: 1/min },
      charge: success }
  - { name: all, for: { tier: [read, write] }, per: [org], bucket: { burst: 10, refill: 1/h } }
  - { name: per-thing, for: { routes: ["DELETE /v2/things/{id}"] }, per: [id],
      bucket: { burst: 1, refill: 1/h } }
replies:
  refused: { content_type: text/plain, body: "{limit} {retry_after} {trace_id}" }
access_log: { attributes: [org, thing, token] }
"#;

/// The work that one callback may spend on bodies.
fn slice() -> Slice {
    Slice::new(Slice::UNITS)
}

/// Sends one request too many.
fn is_refused_by_reads(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>) {
    let traced: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":path", b"/v2/a%20b"),
        ("x-api-key", b"demo-acme-2"),
        ("x-request-id", b"r-1"),
    ];
    assert_eq!(proxy.send(runtime, &traced).1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, &*reply.details, &*reply.body),
        (429, "sluicegate_refused:reads", "reads 1 r-1")
    );
    assert_eq!(reply.grpc_status, GrpcStatus::ResourceExhausted);
    assert!(
        reply
            .headers
            .contains(&("retry-after".into(), "1".to_owned())),
        "{:?}",
        reply.headers
    );
}

#[test]
fn a_request_is_admitted_until_the_burst_is_spent_and_then_refused_with_a_time_to_retry() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    for remaining in ["2", "1", "0"] {
        let (mut stream, flow) = proxy.get(&runtime, "/v2/things/7/data", "demo-acme-1");
        assert_eq!(flow, Flow::Continue);
        let response = proxy.answer(
            &mut stream,
            &[(":status", "200"), ("x-ratelimit-limit", "999")],
        );
        assert_eq!(
            (
                &*response["x-ratelimit-limit"],
                &*response["x-ratelimit-remaining"]
            ),
            ("3", remaining)
        );
    }
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=admitted limit=reads tier=read org=acme thing=7 token=-"
    );
    is_refused_by_reads(&proxy, &runtime);
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=refused limit=reads tier=read org=acme thing=- token=-"
    );
    assert_eq!(
        proxy.get(&runtime, "/v2/a", "demo-globex-1").1,
        Flow::Continue
    );
    proxy.wait(1);
    assert_eq!(
        proxy.get(&runtime, "/v2/a", "demo-acme-1").1,
        Flow::Continue
    );
    for (name, count) in [
        ("limit=.=reads;.;decision=.=admitted", 5),
        ("limit=.=reads;.;decision=.=refused", 1),
        ("limit=.=all;.;decision=.=admitted", 5),
        ("limit=.=all;.;decision=.=refused", 0),
    ] {
        assert_eq!(
            proxy.count(&format!(
                "policy=.=demo;.;{name};.;sluicegate_requests_total"
            )),
            count,
            "{name}"
        );
    }
}

/// A request with these headers is answered with 401, and `line` is in the access log.
fn assert_unauthorized(
    proxy: &Proxy,
    runtime: &Rc<Runtime<Proxy>>,
    why: &str,
    headers: Pairs<'_>,
    line: &str,
) {
    let pairs = [&[(":path", &b"/v2/a"[..])], headers].concat();
    let (mut stream, flow) = proxy.send(runtime, &pairs);
    assert_eq!(flow, Flow::Stop, "{why}");
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, reply.details),
        (401, format!("sluicegate_unauthorized:{why}"))
    );
    let challenge = if why == "absent" {
        "Bearer realm=\"demo\""
    } else {
        "Bearer realm=\"demo\", error=\"invalid_token\""
    };
    assert!(
        reply
            .headers
            .contains(&("www-authenticate".into(), challenge.to_owned()))
    );
    // Envoy shows the filter its own reply, which gets no fields.
    assert_eq!(proxy.answer(&mut stream, &[(":status", "401")]).len(), 1);
    assert_eq!(
        proxy.take_line().unwrap(),
        format!("decision=refused limit=- tier=write {line}")
    );
    assert!(
        proxy.count(&format!(
            "policy=.=demo;.;reason=.={why};.;sluicegate_unauthorized_total"
        )) > 0
    );
}

#[test]
fn an_unknown_caller_is_refused_if_the_route_asks_for_one() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let nothing = "org=- thing=- token=-";
    let cases: [(&str, Pairs<'_>, &str); 6] = [
        ("absent", &[], nothing),
        (
            "absent",
            &[("authorization", b"Basic eDp5"), ("x-api-key", b"  ")],
            nothing,
        ),
        ("unknown", &[("x-api-key", b"\xff\xfe")], nothing),
        (
            "unknown",
            &[
                ("x-api-key", b"demo-acme-1"),
                ("authorization", b"bearer nobody"),
            ],
            "org=acme thing=- token=6382b3cc881412b77bfcaeed026001c0",
        ),
        (
            "ambiguous",
            &[("x-api-key", b"demo-acme-1"), ("x-api-key", b"demo-acme-1")],
            "org=- thing=- token=- ambiguous=api_key",
        ),
        (
            "conflicting",
            &[
                ("x-api-key", b"demo-acme-1"),
                ("authorization", b"BEARER demo-globex-1"),
            ],
            "org=- thing=- token=a9991e8d52644519c2b358319c96da26 conflicting=org",
        ),
    ];
    for (why, headers, line) in cases {
        assert_unauthorized(&proxy, &runtime, why, headers, line);
    }
}

#[test]
fn two_keys_of_one_organization_are_one_caller() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let both: [(&str, &[u8]); 3] = [
        (":path", b"/v2/a"),
        ("x-api-key", b"demo-acme-1"),
        ("authorization", b"bEaReR demo-acme-2"),
    ];
    assert_eq!(proxy.send(&runtime, &both).1, Flow::Continue);
}

#[test]
fn a_route_that_asks_for_no_caller_has_no_limit_and_no_field() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let (mut stream, flow) =
        proxy.send(&runtime, &[(":path", b"/health"), ("x-api-key", b"nobody")]);
    assert_eq!(flow, Flow::Continue);
    let response = proxy.answer(
        &mut stream,
        &[(":status", "200"), ("x-ratelimit-remaining", "7")],
    );
    assert_eq!(response.keys().collect::<Vec<_>>(), [":status"]);
}

#[test]
fn an_internal_redirect_is_one_request() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    for _ in 0..5 {
        let (mut first, _) = proxy.get(&runtime, "/v2/a", "demo-acme-1");
        proxy.details.replace(Some("internal_redirect"));
        first.on_end(&proxy);
        proxy.details.take();
        let (mut second, flow) = proxy.get(&runtime, "/v2/b", "demo-acme-1");
        assert_eq!(flow, Flow::Continue);
        proxy.answer(&mut second, &[(":status", "503")]);
        second.on_end(&proxy);
    }
    assert_eq!(proxy.reads_left(&runtime), 3);
}

#[test]
fn a_refusal_by_one_limit_takes_nothing_from_another() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    for _ in 0..50 {
        proxy.send(
            &runtime,
            &[
                (":method", b"POST"),
                (":path", b"/v2/a"),
                ("x-api-key", b"demo-acme-1"),
            ],
        );
    }
    assert_eq!(proxy.replies.borrow().len(), 48);
    // Two of ten went to the writes that passed; the reads take three more each time they refill.
    for reads in [3, 3, 2] {
        assert_eq!(proxy.reads_left(&runtime), reads);
        proxy.wait(3);
    }
}

#[test]
fn a_capture_of_a_limits_own_route_is_part_of_its_key() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let delete = |path: &str| {
        proxy
            .send(
                &runtime,
                &[
                    (":method", b"DELETE"),
                    (":path", path.as_bytes()),
                    ("x-api-key", b"demo-globex-1"),
                ],
            )
            .1
    };
    assert_eq!(
        ["/v2/things/1", "/v2//things/%31/", "/v2/things/2"].map(delete),
        [Flow::Continue, Flow::Stop, Flow::Continue]
    );
}

#[test]
fn a_policy_that_changes_while_a_request_is_under_way_keeps_the_counts() {
    let proxy = Proxy::new();
    let old = proxy.runtime(POLICY);
    let (mut under_way, _) = proxy.get(&old, "/v2/a", "demo-acme-1");
    let new =
        proxy.runtime(&POLICY.replace("burst: 3, refill: 60/min", "burst: 5, refill: 60/min"));
    assert_eq!(proxy.get(&new, "/v2/a", "demo-acme-1").1, Flow::Continue);
    proxy.answer(&mut under_way, &[(":status", "500")]);
    drop(old);
    assert_eq!(proxy.reads_left(&new), 4);
}

#[test]
fn a_fault_is_counted_and_the_failure_mode_decides() {
    for (mode, flow) in [("allow", Flow::Continue), ("deny", Flow::Stop)] {
        let proxy = Proxy::new();
        let policy = POLICY.replace(
            "charge: success }",
            &format!("charge: success, failure: {mode} }}"),
        );
        let runtime = proxy.runtime(&policy);
        proxy.data.fault.set(Some(Fault::HostStatus(10)));
        assert_eq!(proxy.get(&runtime, "/v2/a", "demo-acme-1").1, flow);
        assert_eq!(
            proxy.count("policy=.=demo;.;fault=.=host_status;.;sluicegate_faults_total"),
            2
        );
    }
}

#[test]
fn no_request_head_is_too_strange() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    for block in [
        vec![],
        vec![255; 40],
        vec![0],
        Headers::encode(&[]),
        Headers::encode(&[(":method", b"CONNECT")]),
        Headers::encode(&[
            (":path", b"\xff/%zz?&&=&\x00"),
            ("", b""),
            ("x-api-key", b""),
        ]),
    ] {
        proxy.request.replace(block);
        assert_eq!(
            Stream::new(Rc::clone(&runtime), StreamId(1)).on_request_headers(&proxy, true),
            Flow::Continue
        );
    }
}
