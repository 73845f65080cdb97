//! The latency that the filter adds at a half and a quarter of Envoy's maximum load.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::envoy::{Envoy, Paths, end_with_this_process, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::machine;
use crate::report::{Figure, Report, Table};
use crate::statistics::over;
use crate::traffic::TRAFFIC;

const OHA: &str = "target/tools/bin/oha";
/// Half a gigabyte, kept only during the build.
const BUILD: &str = "target/tools/build";
const OHA_VERSION: &str = "1.16.0";
const CONNECTIONS: &str = "16";
const SECONDS: u32 = 2;
const ROUNDS: usize = 7;

/// The divisors of the full load. If client and Envoy share few cores, half the load already leaves
/// little room.
const LOADS: [(&str, f64); 2] = [("half", 2.0), ("a quarter", 4.0)];

const KINDS: [(&str, Filter); 4] = [
    ("no filter", Filter::Missing),
    ("no-op filter", Filter::Noop),
    ("host call floor", Filter::Floor),
    ("preset enterprise-v2, one caller", Filter::Sluicegate),
];

/// Measures the median and the 99th percentile of each, under the same load.
pub(crate) fn under_load(paths: &Paths, report: &mut Report) {
    if !installed() {
        report.missing(
            "latency",
            "everything",
            "oha could not be installed; see cargo's message above",
        );
        return;
    }
    let policy = TRAFFIC[0].policy_with(
        paths,
        "latency",
        "bucket: { burst: 1000000000, refill: 1000000/s }",
    );
    let ports = KINDS.map(|_| free_port());
    let listeners = KINDS
        .iter()
        .zip(ports)
        .map(|((_, filter), port)| listener(paths, &policy, port, *filter, Answer::Direct));
    let _envoy = Envoy::start(paths, listeners.collect(), None);
    // Warm all up before the first measurement.
    let most = ports.map(|port| {
        load(port, None)["summary"]["requestsPerSec"]
            .as_f64()
            .unwrap()
    });
    for (share, divisor) in LOADS {
        let rate = (most[0] / divisor) as u64;
        let mut times = [const { [Vec::new(), Vec::new()] }; KINDS.len()];
        for _ in 0..ROUNDS {
            for (port, times) in ports.into_iter().zip(&mut times) {
                let summary = load(port, Some(rate));
                for (times, percentile) in times.iter_mut().zip(["p50", "p99"]) {
                    times.push(summary["latencyPercentiles"][percentile].as_f64().unwrap() * 1e6);
                }
            }
        }
        add_table(report, share, rate, &times, &most);
    }
}

fn add_table(
    report: &mut Report,
    share: &str,
    rate: u64,
    times: &[[Vec<f64>; 2]; KINDS.len()],
    most: &[f64],
) {
    let mut table = Table::new(
        "latency",
        format!("Answers at {rate} requests per second, {share} of the maximum without a filter"),
        &[
            ("median", "µs", 0),
            ("added over no filter", "µs", 0),
            ("P99", "µs", 0),
            ("P99, added over no filter", "µs", 0),
            ("at full load", "requests per second", 0),
        ],
    );
    for (index, (name, _)) in KINDS.iter().enumerate() {
        let mut figures = Vec::new();
        for (times, base) in times[index].iter().zip(&times[0]) {
            figures.extend([
                Figure::of(times),
                if index > 0 {
                    Figure::of(&over(times, base))
                } else {
                    None
                },
            ]);
        }
        figures.push(Figure::one(most[index]));
        table.row(*name, figures);
    }
    table.note(format!(
        "{ROUNDS} rounds of {SECONDS} s, interleaved, from oha {OHA_VERSION} with {CONNECTIONS} \
         connections at a constant \
         rate. The time of a request that is sent late begins when it should have been sent. The \
         client runs on the same \
         {} cores and uses more of them than Envoy does, so most of each time is the client's own.",
        machine::cores()
    ));
    report.add(&table);
}

/// Runs oha for some seconds on one listener, at that rate or at full speed; returns its report.
fn load(port: u16, rate: Option<u64>) -> Value {
    let (path, lines) = TRAFFIC[0].request(0);
    let mut command = Command::new(OHA);
    command.args([
        "--no-tui",
        "--output-format",
        "json",
        "-c",
        CONNECTIONS,
        "-z",
        &format!("{SECONDS}s"),
        "-H",
        &lines,
    ]);
    if let Some(rate) = rate {
        command.args(["-q", &rate.to_string(), "--latency-correction"]);
    }
    command
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = end_with_this_process(&mut command).output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let statuses = summary["statusCodeDistribution"].as_object().unwrap();
    assert!(
        statuses.keys().all(|status| status == "200"),
        "responses other than 200: {statuses:?}"
    );
    summary
}

/// Builds oha below `target/`, once.
fn installed() -> bool {
    if Path::new(OHA).exists() {
        return true;
    }
    eprintln!("building oha {OHA_VERSION}, which sends the load (once, some minutes) …");
    let arguments = [
        "install",
        "--quiet",
        "--root",
        "target/tools",
        "oha",
        "--version",
        OHA_VERSION,
        "--locked",
    ];
    let mut command = Command::new("cargo");
    // Linked in less time than its author's settings need, and in a build directory of its own.
    command.args(arguments).envs([
        ("CARGO_TARGET_DIR", BUILD),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ]);
    let built = end_with_this_process(&mut command)
        .status()
        .is_ok_and(|status| status.success());
    drop(fs::remove_dir_all(BUILD));
    built
}
