//! The sources of an attribute, and the properties read from the proxy.

use super::*;

/// A policy that asks for no credential, with one attribute `a` that has these sources.
fn of_sources(sources: &str) -> String {
    format!(
        "version: 1\nname: demo\ncallers:\n  for: {{ routes: [\"/asked/**\"] }}\n  \
         credentials: [{{ name: key, header: x-key }}]\n\
        \x20 unknown: anonymous\n  absent: anonymous\n  attributes: {{ a: [{sources}] }}\n\
        limits: [{{ name: one, per: [a], bucket: {{ burst: 1, refill: 1/h }} }}]\naccess_log: \
        {{ attributes: [a] }}\n"
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
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
            "{ header: x-empty, trusted: true }, { query: empty }, { query: none }, \
             { client_certificate: sha256 }",
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
        let line = proxy.take_line().unwrap();
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
    let plain = crate::filter::tests::POLICY;
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
                "{ client_address: {} }, { metadata: [f, a] }, { metadata: [f, b] }, \
                 { route_metadata: [f, a] }, { client_certificate: sha256 }",
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
