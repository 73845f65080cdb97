//! The listeners that are measured.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::envoy::Paths;

/// The filter in the chain of a listener.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Missing,
    /// A Wasm filter that does nothing.
    Noop,
    /// A Wasm filter that makes the host calls that every limiter needs.
    Floor,
    /// A Wasm filter that repeats the host call of this name.
    Call(&'static str),
    /// Envoy's own limit, with a bucket of [`LOCAL_BURST`] for each value of `authorization`.
    Local,
    /// Envoy's Lua filter, which reads one header.
    Lua,
    Sluicegate,
}

/// The source of the answers to the requests that a listener admits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Envoy itself, as soon as it has the head.
    Direct,
    /// The upstream of the Envoy.
    Upstream,
}

pub(crate) const LOCAL_BURST: usize = 1_000;

const LUA: &str =
    "function envoy_on_request(handle) key = handle:headers():get(\"authorization\") end";

/// The rendered listener, without its access log.
pub(crate) fn listener(
    paths: &Paths,
    policy: &Path,
    port: u16,
    filter: Filter,
    answer: Answer,
) -> Value {
    let output = Command::new(&paths.cli)
        .args([
            "render",
            "listeners",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--policy",
        ])
        .arg(policy)
        .arg("--wasm")
        .arg(&paths.wasm)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rendered: Value = serde_saphyr::from_str(str::from_utf8(&output.stdout).unwrap()).unwrap();
    let mut listener = rendered["resources"][0].clone();
    listener.as_object_mut().unwrap().remove("@type");
    listener["name"] = json!(format!("port-{port}"));
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager.as_object_mut().unwrap().remove("access_log");
    if answer == Answer::Direct {
        let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
        route.as_object_mut().unwrap().remove("route");
        route["direct_response"] = json!({ "status": 200 });
    }
    replace_first(
        filter,
        paths,
        manager["http_filters"].as_array_mut().unwrap(),
    );
    listener
}

/// Replaces our filter, which is the first.
fn replace_first(filter: Filter, paths: &Paths, filters: &mut Vec<Value>) {
    let mut wasm = |name: &str, file: &Path| {
        let config = &mut filters[0]["typed_config"]["config"];
        config["configuration"]["value"] = json!(name);
        let vm = &mut config["vm_config"];
        vm["vm_id"] = json!(name);
        vm["code"]["local"]["filename"] = json!(file);
    };
    match filter {
        Filter::Missing => drop(filters.remove(0)),
        Filter::Noop => wasm("noop", &paths.noop),
        Filter::Floor => wasm("floor", &paths.floor),
        Filter::Call(name) => wasm(name, &paths.calls),
        Filter::Local => {
            filters[0] = native(
                "local_ratelimit",
                "local_ratelimit.v3.LocalRateLimit",
                &local_ratelimit(),
            )
        }
        Filter::Lua => {
            filters[0] = native(
                "lua",
                "lua.v3.Lua",
                &json!({ "default_source_code": { "inline_string": LUA } }),
            )
        }
        Filter::Sluicegate => {}
    }
}

fn native(name: &str, kind: &str, settings: &Value) -> Value {
    let mut settings = settings.clone();
    settings["@type"] = json!(format!(
        "type.googleapis.com/envoy.extensions.filters.http.{kind}"
    ));
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": settings })
}

/// A descriptor without a value is a wildcard: each value has its own bucket. The response fields
/// are on.
fn local_ratelimit() -> Value {
    let bucket = |tokens: usize| {
        json!({
            "max_tokens": tokens,
            "tokens_per_fill": tokens,
            "fill_interval": "3600s",
        })
    };
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "stat_prefix": "local",
        "token_bucket": bucket(1_000_000_000),
        "always_consume_default_token_bucket": false,
        "max_dynamic_descriptors": 10_000,
        "filter_enabled": always,
        "filter_enforced": always,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "rate_limits": [{ "actions": [{
            "request_headers": { "header_name": "authorization", "descriptor_key": "key" },
        }] }],
        "descriptors": [{ "entries": [{ "key": "key" }], "token_bucket": bucket(LOCAL_BURST) }],
    })
}
