//! The cost of a large policy, when it is loaded and with each request.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port, offer};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::{Rounds, over};
use crate::traffic::sha256;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// The routes, entries, overrides or limits that requests use.
const MET: usize = 10;
const APPLYING: [usize; 5] = [1, 2, 4, 8, 16];
const LOADS: usize = 5;
const ROUNDS: usize = 40;
const SECONDS_MAX: u64 = 60;
const REQUESTS_PER_ROUND: usize = 480;

const BUCKET: &str = "bucket: { burst: 1000000, refill: 1000000/s }";

/// The part of a policy that grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Limits, of which one applies by its route.
    Limits,
    /// Limits, of which one applies by an attribute of the caller.
    LimitsByAttribute,
    Routes,
    Directory,
    Overrides,
    /// Limits that all apply.
    Applying,
}

const KINDS: [Kind; 5] = [
    Kind::Limits,
    Kind::LimitsByAttribute,
    Kind::Routes,
    Kind::Directory,
    Kind::Overrides,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits, one applies, by its route",
            Self::LimitsByAttribute => "limits, one applies, by an attribute",
            Self::Routes => "routes of a tier",
            Self::Directory => "directory entries",
            Self::Overrides => "overrides of a limit",
            Self::Applying => "limits, all apply",
        }
    }

    fn text(self, name: &str, count: usize) -> String {
        let list = |line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
        // An entry with an organization would take precedence over the header.
        let (entries, says) = if self == Self::Directory {
            (count, "org: org")
        } else {
            (1, "user: user")
        };
        let entries = (0..entries).map(|n| {
            format!(
                "    - {{ sha256: {}, {says}-{n} }}\n",
                sha256(&format!("key-{n}"))
            )
        });
        let mut text = format!(
            "version: 1\nname: {name}\ncallers:\n  credentials: [{{ name: api_key, \
             header: x-api-key }}]\n  directory:\n{}\
             \x20 attributes: {{ org: [{{ header: x-org, trusted: true }}] }}\n",
            entries.collect::<String>()
        );
        match self {
            Self::Limits => {
                let limit = |n| {
                    format!(
                        "  - {{ name: l{n}, for: {{ routes: [\"GET /l{n}/*\"] }}, \
                                 per: [org], {BUCKET} }}\n"
                    )
                };
                write!(text, "limits:\n{}", list(&limit))
            }
            Self::LimitsByAttribute => {
                let limit = |n| {
                    format!(
                        "  - {{ name: l{n}, for: {{ org: org-{n} }}, per: [org], \
                                         {BUCKET} }}\n"
                    )
                };
                write!(text, "limits:\n{}", list(&limit))
            }
            Self::Routes => {
                let route = |n| format!("      - GET /l{n}/*\n");
                let limit = format!(
                    "limits: [{{ name: all, for: {{ tier: many }}, per: [org], \
                                     {BUCKET} }}]"
                );
                write!(
                    text,
                    "tiers:\n  - name: many\n    routes:\n{}{limit}\n",
                    list(&route)
                )
            }
            Self::Directory => writeln!(text, "limits: [{{ name: all, per: [org], {BUCKET} }}]"),
            Self::Overrides => {
                let line = |n| format!("      - {{ for: {{ org: org-{n} }}, burst: 2000000 }}\n");
                let limit = "limits:\n  - name: all\n    per: [org]\n";
                write!(text, "{limit}    {BUCKET}\n    overrides:\n{}", list(&line))
            }
            Self::Applying => {
                let limit = |n| format!("  - {{ name: l{n}, per: [org], {BUCKET} }}\n");
                write!(text, "limits:\n{}", list(&limit))
            }
        }
        .unwrap();
        text
    }
}

/// A policy of one kind and size.
struct Policy {
    kind: Kind,
    count: usize,
}

impl Policy {
    fn file(&self, paths: &Paths, name: &str) -> PathBuf {
        let file = paths.scratch.path().join(format!("{name}.yaml"));
        fs::write(&file, self.kind.text(name, self.count)).unwrap();
        file
    }

    /// Requests use a few parts in turn, from all over the policy. Their number is the same for
    /// each size, since a thousand callers cost more than ten with any policy.
    fn request(&self, number: usize) -> (String, String) {
        let part = number % MET * self.count / MET;
        let of = |kind, otherwise| if self.kind == kind { part } else { otherwise };
        let path = if self.kind == Kind::Routes {
            of(Kind::Routes, 0)
        } else {
            of(Kind::Limits, 0)
        };
        // The directory identifies the organization of the key; in other policies, the header does.
        let org = match self.kind {
            Kind::Directory => String::new(),
            Kind::LimitsByAttribute | Kind::Overrides => format!("x-org: org-{part}\r\n"),
            Kind::Limits | Kind::Routes | Kind::Applying => "x-org: org-0\r\n".to_owned(),
        };
        (
            format!("/l{path}/items"),
            format!("{org}x-api-key: key-{}", of(Kind::Directory, 0)),
        )
    }
}

