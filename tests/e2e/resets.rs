//! The reset and the retry time of costs that a limit cannot admit yet, or ever.

use super::limit_and_left;
use super::stated::{RULES, all_kinds, left, of, with_fields};
use super::windows::{calendar, limits, on};
use crate::harness::{Client, Setup, TestBed};
use serde_json::{Value, json};

pub(crate) async fn a_cost_that_never_fits_has_no_retry_time(bed: &TestBed) {
    let policy = all_kinds(&json!({ "cost": { "header": "x-cost", "trusted": true } }));
    let gateway = bed
        .open_with(Setup::of(&with_fields(policy, json!({ "family": "both" }))).with_http2())
        .await;
    let client = Client::http2(gateway.address);
    for rule in RULES {
        assert_eq!(
            left(&client.send(of(rule, "x").header("x-cost", "2")).await),
            (Some("3".to_owned()), Some(3))
        );
        let reset = client
            .send(of(rule, "x").header("x-cost", "0"))
            .await
            .number("x-ratelimit-reset")
            .expect("one");
        let never = client.send(of(rule, "x").header("x-cost", "6")).await;
        assert_eq!(
            (never.status, never.header("retry-after")),
            (429, None),
            "{rule}"
        );
        assert_eq!(left(&never), (Some("3".to_owned()), Some(3)), "{rule}");
        // No time to come back, and the counter of before.
        assert_eq!(never.header("x-ratelimit-reset"), None, "{rule}");
        assert!(reset > 1_000, "{rule}");
        let problem: Value = serde_json::from_slice(&never.body).expect("JSON");
        assert_eq!(problem["violated-policies"], json!([rule]));
        let grpc = client
            .send(of(rule, "x").header("x-cost", "6").grpc())
            .await;
        let message = grpc.header("grpc-message").expect("a message");
        assert_eq!(
            message,
            format!("limit {rule} exceeded: the request costs more than the limit can ever admit")
        );
    }
}

/// The gateway's own problem, and a policy's own text.
pub(crate) async fn a_body_states_no_retry_time_for_a_cost_that_never_fits(bed: &TestBed) {
    let policy = all_kinds(&json!({ "cost": { "header": "x-cost", "trusted": true } }));
    let usual = policy.clone().with(
        "/replies",
        json!({ "fields": { "family": "x-ratelimit", "reset": "retry-after" } }),
    );
    let words = json!({
        "content_type": "application/json",
        "body": r#"{"after":{retry_after},"of":"{limit}"}"#,
    });
    let own = policy.with("/replies", json!({ "refused": words }));
    for (policy, body) in [
        (
            usual,
            json!({ "status": 429, "title": "Too Many Requests",
            "detail": "The limit rolling is exceeded: the request costs more than the limit can \
                       ever admit." }),
        ),
        (own, json!({ "after": null, "of": "rolling" })),
    ] {
        let gateway = bed.open(&policy).await;
        let never = gateway
            .client()
            .send(of("rolling", "x").header("x-cost", "6"))
            .await;
        assert_eq!(
            serde_json::from_slice::<Value>(&never.body).expect("JSON"),
            body
        );
        assert!(
            never
                .number("x-ratelimit-reset")
                .is_none_or(|reset| reset == 0),
            "it is full: {:?}",
            never.headers
        );
        assert_eq!(limit_and_left(&never), (5, 5));
    }
}

pub(crate) async fn a_calendars_reset_is_its_windows_end_for_every_cost(bed: &TestBed) {
    let costs = [
        ("fixed", json!(1)),
        ("header", json!({ "header": "x-cost", "trusted": true })),
        ("response", json!({ "response_header": "x-cost" })),
        ("bytes", json!({ "bytes": "request" })),
        ("lines", json!({ "lines": "request" })),
        ("items", json!({ "items": "/a" })),
    ];
    for charge in ["admitted", "success"] {
        let fields = json!({ "family": "x-ratelimit", "reset": "unix-seconds" });
        let gateway = bed
            .open(&with_fields(
                limits(&costs.each_ref().map(|(name, cost)| {
                    let mut rule = calendar(2);
                    (rule["cost"], rule["charge"]) = (cost.clone(), json!(charge));
                    (*name, on(name, rule))
                })),
                fields,
            ))
            .await;
        let client = gateway.client();
        let mut resets = Vec::new();
        for (name, _) in &costs {
            for status in [404, 200, 200, 200] {
                let call = of(name, "x")
                    .answered(status)
                    .answered_with("x-cost", "1")
                    .sized(1);
                let answer = client.send(call).await;
                assert!(
                    answer.status == status || answer.status == 429,
                    "{name}: {}",
                    answer.status
                );
                resets.push((name, answer.number("x-ratelimit-reset").expect("a reset")));
            }
        }
        // The window is a day in a zone of whole hours.
        assert!(
            resets
                .iter()
                .all(|(_, reset)| reset % 3_600 == 0 && *reset == resets[0].1),
            "{charge}: {resets:?}"
        );
    }
}
