//! Who is taken for whom: sessions beside secrets, attributes from everywhere, and what is asked of
//! the proxy for that.

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
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme, login: alice }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex }
  attributes:
    user: [{ directory: login }, { metadata: [envoy.filters.http.jwt_authn, session, sub] }]
    org: [{ metadata: [envoy.filters.http.jwt_authn, session, org] }]
    zone: [{ metadata: [envoy.filters.http.ext_authz, zone] }]
limits:
  - { name: one, per: [org], bucket: { burst: 1000, refill: 1/h } }
access_log: { attributes: [credential, user, org, session, token] }
"#;

fn jwt(session: &Value) -> Vec<u8> {
    metadata(&json!({ "envoy.filters.http.jwt_authn": { "session": session } }))
}

/// The attributes of the access log, or why the request is not let in.
fn told(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>, pairs: Pairs<'_>) -> String {
    if proxy.send(runtime, pairs).1 == Flow::Stop {
        return proxy.replies.borrow_mut().pop().unwrap().details.replace("sluicegate_unauthorized:", "");
    }
    let line = proxy.filter_state.take().unwrap();
    line.split_once(" tier=- ").unwrap().1.to_owned()
}

const JWT: (&str, &[u8]) = ("authorization", b"Bearer ey.J.wt");
const ACME: (&str, &[u8]) = ("authorization", b"Bearer demo-acme-1");
const GLOBEX: (&str, &[u8]) = ("authorization", b"Bearer demo-globex-1");

/// The identifier of a session, by the rule that docs/policy.md states.
fn identifier_of(iss: &str, sub: &str) -> String {
    let pair = [&(iss.len() as u64).to_le_bytes()[..], iss.as_bytes(), sub.as_bytes()].concat();
    Sha256::digest(pair)[16..].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_session_is_known_by_what_was_verified_and_a_token_by_the_directory() {
    let path = (":path", &b"/api/a"[..]);
    for stance in ["refuse", "anonymous"] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&SESSIONS.replace("  directory:", &format!("  unknown: {stance}\n  directory:")));
        let token = told(&proxy, &runtime, &[path, ACME]);
        assert!(token.starts_with("credential=token user=alice org=acme session=- token="), "{token}");
        let nobody = told(&proxy, &runtime, &[path, JWT]);
        assert_eq!(nobody == "unknown", stance == "refuse", "{nobody}");
        assert_eq!(nobody.starts_with("credential=token user=- org=- session=- token="), stance == "anonymous");

        proxy.know(Property::Metadata, jwt(&json!({ "iss": "id.acme", "sub": "alice", "org": "acme" })));
        let known =
            format!("credential=session user=alice org=acme session={} token=", identifier_of("id.acme", "alice"));
        assert_eq!(told(&proxy, &runtime, &[path, JWT]), format!("{known}-"));
        assert_eq!(told(&proxy, &runtime, &[path]), format!("{known}-"), "wherever the JWT stood");
        let both = told(&proxy, &runtime, &[path, ACME]);
        assert!(both.starts_with(&known) && !both.ends_with('-'), "two credentials of one caller: {both}");
        assert_eq!(told(&proxy, &runtime, &[path, GLOBEX]), "conflicting");
        let other = told(&proxy, &runtime, &[path, JWT, ("x-api-key", b"nobody")]);
        assert_eq!(other == "unknown", stance == "refuse", "a key elsewhere is not the session's: {other}");
        // Where nobody is asked nobody is known; attributes have their sources all the same.
        let elsewhere = told(&proxy, &runtime, &[(":path", b"/health"), GLOBEX]);
        assert_eq!(elsewhere, "credential=- user=alice org=acme session=- token=-");
    }
}

