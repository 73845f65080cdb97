//! The preset dash0: refusals, the fields, and their times (D05 to D08).

use super::dash0::{ALICE, BOB, CAROL, open_with_sessions, preset, read, reads, test, write};
use super::{limit_and_left, unix_reset, until, until_refused};
use crate::harness::{Answer, Call, Client, TestBed, demo_jwt, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) async fn a_refusal_has_the_trace_of_its_request(bed: &TestBed) {
    let gateway = bed.open(&reads(1, 8, 10)).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut of_envoy = BTreeSet::new();
    for client in [gateway.client(), Client::http2(gateway.address)] {
        client.send(read().bearer(ALICE[0])).await;
        let refused = async |call: Call| {
            let answer = client.send(call.bearer(ALICE[0])).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (429, Some("application/json"))
            );
            let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
            let keys = |value: &Value| {
                value
                    .as_object()
                    .expect("an object")
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(keys(&body), ["error"]);
            assert_eq!(keys(&body["error"]), ["code", "message", "traceId"]);
            assert_eq!(body["error"]["code"], 429);
            assert_eq!(body["error"]["message"], "rate limit exceeded");
            body["error"]["traceId"]
                .as_str()
                .expect("a string")
                .to_owned()
        };
        let traced = read().header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
        assert_eq!(refused(traced).await, trace);
        // Without one, it is the id that Envoy gave the request and logged.
        for _ in 0..3 {
            of_envoy.insert(refused(read()).await);
        }
        let forged = read()
            .header("x-request-id", "\"},{")
            .header("traceparent", "00-0-0-0");
        of_envoy.insert(refused(forged).await);
    }
    assert_eq!(of_envoy.len(), 8, "each request has its own: {of_envoy:?}");
    eventually("they are in the access log", async || {
        let log = gateway.log();
        let lines: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        of_envoy
            .iter()
            .all(|id| {
                lines
                    .iter()
                    .any(|line| line["request_id"] == id.as_str() && line["status"] == 429)
            })
            .then_some(())
    })
    .await;
}

pub(crate) async fn every_response_after_the_limiter_has_the_fields(bed: &TestBed) {
    let mut gateway = bed.open(&reads(40, 40, 40)).await;
    let client = gateway.client();
    let call = |method: &str| Call::new(method, "/api/spans").bearer(BOB);
    let mut left = 40;
    let mut check = |answer: &Answer, status: u16| {
        left -= 1;
        assert_eq!(
            (answer.status, limit_and_left(answer)),
            (status, (40, left))
        );
        unix_reset(answer, Duration::from_secs(3_600));
    };
    for status in [200, 201, 204, 304, 400, 404, 429, 500, 503] {
        check(&client.send(call("GET").answered(status)).await, status);
    }
    for method in ["HEAD", "OPTIONS"] {
        check(&client.send(call(method)).await, 200);
    }
    // Fields that a client or an upstream sends change nothing.
    let names = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let mut forged = call("GET");
    for name in &names {
        forged = forged.header(name, "77").answered_with(name, "88");
    }
    check(&client.send(forged).await, 200);
    check(&Client::http2(gateway.address).send(call("GET")).await, 200);
    gateway.upstream.stop().await;
    check(&client.send(call("GET")).await, 503);
    gateway.upstream.resume().await;
    let (_, refusal) = until_refused(&client, &call("GET")).await;
    assert_eq!(limit_and_left(&refusal), (40, 0));
    unix_reset(&refusal, Duration::from_secs(3_600));
}

