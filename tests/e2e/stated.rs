//! Responses state the counters after all that their request caused, and so do the metrics.

use super::windows::{bucket, calendar, limits, on, rolling};
use super::{ALPHA, limit_and_left};
use crate::harness::{Answer, Call, Framing, Gateway, Policy, TestBed, eventually, upload};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub(crate) const RULES: [&str; 3] = ["bucket", "rolling", "calendar"];

pub(crate) fn with_fields(policy: Policy, fields: Value) -> Policy {
    policy.with("/replies", json!({ "fields": fields }))
}

/// Each rule on its own route, with five units, and with the other reasons for refusals there.
pub(crate) fn all_kinds(more: &Value) -> Policy {
    let with = |mut rule: Value| {
        rule.as_object_mut()
            .expect("a map")
            .extend(more.as_object().expect("a map").clone());
        rule
    };
    let rules = [
        ("bucket", bucket(5)),
        ("rolling", rolling(5)),
        ("calendar", calendar(5)),
    ];
    limits(&rules.map(|(name, rule)| (name, on(name, with(rule)))))
        .with(
            "/concurrency",
            json!([{ "name": "slots", "for": { "routes": ["/*/slot", "/slot"] }, "per": [],
                     "slots": 1 }]),
        )
        .with(
            "/seats",
            json!([{ "name": "editor", "for": { "routes": ["/*/seat", "/seat"] }, "per": [],
                     "holder": "api_key", "seats": 1, "idle": "1h" }]),
        )
        .with("/payloads", json!([{ "name": "small", "bytes": "9B" }]))
}

pub(crate) fn of(rule: &str, place: &str) -> Call {
    Call::post(&format!("/{rule}/{place}")).header("x-api-key", ALPHA[0])
}

/// `RateLimit`, and `X-RateLimit-Remaining`.
pub(crate) fn left(answer: &Answer) -> (Option<String>, Option<u64>) {
    let standard = answer
        .header("ratelimit")
        .and_then(|status| status.split(";r=").nth(1))
        .map(|status| status.split(';').next().unwrap_or_default().to_owned());
    (standard, answer.number("x-ratelimit-remaining"))
}

/// Occupies the only slot until the end of the test, and the seat.
pub(crate) async fn occupy(gateway: &Gateway) -> JoinHandle<Answer> {
    let (client, call) = (gateway.client(), Call::get("/slot").held());
    let holder = tokio::spawn(async move { client.send(call).await });
    eventually("the slot is taken", async || {
        (gateway.upstream.count("/slot") == 1).then_some(())
    })
    .await;
    let seat = Call::get("/seat").header("x-api-key", ALPHA[1]);
    assert_eq!(gateway.client().send(seat).await.status, 200);
    holder
}

/// One refusal of each kind that no limit causes.
pub(crate) async fn refusals(gateway: &Gateway, rule: &str) -> Vec<Answer> {
    let client = gateway.client();
    let slot = client.send(of(rule, "slot")).await;
    let seat = client.send(of(rule, "seat")).await;
    let head = client.send(of(rule, "x").sized(10)).await;
    let body = upload(
        gateway.address,
        of(rule, "x"),
        Framing::Chunked,
        10,
        vec![b'x'; 10],
    )
    .await
    .expect("an answer");
    let refused = vec![slot, seat, head, body];
    assert_eq!(
        refused
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>(),
        [429, 423, 413, 413],
        "{rule}"
    );
    refused
}

