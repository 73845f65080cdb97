//! The cost of each host call, measured by a filter that makes it eight times.

use std::fs;

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::{Rounds, over};
use crate::traffic::TRAFFIC;

const ROUNDS: usize = 120;
const SECONDS_MAX: u64 = 60;
const REQUESTS_PER_ROUND: usize = 320;
/// The number of calls that the filter makes for each request.
const TIMES: f64 = 8.0;

/// The names in `examples/calls.rs`, with descriptions.
const CALLS: [(&str, &str); 14] = [
    ("all-headers", "all headers of the request"),
    ("header", "one header"),
    ("absent-header", "a header that is not there"),
    ("property", "a property"),
    ("empty-property", "a property without a value"),
    ("clock", "the clock"),
    ("shared-get", "read shared data, 64 bytes"),
    ("shared-get-empty", "read shared data, without a value"),
    ("shared-set", "write shared data, 64 bytes"),
    ("shared-set-keys", "the same, of 1,000 keys in turn"),
    ("set-field", "set a field of the response"),
    ("add-field", "add a field to the response"),
    ("counter", "count"),
    ("filter-state", "set filter state, 48 bytes"),
];

pub(crate) fn processor_time(paths: &Paths, report: &mut Report) {
    let traffic = &TRAFFIC[0];
    let policy = traffic.policy(paths);
    assert!(
        fs::exists(&paths.calls).unwrap(),
        "{} does not exist",
        paths.calls.display()
    );
    let filters = [Filter::Missing, Filter::Noop]
        .into_iter()
        .chain(CALLS.map(|(name, _)| Filter::Call(name)));
    let (ports, listeners): (Vec<u16>, Vec<_>) = filters
        .map(|filter| {
            let port = free_port();
            (port, listener(paths, &policy, port, filter, Answer::Direct))
        })
        .unzip();
    let envoy = Envoy::start(paths, listeners, None);
    let mut clients: Vec<Client> = ports.into_iter().map(Client::connect).collect();
    let costs = Rounds::new(ROUNDS, SECONDS_MAX).costs(&mut clients, |_, _, client| {
        let cost = envoy.micros(|| {
            client.send(
                REQUESTS_PER_ROUND,
                |number| traffic.request(number),
                admitted,
            )
        });
        cost / REQUESTS_PER_ROUND as f64
    });
    let [missing, noop, calls @ ..] = &costs[..] else {
        return;
    };
    let mut table = Table::new(
        "calls",
        "Processor time of Envoy per host call",
        &[("one", "µs", 2)],
    );
    table.row(
        "a stream of a filter that does nothing",
        [Figure::of(&over(noop, missing))],
    );
    for ((_, name), costs) in CALLS.iter().zip(calls) {
        let one: Vec<f64> = over(costs, noop)
            .iter()
            .map(|added| added / TIMES)
            .collect();
        table.row(*name, [Figure::of(&one)]);
    }
    table.note(format!(
        "Medians of {} rounds of {REQUESTS_PER_ROUND} requests each, interleaved, with eight such \
         calls per request. \
         Half of the rounds are between the numbers in parentheses. The first row is relative to \
         no filter, the other \
         rows to the first.",
        noop.len()
    ));
    report.add(&table);
}
