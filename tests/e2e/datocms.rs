//! The preset datocms, row by row: requests in three seconds, and in a calendar month (DC1, DC2,
//! DC8).

use super::promises::{Rolling, next_month};
use super::{SECOND, exactly, limit_and_left, until_refused};
use crate::harness::{Answer, Call, Client, Crowd, Policy, TestBed};
use chrono_tz::UTC;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// The demo tokens of a free project, of two editors of a paid one, and of an enterprise project.
const FREE: &str = "demo-free";
const PAID: [&str; 2] = ["demo-paid-1", "demo-paid-2"];
const ENTERPRISE: &str = "demo-enterprise";

const WINDOW: Duration = Duration::from_secs(3);

fn preset() -> Policy {
    Policy::shipped("envoy/presets/datocms.yaml")
}

/// With other numbers for the month, for free and for paying projects.
fn a_month(free: u64, paid: u64) -> Policy {
    let paying =
        json!([{ "for": { "plan": ["paid", "enterprise"] }, "quota": paid, "over": "count" }]);
    preset()
        .limiting(
            "monthly-requests",
            "calendar",
            json!({ "quota": free, "window": "1mo", "zone": "UTC" }),
        )
        .limiting("monthly-requests", "overrides", paying)
}

fn items() -> Call {
    Call::get("/items?page[limit]=30")
}

/// The field that is not on every response.
fn reset(answer: &Answer) -> Option<u64> {
    answer.number("x-ratelimit-reset")
}

pub(crate) async fn sixty_requests_in_any_three_seconds_and_no_more(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    for (tokens, quota) in [(PAID, 60), ([FREE; 2], 60), ([ENTERPRISE; 2], 180)] {
        let before = gateway.upstream.count("/items");
        let rolling = Rolling {
            quota,
            window: WINDOW,
        };
        // The editors of one project share one budget.
        let crowd = Crowd::of(8, &gateway);
        let answers = match quota {
            60 => {
                crowd
                    .send_for(WINDOW + WINDOW / 3, |index| {
                        items().bearer(tokens[index % 2])
                    })
                    .await
            }
            _ => {
                crowd
                    .send(60, |index| items().bearer(tokens[index % 2]))
                    .await
            }
        };
        let admitted = rolling.assert_held(&answers);
        assert!(admitted >= quota, "{admitted}");
        assert_eq!(
            gateway.upstream.count("/items") - before,
            admitted,
            "every admitted request arrived, and no other"
        );
        assert!(
            answers
                .iter()
                .all(|answer| limit_and_left(answer).0 == quota as u64)
        );
    }
}

pub(crate) async fn the_remaining_count_down_and_refusals_have_a_reset(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    for client in [gateway.client(), Client::http2(gateway.address)] {
        for token in [FREE, PAID[0]] {
            let (admitted, refusal) = until_refused(&client, &items().bearer(token)).await;
            let begun = admitted[0].sent;
            for (number, answer) in admitted.iter().enumerate() {
                assert_eq!((limit_and_left(answer).0, reset(answer)), (60, None));
                // Only as long as nothing can have come back.
                if answer.received < begun + WINDOW {
                    assert_eq!(limit_and_left(answer).1, 59 - number as u64);
                }
            }
            assert_eq!(limit_and_left(&refusal), (60, 0));
            let wait = reset(&refusal).expect("a reset");
            assert!((1..=3).contains(&wait), "{wait} s");
            assert_eq!(refusal.number("retry-after"), Some(wait));
            let body: Value = serde_json::from_slice(&refusal.body).expect("JSON");
            assert_eq!(body["data"][0]["type"], "api_error", "{body}");
            assert_eq!(
                body["data"][0]["attributes"]["code"], "RATE_LIMIT_EXCEEDED",
                "{body}"
            );
            sleep(Duration::from_secs(wait)).await;
            let answer = client.send(items().bearer(token)).await;
            assert_eq!(
                (answer.status, reset(&answer)),
                (200, None),
                "after {wait} s"
            );
        }
    }
    // Every response has both fields, for any answer of the upstream.
    let client = gateway.client();
    for status in [201, 204, 404, 422, 429, 500] {
        let forged = ["limit", "remaining", "reset"].map(|part| format!("x-ratelimit-{part}"));
        let call = items().bearer(ENTERPRISE).answered(status);
        let mut call = call;
        for name in &forged {
            call = call.header(name, "77").answered_with(name, "88");
        }
        let answer = client.send(call).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer).0, reset(&answer)),
            (status, 180, None)
        );
    }
    let unknown = client.send(items().bearer("nobody's")).await;
    assert_eq!(
        (unknown.status, unknown.header("x-ratelimit-limit")),
        (401, None)
    );
}

