//! `render prometheus-rules`.

use serde_json::Value;

use super::{INVALID, VALID, run};

const RULES: [&str; 4] = ["render", "prometheus-rules", "--policy", "-"];

const POLICY: &str = r#"version: 1
name: shop
callers:
  credentials: [{ name: key, header: x-api-key }]
  directory: []
  directory_attributes: [org, points]
limits:
  - name: bucket
    per: [org]
    bucket: { burst: 100, refill: 60/min }
    overrides: [{ for: { org: acme }, burst: 200 }]
  - { name: short, per: [], rolling: { quota: 60, window: 3s } }
  - { name: monthly, per: [], cost: 5, calendar: { quota: 1000, window: 1mo } }
  - name: own
    per: [org]
    rolling: { quota: { attribute: points, else: 10, at_most: 50 }, window: 1h }
  - name: sized
    per: []
    cost: { header: x-cost, trusted: true }
    rolling: { quota: 10, window: 1m }
  - { name: everywhere, per: [], scope: global, rolling: { quota: 10, window: 1h } }
store: { engine: { redis: counters } }
"#;

/// The expressions of these rules of a limit.
fn of(document: &Value, record: &str, limit: &str) -> Vec<String> {
    let rules = document["groups"][0]["rules"].as_array().unwrap();
    let selected = format!("limit=\"{limit}\"");
    let found = rules.iter().filter(|rule| {
        let is_labelled = rule["labels"]["limit"] == limit;
        rule["record"] == record
            && (is_labelled || rule["expr"].as_str().unwrap().contains(&selected))
    });
    found
        .map(|rule| rule["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_rules_have_the_numbers_of_each_limit() {
    let (code, stdout, stderr) = run(&RULES, POLICY.as_bytes());
    assert_eq!(code, 0, "{stderr}");
    let document: Value = serde_saphyr::from_str(&stdout).unwrap();
    assert_eq!(document["groups"][0]["name"], "sluicegate-shop");
    let one = |record: &str, limit: &str| {
        let all = of(&document, record, limit);
        assert_eq!(all.len(), 1, "{record} {limit}: {all:?}");
        all[0].clone()
    };
    for (limit, quota, seconds) in [
        ("bucket", "100", "100"),
        ("short", "60", "3"),
        ("monthly", "1000", "2678400"),
        ("sized", "10", "60"),
        ("everywhere", "10", "3600"),
    ] {
        let vector = |number: &str| format!("vector({number})");
        assert_eq!(one("sluicegate:limit_quota", limit), vector(quota));
        assert_eq!(
            one("sluicegate:limit_window_seconds", limit),
            vector(seconds)
        );
    }
    assert_eq!(of(&document, "sluicegate:limit_quota", "own").len(), 0);

    let used = one("sluicegate:limit_used:units", "short");
    assert!(used.contains("[60s])) * 3 / 60"), "{used}");
    let used = one("sluicegate:limit_used:units", "monthly");
    assert!(
        used.contains("[2678400s]") && used.ends_with(") * 5"),
        "{used}"
    );
    let used = one("sluicegate:limit_used:units", "sized");
    assert!(used.contains("increase(sluicegate_units_total{"), "{used}");
    let used = one("sluicegate:limit_used:units", "everywhere");
    assert!(used.starts_with("sum by (policy, limit) ("), "{used}");

    // Only one counter has a share.
    assert!(one("sluicegate:limit_used:ratio", "monthly").ends_with(" / 1000"));
    for limit in ["bucket", "own"] {
        assert_eq!(of(&document, "sluicegate:limit_used:ratio", limit).len(), 0);
    }
}

#[test]
fn an_invalid_policy_or_one_without_limits_is_answered() {
    let (code, stdout, stderr) = run(&RULES, INVALID.as_bytes());
    assert_eq!((code, &*stdout), (1, ""));
    assert!(stderr.contains("/limits/0/bucket/burst"), "{stderr}");
    let (code, stdout, _) = run(&RULES, VALID.as_bytes());
    assert_eq!(code, 0);
    assert!(stdout.contains("sluicegate-least"));

    let none = "version: 1\nname: bodies\npayloads: [{ name: all, bytes: 1KB }]\n";
    let (code, stdout, stderr) = run(&RULES, none.as_bytes());
    assert_eq!(code, 0, "{stderr}");
    let document: Value = serde_saphyr::from_str(&stdout).unwrap();
    assert_eq!(document["groups"][0]["rules"], Value::Array(Vec::new()));
}
