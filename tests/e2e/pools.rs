//! Slots, the queue before them and its deadline: the preset dynatrace (DT9 to DT11), and what it must bear.

use super::SECOND;
use crate::harness::{Answer, Call, Client, Framing, Gateway, Lab, Pieces, Policy, Setup, Signal, eventually, upload};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);

fn preset() -> Policy {
    Policy::shipped("envoy/presets/dynatrace.yaml")
}

/// The preset with other numbers.
fn pool(slots: u64, length: u64, wait: &str) -> Policy {
    preset()
        .with("/concurrency/0/slots", json!(slots))
        .with("/concurrency/0/queue", json!({ "length": length, "timeout": wait }))
}

/// A request that the upstream takes so long to answer.
fn work(environment: &str, delay: Duration) -> Call {
    Call::get(&format!("/e/{environment}/api/v2/entities")).delayed(delay)
}

fn path(environment: &str) -> String {
    format!("/e/{environment}/api/v2/entities")
}

/// Sends so many equal calls at once, each over a connection of its own; the answers as they come.
async fn at_once(gateway: &Gateway, call: &Call, count: usize) -> Vec<Answer> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        let (client, call) = (gateway.client(), call.clone());
        all.spawn(async move { client.send(call).await });
    }
    all.join_all().await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Fails unless it is a refusal that tells when to come back.
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.number("retry-after").is_some_and(|seconds| seconds >= 1), "{:?}", answer.headers);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((&body["error"]["code"], &body["error"]["limit"]), (&json!(429), &json!("environment-pool")));
}

async fn depth(gateway: &Gateway) -> u64 {
    gateway.admin.metric("sluicegate_queue_depth", &[("limit", "environment-pool")]).await
}

pub(crate) async fn slots_and_queue_are_as_many_as_the_page_says(lab: &Lab) {
    let gateway = lab.open(&preset()).await;
    let calls = async { at_once(&gateway, &work("prod", 1_000 * MS), 161).await };
    let refused = async {
        eventually("the queue is full", async || (depth(&gateway).await == 128).then_some(())).await;
        let begun = Instant::now();
        let answer = gateway.client().send(work("prod", MS)).await;
        (answer, begun.elapsed())
    };
    let (answers, (late, took)) = tokio::join!(calls, refused);
    // Whoever came last of those at once was refused, and so is who comes while all is full.
    assert_eq!((count(&answers, 200), count(&answers, 429)), (160, 1));
    answers.iter().filter(|answer| answer.status == 429).for_each(assert_refused);
    assert_refused(&late);
    assert!(took < SECOND, "at once: {took:?}");
    assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 32);
}

pub(crate) async fn who_waits_ten_seconds_is_refused(lab: &Lab) {
    let gateway = lab.open(&preset()).await;
    let held = async { at_once(&gateway, &work("prod", 12 * SECOND), 32).await };
    let waiting = async {
        sleep(SECOND / 2).await;
        at_once(&gateway, &work("prod", MS), 128).await
    };
    let (held, waiting) = tokio::join!(held, waiting);
    assert_eq!(count(&held, 200), 32);
    for answer in &waiting {
        assert_refused(answer);
        let waited = answer.received - answer.sent;
        assert!((10 * SECOND..13 * SECOND).contains(&waited), "{waited:?}");
    }
    let timeouts = [("limit", "environment-pool"), ("reason", "queue_timeout")];
    assert_eq!(gateway.admin.metric("sluicegate_queue_refused_total", &timeouts).await, 128);
    assert_eq!(depth(&gateway).await, 0);
}