pub(crate) async fn the_limit_is_full_again_at_the_reset(bed: &TestBed) {
    let policy = preset()
        .limiting(
            "read-per-user",
            "rolling",
            json!({ "quota": 5, "window": "3s" }),
        )
        .limiting(
            "test-per-user",
            "rolling",
            json!({ "quota": 33, "window": "4s" }),
        )
        .limiting(
            "test-per-org",
            "rolling",
            json!({ "quota": 50, "window": "4s" }),
        )
        .limiting(
            "write-per-token",
            "bucket",
            json!({ "burst": 6, "refill": "2/s" }),
        );
    let gateway = open_with_sessions(bed, &policy).await;
    let client = gateway.client();
    // A rolling window, one with coarser times, and a bucket: each is full again at the time that
    // it states.
    for (call, limit, window) in [
        (read().bearer(ALICE[0]), 5, 3),
        (test().bearer(&demo_jwt("alice")), 33, 4),
        (write().bearer(ALICE[0]), 6, 3),
    ] {
        let window = Duration::from_secs(window);
        let mut last = client.send(call.clone()).await;
        for _ in 1..3 {
            last = client.send(call.clone()).await;
        }
        let reset = unix_reset(&last, window);
        until(reset).await;
        let full = client.send(call.clone()).await;
        assert_eq!(
            (full.status, limit_and_left(&full)),
            (200, (limit, limit - 1)),
            "full at {reset:?}"
        );
        let (_, refusal) = until_refused(&client, &call).await;
        let reset = unix_reset(&refusal, window);
        until(reset).await;
        let full = client.send(call.clone()).await;
        assert_eq!(
            (full.status, limit_and_left(&full)),
            (200, (limit, limit - 1)),
            "full at {reset:?}"
        );
    }
}

pub(crate) async fn the_fields_show_the_limit_closest_to_exhaustion(bed: &TestBed) {
    let gateway = bed.open(&reads(5, 7, 100)).await;
    let client = gateway.client();
    for (token, status, shown) in [
        (ALICE[0], 200, (5, 4)),
        (ALICE[1], 200, (5, 3)),
        (BOB, 200, (5, 4)),
        (BOB, 200, (5, 3)),
        (ALICE[0], 200, (5, 2)),
        (BOB, 200, (7, 1)),
        (BOB, 200, (7, 0)),
        (ALICE[0], 429, (7, 0)),
        (CAROL, 200, (5, 4)),
    ] {
        let answer = client.send(read().bearer(token)).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (status, shown),
            "{token}"
        );
    }
}

pub(crate) async fn waiting_out_a_retry_after_with_its_jitter_succeeds(bed: &TestBed) {
    let policy = preset()
        .limiting(
            "read-per-user",
            "rolling",
            json!({ "quota": 3, "window": "2s" }),
        )
        .limiting(
            "write-per-user",
            "rolling",
            json!({ "quota": 2, "window": "5m" }),
        );
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for (number, token) in [ALICE[0], CAROL, ALICE[0], CAROL, BOB]
        .into_iter()
        .enumerate()
    {
        // Begins at different times within a second.
        sleep(Duration::from_millis(170 * number as u64)).await;
        let (_, refusal) = until_refused(&client, &read().bearer(token)).await;
        let wait = refusal.number("retry-after").expect("retry-after");
        // At most two seconds, plus a fifth of that.
        assert!((1..=3).contains(&wait), "{wait} s");
        sleep(Duration::from_secs(wait)).await;
        assert_eq!(
            client.send(read().bearer(token)).await.status,
            200,
            "after {wait} s"
        );
    }
    // The jitter shows in a longer window: never early, at most a fifth late, and rarely the same
    // twice.
    let first = client.send(write().bearer(CAROL)).await;
    client.send(write().bearer(CAROL)).await;
    let mut waits = BTreeSet::new();
    for _ in 0..40 {
        let refusal = client.send(write().bearer(CAROL)).await;
        assert_eq!(refusal.status, 429);
        let wait = Duration::from_secs(refusal.number("retry-after").expect("retry-after"));
        assert!(
            refusal.received + wait >= first.sent + Duration::from_secs(300),
            "{wait:?} is too early"
        );
        assert!(wait <= Duration::from_secs(361), "{wait:?}");
        waits.insert(wait);
    }
    assert!(waits.len() > 10, "{waits:?}");
}
