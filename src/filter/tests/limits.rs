//! The kinds of limits, the callers that they apply to, their costs, and the fields that state
//! them.

mod fields;
mod written;

use sfv::{BareItem, ListEntry, Parser};

use super::proxy::Proxy;
use crate::filter::stream::Flow;
use crate::host::stream::LocalReply;

const HEAD: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: token, header: authorization, scheme: Bearer },
                { name: api_key, header: x-api-key }]
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme,
        user: alice, plan: free }
    - { sha256: 0f6ef3a1c3c44c2ebda0cd37ec10be0c0832c7b639dd11f0193c9337a22f19a2, org: acme,
        user: bob, plan: free }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex,
        plan: paid }
tiers: [{ name: write, routes: ["POST /**"] }, { name: read, routes: ["/**"] }]
"#;

pub(super) const ALICE: &str = "demo-acme-1";
pub(super) const BOB: &str = "demo-acme-2";
const GLOBEX: &str = "demo-globex-1";

pub(super) fn policy(rest: &str) -> String {
    format!("{HEAD}{rest}\n")
}

/// Sends `count` requests. Returns how many were admitted.
fn admitted(proxy: &Proxy, rest: &str, key: &str, count: usize) -> usize {
    let runtime = proxy.runtime(&policy(rest));
    (0..count)
        .filter(|_| proxy.get(&runtime, "/a", key).1 == Flow::Continue)
        .count()
}

pub(super) fn header<'r>(reply: &'r LocalReply, name: &str) -> Option<&'r str> {
    reply
        .headers
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| &**value)
}

#[test]
fn each_kind_of_limit_comes_back_in_its_own_way() {
    for (rule, waits) in [
        (
            "bucket: { burst: 4, refill: 4/min }",
            [(14, 0), (1, 1), (60, 4)],
        ),
        (
            "rolling: { quota: 4, window: 1m }",
            [(59, 0), (1, 4), (60, 4)],
        ),
        // It is 22:13:20 UTC.
        (
            "calendar: { quota: 4, window: 1m }",
            [(39, 0), (1, 4), (60, 4)],
        ),
        (
            "calendar: { quota: 4, window: 1d, zone: Europe/Rome }",
            [(2_799, 0), (1, 4), (86_400, 4)],
        ),
    ] {
        let proxy = Proxy::new();
        let rest = format!("limits: [{{ name: one, per: [org], {rule} }}]");
        assert_eq!(admitted(&proxy, &rest, ALICE, 9), 4, "{rule}");
        for (seconds, back) in waits {
            proxy.wait(seconds);
            assert_eq!(
                admitted(&proxy, &rest, BOB, 9),
                back,
                "{rule} after {seconds} s"
            );
        }
    }
}

#[test]
fn a_policy_with_other_numbers_goes_on_from_the_same_count() {
    for (before, after, left) in [
        (
            "rolling: { quota: 4, window: 1m }",
            "rolling: { quota: 6, window: 1m }",
            2,
        ),
        (
            "rolling: { quota: 40, window: 1m }",
            "rolling: { quota: 3, window: 1m }",
            0,
        ),
        (
            "calendar: { quota: 4, window: 1mo }",
            "calendar: { quota: 9, window: 1mo }",
            5,
        ),
        (
            "calendar: { quota: 4, window: 1mo }",
            "calendar: { quota: 4, window: 1mo, zone: Asia/Tokyo }",
            0,
        ),
        (
            "rolling: { quota: 4, window: 1m }",
            "rolling: { quota: 4, window: 2m }",
            4,
        ),
        (
            "calendar: { quota: 4, window: 1h }",
            "rolling: { quota: 4, window: 1h }",
            4,
        ),
    ] {
        let proxy = Proxy::new();
        let one = |rule: &str| format!("limits: [{{ name: one, per: [org], {rule} }}]");
        admitted(&proxy, &one(before), ALICE, 4);
        assert_eq!(
            admitted(&proxy, &one(after), BOB, 9),
            left,
            "{before}, then {after}"
        );
    }
}

#[test]
fn overage_is_admitted_counted_and_stated() {
    let proxy = Proxy::new();
    let rest = "limits:
  - { name: burst, per: [org], bucket: { burst: 100, refill: 60/min } }
  - name: month
    per: [org]
    calendar: { quota: 2, window: 1mo }
    overrides: [{ for: { plan: paid }, over: count }, { for: { org: acme }, quota: 3 }]
    fields: hide";
    let runtime = proxy.runtime(&policy(rest));
    for over in [None, None, Some("1"), Some("2")] {
        let (mut stream, flow) = proxy.get(&runtime, "/a", GLOBEX);
        assert_eq!(flow, Flow::Continue);
        let response = proxy.answer(
            &mut stream,
            &[(":status", "200"), ("x-ratelimit-overage", "forged")],
        );
        assert_eq!(
            response.get("x-ratelimit-overage").map(String::as_str),
            over
        );
        assert_eq!(response["x-ratelimit-limit"], "100");
    }
    assert_eq!(
        proxy.count("policy=.=demo;.;limit=.=month;.;sluicegate_overage_units_total"),
        2
    );
    let flows = [ALICE; 4].map(|key| proxy.get(&runtime, "/a", key).1);
    assert_eq!(
        flows,
        [Flow::Continue, Flow::Continue, Flow::Continue, Flow::Stop]
    );
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    // It is 2023-11-14 22:13:20 UTC.
    assert_eq!(
        (
            header(&reply, "retry-after"),
            header(&reply, "x-ratelimit-limit")
        ),
        (Some("1388800"), Some("3"))
    );
    assert_eq!(header(&reply, "x-ratelimit-overage"), None);
}

