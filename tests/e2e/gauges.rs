//! The gauges of open uploads and of decoder memory, over both workers of an Envoy.

use super::hostile::unharmed;
use super::memory::body;
use crate::harness::{Call, Framing, Gateway, Policy, Setup, TestBed, Underway, eventually};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// As many as leave no worker without any, and fit into the memory of one.
const COUNT: usize = 12;

/// The window of each body, and the most that it may hold (docs/policy.md).
const WINDOW: u64 = 16 << 20;
const MOST: u64 = 28 << 20;

/// Longer than a worker that states nothing is counted.
const LONG: Duration = Duration::from_secs(8);

fn policy(decoded: &str) -> Policy {
    Policy::measuring(json!([{ "bytes": "1MB", "decoded_bytes": decoded }]))
}

/// Uploads of which all but the last byte was sent and read.
async fn begin(gateway: &Gateway, count: usize) -> Vec<Underway> {
    let body = body();
    let (first, _) = body.split_at(body.len() - 1);
    let before = gateway.upstream.arrived("/slow", first.len() as u64);
    let uploads: Vec<_> = (0..count)
        .map(|number| {
            let call = Call::post("/slow").header("content-encoding", "br");
            let framing = Framing::ALL[number % 3];
            let upload = Underway::begin(gateway.address, call, framing, body.len());
            upload.send(first);
            upload
        })
        .collect();
    eventually("all were read", async || {
        let arrived = gateway.upstream.arrived("/slow", first.len() as u64);
        (arrived == before + count).then_some(())
    })
    .await;
    uploads
}

async fn end(uploads: Vec<Underway>) {
    let body = body();
    for upload in uploads {
        upload.send(&body[body.len() - 1..]);
        assert_eq!(upload.end().await.expect("an answer").status, 200);
    }
}

/// Both gauges: open uploads, and bytes.
async fn gauges(gateway: &Gateway) -> (u64, u64) {
    let metric = async |name: &str| gateway.admin.metric(name, &[("policy", "exact")]).await;
    (
        metric("sluicegate_uploads_open").await,
        metric("sluicegate_decoder_memory_bytes").await,
    )
}

/// Waits until the gauges show this many uploads, each with its window.
async fn show(gateway: &Gateway, count: usize) {
    let count = count as u64;
    eventually(&format!("the gauges show {count} uploads"), async || {
        let (open, bytes) = gauges(gateway).await;
        (open == count && (count * WINDOW..=count * MOST).contains(&bytes)).then_some(())
    })
    .await;
}

/// The gauges go on to show this many uploads.
async fn stay(gateway: &Gateway, count: usize) {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        assert_eq!(gauges(gateway).await.0, count as u64);
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn open_uploads_and_their_memory_are_shown(bed: &TestBed) {
    let gateway = bed.open(&policy("100MB")).await;
    show(&gateway, 0).await;
    let mut uploads = begin(&gateway, COUNT).await;
    show(&gateway, COUNT).await;
    // Under two policies of one name at once.
    gateway.update(&policy("101MB")).await.expect("a policy");
    uploads.extend(begin(&gateway, 2).await);
    show(&gateway, COUNT + 2).await;
    stay(&gateway, COUNT + 2).await;
    let rest = uploads.split_off(COUNT / 2);
    end(uploads).await;
    show(&gateway, COUNT + 2 - COUNT / 2).await;
    // The listener goes, and the policy with the last upload.
    gateway.remove_listeners().await;
    show(&gateway, rest.len()).await;
    end(rest).await;
    show(&gateway, 0).await;
    gateway.update(&policy("100MB")).await.expect("a policy");
    unharmed(&gateway).await;
}

pub(crate) async fn the_uploads_of_a_worker_that_traps_go(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&policy("100MB")).that_traps())
        .await;
    let uploads = begin(&gateway, COUNT).await;
    show(&gateway, COUNT).await;
    // On each of both workers, one after the other; a new VM starts a second later.
    for _ in 0..8 {
        let call = Call::get("/trap").header("x-trap", "1");
        assert_eq!(gateway.client().send(call).await.status, 503);
        sleep(Duration::from_millis(250)).await;
    }
    // Each request may start the VM of its worker again.
    eventually("the gauges show nothing", async || {
        let _ = gateway.client().try_send(Call::get("/after")).await;
        (gauges(&gateway).await == (0, 0)).then_some(())
    })
    .await;
    drop(uploads);
    eventually("both workers serve again", async || {
        let answers = super::at_once(&gateway, &Call::get("/after"), 16).await;
        answers
            .iter()
            .all(|answer| answer.status == 200)
            .then_some(())
    })
    .await;
    let again = begin(&gateway, 3).await;
    show(&gateway, 3).await;
    end(again).await;
    show(&gateway, 0).await;
}
