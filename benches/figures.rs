//! What a request and its body cost in Envoy, and a key and an open stream in memory: `make figures`.
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

#[path = "figures/bodies.rs"]
mod bodies;
#[path = "figures/client.rs"]
mod client;
#[path = "figures/envoy.rs"]
mod envoy;
#[path = "figures/handoff.rs"]
mod handoff;
#[path = "figures/upstream.rs"]
mod upstream;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use client::Client;
use envoy::{Answer, Envoy, Filter, Paths, free_port, listener};
use sha2::{Digest as _, Sha256};

const ROUNDS: usize = 100;
const REQUESTS_PER_ROUND: usize = 480;
const CALLERS: usize = 1_000;
const KEYS: usize = 100_000;
/// Measures something, and prints what comes of it.
type Measure = fn(&Paths);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this, too, and has nothing to measure.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let paths = Paths::from_environment();
    println!("wasm: {} bytes", fs::metadata(&paths.wasm).unwrap().len());
    let all: [(&str, Measure); 6] = [
        ("requests", requests),
        ("bodies", bodies::processor_time),
        ("handoff", handoff::latency),
        ("keys", keys),
        ("streams", bodies::memory),
        ("start", start),
    ];
    // Those that are named behind `--`, or all.
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let any = all.iter().any(|(name, _)| named(name));
    all.iter().filter(|(name, _)| !any || named(name)).for_each(|(_, measure)| measure(&paths));
}

/// A preset, and requests of its own kind, all of which it admits.
struct Traffic {
    preset: &'static str,
    path: &'static str,
    /// What a directory's entries say, and what a request presents: `{}` is the caller's number.
    entries: &'static [(&'static str, &'static str)],
    headers: &'static str,
}

const TRAFFIC: [Traffic; 5] = [
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
    // A pool that never fills, and nothing else.
    Traffic {
        preset: "dynatrace",
        path: "/api/v2/entities",
        entries: &[("key-{}", "environment: env-{}, user: user-{}")],
        headers: "authorization: Api-Token key-{}",
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
        let filter = [Filter::Missing, Filter::Noop].get(kind).copied().unwrap_or(Filter::Sluicegate);
        listener(paths, &traffic(kind).policy(paths), *port, filter, Answer::Direct)
    });
    let envoy = Envoy::start(paths, listeners.collect(), None);
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
        let listener = listener(paths, &policy, port, Filter::Sluicegate, Answer::Direct);
        let envoy = Envoy::start(paths, vec![listener], None);
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
        for (filter, times) in [Filter::Missing, Filter::Sluicegate].into_iter().zip(&mut times) {
            let policy = Path::new("envoy/presets/enterprise-v2.yaml");
            let listener = listener(paths, policy, free_port(), filter, Answer::Direct);
            let begun = Instant::now();
            drop(Envoy::start(paths, vec![listener], None));
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
