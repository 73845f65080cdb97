//! The fields of limits, and their values after a wait.

use super::*;

#[test]
fn the_fields_show_the_limit_with_the_fewest_requests_left() {
    let proxy = Proxy::new();
    let rest = "limits:
  - { name: user, per: [user], rolling: { quota: 3, window: 10s } }
  - { name: org, per: [org], calendar: { quota: 4, window: 1m } }
  - { name: hidden, per: [], bucket: { burst: 5, refill: 1/h }, fields: hide }
replies: { fields: { family: x-ratelimit, with: [name, period] } }";
    let runtime = proxy.runtime(&policy(rest));
    for (key, name, limit, period, remaining, reset) in [
        (ALICE, "user", "3", "10", "2", "10"),
        (ALICE, "user", "3", "10", "1", "10"),
        (BOB, "org", "4", "60", "1", "40"),
        (BOB, "org", "4", "60", "0", "40"),
    ] {
        let (mut stream, _) = proxy.get(&runtime, "/a", key);
        let response = proxy.answer(
            &mut stream,
            &[
                (":status", "200"),
                ("x-ratelimit-period", "9"),
                ("x-other", "1"),
            ],
        );
        let fields = ["name", "limit", "period", "remaining", "reset"]
            .map(|part| format!("x-ratelimit-{part}"));
        assert_eq!(
            fields.map(|name| response[&name].clone()),
            [name, limit, period, remaining, reset].map(str::to_owned)
        );
        assert_eq!(response.len(), 7, "{response:?}");
    }
    // The hidden limit is stated when it refuses.
    proxy.get(&runtime, "/a", GLOBEX);
    assert_eq!(proxy.get(&runtime, "/a", GLOBEX).1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (
            header(&reply, "x-ratelimit-name"),
            header(&reply, "retry-after")
        ),
        (Some("hidden"), Some("3600"))
    );
}

#[test]
fn a_refusal_states_the_limit_with_the_longest_wait() {
    let proxy = Proxy::new();
    let rest = "limits:
  - { name: short, per: [], rolling: { quota: 2, window: 10s } }
  - { name: long, per: [], rolling: { quota: 2, window: 1h } }
replies: { fields: { family: both } }";
    let runtime = proxy.runtime(&policy(rest));
    for _ in 0..2 {
        proxy.get(&runtime, "/a", ALICE);
    }
    assert_eq!(proxy.get(&runtime, "/a", ALICE).1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(reply.details, "sluicegate_refused:long");
    assert_eq!(
        (
            header(&reply, "retry-after"),
            header(&reply, "x-ratelimit-reset")
        ),
        (Some("3600"), Some("3600"))
    );
    let problem: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!(["short", "long"])
    );
    assert_eq!(
        header(&reply, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        items(header(&reply, "ratelimit").unwrap(), ["r", "t"]),
        [
            ("short", [Some(0), Some(10)]),
            ("long", [Some(0), Some(3_600)])
        ]
        .map(owned)
    );
}

/// The names of a list of strings, each with these parameters, read by a parser of structured
/// fields.
fn items(field: &str, parameters: [&str; 2]) -> Vec<(String, [Option<i64>; 2])> {
    let list: sfv::List = Parser::new(field).parse().unwrap();
    let read = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("{field}")
        };
        let BareItem::String(name) = &item.bare_item else {
            panic!("{field}")
        };
        (
            name.as_str().to_owned(),
            parameters.map(|name| match item.params.get(name) {
                Some(BareItem::Integer(number)) => Some(i64::from(*number)),
                None => None,
                Some(other) => panic!("{other:?}"),
            }),
        )
    };
    list.iter().map(read).collect()
}

fn owned((name, numbers): (&str, [Option<i64>; 2])) -> (String, [Option<i64>; 2]) {
    (name.to_owned(), numbers)
}

#[test]
fn the_standard_fields_are_structured_and_list_every_visible_limit() {
    let proxy = Proxy::new();
    let rest = "limits:
  - { name: user, per: [user], rolling: { quota: 3, window: 10s } }
  - { name: burst, per: [org], bucket: { burst: 100, refill: 60/min } }
  - { name: bytes, per: [org], calendar: { quota: 1000000, window: 1d }, cost: { \
  header: content-length } }
  - { name: hidden, per: [], bucket: { burst: 5, refill: 1/h }, fields: hide }
  - { name: next, per: [], bucket: { burst: 5, refill: 1/h }, enforcement: shadow }
replies: { fields: { family: ietf } }";
    let runtime = proxy.runtime(&policy(rest));
    let (mut stream, _) = proxy.send(
        &runtime,
        &[
            (":path", b"/a"),
            ("x-api-key", ALICE.as_bytes()),
            ("content-length", b"0"),
        ],
    );
    let response = proxy.answer(
        &mut stream,
        &[(":status", "200"), ("ratelimit", "\"forged\";r=9")],
    );
    assert_eq!(
        response["ratelimit-policy"],
        r#""user";q=3;w=10, "burst";q=100;w=100, "bytes";q=1000000;w=86400;qu="content-bytes""#
    );
    assert_eq!(
        items(&response["ratelimit"], ["r", "t"]),
        [
            ("user", [Some(2), Some(10)]),
            ("burst", [Some(99), Some(1)]),
            ("bytes", [Some(1_000_000), Some(6_400)])
        ]
        .map(owned)
    );
    assert_eq!(response.len(), 3, "no other field: {response:?}");
}

#[test]
fn a_reset_can_be_sent_only_with_a_wait() {
    let proxy = Proxy::new();
    let rest = "limits: [{ name: one, per: [], rolling: { quota: 1, window: 30s } }]
replies: { fields: { family: x-ratelimit, reset: retry-after } }";
    let runtime = proxy.runtime(&policy(rest));
    let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
    let response = proxy.answer(
        &mut stream,
        &[(":status", "200"), ("x-ratelimit-reset", "forged")],
    );
    assert_eq!(
        response.keys().collect::<Vec<_>>(),
        [":status", "x-ratelimit-limit", "x-ratelimit-remaining"]
    );
    proxy.wait(4);
    proxy.get(&runtime, "/a", ALICE);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(
        (
            header(&reply, "x-ratelimit-reset"),
            header(&reply, "retry-after")
        ),
        (Some("26"), Some("26"))
    );
}

#[test]
fn a_slow_response_states_the_wait_that_is_left() {
    let proxy = Proxy::new();
    let rest = "limits: [{ name: one, per: [], rolling: { quota: 2, window: 30s } }]
replies: { fields: { family: both } }";
    let runtime = proxy.runtime(&policy(rest));
    for (seconds, reset, standard) in [(0, "30", 30), (12, "18", 18), (28, "2", 2), (40, "0", 0)] {
        let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
        proxy.wait(seconds);
        let response = proxy.answer(&mut stream, &[(":status", "200")]);
        assert_eq!(response["x-ratelimit-reset"], reset, "after {seconds} s");
        let stated = items(&response["ratelimit"], ["r", "t"]).remove(0).1;
        assert_eq!(
            stated[1],
            (standard > 0).then_some(standard),
            "after {seconds} s"
        );
        proxy.wait(60);
    }
}
