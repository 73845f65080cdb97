//! On what a run was made, and whether it can tell what is asked of it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::envoy::Paths;

pub(crate) fn describe() -> Value {
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    json!({
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "cores": cores(),
        "memory_mb": memory_kb("MemTotal") / 1_024,
        "memory_free_mb": free_mb(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

pub(crate) fn versions(paths: &Paths) -> Value {
    let of_envoy = told(Command::new(&paths.envoy).arg("--version"));
    let commit = told(Command::new("git").args(["rev-parse", "HEAD"]));
    let changed = !told(Command::new("git").args(["status", "--porcelain"])).is_empty();
    json!({
        // `PATH  version: COMMIT/VERSION/…`
        "envoy": of_envoy.rsplit("version: ").next().and_then(|it| it.split('/').nth(1)).unwrap_or("unknown"),
        "rustc": told(Command::new("rustc").arg("--version")),
        "sluicegate": env!("CARGO_PKG_VERSION"),
        "commit": if commit.is_empty() { "unknown".to_owned() } else { commit },
        "uncommitted_changes": changed,
        "wasm_bytes": fs::metadata(&paths.wasm).map_or(0, |file| file.len()),
    })
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory that programs could have now, in megabytes; 0 where the machine does not tell.
pub(crate) fn free_mb() -> u64 {
    memory_kb("MemAvailable") / 1_024
}

/// Whether the kernel counts processor time for each thread, in nanoseconds.
pub(crate) fn counts_processor_time() -> bool {
    // A thread that has run so far has used some.
    read("/proc/thread-self/schedstat").split(' ').next().is_some_and(|nanos| nanos.parse().is_ok_and(|it: u64| it > 0))
}

fn memory_kb(name: &str) -> u64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// What a command writes; empty where it fails.
fn told(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
