//! Policies that change while the gateway serves (EV6).

use super::{ACME, ALPHA, Bucket, GLOBEX, STANDARD, spend};
use crate::harness::{Call, Gateway, Policy, Setup, TestBed, eventually, required};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) async fn a_bootstrap_without_updates_serves_too(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&Policy::named("exact")).fixed())
        .await;
    let (admitted, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(admitted, 10);
}

pub(crate) async fn an_override_keeps_the_counts(bed: &TestBed) {
    let policy = Policy::preset();
    let gateway = bed.open(&policy).await;
    let (acme, globex) = (
        Call::get("/v2/things").bearer(ACME[0]),
        Call::get("/v2/things").bearer(GLOBEX),
    );
    let begun = Instant::now();
    let client = gateway.client();
    let (first, _) = spend(&client, &acme).await;
    let other = client.statuses(&globex, 40).await;
    assert!(other.iter().all(|status| *status == 200), "{other:?}");

    let raised = json!([{ "for": { "org": "acme" }, "burst": 200, "refill": "120/min" }]);
    let limit = policy.limit("standard");
    gateway
        .update(&policy.with(&format!("/limits/{limit}/overrides"), raised))
        .await
        .expect("a good policy");

    let client = gateway.client();
    let (second, _) = spend(&client, &acme).await;
    Bucket {
        burst: 200,
        refill_per_min: 120,
    }
    .assert_spent(first + second, begun.elapsed());
    let (rest, _) = spend(&client, &globex).await;
    STANDARD.assert_spent(40 + rest, begun.elapsed());
}

async fn assert_rejected(gateway: &Gateway, name: &str, text: &str, says: &str) {
    let before = gateway
        .admin
        .stat("listener_manager.lds.update_rejected")
        .await;
    let rejected = gateway.update_text(text).await.expect_err(name);
    assert!(
        rejected.log.contains(says),
        "{name}: `{says}` is not in\n{}",
        rejected.log
    );
    assert!(
        gateway
            .admin
            .stat("listener_manager.lds.update_rejected")
            .await
            > before,
        "{name}: not counted"
    );
}

pub(crate) async fn an_invalid_policy_is_rejected_and_the_old_one_stays(bed: &TestBed) {
    let policy = Policy::named("exact").with("/limits/0/bucket/burst", json!(20));
    let gateway = bed.open(&policy).await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    assert_eq!(gateway.client().statuses(&call, 4).await, [200; 4]);

    let changed = |pointer: &str, value| policy.clone().with(pointer, value).text();
    let again = policy.value()["limits"][0].clone();
    let whole = policy.text();
    let cut = whole[..whole.len() - 1].to_owned();
    let mut refused = 0;
    for (name, text, says) in [
        ("malformed JSON", cut, "the JSON text ends too early"),
        (
            "an unknown key",
            changed("/limits/0/burst_size", json!(5)),
            "/limits/0/burst_size: unknown key",
        ),
        (
            "a unit that does not exist",
            changed("/limits/0/bucket/refill", json!("1/fortnight")),
            "/limits/0/bucket/refill: \"1/fortnight\"",
        ),
        (
            "a name used twice",
            changed("/limits/-", again),
            "/limits/2/name: \"standard\" is a duplicate of",
        ),
        (
            "a zero that means nothing",
            changed("/limits/0/bucket/burst", json!(0)),
            "/limits/0/bucket/burst: 0 is not in",
        ),
        (
            "a tier that does not exist",
            changed("/limits/1/for/tier", json!("rades")),
            "/limits/1/for/tier: \"rades\" is not",
        ),
        (
            "a tier that is never reached",
            changed(
                "/tiers/-",
                json!({ "name": "late", "routes": ["/v2/late"] }),
            ),
            "/tiers/2: can never be reached",
        ),
    ] {
        assert_rejected(&gateway, name, &text, says).await;
        assert_eq!(
            gateway.client().send(call.clone()).await.status,
            200,
            "{name}: the old policy still applies"
        );
        refused += 1;
    }
    // Four before, and one after each.
    let (left, _) = spend(&gateway.client(), &call).await;
    assert_eq!(left, 20 - 4 - refused, "no update lost or added a count");
}

