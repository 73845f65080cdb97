//! Configurations for Envoy: the output of `sluicegate render`, and changes to it that a policy
//! cannot express.

use serde_json::{Value, json};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// The path in the environment variable `name`.
pub(crate) fn required(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => panic!(
            "{name} is not set: run `make e2e`, which builds and finds all that these tests need"
        ),
    }
}

/// A configuration that `sluicegate render` wrote.
pub(crate) fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("render's YAML: {e}\n{yaml}"))
}

/// Flags of `sluicegate render`, each with its address if it has one.
pub(crate) fn addresses<const N: usize>(
    flags: [(&str, Option<SocketAddr>); N],
) -> impl Iterator<Item = OsString> {
    let set = flags
        .into_iter()
        .filter_map(|(flag, address)| Some((flag, address?)));
    set.flat_map(|(flag, address)| [flag.into(), address.to_string().into()])
}

/// The output of `sluicegate render`.
pub(crate) fn render(arguments: &[OsString]) -> String {
    let program = required("SLUICEGATE");
    let output = Command::new(&program)
        .arg("render")
        .args(arguments)
        .output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "render {arguments:?}: {}\n{errors}",
        output.status
    );
    String::from_utf8(output.stdout).expect("YAML in UTF-8")
}

/// Replaces the policy by text that `render` would refuse.
pub(crate) fn replace_policy(listeners: &mut Value, text: &str) {
    filter_configuration(listeners)["value"] = json!(text);
}

/// Passes the policy as a `Struct`, not as JSON in a string.
pub(crate) fn policy_as_struct(listeners: &mut Value, policy: &Value) {
    *filter_configuration(listeners) =
        json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": policy });
}

/// Makes the first cluster use HTTP/2.
pub(crate) fn upstream_over_http2(bootstrap: &mut Value) {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    bootstrap["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({
        options: {
            "@type": format!("type.googleapis.com/{options}"),
            "explicit_http_config": { "http2_protocol_options": { "allow_connect": true } },
        }
    });
}

pub(crate) fn routes(listeners: &mut Value) -> &mut Vec<Value> {
    let routes = find(listeners, &|node| node.get("virtual_hosts").is_some())
        .expect("a route configuration");
    routes["virtual_hosts"][0]["routes"]
        .as_array_mut()
        .expect("routes")
}

/// The first route.
pub(crate) fn route(listeners: &mut Value) -> &mut Value {
    &mut routes(listeners)[0]
}

/// The action of the first route.
pub(crate) fn route_action(listeners: &mut Value) -> &mut Value {
    &mut route(listeners)["route"]
}

/// The configuration of the HTTP connection manager.
pub(crate) fn connection_manager(listeners: &mut Value) -> &mut Value {
    find(listeners, &|node| node.get("http_filters").is_some()).expect("a connection manager")
}

/// The listener's first filter chain.
pub(crate) fn filter_chain(listeners: &mut Value) -> &mut Value {
    let listener =
        find(listeners, &|node| node.get("filter_chains").is_some()).expect("a listener");
    &mut listener["filter_chains"][0]
}

/// The `configuration` next to `vm_config`: the plugin's own, not the VM's.
fn filter_configuration(listeners: &mut Value) -> &mut Value {
    let plugin = find(listeners, &|node| node.get("vm_config").is_some()).expect("a wasm filter");
    &mut plugin["configuration"]
}

/// The first node, from the top, that `wanted` accepts.
fn find<'a>(node: &'a mut Value, wanted: &dyn Fn(&Value) -> bool) -> Option<&'a mut Value> {
    if wanted(node) {
        return Some(node);
    }
    match node {
        Value::Object(map) => map.values_mut().find_map(|node| find(node, wanted)),
        Value::Array(list) => list.iter_mut().find_map(|node| find(node, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
