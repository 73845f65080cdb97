//! The endpoint at which callers read their own numbers.

use super::pages::{assert_answer, body};
use crate::harness::{Call, Client, Policy, TestBed};
use serde_json::{Value, json};

fn policy() -> Policy {
    Policy::measuring(json!([{ "name": "body", "bytes": "9MB" }]))
        .with(
            "/limits",
            json!([
                { "name": "calls", "label": "Calls", "per": ["key"],
                  "rolling": { "quota": 5, "window": "1h" } },
                { "name": "writes", "for": { "routes": ["PUT /items/{item}"] },
                  "per": ["key", "item"], "rolling": { "quota": 1, "window": "1h" } },
            ]),
        )
        .with("/replies", json!({ "endpoint": { "path": "/rate_limit" } }))
}

fn limit(answer: &Value, place: usize) -> [&Value; 3] {
    let limit = &answer["limits"][place];
    [&limit["name"], &limit["remaining"], &limit["used"]]
}

pub(crate) async fn a_caller_asks_for_its_own_numbers(bed: &TestBed) {
    let gateway = bed.open(&policy()).await;
    for (key, client) in [
        ("a", gateway.client()),
        ("b", Client::http2(gateway.address)),
    ] {
        let send = |call: Call| client.send(call.header("x-key", key));
        let put = Call::new("PUT", "/items/42");
        assert_eq!(send(put.clone()).await.status, 200);
        for _ in 0..3 {
            let answer = send(Call::get("/rate_limit")).await;
            let fields = [
                ("content-type", "application/json"),
                ("cache-control", "no-store"),
                ("x-ratelimit-limit", "-"),
            ];
            assert_answer(&answer, 200, &fields);
            let own = body(&answer);
            assert_eq!(limit(&own, 0), [&json!("calls"), &json!(4), &json!(1)]);
            assert_eq!(own["limits"][0]["label"], "Calls");
            assert_eq!(own["ask"], json!(["writes"]));
        }
        let asked = send(Call::get("/rate_limit?method=PUT&path=/items/42")).await;
        let asked = body(&asked);
        assert_eq!(limit(&asked, 1), [&json!("writes"), &json!(0), &json!(1)]);
        assert_eq!(asked["admitted"], false);
        let wait = asked["retry_after"].as_u64().expect("a wait");
        assert!((3_000..=3_600).contains(&wait), "{wait}");
        assert_eq!(send(put).await.status, 429, "as it would be");
        let other = send(Call::get("/rate_limit?method=PUT&path=/items/7")).await;
        assert_eq!(body(&other)["admitted"], true);
        let head = send(Call::new("HEAD", "/rate_limit")).await;
        assert_answer(&head, 200, &[("content-type", "application/json")]);
        assert!(head.body.is_empty());
        let post = send(Call::post("/rate_limit").sized(9)).await;
        assert_answer(&post, 405, &[("allow", "GET, HEAD")]);
        let bad = send(Call::get("/rate_limit?path=items")).await;
        assert_answer(&bad, 400, &[("content-type", "application/problem+json")]);
        let grpc = send(Call::post("/rate_limit").grpc()).await;
        assert_answer(&grpc, 200, &[("grpc-status", "12")]);
    }
    assert_eq!(
        gateway.upstream.count("/rate_limit"),
        0,
        "none is forwarded"
    );
    // A caller that has sent nothing has the whole quota.
    let client = gateway.client();
    let other = client
        .send(Call::get("/rate_limit").header("x-key", "c"))
        .await;
    assert_eq!(limit(&body(&other), 0)[1], &json!(5));
}
