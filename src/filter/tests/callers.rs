//! How callers are identified: sessions next to secrets, attributes of all sources, and the
//! properties that the proxy is asked for.

use std::rc::Rc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::proxy::{Pairs, Proxy};
use crate::base::property::Property;
use crate::filter::runtime::Runtime;
use crate::filter::stream::Flow;
use crate::host::fake::message::{metadata, node};

/// A JWT that an earlier filter has verified, or API tokens: demo-acme-1 and demo-globex-1.
const SESSIONS: &str = r#"
version: 1
name: demo
callers:
  for: { routes: ["/api/**"] }
  credentials:
    - { name: session, metadata: [envoy.filters.http.jwt_authn, session] }
    - { name: token, header: authorization, scheme: Bearer, unless: session }
    - { name: api_key, header: x-api-key }
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme,
        login: alice }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex }
  attributes:
    user: [{ directory: login }, { metadata: [envoy.filters.http.jwt_authn, session, sub] }]
    org: [{ metadata: [envoy.filters.http.jwt_authn, session, org] }]
    zone: [{ metadata: [envoy.filters.http.ext_authz, zone] }]
limits:
  - { name: one, per: [org], bucket: { burst: 1000, refill: 1/h } }
access_log: { attributes: [credential, user, org, session, token] }
"#;

pub(super) fn jwt(session: &Value) -> Vec<u8> {
    metadata(&json!({ "envoy.filters.http.jwt_authn": { "session": session } }))
}

/// The attributes in the access log, or why the caller is not identified.
pub(super) fn found(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>, pairs: Pairs<'_>) -> String {
    if proxy.send(runtime, pairs).1 == Flow::Stop {
        return proxy
            .replies
            .borrow_mut()
            .pop()
            .unwrap()
            .details
            .replace("sluicegate_unauthorized:", "");
    }
    let line = proxy.filter_state.take().unwrap();
    line.split_once(" tier=- ").unwrap().1.to_owned()
}

const JWT: (&str, &[u8]) = ("authorization", b"Bearer ey.J.wt");
pub(super) const ACME: (&str, &[u8]) = ("authorization", b"Bearer demo-acme-1");
const GLOBEX: (&str, &[u8]) = ("authorization", b"Bearer demo-globex-1");

/// The identifier of a session, by the rule of docs/policy.md.
fn identifier_of(iss: &str, sub: &str) -> String {
    let pair = [
        &(iss.len() as u64).to_le_bytes()[..],
        iss.as_bytes(),
        sub.as_bytes(),
    ]
    .concat();
    Sha256::digest(pair)[16..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn a_session_is_identified_by_its_verified_claims_and_a_token_by_the_directory() {
    let path = (":path", &b"/api/a"[..]);
    for stance in ["refuse", "anonymous"] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&SESSIONS.replace(
            "  directory:",
            &format!("  unknown: {stance}\n  directory:"),
        ));
        let token = found(&proxy, &runtime, &[path, ACME]);
        assert!(
            token.starts_with("credential=token user=alice org=acme session=- token="),
            "{token}"
        );
        let other = found(&proxy, &runtime, &[path, JWT]);
        assert_eq!(other == "unknown", stance == "refuse", "{other}");
        assert_eq!(
            other.starts_with("credential=token user=- org=- session=- token="),
            stance == "anonymous"
        );

        proxy.know(
            Property::Metadata,
            jwt(&json!({ "iss": "id.acme", "sub": "alice", "org": "acme" })),
        );
        let known = format!(
            "credential=session user=alice org=acme session={} token=",
            identifier_of("id.acme", "alice")
        );
        assert_eq!(found(&proxy, &runtime, &[path, JWT]), format!("{known}-"));
        assert_eq!(
            found(&proxy, &runtime, &[path]),
            format!("{known}-"),
            "wherever the JWT stood"
        );
        let both = found(&proxy, &runtime, &[path, ACME]);
        assert!(
            both.starts_with(&known) && !both.ends_with('-'),
            "two credentials of one caller: {both}"
        );
        assert_eq!(found(&proxy, &runtime, &[path, GLOBEX]), "conflicting");
        let other = found(&proxy, &runtime, &[path, JWT, ("x-api-key", b"nobody")]);
        assert_eq!(
            other == "unknown",
            stance == "refuse",
            "a key elsewhere is not the session's: {other}"
        );
        // If a route asks for no credential, none is known. Attributes have their sources all the
        // same.
        let elsewhere = found(&proxy, &runtime, &[(":path", b"/health"), GLOBEX]);
        assert_eq!(
            elsewhere,
            "credential=- user=alice org=acme session=- token=-"
        );
    }
}

