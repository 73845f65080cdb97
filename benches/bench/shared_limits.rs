//! The cost of a limit that all proxies share, next to the same limit of one proxy: with a Redis of
//! its own on loopback.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::{Rounds, over};

const ROUNDS: usize = 120;
const SECONDS_MAX: u64 = 60;
const REQUESTS_PER_ROUND: usize = 480;

/// Callers whose leases are warm.
const CALLERS: usize = 100;

/// A limit that nothing exhausts.
const POLICY: &str = "version: 1
name: NAME
callers: { attributes: { org: [{ header: x-org, trusted: true }] } }
limits: [{ name: one, per: [org], SCOPE, rolling: { quota: 1_000_000, window: 1h } }]
store: { engine: { redis: sluicegate_engine, timeout: 1s } }
";

/// One listener, and whose requests it gets.
struct Kind {
    name: &'static str,
    filter: Filter,
    scope: &'static str,
    /// Each request is that of a new caller.
    is_new: bool,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "no filter",
        filter: Filter::Missing,
        scope: "scope: proxy",
        is_new: false,
    },
    Kind {
        name: "`scope: proxy`",
        filter: Filter::Sluicegate,
        scope: "scope: proxy",
        is_new: false,
    },
    Kind {
        name: "`scope: global`, 100 callers with leases",
        filter: Filter::Sluicegate,
        scope: "scope: global",
        is_new: false,
    },
    Kind {
        name: "`scope: proxy`, a new caller each time",
        filter: Filter::Sluicegate,
        scope: "scope: proxy",
        is_new: true,
    },
    Kind {
        name: "`scope: global`, a new caller each time: each request waits, 16 at a time",
        filter: Filter::Sluicegate,
        scope: "scope: global",
        is_new: true,
    },
];

/// A Redis, which ends with the program.
struct Redis(Child);

impl Redis {
    fn start(port: u16) -> Self {
        let server = std::env::var_os("REDIS").expect("REDIS is not set: run `make bench`");
        let child = Command::new(server)
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--port",
                &port.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("a redis-server");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "Redis does not listen"
            );
            sleep(Duration::from_millis(5));
        }
        Self(child)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn policy(paths: &Paths, number: usize, scope: &str) -> PathBuf {
    let name = format!("shared-{number}");
    let text = POLICY.replace("NAME", &name).replace("SCOPE", scope);
    let file = paths.scratch.path().join(format!("{name}.yaml"));
    fs::write(&file, text).unwrap();
    file
}

/// Measures processor time of Envoy per request, and how many requests cause a call.
pub(crate) fn processor_time(paths: &Paths, report: &mut Report) {
    let engine = free_port();
    let _redis = Redis::start(engine);
    let ports: Vec<u16> = KINDS.iter().map(|_| free_port()).collect();
    let places = KINDS.iter().enumerate().zip(&ports);
    let listeners = places.map(|((number, kind), port)| {
        let policy = policy(paths, number, kind.scope);
        listener(paths, &policy, *port, kind.filter, Answer::Direct)
    });
    let envoy = Envoy::start_with_engine(paths, listeners.collect(), engine);
    let mut clients: Vec<Client> = ports.into_iter().map(Client::connect).collect();
    let callers = Cell::new(0_usize);
    let costs = Rounds::new(ROUNDS, SECONDS_MAX).costs(&mut clients, |_, place, client| {
        let kind = &KINDS[place];
        let request = |number: usize| {
            let caller = if kind.is_new {
                callers.set(callers.get() + 1);
                callers.get() + CALLERS
            } else {
                number % CALLERS
            };
            ("/".to_owned(), format!("x-org: {caller}"))
        };
        envoy.micros(|| client.send(REQUESTS_PER_ROUND, request, admitted))
            / REQUESTS_PER_ROUND as f64
    });
    let mut table = Table::new(
        "shared",
        "Limits that all proxies share",
        &[
            ("whole", "µs", 2),
            ("added over no filter", "µs", 2),
            ("calls to the engine per 100 requests", "", 2),
        ],
    );
    for (place, kind) in KINDS.iter().enumerate() {
        let mut figures = vec![Figure::of(&costs[place])];
        if place > 0 {
            figures.push(Figure::of(&over(&costs[place], &costs[0])));
            let calls = envoy.counted(&format!("shared-{place};.*engine_calls_total"));
            let requests = costs[place].len() * REQUESTS_PER_ROUND;
            figures.push(Figure::one(calls as f64 * 100.0 / requests as f64));
        }
        table.row(kind.name, figures);
    }
    table.note(format!(
        "Medians of {} rounds of {REQUESTS_PER_ROUND} requests each, interleaved. Half of the \
         rounds are between the numbers in parentheses. One worker, a Redis on loopback. Calls are \
         part of the processor time, those of the first contact of each caller too.",
        costs[0].len()
    ));
    report.add(&table);
}