#[test]
fn a_shadow_limit_is_counted_and_never_seen() {
    let proxy = Proxy::new();
    let rest = "limits:
  - { name: now, per: [org], bucket: { burst: 3, refill: 1/h } }
  - { name: next, per: [org], bucket: { burst: 1, refill: 1/h }, enforcement: shadow }
access_log: { attributes: [org] }";
    let runtime = proxy.runtime(&policy(rest));
    for (remaining, line) in [
        (2, "decision=admitted limit=now tier=read org=acme"),
        (1, "decision=would_refuse limit=next tier=read org=acme"),
        (0, "decision=would_refuse limit=next tier=read org=acme"),
    ] {
        let (mut stream, flow) = proxy.get(&runtime, "/a", ALICE);
        assert_eq!(
            (flow, proxy.take_line().as_deref()),
            (Flow::Continue, Some(line))
        );
        assert_eq!(
            proxy.answer(&mut stream, &[(":status", "200")])["x-ratelimit-remaining"],
            remaining.to_string()
        );
    }
    assert_eq!(proxy.get(&runtime, "/a", ALICE).1, Flow::Stop);
    assert_eq!(
        proxy.take_line().unwrap(),
        "decision=refused limit=now tier=read org=acme"
    );
    for (name, count) in [
        ("now;.;decision=.=admitted", 3),
        ("now;.;decision=.=refused", 1),
        ("next;.;decision=.=admitted", 1),
        ("next;.;decision=.=would_refuse", 3),
        ("next;.;decision=.=refused", 0),
    ] {
        assert_eq!(
            proxy.count(&format!(
                "policy=.=demo;.;limit=.={name};.;sluicegate_requests_total"
            )),
            count,
            "{name}"
        );
    }
}

#[test]
fn an_exempt_request_is_under_no_limit_and_gets_no_field() {
    let proxy = Proxy::new();
    let rest = "exempt:
  - { routes: [\"POST /v2/series\", \"/health/**\"] }
  - { plan: paid, tier: write }
limits: [{ name: one, per: [], bucket: { burst: 1, refill: 1/h } }]";
    let runtime = proxy.runtime(&policy(rest));
    let send = |method: &str, path: &str, key: &str| {
        proxy.send(
            &runtime,
            &[
                (":method", method.as_bytes()),
                (":path", path.as_bytes()),
                ("x-api-key", key.as_bytes()),
            ],
        )
    };
    for (method, path, key) in [
        ("POST", "/v2/series", ALICE),
        ("GET", "/health/x", ALICE),
        ("POST", "/a", GLOBEX),
    ] {
        for _ in 0..3 {
            let (mut stream, flow) = send(method, path, key);
            assert_eq!(flow, Flow::Continue);
            let response = proxy.answer(
                &mut stream,
                &[(":status", "200"), ("x-ratelimit-limit", "forged")],
            );
            assert_eq!(response.len(), 1, "{response:?}");
        }
    }
    assert_eq!(
        send("POST", "/v2/series", "nobody").1,
        Flow::Stop,
        "exempt from limits, but not from identification"
    );
    assert_eq!(proxy.replies.borrow_mut().pop().unwrap().status, 401);
    let counted = [
        ("GET", "/v2/series", ALICE),
        ("POST", "/a", ALICE),
        ("GET", "/a", GLOBEX),
    ];
    assert_eq!(
        counted.map(|(method, path, key)| send(method, path, key).1),
        [Flow::Continue, Flow::Stop, Flow::Stop]
    );
}

#[test]
fn a_caller_who_lacks_a_part_of_the_key_can_be_skipped() {
    let proxy = Proxy::new();
    let by_user = |absent: &str| {
        format!(
            "limits: [{{ name: one, per: [user, org], absent: {absent}, bucket: {{ burst: 1, \
             refill: 1/h }} }}]"
        )
    };
    assert_eq!(admitted(&proxy, &by_user("skip"), GLOBEX, 5), 5);
    assert_eq!(admitted(&proxy, &by_user("skip"), ALICE, 5), 1);
    assert_eq!(admitted(&proxy, &by_user("count"), GLOBEX, 5), 1);
    // A token that is also an API key is counted by the way it is presented.
    let by_token = "limits: [{ name: one, per: [token], absent: skip, bucket: { burst: 2, \
                    refill: 1/h } }, \
        { name: two, per: [api_key], absent: skip, bucket: { burst: 3, refill: 1/h } }]";
    assert_eq!(admitted(&proxy, by_token, ALICE, 5), 3);
    let runtime = proxy.runtime(&policy(by_token));
    let bearer = format!("Bearer {ALICE}");
    let flows = (0..5).map(|_| {
        proxy
            .send(
                &runtime,
                &[(":path", b"/a"), ("authorization", bearer.as_bytes())],
            )
            .1
    });
    assert_eq!(flows.filter(|flow| *flow == Flow::Continue).count(), 2);
}

#[test]
fn jitter_adds_a_minute_at_most_to_a_wait_of_weeks() {
    let proxy = Proxy::new();
    let rest = "limits: [{ name: one, per: [], calendar: { quota: 1, window: 1mo } }]\nreplies: \
                { retry_after: { jitter: 50% } }";
    let runtime = proxy.runtime(&policy(rest));
    for _ in 0..2 {
        proxy.get(&runtime, "/a", ALICE);
    }
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    let wait: u64 = header(&reply, "retry-after").unwrap().parse().unwrap();
    assert!((1_388_800..=1_388_860).contains(&wait), "{wait}");
}
