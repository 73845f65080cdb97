//! A schema of the manifests that the platforms take, and the manifests of the repository.

use serde_json::{Value, json};

use super::kubernetes::{ENGINE, GATEWAY, ISTIO, SHARED};
use super::{PathBuf, run};

/// The errors in a manifest, by the schema of our manifests; empty if there are none.
fn faults(manifest: &Value) -> Vec<String> {
    let schema = serde_saphyr::from_str(include_str!("manifests.schema.yaml")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = validator.iter_errors(manifest);
    errors.map(|error| error.to_string()).collect()
}

/// The manifests by kind, each of which the schema accepts.
pub(super) fn manifests(arguments: &[&str], more: &[&str], policy: &str) -> Vec<(String, Value)> {
    let arguments = [arguments, more].concat();
    let (code, stdout, stderr) = run(&arguments, policy.as_bytes());
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    let parts = stdout.split("\n---\n");
    let parsed = parts.map(|part| {
        let manifest: Value = serde_saphyr::from_str(part).unwrap();
        assert_eq!(faults(&manifest), Vec::<String>::new(), "{part}");
        (manifest["kind"].as_str().unwrap().to_owned(), manifest)
    });
    parsed.collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn the_schema_of_manifests_refuses_what_the_platforms_refuse() {
    let more = [&ENGINE[..], &["--reload"]].concat();
    let endpoint = format!("{SHARED}replies: {{ endpoint: {{ path: /limits }} }}\n");
    let mut all = manifests(&ISTIO, &ENGINE, SHARED);
    all.extend(manifests(&GATEWAY, &more, &endpoint));
    for (kind, pointer, key, value) in [
        (
            "WasmPlugin",
            "/spec",
            "failStrategy",
            json!("FAIL_RELOADED"),
        ),
        ("WasmPlugin", "/spec", "failurePolicy", json!("FAIL_RELOAD")),
        (
            "WasmPlugin",
            "/spec",
            "match",
            json!([{ "mode": "GATEWAY" }]),
        ),
        ("WasmPlugin", "/spec", "phase", json!("AUTH")),
        ("WasmPlugin", "/spec", "url", json!("registry.example/a:1")),
        (
            "WasmPlugin",
            "/spec/vmConfig/env/0",
            "valueFrom",
            json!("SECRET"),
        ),
        ("WasmPlugin", "/metadata", "namespace", json!(1)),
        (
            "Telemetry",
            "/spec/accessLogging/0",
            "provider",
            json!("envoy"),
        ),
        (
            "Telemetry",
            "",
            "apiVersion",
            json!("telemetry.istio.io/v2"),
        ),
        (
            "EnvoyFilter",
            "/spec/configPatches/0/match",
            "context",
            json!("GATEWAYS"),
        ),
        (
            "EnvoyFilter",
            "/spec/configPatches/0/patch",
            "operation",
            json!("INSERT"),
        ),
        (
            "EnvoyExtensionPolicy",
            "/spec/wasm/0",
            "failurePolicy",
            json!("FAIL_RELOAD"),
        ),
        (
            "EnvoyExtensionPolicy",
            "/spec/wasm/0/code",
            "type",
            json!("OCI"),
        ),
        (
            "ClientTrafficPolicy",
            "/spec/path",
            "escapedSlashesAction",
            json!("Unescape"),
        ),
        ("EnvoyProxy", "/spec/bootstrap", "type", json!("Patch")),
        ("EnvoyPatchPolicy", "/spec", "type", json!("Merge")),
        (
            "EnvoyPatchPolicy",
            "/spec/jsonPatches/0/operation",
            "op",
            json!("insert"),
        ),
        (
            "EnvoyPatchPolicy",
            "/spec/jsonPatches/1/operation",
            "path",
            json!("/"),
        ),
        (
            "HTTPRoute",
            "/spec/rules/0/matches/0/path",
            "type",
            json!("Prefix"),
        ),
        (
            "HTTPRouteFilter",
            "/spec/directResponse",
            "status",
            json!(404),
        ),
    ] {
        let found = all.iter().find(|(of, _)| of == kind);
        let mut manifest = found.unwrap().1.clone();
        manifest.pointer_mut(pointer).unwrap()[key] = value;
        assert!(!faults(&manifest).is_empty(), "{kind}: {key}");
    }
}

#[test]
fn the_manifests_of_the_repository_are_what_render_writes() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("envoy");
    let preset = root.join("presets/enterprise-v2.yaml");
    let text = std::fs::read_to_string(&preset).unwrap();
    let image = "oci://registry.example/sluicegate:0.1.0";
    for (arguments, folder, pointer, url) in [
        (&ISTIO[..], "istio", "/spec/url", image),
        (
            &GATEWAY,
            "envoy-gateway",
            "/spec/wasm/0/code/image/url",
            "registry.example/sluicegate:0.1.0",
        ),
    ] {
        let mut arguments = arguments.to_vec();
        arguments[5] = image;
        let (_, expected, _) = run(&arguments, text.as_bytes());
        let folder = root.join("kubernetes").join(folder);
        let written = std::fs::read_to_string(folder.join("sluicegate.yaml")).unwrap();
        assert_eq!(written, expected, "stale: run `make manifests`");

        let kustomization = folder.join("kustomization.yaml");
        let kustomization = std::fs::read_to_string(kustomization).unwrap();
        let kustomization: Value = serde_saphyr::from_str(&kustomization).unwrap();
        assert_eq!(kustomization["resources"], json!(["sluicegate.yaml"]));
        // The patch replaces a value of the manifest.
        let patch = &kustomization["patches"][0];
        let manifests = manifests(&arguments, &[], &text);
        let (kind, manifest) = &manifests[0];
        assert_eq!(patch["target"]["kind"], kind.as_str());
        let operations: Value = serde_saphyr::from_str(patch["patch"].as_str().unwrap()).unwrap();
        assert_eq!(operations[0]["path"], pointer);
        assert_eq!(operations[0]["value"], url);
        assert_eq!(manifest.pointer(pointer).unwrap(), url);
    }
}
