//! An Envoy process with one worker, and what it is started with.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) struct Paths {
    envoy: PathBuf,
    cli: PathBuf,
    pub(crate) wasm: PathBuf,
    noop: PathBuf,
    pub(crate) scratch: tempfile::TempDir,
}

impl Paths {
    pub(crate) fn from_environment() -> Self {
        let path = |name: &str| {
            PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run `make figures`")))
        };
        Self {
            envoy: path("ENVOY"),
            cli: path("SLUICEGATE"),
            wasm: path("SLUICEGATE_WASM"),
            noop: path("SLUICEGATE_NOOP"),
            scratch: tempfile::tempdir().unwrap(),
        }
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a listener has in its chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Missing,
    Noop,
    Sluicegate,
}

/// Who answers what a listener lets pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Envoy by itself, as soon as it has the head.
    Direct,
    /// The upstream that [`Envoy::start`] is given.
    Upstream,
}

/// The listener that `render` writes, without its access log.
pub(crate) fn listener(paths: &Paths, policy: &Path, port: u16, filter: Filter, answer: Answer) -> Value {
    let output = Command::new(&paths.cli)
        .args(["render", "listeners", "--listen", &format!("127.0.0.1:{port}"), "--policy"])
        .arg(policy)
        .arg("--wasm")
        .arg(&paths.wasm)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered: Value = serde_saphyr::from_str(str::from_utf8(&output.stdout).unwrap()).unwrap();
    let mut listener = rendered["resources"][0].clone();
    listener.as_object_mut().unwrap().remove("@type");
    listener["name"] = json!(format!("port-{port}"));
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager.as_object_mut().unwrap().remove("access_log");
    if answer == Answer::Direct {
        let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
        route.as_object_mut().unwrap().remove("route");
        route["direct_response"] = json!({ "status": 200 });
    }
    let filters = manager["http_filters"].as_array_mut().unwrap();
    match filter {
        Filter::Missing => drop(filters.remove(0)),
        Filter::Noop => {
            let vm = &mut filters[0]["typed_config"]["config"]["vm_config"];
            vm["vm_id"] = json!("noop");
            vm["code"]["local"]["filename"] = json!(paths.noop);
        }
        Filter::Sluicegate => {}
    }
    listener
}

/// The upstream on a port, for as many requests at a time as there are.
fn cluster(port: u16) -> Value {
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    let many = json!({ "max_connections": 1_000_000, "max_pending_requests": 1_000_000, "max_requests": 1_000_000 });
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
    /// Starts it before the upstream on that port, if one is needed; it listens when this returns.
    pub(crate) fn start(paths: &Paths, listeners: Vec<Value>, upstream: Option<u16>) -> Self {
        Self::start_with(paths, listeners, upstream, 1)
    }

    /// The same with so many workers.
    pub(crate) fn start_with(paths: &Paths, listeners: Vec<Value>, upstream: Option<u16>, workers: u32) -> Self {
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener["address"]["socket_address"]["port_value"].as_u64().unwrap() as u16)
            .collect();
        let admin = free_port();
        let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": admin } });
        let clusters: Vec<Value> = upstream.map(cluster).into_iter().collect();
        let resources = json!({ "listeners": listeners, "clusters": clusters });
        let bootstrap = json!({ "admin": { "address": address }, "static_resources": resources });
        let file = paths.scratch.path().join("bootstrap.json");
        fs::write(&file, bootstrap.to_string()).unwrap();
        let child = Command::new(&paths.envoy)
            .args(["--concurrency", &workers.to_string(), "--disable-hot-restart", "-l", "error", "-c"])
            .arg(&file)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let envoy = Self { child, admin };
        let begun = Instant::now();
        while !ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "Envoy does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        envoy
    }

    pub(crate) fn cpu_nanos(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .filter_map(|task| {
                let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum()
    }

    /// Memory that Envoy's allocator has given out. It does not give free memory back to the
    /// system, so the process's size would not show a growth of this size.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let answer = self.admin("/memory");
        let json = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
        serde_json::from_str::<Value>(json).unwrap()["allocated"].as_str().unwrap().parse().unwrap()
    }

    /// Memory of the process that no file is behind. The VM's is in it, which no allocator counts.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Bytes that have come from clients.
    pub(crate) fn received_bytes(&self) -> u64 {
        let answer = self.admin("/stats?filter=^http.gateway.downstream_cx_rx_bytes_total");
        answer.lines().find_map(|line| line.split_once("_total: ")).unwrap().1.parse().unwrap()
    }

    fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
