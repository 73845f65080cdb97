//! One proxy with its upstream: start, update, kill, query.

use crate::harness::render::{policy_as_struct, render, replace_policy, upstream_over_http2};
use crate::harness::{Admin, Client, DEADLINE, Policy, Upstream, eventually, required};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Envoy's worker threads, unless a scenario wants one: two, so that counts must hold across workers.
const WORKERS: u64 = 2;

/// How long those who are under way at an update may go on, in seconds: longer than any scenario takes.
const DRAIN: u64 = 600;

/// What every Envoy is started with, beside what its [`Place`] says. Without the last pair the access log lags
/// ten seconds.
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
    /// The listeners beside the first.
    pub(crate) beside: usize,
    workers: u64,
    drain_seconds: u64,
}

impl Place {
    /// What Envoy is started with, after `-c FILE`.
    pub(crate) fn flags(&self) -> Vec<String> {
        let own = [("--concurrency", self.workers), ("--drain-time-s", self.drain_seconds)];
        let own = own.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
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
    /// The same of each listener beside the first: what the proxy binds, and where this process reaches it.
    fn beside(&self) -> Vec<(SocketAddr, SocketAddr)>;
    /// Starts the proxy, for the first time or again.
    fn start(&mut self);
    fn signal(&mut self, signal: Signal);
    /// Lets the proxy stand still; it does when this returns.
    fn pause(&mut self);
    /// Lets it go on.
    fn unpause(&mut self);
    fn running(&mut self) -> bool;
    /// The proxy's log and access log.
    fn log(&self) -> String;
    /// The memory in use.
    fn memory_bytes(&self) -> u64;
}

/// A change to the listeners.
pub(crate) type Edit = Arc<dyn Fn(&mut Value, &Policy) + Send + Sync>;

/// The configuration of a gateway.
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    /// Changes to the listeners that no policy can express; repeated at every update.
    pub(crate) edit: Option<Edit>,
    /// HTTP filters before ours.
    pub(crate) filters: Option<Value>,
    /// Metadata of the proxy: `KEY=VALUE`.
    pub(crate) node_metadata: Option<&'static str>,
    pub(crate) memory_bytes_max: Option<u64>,
    /// The environment variable with the path of the filter.
    pub(crate) wasm: &'static str,
    /// Whether the listeners come from a file that Envoy watches, or are in the bootstrap.
    pub(crate) watched: bool,
    /// Whether Envoy uses HTTP/2 to the upstream, as gRPC needs.
    pub(crate) http2: bool,
    /// Policies that are at work at the same time, each in a listener of its own.
    pub(crate) beside: Vec<Policy>,
    pub(crate) workers: u64,
    pub(crate) drain_seconds: u64,
}

impl Setup {
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            edit: None,
            filters: None,
            node_metadata: None,
            memory_bytes_max: None,
            wasm: "SLUICEGATE_WASM",
            watched: true,
            http2: false,
            beside: Vec::new(),
            workers: WORKERS,
            drain_seconds: DRAIN,
        }
    }

    /// With these policies too, each in a listener of its own; all are in one VM.
    pub(crate) fn beside(self, policies: impl IntoIterator<Item = Policy>) -> Self {
        Self { beside: policies.into_iter().collect(), ..self }
    }

    /// With one worker, which all connections share.
    pub(crate) fn of_one_worker(self) -> Self {
        Self { workers: 1, ..self }
    }

    /// With so many seconds for those who are under way at an update.
    pub(crate) fn draining(self, drain_seconds: u64) -> Self {
        Self { drain_seconds, ..self }
    }

    /// With its listeners in the bootstrap, where no update or edit reaches them.
    pub(crate) fn fixed(self) -> Self {
        Self { watched: false, ..self }
    }

    pub(crate) fn edited(self, edit: impl Fn(&mut Value, &Policy) + Send + Sync + 'static) -> Self {
        Self { edit: Some(Arc::new(edit)), ..self }
    }

    /// After these HTTP filters: a list in Envoy's format.
    pub(crate) fn behind(self, filters: Value) -> Self {
        Self { filters: Some(filters), ..self }
    }

    pub(crate) fn with_node_metadata(self, pair: &'static str) -> Self {
        Self { node_metadata: Some(pair), ..self }
    }

    pub(crate) fn with_struct(self) -> Self {
        self.edited(|listeners, policy| policy_as_struct(listeners, policy.value()))
    }

    pub(crate) fn with_http2(self) -> Self {
        Self { http2: true, ..self }
    }

    /// With the filter that `x-trap` makes trap.
    pub(crate) fn that_traps(self) -> Self {
        Self { wasm: "SLUICEGATE_TRAP_WASM", ..self }
    }

    pub(crate) fn within(self, memory_bytes_max: u64) -> Self {
        Self { memory_bytes_max: Some(memory_bytes_max), ..self }
    }
}

