//! The cost of the store with a growing number of keys, up to ten million.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::machine;
use crate::report::{Figure, Report, Table};
use crate::statistics::{Rounds, over};

const STEPS: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// The limits that one request meets while the store fills, each with a key of its own.
const KEYS_PER_REQUEST: usize = 20;
/// More than in other parts, so that Envoy does not wait for the client.
const CONNECTIONS: usize = 64;
/// The requests between two readings of the clock.
const BLOCK: usize = 8_000;
const ROUNDS: usize = 30;
const REQUESTS_PER_ROUND: usize = 480;
/// The number of callers whose requests are measured after each step.
const KNOWN: usize = 960;
const SECONDS_MAX: u64 = 100;
/// The most memory that the larger store and the program that fills it may take.
const MEMORY_MB: u64 = 3_000;

const COLUMNS: [(&str, &str, usize); 4] = [
    ("memory of Envoy", "MB", 0),
    ("evicted", "", 0),
    ("of a known caller, added over no filter", "µs a request", 2),
    ("of a new key", "µs", 2),
];

struct Store {
    name: &'static str,
    keys_max: usize,
    memory_mb: u64,
}

const STORES: [Store; 2] = [
    Store {
        name: "keys_max: 100000, the default",
        keys_max: 100_000,
        memory_mb: 300,
    },
    Store {
        name: "keys_max: 15000000, room for all",
        keys_max: 15_000_000,
        memory_mb: MEMORY_MB,
    },
];

/// Measures memory, evictions and processor time after each step, with room for few keys and for
/// all.
pub(crate) fn measure(paths: &Paths, report: &mut Report) {
    for store in &STORES {
        let free = machine::free_mb();
        if free < store.memory_mb {
            let why = format!(
                "{free} MB of memory are free, but it may need {} MB",
                store.memory_mb
            );
            report.missing("crowd", store.name, &why);
            continue;
        }
        store.measure(paths, report);
    }
}

/// A request of one of the known callers.
fn known(number: usize) -> (String, String) {
    (
        "/known".to_owned(),
        format!("x-key: known-{}", number % KNOWN),
    )
}

/// Sends requests with new keys, from number `first` on; returns how many were sent before `end`.
fn fill(client: &mut Client, first: usize, more: usize, end: Instant) -> usize {
    let mut sent = 0;
    while sent < more && Instant::now() < end {
        let count = (more - sent).min(BLOCK);
        let start = first + sent;
        let new = |number| ("/new".to_owned(), format!("x-key: new-{}", start + number));
        client.send(count, new, admitted);
        sent += count;
    }
    sent
}

impl Store {
    fn measure(&self, paths: &Paths, report: &mut Report) {
        let policy = self.policy(paths);
        let ports = [free_port(), free_port()];
        let listeners = [Filter::Missing, Filter::Sluicegate]
            .into_iter()
            .zip(ports)
            .map(|(filter, port)| listener(paths, &policy, port, filter, Answer::Direct));
        let envoy = Envoy::start(paths, listeners.collect(), None);
        let [mut without, mut with] = ports.map(Client::connect);
        let mut filling = Client::of(CONNECTIONS, ports[1]);
        let mut table = Table::new(
            "crowd",
            format!("Distinct keys, with {}", self.name),
            &COLUMNS,
        );
        with.send(2 * KNOWN, known, admitted);
        let end = Instant::now() + Duration::from_secs(SECONDS_MAX);
        let mut requests = 0;
        for step in STEPS {
            let (first, more) = (requests, step.div_ceil(KEYS_PER_REQUEST) - requests);
            let mut sent = 0;
            let spent = envoy.micros(|| sent = fill(&mut filling, first, more, end));
            requests += sent;
            if sent < more {
                let why = format!(
                    "only {} keys were sent in {SECONDS_MAX} s",
                    requests * KEYS_PER_REQUEST
                );
                report.missing("crowd", &format!("{step} keys with {}", self.name), &why);
                break;
            }
            let resident = envoy.resident_bytes() as f64 / 1e6;
            let evicted = envoy.counted("records_evicted_total") as f64;
            let costs = Rounds::new(ROUNDS, 10).costs(
                &mut [&mut without, &mut with],
                |round, _, client| {
                    let request = |number| known(round * REQUESTS_PER_ROUND + number);
                    envoy.micros(|| client.send(REQUESTS_PER_ROUND, request, admitted))
                        / REQUESTS_PER_ROUND as f64
                },
            );
            let each = spent / (sent * KEYS_PER_REQUEST) as f64;
            let figures = [
                Figure::one(resident),
                Figure::one(evicted),
                Figure::of(&over(&costs[1], &costs[0])),
                Figure::one(each),
            ];
            table.row(format!("{} keys", requests * KEYS_PER_REQUEST), figures);
        }
        table.note(format!(
            "Memory is the process's memory that no file backs. Each request brings \
             {KEYS_PER_REQUEST} keys, one for \
             each limit that applies; the last column is all of Envoy's processor time for such a \
             request, divided by \
             its keys. One limit applies to the {KNOWN} known callers. After a row that evicts, \
             they may be new again."
        ));
        report.add(&table);
    }

    /// A counter needs hours to refill, so that none is full again during the run.
    fn policy(&self, paths: &Paths) -> PathBuf {
        let limit = |name: &str, path: &str| {
            format!(
                "  - {{ name: {name}, for: {{ routes: [{path}] }}, per: [key], bucket: {{ \
                 burst: 300, refill: 1/d }} }}\n"
            )
        };
        let limits: String = (0..KEYS_PER_REQUEST)
            .map(|number| limit(&format!("new-{number}"), "/new"))
            .collect();
        let text = format!(
            "version: 1\nname: crowd\nstore: {{ keys_max: {} }}\n\
             callers:\n  credentials: [{{ name: key, header: x-key }}]\n  unknown: anonymous\n\
             limits:\n{}{limits}",
            self.keys_max,
            limit("known", "/known"),
        );
        let file = paths.scratch.path().join("crowd.yaml");
        fs::write(&file, text).unwrap();
        file
    }
}