pub(crate) async fn a_free_project_is_refused_until_the_next_month(bed: &TestBed) {
    let gateway = bed.open(&a_month(5, 5)).await;
    let client = gateway.client();
    // Shows the numbers of the three seconds until the month's limit refuses.
    for _ in 0..5 {
        let answer = client.send(items().bearer(FREE)).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer).0, reset(&answer)),
            (200, 60, None)
        );
    }
    // More often than sixty times: a refusal takes nothing from the three seconds either.
    for client in [client, Client::http2(gateway.address)] {
        for _ in 0..70 {
            let refusal = client.send(items().bearer(FREE)).await;
            assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (5, 0)));
            let wait = Duration::from_secs(reset(&refusal).expect("a reset"));
            assert_eq!(refusal.number("retry-after"), Some(wait.as_secs()));
            let [earliest, latest] =
                [refusal.sent, refusal.received].map(|time| next_month(time, UTC));
            assert!(refusal.received + wait >= earliest, "{wait:?} is too early");
            assert!(
                refusal.sent + wait < latest + SECOND,
                "{wait:?} is too late"
            );
        }
    }
    assert_eq!(gateway.upstream.count("/items"), 5);
    exactly(&gateway.client(), &items().bearer(ENTERPRISE), 20).await;
}

pub(crate) async fn a_paid_project_continues_and_its_overage_is_counted(bed: &TestBed) {
    let gateway = bed.open(&a_month(1, 4)).await;
    let client = gateway.client();
    let overage = async || {
        gateway
            .admin
            .metric(
                "sluicegate_overage_units_total",
                &[("limit", "monthly-requests")],
            )
            .await
    };
    for over in [None, None, None, None, Some(1), Some(2), Some(3)] {
        let token = PAID[over.unwrap_or(0) as usize % 2];
        let forged = items()
            .bearer(token)
            .answered_with("x-ratelimit-overage", "88");
        let answer = client.send(forged).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer).0, reset(&answer)),
            (200, 60, None)
        );
        assert_eq!(answer.number("x-ratelimit-overage"), over);
    }
    assert_eq!(overage().await, 3);
    let refused = gateway
        .admin
        .metric("sluicegate_requests_total", &[("decision", "refused")])
        .await;
    assert_eq!(refused, 0);
    // The three seconds apply to them, too.
    let (_, refusal) = until_refused(&client, &items().bearer(PAID[0])).await;
    assert_eq!(
        (
            limit_and_left(&refusal),
            reset(&refusal).is_some_and(|wait| wait <= 3)
        ),
        ((60, 0), true)
    );
}

pub(crate) async fn a_project_that_switches_to_a_paid_plan_continues_at_once(bed: &TestBed) {
    let policy = a_month(5, 8);
    let gateway = bed.open(&policy).await;
    let (admitted, refusal) = until_refused(&gateway.client(), &items().bearer(FREE)).await;
    assert_eq!((admitted.len(), limit_and_left(&refusal)), (5, (5, 0)));
    let entry = |plan: &str| json!({ "project": "blog", "plan": plan, "user": "alice" });
    gateway
        .update(&policy.clone().knowing(&[(FREE, entry("paid"))]))
        .await
        .expect("a good policy");
    // Requests from before the change of plan count: three of the eight are left.
    for over in [None, None, None, Some(1), Some(2)] {
        let answer = gateway.client().send(items().bearer(FREE)).await;
        assert_eq!(
            (answer.status, answer.number("x-ratelimit-overage")),
            (200, over)
        );
    }
    gateway
        .update(&policy.knowing(&[(FREE, entry("free"))]))
        .await
        .expect("a good policy");
    let refusal = gateway.client().send(items().bearer(FREE)).await;
    assert_eq!(
        (refusal.status, limit_and_left(&refusal)),
        (429, (5, 0)),
        "and back"
    );
}

pub(crate) async fn the_shipped_monthly_quotas_are_those_of_the_plans(bed: &TestBed) {
    // Visible, and with the limit of the three seconds raised.
    let policy = preset()
        .limiting("monthly-requests", "fields", json!("show"))
        .limiting("requests", "fields", json!("hide"));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for (token, quota) in [
        (FREE, 100_000),
        (PAID[0], 1_000_000),
        (ENTERPRISE, 10_000_000),
    ] {
        for taken in 1..=3 {
            let answer = client.send(items().bearer(token)).await;
            assert_eq!(
                (answer.status, limit_and_left(&answer)),
                (200, (quota, quota - taken)),
                "{token}"
            );
        }
    }
}
