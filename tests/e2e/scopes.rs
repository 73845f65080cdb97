//! The requests that a limit counts, and the words of its key.

use crate::harness::{Call, Policy, TestBed};
use serde_json::json;

pub(crate) async fn words_of_per_and_exceptions(bed: &TestBed) {
    let bucket = json!({ "burst": 2, "refill": "1/h" });
    let policy = Policy::measuring(json!([{ "bytes": "1MB" }])).with(
        "/limits",
        json!([
            { "name": "routes", "for": { "routes": ["/r/*", "/r/**"], "except": ["/r/free"] },
              "per": ["route", "method"], "bucket": bucket },
            { "name": "hosts", "for": { "routes": ["/h"] }, "per": ["host"], "bucket": bucket },
        ]),
    );
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let statuses = async |call: &Call| client.statuses(call, 3).await;
    for (place, (call, expected)) in [
        (Call::get("/r/a"), [200, 200, 429]),
        (Call::get("/r/b"), [429, 429, 429]),
        (Call::get("/r/a/b"), [200, 200, 429]),
        (Call::post("/r/a"), [200, 200, 429]),
        (Call::get("/r/free"), [200, 200, 200]),
        (Call::get("/h"), [200, 200, 429]),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(statuses(call).await, expected, "{place}");
    }
}
