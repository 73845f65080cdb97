//! Secrets in cookies and in Basic credentials, callers without an accepted credential, and
//! policies without credentials.

use super::callers::found;
use super::proxy::{Pairs, Proxy};
use super::*;

/// Each secret is demo-acme-1.
const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials:
    - { name: login, header: authorization, scheme: Basic, part: PART }
    - { name: sid, cookie: sid }
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme }
  attributes:
    device: [{ cookie: device }]
    plan: [{ value: free }]
  UNIDENTIFIED
limits:
  - { name: named, for: { credential: [login, sid] }, per: [],
      bucket: { burst: 1000, refill: 1/h } }
  - { name: others, for: { credential: none }, per: [], bucket: { burst: 1000, refill: 1/h },
      overrides: [{ for: { credential: none, plan: free }, burst: 7 }] }
access_log: { attributes: [credential, org, device, plan] }
"#;

fn policy(part: &str, unidentified: &str) -> String {
    POLICY
        .replace("PART", part)
        .replace("UNIDENTIFIED", unidentified)
}

/// `demo-acme-1:x`, `x:demo-acme-1` and `demo-acme-1` in Base64.
const USER: (&str, &[u8]) = ("authorization", b"Basic ZGVtby1hY21lLTE6eA==");
const PASSWORD: (&str, &[u8]) = ("authorization", b"basic eDpkZW1vLWFjbWUtMQ==");
const NO_COLON: (&str, &[u8]) = ("authorization", b"Basic ZGVtby1hY21lLTE=");

fn cookie(line: &[u8]) -> (&str, &[u8]) {
    ("cookie", line)
}

#[test]
fn a_part_of_basic_credentials_is_a_secret() {
    let known = "credential=login org=acme device=- plan=free";
    for (part, pairs, expected) in [
        ("user", &[USER][..], known),
        ("user", &[PASSWORD], "unknown"),
        ("user", &[NO_COLON], "absent"),
        ("user", &[("authorization", b"Basic !")], "absent"),
        (
            "user",
            &[("authorization", b"Bearer demo-acme-1")],
            "absent",
        ),
        ("user", &[USER, USER], "ambiguous"),
        ("password", &[PASSWORD], known),
        ("password", &[USER], "unknown"),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(part, ""));
        assert_eq!(found(&proxy, &runtime, pairs), expected, "{pairs:?}");
    }
}

#[test]
fn a_cookie_is_a_secret_or_an_attribute() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy("user", ""));
    for (pairs, expected) in [
        (
            &[cookie(b"device=d1; sid=demo-acme-1")][..],
            "credential=sid org=acme device=d1 plan=free",
        ),
        (
            &[cookie(b"device=d1"), cookie(b"sid=demo-acme-1")],
            "credential=sid org=acme device=d1 plan=free",
        ),
        (
            &[cookie(b"sid=demo-acme-1; device=")],
            "credential=sid org=acme device=- plan=free",
        ),
        // Quotes belong to the value.
        (&[cookie(b"sid=\"demo-acme-1\"")], "unknown"),
        (&[cookie(b"sid=")], "absent"),
        (&[cookie(b"Sid=demo-acme-1")], "absent"),
        (&[cookie(b"sid=demo-acme-1; sid=demo-acme-1")], "ambiguous"),
        (
            &[cookie(b"sid=demo-acme-1; device=a; device=b")],
            "ambiguous",
        ),
    ] {
        for _ in 0..2 {
            assert_eq!(found(&proxy, &runtime, pairs), expected, "{pairs:?}");
        }
    }
}

/// The limit that the line of the access log names.
fn limit(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>, pairs: Pairs<'_>) -> String {
    assert_eq!(proxy.send(runtime, pairs).1, Flow::Continue, "{pairs:?}");
    let line = proxy.take_line().unwrap();
    let (_, rest) = line.split_once("limit=").unwrap();
    rest.split_once(' ').unwrap().0.to_owned()
}

#[test]
fn only_an_accepted_secret_counts_as_its_credential() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy("user", "unknown: anonymous\n  absent: anonymous"));
    for _ in 0..2 {
        assert_eq!(limit(&proxy, &runtime, &[USER]), "named");
        assert_eq!(limit(&proxy, &runtime, &[PASSWORD]), "others");
        assert_eq!(limit(&proxy, &runtime, &[]), "others");
    }
    // The override for `none` applies.
    for _ in 4..7 {
        assert_eq!(limit(&proxy, &runtime, &[]), "others");
    }
    assert_eq!(proxy.send(&runtime, &[]).1, Flow::Stop);
    assert_eq!(limit(&proxy, &runtime, &[USER]), "named");
}

#[test]
fn without_credentials_no_request_receives_a_401() {
    for callers in [
        "absent: refuse, unknown: refuse, attributes: { team: [{ query: team }] }",
        "credentials: [], attributes: { team: [{ query: team }] }",
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&format!(
            "version: 1\nname: demo\ncallers: {{ {callers} }}\nlimits: [{{ name: one, for: {{ \
             credential: none }}, per: [team], bucket: {{ burst: 9, refill: 1/h }} }}]\n\
             access_log: {{ attributes: [team] }}\n"
        ));
        for (path, team) in [
            (&b"/"[..], "team=-"),
            (b"/?team=a", "team=a"),
            // A repeated parameter has no value.
            (b"/?team=a&team=b", "team=-"),
        ] {
            assert_eq!(found(&proxy, &runtime, &[(":path", path)]), team);
        }
    }
}
