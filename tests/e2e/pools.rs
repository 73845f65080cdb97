//! Slots, their queue and its timeout: the preset dynatrace (DT9 to DT11), and its behaviour under
//! load.

use super::{SECOND, at_once};
use crate::harness::{Answer, Call, Client, Gateway, Policy, Setup, Signal, TestBed, eventually};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);

fn preset() -> Policy {
    Policy::shipped("envoy/presets/dynatrace.yaml")
}

/// The preset with other numbers.
pub(crate) fn pool(slots: u64, length: u64, wait: &str) -> Policy {
    preset().with("/concurrency/0/slots", json!(slots)).with(
        "/concurrency/0/queue",
        json!({ "length": length, "timeout": wait }),
    )
}

/// A request that the upstream takes this long to answer.
fn work(environment: &str, delay: Duration) -> Call {
    Call::get(&format!("/e/{environment}/api/v2/entities")).delayed(delay)
}

/// A request that the upstream answers when the test releases it.
pub(crate) fn held(environment: &str) -> Call {
    work(environment, Duration::ZERO).held()
}

pub(crate) fn in_flight(gateway: &Gateway) -> usize {
    gateway.upstream.in_flight(&path("prod"))
}

fn path(environment: &str) -> String {
    format!("/e/{environment}/api/v2/entities")
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

/// Fails unless it is a refusal that states when to retry.
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(
        answer
            .number("retry-after")
            .is_some_and(|seconds| seconds >= 1),
        "{:?}",
        answer.headers
    );
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(
        (&body["error"]["code"], &body["error"]["limit"]),
        (&json!(429), &json!("environment-pool"))
    );
}

pub(crate) async fn depth(gateway: &Gateway) -> u64 {
    gateway
        .admin
        .metric("sluicegate_queue_depth", &[("limit", "environment-pool")])
        .await
}

pub(crate) async fn slots_and_queue_are_as_large_as_documented(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let calls = async { at_once(&gateway, &held("prod"), 161).await };
    let refused = async {
        // One of the calls is refused. If it came after the release, it would be admitted.
        let full = [("limit", "environment-pool"), ("reason", "queue_full")];
        eventually("slots and queue are full, and one is refused", async || {
            let is_full = in_flight(&gateway) == 32 && depth(&gateway).await == 128;
            let refused = gateway
                .admin
                .metric("sluicegate_queue_refused_total", &full);
            (is_full && refused.await == 1).then_some(())
        })
        .await;
        // At once: while none of the others is answered.
        let answer = gateway.client().send(held("prod")).await;
        gateway.upstream.let_go(160);
        answer
    };
    let (answers, late) = tokio::join!(calls, refused);
    // The last of those at once was refused, and so is one that arrives while all is full.
    assert_eq!((count(&answers, 200), count(&answers, 429)), (160, 1));
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        assert_refused(answer);
    }
    assert_refused(&late);
    assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 32);
}

pub(crate) async fn a_request_that_waits_ten_seconds_is_refused(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let slots = async { at_once(&gateway, &held("prod"), 32).await };
    let waiting = async {
        eventually("all slots are taken", async || {
            (in_flight(&gateway) == 32).then_some(())
        })
        .await;
        let waiting = at_once(&gateway, &work("prod", MS), 128).await;
        gateway.upstream.let_go(32);
        waiting
    };
    let (slots, waiting) = tokio::join!(slots, waiting);
    assert_eq!(count(&slots, 200), 32);
    for answer in &waiting {
        assert_refused(answer);
        let waited = answer.received - answer.sent;
        assert!(waited >= 10 * SECOND, "{waited:?}");
    }
    let timeouts = [("limit", "environment-pool"), ("reason", "queue_timeout")];
    assert_eq!(
        gateway
            .admin
            .metric("sluicegate_queue_refused_total", &timeouts)
            .await,
        128
    );
    assert_eq!(depth(&gateway).await, 0);
}

