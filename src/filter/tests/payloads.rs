//! Payload limits: refused bodies, the time of the refusal, its charges, and costs by the body.

use super::*;
use crate::payload::memory::Budget;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: key, header: x-key }]
  unknown: anonymous
  absent: anonymous
  attributes: { plan: [{ header: x-plan, trusted: true }] }
exempt: [{ routes: ["/free"] }]
limits:
  - { name: all, per: [], calendar: { quota: 9, window: 1d } }
  - { name: sent, for: { routes: ["/sent"] }, per: [], calendar: { quota: 100, window: 1d },
      over: count, cost: { bytes: request } }
  - { name: lines, for: { routes: ["/lines"] }, per: [], calendar: { quota: 100, window: 1d },
      over: count, cost: { lines: request } }
  - { name: items, for: { routes: ["/items"] }, per: [], calendar: { quota: 100, window: 1d },
      cost: { items: /a }, charge: success }
payloads:
  - name: record
    for: { routes: ["/records"] }
    json: { value: { at: /data, bytes: 20B }, objects: { where: { type: item }, count: 1 },
            content_types: [application/*+json] }
    hold: true
    overrides: [{ for: { plan: big }, json: { value: { bytes: 30B } } }]
  - { name: file, for: { routes: ["/files"] }, bytes: 50B, decoded_bytes: 60B }
  - { bytes: 10B }
replies:
  payload: { content_type: text/plain,
             body: "{status} {title} {limit} {reason} {max} {trace_id} {detail}" }
access_log: { attributes: [plan] }
"#;

const LEFT: &str = "x-ratelimit-remaining";

/// A POST to `path`, and the answer to its head.
fn post(
    proxy: &Proxy,
    policy: &Rc<Runtime<Proxy>>,
    path: &str,
    more: Pairs<'_>,
) -> (Stream<Proxy>, Flow) {
    let head: [(&str, &[u8]); 3] = [
        (":method", b"POST"),
        (":path", path.as_bytes()),
        ("x-request-id", b"r-1"),
    ];
    proxy.send(policy, &[&head, more].concat())
}

/// Sends the pieces of a body as Envoy does: a held one stays in the buffer.
fn send_body(proxy: &Proxy, stream: &mut Stream<Proxy>, pieces: &[&[u8]]) -> Flow {
    let mut flow = Flow::Continue;
    proxy.body.take();
    for (number, piece) in (1..).zip(pieces) {
        if flow != Flow::Hold {
            proxy.body.take();
        }
        proxy.body.borrow_mut().extend_from_slice(piece);
        let size = proxy.body.borrow().len();
        flow = stream.on_request_body(proxy, size, number == pieces.len(), &mut slice());
        if flow == Flow::Stop {
            break;
        }
    }
    flow
}

/// The units left of `quota`, as a request without a body finds them.
fn left(proxy: &Proxy, policy: &Rc<Runtime<Proxy>>) -> String {
    let (mut stream, _) = post(proxy, policy, "/look", &[]);
    proxy.answer(&mut stream, &[(":status", "200")])[LEFT].clone()
}

fn refusals(proxy: &Proxy, limit: &str, reason: &str) -> u64 {
    proxy.count(&format!(
        "policy=.=demo;.;limit=.={limit};.;reason=.={reason};.;sluicegate_payloads_refused_total"
    ))
}

#[test]
fn a_body_is_refused_by_its_head_or_at_the_first_byte_too_many() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    for (more, pieces, passes) in [
        (
            &[("content-length", &b"10"[..])][..],
            &[&b"12345"[..], b"67890"][..],
            true,
        ),
        (&[], &[b"1234567890", b""], true),
        (&[("content-length", b"11")], &[], false),
        (&[], &[b"12345", b"678901", b"more"], false),
        // A body is counted even if its stated length is false.
        (&[("content-length", b"1")], &[b"12345678901"], false),
    ] {
        let (mut stream, flow) = post(&proxy, &policy, "/", more);
        let flow = if pieces.is_empty() {
            flow
        } else {
            send_body(&proxy, &mut stream, pieces)
        };
        assert_eq!(
            flow,
            if passes { Flow::Continue } else { Flow::Stop },
            "{more:?}"
        );
        if !passes {
            let reply = proxy.replies.borrow_mut().pop().unwrap();
            assert_eq!(
                (reply.status, reply.grpc_status),
                (413, GrpcStatus::ResourceExhausted)
            );
            assert_eq!(reply.details, "sluicegate_payload_refused:payload:bytes");
            assert_eq!(
                reply.body,
                "413 Content Too Large payload bytes 10 r-1 The payload is larger than 10 bytes."
            );
            assert!(
                reply.headers.iter().any(|(name, _)| *name == LEFT),
                "{:?}",
                reply.headers
            );
            assert_eq!(
                proxy.take_line().unwrap(),
                "decision=refused limit=payload tier=- plan=-"
            );
            // Envoy still reports the events of the stream.
            assert_eq!(
                stream.on_request_body(&proxy, 9, true, &mut slice()),
                Flow::Continue
            );
            proxy.answer(&mut stream, &[(":status", "413")]);
            stream.on_end(&proxy);
        }
    }
    assert!(proxy.replies.borrow().is_empty());
    assert_eq!(refusals(&proxy, "payload", "bytes"), 3);
    assert_eq!(
        left(&proxy, &policy),
        "4",
        "all but the one that its head refused, and the one that asks"
    );
}

#[test]
fn a_held_body_goes_on_whole_or_not_at_all() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let record = |more: Pairs<'_>, pieces: &[&[u8]]| {
        let (mut stream, flow) = post(&proxy, &policy, "/records", more);
        assert_eq!(flow, Flow::Hold);
        send_body(&proxy, &mut stream, pieces)
    };
    let big = [("x-plan", &b"big"[..])];
    assert_eq!(
        record(&[], &[b"{\"data\":", b"\"123456789012", b"345678\"}"]),
        Flow::Continue
    );
    assert_eq!(
        record(&[], &[b"{\"data\":", b"\"1234567890123", b"456789\"}"]),
        Flow::Stop
    );
    assert_eq!(
        record(&big, &[b"{\"data\":\"1234567890123456789\"}"]),
        Flow::Continue
    );
    assert_eq!(
        record(&[], &[b"[{\"type\":\"item\"},", b"{\"type\":\"item\"}]"]),
        Flow::Stop
    );
    assert_eq!(record(&[], &[b"[1", b""]), Flow::Stop);
    assert_eq!(
        record(
            &[("content-type", b"application/vnd.api+json")],
            &[b"no JSON"]
        ),
        Flow::Stop
    );
    assert_eq!(
        record(&[("content-type", b"text/plain")], &[b"no JSON"]),
        Flow::Continue,
        "none that is listed"
    );
    let statuses: Vec<u32> = proxy
        .replies
        .borrow()
        .iter()
        .map(|reply| reply.status)
        .collect();
    assert_eq!(statuses, [413, 422, 400, 400]);
    for (reason, count) in [
        ("value_bytes", 1),
        ("objects_count", 1),
        ("malformed_json", 2),
    ] {
        assert_eq!(refusals(&proxy, "record", reason), count, "{reason}");
    }
}

#[test]
fn a_held_body_of_an_unknown_encoding_is_refused_at_its_head() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    assert_eq!(
        post(&proxy, &policy, "/records", &[("content-encoding", b"x")]).1,
        Flow::Stop
    );
    assert_eq!(
        proxy
            .replies
            .borrow()
            .last()
            .map(|reply| (reply.status, reply.grpc_status)),
        Some((415, GrpcStatus::Unimplemented))
    );
}

#[test]
fn trailers_end_a_held_body() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut stream, _) = post(&proxy, &policy, "/records", &[]);
    assert_eq!(send_body(&proxy, &mut stream, &[b"{}"]), Flow::Continue);
    let (mut stream, _) = post(&proxy, &policy, "/records", &[]);
    proxy.body.replace(b"{".to_vec());
    assert_eq!(
        stream.on_request_body(&proxy, 1, false, &mut slice()),
        Flow::Hold
    );
    assert_eq!(stream.on_request_trailers(&proxy, &mut slice()), Flow::Stop);
}

#[test]
fn an_exempt_request_has_no_payload_limit() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut stream, flow) = post(&proxy, &policy, "/free", &[("content-length", b"99")]);
    assert_eq!(
        (flow, send_body(&proxy, &mut stream, &[&[b'x'; 99]])),
        (Flow::Continue, Flow::Continue)
    );
}

#[test]
fn a_cost_of_the_body_is_charged_when_it_is_known() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let sent = |more: Pairs<'_>, pieces: &[&[u8]]| {
        let (mut stream, _) = post(&proxy, &policy, "/sent", more);
        send_body(&proxy, &mut stream, pieces);
        let left = proxy.answer(&mut stream, &[(":status", "500")])["x-ratelimit-limit"].clone();
        stream.on_end(&proxy);
        left
    };
    let over = || proxy.count("policy=.=demo;.;limit=.=sent;.;sluicegate_overage_units_total");
    // The other limit has the fewest requests left.
    assert_eq!(sent(&[("content-length", b"10")], &[&[b'x'; 10]]), "9");
    for _ in 0..6 {
        sent(&[], &[&[b'x'; 5], &[b'x'; 5]]);
    }
    assert_eq!(over(), 0);
    let (mut stream, _) = post(&proxy, &policy, "/sent", &[]);
    stream.on_request_body(&proxy, 6, false, &mut slice());
    stream.on_end(&proxy);
    assert_eq!(
        over(),
        0,
        "one that was cut off costs the bytes that arrived: 76 of 100"
    );
}

#[test]
fn lines_and_items_are_counted_as_they_come() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(
        &POLICY
            .replace("quota: 9,", "quota: 900,")
            .replace("{ bytes: 10B }", "{ bytes: 100B }"),
    );
    let answer = |path: &str, pieces: &[&[u8]], status: &str| {
        let (mut stream, flow) = post(&proxy, &policy, path, &[]);
        assert_eq!(flow, Flow::Continue);
        send_body(&proxy, &mut stream, pieces);
        let left = proxy.answer(&mut stream, &[(":status", status)])[LEFT].clone();
        stream.on_end(&proxy);
        left
    };
    assert_eq!(
        answer("/lines", &[b"a 1\n# x\n", b"\nb", b" 2\n"], "200"),
        "98"
    );
    assert_eq!(
        answer("/lines", &[b"a"], "500"),
        "97",
        "a failed request has sent its body all the same"
    );
    let (mut refused, _) = post(&proxy, &policy, "/lines", &[]);
    assert_eq!(
        send_body(&proxy, &mut refused, &[b"a\nb\n", &[b'\n'; 99]]),
        Flow::Stop
    );
    assert_eq!(
        answer("/lines", &[b"#"], "200"),
        "95",
        "a refused body costs the bytes that were read"
    );
    assert_eq!(answer("/items", &[b"{\"a\":[1,", b"2,3]}"], "200"), "97");
    assert_eq!(
        answer("/items", &[b"{\"a\":[1,2,3]}"], "503"),
        "97",
        "only success is charged"
    );
    assert_eq!(
        answer("/items", &[b"nothing of it"], "200"),
        "96",
        "something other than an array counts as one"
    );
    // The response arrives first, then the rest of the body.
    let (mut early, _) = post(&proxy, &policy, "/items", &[]);
    proxy.body.replace(b"{\"a\":[1,2".to_vec());
    early.on_request_body(&proxy, 9, false, &mut slice());
    let left = &proxy.answer(&mut early, &[(":status", "200")])[LEFT];
    assert_eq!(left, "95", "one unit is reserved until then");
    proxy.body.replace(b",3]}".to_vec());
    assert_eq!(
        early.on_request_body(&proxy, 4, true, &mut slice()),
        Flow::Continue
    );
    assert_eq!(answer("/items", &[b"{\"a\":[]}"], "200"), "93");
}

#[test]
fn a_body_that_is_refused_after_the_response_has_begun_pays() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let (mut stream, _) = post(&proxy, &policy, "/", &[]);
    stream.on_request_body(&proxy, 9, false, &mut slice());
    assert_eq!(proxy.answer(&mut stream, &[(":status", "200")])[LEFT], "8");
    assert_eq!(
        stream.on_request_body(&proxy, 2, false, &mut slice()),
        Flow::Stop
    );
    stream.on_end(&proxy);
    assert_eq!(left(&proxy, &policy), "7", "it was served");
}

#[test]
fn small_bodies_hold_little_and_all_policies_share_one_budget() {
    let proxy = Proxy::new();
    let text = POLICY
        .replace("quota: 9,", "quota: 9000,")
        .replace("decoded_bytes: 60B", "decoded_bytes: 20MB");
    let policies = ["one", "two", "three"].map(|name| proxy.runtime(&text.replace("demo", name)));
    let open = |at: usize, body: &[u8]| {
        let policy = &policies[at % policies.len()];
        let (mut stream, flow) = post(&proxy, policy, "/files", &[("content-encoding", b"br")]);
        assert_eq!(flow, Flow::Continue);
        proxy.body.replace(body.to_vec());
        let flow = stream.on_request_body(&proxy, body.len(), false, &mut slice());
        (stream, flow)
    };
    // "Hello" in a block that is not compressed, within a window of 4 MiB; the stream goes on.
    let small: Vec<_> = (0..1000).map(|at| open(at, b"\x0b\x02\x80Hello")).collect();
    assert!(small.iter().all(|(_, flow)| *flow == Flow::Continue));
    assert!(
        proxy.vm.bodies.held() < 16 << 20,
        "{}",
        proxy.vm.bodies.held()
    );
    drop(small);
    assert_eq!(proxy.vm.bodies.held(), 0);
    // A block of 16 MiB is announced, and a window as large.
    let mut large = Vec::new();
    let refused = loop {
        let (stream, flow) = open(large.len(), b"\xcf\xff\xff\xffHello");
        if flow == Flow::Stop {
            break stream;
        }
        large.push(stream);
        assert!(proxy.vm.bodies.held() <= Budget::BYTES);
    };
    assert_eq!(large.len(), 23, "16 MiB each, of 384");
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (reply.status, reply.grpc_status),
        (503, GrpcStatus::Unavailable)
    );
    let wait = ("retry-after".into(), "1".to_owned());
    assert!(reply.headers.contains(&wait));
    drop(refused);
    large.pop();
    assert_eq!(open(0, b"\xcf\xff\xff\xffHello").1, Flow::Continue);
}