#[test]
fn a_sessions_identifier_belongs_to_the_subject_of_its_token() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(SESSIONS);
    let session = |session: &Value| {
        proxy.know(Property::Metadata, jwt(session));
        let found = found(&proxy, &runtime, &[(":path", b"/api/a")]);
        found
            .split(' ')
            .find_map(|part| part.strip_prefix("session="))
            .map(str::to_owned)
            .ok_or(found)
    };
    let alice = identifier_of("a", "alice");
    assert_eq!(
        session(&json!({ "iss": "a", "sub": "alice", "exp": 1, "jti": "x" })),
        Ok(alice.clone())
    );
    assert_eq!(
        session(&json!({ "iss": "a", "sub": "alice", "exp": 2 })),
        Ok(alice.clone()),
        "a refreshed token"
    );
    for other in [
        json!({ "iss": "b", "sub": "alice" }),
        json!({ "sub": "aalice" }),
        json!({ "iss": "aa", "sub": "lice" }),
    ] {
        assert_ne!(session(&other).unwrap(), alice, "{other}");
    }
    assert_eq!(session(&json!({ "sub": 7 })), Ok(identifier_of("", "7")));
    for nameless in [
        json!({}),
        json!({ "iss": "a" }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "sub": {} }),
    ] {
        assert_eq!(
            session(&nameless),
            Ok("-".to_owned()),
            "present, but without a subject: {nameless}"
        );
    }
    let of_text = "9f86d081884c7d659a2feaa0c55ad015";
    assert_eq!(
        session(&json!("test")),
        Ok(of_text.to_owned()),
        "as of a secret"
    );
    for absent in [
        json!(""),
        json!(7),
        json!(true),
        json!(null),
        json!(["test"]),
    ] {
        assert_eq!(session(&absent), Err("absent".to_owned()), "{absent}");
    }
    proxy.know(Property::Metadata, b"\xff\xff\x0a\x05".to_vec());
    assert_eq!(found(&proxy, &runtime, &[(":path", b"/api/a")]), "absent");
}

#[test]
fn credentials_must_agree_on_the_value_of_an_attribute() {
    let policy = |credentials: &str, org: &str, entry: &str| {
        format!(
            "version: 1\nname: demo\ncallers:\n  credentials: [{credentials}, {{ name: token, \
             header: authorization, scheme: Bearer }}]\n\
            \x20 directory: [{{ sha256: \
            cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8{entry} }}]\n\
            \x20 attributes: {{ org: [{org}] }}\nlimits: [{{ name: one, per: [], bucket: {{ burst: \
            1000, refill: 1/h }} }}]\n\
            access_log: {{ attributes: [org] }}\n"
        )
    };
    let one = "{ name: session, metadata: [f, one] }";
    let two = "{ name: session, metadata: [f, one] }, { name: other, metadata: [f, two] }";
    let (claim, second) = ("{ metadata: [f, one, org] }", "{ metadata: [f, two, org] }");
    let said = json!({ "f": { "one": { "org": "a", "home": "h" }, "two": { "org": "b" } } });
    for (credentials, sources, entry, answer) in [
        // The directory comes first in a list that does not name it.
        (one, claim, ", org: a", "org=a"),
        (one, claim, ", org: b", "conflicting"),
        (one, claim, "", "org=a"),
        (
            one,
            &format!("{claim}, {{ directory: org }}"),
            ", org: b",
            "conflicting",
        ),
        // The attributes must agree, whatever the entry calls them.
        (
            one,
            &format!("{{ directory: home }}, {claim}"),
            ", home: b",
            "conflicting",
        ),
        (
            one,
            &format!("{{ directory: home }}, {claim}"),
            ", home: a, org: b",
            "org=a",
        ),
        (
            one,
            &format!("{{ directory: home }}, {{ directory: org }}, {claim}"),
            ", home: a, org: b",
            "org=a",
        ),
        (
            one,
            &format!("{{ directory: home }}, {{ directory: org }}, {claim}"),
            ", org: b",
            "conflicting",
        ),
        // The first claim that a credential has.
        (
            one,
            "{ metadata: [f, one, none] }, { metadata: [f, one, home] }, { metadata: [f, one, org] \
             }",
            "",
            "org=h",
        ),
        (
            one,
            "{ metadata: [f, one, home] }, { metadata: [f, one, org] }",
            ", org: h",
            "org=h",
        ),
        (two, &format!("{claim}, {second}"), "", "conflicting"),
        (two, claim, "", "org=a"),
        // A source that is no credential is a source like any other.
        (one, second, ", org: a", "org=a"),
        (one, &format!("{claim}, {second}"), ", org: a", "org=a"),
        (one, "{ query: org }", ", org: a", "org=a"),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(credentials, sources, entry));
        proxy.know(Property::Metadata, metadata(&said));
        assert_eq!(
            found(&proxy, &runtime, &[(":path", b"/?org=q"), ACME]),
            answer,
            "{credentials} {sources} {entry}"
        );
    }
}

