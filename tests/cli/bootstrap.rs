//! The bootstrap that `render` writes.

use super::*;

#[test]
fn a_bootstrap_has_the_safety_settings() {
    let preset = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("envoy/presets/enterprise-v2.yaml");
    let preset = std::fs::read(preset).unwrap();
    let bootstrap = rendered(&render("-"), &preset);
    let listener = &bootstrap["static_resources"]["listeners"][0];
    let manager = connection_manager(listener);
    for timeout in [
        "stream_idle_timeout",
        "request_timeout",
        "request_headers_timeout",
    ] {
        let seconds = manager[timeout]
            .as_str()
            .and_then(|text| text.strip_suffix('s'))
            .and_then(|text| text.parse().ok());
        assert!(
            seconds.is_some_and(|seconds: u32| (1..=600).contains(&seconds)),
            "{timeout}: {}",
            manager[timeout]
        );
    }
    assert_eq!(
        (&manager["normalize_path"], &manager["merge_slashes"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(manager["use_remote_address"], json!(true));
    let plugin = plugin(listener);
    assert_eq!(plugin["failure_policy"], "FAIL_RELOAD");
    assert_eq!(plugin["vm_config"]["vm_id"], "sluicegate");
    assert_eq!(
        plugin["vm_config"]["code"]["local"]["filename"],
        "/filter.wasm"
    );
    assert_eq!(
        plugin["configuration"]["@type"],
        "type.googleapis.com/google.protobuf.StringValue"
    );
    let text = String::from_utf8(preset).unwrap();
    assert_eq!(
        received_policy(listener).to_json(),
        from_yaml(&text).unwrap().to_json()
    );
    assert!(Policy::compile(&received_policy(listener)).is_ok());
    let log = &manager["access_log"][0]["typed_config"]["log_format"]["json_format"];
    assert_eq!(log["sluicegate"], "%FILTER_STATE(wasm.sluicegate:PLAIN)%");
    assert_eq!(
        log["path"], "%PATH(NQ)%",
        "no query: it may hold a credential"
    );
    // Without `access_log` in the policy, there is nothing to log.
    let plain = rendered(&render("-"), VALID.as_bytes());
    let manager = connection_manager(&plain["static_resources"]["listeners"][0]);
    assert_eq!(
        manager["access_log"][0]["typed_config"]["log_format"]["json_format"]["sluicegate"],
        Value::Null
    );
}

#[test]
fn the_bootstrap_sets_the_metadata_of_the_proxy() {
    let plain = rendered(&render("-"), VALID.as_bytes());
    assert_eq!(
        plain["node"],
        json!({ "id": "sluicegate", "cluster": "sluicegate" })
    );
    let arguments = [
        "--node-metadata",
        "region=eu",
        "--node-metadata",
        "odd: \"k\"=a=b: \u{e9}",
        "--node-metadata",
        "no=",
    ];
    let expected = rendered(&[&render("-")[..], &arguments].concat(), VALID.as_bytes());
    assert_eq!(
        expected["node"]["metadata"],
        json!({ "region": "eu", "odd: \"k\"": "a=b: \u{e9}", "no": "" })
    );
    for wrong in ["region", "=eu", ""] {
        let (code, _, stderr) = run(
            &[&render("-")[..], &["--node-metadata", wrong]].concat(),
            VALID.as_bytes(),
        );
        assert_eq!(code, 2);
        assert!(
            stderr.contains(&format!("\"{wrong}\" is not KEY=VALUE")),
            "{stderr}"
        );
    }
}

#[test]
fn watched_listeners_equal_the_static_ones() {
    let mut arguments = render("-");
    let whole = rendered(&arguments, VALID.as_bytes());
    arguments.extend(["--listeners", "/run/it's \"here\"/listeners.yaml"]);
    let watching = rendered(&arguments, VALID.as_bytes());
    assert_eq!(watching["static_resources"]["listeners"], Value::Null);
    let source = &watching["dynamic_resources"]["lds_config"]["path_config_source"];
    assert_eq!(source["path"], "/run/it's \"here\"/listeners.yaml");
    let listeners = [
        "render",
        "listeners",
        "--listen",
        "127.0.0.1:8080",
        "--wasm",
        "/filter.wasm",
        "--policy",
        "-",
    ];
    let mut response = rendered(&listeners, VALID.as_bytes());
    let resource = response["resources"][0].as_object_mut().unwrap();
    assert_eq!(
        resource.remove("@type").unwrap(),
        "type.googleapis.com/envoy.config.listener.v3.Listener"
    );
    assert_eq!(
        response["resources"],
        whole["static_resources"]["listeners"]
    );
}

/// A policy with a limit that all proxies share, and with these keys of the engine.
fn fleet(engine: &str) -> String {
    format!(
        "version: 1\nname: fleet\nlimits:\n  - {{ name: all, per: [], scope: global, \
         rolling: {{ quota: 10, window: 1m }} }}\n\
         store: {{ engine: {{ redis: counters, timeout: 75ms{engine} }} }}\n"
    )
}

#[test]
fn the_engine_of_shared_limits_is_a_cluster() {
    let with = |more: &[&'static str]| [&render("-"), more].concat();
    let policy = fleet("");
    let bootstrap = rendered(
        &with(&["--engine", "redis.internal:6379"]),
        policy.as_bytes(),
    );
    let clusters = bootstrap["static_resources"]["clusters"]
        .as_array()
        .unwrap();
    assert_eq!(clusters.len(), 2);
    assert_eq!(
        (&clusters[0]["name"], &clusters[1]["name"]),
        (&json!("upstream"), &json!("counters"))
    );
    let engine = &clusters[1];
    assert_eq!(
        engine["upstream_config"]["name"],
        "envoy.upstreams.http.tcp"
    );
    assert_eq!(engine["connect_timeout"], "0.075s");
    assert_eq!(engine["load_assignment"]["cluster_name"], "counters");
    let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    let address = engine.pointer(address).unwrap();
    assert_eq!(
        *address,
        json!({ "address": "redis.internal", "port_value": 6379 })
    );
    let check = &engine["health_checks"][0];
    assert_eq!(
        check["custom_health_check"]["name"],
        "envoy.health_checkers.redis"
    );
    assert_eq!(check["no_traffic_interval"], "2s");
    assert_eq!(check["timeout"], "3s", "an Envoy that starts is slow");
    assert!(engine["transport_socket"].is_null());
    let vm = &plugin(&bootstrap["static_resources"]["listeners"][0])["vm_config"];
    assert!(vm["environment_variables"].is_null());
    // A policy without such a limit needs no engine.
    let plain = rendered(
        &with(&["--engine", "redis.internal:6379"]),
        VALID.as_bytes(),
    );
    assert_eq!(plain, rendered(&render("-"), VALID.as_bytes()));
}

#[test]
fn the_password_of_the_engine_is_in_no_configuration() {
    let policy = fleet(", user: sluicegate, password: { env: ENGINE_PASSWORD }");
    let arguments = [&render("-")[..], &["--engine", "10.0.0.7:6379"]].concat();
    let bootstrap = rendered(&arguments, policy.as_bytes());
    let vm = &plugin(&bootstrap["static_resources"]["listeners"][0])["vm_config"];
    assert_eq!(
        vm["environment_variables"],
        json!({ "host_env_keys": ["ENGINE_PASSWORD"] })
    );
    let check = &bootstrap["static_resources"]["clusters"][1]["health_checks"][0];
    assert_eq!(
        check["tcp_health_check"],
        json!({}),
        "a check without a login would fail"
    );
}

#[test]
fn the_engine_s_certificate_is_for_its_name() {
    for (address, kind, host, sni) in [
        (
            "redis.internal:6380",
            "DNS",
            "redis.internal",
            json!("redis.internal"),
        ),
        ("10.0.0.7:6380", "IP_ADDRESS", "10.0.0.7", Value::Null),
    ] {
        let more = ["--engine", address, "--engine-tls", "/etc/engine.pem"];
        let arguments = [&render("-")[..], &more].concat();
        let bootstrap = rendered(&arguments, fleet("").as_bytes());
        let cluster = &bootstrap["static_resources"]["clusters"][1];
        let tls = &cluster["transport_socket"]["typed_config"];
        assert_eq!(tls["sni"], sni);
        let validation = &tls["common_tls_context"]["validation_context"];
        assert_eq!(validation["trusted_ca"]["filename"], "/etc/engine.pem");
        let name = &validation["match_typed_subject_alt_names"][0];
        assert_eq!(
            *name,
            json!({ "san_type": kind, "matcher": { "exact": host } })
        );
    }
}

#[test]
fn the_audit_log_goes_to_a_collector() {
    let policy = b"version: 1\nname: p\nlimits: [{ name: all, per: [], bucket: { burst: 10, \
                   refill: 1/s } }]\n";
    let (_, checked, _) = run(&["check", "-"], policy);
    let (_, revision) = checked.trim_end().rsplit_once(' ').unwrap();
    let (_, plain, _) = run(&render("-"), policy);
    assert!(!plain.contains("otel"), "{plain}");
    let arguments = [&render("-")[..], &["--otlp", "otel.internal:4318"]].concat();
    let (code, text, stderr) = run(&arguments, policy);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for part in [
        "uri: \"http://otel.internal:4318/v1/logs\"",
        "- name: \"otel-collector\"",
        "\"usage\":{\"to\":{\"otlp\":\"otel-collector\"}}",
        "key: \"security_rule.name\"",
        &format!("\"revision\":\"{revision}\""),
        "\"access_log\":{\"attributes\":[],\"parts\":\"refused\"}",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn envoy_sends_the_metrics_to_the_collector() {
    let policy = |usage: &str| {
        format!(
            "version: 1\nname: p\nlimits: [{{ name: all, per: [], bucket: {{ burst: 10, refill: \
             1/s }} }}]\n{usage}"
        )
    };
    let sinks = |usage: &str, arguments: &[&str]| {
        let arguments = [&render("-")[..], arguments].concat();
        rendered(&arguments, policy(usage).as_bytes())["stats_sinks"].clone()
    };
    let address = "[2001:db8::7]:4318";
    let sink = sinks("", &["--otlp", address]);
    let config = &sink[0]["typed_config"];
    let uri = &config["http_service"]["http_uri"];
    assert_eq!(uri["uri"], "http://[2001:db8::7]:4318/v1/metrics");
    assert_eq!(uri["cluster"], "otel-collector");
    let resource = &config["resource_detectors"][0]["typed_config"]["attributes"];
    assert_eq!(
        *resource,
        json!({ "service.name": "sluicegate", "service.instance.id": "sluicegate" })
    );
    let grpc = "usage: { to: { otlp: meters, protocol: grpc } }\n";
    let sink = sinks(grpc, &["--otlp", address]);
    let service = &sink[0]["typed_config"]["grpc_service"];
    assert_eq!(service["envoy_grpc"]["cluster_name"], "meters");
    assert_eq!(
        sinks("", &["--otlp", address, "--no-otlp-metrics"]),
        Value::Null
    );
    assert_eq!(sinks("", &[]), Value::Null);
}

#[test]
fn usage_gets_its_cluster_its_protocol_and_its_labels() {
    let policy = |to: &str| {
        format!(
            "version: 1\nname: p\nlimits: [{{ name: all, per: [], bucket: {{ burst: 10, refill: \
             1/s }} }}]\nusage: {{ to: {to}, tags: {{ api.key: credential }} }}\n"
        )
    };
    let grpc = policy("{ otlp: meters, protocol: grpc }");
    let (_, _, stderr) = run(&render("-"), grpc.as_bytes());
    assert!(
        stderr.contains("meters") && stderr.contains("--otlp HOST:PORT"),
        "{stderr}"
    );
    let arguments = [&render("-")[..], &["--otlp", "otel.internal:4317"]].concat();
    let (code, text, stderr) = run(&arguments, grpc.as_bytes());
    assert_eq!((code, stderr.as_str()), (0, ""));
    for part in [
        "grpc_service: { envoy_grpc: { cluster_name: \"meters\" }, timeout: 5s }",
        "- name: \"meters\"",
        "explicit_http_config: { http2_protocol_options: {} }",
        "\"protocol\":\"grpc\"",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(!text.contains("otel-collector"), "{text}");

    let (code, text, stderr) = run(&render("-"), policy("{ stats: true }").as_bytes());
    assert_eq!((code, stderr.as_str()), (0, ""));
    for label in ["limit_name", "otel_metric_overflow", "api_key"] {
        assert!(
            text.contains(&format!("tag_name: {label},")),
            "{label} in\n{text}"
        );
    }
    let (_, _, stderr) = run(&render("-"), policy("{ cloudevents: meters }").as_bytes());
    assert!(stderr.contains("static_resources.clusters"), "{stderr}");
}

#[test]
fn the_filter_comes_from_a_file_of_its_own() {
    let policy = b"version: 1\nname: p\nlimits: [{ name: all, per: [], bucket: { burst: 10, \
                   refill: 1/s } }]\n";
    let arguments = ["render", "extension", "--policy", "-", "--wasm", "/w.wasm"];
    let (code, text, stderr) = run(&arguments, policy);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let found: Value = serde_json::from_str(&from_yaml(&text).unwrap().to_json()).unwrap();
    let resource = &found["resources"][0];
    assert_eq!(resource["name"], "sluicegate");
    let config = &resource["typed_config"]["config"];
    assert_eq!(config["vm_config"]["code"]["local"]["filename"], "/w.wasm");
    let json: Value =
        serde_json::from_str(config["configuration"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(json["name"], "p");

    let arguments = [&render("-")[..], &["--extension", "/etc/filter.yaml"]].concat();
    let (code, text, _) = run(&arguments, policy);
    assert_eq!(code, 0);
    assert!(
        text.contains("path_config_source: { path: \"/etc/filter.yaml\" }"),
        "{text}"
    );
    assert!(
        !text.contains("StringValue"),
        "the policy is in the file: {text}"
    );
}

#[test]
fn a_missing_engine_is_asked_for() {
    let (code, stdout, stderr) = run(&render("-"), fleet("").as_bytes());
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("add --engine HOST:PORT"), "{stderr}");
    let clash = fleet("").replace("counters", "upstream");
    let arguments = [&render("-")[..], &["--engine", "10.0.0.7:6379"]].concat();
    let (code, _, stderr) = run(&arguments, clash.as_bytes());
    assert_eq!(code, 2);
    assert!(stderr.contains("/store/engine/redis"), "{stderr}");
    let alone = [&render("-")[..], &["--engine-tls", "/ca.pem"]].concat();
    assert_eq!(run(&alone, fleet("").as_bytes()).0, 2, "TLS to nothing");
}

#[test]
fn prometheus_gets_a_listener_of_its_own() {
    let mut arguments = render("-");
    arguments.extend(["--metrics", "0.0.0.0:9902"]);
    let bootstrap = rendered(&arguments, VALID.as_bytes());
    let listeners = bootstrap["static_resources"]["listeners"].as_array();
    let listeners = listeners.unwrap();
    assert_eq!(listeners.len(), 2);
    let metrics = listeners.last().unwrap();
    assert_eq!(metrics["address"]["socket_address"]["port_value"], 9902);
    let routes = &connection_manager(metrics)["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(routes.as_array().unwrap().len(), 1);
    assert_eq!(routes[0]["match"]["path"], "/stats/prometheus");
    let clusters = bootstrap["static_resources"]["clusters"].as_array();
    let admin = clusters.unwrap().last().unwrap();
    assert_eq!(admin["name"], "admin");
    let endpoint = &admin["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    let inside = &bootstrap["admin"]["address"];
    assert_eq!(endpoint["address"], *inside);
}
