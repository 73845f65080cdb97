//! Images of the filter: pushed to a registry, fetched as Istio and Envoy Gateway do, and run.

use crate::harness::{Call, Policy, Setup, TestBed, required, run};
use crate::process::Process;
use crate::registry::{Registry, sha256};
use crate::scenarios::{ALPHA, spend};
use crate::tokens::Tokens;
use std::fs;
use std::path::Path;
use std::process::Output;

const IMAGE: &str = "gateway/sluicegate:0.1.0";
const NAME: &str = "gateway/sluicegate";
const TAGS: [&str; 2] = ["0.1.0", "0.1.0-artifact"];

/// `open sesame`, as the user `ali`.
const PASSWORDS: &str = "ali:$2b$04$1qCW2YNn2pb8V5H37E.hLubS/EwvHZQDomE8ZxgkKWOegbZ3G6R0i\n";
const LOGIN: [(&str, &str); 2] = [
    ("REGISTRY_USER", "ali"),
    ("REGISTRY_PASSWORD", "open sesame"),
];

fn printed(output: &Output) -> String {
    assert!(
        output.status.success(),
        "push: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "push succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_tag_that_is_pushed_can_be_fetched_and_limits() {
    run(Process::make, async |bed: &TestBed| {
        let registry = Registry::open().await;
        let first = printed(&registry.push(IMAGE, &[]));
        assert_eq!(
            printed(&registry.push(IMAGE, &[])),
            first,
            "the digests stay"
        );
        let call = Call::get(&format!("/v2/{NAME}/tags/list"));
        let listed = crate::harness::Client::http1(registry.address)
            .send(call)
            .await;
        let listed: serde_json::Value = serde_json::from_slice(&listed.body).expect("JSON");
        let mut tags: Vec<&str> = listed["tags"]
            .as_array()
            .expect("tags")
            .iter()
            .filter_map(serde_json::Value::as_str)
            .collect();
        tags.sort_unstable();
        assert_eq!(tags, TAGS);

        let built = fs::read(required("SLUICEGATE_WASM")).expect("the filter");
        let files = tempfile::tempdir().expect("a directory");
        for tag in TAGS {
            let (_, manifest) = registry.manifest(NAME, tag).await;
            let line = format!("{}/{NAME}:{tag}@{}", registry.address, sha256(&manifest));
            assert!(first.lines().any(|printed| printed == line), "{first}");
            let module = registry.fetch(NAME, tag).await.expect(tag);
            assert!(module == built, "{tag}: another module");
            let fetched = files.path().join(tag);
            fs::write(&fetched, module).expect("a file");
            let setup = Setup::of(&Policy::named("exact")).with_filter(fetched);
            let gateway = bed.open_with(setup).await;
            let call = Call::get("/v2/things").bearer(ALPHA[0]);
            let (admitted, _) = spend(&gateway.client(), &call).await;
            assert_eq!(admitted, 10, "{tag}");
        }
    });
}

#[test]
fn a_registry_that_asks_for_a_password_gets_it() {
    run(Process::make, async |_: &TestBed| {
        let registry = Registry::start(|directory: &Path| {
            let file = directory.join("htpasswd");
            fs::write(&file, PASSWORDS).expect("a file");
            format!("auth: {{ htpasswd: {{ realm: test, path: {file:?} }} }}\n")
        })
        .await;
        let advice = refused(&registry.push(IMAGE, &[]));
        assert!(advice.contains("REGISTRY_USER"), "{advice}");
        let wrong = [LOGIN[0], ("REGISTRY_PASSWORD", "open barley")];
        let advice = refused(&registry.push(IMAGE, &wrong));
        assert!(advice.contains(": 401; log in"), "{advice}");
        printed(&registry.push(IMAGE, &LOGIN));
        // Another tag has the same blobs, but a manifest to write.
        registry.log_in("ali", "open sesame");
        printed(&registry.push("gateway/sluicegate:again", &[]));
    });
}

#[test]
fn a_registry_that_asks_for_a_token_gets_it() {
    run(Process::make, async |_: &TestBed| {
        let tokens = Tokens::start("ali:open sesame");
        let registry = Registry::start(|directory: &Path| tokens.auth(directory)).await;
        let advice = refused(&registry.push(IMAGE, &[]));
        assert!(
            advice.contains("no token for gateway/sluicegate: 401"),
            "{advice}"
        );
        let first = printed(&registry.push(IMAGE, &LOGIN));
        assert_eq!(first.lines().count(), TAGS.len(), "{first}");
    });
}
