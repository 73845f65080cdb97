//! Responses to refused callers (EV5).

use super::{ACME, ALPHA, BETA, spend};
use crate::harness::{Answer, Call, Client, Policy, TestBed};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

/// The text of the page.
const PAGE: &str = r#"{
"status": 429,
"title": "Too Many Requests",
"detail": "API rate limit exceeded. Retry after the period indicated by the Retry-After header."
}"#;

pub(crate) async fn a_refusal_is_exactly_as_documented(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let call = Call::get("/v2/things").bearer(ACME[0]);
    for client in [gateway.client(), Client::http2(gateway.address)] {
        let answer = refused(&client, &call).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert!(
            answer
                .number("retry-after")
                .is_some_and(|seconds| seconds >= 1),
            "{:?}",
            answer.headers
        );
        assert_eq!(answer.text().trim_end_matches('\n'), PAGE);
        assert_eq!(
            answer.number("content-length"),
            Some(answer.body.len() as u64)
        );
        // The page documents no other field, neither here nor on admitted requests.
        let admitted = client
            .send(Call::get("/v2/things/7/recent").bearer(ACME[1]))
            .await;
        for answer in [answer, admitted] {
            assert!(
                answer
                    .headers
                    .keys()
                    .all(|name| !name.as_str().contains("ratelimit")),
                "{:?}",
                answer.headers
            );
        }
    }
}

pub(crate) async fn waiting_it_out_succeeds(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    let call = Call::get("/v2/things").bearer(ACME[0]);
    for _ in 0..3 {
        let seconds = refused(&client, &call)
            .await
            .number("retry-after")
            .expect("retry-after");
        sleep(Duration::from_secs(seconds)).await;
        assert_eq!(
            client.send(call.clone()).await.status,
            200,
            "after {seconds} s"
        );
    }
}

pub(crate) async fn no_key_or_a_wrong_one_is_unauthorized(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    for call in [
        Call::get("/v2/things"),
        Call::get("/v2/things").bearer("nobody's"),
        Call::get("/v2/things").header("x-api-key", "nobody's"),
        Call::get("/v2/things").header("authorization", "Basic ZGVtby1hY21lLTE6"),
        Call::get("/v2"),
    ] {
        let answer = client.send(call).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|value| value.starts_with("Bearer")),
            "{:?}",
            answer.headers
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem: Value = serde_json::from_slice(&answer.body).expect("a problem in JSON");
        assert_eq!(problem["status"], 401, "{problem}");
        assert!(problem["title"].is_string(), "{problem}");
    }
    assert_eq!(
        gateway.upstream.count("/"),
        0,
        "none of them was let through"
    );
}

pub(crate) async fn outside_the_routes_no_key_is_needed(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    for call in [
        Call::get("/health"),
        Call::get("/").bearer("nobody's"),
        Call::post("/v1/things"),
    ] {
        assert_eq!(client.send(call).await.status, 200);
    }
}

pub(crate) async fn the_fields_are_the_gateways_own(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let client = gateway.client();
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let forged = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ]
    .iter()
    .fold(call.clone(), |call, name| {
        call.answered_with(name, "7777").answered_with(name, "8888")
    });
    for (remaining, call) in (0..10).rev().zip([call.clone(), forged].iter().cycle()) {
        let answer = client.send(call.clone()).await;
        assert_eq!(
            (answer.status, fields(&answer)[..2].to_vec()),
            (200, vec![Some(10), Some(remaining)])
        );
        let reset = fields(&answer)[2].expect("a reset");
        assert!((1..=36_000).contains(&reset), "reset {reset}");
    }
    let answer = refused(&client, &call).await;
    assert_eq!(fields(&answer)[..2], [Some(10), Some(0)]);
    let (reset, after) = (
        fields(&answer)[2].expect("a reset"),
        answer.number("retry-after").expect("retry-after"),
    );
    assert!(
        (1..=3_600).contains(&after) && after <= reset + 1,
        "retry-after {after}, reset {reset}"
    );
}

pub(crate) async fn without_a_limit_there_are_no_fields(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let forged = Call::get("/free")
        .answered_with("x-ratelimit-remaining", "7")
        .answered_with("x-ratelimit-remaining", "8");
    let answer = gateway
        .client()
        .send(forged.answered_with("x-ratelimit-limit", "9"))
        .await;
    assert_eq!((answer.status, fields(&answer)), (200, [None; 3]));
}

pub(crate) async fn a_grpc_caller_gets_a_grpc_status(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let client = Client::http2(gateway.address);
    let call = Call::get("/v2/fleet.Things/List")
        .grpc()
        .answered_with("grpc-status", "0");
    let unauthorized = client.send(call.clone()).await;
    assert_eq!(
        (unauthorized.status, unauthorized.header("grpc-status")),
        (200, Some("16"))
    );
    let call = call.bearer(BETA);
    for _ in 0..10 {
        let answer = client.send(call.clone()).await;
        assert_eq!(
            (answer.status, answer.header("grpc-status")),
            (200, Some("0"))
        );
    }
    let refused = client.send(call).await;
    assert_eq!(
        (refused.status, refused.header("grpc-status")),
        (200, Some("8"))
    );
    assert!(
        refused
            .number("retry-after")
            .is_some_and(|seconds| seconds >= 1),
        "{:?}",
        refused.headers
    );
    assert_eq!(refused.header("content-type"), Some("application/grpc"));
}

pub(crate) async fn the_refused_body_is_filled_in(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let client = gateway.client();
    let call = Call::get("/v2/things").header("x-api-key", ALPHA[0]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    refused(&client, &call).await;
    let answer = client
        .send(
            call.clone()
                .header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")),
        )
        .await;
    let body: Value = serde_json::from_slice(&answer.body).expect("the template's JSON");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(body["trace"], trace);
    assert_eq!(body["limit"], "standard");
    assert_eq!(body["after"].as_u64(), answer.number("retry-after"));
    // A client may send anything as its trace: the body stays JSON.
    for hostile in [r#"00-"},{"x":"-00f067aa0ba902b7-01"#, "\"\\", ""] {
        let answer = client
            .send(
                call.clone()
                    .header("traceparent", hostile)
                    .header("x-request-id", hostile),
            )
            .await;
        assert!(
            serde_json::from_slice::<Value>(&answer.body).is_ok(),
            "{}",
            answer.text()
        );
    }
}

/// Spends the remaining units and returns the refusal.
async fn refused(client: &Client, call: &Call) -> Answer {
    loop {
        spend(client, call).await;
        let answer = client.send(call.clone()).await;
        // A unit may have come back in the meantime.
        if answer.status == 429 {
            return answer;
        }
    }
}

fn fields(answer: &Answer) -> [Option<u64>; 3] {
    [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ]
    .map(|name| answer.number(name))
}
