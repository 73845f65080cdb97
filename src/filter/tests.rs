//! Streams over a fake host: every event in every phase, and what clients and operators see.

mod answers;
mod bodies;
mod callers;
mod costs;
mod limits;
mod paths;
mod payloads;
mod pools;
mod proxy;
mod rig;
mod statuses;
mod unidentified;

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

/// What one callback may spend on bodies.
fn slice() -> Slice {
    Slice::new(Slice::UNITS)
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
        proxy.filter_state.take().unwrap(),
        "decision=admitted limit=reads tier=read org=acme thing=7 token=-"
    );
    let traced: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":path", b"/v2/a%20b"),
        ("x-api-key", b"demo-acme-2"),
        ("x-request-id", b"r-1"),
    ];
    assert_eq!(proxy.send(&runtime, &traced).1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, &*reply.details, &*reply.body),
        (429, "sluicegate_refused:reads", "reads 1 r-1")
    );
    assert_eq!(reply.grpc_status, GrpcStatus::ResourceExhausted);
    assert!(
        reply.headers.contains(&("retry-after", "1".to_owned())),
        "{:?}",
        reply.headers
    );
    assert_eq!(
        proxy.filter_state.take().unwrap(),
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
        ("limit.=.reads;.;decision.=.admitted", 5),
        ("limit.=.reads;.;decision.=.refused", 1),
        ("limit.=.all;.;decision.=.admitted", 5),
        ("limit.=.all;.;decision.=.refused", 0),
    ] {
        assert_eq!(
            proxy.count(&format!(
                "policy.=.demo;.;{name};.;sluicegate_requests_total"
            )),
            count,
            "{name}"
        );
    }
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
        let pairs = [&[(":path", &b"/v2/a"[..])], headers].concat();
        let (mut stream, flow) = proxy.send(&runtime, &pairs);
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
                .contains(&("www-authenticate", challenge.to_owned()))
        );
        // Envoy shows the filter its own reply, which gets no fields.
        assert_eq!(proxy.answer(&mut stream, &[(":status", "401")]).len(), 1);
        assert_eq!(
            proxy.filter_state.take().unwrap(),
            format!("decision=refused limit=- tier=write {line}")
        );
        assert!(
            proxy.count(&format!(
                "policy.=.demo;.;reason.=.{why};.;sluicegate_unauthorized_total"
            )) > 0
        );
    }
    let both: [(&str, &[u8]); 3] = [
        (":path", b"/v2/a"),
        ("x-api-key", b"demo-acme-1"),
        ("authorization", b"bEaReR demo-acme-2"),
    ];
    assert_eq!(
        proxy.send(&runtime, &both).1,
        Flow::Continue,
        "two keys of one organization"
    );
    let (mut stream, flow) =
        proxy.send(&runtime, &[(":path", b"/health"), ("x-api-key", b"nobody")]);
    assert_eq!(flow, Flow::Continue);
    let response = proxy.answer(
        &mut stream,
        &[(":status", "200"), ("x-ratelimit-remaining", "7")],
    );
    assert_eq!(
        response.keys().collect::<Vec<_>>(),
        [":status"],
        "no limit applies, so it carries no field"
    );
}

#[test]
fn a_failure_is_refunded_once_and_only_by_limits_that_charge_for_success() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    for status in ["400", "429", "500", "503", "599"] {
        let (mut stream, _) = proxy.get(&runtime, "/v2/a", "demo-acme-1");
        let response = proxy.answer(&mut stream, &[(":status", status)]);
        assert_eq!(
            response["x-ratelimit-remaining"], "3",
            "nothing was taken after all"
        );
        proxy.answer(&mut stream, &[(":status", status)]);
        stream.on_response_trailers(&proxy);
        stream.on_end(&proxy);
    }
    assert_eq!(proxy.refunded("reads", "failed"), 5);
    assert_eq!(proxy.refunded("all", "failed"), 0);
    assert_eq!(proxy.reads_left(&runtime), 3);
}

#[test]
fn a_client_that_hangs_up_before_the_response_pays() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let (mut stream, _) = proxy.get(&runtime, "/v2/a", "demo-acme-1");
    proxy.details.replace(Some("downstream_remote_disconnect"));
    stream.on_end(&proxy);
    assert_eq!(proxy.reads_left(&runtime), 2);
}

#[test]
fn a_grpc_call_fails_by_its_own_status() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(POLICY);
    let call = || {
        let pairs: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":path", b"/v2/a"),
            ("x-api-key", b"demo-acme-1"),
            ("content-type", b"application/grpc+proto"),
        ];
        proxy.send(&runtime, &pairs)
    };
    // Trailers only; in the trailers; a success that stays charged.
    proxy.answer(&mut call().0, &[(":status", "200"), ("grpc-status", "14")]);
    let head = [
        (":status", "200"),
        ("content-type", "application/grpc+proto"),
    ];
    let (mut stream, _) = call();
    proxy.answer(&mut stream, &head);
    proxy
        .response
        .replace([("grpc-status".to_owned(), "13".to_owned())].into());
    stream.on_response_trailers(&proxy);
    let (mut stream, _) = call();
    proxy.answer(&mut stream, &head);
    proxy
        .response
        .replace([("grpc-status".to_owned(), "0".to_owned())].into());
    stream.on_response_trailers(&proxy);
    proxy.response.take();
    assert_eq!(proxy.refunded("reads", "failed"), 2);
    assert_eq!(proxy.reads_left(&runtime), 2);
    assert_eq!(call().1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.body, "limit reads exceeded: retry after 1 s");
    assert!(
        reply
            .headers
            .iter()
            .all(|(name, _)| *name != "content-type"),
        "Envoy sets a gRPC caller's own"
    );
}