pub(crate) async fn cheap_requests_pass_and_no_environment_delays_another(bed: &TestBed) {
    // Longer than anything here takes.
    let gateway = bed.open(&pool(32, 128, "1h")).await;
    let overload = async { at_once(&gateway, &held("prod"), 160).await };
    let cheap = async {
        eventually("slots and queue are full", async || {
            (in_flight(&gateway) == 32 && depth(&gateway).await == 128).then_some(())
        })
        .await;
        // While another environment waits indefinitely.
        let statuses = gateway
            .client()
            .statuses(&work("stage", Duration::ZERO), 200)
            .await;
        gateway.upstream.let_go(160);
        statuses
    };
    let (overloaded, cheap) = tokio::join!(overload, cheap);
    assert_eq!(cheap, [200; 200]);
    assert_eq!(count(&overloaded, 200), 160, "five rounds");
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let client = gateway.client();
        clients.spawn(async move { client.statuses(&work("stage", Duration::ZERO), 100).await });
    }
    assert!(
        clients
            .join_all()
            .await
            .into_iter()
            .flatten()
            .all(|status| status == 200),
        "1,600 reach no limit"
    );
}

pub(crate) async fn two_hundred_clients_never_have_more_than_their_slots(bed: &TestBed) {
    let gateway = bed.open(&pool(8, 500, "30s")).await;
    for client in [gateway.client(), Client::http2(gateway.address)] {
        // One connection leads to one worker, many lead to both.
        let mut all = JoinSet::new();
        for number in 0..200 {
            let client = if number % 2 == 0 {
                client.clone()
            } else {
                gateway.client()
            };
            all.spawn(async move { client.send(work("prod", 20 * MS)).await });
        }
        assert_eq!(count(&all.join_all().await, 200), 200);
        assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 8);
    }
    eventually("Envoy has counted how long they waited", async || {
        let name = "sluicegate_queue_wait_ms_count";
        (gateway
            .admin
            .metric(name, &[("limit", "environment-pool")])
            .await
            >= 300)
            .then_some(())
    })
    .await;
    assert_eq!(
        gateway.admin.metric("sluicegate_faults_total", &[]).await,
        0
    );
}

pub(crate) async fn a_client_that_disconnects_keeps_no_slot(bed: &TestBed) {
    let gateway = bed.open(&pool(8, 100, "10s")).await;
    let mut all = JoinSet::new();
    for number in 0..500_u64 {
        let client = if number % 3 == 0 {
            Client::http2(gateway.address)
        } else {
            gateway.client()
        };
        all.spawn(async move {
            sleep(Duration::from_micros(number * 1_777 % 900_000)).await;
            // In flight, waiting, or about to be answered.
            let _ = timeout(
                Duration::from_micros(number * 7_919 % 150_000),
                client.try_send(work("prod", 50 * MS)),
            )
            .await;
        });
    }
    all.join_all().await;
    eventually("no request waits", async || {
        (depth(&gateway).await == 0).then_some(())
    })
    .await;
    eventually(
        "the upstream has finished the broken-off requests",
        async || (in_flight(&gateway) == 0).then_some(()),
    )
    .await;
    // All eight are free: none of them waits for a request that is still held.
    let eight = async { at_once(&gateway, &held("prod"), 8).await };
    let all_in_flight = async {
        eventually("all are in flight", async || {
            (in_flight(&gateway) == 8).then_some(())
        })
        .await;
        gateway.upstream.let_go(8);
    };
    let (answers, ()) = tokio::join!(eight, all_in_flight);
    assert_eq!(count(&answers, 200), 8);
}

