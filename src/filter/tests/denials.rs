//! Requests that an entry of `deny` matches.

use super::proxy::{Pairs, Proxy};
use super::*;
use crate::base::property::Property;

const POLICY: &str = policy_of_two!(
    r#"
exempt:
  - { routes: [/health] }
  - { routes: [/a/**], client_address: 10.0.0.0/8 }
deny:
  - { org: globex }
  - { client_address: [192.0.2.0/24, "2001:db8::/32"], routes: [/a/**, /health] }
  - { credential: none, routes: [/closed] }
limits:
  - { name: one, per: [org], bucket: { burst: 2, refill: 1/h } }
access_log: { attributes: [org, key] }
"#
);

const ACME: (&str, &[u8]) = ("authorization", b"Bearer demo-acme-1");
const GLOBEX: (&str, &[u8]) = ("authorization", b"Bearer demo-globex-1");
const WRONG: (&str, &[u8]) = ("x-key", b"hunter2");

/// The status, and the details if the gateway answers.
fn sent(address: &str, path: &str, pairs: Pairs<'_>) -> (u32, String, Option<String>) {
    let proxy = Proxy::new();
    proxy.know(Property::SourceAddress, address.as_bytes().to_vec());
    let runtime = proxy.runtime(POLICY);
    let head = [(":method", &b"GET"[..]), (":path", path.as_bytes())];
    let flow = proxy.send(&runtime, &[&head, pairs].concat()).1;
    let reply = proxy.replies.borrow_mut().pop();
    assert_eq!(flow == Flow::Stop, reply.is_some());
    let line = proxy.take_line();
    match reply {
        Some(reply) => (reply.status, reply.details, line),
        None => (200, String::new(), line),
    }
}

#[test]
fn the_first_entry_that_matches_denies() {
    let client = "198.51.100.1:1";
    for (address, path, pairs, expected) in [
        (client, "/a/b", &[ACME][..], (200, "")),
        (client, "/a/b", &[GLOBEX], (403, "sluicegate_denied:0")),
        ("192.0.2.9:1", "/a/b", &[ACME], (403, "sluicegate_denied:1")),
        ("192.0.2.9:1", "/b", &[ACME], (200, "")),
        (
            "[2001:db8::1]:1",
            "/a/b",
            &[GLOBEX],
            (403, "sluicegate_denied:0"),
        ),
        // A translator's address is its client's.
        (
            "[::ffff:192.0.2.9]:1",
            "/a/b",
            &[ACME],
            (403, "sluicegate_denied:1"),
        ),
        // An exemption takes precedence, and its callers are identified all the same.
        ("192.0.2.9:1", "/health", &[GLOBEX], (200, "")),
        (
            "192.0.2.9:1",
            "/health",
            &[],
            (401, "sluicegate_unauthorized:absent"),
        ),
        ("10.1.2.3:1", "/a/b", &[GLOBEX], (200, "")),
        // A denial takes precedence over a 401.
        ("192.0.2.9:1", "/a/b", &[], (403, "sluicegate_denied:1")),
        (
            client,
            "/a/b",
            &[GLOBEX, WRONG],
            (403, "sluicegate_denied:0"),
        ),
        (
            client,
            "/a/b",
            &[ACME, WRONG],
            (401, "sluicegate_unauthorized:unknown"),
        ),
        // A wrong secret is not an accepted credential.
        (client, "/closed", &[WRONG], (403, "sluicegate_denied:2")),
        (client, "/closed", &[ACME], (200, "")),
        // Nothing is known of a client without an IP address.
        ("@/socket:1", "/a/b", &[ACME], (200, "")),
    ] {
        let (status, details, line) = sent(address, path, pairs);
        assert_eq!((status, &*details), expected, "{address} {path} {pairs:?}");
        let decision = match status {
            403 => "decision=denied limit=- tier=- ",
            401 => "decision=refused limit=- tier=- ",
            _ => "decision=admitted ",
        };
        let line = line.unwrap();
        assert!(line.starts_with(decision), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let (_, _, line) = sent(client, "/closed", &[WRONG]);
    assert!(
        line.unwrap()
            .contains(" key=f52fbd32b2b3b86ff88ef6c490628285"),
        "the identifier of an unknown secret"
    );
}

#[test]
fn a_denial_has_a_body_and_a_counter_of_its_own() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&POLICY.replace(
        "access_log",
        "replies: { denied: { content_type: text/plain, body: \"go away\" } }\naccess_log",
    ));
    for _ in 0..3 {
        proxy.send(&runtime, &[GLOBEX]);
        let reply = proxy.replies.borrow_mut().pop().unwrap();
        assert_eq!((reply.status, &*reply.body), (403, "go away"));
        assert_eq!(
            reply.headers,
            [("content-type".into(), "text/plain".to_owned())],
            "no field of a limit"
        );
    }
    let grpc = ("content-type", &b"application/grpc"[..]);
    proxy.send(&runtime, &[GLOBEX, grpc]);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.grpc_status, GrpcStatus::PermissionDenied);
    assert_eq!(
        proxy.count("policy=.=demo;.;entry=.=0;.;sluicegate_denied_total"),
        4
    );
    assert_eq!(
        proxy.count("policy=.=demo;.;entry=.=1;.;sluicegate_denied_total"),
        0
    );
}