/// Makes the gateways of one scenario.
pub(crate) struct TestBed {
    make: fn(Place) -> Box<dyn Driver>,
}

impl TestBed {
    pub(crate) fn new(make: fn(Place) -> Box<dyn Driver>) -> Self {
        Self { make }
    }

    /// A ready gateway with this policy.
    pub(crate) async fn open(&self, policy: &Policy) -> Gateway {
        self.open_with(Setup::of(policy)).await
    }

    /// A ready gateway. If its port was taken in the meantime, tries again with another.
    pub(crate) async fn open_with(&self, setup: Setup) -> Gateway {
        for _ in 0..2 {
            let mut gateway = self.place(&setup).await;
            if gateway.start().await.is_ok() {
                return gateway;
            }
            let log = gateway.log();
            assert!(log.contains("Address already in use") || log.contains("cannot bind"), "no start:\n{log}");
        }
        let mut gateway = self.place(&setup).await;
        gateway.start().await.expect("the proxy starts");
        gateway
    }

    /// Everything except the start.
    async fn place(&self, setup: &Setup) -> Gateway {
        let directory = tempfile::Builder::new().prefix("sluicegate-").tempdir().expect("a directory");
        let files = directory.path().to_path_buf();
        fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).expect("permissions");
        let driver = (self.make)(Place {
            files: files.clone(),
            memory_bytes_max: setup.memory_bytes_max,
            beside: setup.beside.len(),
            workers: setup.workers,
            drain_seconds: setup.drain_seconds,
        });
        let upstream = Upstream::start(driver.upstream_ip()).await;
        let (address, admin) = driver.reached_at();
        let gateway = Gateway {
            upstream,
            address,
            admin: Admin::new(admin),
            policy: setup.policy.clone(),
            edit: setup.edit.clone(),
            filters: setup.filters.clone(),
            beside: setup.beside.clone(),
            workers: setup.workers,
            driver,
            directory,
        };
        let wasm = required(setup.wasm);
        fs::copy(&wasm, files.join("sluicegate.wasm")).unwrap_or_else(|e| panic!("{}: {e}", wasm.display()));
        gateway.write("listeners.yaml", &gateway.listeners(&setup.policy));
        gateway.write("envoy.yaml", &gateway.bootstrap(setup));
        gateway
    }
}

/// An update that Envoy rejected, with its log messages.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) log: String,
}

/// A proxy with an upstream of its own.
pub(crate) struct Gateway {
    pub(crate) upstream: Upstream,
    pub(crate) address: SocketAddr,
    pub(crate) admin: Admin,
    policy: Policy,
    edit: Option<Edit>,
    filters: Option<Value>,
    beside: Vec<Policy>,
    workers: u64,
    driver: Box<dyn Driver>,
    directory: TempDir,
}