pub(crate) async fn cheap_requests_pass_and_no_environment_delays_another(lab: &Lab) {
    let gateway = lab.open(&preset()).await;
    let overload = async { at_once(&gateway, &work("prod", 2 * SECOND), 160).await };
    let cheap = async {
        sleep(SECOND / 2).await;
        let client = gateway.client();
        let mut worst = Duration::ZERO;
        for _ in 0..200 {
            let begun = Instant::now();
            assert_eq!(client.send(work("stage", Duration::ZERO)).await.status, 200);
            worst = worst.max(begun.elapsed());
        }
        worst
    };
    let (overloaded, worst) = tokio::join!(overload, cheap);
    assert!(worst < SECOND, "{worst:?} while another environment waits for seconds");
    assert_eq!(count(&overloaded, 200), 160, "five rounds of two seconds: the last waited for eight");
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let client = gateway.client();
        clients.spawn(async move { client.statuses(&work("stage", Duration::ZERO), 100).await });
    }
    assert!(clients.join_all().await.into_iter().flatten().all(|status| status == 200), "1,600 are no limit");
}

pub(crate) async fn two_hundred_clients_never_have_more_than_their_slots(lab: &Lab) {
    let gateway = lab.open(&pool(8, 500, "30s")).await;
    for client in [gateway.client(), Client::http2(gateway.address)] {
        // Over one connection they come to one worker, over many to both.
        let mut all = JoinSet::new();
        for number in 0..200 {
            let client = if number % 2 == 0 { client.clone() } else { gateway.client() };
            all.spawn(async move { client.send(work("prod", 20 * MS)).await });
        }
        assert_eq!(count(&all.join_all().await, 200), 200);
        assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 8);
    }
    eventually("Envoy has counted how long they waited", async || {
        let name = "sluicegate_queue_wait_ms_count";
        (gateway.admin.metric(name, &[("limit", "environment-pool")]).await >= 300).then_some(())
    })
    .await;
    assert_eq!(gateway.admin.metric("sluicegate_faults_total", &[]).await, 0);
}

pub(crate) async fn who_hangs_up_takes_no_slot_along(lab: &Lab) {
    let gateway = lab.open(&pool(8, 100, "10s")).await;
    let mut all = JoinSet::new();
    for number in 0..500_u64 {
        let client = if number % 3 == 0 { Client::http2(gateway.address) } else { gateway.client() };
        all.spawn(async move {
            sleep(Duration::from_micros(number * 1_777 % 900_000)).await;
            // In flight, waiting, or about to be answered.
            let _ =
                timeout(Duration::from_micros(number * 7_919 % 150_000), client.try_send(work("prod", 50 * MS))).await;
        });
    }
    all.join_all().await;
    eventually("nobody waits", async || (depth(&gateway).await == 0).then_some(())).await;
    sleep(SECOND / 2).await;
    // All eight are free: they go at once, and none waits for another.
    gateway.upstream.most_in_flight(&path("prod"));
    let answers = at_once(&gateway, &work("prod", SECOND), 8).await;
    assert_eq!((count(&answers, 200), gateway.upstream.most_in_flight(&path("prod"))), (8, 8));
    assert!(answers.iter().all(|answer| answer.received - answer.sent < 2 * SECOND), "nobody waited");
}

pub(crate) async fn a_queue_of_a_thousand_ends_in_one_moment(lab: &Lab) {
    let gateway = lab.open(&pool(1, 1_000, "4s")).await;
    let held = async { gateway.client().send(work("prod", 9 * SECOND)).await };
    let waiting = async {
        sleep(SECOND / 4).await;
        at_once(&gateway, &work("prod", MS), 1_000).await
    };
    let (held, waiting) = tokio::join!(held, waiting);
    assert_eq!((held.status, count(&waiting, 429)), (200, 1_000));
    assert_eq!(gateway.client().send(work("prod", MS)).await.status, 200, "the proxy goes on");
    assert_eq!(gateway.admin.stat("wasm.sluicegate.vm_reload_success").await, 0);
}