#[test]
fn unless_skips_only_credentials_that_are_unknown() {
    let policy = SESSIONS.replace(
        "{ name: session, metadata: [envoy.filters.http.jwt_authn, session] }",
        "{ name: session, header: x-session }",
    );
    for (stance, headers, answer) in [
        // A credential that is skipped counts as absent, also for a credential after it.
        (
            "refuse",
            &[("x-session", &b"demo-acme-1"[..]), JWT][..],
            "credential=session user=alice org=acme",
        ),
        (
            "refuse",
            &[("x-session", b"demo-acme-1"), ACME],
            "credential=session user=alice org=acme",
        ),
        (
            "refuse",
            &[("x-session", b"demo-acme-1"), GLOBEX],
            "conflicting",
        ),
        ("refuse", &[("x-session", b"nobody"), JWT], "unknown"),
        ("refuse", &[JWT], "unknown"),
        (
            "anonymous",
            &[("x-session", b"nobody"), JWT],
            "credential=session user=- org=-",
        ),
        ("anonymous", &[JWT], "credential=token user=- org=-"),
        (
            "anonymous",
            &[("x-session", b"demo-acme-1"), JWT, ("x-api-key", b"nobody")],
            "credential=session user=alice org=acme",
        ),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy.replace(
            "  directory:",
            &format!("  unknown: {stance}\n  directory:"),
        ));
        let pairs = [&[(":path", &b"/api/a"[..])], headers].concat();
        let found = found(&proxy, &runtime, &pairs);
        assert!(found.starts_with(answer), "{stance} {headers:?}: {found}");
        if headers.contains(&JWT) && headers.len() > 1 && found.contains('=') {
            assert!(
                found.ends_with("token=-"),
                "not even an identifier: {found}"
            );
        }
    }
    // A chain: `c` gives way to `b`, which is absent if it gave way to `a`.
    let chain = "version: 1\nname: demo\ncallers:\n  credentials:\n    - { name: a, header: x-a \
                 }\n    - { name: b, header: x-b, unless: a }\n    \
        - { name: c, header: x-c, unless: b }\n  directory: [{ sha256: \
        cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8 }]\n\
        limits: [{ name: one, per: [], bucket: { burst: 9, refill: 1/h } }]\naccess_log: { \
        attributes: [credential] }\n";
    let proxy = Proxy::new();
    let runtime = proxy.runtime(chain);
    let good = b"demo-acme-1";
    assert_eq!(
        found(
            &proxy,
            &runtime,
            &[("x-a", good), ("x-b", b"x"), ("x-c", b"x")]
        ),
        "unknown"
    );
    assert_eq!(
        found(
            &proxy,
            &runtime,
            &[("x-a", good), ("x-b", good), ("x-c", b"x")]
        ),
        "credential=a"
    );
}

/// A policy that asks for no credential, with one attribute `a` that has these sources.
fn of_sources(sources: &str) -> String {
    format!(
        "version: 1\nname: demo\ncallers:\n  for: {{ routes: [\"/asked/**\"] }}\n  credentials: \
         [{{ name: key, header: x-key }}]\n\
        \x20 unknown: anonymous\n  absent: anonymous\n  attributes: {{ a: [{sources}] }}\n\
        limits: [{{ name: one, per: [a], bucket: {{ burst: 1, refill: 1/h }} }}]\naccess_log: {{ \
        attributes: [a] }}\n"
    )
}