pub(crate) async fn a_refunded_charge_is_not_stated(bed: &TestBed) {
    for family in ["x-ratelimit", "ietf", "both"] {
        let policy = all_kinds(&json!({ "charge": "success" }));
        let gateway = bed
            .open(&with_fields(policy, json!({ "family": family })))
            .await;
        let client = gateway.client();
        let expected = |left: u64| {
            (
                (family != "x-ratelimit").then(|| left.to_string()),
                (family != "ietf").then_some(left),
            )
        };
        for rule in RULES {
            for status in [404, 503] {
                let failed = client.send(of(rule, "x").answered(status)).await;
                assert_eq!(
                    (failed.status, left(&failed)),
                    (status, expected(5)),
                    "{family}, {rule}"
                );
                if rule != "calendar" && family != "ietf" {
                    assert_eq!(
                        failed.number("x-ratelimit-reset"),
                        Some(0),
                        "{rule} is full"
                    );
                }
            }
            let paid = client.send(of(rule, "x")).await;
            assert_eq!(
                (paid.status, left(&paid)),
                (200, expected(4)),
                "{family}, {rule}"
            );
            let failed = client.send(of(rule, "x").answered(500)).await;
            assert_eq!(
                (failed.status, left(&failed)),
                (500, expected(4)),
                "{family}, {rule}"
            );
        }
    }
}

pub(crate) async fn a_refused_request_states_counters_that_it_did_not_change(bed: &TestBed) {
    for family in ["x-ratelimit", "ietf", "both"] {
        let form = if family == "ietf" {
            json!({})
        } else {
            json!({ "reset": "retry-after", "with": ["name"] })
        };
        let mut fields = json!({ "family": family, "when": "refused" });
        fields
            .as_object_mut()
            .expect("a map")
            .extend(form.as_object().expect("a map").clone());
        let gateway = bed.open(&with_fields(all_kinds(&json!({})), fields)).await;
        let holder = occupy(&gateway).await;
        for rule in RULES {
            let admitted = gateway.client().send(of(rule, "x")).await;
            assert_eq!(
                (admitted.status, left(&admitted)),
                (200, (None, None)),
                "{family}, {rule}"
            );
            for answer in refusals(&gateway, rule).await {
                let case = format!("{family}, {rule}, {}: {:?}", answer.status, answer.headers);
                let (standard, older) = left(&answer);
                assert_eq!(standard.is_some(), family != "x-ratelimit", "{case}");
                assert_eq!(older.is_some(), family != "ietf", "{case}");
                if answer.status != 413 {
                    assert_eq!(
                        older
                            .map_or_else(|| standard.clone(), |left| Some(left.to_string()))
                            .as_deref(),
                        Some("4"),
                        "{case}"
                    );
                }
                assert_eq!(
                    answer.header("x-ratelimit-name"),
                    None,
                    "no limit refused: {case}"
                );
                let wait = answer.header("retry-after").filter(|_| family != "ietf");
                assert_eq!(answer.header("x-ratelimit-reset"), wait, "{case}");
            }
            // For every cost of the payloads, the last response states the balance that the next
            // request finds.
            let sized = of(rule, "x").sized(10);
            let (refused, found) = (
                gateway.client().send(sized).await,
                gateway.client().send(of(rule, "seat")).await,
            );
            assert_eq!(
                (left(&refused), found.status),
                (left(&found), 423),
                "{family}, {rule}"
            );
        }
        holder.abort();
    }
}

pub(crate) async fn a_refused_editor_sees_counters_without_its_request(bed: &TestBed) {
    let long = json!({ "quota": 60, "window": "1h" });
    let policy =
        Policy::shipped("envoy/presets/datocms.yaml").limiting("requests", "rolling", long);
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let edit = |token: &str| Call::new("PUT", "/items/7").bearer(token);
    assert_eq!(
        limit_and_left(&client.send(edit("demo-paid-1")).await),
        (60, 59)
    );
    for _ in 0..3 {
        let refused = client.send(edit("demo-paid-2")).await;
        assert_eq!((refused.status, limit_and_left(&refused).0), (423, 60));
        let looked = client
            .send(Call::get("/items").bearer("demo-paid-2").answered(200))
            .await;
        assert_eq!(
            limit_and_left(&looked).1 + 1,
            limit_and_left(&refused).1,
            "the balance that the next one finds"
        );
    }
}

