//! A 401, and its caller in the access log.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::callers::{ACME, found, jwt};
use super::proxy::{Pairs, Proxy};
use crate::base::property::Property;

const REFUSED: &str = r#"
version: 1
name: demo
callers:
  credentials:
    - { name: session, metadata: [envoy.filters.http.jwt_authn, session] }
    - { name: token, header: authorization, scheme: Bearer }
    - { name: api_key, header: x-api-key }
    - { name: api_key, query: api_key }
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme,
        plan: paid, user: alice }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex,
        plan: paid }
  attributes:
    org: [{ metadata: [envoy.filters.http.jwt_authn, session, org] }]
    ip: [{ client_address: { v4_prefix: 24 } }]
    place: [{ path: "/e/{place}/**" }]
    zone: [{ header: x-zone, trusted: true }]
    team: [{ query: team }]
    group: [{ directory: org }, { query: team }]
limits:
  - { name: one, per: [org], bucket: { burst: 1000, refill: 1/h } }
access_log: { attributes: [org, plan, user, ip, place, zone, team, group, credential, token,
                           api_key] }
"#;

const ACMES: &str = "cd5d9af4ac9c9371182890c71242aa2b";
const GLOBEXS: &str = "a9991e8d52644519c2b358319c96da26";
const PATH: (&str, &[u8]) = (":path", b"/e/prod/x");

/// The attributes of the first token's caller.
const ACME_VALUES: [(&str, &str); 6] = [
    ("org", "acme"),
    ("plan", "paid"),
    ("user", "alice"),
    ("group", "acme"),
    ("credential", "token"),
    ("token", ACMES),
];

/// The line of a caller with these values, and none of the other attributes.
fn line(values: &[(&str, &str)]) -> String {
    let mut line = "decision=refused limit=- tier=-".to_owned();
    for (name, usual) in [
        ("org", "-"),
        ("plan", "-"),
        ("user", "-"),
        ("ip", "192.0.2.0/24"),
        ("place", "prod"),
        ("zone", "-"),
        ("team", "-"),
        ("group", "-"),
        ("credential", "-"),
        ("token", "-"),
        ("api_key", "-"),
    ] {
        let value = values
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(usual, |(_, value)| *value);
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

fn proxy() -> Proxy {
    let proxy = Proxy::new();
    proxy.know(Property::SourceAddress, b"192.0.2.7:1".to_vec());
    proxy
}

fn key(secret: &[u8]) -> (&str, &[u8]) {
    ("x-api-key", secret)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn a_401_says_what_is_known_of_its_caller() {
    let unknown: String = Sha256::digest("hunter2")
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let proxy = proxy();
    let runtime = proxy.runtime(REFUSED);
    let both = [
        ("plan", "paid"),
        ("user", "alice"),
        ("credential", "token"),
        ("token", ACMES),
        ("api_key", GLOBEXS),
    ];
    let two = [
        ("org", "acme"),
        ("plan", "paid"),
        ("user", "alice"),
        ("group", "acme"),
        ("credential", "api_key"),
    ];
    let cases: [(Pairs<'_>, &str, String); 8] = [
        (&[PATH], "absent", line(&[])),
        (
            &[PATH, ("x-zone", b"a b\"%=\n\xff")],
            "absent",
            line(&[("zone", "a%20b%22%25%3D%0A%FF")]),
        ),
        (
            &[PATH, key(b"hunter2")],
            "unknown",
            line(&[("api_key", &unknown)]),
        ),
        (
            &[PATH, ACME, key(b"hunter2")],
            "unknown",
            line(&[&ACME_VALUES[..], &[("api_key", &*unknown)]].concat()),
        ),
        (
            &[PATH, ACME, key(b"k"), key(b"k")],
            "ambiguous",
            line(&ACME_VALUES) + " ambiguous=api_key",
        ),
        (
            &[(":path", b"/e/prod/x?team=a&team=b"), ACME],
            "ambiguous",
            line(&ACME_VALUES) + " ambiguous=team",
        ),
        (
            &[PATH, ACME, key(b"demo-globex-1")],
            "conflicting",
            line(&both) + " conflicting=org",
        ),
        // Two secrets under one name identify no caller.
        (
            &[
                (":path", b"/e/prod/x?api_key=demo-acme-2"),
                key(b"demo-acme-1"),
            ],
            "unknown",
            line(&two),
        ),
    ];
    for (pairs, why, expected) in cases {
        assert_eq!(found(&proxy, &runtime, pairs), why, "{pairs:?}");
        let line = proxy.take_line().unwrap();
        assert_eq!(line, expected, "{pairs:?}");
        assert!(
            !line.contains("hunter2") && !line.contains("demo-"),
            "{line}"
        );
    }
}

#[test]
fn a_401_names_the_attribute_of_a_session_that_conflicts() {
    let proxy = proxy();
    let runtime = proxy.runtime(REFUSED);
    proxy.know(
        Property::Metadata,
        jwt(&json!({ "iss": "id", "sub": "carol", "org": "globex" })),
    );
    assert_eq!(found(&proxy, &runtime, &[PATH, ACME]), "conflicting");
    let line = proxy.take_line().unwrap();
    assert!(
        line.contains(" org=- plan=paid ") && line.ends_with(" conflicting=org"),
        "{line}"
    );
}

#[test]
fn a_value_that_a_client_chooses_is_cut_and_then_encoded() {
    let proxy = proxy();
    let runtime = proxy.runtime(REFUSED);
    let long = format!("/e/{}/x", "%22".repeat(2_000));
    found(&proxy, &runtime, &[(":path", long.as_bytes())]);
    let line = proxy.take_line().unwrap();
    assert!(
        line.contains(&format!(" place={} ", "%22".repeat(256))),
        "{line}"
    );
}
