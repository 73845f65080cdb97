//! An Envoy process and its configuration.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::turns::Worker;

pub(crate) struct Paths {
    pub(crate) envoy: PathBuf,
    pub(crate) cli: PathBuf,
    pub(crate) wasm: PathBuf,
    pub(crate) noop: PathBuf,
    pub(crate) floor: PathBuf,
    pub(crate) calls: PathBuf,
    pub(crate) scratch: tempfile::TempDir,
}

impl Paths {
    /// Files that last as long as the program are below `scratch`.
    pub(crate) fn from_environment(scratch: &str) -> Self {
        let path = |name: &str| {
            PathBuf::from(
                std::env::var_os(name)
                    .unwrap_or_else(|| panic!("{name} is not set: run `make bench`")),
            )
        };
        Self {
            envoy: path("ENVOY"),
            cli: path("SLUICEGATE"),
            wasm: path("SLUICEGATE_WASM"),
            noop: path("SLUICEGATE_NOOP"),
            floor: path("SLUICEGATE_FLOOR"),
            calls: path("SLUICEGATE_CALLS"),
            scratch: tempfile::tempdir_in(scratch).unwrap(),
        }
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The upstream on a port, without a bound on concurrent requests.
fn cluster(port: u16) -> Value {
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    let many = json!({
        "max_connections": 1_000_000,
        "max_pending_requests": 1_000_000,
        "max_requests": 1_000_000,
    });
    json!({
        "name": "upstream",
        "circuit_breakers": { "thresholds": [many] },
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
    })
}

pub(crate) struct Envoy {
    child: Child,
    admin: u16,
}

impl Envoy {
    /// Starts an Envoy in front of the upstream on that port, if one is needed, and waits until it
    /// listens.
    pub(crate) fn start(paths: &Paths, listeners: Vec<Value>, upstream: Option<u16>) -> Self {
        Self::start_with(paths, listeners, upstream, 1)
    }

    /// The same with this number of workers.
    pub(crate) fn start_with(
        paths: &Paths,
        listeners: Vec<Value>,
        upstream: Option<u16>,
        workers: u32,
    ) -> Self {
        let clusters: Vec<Value> = upstream.map(cluster).into_iter().collect();
        Self::start_before(paths, listeners, &clusters, workers)
    }

    /// Starts an Envoy with the cluster of an engine on that port.
    pub(crate) fn start_with_engine(paths: &Paths, listeners: Vec<Value>, engine: u16) -> Self {
        let mut tcp = cluster(engine);
        tcp["name"] = json!("sluicegate_engine");
        tcp["load_assignment"]["cluster_name"] = json!("sluicegate_engine");
        let pool =
            "type.googleapis.com/envoy.extensions.upstreams.http.tcp.v3.TcpConnectionPoolProto";
        tcp["upstream_config"] = json!({
            "name": "envoy.upstreams.http.tcp", "typed_config": { "@type": pool },
        });
        Self::start_before(paths, listeners, &[tcp], 1)
    }

    fn start_before(
        paths: &Paths,
        listeners: Vec<Value>,
        clusters: &[Value],
        workers: u32,
    ) -> Self {
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| {
                listener["address"]["socket_address"]["port_value"]
                    .as_u64()
                    .unwrap() as u16
            })
            .collect();
        let resources =
            json!({ "static_resources": { "listeners": listeners, "clusters": clusters } });
        let mut envoy = Self::spawn(paths, resources, &["--concurrency", &workers.to_string()]);
        let begun = Instant::now();
        while !ports
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        {
            envoy.must_run();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "Envoy does not listen"
            );
            sleep(Duration::from_millis(2));
        }
        envoy
    }

    /// Starts an Envoy that watches a file of listeners, which [`offer`] replaces.
    pub(crate) fn watching(paths: &Paths, file: &Path) -> Self {
        offer(file, &[]);
        let source =
            json!({ "path_config_source": { "path": file }, "resource_api_version": "V3" });
        let resources = json!({ "dynamic_resources": { "lds_config": source } });
        Self::spawn(
            paths,
            resources,
            &["--concurrency", "1", "--drain-time-s", "1"],
        )
    }

    fn spawn(paths: &Paths, mut bootstrap: Value, arguments: &[&str]) -> Self {
        let admin = free_port();
        let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": admin } });
        bootstrap["admin"] = json!({ "address": address });
        // As `render envoy` writes it.
        bootstrap["memory_allocator_manager"] =
            json!({ "bytes_to_release": 8_388_608, "memory_release_interval": "1s" });
        // Envoy needs it for all that it discovers.
        bootstrap["node"] = json!({ "id": "bench", "cluster": "bench" });
        let file = paths.scratch.path().join("bootstrap.json");
        fs::write(&file, bootstrap.to_string()).unwrap();
        let mut command = Command::new(&paths.envoy);
        command
            .args(arguments)
            .args(["--disable-hot-restart", "-l", "error", "-c"])
            .arg(&file);
        Self {
            child: end_with_this_process(&mut command)
                .stderr(Stdio::inherit())
                .spawn()
                .unwrap(),
            admin,
        }
    }

    pub(crate) fn must_run(&mut self) {
        assert!(
            self.child.try_wait().unwrap().is_none(),
            "Envoy does not run; see its message above"
        );
    }

    /// The processor time of all threads so far.
    pub(crate) fn cpu_nanos(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .filter_map(|task| {
                let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum()
    }

    /// The microseconds of processor time used while `run` runs.
    pub(crate) fn micros(&self, run: impl FnOnce()) -> f64 {
        let before = self.cpu_nanos();
        run();
        self.cpu_nanos().saturating_sub(before) as f64 / 1e3
    }

    /// The first worker.
    pub(crate) fn worker(&self) -> Worker {
        Worker::of(self.child.id())
    }

    /// The memory that Envoy's allocator has given out. Since it does not return free memory to the
    /// system, the size of the process would not show a growth of this size.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let answer = self.admin("/memory");
        let json = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
        serde_json::from_str::<Value>(json).unwrap()["allocated"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The anonymous memory of the process. It includes the VM's memory, which no allocator counts.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// The bytes received from clients.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.counted("^http.gateway.downstream_cx_rx_bytes_total")
    }

    /// The sum of the counters that match a pattern; 0 if there is none yet.
    pub(crate) fn counted(&self, pattern: &str) -> u64 {
        let answer = self.admin(&format!("/stats?filter={pattern}"));
        answer
            .lines()
            .filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok())
            .sum()
    }

    fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Writes these listeners to a file that an Envoy watches.
pub(crate) fn offer(file: &Path, listeners: &[Value]) {
    let typed = listeners.iter().map(|listener| {
        let mut listener = listener.clone();
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        listener
    });
    let new = file.with_extension("new");
    fs::write(
        &new,
        json!({ "resources": typed.collect::<Vec<_>>() }).to_string(),
    )
    .unwrap();
    fs::rename(new, file).unwrap();
}

/// Makes a child process end when this program ends, for any reason.
pub(crate) fn end_with_this_process(command: &mut Command) -> &mut Command {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt as _;

        use rustix::process::{Signal, set_parent_process_death_signal};

        #[allow(
            unsafe_code,
            reason = "one system call between fork and exec, which allocates nothing"
        )]
        // SAFETY: `prctl` may be called there.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
    }
    command
}
