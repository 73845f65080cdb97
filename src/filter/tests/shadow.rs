//! Policies, pools, seats and payload limits in shadow.

use super::proxy::Proxy;
use super::*;

/// The secret is demo-acme-1.
const POLICY: &str = r#"
version: 1
name: demo
callers:
  for: { routes: [/in/**] }
  credentials: [{ name: key, header: x-key }]
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme }
  attributes: { user: [{ header: x-user, trusted: true }] }
  unknown: refuse
  absent: refuse
deny: [{ routes: [/closed] }]
limits:
  - { name: guesses, for: { credential: refused }, per: [], rolling: { quota: 1, window: 1h } }
  - { name: one, for: { routes: [/one] }, per: [], rolling: { quota: 1, window: 1h } }
  - { name: sized, for: { routes: [/sized] }, per: [], rolling: { quota: 99, window: 1h },
      cost: { bytes: request } }
concurrency:
  - { ENFORCEMENT name: pool, for: { routes: [/pool] }, per: [], slots: 1,
      queue: { length: 5, timeout: 5s } }
  - { name: second, for: { routes: [/pool] }, per: [], slots: 3 }
seats:
  - { ENFORCEMENT name: seat, for: { routes: [/seat] }, per: [], holder: user, seats: 1, idle: 1h }
payloads:
  - { ENFORCEMENT for: { routes: [/sized, /small] }, bytes: 9B, hold: true }
replies:
  fields: { family: both, write: [{ name: x-pool, of: [second], value: "{remaining}" }] }
  endpoint: { path: /limits }
access_log: { attributes: [] }
"#;

/// Pool, seats and payload limit in shadow.
fn parts() -> String {
    POLICY.replace("ENFORCEMENT", "enforcement: shadow,")
}

/// All in shadow.
fn whole() -> String {
    POLICY.replace("ENFORCEMENT ", "") + "enforcement: shadow\n"
}

fn would_refuse(proxy: &Proxy, limit: &str) -> u64 {
    proxy.count(&format!(
        "policy=.=demo;.;limit=.={limit};.;decision=.=would_refuse;.;sluicegate_requests_total"
    ))
}

/// Sends a request, which is forwarded. Returns the stream and the line for the access log.
fn send(
    proxy: &Proxy,
    runtime: &Rc<Runtime<Proxy>>,
    path: &str,
    more: Pairs<'_>,
) -> (Stream<Proxy>, Option<String>) {
    let head = [(":method", &b"POST"[..]), (":path", path.as_bytes())];
    let (stream, flow) = proxy.send(runtime, &[&head, more].concat());
    assert_eq!(flow, Flow::Continue, "{path}");
    assert!(proxy.replies.borrow().is_empty(), "{path}");
    (stream, proxy.take_line())
}

#[test]
fn a_policy_in_shadow_refuses_nothing_and_counts_everything() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&whole());
    // A 401, a limit on such requests, a 403, and a 400.
    let line = |limit: &str| Some(format!("decision=would_refuse limit={limit} tier=-"));
    let sent = |path: &str| send(&proxy, &runtime, path, &[]).1;
    assert_eq!(sent("/in/a"), line("-"));
    assert_eq!(sent("/in/a"), line("guesses"));
    assert_eq!(sent("/closed"), line("-"));
    assert_eq!(sent("/%2e%2e/a"), line("-"));
    assert_eq!(would_refuse(&proxy, "-"), 3);
    assert_eq!(would_refuse(&proxy, "guesses"), 1);
    let absent = "policy=.=demo;.;reason=.=absent;.;sluicegate_unauthorized_total";
    assert_eq!(proxy.count(absent), 0);
    send(&proxy, &runtime, "/one", &[]);
    assert_eq!(sent("/one"), line("one"));
    // No field of ours, and those of the upstream stay. The endpoint is the upstream's.
    let (mut stream, _) = send(&proxy, &runtime, "/limits", &[]);
    let upstream = [(":status", "200"), ("x-ratelimit-limit", "7")];
    let response = proxy.answer(&mut stream, &upstream);
    assert_eq!(response.len(), 2, "{response:?}");
    let known = [("x-key", &b"demo-acme-1"[..])];
    let (_, line) = send(&proxy, &runtime, "/in/a", &known);
    assert_eq!(line.as_deref(), Some("decision=admitted limit=- tier=-"));
}

#[test]
fn a_pool_in_shadow_lets_everybody_pass_at_once() {
    for policy in [parts(), whole()] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy);
        let (mut first, _) = send(&proxy, &runtime, "/pool", &[]);
        let (mut second, line) = send(&proxy, &runtime, "/pool", &[]);
        let expected = "decision=would_refuse limit=pool tier=-";
        assert_eq!(line.as_deref(), Some(expected));
        assert_eq!(would_refuse(&proxy, "pool"), 1);
        if policy == parts() {
            // The pool that is enforced states its slots, and the other one is not named.
            let response = proxy.answer(&mut first, &[(":status", "200")]);
            assert_eq!(response["x-pool"], "2");
            let named = response["ratelimit-policy"].contains("\"pool\"");
            assert!(!named, "{response:?}");
            let response = proxy.answer(&mut second, &[(":status", "200")]);
            assert_eq!(response["x-pool"], "1");
            let (mut third, _) = send(&proxy, &runtime, "/pool", &[]);
            let head = [(":method", &b"POST"[..]), (":path", b"/pool")];
            let (_, flow) = proxy.send(&runtime, &head);
            assert_eq!(flow, Flow::Stop);
            let reply = proxy.replies.borrow_mut().pop().unwrap();
            let details = "sluicegate_queue_refused:second:queue_full";
            assert_eq!(reply.details, details);
            third.on_end(&proxy);
        }
        // Its slot is free again.
        first.on_end(&proxy);
        second.on_end(&proxy);
        let before = would_refuse(&proxy, "pool");
        send(&proxy, &runtime, "/pool", &[]);
        assert_eq!(would_refuse(&proxy, "pool"), before);
    }
}

#[test]
fn a_seat_limit_in_shadow_refuses_nobody() {
    for policy in [parts(), whole()] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy);
        for user in [b"a", b"b", b"a", b"b"] {
            let (mut stream, _) = send(&proxy, &runtime, "/seat", &[("x-user", user)]);
            stream.on_end(&proxy);
        }
        assert_eq!(would_refuse(&proxy, "seat"), 2);
    }
}

#[test]
fn a_payload_limit_in_shadow_measures_and_passes() {
    for policy in [parts(), whole()] {
        for (path, length, pieces, count) in [
            ("/small", None, &[5, 4][..], 0),
            ("/small", None, &[5, 5], 1),
            ("/small", Some(&b"10"[..]), &[10], 1),
            ("/sized", None, &[5, 5, 5], 1),
        ] {
            let proxy = Proxy::new();
            let runtime = proxy.runtime(&policy);
            let length = length.map(|length| ("content-length", length));
            let more: Vec<_> = length.into_iter().collect();
            let (mut stream, mut line) = send(&proxy, &runtime, path, &more);
            let last = pieces.len().saturating_sub(1);
            for (place, piece) in pieces.iter().enumerate() {
                proxy.body.replace(vec![b'x'; *piece]);
                let flow = stream.on_request_body(&proxy, *piece, place == last, &mut slice());
                assert_eq!(flow, Flow::Continue, "{path} {pieces:?}");
                line = proxy.take_line().or(line);
            }
            assert!(proxy.replies.borrow().is_empty(), "{path} {pieces:?}");
            assert_eq!(would_refuse(&proxy, "payload"), count, "{path} {pieces:?}");
            let line = line.unwrap();
            let refused = line.starts_with("decision=would_refuse limit=payload");
            assert_eq!(refused, count > 0, "{path} {pieces:?} {line}");
            let response = proxy.answer(&mut stream, &[(":status", "200")]);
            stream.on_end(&proxy);
            if path == "/sized" && policy == parts() {
                // The whole body is charged.
                assert_eq!(response["x-ratelimit-remaining"], "84");
            }
        }
    }
}
