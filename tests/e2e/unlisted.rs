//! Limits and requests that the fields do not list: shadow limits, exempt requests (X8, X12).

use super::fields::{OLDER, STANDARD, items, with_family};
use super::windows::{bucket, calendar, limits, of, rolling};
use super::{ALPHA, BETA, limit_and_left, spend};
use crate::harness::{Call, Client, TestBed, eventually};
use serde_json::{Value, json};

pub(crate) async fn a_shadow_limit_works_next_to_an_enforced_one(bed: &TestBed) {
    let shadow = |mut rule: Value| {
        rule["enforcement"] = json!("shadow");
        rule
    };
    let policy = limits(&[
        ("now", rolling(6)),
        ("next", shadow(rolling(4))),
        ("later", shadow(calendar(2))),
        ("spare", shadow(bucket(9))),
    ]);
    let policy = with_family(policy, "both").with("/access_log", json!({ "attributes": ["org"] }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for left in (0..6).rev() {
        let answer = client.send(of("/x", ALPHA[0])).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (200, (6, left)),
            "only the enforced limit shows"
        );
        assert_eq!(items(&answer, "ratelimit", &[]).len(), 1);
    }
    let refusal = client.send(of("/x", ALPHA[0])).await;
    assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (6, 0)));
    let problem: Value = serde_json::from_slice(&refusal.body).expect("JSON");
    assert_eq!(problem["violated-policies"], json!(["now"]));
    assert_eq!(gateway.upstream.paths(), ["/x"; 6], "no other requests");
    let decided = async |limit, decision| {
        let labels = [("limit", limit), ("decision", decision)];
        gateway
            .admin
            .metric("sluicegate_requests_total", &labels)
            .await
    };
    // The enforced limit refused the seventh: no limit admitted it, and two others would have
    // refused.
    for (limit, admitted, refused, would_refuse) in [
        ("now", 6, 1, 0),
        ("next", 4, 0, 3),
        ("later", 2, 0, 5),
        ("spare", 6, 0, 0),
    ] {
        let counted = [
            decided(limit, "admitted").await,
            decided(limit, "refused").await,
            decided(limit, "would_refuse").await,
        ];
        assert_eq!(counted, [admitted, refused, would_refuse], "{limit}");
    }
    // A line shows one limit: the one with the longest wait.
    for (count, line) in [
        (2, "decision=admitted limit=now tier=- org=alpha"),
        (4, "decision=would_refuse limit=later tier=- org=alpha"),
        (1, "decision=refused limit=now tier=- org=alpha"),
    ] {
        eventually(line, async || {
            (gateway.log().matches(line).count() == count).then_some(())
        })
        .await;
    }
}

pub(crate) async fn exempt_requests_have_no_fields(bed: &TestBed) {
    let policy = with_family(limits(&[("all", rolling(3))]), "both");
    let policy = policy.with(
        "/exempt",
        json!([{ "routes": ["/health/**", "POST /metrics"] }, { "org": "beta" }]),
    );
    let gateway = bed.open(&policy).await;
    for client in [gateway.client(), Client::http2(gateway.address)] {
        for call in [
            of("/health", ALPHA[0]),
            Call::post("/metrics").header("x-api-key", ALPHA[0]),
            of("/x", BETA),
        ] {
            for _ in 0..5 {
                let forged = STANDARD
                    .iter()
                    .chain(&OLDER)
                    .fold(call.clone(), |call, name| call.answered_with(name, "9"));
                let answer = client.send(forged).await;
                assert_eq!(answer.status, 200);
                assert!(
                    STANDARD
                        .iter()
                        .chain(&OLDER)
                        .all(|name| answer.header(name).is_none()),
                    "{:?}",
                    answer.headers
                );
            }
        }
    }
    let client = gateway.client();
    assert_eq!(
        limit_and_left(&client.send(of("/metrics", ALPHA[0])).await),
        (3, 2),
        "a GET is not exempt"
    );
    assert_eq!(spend(&client, &of("/healthy", ALPHA[0])).await.0, 2);
}
