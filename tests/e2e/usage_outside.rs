//! Usage as others have it: the metrics of a published page, and a collector between Envoy and
//! ours.

use crate::harness::{Call, Policy, Setup, TestBed, lease, run};
use crate::otlp::Collector;
use crate::process::Process;
use crate::usage::{USUAL, open, policy, post, send, sum_is};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn the_six_metrics_of_the_preset_have_the_tags_of_its_page() {
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let policy = Policy::shipped("envoy/presets/datadog.yaml");
        let policy = policy.with("/usage/every", json!("1s"));
        let gateway = open(bed, &policy, &collector).await;
        let call = |path: &str| Call::get(path).header("dd-api-key", "demo-api-acme-1");
        let by_user = |path: &str| call(path).header("dd-application-key", "demo-app-alice");
        send(&gateway, &call("/api/v1/query"), 10).await;
        send(&gateway, &by_user("/api/v1/monitor"), 20).await;
        send(&gateway, &by_user("/api/v1/validate"), 30).await;
        let event = Call::post("/api/v1/events").header("dd-api-key", "demo-api-acme-1");
        send(&gateway, &event, 10).await;
        for (name, limit, count, period, user, key, requests) in [
            ("per_org", "metrics_query", "1600", "3600", "N/A", "N/A", 10),
            (
                "per_user",
                "monitor_status",
                "120",
                "60",
                "alice",
                "app-1",
                20,
            ),
            ("per_api_key", "validate", "600", "60", "alice", "app-1", 30),
        ] {
            let metric = format!("datadog.apis.usage.{name}");
            let tags = [
                ("limit_name", limit),
                ("limit_count", count),
                ("limit_period", period),
                ("rate_limit_status", "passed"),
                ("user_uuid", user),
                ("app_key_id", key),
                ("child_org", "acme-eu"),
            ];
            sum_is(&collector, &metric, &tags, requests).await;
            let ratio = format!("{metric}_ratio");
            let points = collector.points();
            let mut ratios = points.iter().filter(|it| it.metric == ratio);
            assert!(
                ratios.any(|it| it.has(&tags) && it.tags.len() == tags.len()),
                "{ratio}"
            );
        }
        let points = collector.points();
        let names = points.iter().map(|it| it.metric.as_str());
        // The others are the metrics that Envoy sends.
        let names: BTreeSet<_> = names.filter(|it| !it.starts_with("wasm")).collect();
        assert_eq!(names.len(), 6, "{names:?}");
    });
}

/// A collector that people use, between Envoy and ours.
#[test]
fn what_rotel_passes_on_is_what_was_counted() {
    let Some(binary) = std::env::var_os("ROTEL").filter(|path| !path.is_empty()) else {
        eprintln!("skipped: rotel is not available, see scripts/get-rotel");
        return;
    };
    run(Process::make, async |bed: &TestBed| {
        let collector = Collector::start().await;
        let ip = std::net::IpAddr::from([127, 0, 0, 1]);
        let [http, grpc] = [lease(ip), lease(ip)].map(|port| format!("127.0.0.1:{port}"));
        let logs = tempfile::tempdir().expect("a directory");
        let mut rotel = std::process::Command::new(&binary)
            .args([
                "start",
                "--otlp-http-endpoint",
                &http,
                "--otlp-grpc-endpoint",
                &grpc,
            ])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args([
                "--otlp-exporter-compression",
                "none",
                "--batch-timeout",
                "200ms",
            ])
            .arg("--otlp-exporter-endpoint")
            .arg(format!("http://{}", collector.address))
            .arg("--pid-file")
            .arg(logs.path().join("pid"))
            .arg("--log-file")
            .arg(logs.path().join("log"))
            .spawn()
            .expect("rotel starts");
        for (protocol, address, requests) in [("http", &http, 200), ("grpc", &grpc, 300)] {
            let to = json!({ "otlp": "otel-collector", "protocol": protocol });
            let policy = policy().with("/usage/to", to);
            let address = address.parse().expect("an address");
            let setup = Setup::of(&policy).with_collector(address);
            let gateway = bed.open_with(setup).await;
            send(&gateway, &post(protocol), requests).await;
            let sum = i64::try_from(requests).expect("a few");
            sum_is(&collector, USUAL, &[("user", protocol)], sum).await;
        }
        rotel.kill().expect("rotel runs");
        rotel.wait().expect("rotel ends");
    });
}
