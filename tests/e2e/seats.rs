//! The preset datocms: one editor at a time for each record (DC6).

use super::SECOND;
use crate::harness::{Answer, Call, Gateway, Policy, TestBed};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Two editors of one project, and the editor of another.
const BOB: &str = "demo-paid-1";
const CAROL: &str = "demo-paid-2";
const ALICE: &str = "demo-free";

fn preset() -> Policy {
    Policy::shipped("envoy/presets/datocms.yaml")
}

async fn edit(gateway: &Gateway, record: &str, token: &str) -> Answer {
    gateway
        .client()
        .send(Call::new("PUT", &format!("/items/{record}")).bearer(token))
        .await
}

fn wait(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 423, "{}", answer.text());
    assert_eq!(
        answer.number("x-ratelimit-limit"),
        Some(60),
        "the fields are on every response"
    );
    answer.number("retry-after").expect("when to come back")
}

pub(crate) async fn a_second_editor_is_refused_while_the_first_holds_the_record(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    assert_eq!(edit(&gateway, "7", BOB).await.status, 200);
    assert!((1..=60).contains(&wait(&edit(&gateway, "7", CAROL).await)));
    for (record, token) in [("7", BOB), ("8", CAROL), ("7", ALICE)] {
        assert_eq!(
            edit(&gateway, record, token).await.status,
            200,
            "{record} of {token}'s own project"
        );
    }
    assert!(
        wait(&edit(&gateway, "%37", CAROL).await) > 0,
        "the same record in another spelling"
    );
    assert_eq!(
        gateway
            .client()
            .send(Call::get("/items/7").bearer(CAROL))
            .await
            .status,
        200,
        "reading needs no seat"
    );
    assert_eq!(
        gateway
            .upstream
            .paths()
            .iter()
            .filter(|path| *path == "/items/7")
            .count(),
        4
    );
}

pub(crate) async fn a_hold_lapses_after_its_last_touch(bed: &TestBed) {
    let gateway = bed.open(&preset().with("/seats/0/idle", json!("9s"))).await;
    for _ in 0..3 {
        let touch = edit(&gateway, "7", BOB).await;
        assert_eq!(touch.status, 200);
        sleep(SECOND).await;
        let refused = edit(&gateway, "7", CAROL).await;
        let (idle, wait) = (9 * SECOND, Duration::from_secs(wait(&refused)));
        // Each touch restarts the time, at some instant between its request and its response.
        let (least, most) = (
            idle - (refused.received - touch.sent),
            idle - (refused.sent - touch.received) + SECOND,
        );
        assert!(
            (least..most).contains(&wait),
            "{wait:?}: not in {least:?}..{most:?}"
        );
    }
    // A refused attempt is not a touch, so waiting it out succeeds.
    let seconds = wait(&edit(&gateway, "7", CAROL).await);
    sleep(SECOND * u32::try_from(seconds).expect("a few seconds")).await;
    assert_eq!(edit(&gateway, "7", CAROL).await.status, 200);
    assert!(wait(&edit(&gateway, "7", BOB).await) >= 1, "now it is hers");
}

pub(crate) async fn a_refused_record_takes_no_seat(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let call = Call::new("PUT", "/items/7").bearer(BOB).sized(9);
    assert_eq!(
        gateway.client().send(call).await.status,
        400,
        "it is not JSON"
    );
    assert_eq!(edit(&gateway, "7", CAROL).await.status, 200);
}
