//! The policies under test, and small changes to them.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// A policy as a tree, to be changed by JSON pointer before it is rendered.
#[derive(Clone)]
pub(crate) struct Policy(Value);

impl Policy {
    /// The shipped preset.
    pub(crate) fn preset() -> Self {
        Self::shipped("envoy/presets/enterprise-v2.yaml")
    }

    /// A shipped file of the repository.
    pub(crate) fn shipped(path: &str) -> Self {
        Self::read(path)
    }

    /// A policy of the tests: a file in `tests/e2e/policies`, without its extension.
    pub(crate) fn named(name: &str) -> Self {
        Self::read(&format!("tests/e2e/policies/{name}.yaml"))
    }

    /// A policy of the tests for anonymous callers, with these payload limits, and one limit of
    /// requests that no scenario uses up.
    pub(crate) fn measuring(payloads: Value) -> Self {
        Self::named("exact")
            .with(
                "/callers",
                json!({ "credentials": [{ "name": "key", "header": "x-key" }],
                        "unknown": "anonymous", "absent": "anonymous" }),
            )
            .with("/tiers", json!([{ "name": "any", "routes": ["/**"] }]))
            .with(
                "/limits",
                json!([{ "name": "requests", "per": [],
                         "bucket": { "burst": 100_000, "refill": "1/s" } }]),
            )
            .with("/access_log", json!({ "attributes": [] }))
            .with("/payloads", payloads)
    }

    /// The same with a limit of this many POST requests instead.
    pub(crate) fn writing(self, burst: u64) -> Self {
        let bucket = json!({ "burst": burst, "refill": "1/h" });
        self.with(
            "/limits",
            json!([{ "name": "writes", "for": { "routes": ["POST /**"] }, "per": [],
                     "bucket": bucket }]),
        )
    }

    fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self(serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Sets `value` at `pointer`: replaces a value, adds a key, or (`-`) appends to a list.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
        match self.0.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.insert(key.to_owned(), value)),
            Some(Value::Array(list)) if key == "-" => list.push(value),
            Some(Value::Array(list)) => list[key.parse::<usize>().expect("an index")] = value,
            _ => panic!("{parent}: nothing there to change"),
        }
        self
    }

    /// Sets `key` of the limit with this `name`.
    pub(crate) fn limiting(self, name: &str, key: &str, value: Value) -> Self {
        let limit = self.limit(name);
        self.with(&format!("/limits/{limit}/{key}"), value)
    }

    /// Replaces the whole directory: secrets in clear, each with the attributes of its entry.
    pub(crate) fn knowing(self, entries: &[(&str, Value)]) -> Self {
        let entries = entries.iter().map(|(secret, attributes)| {
            let digest: String = Sha256::digest(secret)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let mut entry = attributes.clone();
            entry["sha256"] = digest.into();
            entry
        });
        let entries = entries.collect();
        self.with("/callers/directory", Value::Array(entries))
    }

    /// The index of the limit with this name.
    pub(crate) fn limit(&self, name: &str) -> usize {
        let limits = self
            .0
            .pointer("/limits")
            .and_then(Value::as_array)
            .expect("limits");
        limits
            .iter()
            .position(|limit| limit["name"] == name)
            .unwrap_or_else(|| panic!("no limit {name}"))
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// JSON is YAML, too.
    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }
}
