//! A policy in shadow: clients notice nothing of it, and operators see what it would do.

use super::at_once;
use crate::harness::{Call, Policy, TestBed};
use serde_json::json;
use std::time::Duration;

pub(crate) async fn a_policy_in_shadow_changes_nothing(bed: &TestBed) {
    let pool = json!([{ "name": "pool", "for": { "routes": ["/c"] }, "per": [], "slots": 1,
                        "queue": { "length": 9, "timeout": "9s" } }]);
    let payload = json!([{ "name": "body", "for": { "routes": ["/b"] }, "bytes": "9B",
                           "hold": true }]);
    let policy = Policy::measuring(payload)
        .with("/enforcement", json!("shadow"))
        .with("/callers/absent", json!("refuse"))
        .with("/deny", json!([{ "routes": ["/closed"] }]))
        .with("/concurrency", pool);
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let known = |call: Call| call.header("x-key", "k");
    for call in [
        Call::get("/a"),
        known(Call::get("/closed")),
        known(Call::post("/b").sized(99)),
    ] {
        let answer = client
            .send(call.answered_with("x-ratelimit-limit", "7"))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("7"));
    }
    let slow = known(Call::get("/c").delayed(Duration::from_millis(500)));
    let answers = at_once(&gateway, &slow, 3).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    for (limit, count) in [("-", 2), ("body", 1), ("pool", 2)] {
        let labels = [("limit", limit), ("decision", "would_refuse")];
        let name = "sluicegate_requests_total";
        assert_eq!(gateway.admin.metric(name, &labels).await, count, "{limit}");
    }
}
