//! Envoy's configuration as Envoy Gateway writes it: the filter disabled for the listener and
//! enabled for each route, its code over HTTP, and the changes of EnvoyPatchPolicy and EnvoyProxy.

use super::manifests::{Manifests, Options, json_log, parse, replace_cluster, string_value};
use crate::harness::{Policy, Setup, connection_manager, extension, lease, routes};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;

/// A path whose route belongs to another policy.
pub(super) const UNLIMITED: &str = "/unlimited";

const ARGUMENTS: [&str; 4] = ["envoy-gateway", "--gateway", "eg", "--reload"];

/// An Envoy Gateway.
pub(super) struct EnvoyGateway {
    pub(super) options: Options,
    /// Its server of filters.
    server: SocketAddr,
}

/// A gateway with the policy.
pub(super) fn setup(gateway: &Arc<EnvoyGateway>, policy: &Policy) -> Setup {
    let [of_listeners, of_bootstrap] = [gateway, gateway].map(Arc::clone);
    Setup::of(policy)
        .edited(move |listeners, policy| {
            let manifests = of_listeners.manifests(&policy.text());
            of_listeners.listeners(listeners, &manifests);
        })
        .with_bootstrap(move |bootstrap, policy| {
            let manifests = of_bootstrap.manifests(&policy.text());
            of_bootstrap.edit_bootstrap(bootstrap, &manifests);
        })
}

impl EnvoyGateway {
    /// Starts its server of filters. A filter's path there is the path of its file here.
    pub(super) async fn start(options: Options) -> Self {
        let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((ip, lease(ip))).await;
        let listener = listener.expect("an address");
        let server = listener.local_addr().expect("a bound address");
        tokio::spawn(async move {
            let answer = |request: Request<Incoming>| async move {
                let code = fs::read(request.uri().path()).expect("a filter");
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(code))))
            };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let serving =
                        builder.serve_connection(TokioIo::new(stream), service_fn(answer));
                    let _ = serving.await;
                });
            }
        });
        Self { options, server }
    }

    fn manifests(&self, policy: &str) -> Manifests {
        Manifests::of(policy, &ARGUMENTS, &self.options)
    }

    fn listeners(&self, listeners: &mut Value, manifests: &Manifests) {
        let listener = &mut listeners["resources"][0];
        listener["name"] = json!("default/eg/http");
        let manager = connection_manager(listener);
        let path = &manifests.get("ClientTrafficPolicy")["spec"]["path"];
        manager["normalize_path"] = json!(true);
        manager["merge_slashes"] = json!(path["disableMergeSlashes"] == false);
        assert_eq!(path["escapedSlashesAction"], "UnescapeAndRedirect");
        manager["path_with_escaped_slashes_action"] = json!("UNESCAPE_AND_REDIRECT");
        if let Some(logs) = access_logs(manifests) {
            manager["access_log"] = logs;
        }
        manager["http_filters"][0] = self.filter(manifests);
        enable(routes(listener), manifests);
        for (operation, name) in patches(manifests, "listener.v3.Listener") {
            assert_eq!(*name, listener["name"]);
            patch(listener, operation);
        }
    }

    fn filter(&self, manifests: &Manifests) -> Value {
        let wasm = &manifests.get("EnvoyExtensionPolicy")["spec"]["wasm"][0];
        let code = self.options.code();
        let digest = Sha256::digest(fs::read(&code).expect("a filter"));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let uri = format!("http://{}{}", self.server, code.display());
        let mut vm = json!({
            "vm_id": id(manifests),
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "remote": {
                "http_uri": { "uri": uri, "cluster": "wasm_cluster", "timeout": "10s" },
                "sha256": digest,
                "retry_policy": {
                    "num_retries": 10,
                    "retry_back_off": { "base_interval": "1s", "max_interval": "30s" },
                },
            } },
        });
        if let Some(keys) = wasm["env"].get("hostKeys") {
            vm["environment_variables"] = json!({ "host_env_keys": keys });
        }
        assert_eq!(wasm["failOpen"], false, "then it is not written");
        json!({
            "name": filter_name(manifests),
            "disabled": true,
            "typed_config": {
                "@type": extension("filters.http.wasm.v3.Wasm"),
                "config": {
                    "name": wasm["name"],
                    "configuration": string_value(&wasm["config"].to_string()),
                    "vm_config": vm,
                },
            },
        })
    }

    fn edit_bootstrap(&self, bootstrap: &mut Value, manifests: &Manifests) {
        let change = &manifests.get("EnvoyProxy")["spec"]["bootstrap"];
        assert_eq!(change["type"], "Merge");
        let change = parse(change["value"].as_str().expect("YAML"));
        let more = change["stats_config"]["stats_tags"].as_array();
        // To merge protobuf messages is to append to their lists.
        let mut tags = vec![json!({ "tag_name": "from_zone", "regex": r"\.zone(\.(([^\.]+)\.))" })];
        tags.extend(more.expect("tags").iter().cloned());
        bootstrap["stats_config"] = json!({ "use_all_default_tags": true, "stats_tags": tags });
        for (operation, name) in patches(manifests, "cluster.v3.Cluster") {
            assert_eq!(
                (&operation["op"], &operation["path"]),
                (&json!("add"), &json!(""))
            );
            assert_eq!(*name, operation["value"]["name"]);
            replace_cluster(bootstrap, &operation["value"]);
        }
        let address = json!({ "address": self.server.ip(), "port_value": self.server.port() });
        let endpoint = json!({ "endpoint": { "address": { "socket_address": address } } });
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
        clusters.expect("clusters").push(json!({
            "name": "wasm_cluster",
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": "wasm_cluster",
                "endpoints": [{ "lb_endpoints": [endpoint] }],
            },
        }));
    }
}

