//! The preset datadog, row by row: calendar windows per organization, user or API key (DD1 to DD5,
//! DD7).

use super::promises::{Calendar, away_from_the_turn, window_end};
use super::{exactly, limit_and_left, spend, until_refused};
use crate::harness::{Answer, Call, Client, Crowd, Policy, TestBed};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// The demo keys: two API keys of acme and one of globex; alice and ci belong to acme, carol to
/// globex.
pub(crate) const ACME: [&str; 2] = ["demo-api-acme-1", "demo-api-acme-2"];
pub(crate) const GLOBEX: &str = "demo-api-globex";
pub(crate) const ALICE: &str = "demo-app-alice";
pub(crate) const CI: &str = "demo-app-ci";
pub(crate) const CAROL: &str = "demo-app-carol";

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Longer than the work of a scenario between two readings of one window.
pub(crate) const ROOM: Duration = Duration::from_secs(15);

const FIELDS: [&str; 5] = [
    "x-ratelimit-limit",
    "x-ratelimit-period",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-name",
];

pub(crate) fn preset() -> Policy {
    Policy::shipped("envoy/presets/datadog.yaml")
}

pub(crate) fn keyed(call: Call, api_key: &str) -> Call {
    call.header("dd-api-key", api_key)
}

pub(crate) fn by_user(call: Call, api_key: &str, app_key: &str) -> Call {
    keyed(call, api_key).header("dd-application-key", app_key)
}

pub(crate) fn event() -> Call {
    Call::post("/api/v1/events")
}

pub(crate) fn monitor() -> Call {
    Call::get("/api/v1/monitor")
}

pub(crate) fn validate() -> Call {
    Call::get("/api/v1/validate")
}

/// Limit, period, remaining, name; fails unless the reset is a boundary of that period.
pub(crate) fn limit_fields(answer: &Answer) -> (u64, u64, u64, &str) {
    let (limit, left) = limit_and_left(answer);
    let period = answer.number("x-ratelimit-period").expect("a period");
    window_end(answer, Duration::from_secs(period));
    (
        limit,
        period,
        left,
        answer.header("x-ratelimit-name").expect("a name"),
    )
}

pub(crate) fn no_fields(answer: &Answer) {
    for name in FIELDS {
        assert!(
            !answer.headers.contains_key(name),
            "{name}: {:?}",
            answer.headers
        );
    }
}

/// A call in which the client and the upstream send the fields themselves.
pub(crate) fn forged(call: Call) -> Call {
    FIELDS.iter().fold(call, |call, name| {
        call.header(name, "7777").answered_with(name, "8888")
    })
}

pub(crate) async fn every_response_of_a_limited_endpoint_has_the_five_fields(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    away_from_the_turn(HOUR, ROOM).await;
    away_from_the_turn(MINUTE, ROOM).await;
    for client in [gateway.client(), Client::http2(gateway.address)] {
        let mut left = 0;
        for (call, limit, period, name) in [
            (event(), 500_000, 3_600, "events"),
            (monitor(), 120, 60, "monitor_status"),
            (
                Call::get("/api/v1/query?query=avg:x&from=1&to=2"),
                1_600,
                3_600,
                "metrics_query",
            ),
            (validate(), 600, 60, "validate"),
        ] {
            let call = by_user(call, ACME[0], ALICE);
            for (number, (call, status)) in [
                (call.clone(), 200),
                (call.clone().answered(404), 404),
                (forged(call.clone()), 200),
                (call.answered(503), 503),
            ]
            .into_iter()
            .enumerate()
            {
                let answer = client.send(call).await;
                let (_, remaining) = limit_and_left(&answer);
                left = if number == 0 { remaining } else { left - 1 };
                assert_eq!(
                    (answer.status, limit_fields(&answer)),
                    (status, (limit, period, left, name))
                );
                assert!(left < limit && left + 9 > limit, "{left} of {limit} left");
            }
        }
    }
}

pub(crate) async fn unlimited_requests_have_no_fields(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let client = gateway.client();
    for path in [
        "/api/v1/series",
        "/api/v2/series",
        "/api/v1/distribution_points",
        "/api/v2/logs",
        "/v1/input",
        "/v1/input/",
        "/api/v2/series?x=1",
        "/api//v2/./logs",
    ] {
        let call = forged(keyed(Call::post(path), ACME[0]));
        let answer = client.send(call.clone()).await;
        assert_eq!(answer.status, 200, "{path}");
        no_fields(&answer);
        exactly(&client, &call, 100).await;
    }
    // An endpoint without a limit, another method, and an unidentified caller have none either.
    for call in [
        Call::get("/api/v1/dashboard"),
        Call::get("/api/v1/events/7"),
        Call::new("PUT", "/api/v1/monitor/7"),
    ] {
        let answer = client.send(forged(keyed(call, ACME[0]))).await;
        assert_eq!(answer.status, 200);
        no_fields(&answer);
    }
    for call in [
        monitor(),
        keyed(monitor(), "nobody's"),
        keyed(Call::post("/api/v2/series"), "nobody's"),
    ] {
        let answer = client.send(call).await;
        assert_eq!(answer.status, 401);
        no_fields(&answer);
    }
}