#[test]
fn a_grpc_call_that_breaks_off_is_refunded_unless_the_client_ended_it() {
    let call = |details, content_type| {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(POLICY);
        let pairs: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":path", b"/v2/a"),
            ("x-api-key", b"demo-acme-1"),
            ("content-type", b"application/grpc"),
        ];
        let (mut stream, _) = proxy.send(&runtime, &pairs);
        proxy.answer(
            &mut stream,
            &[(":status", "200"), ("content-type", content_type)],
        );
        proxy.details.replace(Some(details));
        stream.on_end(&proxy);
        proxy.reads_left(&runtime)
    };
    for (details, left) in [
        ("upstream_reset_after_response_started{remote_reset}", 3),
        (
            "upstream_reset_after_response_started{connection_termination}",
            3,
        ),
        ("upstream_reset_after_response_started{protocol_error}", 3),
        // The response ended without trailers.
        ("via_upstream", 3),
        ("downstream_remote_disconnect", 2),
        ("http2.remote_reset", 2),
        // The client may be the side that does not read.
        ("stream_idle_timeout", 2),
        ("max_duration_timeout", 2),
    ] {
        assert_eq!(call(details, "application/grpc"), left, "{details}");
        assert_eq!(
            call(details, "text/plain"),
            2,
            "{details}: no gRPC service answered"
        );
    }
}

#[test]
fn a_timeout_is_the_fault_of_the_side_that_envoy_waits_for() {
    type End = fn(&mut Stream<Proxy>, &Proxy);
    let ends: [(End, usize); 3] = [
        (|_, _| (), 2),
        (
            |stream, proxy| {
                assert_eq!(
                    stream.on_request_body(proxy, 9, true, &mut slice()),
                    Flow::Continue
                )
            },
            3,
        ),
        (
            |stream, proxy| {
                assert_eq!(
                    stream.on_request_trailers(proxy, &mut slice()),
                    Flow::Continue
                )
            },
            3,
        ),
    ];
    for (end, left) in ends {
        for (status, grpc_status, grpc) in [
            ("408", "-", "-"),
            ("504", "-", "-"),
            ("200", "4", "application/grpc"),
        ] {
            let proxy = Proxy::new();
            let runtime = proxy.runtime(POLICY);
            let pairs: [(&str, &[u8]); 4] = [
                (":method", b"GET"),
                (":path", b"/v2/a"),
                ("x-api-key", b"demo-acme-1"),
                ("content-type", grpc.as_bytes()),
            ];
            let (mut stream, _) = proxy.send(&runtime, &pairs);
            end(&mut stream, &proxy);
            proxy.details.replace(Some("max_duration_timeout"));
            proxy.answer(
                &mut stream,
                &[(":status", status), ("grpc-status", grpc_status)],
            );
            stream.on_end(&proxy);
            assert_eq!(proxy.reads_left(&runtime), left, "{status}");
        }
    }
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
            proxy.count("policy.=.demo;.;fault.=.host_status;.;sluicegate_faults_total"),
            2
        );
    }
}

#[test]
fn no_order_of_events_answers_twice_or_refunds_twice() {
    type Event = fn(&mut Stream<Proxy>, &Proxy);
    let events: [Event; 4] = [
        |stream, proxy| {
            stream.on_request_headers(proxy, true);
        },
        |stream, proxy| stream.on_response_headers(proxy),
        |stream, proxy| stream.on_response_trailers(proxy),
        |stream, proxy| stream.on_end(proxy),
    ];
    for order in 0..4_usize.pow(5) {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(POLICY);
        let mut stream = Stream::new(Rc::clone(&runtime), StreamId(1));
        proxy.request.replace(Headers::encode(&[
            (":path", b"/v2/a"),
            (":method", b"GET"),
            ("x-api-key", b"demo-acme-1"),
        ]));
        proxy
            .response
            .replace([(":status".to_owned(), "500".to_owned())].into());
        proxy.details.replace(Some("internal_redirect"));
        let mut heads = 0;
        for step in 0..5 {
            let event = order / 4_usize.pow(step) % 4;
            heads += u64::from(event == 0);
            events[event](&mut stream, &proxy);
        }
        let admitted = proxy.count(
            "policy.=.demo;.;limit.=.reads;.;decision.=.admitted;.;sluicegate_requests_total",
        );
        let back = proxy.refunded("reads", "failed") + proxy.refunded("reads", "redirected");
        assert!(
            back <= admitted
                && proxy.replies.borrow().len() as u64 <= heads.saturating_sub(admitted),
            "order {order}"
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
