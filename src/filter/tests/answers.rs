//! The effects of a policy's settings for replies, callers and the access log.

use std::collections::BTreeSet;

use super::proxy::Proxy;
use crate::filter::stream::Flow;

const HEAD: &str = r#"
version: 1
name: demo
callers:
  credentials:
    - { name: token, header: authorization, scheme: Bearer }
    - { name: api_key, header: x-api-key }
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme,
        plan: paid }
    - { sha256: 0f6ef3a1c3c44c2ebda0cd37ec10be0c0832c7b639dd11f0193c9337a22f19a2, org: acme,
        plan: paid }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex }
  attributes: { org: [{ path: "/orgs/{org}/**" }] }
"#;

fn policy(rest: &str) -> String {
    format!("{HEAD}{rest}\n")
}

const ONE: &str = "limits: [{ name: one, per: [org], bucket: { burst: 2, refill: 6/min } }]\n";

#[test]
fn reset_can_be_the_unix_second_at_which_the_limit_is_full() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(&format!(
        "{ONE}replies: {{ fields: {{ family: x-ratelimit, reset: unix-seconds }} }}"
    )));
    let (mut stream, _) = proxy.get(&runtime, "/a", "demo-acme-1");
    assert_eq!(
        proxy.answer(&mut stream, &[(":status", "200")])["x-ratelimit-reset"],
        "1700000010"
    );
    proxy.get(&runtime, "/a", "demo-acme-1");
    assert_eq!(proxy.get(&runtime, "/a", "demo-acme-1").1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert!(
        reply
            .headers
            .contains(&("x-ratelimit-reset".into(), "1700000020".to_owned())),
        "{:?}",
        reply.headers
    );
}

#[test]
fn fields_can_be_sent_on_refusals_only() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(&format!(
        "{ONE}replies: {{ fields: {{ family: x-ratelimit, when: refused }} }}"
    )));
    for _ in 0..2 {
        let (mut stream, _) = proxy.get(&runtime, "/a", "demo-acme-1");
        assert_eq!(
            proxy
                .answer(
                    &mut stream,
                    &[(":status", "200"), ("x-ratelimit-limit", "7")]
                )
                .len(),
            1
        );
    }
    proxy.get(&runtime, "/a", "demo-acme-1");
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    for field in [
        ("x-ratelimit-limit", "2"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "20"),
    ] {
        assert!(
            reply
                .headers
                .contains(&(field.0.into(), field.1.to_owned())),
            "{:?}",
            reply.headers
        );
    }
}

#[test]
fn jitter_never_brings_a_client_back_too_early() {
    let mut waits = BTreeSet::new();
    for start in 0..60 {
        let proxy = Proxy::new();
        proxy
            .now
            .set(1_700_000_000_000_000_000_u64.wrapping_add(start));
        let rest = "limits: [{ name: one, per: [org], bucket: { burst: 1, refill: 1/min } }]\n\
                    replies: { retry_after: { jitter: 20% } }";
        let runtime = proxy.runtime(&policy(rest));
        proxy.get(&runtime, "/a", "demo-acme-1");
        assert_eq!(proxy.get(&runtime, "/a", "demo-acme-1").1, Flow::Stop);
        let reply = proxy.replies.borrow_mut().pop().unwrap();
        let wait = reply
            .headers
            .iter()
            .find(|(name, _)| *name == "retry-after")
            .unwrap()
            .1
            .parse()
            .unwrap();
        assert!((60..=72).contains(&wait), "{wait}");
        proxy.wait(wait);
        assert_eq!(proxy.get(&runtime, "/a", "demo-acme-1").1, Flow::Continue);
        waits.insert(wait);
    }
    assert!(waits.len() > 5, "{waits:?}");
}

#[test]
fn the_first_credential_that_is_presented_names_the_kind() {
    let proxy = Proxy::new();
    let rest = "limits:\n  - { name: by-token, for: { credential: token }, per: [], bucket: \
                { burst: 9, refill: 1/h } }\n  \
        - { name: by-key, for: { credential: api_key }, per: [], bucket: { burst: 9, refill: 1/h } \
        }\naccess_log: { attributes: [credential] }";
    let runtime = proxy.runtime(&policy(rest));
    let both: [(&str, &[u8]); 3] = [
        (":path", b"/"),
        ("x-api-key", b"demo-acme-1"),
        ("authorization", b"Bearer demo-acme-2"),
    ];
    proxy.send(&runtime, &both);
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=admitted limit=by-token tier=- credential=token"
    );
    proxy.send(&runtime, &both[..2]);
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=admitted limit=by-key tier=- credential=api_key"
    );
}

#[test]
fn the_directory_takes_precedence_over_the_path() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(&format!(
        "{ONE}access_log: {{ attributes: [org] }}"
    )));
    proxy.get(&runtime, "/orgs/globex/things", "demo-acme-1");
    assert!(proxy.take_line().unwrap().ends_with("org=acme"));
    let anonymous = policy(&format!(
        "  absent: anonymous\n{ONE}access_log: {{ attributes: [org] }}"
    ));
    let runtime = proxy.runtime(&anonymous);
    proxy.send(&runtime, &[(":path", b"/orgs/initech/things")]);
    assert!(proxy.take_line().unwrap().ends_with("org=initech"));
}