#[test]
fn an_attribute_is_the_first_source_that_has_a_value() {
    let said = json!({ "f": {
        "s": "text", "n": 7, "l": ["x", { "y": 1.5 }], "t": true, "m": {}, "z": null, "e": "",
    } });
    for (sources, value) in [
        ("{ metadata: [f, s] }", "text"),
        ("{ metadata: [f, n] }", "7"),
        ("{ metadata: [f, t] }", "true"),
        ("{ metadata: [f, l, \"1\", y] }", "1.5"),
        (
            "{ metadata: [f, l] }, { metadata: [f, m] }, { metadata: [f, z] }, { metadata: [f, e] \
             }, { metadata: [f, x] }",
            "-",
        ),
        ("{ metadata: [f, e] }, { route_metadata: [f, s] }", "text"),
        (
            "{ metadata: [g, s] }, { route_metadata: [f, none] }, { path: \"/asked/{a}\" }",
            "seven",
        ),
        ("{ node_metadata: region }", "eu"),
        ("{ node_metadata: [zones, \"0\"] }", "z1"),
        ("{ node_metadata: zones }, { query: q }", "a b"),
        (
            "{ query: Q }, { header: X-Org, trusted: true }",
            "acme, Inc",
        ),
        (
            "{ header: x-empty, trusted: true }, { query: empty }, { query: none }, { \
             client_certificate: sha256 }",
            "-",
        ),
        ("{ client_address: {} }", "2001:db8::/64"),
        ("{ client_address: { v6_prefix: 128 } }", "2001:db8::7"),
        (
            "{ client_certificate: sha256 }, { client_certificate: uri_san }",
            "spiffe://acme/a",
        ),
        ("{ client_certificate: subject }", "CN=a,O=Acme"),
        ("{ client_certificate: dns_san }", "a.acme"),
    ] {
        let proxy = Proxy::new();
        for (property, value) in [
            (Property::Metadata, metadata(&said)),
            (Property::RouteMetadata, metadata(&said)),
            (
                Property::Node,
                node(&json!({ "region": "eu", "zones": ["z1"] })),
            ),
            (Property::SourceAddress, b"[2001:db8::7]:999".to_vec()),
            (Property::CertificateUriSan, b"spiffe://acme/a".to_vec()),
            (Property::CertificateDnsSan, b"a.acme".to_vec()),
            (Property::CertificateSubject, b"CN=a,O=Acme".to_vec()),
        ] {
            proxy.know(property, value);
        }
        let runtime = proxy.runtime(&of_sources(sources));
        let pairs: Pairs<'_> = &[
            (":path", b"/asked/seven?q=a+%62&empty="),
            ("x-org", b" acme, Inc "),
            ("x-empty", b"  "),
        ];
        proxy.send(&runtime, pairs);
        let line = proxy.filter_state.take().unwrap();
        let written = value.replace(' ', "%20").replace('=', "%3D");
        assert!(
            line.ends_with(&format!(" a={written}")),
            "{sources}: {line}"
        );
    }
}

#[test]
fn a_header_or_parameter_that_occurs_twice_has_no_value() {
    let policy = of_sources("{ header: x-org, trusted: true }, { query: org }");
    let twice: Pairs<'_> = &[("x-org", b"a"), ("x-org", b"a")];
    for (path, headers, asked, elsewhere) in [
        ("?org=b", twice, "ambiguous", "a=b"),
        ("?org=b&%6Frg=b", &[][..], "ambiguous", "a=-"),
        ("?org=b&org=c", twice, "ambiguous", "a=-"),
        // An earlier source has a value, so this one is not read.
        ("?org=b&org=c", &twice[..1], "a=a", "a=a"),
    ] {
        for (start, answer) in [("/asked/x", asked), ("/x", elsewhere)] {
            let path = format!("{start}{path}");
            let proxy = Proxy::new();
            let pairs = [&[(":path", path.as_bytes())], headers].concat();
            assert_eq!(
                found(&proxy, &proxy.runtime(&policy), &pairs),
                answer,
                "{path}"
            );
        }
    }
}

#[test]
fn a_long_value_is_taken_whole() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&of_sources("{ query: q }"));
    let long = |end: &str| format!("/?q={}{end}", "x".repeat(5_000));
    let flows =
        ["a", "b", "a"].map(|end| proxy.send(&runtime, &[(":path", long(end).as_bytes())]).1);
    assert_eq!(
        flows,
        [Flow::Continue, Flow::Continue, Flow::Stop],
        "neither shared nor dodged"
    );
}

#[test]
fn the_proxy_is_asked_once_a_request_for_what_the_policy_needs_and_for_nothing_else() {
    let plain = super::POLICY;
    for (policy, once, each) in [
        (plain, &[][..], &[][..]),
        (SESSIONS, &[], &[Property::Metadata]),
        (
            &of_sources("{ node_metadata: a }, { node_metadata: b }, { query: q }"),
            &[Property::Node],
            &[],
        ),
        (
            &of_sources(
                "{ client_address: {} }, { metadata: [f, a] }, { metadata: [f, b] }, { \
                 route_metadata: [f, a] }, { client_certificate: sha256 }",
            ),
            &[],
            &[
                Property::Metadata,
                Property::RouteMetadata,
                Property::SourceAddress,
                Property::CertificateSha256,
            ],
        ),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(policy);
        assert_eq!(*proxy.asked.take(), *once);
        for path in [b"/api/a", b"/asked", b"/v2/ab"] {
            proxy.send(&runtime, &[(":path", path)]);
            assert_eq!(*proxy.asked.take(), *each);
        }
    }
}

#[test]
fn one_request_never_sees_the_properties_of_another() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(SESSIONS);
    proxy.know(
        Property::Metadata,
        jwt(&json!({ "sub": "alice", "org": "acme" })),
    );
    assert!(found(&proxy, &runtime, &[(":path", b"/api/a")]).contains("user=alice"));
    proxy.properties.borrow_mut().clear();
    assert_eq!(found(&proxy, &runtime, &[(":path", b"/api/a")]), "absent");
}
