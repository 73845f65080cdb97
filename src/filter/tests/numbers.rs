//! Limits whose numbers are the caller's own, and callers that are unlimited.

use super::proxy::Proxy;
use super::*;

const RULES: [(&str, &str); 3] = [
    ("burst", "bucket: { burst: OWN, refill: 1/h }"),
    ("quota", "rolling: { quota: OWN, window: 1h }"),
    ("quota", "calendar: { quota: OWN, window: 1d }"),
];

fn policy((number, rule): (&str, &str)) -> String {
    let rule = rule.replace("OWN", "{ attribute: points, else: 2, at_most: 4 }");
    format!(
        "version: 1
name: demo
callers:
  credentials: [{{ name: key, header: x-key }}]
  unknown: anonymous
  absent: anonymous
  attributes:
    points: [{{ header: x-points, trusted: true }}]
    plan: [{{ header: x-plan, trusted: true }}]
limits:
  - {{ name: own, per: [key], {rule}, overrides: [
      {{ for: {{ plan: paid }}, {number}: 6 }},
      {{ for: {{ plan: free }}, {number}: {{ attribute: points, else: 1, at_most: 3 }} }},
      {{ for: {{ plan: unlimited }}, {number}: unlimited }} ] }}
access_log: {{ attributes: [] }}
"
    )
}

/// The status and the limit's numbers of the last of as many requests as are admitted.
fn admitted(policy: &str, plan: &str, points: &str) -> (usize, Option<String>, Option<String>) {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(policy);
    let pairs = [
        (":method", &b"GET"[..]),
        (":path", b"/a"),
        ("x-key", b"k"),
        ("x-plan", plan.as_bytes()),
        ("x-points", points.as_bytes()),
    ];
    let (mut count, mut limit) = (0_usize, None);
    while count < 9 {
        let (mut stream, flow) = proxy.send(&runtime, &pairs);
        if flow == Flow::Stop {
            break;
        }
        count = count.saturating_add(1);
        let response = proxy.answer(
            &mut stream,
            &[(":status", "200"), ("x-ratelimit-limit", "9")],
        );
        limit = response.get("x-ratelimit-limit").cloned();
        stream.on_end(&proxy);
    }
    (count, limit, proxy.take_line())
}

#[test]
fn a_caller_has_its_own_number() {
    for rule in RULES {
        let policy = policy(rule);
        for (plan, points, count) in [
            ("", "3", 3),
            ("", "4", 4),
            // A larger one is cut, and a value that is not a number from 1 up is ignored.
            ("", "5", 4),
            ("", "99999999999999999999999999", 4),
            ("", "0", 2),
            ("", "", 2),
            ("", "-1", 2),
            ("", "3.5", 2),
            ("", "3x", 2),
            ("", "1", 1),
            // An override takes precedence, and may have a number of each caller's own as well.
            ("paid", "3", 6),
            ("free", "2", 2),
            ("free", "7", 3),
            ("free", "x", 1),
        ] {
            let (found, limit, _) = admitted(&policy, plan, points);
            assert_eq!(found, count, "{rule:?} {plan} {points}");
            assert_eq!(limit, Some(count.to_string()), "{rule:?} {plan} {points}");
        }
    }
}

#[test]
fn a_caller_without_a_limit_has_no_counter_and_no_field() {
    for rule in RULES {
        let policy = policy(rule);
        let (count, limit, line) = admitted(&policy, "unlimited", "3");
        assert_eq!((count, limit), (9, None), "{rule:?}");
        assert_eq!(
            line.as_deref(),
            Some("decision=admitted limit=- tier=-"),
            "{rule:?}"
        );
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy);
        let before = proxy.data.map.borrow().values.clone();
        proxy.send(&runtime, &[(":path", b"/a"), ("x-plan", b"unlimited")]);
        assert_eq!(proxy.data.map.borrow().values, before, "{rule:?}");
    }
}
