//! The presets, with the requests that their pages describe.

use serde_json::{Value, json};

use super::{attribute, decisions, field, found, limit, preset, reason, text};

#[test]
fn a_burst_is_admitted_and_then_refused() {
    let call = [
        "--path",
        "/v2/things?n=1",
        "-H",
        "Authorization: Bearer demo-acme-1",
    ];
    let last = preset("enterprise-v2", &[&call[..], &["--repeat", "100"]].concat());
    assert_eq!(
        (text(&last["decision"]), decisions(&last)),
        ("admitted", vec!["standard: admitted".to_owned()])
    );
    assert_eq!(
        (&last["response"]["status"], &last["response"]["fields"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(
        last["request"],
        json!({ "method": "GET", "path": "/v2/things" }),
        "no query: it may hold a credential"
    );
    assert_eq!(
        last["tier"],
        json!({ "name": "standard", "route": "/v2/**" })
    );
    assert_eq!(limit(&last, "standard")["remaining"], 0);

    let over = preset("enterprise-v2", &[&call[..], &["--repeat", "101"]].concat());
    assert_eq!(
        (text(&over["decision"]), text(&over["limit"])),
        ("refused", "standard")
    );
    assert_eq!(
        (&over["response"]["status"], field(&over, "retry-after")),
        (&json!(429), "1")
    );
    assert!(
        text(&over["response"]["body"]).starts_with("{\n\"status\": 429,"),
        "{over:#}"
    );
    let standard = limit(&over, "standard");
    assert_eq!(standard["key"], json!([{ "name": "org", "value": "acme" }]));
    assert_eq!(
        standard["rule"],
        json!({ "bucket": { "burst": 100, "refill": "60/min" } })
    );
    assert_eq!(
        (
            &standard["cost"],
            &standard["charge"],
            &standard["retry_after"]
        ),
        (&json!(1), &json!("success"), &json!(1))
    );
    assert_eq!(reason(&over, "data-read"), "tier");

    // The other key belongs to the same organization, and the other tier has its own budget.
    let other = preset(
        "enterprise-v2",
        &["--path", "/v2/a/summary", "-H", "x-api-key:demo-acme-2"],
    );
    assert_eq!(
        (found(&other), attribute(&other, "org")),
        (vec!["not_presented", "known"], "acme")
    );
    assert_eq!(decisions(&other), ["data-read: admitted"]);
    // If callers are not identified, no limit applies to them.
    let outside = preset(
        "enterprise-v2",
        &["--path", "/health", "-H", "x-api-key: nobody"],
    );
    assert_eq!(
        (&outside["callers"]["asked"], found(&outside)),
        (&json!(false), Vec::new())
    );
    assert_eq!(
        (text(&outside["decision"]), reason(&outside, "standard")),
        ("admitted", "tier")
    );
}

#[test]
fn a_plan_has_numbers_of_its_own() {
    for (token, quota, month, over) in [
        ("demo-free", 60_u64, 100_000_u64, "refuse"),
        ("demo-paid-1", 60, 1_000_000, "count"),
        ("demo-enterprise", 180, 10_000_000, "count"),
    ] {
        let bearer = format!("Authorization: Bearer {token}");
        let repeat = |count: u64| {
            preset(
                "datocms",
                &[
                    "--path",
                    "/items",
                    "-H",
                    &bearer,
                    "--repeat",
                    &count.to_string(),
                ],
            )
        };
        let last = repeat(quota);
        assert_eq!(
            decisions(&last),
            ["requests: admitted", "monthly-requests: admitted"],
            "{token}"
        );
        assert_eq!(
            (
                field(&last, "x-ratelimit-remaining"),
                field(&last, "x-ratelimit-reset")
            ),
            ("0", "-"),
            "{token}"
        );
        let over_it = repeat(quota.saturating_add(1));
        assert_eq!(
            decisions(&over_it),
            ["requests: refused", "monthly-requests: -"],
            "{token}"
        );
        assert_eq!(
            (
                field(&over_it, "retry-after"),
                field(&over_it, "x-ratelimit-reset")
            ),
            ("3", "3"),
            "{token}"
        );
        let monthly = limit(&over_it, "monthly-requests");
        assert_eq!(monthly["rule"]["calendar"]["quota"], month);
        assert_eq!(
            (&monthly["rule"]["over"], &monthly["shown"]),
            (&json!(over), &json!(false))
        );
        assert_eq!(
            monthly["remaining"],
            month.saturating_sub(quota),
            "the limit that refuses takes nothing"
        );
        assert_eq!(monthly["reset_in"], 482_400, "until December");
    }
}
