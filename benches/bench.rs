//! Measures the cost of the filter in Envoy, in processor time, memory and latency, compared with
//! other filters: `make bench`.
//!
//! Each variant is a listener of one Envoy. The variants are measured in turn, round after round,
//! by the processor time of Envoy's threads (`/proc/PID/task/*/schedstat`), so that a noisy machine
//! affects all of them alike. Only ratios and differences within one run are meaningful.
//!
//! If a machine cannot measure something, the report says so, and the other parts continue.

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

#[path = "bench/bodies.rs"]
mod bodies;
#[path = "bench/calls.rs"]
mod calls;
#[path = "bench/client.rs"]
mod client;
#[path = "bench/crafted.rs"]
mod crafted;
#[path = "bench/crowd.rs"]
mod crowd;
#[path = "bench/envoy.rs"]
mod envoy;
#[path = "bench/handoff.rs"]
mod handoff;
#[path = "bench/hostile.rs"]
mod hostile;
#[path = "bench/keys.rs"]
mod keys;
#[path = "bench/latency.rs"]
mod latency;
#[path = "bench/listener.rs"]
mod listener;
#[path = "bench/machine.rs"]
mod machine;
#[path = "bench/policies.rs"]
mod policies;
#[path = "bench/reload.rs"]
mod reload;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/requests.rs"]
mod requests;
#[path = "bench/samples.rs"]
mod samples;
#[path = "bench/shared_limits.rs"]
mod shared_limits;
#[path = "bench/start.rs"]
mod start;
#[path = "bench/statistics.rs"]
mod statistics;
#[path = "bench/streams.rs"]
mod streams;
#[path = "bench/traffic.rs"]
mod traffic;
#[path = "bench/turns.rs"]
mod turns;
#[path = "bench/upstream.rs"]
mod upstream;
#[path = "bench/workers.rs"]
mod workers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use envoy::Paths;
use report::Report;

/// A part that can be measured alone, by its name after `--`.
struct Part {
    name: &'static str,
    /// Whether it needs the processor time of threads.
    clock: bool,
    measure: fn(&Paths, &mut Report),
}

const PARTS: [Part; 14] = [
    Part {
        name: "shared",
        clock: true,
        measure: shared_limits::processor_time,
    },
    Part {
        name: "requests",
        clock: true,
        measure: requests::processor_time,
    },
    Part {
        name: "calls",
        clock: true,
        measure: calls::processor_time,
    },
    Part {
        name: "bodies",
        clock: true,
        measure: bodies::processor_time,
    },
    Part {
        name: "hostile",
        clock: true,
        measure: hostile::measure,
    },
    Part {
        name: "policies",
        clock: true,
        measure: policies::measure,
    },
    Part {
        name: "workers",
        clock: true,
        measure: workers::processor_time,
    },
    Part {
        name: "keys",
        clock: false,
        measure: keys::memory,
    },
    Part {
        name: "crowd",
        clock: true,
        measure: crowd::measure,
    },
    Part {
        name: "streams",
        clock: false,
        measure: streams::memory,
    },
    Part {
        name: "handoff",
        clock: false,
        measure: handoff::latency,
    },
    Part {
        name: "reload",
        clock: false,
        measure: reload::measure,
    },
    Part {
        name: "start",
        clock: false,
        measure: start::time,
    },
    Part {
        name: "latency",
        clock: false,
        measure: latency::under_load,
    },
];

const RESULTS: &str = "target/bench";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this, too, and there is nothing to measure.
    let Some(names) = arguments
        .iter()
        .any(|it| it == "--bench")
        .then(|| named(&arguments))
    else {
        return ExitCode::SUCCESS;
    };
    if let Some(unknown) = names
        .iter()
        .find(|name| !PARTS.iter().any(|part| part.name == **name))
    {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        eprintln!(
            "unknown part {unknown}; the parts are: {}",
            known.join(", ")
        );
        return ExitCode::from(2);
    }
    // An interrupted run leaves its files.
    let scratch = format!("{RESULTS}/scratch");
    drop(fs::remove_dir_all(&scratch));
    fs::create_dir_all(&scratch).unwrap();
    let paths = Paths::from_environment(&scratch);
    let begun = Instant::now();
    let mut report = Report::begin(
        Path::new(RESULTS).join("bench.json"),
        machine::versions(&paths),
    );
    let clock = machine::counts_processor_time();
    for part in PARTS
        .iter()
        .filter(|part| names.is_empty() || names.contains(&part.name))
    {
        if part.clock && !clock {
            report.missing(
                part.name,
                "everything",
                "this kernel does not count processor time (/proc/PID/task/*/schedstat)",
            );
            continue;
        }
        let begun = Instant::now();
        // A failed part must not stop the others. Its Envoys end as the stack unwinds.
        if let Err(reason) = catch_unwind(AssertUnwindSafe(|| (part.measure)(&paths, &mut report)))
        {
            report.missing(
                part.name,
                "results that are not above",
                panic_message(&*reason),
            );
        }
        report.took(part.name, begun.elapsed().as_secs_f64());
    }
    println!(
        "\n{RESULTS}/bench.json has all results; the run took {:.0} s.",
        begun.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

/// The parts given as arguments, or all.
fn named(arguments: &[String]) -> Vec<&str> {
    arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with('-'))
        .collect()
}

/// The message of a panic.
fn panic_message(reason: &(dyn std::any::Any + Send)) -> &str {
    reason
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| reason.downcast_ref().copied())
        .unwrap_or("it failed")
}