#[test]
fn a_sessions_identifier_is_that_of_whom_the_token_was_made_for() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(SESSIONS);
    let session = |session: &Value| {
        proxy.know(Property::Metadata, jwt(session));
        let told = told(&proxy, &runtime, &[(":path", b"/api/a")]);
        told.split(' ').find_map(|part| part.strip_prefix("session=")).map(str::to_owned).ok_or(told)
    };
    let alice = identifier_of("a", "alice");
    assert_eq!(session(&json!({ "iss": "a", "sub": "alice", "exp": 1, "jti": "x" })), Ok(alice.clone()));
    assert_eq!(session(&json!({ "iss": "a", "sub": "alice", "exp": 2 })), Ok(alice.clone()), "a refreshed token");
    for other in
        [json!({ "iss": "b", "sub": "alice" }), json!({ "sub": "aalice" }), json!({ "iss": "aa", "sub": "lice" })]
    {
        assert_ne!(session(&other).unwrap(), alice, "{other}");
    }
    assert_eq!(session(&json!({ "sub": 7 })), Ok(identifier_of("", "7")));
    for nameless in
        [json!({}), json!({ "iss": "a" }), json!({ "sub": "" }), json!({ "sub": null }), json!({ "sub": {} })]
    {
        assert_eq!(session(&nameless), Ok("-".to_owned()), "present, and nobody's: {nameless}");
    }
    let of_text = "9f86d081884c7d659a2feaa0c55ad015";
    assert_eq!(session(&json!("test")), Ok(of_text.to_owned()), "as of a secret");
    for absent in [json!(""), json!(7), json!(true), json!(null), json!(["test"])] {
        assert_eq!(session(&absent), Err("absent".to_owned()), "{absent}");
    }
    proxy.know(Property::Metadata, b"\xff\xff\x0a\x05".to_vec());
    assert_eq!(told(&proxy, &runtime, &[(":path", b"/api/a")]), "absent");
}

#[test]
fn what_credentials_say_of_one_attribute_must_agree() {
    let policy = |credentials: &str, org: &str, entry: &str| {
        format!(
            "version: 1\nname: demo\ncallers:\n  credentials: [{credentials}, {{ name: token, header: authorization, scheme: Bearer }}]\n\
            \x20 directory: [{{ sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8{entry} }}]\n\
            \x20 attributes: {{ org: [{org}] }}\nlimits: [{{ name: one, per: [], bucket: {{ burst: 1000, refill: 1/h }} }}]\n\
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
        (one, &format!("{claim}, {{ directory: org }}"), ", org: b", "conflicting"),
        // The attribute is what must agree, whatever the entry calls it.
        (one, &format!("{{ directory: home }}, {claim}"), ", home: b", "conflicting"),
        (one, &format!("{{ directory: home }}, {claim}"), ", home: a, org: b", "org=a"),
        (one, &format!("{{ directory: home }}, {{ directory: org }}, {claim}"), ", home: a, org: b", "org=a"),
        (one, &format!("{{ directory: home }}, {{ directory: org }}, {claim}"), ", org: b", "conflicting"),
        // Of one credential the first claim that there is.
        (one, "{ metadata: [f, one, none] }, { metadata: [f, one, home] }, { metadata: [f, one, org] }", "", "org=h"),
        (one, "{ metadata: [f, one, home] }, { metadata: [f, one, org] }", ", org: h", "org=h"),
        (two, &format!("{claim}, {second}"), "", "conflicting"),
        (two, claim, "", "org=a"),
        // What no credential says is a source like any other.
        (one, second, ", org: a", "org=a"),
        (one, &format!("{claim}, {second}"), ", org: a", "org=a"),
        (one, "{ query: org }", ", org: a", "org=a"),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(credentials, sources, entry));
        proxy.know(Property::Metadata, metadata(&said));
        assert_eq!(told(&proxy, &runtime, &[(":path", b"/?org=q"), ACME]), answer, "{credentials} {sources} {entry}");
    }
}