pub(crate) async fn failures_are_refunded_across_an_update(bed: &TestBed) {
    let policy = Policy::named("exact");
    let gateway = bed.open(&policy).await;
    let slow = Call::get("/v2/things")
        .bearer(ALPHA[0])
        .answered(502)
        .held();
    let mut in_flight = JoinSet::new();
    for _ in 0..8 {
        let (client, slow) = (gateway.client(), slow.clone());
        in_flight.spawn(async move { client.send(slow).await.status });
    }
    eventually("they arrive", async || {
        (gateway.upstream.count("/v2/things") == 8).then_some(())
    })
    .await;
    let burst = policy.with("/limits/0/bucket/burst", json!(12));
    gateway.update(&burst).await.expect("a good policy");
    gateway.upstream.let_go(8);
    assert_eq!(in_flight.join_all().await, [502; 8]);
    eventually("eight are refunded", async || {
        (gateway
            .admin
            .metric("sluicegate_refunds_total", &[("limit", "standard")])
            .await
            == 8)
            .then_some(())
    })
    .await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let first = gateway.client().send(call.clone()).await;
    assert_eq!(
        (first.status, first.number("x-ratelimit-limit")),
        (200, Some(12))
    );
    let reset = first.number("x-ratelimit-reset").expect("a reset");
    assert!((1..=3_600).contains(&reset), "full again in {reset} s");
    let (left, _) = spend(&gateway.client(), &call).await;
    assert_eq!(left, 11);
}

pub(crate) async fn a_struct_is_a_policy_too(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&Policy::named("exact")).with_struct())
        .await;
    let (admitted, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(admitted, 10);
    assert_eq!(
        gateway.client().send(Call::get("/v2/things")).await.status,
        401
    );
    // Validated like any other: a Struct's numbers are doubles, and half a request is invalid.
    let half = Policy::named("exact").with("/limits/0/bucket/burst", json!(10.5));
    let rejected = gateway
        .update_struct(&half)
        .await
        .expect_err("half a request");
    assert!(
        rejected.log.contains("/limits/0/bucket/burst"),
        "{}",
        rejected.log
    );
}

/// Envoy's YAML reader converts whole numbers of more than 32 bits to strings.
pub(crate) async fn a_struct_has_whole_numbers_of_any_size(bed: &TestBed) {
    let calendar = |quota: Value| json!({ "quota": quota, "window": "1d" });
    let large = |quota: Value| {
        let limit = json!({
            "name": "large", "per": [], "calendar": calendar(quota), "cost": 2_500_000_000_u64,
        });
        Policy::named("exact").with("/limits", json!([limit]))
    };
    let gateway = bed
        .open_with(Setup::of(&large(json!(7_500_000_000_u64))).with_struct())
        .await;
    let answer = gateway
        .client()
        .send(Call::get("/v2/things").bearer(ALPHA[0]))
        .await;
    assert_eq!(
        (answer.status, answer.number("x-ratelimit-limit")),
        (200, Some(7_500_000_000))
    );
    assert_eq!(answer.number("x-ratelimit-remaining"), Some(5_000_000_000));
    // Other values are reported as written.
    for (quota, expected) in [
        (
            json!(-3_000_000_000_i64),
            "-3000000000 is not in 1..=999999999999999",
        ),
        (
            json!(9_007_199_254_740_993_u64),
            "9007199254740993 is not in 1..=999999999999999",
        ),
        (
            json!(2_500_000_000.5),
            "2500000000.5 is not a whole number in 1..=999999999999999",
        ),
        (json!("4_000__000"), "expected a number, found the string"),
    ] {
        let rejected = gateway
            .update_struct(&large(quota))
            .await
            .expect_err(expected);
        assert!(
            rejected
                .log
                .contains(&format!("/limits/0/calendar/quota: {expected}")),
            "{}",
            rejected.log
        );
    }
}

pub(crate) async fn the_filter_and_its_log_state_the_version(bed: &TestBed) {
    let program = |arguments: &[&OsStr]| {
        let output = Command::new(required("SLUICEGATE"))
            .args(arguments)
            .output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let version = program(&["--version".as_ref()]);
    let filter = required("SLUICEGATE_WASM");
    assert_eq!(program(&["version".as_ref(), filter.as_ref()]), version);
    let gateway = bed.open(&Policy::named("exact")).await;
    let line = format!("{}: policy exact", version.trim());
    let log = gateway.log();
    assert!(log.contains(&line), "{line} is not in\n{log}");
}
