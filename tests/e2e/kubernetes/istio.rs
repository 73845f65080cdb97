//! Envoy's configuration as istiod and Istio's agent write it: the filter by ECDS, with an empty
//! `vm_id`; the mesh's path normalisation, tags of statistics and providers of logs.

use super::manifests::{Manifests, Options, json_log, parse, replace_cluster, string_value};
use crate::harness::{Policy, Setup, connection_manager, extension};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `meshConfig.pathNormalization.normalization`.
pub(super) enum Normalization {
    /// Istio's default.
    Base,
    /// The one that the manifests ask for.
    DecodeAndMergeSlashes,
}

/// An Istio.
pub(super) struct Istio {
    pub(super) options: Options,
    normalization: Normalization,
    /// The version of the WasmPlugin, which grows each time.
    version: AtomicU64,
}

/// A gateway with the policy.
pub(super) fn setup(istio: &Arc<Istio>, policy: &Policy) -> Setup {
    let [of_filter, of_listeners, of_bootstrap] = [istio, istio, istio].map(Arc::clone);
    Setup::of(policy)
        .with_extension_by(move |policy, _| {
            let policy = fs::read_to_string(policy).expect("a policy");
            of_filter
                .resource(&of_filter.manifests(&policy))
                .to_string()
        })
        .edited(move |listeners, policy| {
            let manifests = of_listeners.manifests(&policy.text());
            of_listeners.listeners(listeners, &manifests);
        })
        .with_bootstrap(move |bootstrap, policy| {
            edit_bootstrap(bootstrap, &of_bootstrap.manifests(&policy.text()));
        })
}

impl Istio {
    pub(super) fn new(options: Options, normalization: Normalization) -> Self {
        Self {
            options,
            normalization,
            version: AtomicU64::new(0),
        }
    }

    fn manifests(&self, policy: &str) -> Manifests {
        Manifests::of(policy, &["istio"], &self.options)
    }

    /// The answer of extension discovery. The agent has fetched the image's filter as a file.
    fn resource(&self, manifests: &Manifests) -> Value {
        let version = self.version.fetch_add(1, Ordering::Relaxed);
        let config = plugin_config(manifests, &self.options.code(), version);
        json!({ "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": resource_name(manifests),
            "typed_config": { "@type": extension("filters.http.wasm.v3.Wasm"), "config": config },
        }] })
    }

    fn listeners(&self, listeners: &mut Value, manifests: &Manifests) {
        let manager = connection_manager(listeners);
        manager["normalize_path"] = json!(true);
        let (merge, escaped) = match self.normalization {
            Normalization::Base => (false, "KEEP_UNCHANGED"),
            Normalization::DecodeAndMergeSlashes => (true, "UNESCAPE_AND_FORWARD"),
        };
        manager["merge_slashes"] = json!(merge);
        manager["path_with_escaped_slashes_action"] = json!(escaped);
        manager["access_log"] = access_logs(manifests);
        let filter = &mut manager["http_filters"][0];
        filter["name"] = json!(resource_name(manifests));
        // The second type is that of the filter which answers 403 if the image cannot be fetched.
        filter["config_discovery"]["type_urls"] = json!([
            extension("filters.http.wasm.v3.Wasm"),
            extension("filters.http.rbac.v3.RBAC"),
        ]);
        filter["config_discovery"]["config_source"]["initial_fetch_timeout"] = json!("0s");
    }
}

fn resource_name(manifests: &Manifests) -> String {
    let (namespace, name) = manifests.place("WasmPlugin");
    format!("extensions.istio.io/wasmplugin/{namespace}.{name}")
}