pub(crate) async fn a_queue_of_a_thousand_times_out_at_once(bed: &TestBed) {
    let gateway = bed.open(&pool(1, 1_000, "4s")).await;
    let slot = async { gateway.client().send(held("prod")).await };
    let waiting = async {
        eventually("the slot is taken", async || {
            (in_flight(&gateway) == 1).then_some(())
        })
        .await;
        let waiting = at_once(&gateway, &work("prod", MS), 1_000).await;
        gateway.upstream.let_go(1);
        waiting
    };
    let (slot, waiting) = tokio::join!(slot, waiting);
    assert_eq!((slot.status, count(&waiting, 429)), (200, 1_000));
    assert_eq!(
        gateway.client().send(work("prod", MS)).await.status,
        200,
        "the proxy goes on"
    );
    assert_eq!(
        gateway
            .admin
            .stat("wasm.sluicegate.vm_reload_success")
            .await,
        0
    );
}

pub(crate) async fn an_update_admits_waiting_requests_or_none(bed: &TestBed) {
    let gateway = bed.open(&pool(2, 100, "1m")).await;
    let calls = async { at_once(&gateway, &held("prod"), 24).await };
    let updates = async {
        let waits = async |slots, waiting| {
            eventually("the slots are taken", async || {
                (in_flight(&gateway) == slots && depth(&gateway).await == waiting).then_some(())
            })
            .await;
        };
        waits(2, 22).await;
        gateway
            .update(&pool(6, 100, "1m"))
            .await
            .expect("the update is accepted");
        waits(6, 18).await;
        gateway
            .update(&pool(1, 100, "1m"))
            .await
            .expect("the update is accepted");
        // Five of those in flight end, and none takes their place.
        gateway.upstream.let_go(5);
        waits(1, 18).await;
        gateway.upstream.most_in_flight(&path("prod"));
        gateway.upstream.let_go(19);
    };
    let (answers, ()) = tokio::join!(calls, updates);
    assert_eq!(count(&answers, 200), 24, "each waiter was answered");
    assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 1);
    assert_eq!(
        count(&at_once(&gateway, &work("prod", 20 * MS), 20).await, 200),
        20
    );
    assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 1);
}

pub(crate) async fn a_killed_proxy_begins_with_empty_pools(bed: &TestBed) {
    let mut gateway = bed.open(&preset()).await;
    let mut all = JoinSet::new();
    for _ in 0..160 {
        let client = gateway.client();
        all.spawn(async move { client.try_send(held("prod")).await.is_err() });
    }
    eventually("128 wait", async || {
        (depth(&gateway).await == 128).then_some(())
    })
    .await;
    gateway.signal(Signal::Kill);
    // None of them was released.
    assert!(
        all.join_all().await.into_iter().all(|broken| broken),
        "they all break off at once"
    );
    gateway.start().await.expect("it starts again");
    // A killed container closes no connection, so the upstream may still have the 32 from before.
    gateway.upstream.let_go(64);
    let answers = at_once(&gateway, &held("prod"), 32).await;
    assert_eq!(count(&answers, 200), 32);
}

pub(crate) async fn a_worker_that_traps_keeps_no_slot(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&pool(8, 0, "1s")).that_traps())
        .await;
    let mut slots = JoinSet::new();
    for _ in 0..8 {
        let client = gateway.client();
        slots.spawn(async move { drop(client.try_send(held("prod")).await) });
    }
    eventually("all slots are taken", async || {
        (in_flight(&gateway) == 8).then_some(())
    })
    .await;
    assert_eq!(
        gateway.client().send(work("prod", MS)).await.status,
        429,
        "all slots are taken"
    );
    // On each of both workers, one after the other; a new VM starts a second later.
    for _ in 0..8 {
        let trapped = gateway
            .client()
            .send(work("prod", MS).header("x-trap", "1"))
            .await;
        assert_eq!(trapped.status, 503, "its VM has failed");
        sleep(SECOND / 4).await;
    }
    gateway.upstream.let_go(8);
    slots.join_all().await;
    gateway.upstream.most_in_flight(&path("prod"));
    eventually("all eight are free again", async || {
        let answers = at_once(&gateway, &work("prod", SECOND / 5), 8).await;
        (count(&answers, 200) == 8).then_some(())
    })
    .await;
    assert!(gateway.upstream.most_in_flight(&path("prod")) <= 8);
}
