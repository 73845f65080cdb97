//! The native cost of the steps of the request path, over a host that only counts: `make micro`.
//!
//! Each case has three measures: its time, its instructions (by callgrind, if valgrind is
//! installed) and its allocations. The cases take turns, round after round, so that a noisy machine
//! affects the times of all alike; only ratios within one run are meaningful. Instructions vary by
//! less than one percent from run to run. Like wasm, valgrind has no instructions for SHA-256.
//!
//! A second table shows the host calls of a request of each preset. These are free here, but
//! expensive in a VM.
//!
//! Arguments: one part (`--times`, `--callgrind`, `--host-calls`), `--json FILE`, and words, of
//! which the name of a case must contain one. `--check FILE` compares all but the times with a
//! baseline, and `--accept FILE` writes it.

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

#[path = "micro/baseline.rs"]
mod baseline;
#[path = "micro/callgrind.rs"]
mod callgrind;
#[path = "micro/cases.rs"]
mod cases;
#[path = "micro/host.rs"]
mod host;
#[path = "micro/host_calls.rs"]
mod host_calls;
#[path = "micro/memory.rs"]
mod memory;
#[path = "micro/table.rs"]
mod table;
#[path = "micro/traffic.rs"]
mod traffic;

use std::fs;
use std::time::Instant;

use cases::{Case, one_turn};
use table::Row;

const ROUNDS: usize = 150;

/// The parts that can be selected; all if none is.
const TIMES: &str = "--times";
const CALLGRIND: &str = "--callgrind";
const HOST_CALLS: &str = "--host-calls";

/// The arguments before a file.
const JSON: &str = "--json";
const CHECK: &str = "--check";
const ACCEPT: &str = "--accept";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_there = |name: &str| arguments.iter().any(|argument| argument == name);
    // `cargo test --benches` runs this, too, and there is nothing to measure.
    if !is_there("--bench") {
        return;
    }
    let files = [JSON, CHECK, ACCEPT].map(|name| file_after(&arguments, name));
    let words = arguments.iter().map(String::as_str);
    let words: Vec<&str> = words
        .filter(|word| !word.starts_with("--") && !files.contains(&Some(*word)))
        .collect();
    if is_there(callgrind::COUNTED) {
        callgrind::run(&mut cases::named(&words));
        return;
    }
    let [json, check, accept] = files;
    if check.or(accept).is_some() {
        return compare(check, accept);
    }
    let wants = |part| is_there(part) || ![TIMES, CALLGRIND, HOST_CALLS].into_iter().any(is_there);
    let rows = if wants(TIMES) || wants(CALLGRIND) {
        rows(&words, wants(TIMES), wants(CALLGRIND))
    } else {
        Vec::new()
    };
    if !rows.is_empty() {
        print!("\n{}", table::of_cases(&rows));
    }
    let profiles = if wants(HOST_CALLS) {
        host_calls::profiles()
    } else {
        Vec::new()
    };
    if !profiles.is_empty() {
        print!("\n{}", table::of_host_calls(&profiles));
    }
    if let Some(file) = json {
        fs::write(file, format!("{:#}\n", table::to_json(&rows, &profiles))).unwrap();
    }
}

/// The file that an argument names.
fn file_after<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let place = arguments.iter().position(|argument| argument == name)?;
    Some(arguments.get(place + 1).expect("a file"))
}

/// Compares the costs with the accepted ones, or accepts them.
fn compare(check: Option<&str>, accept: Option<&str>) {
    let (rows, profiles) = (rows(&[], false, true), host_calls::profiles());
    let failed = rows.iter().any(|row| row.instructions.is_none());
    let result = match (check, accept) {
        // The reason is printed.
        _ if failed => Err(String::new()),
        (Some(file), _) => baseline::check(file, &rows, &profiles),
        (None, Some(file)) => {
            baseline::accept(file, &rows, &profiles);
            Ok(())
        }
        (None, None) => Ok(()),
    };
    if let Err(why) = result {
        println!("\n{why}");
        std::process::exit(1);
    }
}

fn rows(words: &[&str], with_times: bool, with_instructions: bool) -> Vec<Row> {
    let mut cases = cases::named(words);
    let times = if with_times {
        nanoseconds(&mut cases)
    } else {
        Vec::new()
    };
    let instructions = if with_instructions {
        callgrind::instructions(&cases, words)
            .inspect_err(|why| println!("{why}"))
            .unwrap_or_default()
    } else {
        Vec::new()
    };
    let mut rows = Vec::new();
    for (number, case) in cases.iter_mut().enumerate() {
        rows.push(Row {
            case: case.name.clone(),
            bytes: case.bytes,
            nanoseconds: times.get(number).copied(),
            instructions: instructions.get(number).copied(),
            allocations: allocations(case),
        });
    }
    rows
}

/// The median time of each case over all rounds.
fn nanoseconds(cases: &mut [Case]) -> Vec<f64> {
    let mut rounds = vec![Vec::new(); cases.len()];
    for round in 0..=ROUNDS {
        for (case, rounds) in cases.iter_mut().zip(&mut rounds) {
            let begun = Instant::now();
            one_turn(case);
            let spent = begun.elapsed().as_nanos() as f64 / case.times as f64;
            // The first round is a warm-up.
            if round > 0 {
                rounds.push(spent);
            }
        }
    }
    rounds.into_iter().map(median).collect()
}

fn allocations(case: &mut Case) -> f64 {
    one_turn(case);
    let before = memory::allocations();
    one_turn(case);
    (memory::allocations() - before) as f64 / case.times as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
