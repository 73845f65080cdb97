//! Two builds of the filter one after the other over the counters of one Envoy, in both orders.
//!
//! The builds are the filter with and without a trap, and one whose counters have another form. An
//! earlier release is tried with `SLUICEGATE_TRAP_WASM=EARLIER.wasm`.

use crate::harness::{Call, Gateway, Policy, Setup, TestBed, required, run};
use crate::process::Process;
use crate::scenarios::{ALPHA, spend};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The quota of each limit.
const QUOTA: u64 = 10;

/// One limit of each kind, by path. A window of the calendar ends once in a test at most.
const KINDS: [&str; 3] = ["bucket", "rolling", "calendar"];

fn policy() -> Policy {
    let tiers: Vec<_> = KINDS
        .iter()
        .map(|kind| json!({ "name": kind, "routes": [format!("/v2/{kind}")] }))
        .collect();
    let rules = [
        json!({ "burst": QUOTA, "refill": "1/h" }),
        json!({ "quota": QUOTA, "window": "1h" }),
        json!({ "quota": QUOTA, "window": "1mo" }),
    ];
    let limits: Vec<_> = KINDS
        .iter()
        .zip(rules)
        .map(|(kind, rule)| {
            json!({
                "name": kind, "for": { "tier": kind }, "per": ["org"], (*kind): rule,
            })
        })
        .collect();
    Policy::named("exact")
        .with("/tiers", json!(tiers))
        .with("/limits", json!(limits))
}

fn call(kind: &str) -> Call {
    Call::get(&format!("/v2/{kind}")).bearer(ALPHA[0])
}

/// Sends this many requests under each limit; all are admitted.
async fn take(gateway: &Gateway, count: usize) {
    for kind in KINDS {
        let statuses = gateway.client().statuses(&call(kind), count).await;
        assert_eq!(statuses, vec![200; count], "{kind}");
    }
}

/// Exhausts each limit, which has this much left.
async fn exhaust(gateway: &Gateway, left: u64, what: &str) {
    for kind in KINDS {
        let (admitted, _) = spend(&gateway.client(), &call(kind)).await;
        assert_eq!(admitted, left, "{kind}: {what}");
    }
}

async fn nothing_is_misread(gateway: &Gateway) {
    let faults = gateway.admin.stats("sluicegate_faults_total").await;
    assert!(faults.iter().all(|(_, count)| *count == 0), "{faults:?}");
}

/// From `first` to `second` and back; both have one form of counters.
async fn counts_are_kept(bed: &TestBed, first: PathBuf, second: &Path) {
    let gateway = bed
        .open_with(Setup::of(&policy()).with_filter(first.clone()))
        .await;
    take(&gateway, 4).await;
    gateway.upgrade(second, "second.wasm").await;
    take(&gateway, 3).await;
    gateway.upgrade(&first, "third.wasm").await;
    exhaust(&gateway, QUOTA - 7, "after an upgrade and a downgrade").await;
    gateway.upgrade(second, "fourth.wasm").await;
    exhaust(&gateway, 0, "after an upgrade").await;
    nothing_is_misread(&gateway).await;
}

/// From `first` to `second` and back, which have different forms of counters.
async fn counts_begin_anew(bed: &TestBed, first: PathBuf, second: &Path) {
    let gateway = bed
        .open_with(Setup::of(&policy()).with_filter(first.clone()))
        .await;
    take(&gateway, 4).await;
    gateway.upgrade(second, "second.wasm").await;
    exhaust(&gateway, QUOTA, "another form begins anew").await;
    gateway.upgrade(&first, "third.wasm").await;
    exhaust(&gateway, QUOTA - 4, "the first form has its own").await;
    nothing_is_misread(&gateway).await;
}

#[test]
fn another_build_with_the_same_form_keeps_the_counts() {
    run(Process::make, async |bed: &TestBed| {
        let (one, other) = (
            required("SLUICEGATE_WASM"),
            required("SLUICEGATE_TRAP_WASM"),
        );
        counts_are_kept(bed, one.clone(), &other).await;
        counts_are_kept(bed, other, &one).await;
    });
}

#[test]
fn another_form_begins_anew_and_nothing_is_misread() {
    run(Process::make, async |bed: &TestBed| {
        let (one, other) = (
            required("SLUICEGATE_WASM"),
            required("SLUICEGATE_OTHER_WASM"),
        );
        counts_begin_anew(bed, one.clone(), &other).await;
        counts_begin_anew(bed, other, &one).await;
    });
}
