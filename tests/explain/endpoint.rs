//! The endpoint at which callers read their own numbers.

use serde_json::{Value, json};

use super::{explanation, text_form};

/// The secret is demo-acme-1.
const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: token, header: x-key }]
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme }
deny: [{ org: acme, routes: [/closed] }]
limits:
  - { name: known, per: [org], bucket: { burst: 2, refill: 1/h } }
  - { name: writes, for: { routes: ["PUT /items/{item}"] }, per: [item],
      cost: { header: x-cost, trusted: true }, bucket: { burst: 8, refill: 1/h } }
replies: { endpoint: { path: /rate_limit } }
"#;

const KNOWN: [&str; 5] = ["-", "-H", "x-key: demo-acme-1", "-H", "x-cost: 9"];

fn answer(path: &str) -> Value {
    let explained = explanation(&[&KNOWN[..], &["--path", path]].concat(), POLICY);
    assert_eq!(explained["decision"], "answered", "{explained:#}");
    assert_eq!(explained["endpoint"], "/replies/endpoint");
    assert_eq!(explained["response"]["status"], 200);
    serde_json::from_str(explained["response"]["body"].as_str().unwrap()).unwrap()
}

#[test]
fn the_endpoint_is_shown_as_it_would_answer() {
    let known = json!({
        "name": "known", "label": "known", "per": { "org": "acme" }, "quota": 2, "window": 7200,
        "remaining": 2, "used": 0, "more": 0, "reset": 0,
    });
    let at = "2026-11-25T10:00:00Z";
    assert_eq!(
        answer("/rate_limit"),
        json!({ "at": at, "limits": [&known], "ask": ["writes"] })
    );
    assert_eq!(
        answer("/rate_limit?path=/items/4"),
        json!({ "at": at, "limits": [&known], "ask": [], "admitted": true })
    );
    let writes = json!({
        "name": "writes", "label": "writes", "per": { "item": "4" }, "quota": 8, "window": 28800,
        "remaining": 8, "used": 0, "more": 0, "reset": 0,
    });
    // It can never fit, so no wait is stated.
    assert_eq!(
        answer("/rate_limit?path=/items/4&method=PUT"),
        json!({ "at": at, "limits": [&known, &writes], "ask": [], "admitted": false })
    );
    assert_eq!(
        answer("/rate_limit?path=/closed"),
        json!({ "at": at, "limits": [], "ask": [], "admitted": false })
    );
    let text = text_form(&[&KNOWN[..], &["--path", "/rate_limit"]].concat(), POLICY);
    for line in [
        "endpoint     by /replies/endpoint: it answers, and no limit counts the request\n",
        "decision     answered by /replies/endpoint\n",
        "  cache-control: no-store\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_request_that_it_does_not_answer_is_explained() {
    for (arguments, status) in [
        (&["-", "--path", "/rate_limit"][..], 401),
        (&["-", "--path", "/rate_limit", "-H", "x-key: wrong"], 401),
        (
            &[
                "-",
                "--path",
                "/rate_limit",
                "--method",
                "POST",
                "-H",
                "x-key: demo-acme-1",
            ],
            405,
        ),
        (
            &[
                "-",
                "--path",
                "/rate_limit?path=a",
                "-H",
                "x-key: demo-acme-1",
            ],
            400,
        ),
    ] {
        let explained = explanation(arguments, POLICY);
        assert_eq!(explained["response"]["status"], status, "{arguments:?}");
    }
    // Elsewhere it is not mentioned.
    let other = explanation(&[&KNOWN[..], &["--path", "/items/4"]].concat(), POLICY);
    assert_eq!(
        (&other["endpoint"], &other["decision"]),
        (&Value::Null, &json!("admitted"))
    );
}
