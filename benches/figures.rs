//! What a request costs in Envoy, and what a key costs in memory: `make figures`.
//!
//! One Envoy with one worker has a listener each for no filter, a filter that does nothing, and every
//! preset. They are measured in turn, round after round, by the processor time that Envoy's threads
//! were given (`/proc/PID/task/*/schedstat`), so a noisy machine disturbs all of them alike. Only
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

const ROUNDS: usize = 100;
const REQUESTS_PER_ROUND: usize = 480;
const CALLERS: usize = 1_000;
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

/// A preset, and requests of its own kind, all of which it admits.
struct Traffic {
    preset: &'static str,
    path: &'static str,
    /// What a directory's entries say, and what a request presents: `{}` is the caller's number.
    entries: &'static [(&'static str, &'static str)],
    headers: &'static str,
}

const TRAFFIC: [Traffic; 4] = [
    Traffic {
        preset: "enterprise-v2",
        path: "/v2/things/42/data",
        entries: &[("key-{}", "org: org-{}")],
        headers: "authorization: Bearer key-{}",
    },
    Traffic {
        preset: "dash0",
        path: "/api/dashboards/42",
        entries: &[("key-{}", "org: org-{}, user: user-{}, plan: team, region: eu-west")],
        headers: "authorization: Bearer key-{}",
    },
    Traffic {
        preset: "datadog",
        path: "/api/v1/query?query=avg",
        entries: &[
            ("key-{}", "org: org-{}, api_key_id: api-{}"),
            ("app-{}", "org: org-{}, user: user-{}, app_key_id: app-{}, actor: user"),
        ],
        headers: "dd-api-key: key-{}\r\ndd-application-key: app-{}",
    },
    Traffic {
        preset: "datocms",
        path: "/items/42",
        entries: &[("key-{}", "project: project-{}, plan: paid, user: user-{}")],
        headers: "authorization: Bearer key-{}",
    },
];

impl Traffic {
    /// The preset with a directory of a thousand callers.
    fn policy(&self, paths: &Paths) -> PathBuf {
        let preset = fs::read_to_string(format!("envoy/presets/{}.yaml", self.preset)).unwrap();
        let (before, rest) = preset.split_once("  directory:\n").unwrap();
        // Behind the entries the next key of `callers` follows, as deep as `directory` itself.
        let after = rest.match_indices("\n  ").find(|(at, _)| !rest[at + 3..].starts_with(' ')).unwrap().0;
        let mut entries = String::new();
        for (number, (secret, says)) in (0..CALLERS).flat_map(|number| self.entries.iter().map(move |it| (number, it)))
        {
            let digest = Hex(Sha256::digest(numbered(secret, number)).into());
            writeln!(entries, "    - {{ sha256: {digest:x}, {} }}", numbered(says, number)).unwrap();
        }
        let file = paths.scratch.path().join(format!("{}.yaml", self.preset));
        fs::write(&file, format!("{before}  directory:\n{entries}{}", &rest[after + 1..])).unwrap();
        file
    }
}

fn numbered(text: &str, number: usize) -> String {
    text.replace("{}", &number.to_string())
}

/// Processor time per request, added over no filter.
fn requests(paths: &Paths) {
    // No filter, one that does nothing, then each preset; the first two get requests as the first preset does.
    let kinds: Vec<&str> =
        ["no filter", "no-op filter"].into_iter().chain(TRAFFIC.iter().map(|it| it.preset)).collect();
    let traffic = |kind: usize| &TRAFFIC[kind.saturating_sub(2)];
    let ports: Vec<u16> = kinds.iter().map(|_| free_port()).collect();
    let listeners = ports.iter().enumerate().map(|(kind, port)| {
        let mut listener = listener(paths, &traffic(kind).policy(paths), *port);
        let filters =
            listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"].as_array_mut().unwrap();
        match kind {
            0 => drop(filters.remove(0)),
            1 => {
                let vm = &mut filters[0]["typed_config"]["config"]["vm_config"];
                vm["vm_id"] = json!("noop");
                vm["code"]["local"]["filename"] = json!(paths.noop);
            }
            _ => {}
        }
        listener
    });
    let envoy = Envoy::start(paths, listeners.collect());
    let mut clients: Vec<Client> = ports.into_iter().map(Client::connect).collect();
    let mut costs = vec![Vec::new(); kinds.len()];
    for round in 0..=ROUNDS {
        for (kind, client) in clients.iter_mut().enumerate() {
            let traffic = traffic(kind);
            let before = envoy.cpu_nanos();
            client.send(REQUESTS_PER_ROUND, traffic.path, |number| {
                numbered(traffic.headers, (round * REQUESTS_PER_ROUND + number) % CALLERS)
            });
            let cost = (envoy.cpu_nanos() - before) as f64 / REQUESTS_PER_ROUND as f64 / 1_000.0;
            // The first round warms everything up.
            if round > 0 {
                costs[kind].push(cost);
            }
        }
    }
    // Round by round, so that a slow stretch of the machine is in both sides of a difference.
    let over = |costs: &[f64], base: &[f64]| median(&costs.iter().zip(base).map(|(a, b)| a - b).collect::<Vec<_>>());
    let added: Vec<f64> = costs.iter().map(|kind| over(kind, &costs[0])).collect();
    println!(
        "processor time of Envoy per request, median of {ROUNDS} rounds of {REQUESTS_PER_ROUND}, in microseconds:"
    );
    for (index, kind) in kinds.iter().enumerate() {
        println!(
            "  {kind:14} {:6.2}   added over no filter {:5.2}   ratio to no-op {:4.2}",
            median(&costs[index]),
            added[index],
            added[index] / added[1]
        );
    }
}

/// Memory for a hundred thousand keys, each of which was seen once, by the kind of the limit.
fn keys(paths: &Paths) {
    for (kind, rule) in [
        ("bucket", "bucket: { burst: 1000000, refill: 1000000/h }"),
        ("rolling, exact", "rolling: { quota: 32, window: 1h }"),
        ("rolling, coarse", "rolling: { quota: 1000000, window: 1h }"),
        ("calendar", "calendar: { quota: 1000000, window: 1mo }"),
    ] {
        let policy = paths.scratch.path().join("keys.yaml");
        let text = format!(
            "version: 1\nname: keys\ncallers:\n  credentials: [{{ name: api_key, header: x-api-key }}]\n  unknown: anonymous\n\
            limits: [{{ name: one, for: {{ routes: [\"/keys\"] }}, per: [api_key], {rule} }}]\n"
        );
        fs::write(&policy, text).unwrap();
        let port = free_port();
        let envoy = Envoy::start(paths, vec![listener(paths, &policy, port)]);
        let mut client = Client::connect(port);
        client.send(20_000, "/warm", |number| numbered("x-api-key: key-{}", number));
        let before = envoy.allocated_bytes();
        client.send(KEYS, "/keys", |number| numbered("x-api-key: key-{}", number));
        let grown = envoy.allocated_bytes() - before;
        println!("memory for {KEYS} keys, {kind}: {} KB, {:.1} bytes a key", grown / 1_000, grown as f64 / KEYS as f64);
    }
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

    /// Sends `requests` requests, each with the lines that `credential` gives; all are admitted.
    fn send(&mut self, requests: usize, path: &str, credential: impl Fn(usize) -> String) {
        for first in (0..requests).step_by(CONNECTIONS) {
            for (offset, connection) in self.connections.iter_mut().enumerate() {
                let credential = credential(first + offset);
                let text = format!(
                    "GET {path} HTTP/1.1\r\nhost: gateway\r\nuser-agent: figures/1\r\naccept: */*\r\n\
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
