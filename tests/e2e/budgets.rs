//! Which callers share a budget, and its size (EV1, EV3).

use super::{ACME, ALPHA, BETA, Bucket, GLOBEX, STANDARD, spend};
use crate::harness::{Call, Client, Gateway, Policy, TestBed};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub(crate) async fn two_keys_of_one_organization_share_one_budget(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    let begun = Instant::now();
    let first = client
        .statuses(&Call::get("/v2/things").bearer(ACME[0]), 60)
        .await;
    assert!(first.iter().all(|status| *status == 200), "{first:?}");
    let (second, _) = spend(
        &client,
        &Call::get("/v2/sites").header("x-api-key", ACME[1]),
    )
    .await;
    STANDARD.assert_spent(60 + second, begun.elapsed());
    let (other, elapsed) = spend(&client, &Call::get("/v2/things").bearer(GLOBEX)).await;
    STANDARD.assert_spent(other, elapsed);
}

pub(crate) async fn a_full_burst_then_one_a_second(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    let call = Call::get("/v2/things").bearer(ACME[0]);
    let begun = Instant::now();
    let (mut admitted, elapsed) = spend(&client, &call).await;
    STANDARD.assert_spent(admitted, elapsed);
    let mut refused_at = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(6) {
        let sent = begun.elapsed();
        let status = client.send(call.clone()).await.status;
        admitted += u64::from(status == 200);
        refused_at = if status == 200 { refused_at } else { sent };
        let elapsed = begun.elapsed();
        assert!(
            admitted <= STANDARD.most(elapsed),
            "admitted {admitted} in {elapsed:?}"
        );
        sleep(Duration::from_millis(50)).await;
    }
    // A bucket that is not full loses nothing: a refused caller has used every unit that came back
    // by then.
    let least = STANDARD.most(refused_at) - 2;
    assert!(
        admitted >= least,
        "admitted {admitted}, at least {least} came back"
    );
    assert_eq!(
        gateway.upstream.count("/v2/"),
        admitted as usize,
        "every admitted request arrived, and no other"
    );
}

pub(crate) async fn two_hundred_parallel_clients_get_the_burst_and_the_refill(bed: &TestBed) {
    let refilled = json!([{ "for": { "org": "beta" }, "refill": "300/min" }]);
    let policy = Policy::named("exact")
        .with("/limits/0/bucket/burst", json!(150))
        .with("/limits/0/overrides", refilled);
    let gateway = bed.open(&policy).await;
    let (admitted, _) = two_hundred_clients(&gateway, ALPHA).await;
    assert_eq!(admitted, 150, "no refill: only the burst");
    let (admitted, elapsed) = two_hundred_clients(&gateway, [BETA; 2]).await;
    Bucket {
        burst: 150,
        refill_per_min: 300,
    }
    .assert_spent(admitted, elapsed);
}

/// Sends five requests each from two hundred clients at once; returns the number admitted, and the
/// time taken.
async fn two_hundred_clients(gateway: &Gateway, keys: [&'static str; 2]) -> (u64, Duration) {
    let before = gateway.upstream.count("/v2/things");
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for index in 0..200 {
        let address = gateway.address;
        // With their own connections, over both workers and both protocols.
        let client = if index % 4 == 0 {
            Client::http2(address)
        } else {
            Client::http1(address)
        };
        let call = Call::get("/v2/things").bearer(keys[index % 2]);
        clients.spawn(async move { client.statuses(&call, 5).await });
    }
    let statuses = clients.join_all().await.concat();
    let elapsed = begun.elapsed();
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert!(
        statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(
        gateway.upstream.count("/v2/things") - before,
        admitted,
        "every admitted request arrived, and no other"
    );
    (admitted as u64, elapsed)
}

pub(crate) async fn a_refusal_takes_nothing_from_any_limit(bed: &TestBed) {
    let narrow = json!({
        "name": "narrow", "for": { "routes": ["/v2/narrow/**"] }, "per": ["org"],
        "bucket": { "burst": 3, "refill": "1/h" },
    });
    let gateway = bed
        .open(&Policy::named("exact").with("/limits/-", narrow))
        .await;
    let client = gateway.client();
    let (admitted, _) = spend(&client, &Call::get("/v2/narrow/things").bearer(ALPHA[0])).await;
    assert_eq!(admitted, 3);
    client
        .statuses(&Call::get("/v2/narrow/things").bearer(ALPHA[0]), 20)
        .await;
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(
        left, 7,
        "the wider limit was charged for the three admitted requests only"
    );
}
