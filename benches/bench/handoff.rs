//! The latency that a slot's transfer from one request to the next adds.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::client::{admitted, begin, connect, receive, upload};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::upstream;

const ROUNDS: usize = 400;

const POLICY: &str = "version: 1
name: handoff
concurrency:
  - { name: pool, per: [], slots: 1, queue: { length: 8, timeout: 30s } }
";

/// One slot: a request holds it and ends, another waits for it. Measures the time between their
/// responses, minus that of a request that finds the slot free.
pub(crate) fn latency(paths: &Paths, report: &mut Report) {
    let policy = paths.scratch.path().join("handoff.yaml");
    fs::write(&policy, POLICY).unwrap();
    let upstream = upstream::serve();
    let mut table = Table::new(
        "handoff",
        "From one request's answer to that of the next",
        &[("median", "µs", 0), ("nine tenths below", "µs", 0)],
    );
    for workers in [1, 2] {
        let port = free_port();
        let listeners = vec![listener(
            paths,
            &policy,
            port,
            Filter::Sluicegate,
            Answer::Upstream,
        )];
        let _envoy = Envoy::start_with(paths, listeners, Some(upstream), workers);
        let (mut alone, mut handed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            // New connections, so that both workers get some.
            let (mut first, mut second) = (connect(port), connect(port));
            upload(&mut second, "x-round: 1", b"ab");
            let begun = Instant::now();
            upload(&mut second, "x-round: 1", b"ab");
            alone.push(begun.elapsed());
            // The previous request has released its slot.
            std::thread::sleep(Duration::from_millis(2));
            begin(&mut first, "x-round: 1", 2, b"a");
            std::thread::sleep(Duration::from_millis(2));
            begin(&mut second, "x-round: 1", 2, b"ab");
            std::thread::sleep(Duration::from_millis(2));
            first.get_mut().write_all(b"b").unwrap();
            admitted(receive(&mut first));
            let begun = Instant::now();
            admitted(receive(&mut second));
            handed.push(begun.elapsed());
        }
        for (name, mut times) in [
            ("the slot is free", alone),
            ("the request waits for the slot", handed),
        ] {
            times.sort_unstable();
            let at = |tenths: usize| {
                Figure::one(times[times.len() * tenths / 10].as_nanos() as f64 / 1e3)
            };
            table.row(
                format!("{workers} workers, {name}").replace("1 workers", "1 worker"),
                [at(5), at(9)],
            );
        }
    }
    table.note(format!(
        "{ROUNDS} rounds each, of two requests that share one slot of a pool."
    ));
    report.add(&table);
}
