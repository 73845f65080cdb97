//! The metrics that Envoy itself sends to the collector of `--otlp`.

use crate::harness::{Call, Policy, TestBed, eventually, run};
use crate::otlp::{Collector, Value};
use crate::process::Process;
use crate::scenarios::ALPHA;
use crate::usage::{open, sum_is};
use serde_json::json;

const REQUESTS: &str = "wasmcustom.sluicegate_requests_total";

#[test]
fn the_collector_has_the_metrics_with_their_labels() {
    for protocol in ["http", "grpc"] {
        run(Process::make, async |bed: &TestBed| {
            let collector = Collector::start().await;
            let to = json!({ "to": { "otlp": "otel-collector", "protocol": protocol } });
            let policy = Policy::named("exact").with("/usage", to);
            let gateway = open(bed, &policy, &collector).await;
            let call = Call::get("/v2/things").bearer(ALPHA[0]);
            let labels = |decision| {
                [
                    ("policy", "exact"),
                    ("limit", "standard"),
                    ("decision", decision),
                ]
            };
            // Two messages: the second one has what was added since the first.
            for (sent, refused) in [(12, 2), (6, 8)] {
                let statuses = gateway.client().statuses(&call, sent).await;
                assert_eq!(statuses.len(), sent);
                sum_is(&collector, REQUESTS, &labels("refused"), refused).await;
            }
            sum_is(&collector, REQUESTS, &labels("admitted"), 10).await;
            eventually("a gauge arrives", async || {
                let points = collector.points();
                let mut gauges = points.iter();
                let name = "wasmcustom.sluicegate_keys_max";
                let gauge = gauges.find(|point| point.metric == name)?;
                assert_eq!(gauge.value, Value::Gauge(100_000.0));
                assert!(gauge.has(&[("policy", "exact")]));
                Some(())
            })
            .await;
            for point in collector.points() {
                let name = &point.metric;
                let is_ours = name.starts_with("wasm") || name.starts_with("sluicegate.usage.");
                assert!(is_ours, "{name} is a metric of Envoy");
            }
            let received = collector.received();
            let received = String::from_utf8_lossy(&received);
            assert!(received.contains("service.instance.id"), "{protocol}");
        });
    }
}
