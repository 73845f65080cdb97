//! What an update of the policy costs other requests, and what a large directory takes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::over;
use crate::traffic::sha256;

const SIZES: [usize; 3] = [3, 10_000, 100_000];
const WORKERS: u32 = 2;
const RELOADS: usize = 8;
const CLIENTS: usize = 4;
/// How long requests are watched after an update, and how long one may take.
const WATCHED: Duration = Duration::from_secs(2);
/// How long Envoy gives back memory after the last update.
const SETTLED: Duration = Duration::from_secs(10);
const SECONDS_MAX: u64 = 60;

/// Measures the longest wait of a request during updates, and the memory after them.
pub(crate) fn measure(paths: &Paths, report: &mut Report) {
    let cases: Vec<(Vec<f64>, f64)> = SIZES.iter().map(|size| one(paths, *size)).collect();
    let (few, base) = &cases[0];
    let mut table = Table::new(
        "reload",
        format!("Updates by ECDS with {WORKERS} workers, of policies with a directory"),
        &[
            ("longest wait", "ms", 0),
            ("added", "ms", 0),
            ("memory", "MB", 0),
            ("a key and worker", "bytes", 0),
        ],
    );
    for (size, (waits, bytes)) in SIZES.iter().zip(&cases) {
        let mut figures = vec![Figure::of(waits)];
        let keys = size.saturating_sub(SIZES[0]);
        if keys > 0 {
            let each = (bytes - base) / keys as f64 / f64::from(WORKERS);
            figures.extend([
                Figure::of(&over(waits, few)),
                Figure::one(bytes / 1e6),
                Figure::one(each),
            ]);
        } else {
            figures.extend([Figure::one(0.0), Figure::one(bytes / 1e6)]);
        }
        table.row(format!("{size} keys"), figures);
    }
    table.note(format!(
        "Of each of {RELOADS} updates, which change the limit and a key, the longest wait of a \
         request; its median. The memory is all of Envoy's, some seconds after the last of them."
    ));
    report.add(&table);
}

/// The longest waits in milliseconds, and the bytes of memory.
fn one(paths: &Paths, size: usize) -> (Vec<f64>, f64) {
    let file = paths.scratch.path().join("extension.yaml");
    let versions = [0, 1].map(|version| extension(paths, size, version));
    let policy = paths.scratch.path().join("reload-0.yaml");
    place(&file, &versions[0]);
    let port = free_port();
    let mut listener = listener(paths, &policy, port, Filter::Sluicegate, Answer::Direct);
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"][0] = json!({
        "name": "sluicegate",
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3", "path_config_source": { "path": file },
            },
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
        },
    });
    let envoy = Envoy::start_with(paths, vec![listener], None, WORKERS);
    let (ends, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let waits = scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| watch(port, &ends, &longest));
        }
        sleep(WATCHED);
        let waits = (1..=RELOADS)
            .map(|number| {
                longest.store(0, Ordering::Relaxed);
                let before = envoy.counted("config_reload$");
                place(&file, &versions[number % 2]);
                let begun = Instant::now();
                while envoy.counted("config_reload$") == before {
                    assert!(begun.elapsed().as_secs() < SECONDS_MAX, "no update");
                    sleep(Duration::from_millis(20));
                }
                sleep(WATCHED);
                longest.load(Ordering::Relaxed) as f64 / 1e3
            })
            .collect();
        ends.store(true, Ordering::Relaxed);
        waits
    });
    sleep(SETTLED);
    (waits, envoy.resident_bytes() as f64)
}

/// Sends requests until the end, and keeps the longest wait in microseconds.
fn watch(port: u16, ends: &AtomicBool, longest: &AtomicU64) {
    let mut client = Client::of(1, port);
    while !ends.load(Ordering::Relaxed) {
        let begun = Instant::now();
        client.send(
            1,
            |_| ("/".to_owned(), "x-api-key: key-0".to_owned()),
            admitted,
        );
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap();
        longest.fetch_max(micros, Ordering::Relaxed);
        sleep(Duration::from_millis(1));
    }
}

/// What `render extension` writes for a policy with so many keys.
fn extension(paths: &Paths, size: usize, version: usize) -> Vec<u8> {
    let policy: PathBuf = paths.scratch.path().join(format!("reload-{version}.yaml"));
    let mut text = "version: 1\nname: reload\ncallers:\n  credentials: [{ name: api_key, header: \
                    x-api-key }]\n  directory:\n"
        .to_owned();
    for number in 0..size {
        // One key is another one in each version.
        let key = if number == 1 { size + version } else { number };
        let (digest, org) = (sha256(&format!("key-{key}")), number / 4);
        let plan = ["free", "team", "paid"][number % 3];
        writeln!(
            text,
            "  - {{ sha256: {digest}, org: org-{org}, plan: {plan} }}"
        )
        .unwrap();
    }
    let burst = 1_000_000 + version;
    writeln!(
        text,
        "limits: [{{ name: all, per: [org], bucket: {{ burst: {burst}, refill: 1000000/s }} }}]"
    )
    .unwrap();
    fs::write(&policy, text).unwrap();
    let output = Command::new(&paths.cli)
        .args(["render", "extension", "--policy"])
        .arg(&policy)
        .arg("--wasm")
        .arg(&paths.wasm)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

fn place(file: &Path, text: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}
