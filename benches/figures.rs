//! What a request costs in Envoy, and what a key costs in memory: `make figures`.
//!
//! One Envoy with one worker has three listeners: no filter, a filter that does nothing, and the
//! policy. They are measured in turn, round after round, by the processor time that Envoy's threads
//! were given (`/proc/PID/task/*/schedstat`), so a noisy machine disturbs all three alike. Only
//! ratios and differences within one run mean anything.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a program that measures, not the request path"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ROUNDS: usize = 150;
const REQUESTS_PER_ROUND: usize = 480;
const ORGANIZATIONS: usize = 1_000;
const KEYS: usize = 100_000;
/// A divisor of the numbers of requests.
const CONNECTIONS: usize = 16;

fn main() {
    // `cargo test --benches` runs this, too, and has nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let paths = Paths::from_environment();
    println!("wasm: {} bytes", fs::metadata(&paths.wasm).unwrap().len());
    requests(&paths);
    keys(&paths);
    start(&paths);
}

struct Paths {
    envoy: PathBuf,
    cli: PathBuf,
    wasm: PathBuf,
    noop: PathBuf,
    scratch: tempfile::TempDir,
}

impl Paths {
    fn from_environment() -> Self {
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

/// Processor time per request, added over no filter.
fn requests(paths: &Paths) {
    let preset = fs::read_to_string("envoy/presets/enterprise-v2.yaml").unwrap();
    let (before, rest) = preset.split_once("  directory:\n").unwrap();
    let after = &rest[rest.find("  unknown:").unwrap()..];
    let entries: String = (0..ORGANIZATIONS).fold(String::new(), |mut entries, number| {
        writeln!(entries, "    - {{ sha256: {:x}, org: org-{number} }}", Hex(Sha256::digest(key(number)).into()))
            .unwrap();
        entries
    });
    let policy = paths.scratch.path().join("preset.yaml");
    fs::write(&policy, format!("{before}  directory:\n{entries}{after}")).unwrap();

    let kinds = ["no filter", "no-op filter", "enterprise-v2"];
    let ports = kinds.map(|_| free_port());
    let listeners: Vec<Value> = kinds
        .iter()
        .zip(ports)
        .map(|(kind, port)| {
            let mut listener = listener(paths, &policy, port);
            let filters =
                listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"].as_array_mut().unwrap();
            match *kind {
                "no filter" => drop(filters.remove(0)),
                "no-op filter" => {
                    let vm = &mut filters[0]["typed_config"]["config"]["vm_config"];
                    vm["vm_id"] = json!("noop");
                    vm["code"]["local"]["filename"] = json!(paths.noop);
                }
                _ => {}
            }
            listener
        })
        .collect();
    let envoy = Envoy::start(paths, listeners);
    let mut clients = ports.map(Client::connect);
    let mut costs = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        for (client, costs) in clients.iter_mut().zip(&mut costs) {
            let before = envoy.cpu_nanos();
            client.send(REQUESTS_PER_ROUND, |number| {
                format!("authorization: Bearer {}", key((round * REQUESTS_PER_ROUND + number) % ORGANIZATIONS))
            });
            let cost = (envoy.cpu_nanos() - before) as f64 / REQUESTS_PER_ROUND as f64 / 1_000.0;
            // The first round warms everything up.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    // Round by round, so that a slow stretch of the machine is in both sides of a difference.
    let over =
        |costs: &Vec<f64>, base: &Vec<f64>| median(&costs.iter().zip(base).map(|(a, b)| a - b).collect::<Vec<_>>());
    let medians = costs.each_ref().map(|costs| median(costs));
    let added = costs.each_ref().map(|kind| over(kind, &costs[0]));
    println!(
        "processor time of Envoy per request, median of {ROUNDS} rounds of {REQUESTS_PER_ROUND}, in microseconds:"
    );
    for (index, kind) in kinds.iter().enumerate() {
        let ratio = added[index] / added[1];
        println!(
            "  {kind:14} {:6.2}   added over no filter {:5.2}   ratio to no-op {ratio:4.2}",
            medians[index], added[index]
        );
    }
}

/// Memory for a hundred thousand keys.
fn keys(paths: &Paths) {
    let policy = paths.scratch.path().join("keys.yaml");
    let text = "version: 1\nname: keys\ncallers:\n  credentials: [{ name: api_key, header: x-api-key }]\n  unknown: anonymous\n\
        limits: [{ name: one, per: [api_key], bucket: { burst: 1000000, refill: 1000000/h } }]\n";
    fs::write(&policy, text).unwrap();
    let port = free_port();
    let envoy = Envoy::start(paths, vec![listener(paths, &policy, port)]);
    let mut client = Client::connect(port);
    client.send(20_000, |_| format!("x-api-key: {}", key(0)));
    let before = envoy.allocated_bytes();
    client.send(KEYS, |number| format!("x-api-key: {}", key(number)));
    let grown = envoy.allocated_bytes() - before;
    println!("memory for {KEYS} keys: {} KB, {:.1} bytes a key", grown / 1_000, grown as f64 / KEYS as f64);
}

/// From Envoy's start to its first answer, with the filter and without.
fn start(paths: &Paths) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        for (with, times) in [false, true].into_iter().zip(&mut times) {
            let mut listener = listener(paths, Path::new("envoy/presets/enterprise-v2.yaml"), free_port());
            if !with {
                listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
                    .as_array_mut()
                    .unwrap()
                    .remove(0);
            }
            let begun = Instant::now();
            drop(Envoy::start(paths, vec![listener]));
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    let [without, with] = times.map(|times| median(&times));
    println!(
        "start to first answer: {without:.0} ms without the filter, {with:.0} ms with it: {:.0} ms to load it",
        with - without
    );
}

fn key(number: usize) -> String {
    format!("key-{number}")
}

struct Hex([u8; 32]);

impl std::fmt::LowerHex for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The listener that `render` writes, answering by itself and without its access log.
fn listener(paths: &Paths, policy: &Path, port: u16) -> Value {
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
    let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
    route.as_object_mut().unwrap().remove("route");
    route["direct_response"] = json!({ "status": 200 });
    listener
}

struct Envoy {
    child: Child,
    admin: u16,
}

impl Envoy {
    fn start(paths: &Paths, listeners: Vec<Value>) -> Self {
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener["address"]["socket_address"]["port_value"].as_u64().unwrap() as u16)
            .collect();
        let admin = free_port();
        let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": admin } });
        let bootstrap = json!({ "admin": { "address": address }, "static_resources": { "listeners": listeners } });
        let file = paths.scratch.path().join("bootstrap.json");
        fs::write(&file, bootstrap.to_string()).unwrap();
        let child = Command::new(&paths.envoy)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"])
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

    fn cpu_nanos(&self) -> u64 {
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
    fn allocated_bytes(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        stream.write_all(b"GET /memory HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let json = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
        serde_json::from_str::<Value>(json).unwrap()["allocated"].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Several connections, each with one request under way at a time.
struct Client {
    connections: Vec<BufReader<TcpStream>>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            BufReader::new(stream)
        };
        Self { connections: (0..CONNECTIONS).map(connect).collect() }
    }

    /// Sends `requests` requests, each with the line that `credential` gives; all are admitted.
    fn send(&mut self, requests: usize, credential: impl Fn(usize) -> String) {
        for first in (0..requests).step_by(CONNECTIONS) {
            for (offset, connection) in self.connections.iter_mut().enumerate() {
                let credential = credential(first + offset);
                let text = format!(
                    "GET /v2/things/42/data HTTP/1.1\r\nhost: gateway\r\nuser-agent: figures/1\r\naccept: */*\r\n\
                     accept-encoding: gzip\r\ncontent-type: application/json\r\n{credential}\r\n\r\n"
                );
                connection.get_mut().write_all(text.as_bytes()).unwrap();
            }
            self.connections.iter_mut().for_each(receive);
        }
    }
}

fn receive(connection: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    assert_eq!(line.split(' ').nth(1), Some("200"), "{line}");
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    connection.read_exact(&mut vec![0; length]).unwrap();
}