pub(crate) async fn an_update_lets_in_who_waits_or_nobody_more(lab: &Lab) {
    let gateway = lab.open(&pool(2, 100, "20s")).await;
    // Envoy ends old connections two seconds after an update here, so nobody may wait for longer.
    for (calls, waiting, slots) in [(24, 16, 6), (12, 6, 1)] {
        let calls = async { at_once(&gateway, &work("prod", 150 * MS), calls).await };
        let update = async {
            eventually("many wait", async || (depth(&gateway).await >= waiting).then_some(())).await;
            gateway.update(&pool(slots, 100, "20s")).await.expect("the update is taken");
            // Those that are in flight are.
            sleep(200 * MS).await;
            gateway.upstream.most_in_flight(&path("prod"));
            sleep(200 * MS).await;
            gateway.upstream.most_in_flight(&path("prod"))
        };
        let (answers, most) = tokio::join!(calls, update);
        assert_eq!(count(&answers, 200), answers.len(), "each waiter was answered");
        assert!(most <= slots as usize, "{most} in flight on {slots} slots");
    }
    gateway.upstream.most_in_flight(&path("prod"));
    assert_eq!(count(&at_once(&gateway, &work("prod", 20 * MS), 20).await, 200), 20);
    assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 1);
}

pub(crate) async fn a_killed_proxy_begins_with_empty_pools(lab: &Lab) {
    let mut gateway = lab.open(&preset()).await;
    let mut all = JoinSet::new();
    for _ in 0..160 {
        let client = gateway.client();
        all.spawn(async move {
            let begun = Instant::now();
            (client.try_send(work("prod", 9 * SECOND)).await.is_err(), begun.elapsed())
        });
    }
    eventually("128 wait", async || (depth(&gateway).await == 128).then_some(())).await;
    gateway.signal(Signal::Kill);
    for (broken, took) in all.join_all().await {
        assert!(broken && took < 8 * SECOND, "they see the end at once: {took:?}");
    }
    gateway.start().await.expect("it starts again");
    let answers = at_once(&gateway, &work("prod", SECOND / 2), 32).await;
    assert_eq!(count(&answers, 200), 32);
    assert!(answers.iter().all(|answer| answer.received - answer.sent < 3 * SECOND), "nobody waited");
}

pub(crate) async fn a_worker_that_traps_keeps_no_slot(lab: &Lab) {
    let gateway = lab.open_with(Setup::of(&pool(8, 0, "1s")).that_traps()).await;
    let mut held = JoinSet::new();
    for _ in 0..8 {
        let client = gateway.client();
        held.spawn(async move { drop(timeout(6 * SECOND, client.try_send(work("prod", 3 * SECOND))).await) });
    }
    sleep(SECOND).await;
    assert_eq!(gateway.client().send(work("prod", MS)).await.status, 429, "all slots are taken");
    // Each of both workers, one after the other; a new VM comes a second later.
    for _ in 0..8 {
        let trapped = gateway.client().send(work("prod", MS).header("x-trap", "1")).await;
        assert_eq!(trapped.status, 503, "its VM is gone");
        sleep(SECOND / 4).await;
    }
    held.join_all().await;
    let begun = Instant::now();
    eventually("all eight are free again", async || {
        let answers = at_once(&gateway, &work("prod", SECOND / 5), 8).await;
        (count(&answers, 200) == 8).then_some(())
    })
    .await;
    let took = begun.elapsed();
    assert!(took < 15 * SECOND, "nine seconds are told, and it took {took:?}");
    assert_eq!(gateway.upstream.most_in_flight(&path("prod")), 8);
}

pub(crate) async fn a_waiting_body_is_held_back_and_goes_on_whole(lab: &Lab) {
    const MB: u64 = 1_000_000;
    let gateway = lab.open(&pool(1, 10, "10s")).await;
    let held = async { gateway.client().send(work("prod", 2 * SECOND)).await };
    let waiting = async {
        sleep(SECOND / 2).await;
        let mut all = JoinSet::new();
        for framing in Framing::ALL {
            let call = Call::post("/e/prod/api/v2/logs/ingest");
            // Far more than Envoy's buffer.
            all.spawn(upload(gateway.address, call, framing, 9 * MB, Pieces::zeros(9 * MB)));
        }
        all.join_all().await
    };
    let (held, waiting) = tokio::join!(held, waiting);
    assert_eq!(held.status, 200);
    assert!(waiting.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)), "{waiting:?}");
    let bodies = gateway.upstream.bodies("/e/prod/api/v2/logs/ingest");
    assert!(bodies.iter().all(|body| body.whole && body.bytes == 9 * MB) && bodies.len() == 3, "{bodies:?}");
}
