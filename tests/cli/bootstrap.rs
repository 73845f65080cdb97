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
