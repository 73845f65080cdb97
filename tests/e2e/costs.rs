//! The cost of a request whose input is missing or ambiguous, and the counters of other callers
//! when the store is full.

use super::windows::{bucket, calendar, limits, of, on, rolling};
use super::{ALPHA, BETA, limit_and_left};
use crate::harness::{Call, Client, Policy, TestBed};
use serde_json::{Value, json};
use tokio::task::JoinSet;

fn costing(mut rule: Value, cost: Value) -> Value {
    rule["cost"] = cost;
    rule
}

pub(crate) async fn a_request_without_a_body_does_not_bypass_a_limit_by_items(bed: &TestBed) {
    let policy = limits(&[
        (
            "items",
            on("items", costing(calendar(100), json!({ "items": "/a" }))),
        ),
        (
            "lines",
            on("lines", costing(calendar(2), json!({ "lines": "request" }))),
        ),
    ]);
    let gateway = bed.open(&policy).await;
    for (client, method) in [
        (gateway.client(), "GET"),
        (Client::http2(gateway.address), "DELETE"),
    ] {
        let key = if method == "GET" { ALPHA[0] } else { BETA };
        let call = Call::new(method, "/items/x").header("x-api-key", key);
        let statuses = client.statuses(&call, 150).await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            100,
            "{method}"
        );
        assert!(
            statuses[100..].iter().all(|status| *status == 429),
            "{method}"
        );
    }
    // No lines cost nothing, and a request that costs nothing is never refused.
    let call = of("/lines/x", ALPHA[0]);
    assert_eq!(gateway.client().statuses(&call, 9).await, [200; 9]);
}

pub(crate) async fn the_greatest_value_of_a_cost_header_counts(bed: &TestBed) {
    let policy = limits(&[
        (
            "asked",
            on(
                "asked",
                costing(rolling(100), json!({ "header": "x-cost", "trusted": true })),
            ),
        ),
        (
            "told",
            on(
                "told",
                costing(rolling(100), json!({ "response_header": "x-cost" })),
            ),
        ),
    ]);
    let gateway = bed.open(&policy).await;
    for (client, key) in [
        (gateway.client(), ALPHA[0]),
        (Client::http2(gateway.address), BETA),
    ] {
        let mut left = 100;
        for (lines, cost) in [
            (&["1", "7"][..], 7),
            (&["7", "1"], 7),
            (&["1, 7"], 7),
            (&["7,1"], 7),
            (&["1", "2, 5,", "3"], 5),
            (&["0", "many"], 1),
            (&["0, 0", "0"], 0),
            (&[], 1),
        ] {
            left -= cost;
            let by_request = lines.iter().fold(of("/asked/x", key), |call, line| {
                call.header("x-cost", line)
            });
            let by_response = lines.iter().fold(of("/told/x", key), |call, line| {
                call.answered_with("x-cost", line)
            });
            for call in [by_request, by_response] {
                let answer = client.send(call).await;
                assert_eq!(
                    (answer.status, limit_and_left(&answer)),
                    (200, (100, left)),
                    "{lines:?}"
                );
            }
        }
    }
}

pub(crate) async fn an_overdraft_is_owed_in_full(bed: &TestBed) {
    let by_response = |rule| costing(rule, json!({ "response_header": "x-cost" }));
    let slow = json!({ "bucket": { "burst": 10, "refill": "1/d" } });
    let kinds = [
        ("slow", slow),
        ("bucket", bucket(10)),
        ("rolling", rolling(10)),
        ("calendar", calendar(10)),
    ];
    let policy = limits(
        &kinds
            .clone()
            .map(|(name, rule)| (name, on(name, by_response(rule)))),
    );
    let gateway = bed.open(&policy).await;
    for (name, _) in kinds {
        for (cost, key) in [(1_000, ALPHA[0]), (100_000, BETA)] {
            let call = of(&format!("/{name}/x"), key);
            let answer = gateway
                .client()
                .send(call.clone().answered_with("x-cost", &cost.to_string()))
                .await;
            assert_eq!(
                (answer.status, limit_and_left(&answer)),
                (200, (10, 0)),
                "{name}"
            );
            assert_eq!(
                answer.number("x-ratelimit-overage"),
                Some(cost - 10),
                "{name}"
            );
            assert_eq!(gateway.client().send(call).await.status, 429, "{name}");
        }
    }
}

pub(crate) async fn a_flood_of_uploads_resets_no_quota(bed: &TestBed) {
    let by = |key: &str, limit: Value| {
        let mut limit = limit;
        limit["per"] = json!([key]);
        limit
    };
    let logins = by(
        "k",
        on(
            "login",
            json!({ "calendar": { "quota": 3, "window": "1mo" } }),
        ),
    );
    let uploads = costing(
        by("k", on("upload", rolling(1_000_000))),
        json!({ "bytes": "request" }),
    );
    let policy =
        Policy::named("windows").with("/callers/attributes", json!({ "k": [{ "query": "k" }] }));
    let named = |name: &str, limit: Value| {
        let mut limit = limit;
        limit["name"] = json!(name);
        limit
    };
    let policy = policy
        .with(
            "/limits",
            json!([named("logins", logins), named("uploads", uploads)]),
        )
        .with("/store", json!({ "keys_max": 100 }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let login = |number: usize| Call::get(&format!("/login/x?k=user{number}"));
    for number in 0..20 {
        assert_eq!(
            client.statuses(&login(number), 4).await,
            [200, 200, 200, 429]
        );
    }
    let mut floods = JoinSet::new();
    for flood in 0..10 {
        let client = Client::http2(gateway.address);
        floods.spawn(async move {
            for number in 0..300 {
                let call = Call::post(&format!("/upload/x?k=invented-{flood}-{number}")).sized(100);
                assert_eq!(client.send(call).await.status, 200);
            }
        });
    }
    floods.join_all().await;
    let evicted = gateway
        .admin
        .metric("sluicegate_records_evicted_total", &[])
        .await;
    assert!(evicted > 2_000, "{evicted} of 3,000");
    for number in 0..20 {
        assert_eq!(
            client.send(login(number)).await.status,
            429,
            "user {number} has a new month"
        );
    }
}
