//! A Prometheus of a test's own, on loopback; it ends with the test.

use crate::harness::{Call, Client, free_address, required};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A Prometheus process.
pub(crate) struct Prometheus {
    client: Client,
    child: Child,
    files: TempDir,
}

impl Prometheus {
    /// Starts the server that `PROMETHEUS` names, which scrapes `target` each second and evaluates
    /// these files of rules as often.
    pub(crate) fn start(target: SocketAddr, rules: &[&Path]) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let configuration = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [{
                "job_name": "sluicegate",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{ "targets": [target.to_string()] }],
            }],
        });
        let path = files.path().join("prometheus.yaml");
        // JSON is YAML, too.
        fs::write(&path, configuration.to_string()).expect("a file");
        let log = File::create(files.path().join("log")).expect("a file");
        let address = free_address();
        let child = Command::new(required("PROMETHEUS"))
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", files.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a Prometheus");
        Self {
            client: Client::http1(address),
            child,
            files,
        }
    }

    /// The present answer to a query: a list of series. `None` if it does not answer.
    pub(crate) async fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02x}");
        }
        let data = self.get(&path).await?;
        assert_eq!(data["resultType"], "vector", "{expression}");
        data["result"].as_array().cloned()
    }

    /// The `data` of an answer of its API. An error is a failure of the test.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.try_send(Call::get(path)).await.ok()?;
        let mut body: Value = serde_json::from_slice(&answer.body).ok()?;
        assert_eq!(body["status"], "success", "{path}: {body}");
        Some(body["data"].take())
    }

    /// The whole part of the value of the first series that this answers; 0 if there is none yet.
    pub(crate) async fn value(&self, expression: &str) -> u64 {
        let series = self.query(expression).await.unwrap_or_default();
        let value = series.first().and_then(|one| one["value"][1].as_str());
        let whole = value.and_then(|value| value.split('.').next());
        whole.map_or(0, |whole| whole.parse().expect("a number"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the log of Prometheus\n{}\n----", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
