//! Limits in shadow.

use serde_json::{Value, json};

use super::{explanation, text_form};

const POLICY: &str = r#"
version: 1
name: demo
callers:
  for: { routes: [/in] }
  credentials: [{ name: key, header: x-key }]
  directory: []
  unknown: refuse
  absent: refuse
deny: [{ routes: [/closed] }]
limits:
  - { name: guesses, for: { credential: refused, routes: [/in] }, per: [],
      rolling: { quota: 1, window: 1h } }
concurrency:
  - { SHADOW name: pool, per: [], slots: 3, queue: { length: 2, timeout: 5s } }
payloads:
  - { SHADOW bytes: 9B }
"#;

#[test]
fn a_policy_in_shadow_is_explained() {
    let policy = POLICY.replace("SHADOW", "") + "enforcement: shadow\n";
    for (path, repeat, decision, limit) in [
        ("/in", "1", "would_refuse", Value::Null),
        ("/in", "2", "would_refuse", json!("guesses")),
        ("/closed", "1", "would_refuse", Value::Null),
        ("/a%00", "1", "would_refuse", Value::Null),
        ("/a", "1", "admitted", Value::Null),
    ] {
        let arguments = ["-", "--path", path, "--repeat", repeat];
        let explained = explanation(&arguments, &policy);
        assert_eq!(explained["decision"], decision, "{path}");
        assert_eq!(explained["limit"], limit, "{path}");
        let response = &explained["response"];
        assert_eq!(response["status"], Value::Null, "{path}");
        assert_eq!(response["fields"], json!([]), "{path}");
        assert_eq!(response["body"], Value::Null, "{path}");
    }
}

#[test]
fn a_pool_and_a_payload_limit_in_shadow_are_explained() {
    let policy = POLICY.replace("SHADOW", "enforcement: shadow,");
    let arguments = [
        "-",
        "--path",
        "/a",
        "-X",
        "POST",
        "-H",
        "content-length: 10",
    ];
    let explained = explanation(&arguments, &policy);
    assert_eq!(explained["decision"], "would_refuse");
    assert_eq!(explained["limit"], "payload");
    assert_eq!(explained["payload"]["refused"], "bytes");
    assert_eq!(explained["payload"]["enforcement"], "shadow");
    assert_eq!(explained["pools"][0]["enforcement"], "shadow");
    assert_eq!(explained["pools"][0]["queue_length"], 0);
    assert_eq!(explained["response"]["status"], Value::Null);
    let text = text_form(&arguments, &policy);
    assert!(
        text.contains("pool (shadow): 3 at a time, no request waits"),
        "{text}"
    );
    assert!(text.contains("payload (shadow): at most 9 bytes"), "{text}");
    assert!(
        text.contains("decision     would_refuse by payload\n"),
        "{text}"
    );
}