#[test]
fn unless_passes_over_what_nobody_knows_and_nothing_else() {
    let policy = SESSIONS.replace(
        "{ name: session, metadata: [envoy.filters.http.jwt_authn, session] }",
        "{ name: session, header: x-session }",
    );
    for (stance, headers, answer) in [
        // What is passed over is not there: not for `absent`, not for a credential after it.
        ("refuse", &[("x-session", &b"demo-acme-1"[..]), JWT][..], "credential=session user=alice org=acme"),
        ("refuse", &[("x-session", b"demo-acme-1"), ACME], "credential=session user=alice org=acme"),
        ("refuse", &[("x-session", b"demo-acme-1"), GLOBEX], "conflicting"),
        ("refuse", &[("x-session", b"nobody"), JWT], "unknown"),
        ("refuse", &[JWT], "unknown"),
        ("anonymous", &[("x-session", b"nobody"), JWT], "credential=session user=- org=-"),
        ("anonymous", &[JWT], "credential=token user=- org=-"),
        (
            "anonymous",
            &[("x-session", b"demo-acme-1"), JWT, ("x-api-key", b"nobody")],
            "credential=session user=alice org=acme",
        ),
    ] {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy.replace("  directory:", &format!("  unknown: {stance}\n  directory:")));
        let pairs = [&[(":path", &b"/api/a"[..])], headers].concat();
        let told = told(&proxy, &runtime, &pairs);
        assert!(told.starts_with(answer), "{stance} {headers:?}: {told}");
        if headers.contains(&JWT) && headers.len() > 1 && told.contains('=') {
            assert!(told.ends_with("token=-"), "not even an identifier: {told}");
        }
    }
    // A chain: `c` gives way to `b`, which is not there where it gave way to `a`.
    let chain = "version: 1\nname: demo\ncallers:\n  credentials:\n    - { name: a, header: x-a }\n    - { name: b, header: x-b, unless: a }\n    \
        - { name: c, header: x-c, unless: b }\n  directory: [{ sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8 }]\n\
        limits: [{ name: one, per: [], bucket: { burst: 9, refill: 1/h } }]\naccess_log: { attributes: [credential] }\n";
    let proxy = Proxy::new();
    let runtime = proxy.runtime(chain);
    let good = b"demo-acme-1";
    assert_eq!(told(&proxy, &runtime, &[("x-a", good), ("x-b", b"x"), ("x-c", b"x")]), "unknown");
    assert_eq!(told(&proxy, &runtime, &[("x-a", good), ("x-b", good), ("x-c", b"x")]), "credential=a");
}

/// A policy without credentials asked for, and one attribute `a` with these sources.
fn of_sources(sources: &str) -> String {
    format!(
        "version: 1\nname: demo\ncallers:\n  for: {{ routes: [\"/asked/**\"] }}\n  credentials: [{{ name: key, header: x-key }}]\n\
        \x20 unknown: anonymous\n  absent: anonymous\n  attributes: {{ a: [{sources}] }}\n\
        limits: [{{ name: one, per: [a], bucket: {{ burst: 1, refill: 1/h }} }}]\naccess_log: {{ attributes: [a] }}\n"
    )
}

#[test]
fn an_attribute_is_the_first_source_that_has_a_value() {
    let said =
        json!({ "f": { "s": "text", "n": 7, "l": ["x", { "y": 1.5 }], "t": true, "m": {}, "z": null, "e": "" } });
    for (sources, value) in [
        ("{ metadata: [f, s] }", "text"),
        ("{ metadata: [f, n] }", "7"),
        ("{ metadata: [f, t] }", "true"),
        ("{ metadata: [f, l, \"1\", y] }", "1.5"),
        (
            "{ metadata: [f, l] }, { metadata: [f, m] }, { metadata: [f, z] }, { metadata: [f, e] }, { metadata: [f, x] }",
            "-",
        ),
        ("{ metadata: [f, e] }, { route_metadata: [f, s] }", "text"),
        ("{ metadata: [g, s] }, { route_metadata: [f, none] }, { path: \"/asked/{a}\" }", "seven"),
        ("{ node_metadata: region }", "eu"),
        ("{ node_metadata: [zones, \"0\"] }", "z1"),
        ("{ node_metadata: zones }, { query: q }", "a b"),
        ("{ query: Q }, { header: X-Org, trusted: true }", "acme, Inc"),
        ("{ header: x-empty, trusted: true }, { query: empty }, { query: none }, { client_certificate: sha256 }", "-"),
        ("{ client_address: {} }", "2001:db8::/64"),
        ("{ client_address: { v6_prefix: 128 } }", "2001:db8::7"),
        ("{ client_certificate: sha256 }, { client_certificate: uri_san }", "spiffe://acme/a"),
        ("{ client_certificate: subject }", "CN=a,O=Acme"),
        ("{ client_certificate: dns_san }", "a.acme"),
    ] {
        let proxy = Proxy::new();
        for (property, value) in [
            (Property::Metadata, metadata(&said)),
            (Property::RouteMetadata, metadata(&said)),
            (Property::Node, node(&json!({ "region": "eu", "zones": ["z1"] }))),
            (Property::SourceAddress, b"[2001:db8::7]:999".to_vec()),
            (Property::CertificateUriSan, b"spiffe://acme/a".to_vec()),
            (Property::CertificateDnsSan, b"a.acme".to_vec()),
            (Property::CertificateSubject, b"CN=a,O=Acme".to_vec()),
        ] {
            proxy.know(property, value);
        }
        let runtime = proxy.runtime(&of_sources(sources));
        let pairs: Pairs<'_> =
            &[(":path", b"/asked/seven?q=a+%62&empty="), ("x-org", b" acme, Inc "), ("x-empty", b"  ")];
        proxy.send(&runtime, pairs);
        let line = proxy.filter_state.take().unwrap();
        let written = value.replace(' ', "%20").replace('=', "%3D");
        assert!(line.ends_with(&format!(" a={written}")), "{sources}: {line}");
    }
}

