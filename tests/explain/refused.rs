//! Requests that are denied, and limits on requests that receive a 401.

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
  attributes: { ip: [{ client_address: {} }] }
exempt: [{ routes: [/health] }]
deny: [{ client_address: 192.0.2.0/24 }, { org: acme, routes: [/closed] }]
limits:
  - { name: guesses, for: { credential: refused }, per: [ip], calendar: { quota: 2, window: 1d } }
  - { name: known, per: [org], bucket: { burst: 2, refill: 1/h } }
"#;

fn explained(arguments: &[&str]) -> Value {
    let all = [&["-"], arguments].concat();
    explanation(&all, POLICY)
}

const KNOWN: [&str; 2] = ["-H", "x-key: demo-acme-1"];
const WRONG: [&str; 2] = ["-H", "x-key: hunter2"];

#[test]
fn a_denial_is_explained() {
    for (address, path, headers, denied, status) in [
        ("192.0.2.7", "/a", &KNOWN, json!("/deny/0"), 403),
        ("192.0.2.7", "/a", &WRONG, json!("/deny/0"), 403),
        ("192.0.2.7", "/health", &KNOWN, Value::Null, 200),
        ("192.0.2.7", "/health", &WRONG, Value::Null, 401),
        ("198.51.100.7", "/closed", &KNOWN, json!("/deny/1"), 403),
        ("198.51.100.7", "/closed", &WRONG, Value::Null, 401),
    ] {
        let arguments = [&["--path", path, "--address", address], &headers[..]].concat();
        let explanation = explained(&arguments);
        assert_eq!(explanation["denied"], denied, "{arguments:?}");
        let response = &explanation["response"]["status"];
        if status == 200 {
            assert_eq!(response, &Value::Null, "{arguments:?}");
        } else {
            assert_eq!(response, &json!(status), "{arguments:?}");
        }
        let decision = match status {
            200 => "admitted",
            403 => "denied",
            _ => "refused",
        };
        assert_eq!(explanation["decision"], decision, "{arguments:?}");
    }
    let arguments = ["-", "--path", "/a", "--address", "192.0.2.7"];
    let text = text_form(&[&arguments[..], &WRONG].concat(), POLICY);
    assert!(text.contains("denied       by /deny/0\n"), "{text}");
    assert!(text.contains("decision     denied by /deny/0\n"), "{text}");
}

#[test]
fn a_limit_on_refused_credentials_is_explained() {
    for (repeat, status, limit) in [
        ("1", 401, Value::Null),
        ("2", 401, Value::Null),
        ("3", 429, json!("guesses")),
    ] {
        let arguments = [
            &[
                "--path",
                "/a",
                "--address",
                "198.51.100.7",
                "--repeat",
                repeat,
            ],
            &WRONG[..],
        ]
        .concat();
        let explanation = explained(&arguments);
        assert_eq!(explanation["response"]["status"], status, "{repeat}");
        assert_eq!(explanation["limit"], limit, "{repeat}");
        let limits = explanation["limits"].as_array().unwrap();
        assert_eq!(limits.len(), 1);
        assert_eq!(limits[0]["name"], "guesses");
        assert_eq!(
            limits[0]["key"],
            json!([{ "name": "ip", "value": "198.51.100.7" }])
        );
    }
    let admitted = explained(&["--path", "/a", KNOWN[0], KNOWN[1]]);
    let other = &admitted["not_applied"][0];
    assert_eq!(
        (&other["name"], &other["reason"]),
        (&json!("guesses"), &json!("identified"))
    );
    let arguments = ["-", "--path", "/a", "--repeat", "3"];
    let text = text_form(&[&arguments[..], &WRONG].concat(), POLICY);
    assert!(text.contains("decision     refused by guesses\n"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