pub(crate) async fn events_are_counted_per_organization(bed: &TestBed) {
    let policy = preset().limiting("events", "calendar", json!({ "quota": 6, "window": "1h" }));
    let gateway = bed.open(&policy).await;
    away_from_the_turn(HOUR, ROOM).await;
    let client = gateway.client();
    // With any key, user and version of the API.
    exactly(&client, &keyed(event(), ACME[0]), 2).await;
    exactly(
        &client,
        &by_user(Call::post("/api/v2/events"), ACME[1], CI),
        2,
    )
    .await;
    exactly(&client, &by_user(event(), ACME[0], ALICE), 2).await;
    for call in [
        keyed(event(), ACME[0]),
        keyed(event(), ACME[1]),
        by_user(Call::post("/api/v2/events"), ACME[0], CI),
    ] {
        let refusal = client.send(call).await;
        assert_eq!(
            (refusal.status, limit_fields(&refusal)),
            (429, (6, 3_600, 0, "events"))
        );
    }
    assert_eq!(spend(&client, &keyed(event(), GLOBEX)).await.0, 6);
}

pub(crate) async fn endpoints_share_one_named_bucket(bed: &TestBed) {
    let policy = preset().limiting(
        "metrics_query",
        "calendar",
        json!({ "quota": 7, "window": "1h" }),
    );
    let gateway = bed.open(&policy).await;
    away_from_the_turn(HOUR, ROOM).await;
    let client = gateway.client();
    let calls = [
        Call::get("/api/v1/query?query=a"),
        Call::post("/api/v2/query/timeseries"),
        Call::post("/api/v2/query/scalar"),
        Call::get("/api/v1/query?query=b"),
        Call::post("/api/v2/query"),
        Call::post("/api/v2/query/a/b/c"),
        Call::get("/api/v1//query"),
    ];
    for (left, call) in (0..7).rev().zip(calls.clone()) {
        let answer = client.send(keyed(call, ACME[0])).await;
        assert_eq!(
            (answer.status, limit_fields(&answer)),
            (200, (7, 3_600, left, "metrics_query"))
        );
    }
    for call in calls {
        let refusal = client.send(keyed(call, ACME[1])).await;
        assert_eq!(
            (refusal.status, limit_fields(&refusal)),
            (429, (7, 3_600, 0, "metrics_query"))
        );
    }
    assert_eq!(
        client.send(by_user(monitor(), ACME[0], ALICE)).await.status,
        200,
        "another name, another bucket"
    );
}

pub(crate) async fn a_refusal_states_when_to_retry(bed: &TestBed) {
    let policy = preset().limiting(
        "validate",
        "calendar",
        json!({ "quota": 3, "window": "3s" }),
    );
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let call = keyed(validate(), ACME[0]);
    for _ in 0..3 {
        let (_, refusal) = until_refused(&client, &call).await;
        assert_eq!(limit_fields(&refusal), (3, 3, 0, "validate"));
        let reset = refusal.number("x-ratelimit-reset").expect("a reset");
        assert!((1..=3).contains(&reset), "{reset} s");
        assert_eq!(refusal.number("retry-after"), Some(reset));
        assert_eq!(refusal.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&refusal.body).expect("JSON");
        let errors = body["errors"].as_array().expect("a list");
        assert!(
            errors[0]
                .as_str()
                .is_some_and(|text| text.contains(&reset.to_string())),
            "{body}"
        );
        sleep(Duration::from_secs(reset)).await;
        let answer = client.send(call.clone()).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (200, (3, 2)),
            "after {reset} s"
        );
    }
}

pub(crate) async fn a_window_that_ends_under_load_admits_its_quota_each_time(bed: &TestBed) {
    let policy = preset().limiting(
        "metrics_query",
        "calendar",
        json!({ "quota": 40, "window": "3s" }),
    );
    let gateway = bed.open(&policy).await;
    let calendar = Calendar {
        quota: 40,
        period: Duration::from_secs(3),
    };
    let crowd = Crowd::of(16, &gateway);
    let answers = crowd
        .send_for(
            calendar.period * 3 + calendar.period / 3,
            |index: usize| match index % 2 {
                0 => keyed(Call::get("/api/v1/query"), ACME[0]),
                _ => keyed(Call::post("/api/v2/query/scalar"), ACME[1]),
            },
        )
        .await;
    let admitted = calendar.assert_held(&answers);
    assert_eq!(
        gateway.upstream.count("/api/"),
        admitted,
        "every admitted request arrived, and no other"
    );
}
