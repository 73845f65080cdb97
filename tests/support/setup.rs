//! The configuration of a gateway.

use crate::harness::driver::{DRAIN, WORKERS};
use crate::harness::render::{policy_as_struct, render};
use crate::harness::{Policy, required};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A change to the listeners, or to the bootstrap.
pub(crate) type Edit = Arc<dyn Fn(&mut Value, &Policy) + Send + Sync>;

/// Writes the file that Envoy watches for the filter: for the policy in a file, and the path of the
/// filter.
pub(crate) type Extension = Arc<dyn Fn(&Path, &Path) -> String + Send + Sync>;

/// The configuration of a gateway.
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    /// Changes to the listeners that no policy can express; repeated at every update.
    pub(crate) edit: Option<Edit>,
    /// Changes to the bootstrap that no policy can express.
    pub(crate) bootstrap: Option<Edit>,
    /// HTTP filters before ours.
    pub(crate) filters: Option<Value>,
    /// Metadata of the proxy: `KEY=VALUE`.
    pub(crate) node_metadata: Option<&'static str>,
    pub(crate) memory_bytes_max: Option<u64>,
    /// The path of the filter.
    pub(crate) wasm: PathBuf,
    /// Whether the listeners come from a file that Envoy watches, or are in the bootstrap.
    pub(crate) watched: bool,
    /// Whether Envoy uses HTTP/2 to the upstream, as gRPC needs.
    pub(crate) http2: bool,
    /// Policies that are active at the same time, each in its own listener.
    pub(crate) additional: Vec<Policy>,
    pub(crate) workers: u64,
    pub(crate) drain_seconds: u64,
    /// The engine of limits that all proxies share.
    pub(crate) engine: Option<SocketAddr>,
    /// The collector of the audit log.
    pub(crate) collector: Option<SocketAddr>,
    /// The address of the listener for operators.
    pub(crate) operators: Option<SocketAddr>,
    /// The filter's own file that Envoy watches.
    pub(crate) extension: Option<Extension>,
}

impl Setup {
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            edit: None,
            bootstrap: None,
            filters: None,
            node_metadata: None,
            memory_bytes_max: None,
            wasm: required("SLUICEGATE_WASM"),
            watched: true,
            http2: false,
            additional: Vec::new(),
            workers: WORKERS,
            drain_seconds: DRAIN,
            engine: None,
            collector: None,
            operators: None,
            extension: None,
        }
    }

    /// With this engine.
    #[allow(
        dead_code,
        reason = "only on a process: containers do not reach loopback"
    )]
    pub(crate) fn with_engine(self, address: SocketAddr) -> Self {
        Self {
            engine: Some(address),
            ..self
        }
    }

    /// With the filter in a file of its own that Envoy watches, as `render extension` writes it.
    #[allow(dead_code, reason = "once is enough")]
    pub(crate) fn with_extension(self) -> Self {
        self.with_extension_by(|policy, wasm| {
            let (policy, wasm) = (policy.into(), wasm.into());
            render(&[
                "extension".into(),
                "--policy".into(),
                policy,
                "--wasm".into(),
                wasm,
            ])
        })
    }

    /// With the filter in a file of its own that Envoy watches, which this function writes.
    #[allow(dead_code, reason = "only on a process")]
    pub(crate) fn with_extension_by(
        self,
        write: impl Fn(&Path, &Path) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            extension: Some(Arc::new(write)),
            ..self
        }
    }

    /// With a changed bootstrap.
    #[allow(dead_code, reason = "only on a process")]
    pub(crate) fn with_bootstrap(
        self,
        edit: impl Fn(&mut Value, &Policy) + Send + Sync + 'static,
    ) -> Self {
        Self {
            bootstrap: Some(Arc::new(edit)),
            ..self
        }
    }

    /// With this collector of the audit log.
    #[allow(
        dead_code,
        reason = "only on a process: containers do not reach loopback"
    )]
    pub(crate) fn with_collector(self, address: SocketAddr) -> Self {
        Self {
            collector: Some(address),
            ..self
        }
    }

    /// With a listener for operators at this address.
    #[allow(
        dead_code,
        reason = "only on a process: it is on the loopback interface"
    )]
    pub(crate) fn with_operators(self, address: SocketAddr) -> Self {
        Self {
            operators: Some(address),
            ..self
        }
    }

    /// With these policies as well, each in its own listener; all share one VM.
    pub(crate) fn additional(self, policies: impl IntoIterator<Item = Policy>) -> Self {
        Self {
            additional: policies.into_iter().collect(),
            ..self
        }
    }

    /// With one worker, which all connections share.
    pub(crate) fn of_one_worker(self) -> Self {
        Self { workers: 1, ..self }
    }

    /// With this many seconds for requests in flight at an update.
    pub(crate) fn draining(self, drain_seconds: u64) -> Self {
        Self {
            drain_seconds,
            ..self
        }
    }

    /// With its listeners in the bootstrap, which updates and edits do not reach.
    pub(crate) fn fixed(self) -> Self {
        Self {
            watched: false,
            ..self
        }
    }

    pub(crate) fn edited(self, edit: impl Fn(&mut Value, &Policy) + Send + Sync + 'static) -> Self {
        Self {
            edit: Some(Arc::new(edit)),
            ..self
        }
    }

    /// After these HTTP filters: a list in Envoy's format.
    pub(crate) fn behind(self, filters: Value) -> Self {
        Self {
            filters: Some(filters),
            ..self
        }
    }

    pub(crate) fn with_node_metadata(self, pair: &'static str) -> Self {
        Self {
            node_metadata: Some(pair),
            ..self
        }
    }

    pub(crate) fn with_struct(self) -> Self {
        self.edited(|listeners, policy| policy_as_struct(listeners, policy.value()))
    }

    pub(crate) fn with_http2(self) -> Self {
        Self {
            http2: true,
            ..self
        }
    }

    /// With the filter that `x-trap` makes trap.
    pub(crate) fn that_traps(self) -> Self {
        Self {
            wasm: required("SLUICEGATE_TRAP_WASM"),
            ..self
        }
    }

    /// With the filter of this file.
    #[allow(dead_code, reason = "only on a process")]
    pub(crate) fn with_filter(self, wasm: PathBuf) -> Self {
        Self { wasm, ..self }
    }

    pub(crate) fn within(self, memory_bytes_max: u64) -> Self {
        Self {
            memory_bytes_max: Some(memory_bytes_max),
            ..self
        }
    }
}

/// The `@type` of an extension of Envoy's, by its name after `envoy.extensions`.
pub(crate) fn extension(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{name}")
}
