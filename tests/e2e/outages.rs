//! Outages around the filter: a proxy that is killed or stopped, an upstream that is down, a flood
//! of keys.

use super::hostile::unharmed;
use super::{ALPHA, spend};
use crate::harness::{Call, Client, Gateway, Policy, Setup, Signal, TestBed, eventually};
use std::time::Duration;
use tokio::task::JoinSet;

pub(crate) async fn a_killed_proxy_restarts_with_empty_counters(bed: &TestBed) {
    let mut gateway = bed.open(&Policy::named("exact")).await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let (admitted, _) = spend(&gateway.client(), &call).await;
    assert_eq!(admitted, 10);
    gateway.signal(Signal::Kill);
    ended(&mut gateway).await;
    gateway.start().await.expect("it starts again");
    let (admitted, _) = spend(&gateway.client(), &call).await;
    assert_eq!(admitted, 10, "counters start empty, and count");
}

pub(crate) async fn a_stopped_proxy_ends_every_request(bed: &TestBed) {
    let mut gateway = bed.open(&Policy::named("exact")).await;
    let mut in_flight = JoinSet::new();
    for _ in 0..8 {
        let client = gateway.client();
        let slow = Call::get("/v2/things")
            .bearer(ALPHA[0])
            .delayed(Duration::from_millis(500));
        in_flight.spawn(async move { client.try_send(slow).await.map(|answer| answer.status) });
    }
    eventually("they arrive", async || {
        (gateway.upstream.count("/v2/things") == 8).then_some(())
    })
    .await;
    gateway.signal(Signal::Terminate);
    // Envoy does not wait for them at SIGTERM: each ends, answered or broken off, and none hangs.
    for outcome in in_flight.join_all().await {
        assert!(outcome.is_err() || outcome.is_ok_and(|status| status == 200));
    }
    ended(&mut gateway).await;
    assert!(!gateway.log().contains("panicked"), "it ends in order");
    gateway.start().await.expect("it starts again");
    assert_eq!(
        gateway
            .client()
            .send(Call::get("/v2/things").bearer(ALPHA[0]))
            .await
            .status,
        200
    );
}

pub(crate) async fn a_lost_upstream_comes_back(bed: &TestBed) {
    let mut gateway = bed.open(&Policy::named("exact")).await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let cut_off = {
        let (client, slow) = (
            gateway.client(),
            call.clone().delayed(Duration::from_secs(30)),
        );
        tokio::spawn(async move { client.send(slow).await.status })
    };
    eventually("it arrives", async || {
        (gateway.upstream.count("/v2/things") == 1).then_some(())
    })
    .await;
    gateway.upstream.stop().await;
    assert_eq!(cut_off.await.expect("an answer"), 503);
    let statuses = gateway.client().statuses(&call, 30).await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    eventually("all is refunded", async || {
        (gateway.admin.metric("sluicegate_refunds_total", &[]).await == 31).then_some(())
    })
    .await;
    gateway.upstream.resume().await;
    let (left, _) = spend(&gateway.client(), &call).await;
    assert_eq!(left, 10);
}

pub(crate) async fn a_flood_of_keys_stays_within_the_memory(bed: &TestBed) {
    const CONNECTIONS: u64 = 8;
    const PARALLEL: u64 = 16;
    let gateway = bed
        .open_with(Setup::of(&Policy::named("flood")).within(400 << 20))
        .await;
    let keys = async |round: u64, each: u64| {
        let mut floods = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let client = Client::http2(gateway.address);
            for stream in 0..PARALLEL {
                let first = round << 48 | connection << 40 | stream << 32;
                floods.spawn(flood(client.clone(), first, each));
            }
        }
        let admitted: u64 = floods.join_all().await.into_iter().sum();
        assert_eq!(
            admitted,
            CONNECTIONS * PARALLEL * each,
            "a new key has a whole budget"
        );
    };
    keys(1, 100).await;
    let before = gateway.memory_bytes();
    keys(2, 250).await;
    let after = gateway.memory_bytes();
    assert!(
        after < before + (32 << 20),
        "from {before} to {after} bytes"
    );
    let evicted = gateway
        .admin
        .metric("sluicegate_records_evicted_total", &[])
        .await;
    assert!(
        evicted > 30_000,
        "of 44,800 keys only {evicted} were evicted, and counted"
    );
    // A key in use keeps its counter.
    let statuses = gateway
        .client()
        .statuses(&Call::get("/").header("x-api-key", "steady"), 3)
        .await;
    assert_eq!(statuses, [200, 200, 429]);
    unharmed(&gateway).await;
}

/// Sends `count` requests, each with its own key; returns the number admitted.
async fn flood(client: Client, first: u64, count: u64) -> u64 {
    let mut admitted = 0;
    for key in first..first + count {
        let answer = client
            .send(Call::get("/").header("x-api-key", &format!("{key:016x}")))
            .await;
        admitted += u64::from(answer.status == 200);
    }
    admitted
}

pub(crate) async fn ended(gateway: &mut Gateway) {
    for _ in 0..3_000 {
        if !gateway.running() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the proxy does not exit");
}
