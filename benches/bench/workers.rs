//! The cost of counters that all workers share.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::client::{self, Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::{Rounds, over};

const WORKERS: [u32; 2] = [1, 2];
const ROUNDS: usize = 100;
const SECONDS_MAX: u64 = 40;
const REQUESTS_PER_ROUND: usize = 1_280;
/// More than in other parts, so that no worker waits for the client.
const CONNECTIONS: usize = 64;
const KEYS: usize = 1_000;
const QUOTA: u64 = 999_999_999;

const KINDS: [(&str, Filter, usize); 3] = [
    ("no filter", Filter::Missing, 1),
    ("one hot key", Filter::Sluicegate, 1),
    ("1000 keys", Filter::Sluicegate, KEYS),
];

const COLUMNS: [(&str, &str, usize); 5] = [
    ("whole", "µs", 2),
    ("added over no filter", "µs", 2),
    ("conflicts", "", 0),
    ("faults", "", 0),
    ("not counted", "", 0),
];

/// Measures processor time with one worker and with two, on one key and on many, and checks the
/// counts.
pub(crate) fn processor_time(paths: &Paths, report: &mut Report) {
    let mut envoys = WORKERS.map(|workers| start(paths, workers));
    let sent = envoys.iter_mut().flat_map(|(envoy, _, clients)| {
        let envoy = &*envoy;
        KINDS
            .iter()
            .zip(clients)
            .map(move |((_, _, keys), client)| (envoy, *keys, client))
    });
    let costs = Rounds::new(ROUNDS, SECONDS_MAX).costs(
        &mut sent.collect::<Vec<_>>(),
        |round, _, (envoy, keys, client)| {
            let name = if *keys == 1 { "hot" } else { "many" };
            let request = |number| {
                (
                    "/".to_owned(),
                    format!("x-key: {name}-{}", (round + number) % *keys),
                )
            };
            envoy.micros(|| client.send(REQUESTS_PER_ROUND, request, admitted))
                / REQUESTS_PER_ROUND as f64
        },
    );
    // The warm-up round was counted, too.
    let hot = (costs[0].len() as u64 + 1) * REQUESTS_PER_ROUND as u64;
    let mut table = Table::new(
        "workers",
        "Processor time of Envoy per request, by workers",
        &COLUMNS,
    );
    for (((envoy, ports, _), costs), workers) in
        envoys.iter().zip(costs.chunks(KINDS.len())).zip(WORKERS)
    {
        for ((name, filter, keys), cost) in KINDS.iter().zip(costs) {
            let mut figures = vec![Figure::of(cost)];
            if *filter == Filter::Sluicegate {
                figures.push(Figure::of(&over(cost, &costs[0])));
                // Both kinds of keys count in one policy.
                let counted = |counter| Figure::one(envoy.counted(counter) as f64);
                figures.extend([
                    counted("sluicegate_conflicts_total"),
                    counted("sluicegate_faults_total"),
                ]);
            }
            if *filter == Filter::Sluicegate && *keys == 1 {
                figures.push(Figure::one(hot as f64 - taken(ports[1]) as f64));
            }
            table.row(
                format!("{workers} workers, {name}").replace("1 workers", "1 worker"),
                figures,
            );
        }
    }
    table.note(format!(
        "Medians of {} rounds of {REQUESTS_PER_ROUND} requests each, interleaved, on {CONNECTIONS} \
         connections, which the workers share evenly. Conflicts and faults are \
         `sluicegate_conflicts_total` and \
         `sluicegate_faults_total` of that Envoy over all keys. After a conflict the worker reads \
         the page again. \"Not \
         counted\" is the number of admitted requests, of {hot}, that the hot key's counter lacks.",
        costs[0].len()
    ));
    report.add(&table);
}

/// An Envoy with a listener of each kind; the ports, and a client of each.
fn start(paths: &Paths, workers: u32) -> (Envoy, Vec<u16>, Vec<Client>) {
    let policy = policy(paths);
    let ports = [free_port(), free_port(), free_port()];
    let listeners = KINDS.iter().zip(ports).map(|((_, filter, _), port)| {
        let mut listener = listener(paths, &policy, port, *filter, Answer::Direct);
        // Each worker gets half of the connections.
        listener["connection_balance_config"] = json!({ "exact_balance": {} });
        listener
    });
    let envoy = Envoy::start_with(paths, listeners.collect(), None, workers);
    let clients = ports.map(|port| Client::of(CONNECTIONS, port));
    (envoy, ports.to_vec(), clients.into())
}

/// The units that the counter of the hot key has granted, without the request that asks.
fn taken(port: u16) -> u64 {
    let fields = client::fields(&mut client::connect(port), "x-key: hot-0");
    let remaining = fields
        .iter()
        .find_map(|line| line.strip_prefix("x-ratelimit-remaining: "));
    QUOTA - remaining.unwrap().parse::<u64>().unwrap() - 1
}

fn policy(paths: &Paths) -> PathBuf {
    let text = format!(
        "version: 1\nname: workers\ncallers:\n  credentials: [{{ name: key, header: x-key }}]\n  \
         unknown: anonymous\n\
         limits: [{{ name: one, per: [key], calendar: {{ quota: {QUOTA}, window: 12mo }}, \
         failure: deny }}]\n"
    );
    let file = paths.scratch.path().join("workers.yaml");
    fs::write(&file, text).unwrap();
    file
}
