//! `render istio` and `render envoy-gateway`.

use serde_json::{Value, json};

use super::{INVALID, VALID, run};

const SHARED: &str = "version: 1
name: shared
limits:
  - { name: all, per: [], scope: global, rolling: { quota: 10, window: 1h } }
store: { engine: { redis: counters, password: { env: PASSWORD } } }
";
const ISTIO: [&str; 6] = [
    "render",
    "istio",
    "--policy",
    "-",
    "--image",
    "oci://registry.example/sluicegate:1",
];
const GATEWAY: [&str; 8] = [
    "render",
    "envoy-gateway",
    "--policy",
    "-",
    "--image",
    "oci://registry.example/sluicegate:1",
    "--gateway",
    "eg",
];

/// The errors in a manifest, by the schema of our manifests; empty if there are none.
fn faults(manifest: &Value) -> Vec<String> {
    let schema = serde_json::from_str(include_str!("manifests.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = validator.iter_errors(manifest);
    errors.map(|error| error.to_string()).collect()
}

/// The manifests by kind, each of which the schema accepts.
fn manifests(arguments: &[&str], policy: &str) -> Vec<(String, Value)> {
    let (code, stdout, _) = run(arguments, policy.as_bytes());
    assert_eq!(code, 0, "{arguments:?}");
    let parts = stdout.split("\n---\n");
    let parsed = parts.map(|part| {
        let manifest: Value = serde_saphyr::from_str(part).unwrap();
        assert_eq!(faults(&manifest), Vec::<String>::new(), "{part}");
        (manifest["kind"].as_str().unwrap().to_owned(), manifest)
    });
    parsed.collect()
}

fn kinds(manifests: &[(String, Value)]) -> Vec<&str> {
    manifests.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn istio_gets_a_plugin_that_is_replaced_if_it_fails() {
    let all = manifests(&ISTIO, VALID);
    assert_eq!(kinds(&all), ["WasmPlugin", "Telemetry"]);
    let plugin = &all[0].1["spec"];
    assert_eq!(plugin["failStrategy"], "FAIL_RELOAD");
    assert_eq!(plugin["phase"], "AUTHZ");
    assert_eq!(plugin["imagePullPolicy"], "IfNotPresent");
    let policy: Value = serde_saphyr::from_str(VALID).unwrap();
    assert_eq!(plugin["pluginConfig"], policy);
    let labels = json!({ "matchLabels": { "istio": "ingressgateway" } });
    assert_eq!(plugin["selector"], labels);

    let mut old = ISTIO.to_vec();
    old.extend(["--istio-before-1.27", "--namespace", "shop"]);
    old.extend(["--selector", "app=gate", "--selector", "tier=web"]);
    let all = manifests(&old, SHARED);
    let plugin = &all[0].1;
    assert_eq!(plugin["spec"]["failStrategy"], "FAIL_CLOSE");
    assert_eq!(plugin["metadata"]["namespace"], "shop");
    let labels = json!({ "app": "gate", "tier": "web" });
    assert_eq!(plugin["spec"]["selector"]["matchLabels"], labels);
    let password = json!([{ "name": "PASSWORD", "valueFrom": "HOST" }]);
    assert_eq!(plugin["spec"]["vmConfig"]["env"], password);

    let (_, text, _) = run(&ISTIO, VALID.as_bytes());
    assert!(text.starts_with("# For Istio 1.27 and later."), "{text}");
    for setting in ["extraStatTags: [policy, limit,", "DECODE_AND_MERGE_SLASHES"] {
        assert!(text.contains(setting), "{setting}");
    }
}

#[test]
fn envoy_gateway_gets_a_plugin_for_a_gateway() {
    let all = manifests(&GATEWAY, VALID);
    assert_eq!(kinds(&all), ["EnvoyExtensionPolicy", "ClientTrafficPolicy"]);
    let plugin = &all[0].1["spec"]["wasm"][0];
    let url = &plugin["code"]["image"]["url"];
    assert_eq!(url, "registry.example/sluicegate:1");
    let policy: Value = serde_saphyr::from_str(VALID).unwrap();
    assert_eq!(plugin["config"], policy);

    let mut reload = GATEWAY.to_vec();
    reload.extend(["--reload", "--namespace", "shop"]);
    let endpoint = format!("{SHARED}replies: {{ endpoint: {{ path: /limits }} }}\n");
    let all = manifests(&reload, &endpoint);
    assert_eq!(
        kinds(&all)[2..],
        ["EnvoyPatchPolicy", "HTTPRoute", "HTTPRouteFilter"]
    );
    assert_eq!(
        all[0].1["spec"]["wasm"][0]["env"],
        json!({ "hostKeys": ["PASSWORD"] })
    );
    let patch = &all[2].1["spec"]["jsonPatches"][0];
    assert_eq!(patch["name"], "shop/eg/http");
    assert_eq!(patch["operation"]["value"], "FAIL_RELOAD");
    assert_eq!(
        all[3].1["spec"]["rules"][0]["matches"][0]["path"]["value"],
        "/limits"
    );
    let (_, text, _) = run(&GATEWAY, VALID.as_bytes());
    assert!(
        text.starts_with("# For Envoy Gateway 1.6 to 1.9."),
        "{text}"
    );
}

#[test]
fn what_a_platform_cannot_do_is_an_error_with_advice() {
    let held = format!("{VALID}payloads: [{{ name: body, bytes: 1KB, hold: true }}]\n");
    for (arguments, platform) in [(&ISTIO[..], "Istio"), (&GATEWAY, "Envoy Gateway")] {
        let (code, stdout, stderr) = run(arguments, held.as_bytes());
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        let says = format!("/payloads/0/hold: {platform} cannot hold");
        assert!(stderr.contains(&says), "{stderr}");
        assert!(stderr.contains("Remove `hold`"), "{stderr}");
        assert_eq!(run(arguments, INVALID.as_bytes()).0, 1);
        let (_, _, stderr) = run(arguments, SHARED.as_bytes());
        assert!(stderr.contains("needs a cluster counters"), "{stderr}");
        let mut wrong = arguments.to_vec();
        for image in ["registry.example/a:1", "oci://a", "oci://a/b c"] {
            wrong[5] = image;
            assert_eq!(run(&wrong, VALID.as_bytes()).0, 2, "{image}");
        }
    }
}

#[test]
fn the_schema_of_manifests_refuses_what_the_platforms_refuse() {
    let all = manifests(&ISTIO, VALID);
    for (pointer, key, value) in [
        ("/spec", "failStrategy", json!("FAIL_RELOADED")),
        ("/spec", "failurePolicy", json!("FAIL_RELOAD")),
        ("/spec", "match", json!([{ "mode": "GATEWAY" }])),
        ("/metadata", "namespace", json!(1)),
    ] {
        let mut manifest = all[0].1.clone();
        manifest.pointer_mut(pointer).unwrap()[key] = value;
        assert!(!faults(&manifest).is_empty(), "{key}");
    }
}
