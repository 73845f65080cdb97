//! Costs that are known late, and charges that depend on the response, under concurrency.

use super::costs::costing;
use super::pages::statuses_at_once;
use super::windows::{calendar, limits, of, on, rolling};
use super::{ALPHA, BETA, limit_and_left};
use crate::harness::TestBed;
use serde_json::json;
use std::time::Duration;

/// Ten calls at once whose costs are known only later: as many pass as reservations fit.
pub(crate) async fn a_reservation_holds_under_concurrency(bed: &TestBed) {
    let cost = json!({ "reserve": 400, "settle": { "response_header": "x-points" } });
    for (name, rule) in [
        (
            "bucket",
            json!({ "bucket": { "burst": 1_000, "refill": "1/h" } }),
        ),
        ("rolling", rolling(1_000)),
        ("calendar", calendar(1_000)),
    ] {
        let policy = limits(&[("points", on("x", costing(rule, cost.clone())))]);
        let gateway = bed.open(&policy).await;
        let call = of("/x/y", ALPHA[0])
            .header("x-answer-delay-ms", "500")
            .answered_with("x-points", "30");
        let mut statuses = statuses_at_once(&gateway, &call, 10).await;
        statuses.sort_unstable();
        assert_eq!(
            statuses,
            [[200; 2].as_slice(), &[429; 8]].concat(),
            "{name}"
        );
        // Both have been settled: 60 points are taken.
        let quick = of("/x/y", ALPHA[0]);
        let answer = gateway
            .client()
            .send(quick.clone().answered_with("x-points", "40"))
            .await;
        assert_eq!(limit_and_left(&answer), (1_000, 900), "{name}");
        // A response that costs more than it reserved overdraws, and one that states nothing keeps
        // the reservation.
        let answer = gateway
            .client()
            .send(quick.clone().answered_with("x-points", "450"))
            .await;
        assert_eq!(limit_and_left(&answer), (1_000, 450), "{name}");
        let answer = gateway.client().send(quick.clone()).await;
        assert_eq!(limit_and_left(&answer), (1_000, 50), "{name}");
        assert_eq!(gateway.client().send(quick).await.status, 429, "{name}");
    }
}

/// Fifty wrong passwords at once under a quota of five failures.
pub(crate) async fn only_failures_are_charged_and_concurrent_ones_do_not_slip_through(
    bed: &TestBed,
) {
    for charge in [json!("failure"), json!([401, 403]), json!(["4xx"])] {
        let mut rule = rolling(5);
        rule["charge"] = charge.clone();
        let policy = limits(&[("logins", on("login", rule))]);
        let gateway = bed.open(&policy).await;
        let call = of("/login/x", ALPHA[0]);
        // Successes are not charged.
        assert_eq!(
            gateway.client().statuses(&call, 20).await,
            [200; 20],
            "{charge}"
        );
        let wrong = call
            .clone()
            .answered(401)
            .header("x-answer-delay-ms", "500");
        let statuses = statuses_at_once(&gateway, &wrong, 50).await;
        let reached = statuses.iter().filter(|status| **status == 401).count();
        assert_eq!(reached, 5, "{charge}: {statuses:?}");
        assert!(
            statuses.iter().all(|status| [401, 429].contains(status)),
            "{charge}"
        );
        assert_eq!(gateway.client().send(call).await.status, 429, "{charge}");
    }
}

/// After a refusal the key stays locked, although units have become available.
pub(crate) async fn a_lock_outlasts_the_window(bed: &TestBed) {
    let mut rule = json!({ "bucket": { "burst": 2, "refill": "10/s" } });
    rule["over"] = json!({ "lock": "3s" });
    let gateway = bed.open(&limits(&[("logins", on("login", rule))])).await;
    let client = gateway.client();
    let call = of("/login/x", ALPHA[0]);
    let statuses = client.statuses(&call, 20).await;
    let admitted = statuses.iter().take_while(|status| **status == 200).count();
    assert!(
        statuses[admitted..].iter().all(|status| *status == 429),
        "{statuses:?}"
    );
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let refused = client.send(call.clone()).await;
    assert_eq!(
        refused.status, 429,
        "the bucket is full again, and the key is locked"
    );
    assert_eq!(limit_and_left(&refused), (2, 0));
    let wait = refused.number("retry-after").expect("a time to return");
    assert!((1..=2).contains(&wait), "{wait}");
    // Another caller is not locked.
    assert_eq!(client.send(of("/login/x", BETA)).await.status, 200);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(client.send(call).await.status, 200);
    let labels = [("limit", "logins")];
    let locks = gateway
        .admin
        .metric("sluicegate_locks_total", &labels)
        .await;
    assert_eq!(locks, 1);
}
