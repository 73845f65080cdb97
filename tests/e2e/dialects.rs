//! gRPC-Web: the responses to its clients, wherever Envoy converts to gRPC.

use crate::harness::{
    Answer, Call, Client, Gateway, Policy, Setup, TestBed, connection_manager, eventually,
    extension,
};
use serde_json::{Value, json};
use std::time::Duration;

fn policy() -> Policy {
    Policy::named("exact")
        .with(
            "/callers",
            json!({
                "for": { "routes": ["/auth/**"] },
                "credentials": [{ "name": "key", "header": "x-key" }], "directory": [],
            }),
        )
        .with("/tiers", json!([{ "name": "any", "routes": ["/**"] }]))
        .with(
            "/limits",
            json!([
                { "name": "calls", "for": { "routes": ["/limited/**"] }, "per": [],
                  "bucket": { "burst": 1, "refill": "1/d" } },
            ]),
        )
        .with(
            "/concurrency",
            json!([
                { "name": "slots", "for": { "routes": ["/slow/**"] }, "per": [], "slots": 1 },
            ]),
        )
        .with(
            "/payloads",
            json!([
                { "name": "small", "for": { "routes": ["/small/**"] }, "bytes": "10B" },
                { "name": "json", "for": { "routes": ["/json/**"] }, "json": { "depth": 1 },
                  "hold": true },
            ]),
        )
        .with("/access_log", json!({ "attributes": [] }))
}

fn grpc_web() -> Value {
    json!({
        "name": "envoy.filters.http.grpc_web",
        "typed_config": { "@type": extension("filters.http.grpc_web.v3.GrpcWeb") },
    })
}

fn grpc_status(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    (
        answer.status,
        answer.header("grpc-status"),
        answer.header("content-type"),
    )
}

/// Every refusal is a gRPC status in the form that the caller uses.
async fn assert_grpc_web(client: &Client, order: &str, sent: &str, answered: &str) {
    let call = |path: &str| {
        Call::post(path)
            .header("content-type", sent)
            .header("accept", sent)
    };
    for (path, status) in [("/limited/a", "8"), ("/auth/a", "16"), ("/slow/a", "8")] {
        let answer = client.send(call(path).sized(5)).await;
        assert_eq!(
            grpc_status(&answer),
            (200, Some(status), Some(answered)),
            "{order}: {sent} {path}"
        );
        assert!(
            answer
                .header("grpc-message")
                .is_some_and(|message| message.contains(' ')),
            "{order}: {path}"
        );
        assert!(answer.body.is_empty(), "{order}: {path}");
    }
    let limited = client.send(call("/limited/a").sized(5)).await;
    assert!(
        limited.number("retry-after").is_some(),
        "{order}: {:?}",
        limited.headers
    );
    for (path, status) in [("/small/a", "8"), ("/json/a", "3")] {
        let answer = client.send(call(path).sized(16)).await;
        assert_eq!(
            grpc_status(&answer),
            (200, Some(status), Some(answered)),
            "{order}: {sent} {path}"
        );
    }
}

/// Other clients get their own form: a gRPC status or an HTTP status.
async fn assert_other_dialects(gateway: &Gateway, order: &str) {
    let grpc = Client::http2(gateway.address)
        .send(Call::get("/limited/a").grpc())
        .await;
    assert_eq!(
        grpc_status(&grpc),
        (200, Some("8"), Some("application/grpc")),
        "{order}"
    );
    for content_type in [
        "application/json",
        "application/grpc-webx",
        "application/connect+proto",
    ] {
        let http = gateway
            .client()
            .send(
                Call::post("/limited/a")
                    .header("content-type", content_type)
                    .sized(1),
            )
            .await;
        assert_eq!(
            (http.status, http.header("grpc-status")),
            (429, None),
            "{order}: {content_type}"
        );
    }
}

pub(crate) async fn a_grpc_web_caller_gets_a_grpc_status(bed: &TestBed) {
    let behind = Setup::of(&policy())
        .behind(json!([grpc_web()]))
        .with_http2();
    let before = Setup::of(&policy()).with_http2().edited(|listeners, _| {
        let filters = connection_manager(listeners)["http_filters"]
            .as_array_mut()
            .expect("filters");
        let router = filters.len() - 1;
        filters.insert(router, grpc_web());
    });
    let without = Setup::of(&policy()).with_http2();
    for (order, setup) in [
        ("behind it", behind),
        ("before it", before),
        ("without it", without),
    ] {
        let gateway = bed.open_with(setup).await;
        let client = gateway.client();
        // One request over HTTP, which keeps the only slot of its pool as long as the test needs.
        let slow = Client::http2(gateway.address);
        let held = tokio::spawn(async move {
            let _ = slow
                .try_send(Call::get("/slow/a").delayed(Duration::from_secs(20)))
                .await;
        });
        eventually("the slot is taken", async || {
            (gateway.upstream.count("/slow/a") == 1).then_some(())
        })
        .await;
        assert_eq!(
            client.send(Call::get("/limited/a")).await.status,
            200,
            "{order}: the only one of the day"
        );
        for (sent, answered) in [
            ("application/grpc-web", "application/grpc-web+proto"),
            ("application/grpc-web+proto", "application/grpc-web+proto"),
            (
                "application/grpc-web-text",
                "application/grpc-web-text+proto",
            ),
            (
                "application/grpc-web-text+proto",
                "application/grpc-web-text+proto",
            ),
        ] {
            assert_grpc_web(&client, order, sent, answered).await;
        }
        assert_other_dialects(&gateway, order).await;
        held.abort();
    }
}