#[test]
fn callers_without_an_attribute_are_not_selected_by_it_and_share_one_counter() {
    let proxy = Proxy::new();
    let rest =
        "limits: [{ name: paid, for: { plan: paid }, per: [], bucket: { burst: 1, refill: 1/h } }]";
    let runtime = proxy.runtime(&policy(rest));
    assert_eq!(
        ["demo-globex-1"; 3].map(|key| proxy.get(&runtime, "/", key).1),
        [Flow::Continue; 3]
    );
    assert_eq!(
        ["demo-acme-1", "demo-acme-2"].map(|key| proxy.get(&runtime, "/", key).1),
        [Flow::Continue, Flow::Stop]
    );
    assert_eq!(
        proxy.count("policy=.=demo;.;limit=.=-;.;decision=.=admitted;.;sluicegate_requests_total"),
        3
    );
}

#[test]
fn a_limit_that_two_routes_select_is_charged_once_by_the_first_capture() {
    let proxy = Proxy::new();
    let rest = "limits: [{ name: one, for: { routes: [\"/v2/{id}/**\", \"/*/{id}\"] }, per: [id], \
                bucket: { burst: 2, refill: 1/h } }]";
    let runtime = proxy.runtime(&policy(rest));
    let flows = ["/v2/a", "/v2/a/x", "/v2/a", "/v3/a"]
        .map(|path| proxy.get(&runtime, path, "demo-acme-1").1);
    assert_eq!(
        flows,
        [Flow::Continue, Flow::Continue, Flow::Stop, Flow::Stop]
    );
}

#[test]
fn a_path_cannot_write_into_the_access_log() {
    let proxy = Proxy::new();
    let rest = "  absent: anonymous\nlimits: [{ name: one, per: [org], bucket: { burst: 2, \
                refill: 1/h } }]\naccess_log: { attributes: [org] }";
    let runtime = proxy.runtime(&policy(rest));
    proxy.send(
        &runtime,
        &[(":path", b"/orgs/x%20decision=refused%0a%22%ff/a")],
    );
    let line = proxy.take_line().unwrap();
    assert_eq!(
        line,
        "decision=admitted limit=one tier=- org=x%20decision%3Drefused%0A%22%FF"
    );
    let long = format!("/orgs/{}/a", "x".repeat(9_000));
    proxy.send(&runtime, &[(":path", long.as_bytes())]);
    assert_eq!(
        proxy.take_line().unwrap().len(),
        "decision=admitted limit=one tier=- org="
            .len()
            .wrapping_add(256)
    );
}

#[test]
fn a_401_without_a_scheme_names_a_key() {
    let proxy = Proxy::new();
    let one = "version: 1\nname: demo\ncallers: { credentials: [{ name: api_key, header: x-api-key \
               }], directory: [] }\n\
        limits: [{ name: one, per: [], bucket: { burst: 2, refill: 1/h } }]\n";
    let runtime = proxy.runtime(one);
    proxy.get(&runtime, "/", "nobody");
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert!(reply.headers.contains(&(
        "www-authenticate".into(),
        "ApiKey realm=\"demo\"".to_owned()
    )));
}

#[test]
fn a_smaller_burst_forgives_nothing_that_a_larger_one_allowed() {
    let proxy = Proxy::new();
    let rest = "limits: [{ name: one, per: [org], bucket: { burst: 10, refill: 1/h }, \
                overrides: [{ for: { credential: token }, burst: 20 }] }]";
    let runtime = proxy.runtime(&policy(rest));
    let large = || {
        proxy
            .send(
                &runtime,
                &[(":path", b"/"), ("authorization", b"Bearer demo-acme-1")],
            )
            .1
    };
    let admitted = (0..6).map(|_| {
        let admitted = (0..30).filter(|_| large() == Flow::Continue).count();
        assert_eq!(proxy.get(&runtime, "/", "demo-acme-2").1, Flow::Stop);
        admitted
    });
    assert_eq!(admitted.collect::<Vec<_>>(), [20, 0, 0, 0, 0, 0]);
}

#[test]
fn a_client_that_breaks_the_protocol_pays() {
    for (details, left) in [
        (Some("via_upstream"), 2),
        (
            Some("upstream_reset_before_response_started{connection_termination}"),
            2,
        ),
        (Some("no_healthy_upstream"), 2),
        (Some("route_not_found"), 2),
        (None, 2),
        (Some("http1.codec_error"), 1),
        (Some("request_overall_timeout"), 1),
        (Some("stream_idle_timeout"), 1),
    ] {
        let proxy = Proxy::new();
        let rest = "limits: [{ name: one, per: [org], bucket: { burst: 2, refill: 1/h }, \
                    charge: success }]";
        let runtime = proxy.runtime(&policy(rest));
        let (mut stream, _) = proxy.get(&runtime, "/", "demo-acme-1");
        proxy.details.replace(details);
        proxy.answer(&mut stream, &[(":status", "400")]);
        proxy.details.take();
        let again = (0..5)
            .filter(|_| proxy.get(&runtime, "/", "demo-acme-1").1 == Flow::Continue)
            .count();
        assert_eq!(again, left, "{details:?}");
    }
}
