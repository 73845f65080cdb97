//! How callers are identified: sessions next to secrets, attributes of all sources, and the
//! properties that the proxy is asked for.

mod sources;

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
    let line = proxy.take_line().unwrap();
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
            other.starts_with("credential=- user=- org=- session=- token="),
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
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn credentials_must_agree_on_the_value_of_an_attribute() {
    let policy = |credentials: &str, org: &str, entry: &str| {
        format!(
            "version: 1\nname: demo\ncallers:\n  credentials: [{credentials}, {{ name: token, \
             header: authorization, scheme: Bearer }}]\n\
            \x20 directory: [{{ \
            sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8{entry} }}]\n\
            \x20 attributes: {{ org: [{org}] }}\nlimits: [{{ name: one, per: [], bucket: {{ \
            burst: 1000, refill: 1/h }} }}]\n\
            access_log: {{ attributes: [org] }}\n"
        )
    };
    let one = "{ name: session, metadata: [f, one] }";
    let two = "{ name: session, metadata: [f, one] }, { name: other, metadata: [f, two] }";
    let (claim, second) = ("{ metadata: [f, one, org] }", "{ metadata: [f, two, org] }");
    let said = json!({ "f": { "one": { "org": "a", "home": "h" }, "two": { "org": "b" } } });
    for (credentials, sources, entry, answer) in [
        // The directory is first in a list that does not name it.
        (one, claim, ", org: a", "org=a"),
        (one, claim, ", org: b", "conflicting"),
        (one, claim, "", "org=a"),
        (
            one,
            &format!("{claim}, {{ directory: org }}"),
            ", org: b",
            "conflicting",
        ),
        // The attributes must agree, under any name of the entry.
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
        // A source that is not a credential is a source like any other.
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
            "credential=- user=- org=-",
        ),
        ("anonymous", &[JWT], "credential=- user=- org=-"),
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
}

#[test]
fn a_credential_that_is_skipped_is_absent_for_the_next() {
    // `c` gives way to `b`, which is absent if it gave way to `a`.
    let chain = "version: 1\nname: demo\ncallers:\n  credentials:\n    - { name: a, header: x-a \
                 }\n    - { name: b, header: x-b, unless: a }\n    \
        - { name: c, header: x-c, unless: b }\n  directory: [{ \
        sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8 }]\n\
        limits: [{ name: one, per: [], bucket: { burst: 9, refill: 1/h } }]\naccess_log: \
        { attributes: [credential] }\n";
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
