//! Describes the machine, and whether it can make the measurements of a part.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::envoy::Paths;

pub(crate) fn describe() -> Value {
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown");
    json!({
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "cores": cores(),
        "memory_mb": memory_kb("MemTotal") / 1_024,
        "memory_free_mb": free_mb(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

pub(crate) fn versions(paths: &Paths) -> Value {
    let of_envoy = output_of(Command::new(&paths.envoy).arg("--version"));
    let commit = output_of(Command::new("git").args(["rev-parse", "HEAD"]));
    let changed = !output_of(Command::new("git").args(["status", "--porcelain"])).is_empty();
    // The format is `PATH  version: COMMIT/VERSION/…`.
    let envoy = of_envoy
        .rsplit("version: ")
        .next()
        .and_then(|it| it.split('/').nth(1));
    json!({
        "envoy": envoy.unwrap_or("unknown"),
        "rustc": output_of(Command::new("rustc").arg("--version")),
        "sluicegate": env!("CARGO_PKG_VERSION"),
        "commit": if commit.is_empty() { "unknown".to_owned() } else { commit },
        "uncommitted_changes": changed,
        "wasm_bytes": fs::metadata(&paths.wasm).map_or(0, |file| file.len()),
    })
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The available memory in megabytes; 0 if unknown.
pub(crate) fn free_mb() -> u64 {
    memory_kb("MemAvailable") / 1_024
}

/// Whether the kernel counts the processor time of each thread, in nanoseconds.
pub(crate) fn counts_processor_time() -> bool {
    // A thread that has run this far has used some.
    read("/proc/thread-self/schedstat")
        .split(' ')
        .next()
        .is_some_and(|nanos| nanos.parse().is_ok_and(|it: u64| it > 0))
}

fn memory_kb(name: &str) -> u64 {
    let text = read("/proc/meminfo");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The output of a command; empty if it fails.
fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success());
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
