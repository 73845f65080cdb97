//! `render istio` and `render envoy-gateway`.

use serde_json::{Value, json};

use super::manifests::manifests;
use super::{INVALID, VALID, run};

pub(super) const SHARED: &str = "version: 1
name: shared
limits:
  - { name: all, per: [], scope: global, rolling: { quota: 10, window: 1h } }
store: { engine: { redis: counters, password: { env: PASSWORD } } }
";
pub(super) const ENGINE: [&str; 2] = ["--engine", "redis.shop.svc:6379"];
pub(super) const ISTIO: [&str; 6] = [
    "render",
    "istio",
    "--policy",
    "-",
    "--image",
    "oci://registry.example/sluicegate:1",
];
pub(super) const GATEWAY: [&str; 8] = [
    "render",
    "envoy-gateway",
    "--policy",
    "-",
    "--image",
    "oci://registry.example/sluicegate:1",
    "--gateway",
    "eg",
];

fn kinds(manifests: &[(String, Value)]) -> Vec<&str> {
    manifests.iter().map(|(kind, _)| kind.as_str()).collect()
}

/// The settings of the mesh, which are comments.
fn mesh_settings(more: &[&str], policy: &str) -> Value {
    let (_, text, _) = run(&[&ISTIO, more].concat(), policy.as_bytes());
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let lines = lines.take_while(|line| !line.starts_with('%'));
    serde_saphyr::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

#[test]
fn istio_gets_a_plugin_that_is_replaced_if_it_fails() {
    let all = manifests(&ISTIO, &[], VALID);
    assert_eq!(kinds(&all), ["WasmPlugin", "Telemetry"]);
    let plugin = &all[0].1["spec"];
    assert_eq!(plugin["failStrategy"], "FAIL_RELOAD");
    assert_eq!(plugin["phase"], "AUTHZ");
    assert_eq!(plugin["imagePullPolicy"], "IfNotPresent");
    let policy: Value = serde_saphyr::from_str(VALID).unwrap();
    assert_eq!(plugin["pluginConfig"], policy);
    let labels = json!({ "matchLabels": { "istio": "ingressgateway" } });
    assert_eq!(plugin["selector"], labels);
    assert!(plugin["match"].is_null());

    let old = ["--istio-before-1.27", "--namespace", "shop"];
    let others = ["--selector", "app=gate", "--selector", "tier=web"];
    let more = [&old[..], &others, &ENGINE, &["--sidecar", "--name", "007"]].concat();
    let all = manifests(&ISTIO, &more, SHARED);
    assert_eq!(kinds(&all), ["WasmPlugin", "Telemetry", "EnvoyFilter"]);
    let plugin = &all[0].1;
    assert_eq!(plugin["spec"]["failStrategy"], "FAIL_CLOSE");
    let metadata = json!({ "name": "007", "namespace": "shop" });
    let labels = json!({ "app": "gate", "tier": "web" });
    assert_eq!(plugin["metadata"], metadata);
    assert_eq!(plugin["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(plugin["spec"]["match"], json!([{ "mode": "SERVER" }]));
    let password = json!([{ "name": "PASSWORD", "valueFrom": "HOST" }]);
    assert_eq!(plugin["spec"]["vmConfig"]["env"], password);
    let filter = &all[2].1;
    assert_eq!(filter["metadata"], metadata);
    assert_eq!(filter["spec"]["workloadSelector"]["labels"], labels);

    let (_, text, _) = run(&ISTIO, VALID.as_bytes());
    assert!(text.starts_with("# For Istio 1.27 and later."), "{text}");
}

#[test]
fn the_mesh_s_settings_are_yaml_for_the_mesh() {
    let settings = mesh_settings(&[], VALID);
    let mesh = &settings["meshConfig"];
    let normalization = &mesh["pathNormalization"]["normalization"];
    assert_eq!(normalization, "DECODE_AND_MERGE_SLASHES");
    let tags = mesh["defaultConfig"]["extraStatTags"].as_array().unwrap();
    assert_eq!(tags, &sluicegate::observe::metrics::LABELS);
    let (_, text, _) = run(&ISTIO, VALID.as_bytes());
    assert!(text.contains("extraStatTags: [policy, limit,"), "{text}");
    let provider = &mesh["extensionProviders"][0];
    assert_eq!(provider["name"], "sluicegate-audit");
    let labels = &provider["envoyFileAccessLog"]["logFormat"]["labels"];
    assert_eq!(
        labels["sluicegate"],
        "%FILTER_STATE(wasm.sluicegate:PLAIN)%"
    );

    let telemetry = &manifests(&ISTIO, &[], VALID)[1].1["spec"]["accessLogging"];
    assert_eq!(telemetry[0], json!({ "providers": [{ "name": "envoy" }] }));
    assert_eq!(telemetry[1]["providers"][0]["name"], "sluicegate-audit");
    let refusals = telemetry[1]["filter"]["expression"].as_str().unwrap();
    assert!(refusals.starts_with("response.code_details.startsWith('sluicegate_')"));
}

#[test]
fn a_collector_gets_the_parts_of_a_decision() {
    let otlp = ["--otlp", "otel.observability:4317"];
    let policy = format!("{VALID}access_log: {{ attributes: [] }}\n");
    let settings = mesh_settings(&otlp, &policy);
    let provider = &settings["meshConfig"]["extensionProviders"][0]["envoyOtelAls"];
    assert_eq!(provider["service"], "otel.observability");
    assert_eq!(provider["port"], 4317);
    let part = "%FILTER_STATE(wasm.sluicegate.limit:PLAIN)%";
    assert_eq!(provider["logFormat"]["labels"]["security_rule.name"], part);
    let plugin = &manifests(&ISTIO, &otlp, &policy)[0].1["spec"]["pluginConfig"];
    assert_eq!(plugin["access_log"]["parts"], "refused");

    let all = manifests(&GATEWAY, &otlp, &policy);
    let config = &all[0].1["spec"]["wasm"][0]["config"];
    assert_eq!(config["access_log"]["parts"], "refused");
    let settings = &all[2].1["spec"]["telemetry"]["accessLog"]["settings"];
    let sink = &settings[0]["sinks"][0]["openTelemetry"];
    assert_eq!(sink["host"], "otel.observability");
    assert_eq!(settings[0]["format"]["json"]["security_rule.name"], part);
    assert_eq!(settings[1]["sinks"][0]["file"]["path"], "/dev/stdout");
}

#[test]
fn envoy_gateway_gets_a_plugin_for_a_gateway() {
    let all = manifests(&GATEWAY, &[], VALID);
    assert_eq!(
        kinds(&all),
        ["EnvoyExtensionPolicy", "ClientTrafficPolicy", "EnvoyProxy"]
    );
    let plugin = &all[0].1["spec"]["wasm"][0];
    let url = &plugin["code"]["image"]["url"];
    assert_eq!(url, "registry.example/sluicegate:1");
    let policy: Value = serde_saphyr::from_str(VALID).unwrap();
    assert_eq!(plugin["config"], policy);
    assert!(all[2].1["spec"]["telemetry"].is_null(), "the log is theirs");

    let reload = ["--reload", "--listener", "http", "--listener", "https"];
    let more = [&reload[..], &ENGINE, &["--namespace", "shop"]].concat();
    let endpoint = format!("{SHARED}replies: {{ endpoint: {{ path: /limits }} }}\n");
    let all = manifests(&GATEWAY, &more, &endpoint);
    assert_eq!(
        kinds(&all)[3..],
        ["EnvoyPatchPolicy", "HTTPRoute", "HTTPRouteFilter"]
    );
    assert_eq!(
        all[0].1["spec"]["wasm"][0]["env"],
        json!({ "hostKeys": ["PASSWORD"] })
    );
    let container = &all[2].1["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"];
    let secret = json!({ "name": "sluicegate-engine", "key": "password" });
    assert_eq!(container["env"][0]["name"], "PASSWORD");
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"], secret);
    let patches = &all[3].1["spec"]["jsonPatches"];
    let names = [0, 1, 2].map(|index| patches[index]["name"].as_str().unwrap());
    assert_eq!(names, ["shop/eg/http", "shop/eg/https", "counters"]);
    assert_eq!(patches[0]["operation"]["value"], "FAIL_RELOAD");
    assert_eq!(
        all[4].1["spec"]["rules"][0]["matches"][0]["path"]["value"],
        "/limits"
    );
    let (_, text, _) = run(&GATEWAY, VALID.as_bytes());
    assert!(
        text.starts_with("# For Envoy Gateway 1.6 to 1.9."),
        "{text}"
    );
}

#[test]
fn both_platforms_get_the_engine_that_an_envoy_of_one_s_own_gets() {
    let envoy = [&super::render("-")[..], &ENGINE].concat();
    let (code, bootstrap, stderr) = run(&envoy, SHARED.as_bytes());
    assert_eq!(code, 0, "{stderr}");
    let bootstrap: Value = serde_saphyr::from_str(&bootstrap).unwrap();
    let cluster = &bootstrap["static_resources"]["clusters"][1];
    assert_eq!(cluster["name"], "counters");
    let istio = manifests(&ISTIO, &ENGINE, SHARED);
    let patch = &istio[2].1["spec"]["configPatches"][0];
    assert_eq!(&patch["patch"]["value"], cluster);
    assert_eq!(patch["match"]["context"], "GATEWAY");
    let gateway = manifests(&GATEWAY, &ENGINE, SHARED);
    let patch = &gateway[3].1["spec"]["jsonPatches"][0];
    assert_eq!(&patch["operation"]["value"], cluster);
    // A policy without such a limit needs none.
    assert_eq!(manifests(&ISTIO, &ENGINE, VALID).len(), 2);
    for arguments in [&ISTIO[..], &GATEWAY] {
        let (code, stdout, stderr) = run(arguments, SHARED.as_bytes());
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert!(stderr.contains("add --engine HOST:PORT"), "{stderr}");
    }
}

#[test]
fn an_image_may_have_a_digest_and_a_secret() {
    let digest = format!("registry.example:5000/a/sluicegate@sha256:{:064}", 7);
    let oci = format!("oci://{digest}");
    for arguments in [&ISTIO[..], &GATEWAY] {
        let mut arguments = arguments.to_vec();
        arguments[5] = &oci;
        let all = manifests(&arguments, &["--pull-secret", "registry"], VALID);
        let spec = &all[0].1["spec"];
        let image = &spec["wasm"][0]["code"]["image"];
        assert!(spec["url"] == oci.as_str() || image["url"] == digest.as_str());
        let secret = "registry";
        assert!(spec["imagePullSecret"] == secret || image["pullSecretRef"]["name"] == secret);
        let short = oci.replace("sha256:0", "sha256:");
        for image in [
            "registry.example/a:1",
            "oci://a",
            "oci://a/b c",
            "oci://a//b",
            &short,
        ] {
            arguments[5] = image;
            let (code, _, stderr) = run(&arguments, VALID.as_bytes());
            assert_eq!(code, 2, "{image}: {stderr}");
        }
    }
}

#[test]
fn what_a_platform_cannot_do_is_an_error_with_advice() {
    let held = format!(
        "{VALID}payloads:\n  - {{ name: a, bytes: 1KB, hold: true, for: {{ routes: [/a] }} }}\n  \
         - {{ name: b, bytes: 1KB, for: {{ routes: [/b] }} }}\n  \
         - {{ name: c, bytes: 1KB, hold: true }}\n"
    );
    for (arguments, platform) in [(&ISTIO[..], "Istio"), (&GATEWAY, "Envoy Gateway")] {
        let (code, stdout, stderr) = run(arguments, held.as_bytes());
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        let says = format!("/payloads/0/hold, /payloads/2/hold: {platform} cannot hold");
        assert!(stderr.contains(&says), "{stderr}");
        assert!(stderr.contains("Remove `hold`"), "{stderr}");
        assert_eq!(run(arguments, INVALID.as_bytes()).0, 1);
        for name in ["", "Sluicegate", "-a", "a-", "a.b"] {
            let named = [arguments, &["--name", name]].concat();
            assert_eq!(run(&named, VALID.as_bytes()).0, 2, "{name}");
        }
    }
}