fn id(manifests: &Manifests) -> String {
    let (namespace, name) = manifests.place("EnvoyExtensionPolicy");
    format!("envoyextensionpolicy/{namespace}/{name}/wasm/0")
}

fn filter_name(manifests: &Manifests) -> String {
    format!("envoy.filters.http.wasm/{}", id(manifests))
}

/// Enables the filter for the routes of the Gateway: the upstream's, and the endpoint's. A route
/// with a policy of its own is not among them.
fn enable(routes: &mut Vec<Value>, manifests: &Manifests) {
    if let Some(route) = manifests.find("HTTPRoute") {
        let path = &route["spec"]["rules"][0]["matches"][0]["path"];
        assert_eq!(path["type"], "Exact");
        let status = &manifests.get("HTTPRouteFilter")["spec"]["directResponse"]["statusCode"];
        routes.insert(
            0,
            json!({
                "match": { "path": path["value"] }, "direct_response": { "status": status },
            }),
        );
    }
    let config =
        json!({ "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {} });
    for route in routes.iter_mut() {
        route["typed_per_filter_config"] = json!({ filter_name(manifests): config });
    }
    let mut unlimited = routes.last().expect("the upstream's route").clone();
    unlimited["match"] = json!({ "path": UNLIMITED });
    unlimited["typed_per_filter_config"] = json!({});
    routes.insert(0, unlimited);
}

/// The files that the EnvoyProxy asks for.
fn access_logs(manifests: &Manifests) -> Option<Value> {
    let telemetry = manifests.get("EnvoyProxy")["spec"].get("telemetry")?;
    let settings = telemetry["accessLog"]["settings"].as_array()?.iter();
    let logs = settings.map(|setting| {
        let file = &setting["sinks"][0]["file"];
        assert_eq!(file["path"], "/dev/stdout");
        json_log(&setting["format"]["json"], setting["matches"][0].as_str())
    });
    Some(logs.collect())
}

/// The operations on resources of this type, each with the resource's name.
fn patches<'a>(manifests: &'a Manifests, of: &str) -> Vec<(&'a Value, &'a Value)> {
    let policy = manifests.find("EnvoyPatchPolicy");
    let patches = policy.and_then(|policy| policy["spec"]["jsonPatches"].as_array());
    let of = format!("type.googleapis.com/envoy.config.{of}");
    let patches = patches.into_iter().flatten();
    let patches = patches.filter(|patch| patch["type"] == of.as_str());
    patches
        .map(|patch| (&patch["operation"], &patch["name"]))
        .collect()
}

/// Applies an operation whose JSONPath is `..LIST[?(@.name=='NAME')].KEY.KEY`.
fn patch(resource: &mut Value, operation: &Value) {
    assert_eq!(operation["op"], "add");
    let path = operation["jsonPath"].as_str().expect("a JSONPath");
    let (list, rest) = path.split_once("[?(@.name=='").expect("a condition");
    let (name, keys) = rest.split_once("')]").expect("its end");
    let list = list.strip_prefix("..").expect("at any depth");
    let keys: Vec<&str> = keys.split('.').skip(1).collect();
    let added = operation["path"].as_str().expect("a key");
    let mut found = 0;
    visit(resource, list, &mut |item| {
        if item["name"] == name {
            let target = keys.iter().fold(item, |value, key| &mut value[*key]);
            assert!(target.is_object(), "{path} leads to no object");
            target[added] = operation["value"].clone();
            found += 1;
        }
    });
    assert_eq!(found, 1, "{path}");
}

/// Calls `each` with the items of every list with this key.
fn visit(value: &mut Value, list: &str, each: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_array_mut() {
                    Some(items) if key == list => items.iter_mut().for_each(&mut *each),
                    Some(_) | None => visit(value, list, each),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, list, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
