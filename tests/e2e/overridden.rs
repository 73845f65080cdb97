//! Pools and seat limits with numbers of a caller's own, and with answers of their own.

use super::pages::assert_answer;
use crate::harness::{Call, Policy, TestBed, eventually};
use serde_json::json;

fn policy() -> Policy {
    let callers = json!({
        "credentials": [{ "name": "key", "header": "x-key" }],
        "attributes": { "plan": [{ "query": "plan" }] },
        "unknown": "anonymous", "absent": "anonymous",
    });
    let pool = json!([{
        "name": "pool", "label": "In flight", "for": { "routes": ["/slot"] }, "per": [], "slots": 1,
        "overrides": [{ "for": { "plan": "large" }, "slots": 2 },
                      { "for": { "plan": "all" }, "slots": "unlimited" }],
        "refused": { "status": 503, "content_type": "text/plain", "body": "{label}: {quota}",
                     "headers": { "x-reason": "{limit}", "retry-after": "" } },
    }]);
    let seats = json!([{
        "name": "editor", "for": { "routes": ["/seat"] }, "per": [], "holder": "key", "seats": 1,
        "idle": "1h",
        "overrides": [{ "for": { "plan": "large" }, "seats": 2 },
                      { "for": { "plan": "all" }, "seats": "unlimited" }],
        "refused": { "status": 409, "content_type": "application/json",
                     "body": r#"{"limit":"{limit}","left":{remaining},"plan":{attribute:plan}}"#,
                     "headers": { "x-reason": "{label}" } },
    }]);
    let write = json!([{ "name": "x-slots", "of": ["pool"], "value": "{remaining}/{quota}" }]);
    Policy::measuring(json!([{ "bytes": "9MB" }]))
        .with("/callers", callers)
        .with("/concurrency", pool)
        .with("/seats", seats)
        .with(
            "/replies",
            json!({ "fields": { "family": "ietf", "write": write } }),
        )
}

pub(crate) async fn pools_and_seats_have_numbers_and_answers_of_their_own(bed: &TestBed) {
    let gateway = bed.open(&policy()).await;
    let client = gateway.client();
    let holder = {
        let client = gateway.client();
        tokio::spawn(async move { client.send(Call::get("/slot").held()).await })
    };
    eventually("the slot is taken", async || {
        (gateway.upstream.count("/slot") == 1).then_some(())
    })
    .await;
    let refused = client.send(Call::get("/slot")).await;
    let fields = [
        ("content-type", "text/plain"),
        ("x-reason", "pool"),
        ("retry-after", "-"),
        ("x-slots", "0/1"),
    ];
    assert_answer(&refused, 503, &fields);
    assert_eq!(refused.text(), "In flight: 1");
    let large = client.send(Call::get("/slot?plan=large")).await;
    assert_answer(&large, 200, &[("x-slots", "0/2"), ("x-reason", "-")]);
    let policies = large.header("ratelimit-policy").unwrap_or_default();
    assert!(
        policies.ends_with(r#""pool";q=2;qu="concurrent-requests""#),
        "{policies}"
    );
    let all = client.send(Call::get("/slot?plan=all")).await;
    assert_answer(&all, 200, &[("x-slots", "-")]);
    holder.abort();

    let seat = async |key: &str, query: &str| {
        let call = Call::get(&format!("/seat{query}")).header("x-key", key);
        client.send(call).await
    };
    assert_eq!(seat("a", "").await.status, 200);
    let refused = seat("b", "").await;
    let fields = [
        ("content-type", "application/json"),
        ("x-reason", "editor"),
        ("x-slots", "-"),
    ];
    assert_answer(&refused, 409, &fields);
    assert_eq!(
        refused.text(),
        r#"{"limit":"editor","left":null,"plan":null}"#
    );
    let wait = refused.number("retry-after").expect("a wait");
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    assert_eq!(seat("b", "?plan=large").await.status, 200);
    assert_eq!(seat("c", "?plan=large").await.status, 409);
    assert_eq!(seat("c", "?plan=all").await.status, 200);
    assert_eq!(seat("a", "").await.status, 200, "it still has its seat");
}