fn plugin_config(manifests: &Manifests, code: &Path, version: u64) -> Value {
    let (namespace, name) = manifests.place("WasmPlugin");
    let spec = &manifests.get("WasmPlugin")["spec"];
    let policy = match spec["failStrategy"].as_str() {
        Some("FAIL_RELOAD") => "FAIL_RELOAD",
        Some("FAIL_CLOSE") => "FAIL_CLOSED",
        other => panic!("failStrategy {other:?}"),
    };
    let environment = spec["vmConfig"]["env"].as_array();
    let from_host = environment.into_iter().flatten().map(|variable| {
        assert_eq!(variable["valueFrom"], "HOST");
        &variable["name"]
    });
    // istiod adds this variable; agents of recent versions remove it.
    let own = json!({ "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": version.to_string() });
    json!({
        "name": format!("{namespace}.{name}"),
        "failure_policy": policy,
        "configuration": string_value(&through_struct(&spec["pluginConfig"]).to_string()),
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": code } },
            "environment_variables": {
                "key_values": own,
                "host_env_keys": from_host.collect::<Vec<_>>(),
            },
        },
    })
}

/// A value after its way through a protobuf `Struct`, whose numbers are doubles.
fn through_struct(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let double = number.as_f64().expect("a double");
            let whole = double.fract() == 0.0 && double.abs() < 1e15;
            if whole {
                json!(double as i64)
            } else {
                json!(double)
            }
        }
        Value::Array(items) => items.iter().map(through_struct).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), through_struct(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The mesh's settings, which are a comment of the manifests.
fn mesh(manifests: &Manifests) -> Value {
    let lines = manifests.text.lines();
    let settings = lines
        .filter_map(|line| line.strip_prefix("#   "))
        .take_while(|line| !line.starts_with('%'));
    let settings = parse(&settings.collect::<Vec<_>>().join("\n"));
    let normalization = &settings["meshConfig"]["pathNormalization"]["normalization"];
    assert_eq!(normalization, "DECODE_AND_MERGE_SLASHES");
    settings["meshConfig"].clone()
}

/// The logs that the Telemetry asks for: a line for each request, and the log of the
/// provider in the mesh's settings.
fn access_logs(manifests: &Manifests) -> Value {
    let mesh = mesh(manifests);
    let entries = &manifests.get("Telemetry")["spec"]["accessLogging"];
    let entries = entries.as_array().expect("logs").iter();
    let logs = entries.map(|entry| {
        let name = &entry["providers"][0]["name"];
        if name == "envoy" {
            return json_log(&json!({ "path": "%REQ(:PATH)%" }), None);
        }
        let providers = mesh["extensionProviders"].as_array().expect("providers");
        let provider = providers.iter().find(|provider| provider["name"] == *name);
        let log = &provider.expect("a provider of this name")["envoyFileAccessLog"];
        assert_eq!(log["path"], "/dev/stdout");
        let condition = entry["filter"]["expression"].as_str();
        json_log(&log["logFormat"]["labels"], condition)
    });
    logs.collect()
}

/// The tags, and the names of statistics that Istio keeps.
fn edit_bootstrap(bootstrap: &mut Value, manifests: &Manifests) {
    let mesh = mesh(manifests);
    let tags = mesh["defaultConfig"]["extraStatTags"].as_array();
    let tags = tags.expect("tags").iter().map(|tag| {
        let tag = tag.as_str().expect("a name");
        json!({ "tag_name": tag, "regex": format!("({tag}=\\.=(.*?);\\.;)") })
    });
    let prefixes = [
        "reporter=",
        "cluster_manager",
        "listener_manager",
        "server",
        "cluster.xds-grpc",
        "wasm",
        // The tests' own.
        "extension_config_discovery",
    ];
    let patterns = prefixes.map(|prefix| json!({ "prefix": prefix }));
    bootstrap["stats_config"] = json!({
        "use_all_default_tags": false,
        "stats_tags": tags.collect::<Vec<_>>(),
        "stats_matcher": { "inclusion_list": { "patterns": patterns } },
    });
    if let Some(filter) = manifests.find("EnvoyFilter") {
        let patch = &filter["spec"]["configPatches"][0];
        assert_eq!(
            (&patch["applyTo"], &patch["match"]["context"]),
            (&json!("CLUSTER"), &json!("GATEWAY"))
        );
        replace_cluster(bootstrap, &patch["patch"]["value"]);
    }
}
