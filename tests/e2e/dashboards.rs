//! The alerts, rules and the dashboard of `envoy/observability`, on a real Prometheus.

use crate::harness::{Call, Gateway, Policy, Setup, TestBed, eventually, required, run};
use crate::process::Process;
use crate::prometheus::Prometheus;
use crate::redis::Redis;
use crate::scenarios::ALPHA;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file of `envoy/observability`.
fn shipped(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/observability");
    folder.join(name)
}

/// All strings under the key `expr`.
fn expressions(node: &Value, out: &mut Vec<String>) {
    match node {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == "expr" => out.push(text.to_owned()),
                    Some(_) | None => expressions(value, out),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| expressions(value, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn expressions_of(text: &str) -> Vec<String> {
    let document: Value = serde_saphyr::from_str(text).expect("YAML or JSON");
    let mut all = Vec::new();
    expressions(&document, &mut all);
    all
}

/// Admitted, refused and failed requests, wrong keys, a large body, and one that waits for a slot.
async fn exercise(gateway: &Gateway) {
    let client = gateway.client();
    let call = Call::get("/v2/things")
        .bearer(ALPHA[0])
        .header("x-cost", "3");
    assert_eq!(
        client.statuses(&call.clone().answered(500), 3).await,
        [500; 3]
    );
    let statuses = client.statuses(&call, 40).await;
    assert!(
        statuses.contains(&200) && statuses.contains(&429),
        "{statuses:?}"
    );
    let unknown = Call::get("/v2/things").bearer("e2e-nobody");
    assert_eq!(client.statuses(&unknown, 2).await, [401; 2]);
}

/// Before [`exercise`], which uses the quota up.
async fn fill_the_pool_and_send_a_large_body(gateway: &Gateway) {
    let slow = Call::get("/v2/slow/a")
        .bearer(ALPHA[0])
        .delayed(Duration::from_millis(300));
    let clients = [gateway.client(), gateway.client()];
    let both = tokio::join!(clients[0].send(slow.clone()), clients[1].send(slow));
    assert_eq!((both.0.status, both.1.status), (200, 200));
    let large = Call::post("/v2/things").bearer(ALPHA[0]).sized(2_000);
    assert_eq!(gateway.client().send(large).await.status, 413);
}

#[test]
fn the_rules_and_the_dashboard_answer_on_a_real_prometheus() {
    run(Process::make, async |bed: &TestBed| {
        let redis = Redis::start(&[]);
        let policy = Policy::named("observed");
        let setup = Setup::of(&policy)
            .with_extension()
            .with_engine(redis.address);
        let gateway = bed.open_with(setup).await;
        let folder = tempfile::tempdir().expect("a directory");
        let own = folder.path().join("policy-rules.yaml");
        fs::write(&own, rules_of(&policy, folder.path())).expect("a file");
        let files = [shipped("alerts.yaml"), shipped("recording.yaml"), own];
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let prometheus = Prometheus::start(gateway.admin_address(), &paths);

        let decisions = "sum(sluicegate_requests_total{policy=\"observed\"})";
        eventually("the first scrape", async || {
            let series = prometheus.query("sluicegate_policy_info == 1").await;
            (series.unwrap_or_default().len() == 1).then_some(())
        })
        .await;
        fill_the_pool_and_send_a_large_body(&gateway).await;
        exercise(&gateway).await;
        let expected = gateway.admin.metric("sluicegate_requests_total", &[]).await;
        eventually("a scrape after the requests", async || {
            (prometheus.value(decisions).await >= expected).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_secs(4)).await;

        labels_are_labels(&prometheus, &gateway).await;
        no_rule_fails(&prometheus).await;
        let mut empty = Vec::new();
        let mut all = 0;
        let mut texts: Vec<String> = paths.iter().map(|path| read(path)).collect();
        texts.push(read(&shipped("dashboard.json")));
        for expression in texts.iter().flat_map(|text| expressions_of(text)) {
            let asked = expression
                .replace("$policy", ".*")
                .replace("$__rate_interval", "30s");
            let series = prometheus.query(&asked).await.expect("an answer");
            all += 1;
            if series.is_empty() && !is_alert(&files[0], &expression) {
                empty.push(expression);
            }
        }
        assert!(all > 50, "{all} expressions");
        // Usage, which this policy does not export; nothing changed its policy.
        assert!(empty.len() <= 2, "{empty:#?}");
        let used = prometheus
            .value("sluicegate:limit_used:units{limit=\"per-org\"}")
            .await;
        // 30, but `increase` extrapolates.
        assert!((15..=60).contains(&used), "{used}");
        let quota = prometheus
            .value("sluicegate:limit_quota{limit=\"per-org\"}")
            .await;
        assert_eq!(quota, 30);
    });
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Whether an alert has this expression, so that it is empty unless it fires.
fn is_alert(alerts: &Path, expression: &str) -> bool {
    expressions_of(&read(alerts))
        .iter()
        .any(|it| it == expression)
}

/// The rules that the command line writes for a policy.
fn rules_of(policy: &Policy, folder: &Path) -> String {
    let path = folder.join("policy.yaml");
    fs::write(&path, policy.text()).expect("a file");
    let output = Command::new(required("SLUICEGATE"))
        .args(["render", "prometheus-rules", "--policy"])
        .arg(path)
        .output()
        .expect("the command line");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

async fn labels_are_labels(prometheus: &Prometheus, gateway: &Gateway) {
    let series =
        "sluicegate_requests_total{policy=\"observed\",limit=\"per-org\",decision=\"admitted\"}";
    let scraped = prometheus.value(series).await;
    let labels = [("limit", "per-org"), ("decision", "admitted")];
    let counted = gateway
        .admin
        .metric("sluicegate_requests_total", &labels)
        .await;
    assert!(counted > 0 && scraped == counted, "{scraped}, {counted}");
    // Envoy merges its histograms every few seconds.
    eventually("the wait is scraped", async || {
        let waits = "sluicegate_queue_wait_ms_count{limit=\"pool\"}";
        (prometheus.value(waits).await == 1).then_some(())
    })
    .await;
}

async fn no_rule_fails(prometheus: &Prometheus) {
    let data = prometheus.get("/api/v1/rules").await.expect("an answer");
    let groups = data["groups"].as_array().expect("groups");
    let rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
        .collect();
    assert!(rules.len() > 30, "{} rules", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
