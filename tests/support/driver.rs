//! The interface of every driver: an Envoy in a process or a container.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Envoy's worker threads by default: two, so that counters must work across workers.
pub(crate) const WORKERS: u64 = 2;

/// The seconds for requests in flight at an update: longer than any scenario takes.
pub(crate) const DRAIN: u64 = 600;

/// The flags of every Envoy, in addition to those of its [`Place`]. Without the last pair, the
/// access log lags ten seconds.
const ENVOY_FLAGS: [&str; 7] = [
    "--disable-hot-restart",
    "-l",
    "warning",
    "--component-log-level",
    "wasm:info",
    "--file-flush-interval-msec",
    "100",
];

/// Files and limits for a driver to make one proxy with.
pub(crate) struct Place {
    /// A world-readable directory with `envoy.yaml`, `listeners.yaml` and `sluicegate.wasm`.
    pub(crate) files: PathBuf,
    /// The most memory that the proxy may use; it is killed if it needs more.
    #[allow(dead_code, reason = "only a container enforces it")]
    pub(crate) memory_bytes_max: Option<u64>,
    /// The number of additional listeners.
    pub(crate) additional: usize,
    pub(crate) workers: u64,
    pub(crate) drain_seconds: u64,
}

impl Place {
    /// Envoy's flags, after `-c FILE`.
    pub(crate) fn flags(&self) -> Vec<String> {
        let own = [
            ("--concurrency", self.workers),
            ("--drain-time-s", self.drain_seconds),
        ];
        let own = own
            .iter()
            .flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
        own.chain(ENVOY_FLAGS.map(str::to_owned)).collect()
    }
}

/// The two ways to end a proxy.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Kill,
    Terminate,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
        }
    }
}

/// Runs an Envoy. Dropping it leaves nothing behind.
pub(crate) trait Driver: Send {
    /// The address on which an upstream of this process must listen to be reachable for the proxy.
    fn upstream_ip(&self) -> IpAddr;
    /// The directory of [`Place::files`], as the proxy sees it.
    fn files(&self) -> &Path;
    /// The addresses that the proxy binds: its listener, its admin endpoint.
    fn binds(&self) -> (SocketAddr, SocketAddr);
    /// The addresses at which this process reaches those two.
    fn reached_at(&self) -> (SocketAddr, SocketAddr);
    /// The same for each additional listener: the address that the proxy binds, and the one at
    /// which this process reaches it.
    fn additional(&self) -> Vec<(SocketAddr, SocketAddr)>;
    /// Starts or restarts the proxy.
    fn start(&mut self);
    fn signal(&mut self, signal: Signal);
    /// Suspends the proxy; it is suspended when this returns.
    fn pause(&mut self);
    /// Resumes the proxy.
    fn unpause(&mut self);
    fn running(&mut self) -> bool;
    /// The proxy's log and access log.
    fn log(&self) -> String;
    /// The memory in use.
    fn memory_bytes(&self) -> u64;
}