#[test]
fn a_header_or_parameter_that_stands_twice_says_nothing() {
    let policy = of_sources("{ header: x-org, trusted: true }, { query: org }");
    let twice: Pairs<'_> = &[("x-org", b"a"), ("x-org", b"a")];
    for (path, headers, asked, elsewhere) in [
        ("?org=b", twice, "ambiguous", "a=b"),
        ("?org=b&%6Frg=b", &[][..], "ambiguous", "a=-"),
        ("?org=b&org=c", twice, "ambiguous", "a=-"),
        // What comes before it has a value: nobody looks.
        ("?org=b&org=c", &twice[..1], "a=a", "a=a"),
    ] {
        for (start, answer) in [("/asked/x", asked), ("/x", elsewhere)] {
            let path = format!("{start}{path}");
            let proxy = Proxy::new();
            let pairs = [&[(":path", path.as_bytes())], headers].concat();
            assert_eq!(told(&proxy, &proxy.runtime(&policy), &pairs), answer, "{path}");
        }
    }
}

#[test]
fn a_long_value_is_taken_whole() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&of_sources("{ query: q }"));
    let long = |end: &str| format!("/?q={}{end}", "x".repeat(5_000));
    let flows = ["a", "b", "a"].map(|end| proxy.send(&runtime, &[(":path", long(end).as_bytes())]).1);
    assert_eq!(flows, [Flow::Continue, Flow::Continue, Flow::Stop], "neither shared nor dodged");
}

#[test]
fn the_proxy_is_asked_what_a_policy_needs_once_a_request_and_nothing_else() {
    let plain = super::POLICY;
    for (policy, once, each) in [
        (plain, &[][..], &[][..]),
        (SESSIONS, &[], &[Property::Metadata]),
        (&of_sources("{ node_metadata: a }, { node_metadata: b }, { query: q }"), &[Property::Node], &[]),
        (
            &of_sources(
                "{ client_address: {} }, { metadata: [f, a] }, { metadata: [f, b] }, { route_metadata: [f, a] }, { client_certificate: sha256 }",
            ),
            &[],
            &[Property::Metadata, Property::RouteMetadata, Property::SourceAddress, Property::CertificateSha256],
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
fn one_request_never_sees_what_the_proxy_said_of_another() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(SESSIONS);
    proxy.know(Property::Metadata, jwt(&json!({ "sub": "alice", "org": "acme" })));
    assert!(told(&proxy, &runtime, &[(":path", b"/api/a")]).contains("user=alice"));
    proxy.properties.borrow_mut().clear();
    assert_eq!(told(&proxy, &runtime, &[(":path", b"/api/a")]), "absent");
}

/// A 401 with whatever is known.
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
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme, plan: paid, user: alice }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex, plan: paid }
  attributes:
    org: [{ metadata: [envoy.filters.http.jwt_authn, session, org] }]
    ip: [{ client_address: { v4_prefix: 24 } }]
    place: [{ path: "/e/{place}/**" }]
    zone: [{ header: x-zone, trusted: true }]
    team: [{ query: team }]
    group: [{ directory: org }, { query: team }]
limits:
  - { name: one, per: [org], bucket: { burst: 1000, refill: 1/h } }
