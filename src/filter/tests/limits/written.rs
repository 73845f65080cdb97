//! The fields that a policy writes itself.

use super::*;

const LIMITS: &str = "limits:
  - { name: user, label: Per user, per: [user], rolling: { quota: 3, window: 10s } }
  - { name: org, for: { routes: [/a] }, per: [org], calendar: { quota: 9, window: 1m } }
  - { name: secret, per: [], bucket: { burst: 5, refill: 1/h }, fields: never }
";

fn written(entries: &str) -> String {
    policy(&format!(
        "{LIMITS}replies: {{ fields: {{ family: none, write: [{entries}] }} }}"
    ))
}

#[test]
fn a_written_field_replaces_that_of_the_upstream_or_removes_it() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&written(
        "{ name: X-Used, value: '{used}/{quota} {label}' }, \
         { name: x-over, value: '{retry_after}' }, \
         { name: x-org, of: [org], value: '{limit} {remaining} {route} {attribute:plan}' }",
    ));
    let (mut stream, _) = proxy.get(&runtime, "/a", ALICE);
    let forged = [
        (":status", "200"),
        ("x-used", "9"),
        ("x-over", "9"),
        ("x-other", "1"),
    ];
    let sent = proxy.answer(&mut stream, &forged);
    assert_eq!(sent["x-used"], "1/3 Per user");
    assert_eq!(sent["x-org"], "org 8 /a free");
    assert_eq!((sent.get("x-over"), &*sent["x-other"]), (None, "1"));
    // The limit of that route does not apply here.
    let (mut stream, _) = proxy.get(&runtime, "/b", ALICE);
    let sent = proxy.answer(&mut stream, &forged);
    assert_eq!(
        (&*sent["x-used"], sent.get("x-org")),
        ("2/3 Per user", None)
    );
}

#[test]
fn the_first_value_of_a_name_that_there_is_counts() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&written(
        "{ name: x-reset, when: refused, value: '{reset:ms}' }, { name: X-Reset, when: admitted, \
         of: [org], value: '{reset}' }, { name: x-reset, value: 'none' }",
    ));
    for (path, expected) in [("/a", "40"), ("/b", "none"), ("/b", "none")] {
        let (mut stream, _) = proxy.get(&runtime, path, ALICE);
        assert_eq!(
            proxy.answer(&mut stream, &[(":status", "200")])["x-reset"],
            expected
        );
    }
    assert_eq!(proxy.get(&runtime, "/b", ALICE).1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(header(&reply, "x-reset"), Some("10000"));
}

#[test]
fn a_limit_that_is_never_shown_refuses_with_the_fields_of_the_others() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(&format!(
        "{LIMITS}replies: {{ fields: {{ family: both }} }}"
    )));
    for key in [ALICE, ALICE, BOB, BOB, GLOBEX] {
        assert_eq!(proxy.get(&runtime, "/b", key).1, Flow::Continue);
    }
    assert_eq!(proxy.get(&runtime, "/b", ALICE).1, Flow::Stop);
    let reply = proxy.replies.borrow_mut().pop().unwrap();
    assert_eq!(header(&reply, "x-ratelimit-limit"), Some("3"));
    // The refused request took nothing from it.
    assert_eq!(header(&reply, "x-ratelimit-remaining"), Some("1"));
    assert_eq!(header(&reply, "retry-after"), Some("3600"));
    let all = format!("{:?} {}", reply.headers, reply.body);
    assert!(!all.contains("secret"), "{all}");
}
