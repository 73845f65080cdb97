//! What a slot's way from one request to the next adds to the next one's answer.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::client::{begin, connect, receive, upload};
use crate::envoy::{Answer, Envoy, Filter, Paths, free_port, listener};
use crate::upstream;

const ROUNDS: usize = 400;

const POLICY: &str = "version: 1
name: handoff
concurrency:
  - { name: pool, per: [], slots: 1, queue: { length: 8, timeout: 30s } }
";

/// One slot: a request holds it and ends, another waits for it. The time between their answers, less
/// what a request takes that finds the slot free.
pub(crate) fn latency(paths: &Paths) {
    let policy = paths.scratch.path().join("handoff.yaml");
    fs::write(&policy, POLICY).unwrap();
    let upstream = upstream::serve();
    println!("\nhandoff of a slot, in µs: median, nine tenths");
    for workers in [1, 2] {
        let port = free_port();
        let listeners = vec![listener(paths, &policy, port, Filter::Sluicegate, Answer::Upstream)];
        let _envoy = Envoy::start_with(paths, listeners, Some(upstream), workers);
        let (mut alone, mut handed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            // New connections, so that they come to either worker.
            let (mut first, mut second) = (connect(port), connect(port));
            upload(&mut second, "x-round: 1", b"ab");
            let begun = Instant::now();
            upload(&mut second, "x-round: 1", b"ab");
            alone.push(begun.elapsed());
            // The one before has given its slot back.
            std::thread::sleep(Duration::from_millis(2));
            begin(&mut first, "x-round: 1", 2, b"a");
            std::thread::sleep(Duration::from_millis(2));
            begin(&mut second, "x-round: 1", 2, b"ab");
            std::thread::sleep(Duration::from_millis(2));
            first.get_mut().write_all(b"b").unwrap();
            receive(&mut first);
            let begun = Instant::now();
            receive(&mut second);
            handed.push(begun.elapsed());
        }
        let at = |times: &mut Vec<Duration>, share: usize| {
            times.sort_unstable();
            times[times.len() * share / 10].as_micros()
        };
        println!("  {workers} worker(s): a free slot {} {}", at(&mut alone, 5), at(&mut alone, 9));
        println!("               a slot that is handed over {} {}", at(&mut handed, 5), at(&mut handed, 9));
    }
}