/// Measures load time and processor time per request, by the size of the policy.
pub(crate) fn measure(paths: &Paths, report: &mut Report) {
    let sized = KINDS
        .iter()
        .flat_map(|kind| SIZES.map(|count| Policy { kind: *kind, count }));
    let applying = APPLYING.map(|count| Policy {
        kind: Kind::Applying,
        count,
    });
    let policies: Vec<Policy> = applying.into_iter().chain(sized).collect();
    let loads = loads(paths, &policies);
    let costs = requests(paths, &policies);
    let mut table = Table::new(
        "policies",
        "The size of a policy",
        &[
            ("policy", "KB", 0),
            ("load", "ms", 0),
            ("a request, added over no filter", "µs", 2),
        ],
    );
    for ((policy, loads), cost) in policies.iter().zip(&loads).zip(&costs[1..]) {
        let size = policy.kind.text("p", policy.count).len() as f64 / 1e3;
        let name = format!("{}: {}", policy.kind.name(), policy.count);
        table.row(
            name,
            [
                Figure::one(size),
                Figure::of(loads),
                Figure::of(&over(cost, &costs[0])),
            ],
        );
    }
    table.note(format!(
        "Load: the time from the new listener's file to its first answer, median of {LOADS}, in an \
         Envoy that has already \
         compiled the filter. Envoy loads the policy three times (on trial, in the main thread, in \
         the worker). Requests: \
         {} rounds of {REQUESTS_PER_ROUND}, interleaved, which use {MET} of the routes, entries, \
         overrides or limits in turn.",
        costs[0].len()
    ));
    report.add(&table);
}

/// The milliseconds until a new policy answers requests.
fn loads(paths: &Paths, policies: &[Policy]) -> Vec<Vec<f64>> {
    let file = paths.scratch.path().join("listeners.json");
    let mut envoy = Envoy::watching(paths, &file);
    // Kept, so that Envoy keeps the compiled filter.
    let first = Policy {
        kind: Kind::Applying,
        count: 1,
    };
    let port = free_port();
    let stays = listener(
        paths,
        &first.file(paths, "first"),
        port,
        Filter::Sluicegate,
        Answer::Direct,
    );
    offer(&file, std::slice::from_ref(&stays));
    answers(&mut envoy, port);
    let mut times = vec![Vec::new(); policies.len()];
    for load in 0..LOADS {
        for ((number, policy), times) in policies.iter().enumerate().zip(&mut times) {
            let port = free_port();
            // Envoy would not load a policy again that it has seen.
            let file_of = policy.file(paths, &format!("p{number}-{load}"));
            let new = listener(paths, &file_of, port, Filter::Sluicegate, Answer::Direct);
            times.push(load_time(&mut envoy, &file, &[stays.clone(), new], port));
        }
    }
    times
}

fn load_time(envoy: &mut Envoy, file: &Path, listeners: &[serde_json::Value], port: u16) -> f64 {
    let begun = Instant::now();
    offer(file, listeners);
    answers(envoy, port);
    begun.elapsed().as_secs_f64() * 1e3
}

/// Waits until a listener answers a request.
fn answers(envoy: &mut Envoy, port: u16) {
    let begun = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n");
            // Its first bytes are enough: Envoy keeps the connection open.
            let mut answer = *b"HTTP/1.1 ???";
            if sent.is_ok() && stream.read_exact(&mut answer).is_ok() {
                return;
            }
        }
        envoy.must_run();
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "Envoy does not apply the policy"
        );
        sleep(Duration::from_millis(1));
    }
}

/// The microseconds per request, without a filter, then with each policy.
fn requests(paths: &Paths, policies: &[Policy]) -> Vec<Vec<f64>> {
    let plain = Policy {
        kind: Kind::Applying,
        count: 1,
    };
    let kinds: Vec<(&Policy, Filter)> = std::iter::once((&plain, Filter::Missing))
        .chain(policies.iter().map(|policy| (policy, Filter::Sluicegate)))
        .collect();
    let ports: Vec<u16> = kinds.iter().map(|_| free_port()).collect();
    let listeners =
        kinds
            .iter()
            .zip(&ports)
            .enumerate()
            .map(|(number, ((policy, filter), port))| {
                listener(
                    paths,
                    &policy.file(paths, &format!("q{number}")),
                    *port,
                    *filter,
                    Answer::Direct,
                )
            });
    let envoy = Envoy::start(paths, listeners.collect(), None);
    let mut clients: Vec<Client> = ports.into_iter().map(Client::connect).collect();
    Rounds::new(ROUNDS, SECONDS_MAX).costs(&mut clients, |round, place, client| {
        let (policy, _) = kinds[place];
        let request = |number| policy.request(round * REQUESTS_PER_ROUND + number);
        envoy.micros(|| client.send(REQUESTS_PER_ROUND, request, admitted))
            / REQUESTS_PER_ROUND as f64
    })
}