access_log: { attributes: [org, plan, user, ip, place, zone, team, group, credential, token, api_key] }
"#;

#[test]
fn a_401_says_what_is_known_of_its_caller() {
    const ACMES: &str = "cd5d9af4ac9c9371182890c71242aa2b";
    const GLOBEXS: &str = "a9991e8d52644519c2b358319c96da26";
    let secret =
        |digits: &str| Sha256::digest(digits).iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
    let unknown = secret("hunter2");
    let all = "org=- plan=- user=- ip=192.0.2.0/24 place=prod zone=- team=- group=- credential=- token=- api_key=-";
    let proxy = Proxy::new();
    let runtime = proxy.runtime(REFUSED);
    proxy.know(Property::SourceAddress, b"192.0.2.7:1".to_vec());
    let path = (":path", &b"/e/prod/x"[..]);
    let teams = (":path", &b"/e/prod/x?team=a&team=b"[..]);
    let key = |secret: &'static [u8]| ("x-api-key", secret);
    let with = |changes: &[(&str, &str)]| {
        changes.iter().fold(all.to_owned(), |line, (name, value)| {
            assert!(line.contains(&format!("{name}=-")), "{name}");
            line.replacen(&format!(" {name}=-"), &format!(" {name}={value}"), 1).replacen(
                &format!("{name}=- "),
                &format!("{name}={value} "),
                usize::from(line.starts_with(&format!("{name}=-"))),
            )
        })
    };
    let acme = [
        ("org", "acme"),
        ("plan", "paid"),
        ("user", "alice"),
        ("group", "acme"),
        ("credential", "token"),
        ("token", ACMES),
    ];
    for (pairs, line) in [
        (&[path][..], with(&[])),
        (&[path, ("x-zone", b"a b\"%=\n\xff")], with(&[("zone", "a%20b%22%25%3D%0A%FF")])),
        (&[path, key(b"hunter2")], with(&[("credential", "api_key"), ("api_key", &unknown)])),
        (&[path, ACME, key(b"hunter2")], with(&[&acme[..], &[("api_key", &*unknown)]].concat())),
        (&[path, ACME, key(b"k"), key(b"k")], with(&acme) + " ambiguous=api_key"),
        (&[teams, ACME], with(&acme) + " ambiguous=team"),
        (
            &[path, ACME, key(b"demo-globex-1")],
            with(&[
                ("plan", "paid"),
                ("user", "alice"),
                ("credential", "token"),
                ("token", ACMES),
                ("api_key", GLOBEXS),
            ]) + " conflicting=org",
        ),
        // Two secrets under one name are of nobody in particular.
        (
            &[(":path", b"/e/prod/x?api_key=demo-acme-2"), key(b"demo-acme-1")],
            with(&[("org", "acme"), ("plan", "paid"), ("user", "alice"), ("group", "acme"), ("credential", "api_key")]),
        ),
    ] {
        let why = told(&proxy, &runtime, pairs);
        let named = line.rsplit_once(' ').unwrap().1.split_once('=').unwrap().0;
        let reason = if ["ambiguous", "conflicting"].contains(&named) { named } else { &why };
        assert_eq!(why, reason, "{pairs:?}");
        let told = proxy.filter_state.take().unwrap();
        assert_eq!(told, format!("decision=refused limit=- tier=- {line}"), "{pairs:?}");
        assert!(!told.contains("hunter2") && !told.contains("demo-"), "{told}");
    }
    proxy.know(Property::Metadata, jwt(&json!({ "iss": "id", "sub": "carol", "org": "globex" })));
    assert_eq!(told(&proxy, &runtime, &[path, ACME]), "conflicting");
    let line = proxy.filter_state.take().unwrap();
    assert!(line.contains(" org=- plan=paid ") && line.ends_with(" conflicting=org"), "{line}");
    proxy.know(Property::Metadata, Vec::new());
    // What a client chooses is cut, and encoded after that.
    let long = format!("/e/{}/x", "%22".repeat(2_000));
    told(&proxy, &runtime, &[(":path", long.as_bytes())]);
    let line = proxy.filter_state.take().unwrap();
    assert!(line.contains(&format!(" place={} ", "%22".repeat(256))), "{line}");
}