impl Gateway {
    /// An HTTP/1.1 client with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::http1(self.address)
    }

    /// Where the listeners are, the first one first.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let beside = self.driver.beside().into_iter().map(|(_, reached)| reached);
        std::iter::once(self.address).chain(beside).collect()
    }

    /// Starts the proxy, for the first time or again, and waits until it serves.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        self.driver.start();
        let begun = Instant::now();
        while !self.admin.ready().await {
            if !self.driver.running() || begun.elapsed() > DEADLINE {
                return Err(self.log());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let rejected = self.admin.stat("lds.update_rejected").await;
        if rejected > 0 { Err(self.log()) } else { Ok(()) }
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.driver.signal(signal);
    }

    /// Lets the proxy stand still; what is sent meanwhile waits for it.
    pub(crate) fn pause(&mut self) {
        self.driver.pause();
    }

    pub(crate) fn unpause(&mut self) {
        self.driver.unpause();
    }

    pub(crate) fn running(&mut self) -> bool {
        self.driver.running()
    }

    pub(crate) fn log(&self) -> String {
        self.driver.log()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.driver.memory_bytes()
    }

    /// Replaces the policy; returns once every worker uses it. Open connections keep the old one.
    pub(crate) async fn update(&self, policy: &Policy) -> Result<(), Rejected> {
        self.replace(&self.listeners(policy)).await
    }

    /// Takes all listeners away; returns once they drain.
    pub(crate) async fn remove_listeners(&self) {
        self.write("listeners.yaml", "resources: []");
        eventually("the listeners drain", async || {
            (self.admin.stat("listener_manager.total_listeners_active").await == 0).then_some(())
        })
        .await;
    }

    /// Waits until the time is over for those who were under way at an update.
    pub(crate) async fn drained(&self) {
        eventually("what drains has drained", async || {
            (self.admin.stat("listener_manager.total_listeners_draining").await == 0).then_some(())
        })
        .await;
    }

    /// The same with any text in the policy's place, which `render` would refuse.
    pub(crate) async fn update_text(&self, text: &str) -> Result<(), Rejected> {
        let mut listeners = parse(&self.listeners(&self.policy));
        replace_policy(&mut listeners, text);
        self.replace(&listeners.to_string()).await
    }

    /// The same with a policy as a `Struct`, which `render` would not write.
    pub(crate) async fn update_struct(&self, policy: &Policy) -> Result<(), Rejected> {
        let mut listeners = parse(&self.listeners(&self.policy));
        policy_as_struct(&mut listeners, policy.value());
        self.replace(&listeners.to_string()).await
    }

    async fn replace(&self, listeners: &str) -> Result<(), Rejected> {
        let stat = async |name: &str| self.admin.stat(&format!("listener_manager.{name}")).await;
        let written = self.log().len();
        let (accepted, rejected) = (stat("lds.update_success").await, stat("lds.update_rejected").await);
        let added = stat("listener_create_success").await;
        self.write("listeners.yaml", listeners);
        let good = eventually("Envoy takes or refuses the update", async || {
            let refused = stat("lds.update_rejected").await > rejected;
            (refused || stat("lds.update_success").await > accepted).then_some(!refused)
        })
        .await;
        if good {
            eventually("every worker has the update", async || {
                (stat("listener_create_success").await >= added + self.workers).then_some(())
            })
            .await;
            return Ok(());
        }
        let log = eventually("Envoy says why", async || {
            let log = self.log().get(written..).unwrap_or_default().to_owned();
            log.contains("rejected").then_some(log)
        })
        .await;
        Err(Rejected { log })
    }

    fn listeners(&self, policy: &Policy) -> String {
        let (listen, _) = self.driver.binds();
        let text = self.listener("policy.yaml", policy, listen);
        if self.edit.is_none() && self.beside.is_empty() {
            return text;
        }
        let mut listeners = parse(&text);
        for (number, (policy, (listen, _))) in self.beside.iter().zip(self.driver.beside()).enumerate() {
            let name = format!("beside-{number}");
            let mut one = parse(&self.listener(&format!("{name}.yaml"), policy, listen))["resources"][0].take();
            one["name"] = name.into();
            listeners["resources"].as_array_mut().expect("listeners").push(one);
        }
        if let Some(edit) = &self.edit {
            edit(&mut listeners, policy);
        }
        listeners.to_string()
    }

    /// What `render` makes of a policy that it reads from the file of this name.
    fn listener(&self, file: &str, policy: &Policy, listen: SocketAddr) -> String {
        let mut arguments: Vec<OsString> = vec![
            "listeners".into(),
            "--policy".into(),
            self.write(file, &policy.text()).into(),
            "--listen".into(),
            listen.to_string().into(),
            "--wasm".into(),
            self.driver.files().join("sluicegate.wasm").into(),
        ];
        if let Some(filters) = &self.filters {
            // JSON is YAML, too.
            arguments.extend(["--filters".into(), self.write("filters.yaml", &filters.to_string()).into()]);
        }
        render(&arguments)
    }

    fn bootstrap(&self, setup: &Setup) -> String {
        let (listen, admin) = self.driver.binds();
        let inside = self.driver.files();
        let address = |address: SocketAddr| OsString::from(address.to_string());
        let mut arguments = vec![
            "envoy".into(),
            "--policy".into(),
            self.directory.path().join("policy.yaml").into(),
            "--listen".into(),
            address(listen),
            "--upstream".into(),
            address(self.upstream.address()),
            "--admin".into(),
            address(admin),
            "--wasm".into(),
            inside.join("sluicegate.wasm").into(),
        ];
        if setup.watched {
            arguments.extend(["--listeners".into(), inside.join("listeners.yaml").into()]);
        }
        if let Some(pair) = setup.node_metadata {
            arguments.extend(["--node-metadata".into(), pair.into()]);
        }
        // A busy machine takes its time to accept a crowd's connections to the upstream.
        let text = render(&arguments).replace("connect_timeout: 5s", "connect_timeout: 60s");
        if !setup.http2 {
            return text;
        }
        let mut bootstrap = parse(&text);
        upstream_over_http2(&mut bootstrap);
        bootstrap.to_string()
    }

    /// Puts a file in place by a rename, so that no reader sees half of it. Returns its path.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        let unfinished = self.directory.path().join(format!("{name}.new"));
        fs::write(&unfinished, text).expect("a file can be written");
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o644)).expect("permissions");
        fs::rename(&unfinished, &path).expect("a file can be renamed");
        path
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(60);
            eprintln!("---- the proxy's log, from line {tail}\n{}\n----", lines[tail..].join("\n"));
        }
    }
}

fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("render's YAML: {e}\n{yaml}"))
}
