//! A directory of a hundred thousand keys, in a file of its own.

use crate::harness::{Call, Client, Gateway, Policy, Setup, TestBed, eventually, run};
use crate::process::Process;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::process::Command;

const KEYS: usize = 100_000;

fn key(number: usize) -> String {
    format!("many-{number}")
}

/// A file with a line for each key. Those of `expired` have ended.
fn csv(numbers: impl Iterator<Item = usize>, expired: &[usize]) -> String {
    let mut text = "sha256,org,plan,until\n".to_owned();
    for number in numbers {
        let digest = Sha256::digest(key(number));
        digest
            .iter()
            .for_each(|byte| write!(text, "{byte:02x}").unwrap());
        let until = if expired.contains(&number) {
            "2020-01-31"
        } else {
            ""
        };
        writeln!(text, ",org-{},plan-{},{until}", number / 4, number % 3).unwrap();
    }
    text
}

/// The output of `render extension` for the policy with these entries.
fn rendered(gateway: &Gateway, policy: &Policy, entries: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (file, csv) = (
        folder.path().join("policy.json"),
        folder.path().join("keys.csv"),
    );
    std::fs::write(&file, policy.text()).unwrap();
    std::fs::write(&csv, entries).unwrap();
    // The path of the filter is the one that the gateway's own rendering has.
    let own: Value = serde_saphyr::from_str(&gateway.extension(policy)).unwrap();
    let config = &own["resources"][0]["typed_config"]["config"];
    let wasm = config["vm_config"]["code"]["local"]["filename"]
        .as_str()
        .unwrap();
    let output = Command::new(std::env::var_os("SLUICEGATE").unwrap())
        .args(["render", "extension", "--wasm", wasm, "--policy"])
        .args([&file, std::path::Path::new("--directory"), &csv])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

async fn applied(gateway: &Gateway, text: &str, kind: &str) {
    let name = format!("extension_config_discovery.http_filter.sluicegate.{kind}");
    let before = gateway.admin.stat(&name).await;
    gateway.write_extension(text);
    eventually("Envoy reads the file", async || {
        (gateway.admin.stat(&name).await > before).then_some(())
    })
    .await;
}

#[test]
fn a_hundred_thousand_keys_are_known() {
    run(Process::make, async |bed: &TestBed| {
        let policy = Policy::named("exact")
            .with("/callers/directory_attributes", json!(["plan"]))
            .with("/callers/absent", json!("refuse"));
        let gateway = bed.open_with(Setup::of(&policy).with_extension()).await;
        let client = Client::http2(gateway.address);
        let status = async |number: usize| {
            let call = Call::get("/v2/things").bearer(&key(number));
            client.send(call).await.status
        };
        assert_eq!(status(0).await, 401);

        let all = rendered(&gateway, &policy, &csv(0..KEYS, &[7]));
        assert!(
            all.contains("BytesValue") && all.len() < 60 * KEYS,
            "{}",
            all.len()
        );
        applied(&gateway, &all, "config_reload").await;
        for (number, expected) in [
            (0, 200),
            (KEYS / 2, 200),
            (KEYS - 1, 200),
            (KEYS, 401),
            (7, 401),
        ] {
            assert_eq!(status(number).await, expected, "{number}");
            // Once more, from the cache of callers.
            assert_eq!(status(number).await, expected, "{number}");
        }

        // The keys of an organization share its budget of ten; two were taken.
        let org = [KEYS - 4, KEYS - 3, KEYS - 2, KEYS - 1];
        let mut admitted = 0;
        for number in org.iter().cycle().take(12) {
            admitted += usize::from(status(*number).await == 200);
        }
        assert_eq!(admitted, 8);

        let damaged = all.replace("value: AHNsdWljZWdhdGUB", "value: AHNsdWljZWdhdGUBAAAA");
        assert_ne!(damaged, all);
        applied(&gateway, &damaged, "update_rejected").await;
        assert!(
            gateway
                .log()
                .contains("policy rejected: the packed directory is damaged")
        );
        assert_eq!(status(KEYS / 2).await, 200);

        // The first key is revoked, and another one is new.
        let others = rendered(&gateway, &policy, &csv(1..=KEYS, &[]));
        applied(&gateway, &others, "config_reload").await;
        for (number, expected) in [(0, 401), (7, 200), (KEYS, 200), (KEYS - 1, 429)] {
            assert_eq!(status(number).await, expected, "{number}");
        }
    });
}
