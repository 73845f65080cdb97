//! The tier of a path, in every spelling (EV2).

use super::{ACME, Bucket, DATA_READ, GLOBEX, STANDARD, spend};
use crate::harness::{Call, Gateway, Policy, TestBed, raw};
use tokio::time::Instant;

pub(crate) async fn tiers_have_budgets_of_their_own(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    let begun = Instant::now();
    let (spent, elapsed) = spend(&client, &Call::get("/v2/things").bearer(ACME[0])).await;
    STANDARD.assert_spent(spent, elapsed);
    let reads = client
        .statuses(&Call::get("/v2/things/7/timeseries").bearer(ACME[0]), 150)
        .await;
    assert!(reads.iter().all(|status| *status == 200), "{reads:?}");
    // After 150 reads, the other organization's Standard budget is still whole.
    let reads = client
        .statuses(&Call::get("/v2/things/7/timeseries").bearer(GLOBEX), 150)
        .await;
    assert!(reads.iter().all(|status| *status == 200), "{reads:?}");
    let (spent, elapsed) = spend(&client, &Call::get("/v2/things").bearer(GLOBEX)).await;
    STANDARD.assert_spent(spent, elapsed);
    let (spent, elapsed) = spend(&client, &Call::get("/v2/things/7/summary").bearer(GLOBEX)).await;
    let rest = Bucket {
        burst: DATA_READ.burst - 150,
        ..DATA_READ
    };
    assert!(
        (rest.burst..=rest.most(elapsed + begun.elapsed())).contains(&spent),
        "{spent} reads"
    );
}

pub(crate) async fn paths_belong_to_the_documented_tiers(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    for path in [
        "/v2/things",
        "/v2/sites/1",
        "/v2/fleets",
        "/v2/thing-types",
        "/v2/thing/7/data",
        "/v2/thing/7/data/columnar",
        "/v2/templates/3/apply",
        "/v2/integrations",
        "/v2/timeseries-definitions",
        "/v2/things/summary-of-all",
    ] {
        assert_eq!(charged(&gateway, path).await, "standard", "{path}");
    }
    for path in [
        "/v2/thing/7/timeseries",
        "/v2/timeseries",
        "/v2/a/b/c/timeseries",
        "/v2/sites/1/summary",
        "/v2/thing/7/recent",
    ] {
        assert_eq!(charged(&gateway, path).await, "data-read", "{path}");
    }
    for path in ["/", "/health", "/v1/things", "/v20/things", "/x/v2/things"] {
        assert_eq!(charged(&gateway, path).await, "", "{path}");
    }
}

pub(crate) async fn a_path_is_the_same_in_any_spelling(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    for path in [
        "/v2/a",
        "/v2//a",
        "//v2/a",
        "/v2/./a",
        "/v2/b/../a",
        "/v2/%61",
        "/%762/a",
        "/v2/a?x=1",
        "/v2/a/",
        "/v2/b/%2e%2e/a",
        "/v2%2fa",
        "/v2/a/%2574imeseries",
    ] {
        assert_eq!(charged(&gateway, path).await, "standard", "{path}");
    }
    for path in [
        "/v2/a/timeseries?x=1",
        "/v2//a//timeseries",
        "/v2/./a/timeseries",
        "/v2/a/b/../timeseries",
        "/v2/a/%74imeseries",
        "/v2/a/timeseries?x=/v2/a",
        "/v1/../v2/a/timeseries",
        "/v2/a%2Ftimeseries",
    ] {
        assert_eq!(charged(&gateway, path).await, "data-read", "{path}");
    }
}

/// The name of the limit that one request to `path`, sent as written, is charged to; empty if none.
async fn charged(gateway: &Gateway, path: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {GLOBEX}\r\nconnection: close\r\n\
         \r\n"
    );
    let before = admitted(gateway).await;
    let answer = raw(gateway.address, request.as_bytes(), false).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{path}: {}",
        String::from_utf8_lossy(&answer)
    );
    let after = admitted(gateway).await;
    match (after[0] - before[0], after[1] - before[1]) {
        (0, 0) => String::new(),
        (1, 0) => "standard".to_owned(),
        (0, 1) => "data-read".to_owned(),
        other => panic!("{path}: charged {other:?}"),
    }
}

async fn admitted(gateway: &Gateway) -> [u64; 2] {
    let count = async |limit| {
        let labels = [("limit", limit), ("decision", "admitted")];
        gateway
            .admin
            .metric("sluicegate_requests_total", &labels)
            .await
    };
    [count("standard").await, count("data-read").await]
}

pub(crate) async fn the_upstream_gets_the_path_that_was_matched(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    for path in [
        "/v2/42%2f..%2f..%2f..",
        "/v2/..%2f42",
        "/v2/%2e%2e%2f",
        "/v2/things%2f..%2f..%2fhealth",
        "/v2%5cthings",
    ] {
        let before = gateway.upstream.paths().len();
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
        let answer = raw(gateway.address, request.as_bytes(), false).await;
        let answer = String::from_utf8_lossy(&answer);
        for seen in &gateway.upstream.paths()[before..] {
            assert!(
                !seen.starts_with("/v2"),
                "{path} reached the upstream as {seen} without a key\n{answer}"
            );
        }
    }
    // A path that is below /v2 for the upstream counts there.
    assert_eq!(
        charged(&gateway, "/v2/things%2ftimeseries").await,
        "data-read"
    );
    assert!(
        gateway
            .upstream
            .paths()
            .iter()
            .any(|seen| seen.starts_with("/v2/things/timeseries"))
    );
}
