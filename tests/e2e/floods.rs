//! Floods of keys and of uploads: the memory and the counters of others that they leave.

use super::costs::costing;
use super::windows::{on, rolling};
use super::{exactly, spend};
use crate::harness::{Call, Client, Policy, Setup, TestBed, required};
use serde_json::json;
use std::process::Command;
use tokio::task::JoinSet;

pub(crate) async fn a_flood_of_keys_stays_within_the_memory_that_check_prints(bed: &TestBed) {
    const KEYS: usize = 20_000;
    // Each request makes a record under each of eight limits, of the largest kind.
    let per_key = |number: usize| {
        json!({ "name": format!("limit-{number}"), "per": ["api_key"],
                "rolling": { "quota": 32, "window": "1h" } })
    };
    let policy = Policy::named("flood")
        .with("/limits", (0..8).map(per_key).collect())
        .with("/store/keys_max", json!(KEYS));
    let stated = stated_memory(&policy);
    let gateway = bed.open_with(Setup::of(&policy).within(400 << 20)).await;
    let crowd: Vec<Client> = (0..8).map(|_| Client::http2(gateway.address)).collect();
    let flood = async |round: usize, keys: usize, each: usize| {
        let mut clients = JoinSet::new();
        for (number, client) in crowd.iter().enumerate() {
            let client = client.clone();
            clients.spawn(async move {
                for key in 0..keys {
                    let call =
                        Call::get("/").header("x-api-key", &format!("{round}-{number}-{key}"));
                    exactly(&client, &call, each).await;
                }
            });
        }
        clients.join_all().await;
    };
    flood(0, 20, 1).await;
    let before = gateway.memory_bytes();
    // 64,000 records, three times as many as may be kept; some of them of the largest size.
    flood(1, 1_000, 1).await;
    flood(2, 20, 32).await;
    let grown = gateway.memory_bytes().saturating_sub(before);
    // In addition to the counters, the proxy needs memory for its connections and the filter's
    // work.
    assert!(
        grown < stated + (12 << 20),
        "grown by {grown} bytes; check says {stated}"
    );
    let evicted = gateway
        .admin
        .metric("sluicegate_records_evicted_total", &[])
        .await;
    assert!(evicted > 20_000, "only {evicted} were evicted, and counted");
    let faults = gateway.admin.metric("sluicegate_faults_total", &[]).await;
    assert_eq!(faults, 0);
    // An active caller keeps its counter.
    let steady = Call::get("/").header("x-api-key", "steady");
    assert_eq!(spend(&gateway.client(), &steady).await.0, 32);
}

/// The most bytes of counters according to `sluicegate check`.
fn stated_memory(policy: &Policy) -> u64 {
    let mut check = Command::new(required("SLUICEGATE"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), policy.text()).expect("a file can be written");
    let output = check
        .arg("check")
        .arg(file.path())
        .output()
        .expect("check runs");
    let output = String::from_utf8(output.stdout).expect("text");
    let kilobytes = output
        .rsplit_once("at most ")
        .and_then(|(_, rest)| Some(rest.split_once(" KB")?.0));
    kilobytes
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or_else(|| panic!("{output}"))
        * 1_000
}

pub(crate) async fn a_flood_of_uploads_resets_no_quota(bed: &TestBed) {
    let mut logins = on(
        "login",
        json!({ "calendar": { "quota": 3, "window": "1mo" } }),
    );
    let mut uploads = costing(
        on("upload", rolling(1_000_000)),
        json!({ "bytes": "request" }),
    );
    for (name, limit) in [("logins", &mut logins), ("uploads", &mut uploads)] {
        (limit["name"], limit["per"]) = (json!(name), json!(["k"]));
    }
    let policy = Policy::named("windows")
        .with("/callers/attributes", json!({ "k": [{ "query": "k" }] }))
        .with("/limits", json!([logins, uploads]))
        .with("/store", json!({ "keys_max": 100 }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let login = |number: usize| Call::get(&format!("/login/x?k=user{number}"));
    for number in 0..20 {
        assert_eq!(
            client.statuses(&login(number), 4).await,
            [200, 200, 200, 429]
        );
    }
    let mut floods = JoinSet::new();
    for flood in 0..10 {
        let client = Client::http2(gateway.address);
        floods.spawn(async move {
            for number in 0..300 {
                let call = Call::post(&format!("/upload/x?k=invented-{flood}-{number}")).sized(100);
                assert_eq!(client.send(call).await.status, 200);
            }
        });
    }
    floods.join_all().await;
    let evicted = gateway
        .admin
        .metric("sluicegate_records_evicted_total", &[])
        .await;
    assert!(evicted > 2_000, "{evicted} of 3,000");
    for number in 0..20 {
        assert_eq!(
            client.send(login(number)).await.status,
            429,
            "user {number} has a new month"
        );
    }
}
