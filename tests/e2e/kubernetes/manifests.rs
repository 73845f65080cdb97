//! The manifests that `render` writes, and values of Envoy's configuration that both platforms
//! write.

use crate::harness::render::render;
use crate::harness::{extension, required};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The image of all manifests. The tests put a file in its place.
pub(super) const IMAGE: &str = "oci://registry.example/sluicegate:1";

/// The settings of both platforms, besides the policy.
#[derive(Default)]
pub(super) struct Options {
    /// The engine of limits that all proxies share.
    pub(super) engine: Option<SocketAddr>,
    /// The filter that the image has, unless it is the one that was built.
    code: Mutex<Option<PathBuf>>,
}

impl Options {
    pub(super) fn with_engine(engine: SocketAddr) -> Self {
        Self {
            engine: Some(engine),
            ..Self::default()
        }
    }

    /// The filter that the image has at present.
    pub(super) fn code(&self) -> PathBuf {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        code.clone().unwrap_or_else(|| required("SLUICEGATE_WASM"))
    }

    /// Puts another filter into the image.
    pub(super) fn replace_code(&self, code: PathBuf) {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }

    fn arguments(&self) -> Vec<OsString> {
        let engine = self.engine.into_iter();
        engine
            .flat_map(|engine| ["--engine".into(), engine.to_string().into()])
            .collect()
    }
}

/// The manifests of a policy.
pub(super) struct Manifests {
    /// As `render` writes them, with the comments.
    pub(super) text: String,
    all: Vec<Value>,
}

impl Manifests {
    pub(super) fn of(policy: &str, platform: &[&str], options: &Options) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), policy).expect("a file can be written");
        let mut arguments: Vec<OsString> = platform.iter().map(Into::into).collect();
        arguments.extend(["--image".into(), IMAGE.into(), "--policy".into()]);
        arguments.push(file.path().into());
        arguments.extend(options.arguments());
        let text = render(&arguments);
        let all = text.split("\n---\n").map(parse).collect();
        Self { text, all }
    }

    pub(super) fn find(&self, kind: &str) -> Option<&Value> {
        self.all.iter().find(|manifest| manifest["kind"] == kind)
    }

    pub(super) fn get(&self, kind: &str) -> &Value {
        self.find(kind)
            .unwrap_or_else(|| panic!("no {kind} in\n{}", self.text))
    }

    /// `NAMESPACE` and `NAME` of the manifest of this kind.
    pub(super) fn place(&self, kind: &str) -> (&str, &str) {
        let metadata = &self.get(kind)["metadata"];
        let text = |key: &str| metadata[key].as_str().expect("a name");
        (text("namespace"), text("name"))
    }
}

pub(super) fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"))
}

/// Envoy's type for a value that the filter receives as text.
pub(super) fn string_value(text: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": text })
}

/// A log of JSON lines, of all requests or of those that a condition in CEL selects.
pub(super) fn json_log(format: &Value, condition: Option<&str>) -> Value {
    let mut log = json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": extension("access_loggers.file.v3.FileAccessLog"),
            "path": "/dev/stdout",
            "log_format": { "json_format": format },
        },
    });
    if let Some(expression) = condition {
        let filter = extension("access_loggers.filters.cel.v3.ExpressionFilter");
        log["filter"] = json!({ "extension_filter": {
            "name": "cel", "typed_config": { "@type": filter, "expression": expression },
        } });
    }
    log
}

/// Replaces the engine's cluster by the one of the manifests.
pub(super) fn replace_cluster(bootstrap: &mut Value, cluster: &Value) {
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
    let mut clusters = clusters.expect("clusters").iter_mut();
    let ours = clusters.find(|other| other["name"] == cluster["name"]);
    *ours.expect("a cluster of this name") = cluster.clone();
}
