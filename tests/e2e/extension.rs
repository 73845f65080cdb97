//! Policies from a file of their own: open connections use a new one, and nothing is drained.

use crate::harness::{
    Call, Client, Gateway, Policy, Setup, Signal, TestBed, connection_manager, eventually,
    extension, run,
};
use crate::process::Process;
use crate::scenarios::ALPHA;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// Envoy's counter of updates of the filter.
async fn updates(gateway: &Gateway, kind: &str) -> u64 {
    let name = format!("extension_config_discovery.http_filter.sluicegate.{kind}");
    gateway.admin.stat(&name).await
}

async fn applied(gateway: &Gateway, text: &str, kind: &str) {
    let before = updates(gateway, kind).await;
    gateway.write_extension(text);
    eventually("Envoy reads the file", async || {
        (updates(gateway, kind).await > before).then_some(())
    })
    .await;
}

/// The connections of clients so far.
async fn connections(gateway: &Gateway) -> u64 {
    gateway.admin.stat("http.gateway.downstream_cx_total").await
}

async fn info(gateway: &Gateway, revision: &str) -> u64 {
    let labels = [("policy", "exact"), ("revision", revision)];
    let metric = "sluicegate_policy_info";
    gateway.admin.metric(metric, &labels).await
}

#[test]
fn an_open_connection_uses_a_new_policy_on_its_next_request() {
    run(Process::make, async |bed: &TestBed| {
        let policy = Policy::named("exact").with("/revision", json!("first"));
        let gateway = bed.open_with(Setup::of(&policy).with_extension()).await;
        let call = Call::get("/v2/things").bearer(ALPHA[0]);
        // One connection for the whole test.
        let client = Client::http2(gateway.address);
        assert_eq!(client.statuses(&call, 4).await, [200; 4]);
        let opened = connections(&gateway).await;

        let invalid = gateway
            .extension(&policy)
            .replace("\"burst\":10", "\"burst\":0");
        let invalid = invalid.replace("first", "second");
        applied(&gateway, &invalid, "update_rejected").await;
        assert!(
            gateway
                .log()
                .contains("/limits/0/bucket/burst: 0 is not in")
        );
        assert_eq!(
            (
                info(&gateway, "first").await,
                info(&gateway, "second").await
            ),
            (1, 0)
        );
        assert_eq!(client.send(call.clone()).await.status, 200);

        let revoked = policy.clone().with("/revision", json!("third"));
        let revoked = revoked.with("/callers/directory", json!([]));
        let revoked = revoked.with("/callers/directory_attributes", json!(["org"]));
        applied(&gateway, &gateway.extension(&revoked), "config_reload").await;
        assert_eq!(
            client.send(call.clone()).await.status,
            401,
            "the key is revoked"
        );

        let again = policy.clone().with("/revision", json!("fourth"));
        applied(&gateway, &gateway.extension(&again), "config_reload").await;
        let statuses = client.statuses(&call, 6).await;
        let admitted = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(admitted, 5, "five of ten were left: {statuses:?}");
        assert_eq!(info(&gateway, "fourth").await, 1);
        let drained = gateway
            .admin
            .stat("listener_manager.total_listeners_draining")
            .await;
        let opened_since = connections(&gateway).await - opened;
        assert_eq!((drained, opened_since), (0, 0), "nothing is closed");
    });
}

/// Gives the filter a `default_config` with this policy.
fn add_default(listeners: &mut Value, policy: &Policy) {
    let discovery = &mut connection_manager(listeners)["http_filters"][0]["config_discovery"];
    let watched = &discovery["config_source"]["path_config_source"]["path"];
    let wasm = watched.as_str().expect("a path");
    let wasm = wasm.replace("extension.yaml", "sluicegate.wasm");
    discovery["default_config"] = json!({
        "@type": extension("filters.http.wasm.v3.Wasm"),
        "config": {
            "name": "sluicegate",
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "vm_id": "sluicegate",
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": wasm } },
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": policy.text(),
            },
        },
    });
}

#[test]
fn an_invalid_policy_at_boot_answers_500_or_the_default() {
    run(Process::make, async |bed: &TestBed| {
        let policy = Policy::named("exact");
        // `render` refuses an invalid policy, so Envoy starts first.
        for has_default in [false, true] {
            let setup = Setup::of(&policy).with_extension();
            let setup = setup.edited(move |listeners, policy| {
                if has_default {
                    add_default(listeners, policy);
                }
            });
            let mut gateway = bed.open_with(setup).await;
            let call = Call::get("/v2/things").bearer(ALPHA[0]);
            assert_eq!(gateway.client().send(call.clone()).await.status, 200);
            gateway.signal(Signal::Terminate);
            while gateway.running() {
                sleep(Duration::from_millis(20)).await;
            }
            let invalid = gateway
                .extension(&policy)
                .replace("\"burst\":10", "\"burst\":0");
            gateway.write_extension(&invalid);
            gateway.start().await.expect("the proxy starts");
            let status = gateway.client().send(call.clone()).await.status;
            assert_eq!(status, if has_default { 200 } else { 500 });
            // Envoy compiles the filter anew, and its admin interface may not answer meanwhile.
            gateway.write_extension(&gateway.extension(&policy));
            eventually("the valid policy applies", async || {
                let answer = gateway.client().send(call.clone()).await;
                (answer.status == 200).then_some(())
            })
            .await;
        }
    });
}
