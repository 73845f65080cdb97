//! One proxy with its upstream: start, update, kill, query.

use crate::harness::driver::{Driver, Place, Signal};
use crate::harness::render::{
    addresses, parse, policy_as_struct, render, replace_policy, upstream_over_http2,
};
use crate::harness::setup::{Edit, Extension, Setup};
use crate::harness::{Admin, Client, DEADLINE, Policy, Upstream, eventually};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

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
            assert!(
                log.contains("Address already in use") || log.contains("cannot bind"),
                "no start:\n{log}"
            );
        }
        let mut gateway = self.place(&setup).await;
        gateway.start().await.expect("the proxy starts");
        gateway
    }

    /// Everything except the start.
    async fn place(&self, setup: &Setup) -> Gateway {
        let directory = tempfile::Builder::new()
            .prefix("sluicegate-")
            .tempdir()
            .expect("a directory");
        let files = directory.path().to_path_buf();
        fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).expect("permissions");
        let driver = (self.make)(Place {
            files: files.clone(),
            memory_bytes_max: setup.memory_bytes_max,
            additional: setup.additional.len(),
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
            additional: setup.additional.clone(),
            workers: setup.workers,
            collector: setup.collector,
            operators: setup.operators,
            extension: setup.extension.clone(),
            driver,
            directory,
        };
        let wasm = &setup.wasm;
        fs::copy(wasm, files.join("sluicegate.wasm"))
            .unwrap_or_else(|e| panic!("{}: {e}", wasm.display()));
        if setup.extension.is_some() {
            gateway.write_extension(&gateway.extension(&setup.policy));
        }
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
    additional: Vec<Policy>,
    workers: u64,
    collector: Option<SocketAddr>,
    operators: Option<SocketAddr>,
    extension: Option<Extension>,
    driver: Box<dyn Driver>,
    directory: TempDir,
}

impl Gateway {
    /// An HTTP/1.1 client with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::http1(self.address)
    }

    /// The address of the admin interface.
    #[allow(dead_code, reason = "only on a process")]
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.driver.reached_at().1
    }

    /// The addresses of the listeners, the first one first.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let additional = self
            .driver
            .additional()
            .into_iter()
            .map(|(_, reached)| reached);
        std::iter::once(self.address).chain(additional).collect()
    }

    /// Starts or restarts the proxy, and waits until it serves.
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
        if rejected > 0 {
            Err(self.log())
        } else {
            Ok(())
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.driver.signal(signal);
    }

    /// Suspends the proxy; bytes sent in the meantime wait for it.
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

    /// Replaces the filter by that of a file, under a new name, as an upgrade does; returns once
    /// every worker uses it.
    #[allow(dead_code, reason = "only on a process")]
    pub(crate) async fn upgrade(&self, wasm: &Path, name: &str) {
        fs::copy(wasm, self.directory.path().join(name)).expect("a filter");
        let listeners = self.listeners(&self.policy);
        let upgraded = listeners.replace("sluicegate.wasm", name);
        self.replace(&upgraded).await.expect("a filter that starts");
    }

    /// Removes all listeners; returns once they drain.
    pub(crate) async fn remove_listeners(&self) {
        self.write("listeners.yaml", "resources: []");
        eventually("the listeners drain", async || {
            (self
                .admin
                .stat("listener_manager.total_listeners_active")
                .await
                == 0)
                .then_some(())
        })
        .await;
    }

    /// Waits until the time for requests in flight at an update is over. If only its filter chains
    /// change, Envoy updates a listener in place: then they drain, not the listener.
    pub(crate) async fn drained(&self) {
        for draining in ["total_listeners_draining", "total_filter_chains_draining"] {
            let name = format!("listener_manager.{draining}");
            eventually("the old listeners have drained", async || {
                (self.admin.stat(&name).await == 0).then_some(())
            })
            .await;
        }
    }

    /// The same with any text as the policy, which `render` would refuse.
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
        let (accepted, rejected) = (
            stat("lds.update_success").await,
            stat("lds.update_rejected").await,
        );
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
        if self.edit.is_none() && self.additional.is_empty() {
            return text;
        }
        let mut listeners = parse(&text);
        for (number, (policy, (listen, _))) in self
            .additional
            .iter()
            .zip(self.driver.additional())
            .enumerate()
        {
            let name = format!("additional-{number}");
            let mut one =
                parse(&self.listener(&format!("{name}.yaml"), policy, listen))["resources"][0]
                    .take();
            one["name"] = name.into();
            listeners["resources"]
                .as_array_mut()
                .expect("listeners")
                .push(one);
        }
        if let Some(edit) = &self.edit {
            edit(&mut listeners, policy);
        }
        listeners.to_string()
    }

    /// The filter with this policy, for the file that Envoy watches.
    #[allow(dead_code, reason = "only on a process")]
    pub(crate) fn extension(&self, policy: &Policy) -> String {
        let write = self.extension.as_ref().expect("a file of the filter's own");
        let policy = self.write("policy.yaml", &policy.text());
        write(&policy, &self.driver.files().join("sluicegate.wasm"))
    }

    /// Puts the file in place that Envoy watches for the filter.
    #[allow(dead_code, reason = "once is enough")]
    pub(crate) fn write_extension(&self, text: &str) {
        self.write("extension.yaml", text);
    }

    /// The listener that `render` writes for a policy in the file of this name.
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
        if self.extension.is_some() {
            let file = self.driver.files().join("extension.yaml");
            arguments.extend(["--extension".into(), file.into()]);
        }
        let more = [("--otlp", self.collector), ("--inspect", self.operators)];
        arguments.extend(addresses(more));
        if let Some(filters) = &self.filters {
            // JSON is YAML, too.
            arguments.extend([
                "--filters".into(),
                self.write("filters.yaml", &filters.to_string()).into(),
            ]);
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
        let more = [("--otlp", self.collector), ("--engine", setup.engine)];
        arguments.extend(addresses(more));
        // A busy machine needs time to accept a crowd's connections to the upstream.
        let (text, timeout) = (render(&arguments), "connect_timeout: 5s");
        assert!(text.contains(timeout), "no `{timeout}` in:\n{text}");
        let text = text.replace(timeout, "connect_timeout: 60s");
        let mut bootstrap = parse(&text);
        if setup.http2 {
            upstream_over_http2(&mut bootstrap);
        }
        if let Some(edit) = &setup.bootstrap {
            edit(&mut bootstrap, &setup.policy);
        }
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
            let text = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("---- the end of the proxy's log\n{text}\n----");
        }
    }
}