pub(crate) async fn every_response_lists_the_same_policies(bed: &TestBed) {
    let mut over = calendar(1);
    (over["over"], over["cost"]) = (json!("count"), json!({ "response_header": "x-cost" }));
    let both = |rule: Value| on("x", rule);
    let policy = limits(&[
        ("narrow", both(rolling(3))),
        ("wide", both(bucket(9))),
        ("over", both(over)),
    ]);
    let policy = policy
        .with(
            "/concurrency",
            json!([{ "name": "slots", "per": [], "slots": 9 }]),
        )
        .with("/payloads", json!([{ "bytes": "9B" }]));
    let gateway = bed
        .open(&with_fields(policy, json!({ "family": "ietf" })))
        .await;
    let client = gateway.client();
    let call = || of("x", "y").answered_with("x-cost", "5");
    let mut answers = vec![
        client.send(call()).await,
        client.send(call().answered(404)).await,
    ];
    answers.push(client.send(call().sized(10)).await);
    answers.push(client.send(call()).await);
    answers.push(client.send(call()).await);
    assert_eq!(
        answers.iter().map(|it| it.status).collect::<Vec<_>>(),
        [200, 404, 413, 200, 429]
    );
    for answer in &answers {
        let policies = answer.header("ratelimit-policy").expect("the policies");
        let all = concat!(
            r#""narrow";q=3;w=3600, "wide";q=9;w=32400, "over";q=1;w=86400, "#,
            r#""slots";q=9;qu="concurrent-requests""#,
        );
        assert_eq!(policies, all, "{}", answer.status);
        assert_eq!(
            answer.header("x-ratelimit-overage"),
            None,
            "it belongs to the other family"
        );
    }
    assert_eq!(
        answers
            .iter()
            .map(|answer| {
                answer
                    .header("ratelimit")
                    .expect("counters")
                    .matches(";r=")
                    .count()
            })
            .collect::<Vec<_>>(),
        [3; 5],
        "a refusal states all limits that applied, too"
    );
}

pub(crate) async fn later_refusals_are_not_counted_as_admitted(bed: &TestBed) {
    let gateway = bed
        .open(&with_fields(
            all_kinds(&json!({})),
            json!({ "family": "x-ratelimit" }),
        ))
        .await;
    let holder = occupy(&gateway).await;
    for _ in 0..2 {
        refusals(&gateway, "rolling").await;
    }
    let metric =
        async |name: &str, labels: &[(&str, &str)]| gateway.admin.metric(name, labels).await;
    let admitted = async || {
        metric(
            "sluicegate_requests_total",
            &[("limit", "rolling"), ("decision", "admitted")],
        )
        .await
    };
    assert_eq!(admitted().await, 0);
    let refused = [
        ("sluicegate_queue_refused_total", "slots", 2),
        ("sluicegate_requests_total", "editor", 2),
        ("sluicegate_payloads_refused_total", "small", 4),
    ];
    for (name, limit, count) in refused {
        let labels: &[(&str, &str)] = if limit == "editor" {
            &[("limit", limit), ("decision", "refused")]
        } else {
            &[("limit", limit)]
        };
        assert_eq!(metric(name, labels).await, count, "{name}");
    }
    let back = [("limit", "rolling"), ("reason", "queue_refused")];
    assert_eq!(metric("sluicegate_refunds_total", &back).await, 2);
    // With and without a body.
    let without = Call::get("/rolling/x").header("x-api-key", ALPHA[0]);
    for call in [of("rolling", "x").sized(9), without] {
        assert_eq!(gateway.client().send(call).await.status, 200);
    }
    assert_eq!(admitted().await, 2);
    // One after another, over many connections, so that no two workers write at the same moment.
    for _ in 0..60 {
        gateway.client().send(Call::get("/bucket/x")).await;
        gateway
            .client()
            .send(Call::get("/calendar/x").answered(404))
            .await;
    }
    assert_eq!(metric("sluicegate_conflicts_total", &[]).await, 0);
    holder.abort();
}
