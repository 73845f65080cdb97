//! The memory of a key, by the kind of its limit.

use std::fs;

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};

const KEYS: usize = 100_000;
/// These fill the space that startup and compilation left free.
const WARM: usize = 20_000;

const RULES: [(&str, &str); 4] = [
    ("bucket", "bucket: { burst: 1000000, refill: 1000000/h }"),
    ("rolling, exact", "rolling: { quota: 32, window: 1h }"),
    ("rolling, coarse", "rolling: { quota: 1000000, window: 1h }"),
    ("calendar", "calendar: { quota: 1000000, window: 1mo }"),
];

/// Measures the memory of a hundred thousand keys, each seen once.
pub(crate) fn memory(paths: &Paths, report: &mut Report) {
    let mut table = Table::new(
        "keys",
        format!("Memory of {KEYS} keys, each seen once"),
        &[("all", "KB", 0), ("a key", "bytes", 1)],
    );
    for (kind, rule) in RULES {
        let policy = paths.scratch.path().join("keys.yaml");
        let text = format!(
            "version: 1\nname: keys\ncallers:\n  credentials: [{{ name: api_key, header: x-api-key \
             }}]\n  unknown: anonymous\n\
            limits: [{{ name: one, for: {{ routes: [\"/keys\"] }}, per: [api_key], {rule} }}]\n"
        );
        fs::write(&policy, text).unwrap();
        let port = free_port();
        let listener = listener(paths, &policy, port, Filter::Sluicegate, Answer::Direct);
        let envoy = Envoy::start(paths, vec![listener], None);
        let mut client = Client::connect(port);
        let key = |path: &'static str| {
            move |number| (path.to_owned(), format!("x-api-key: key-{number}"))
        };
        client.send(WARM, key("/warm"), admitted);
        let before = envoy.allocated_bytes();
        client.send(KEYS, key("/keys"), admitted);
        let grown = envoy.allocated_bytes().saturating_sub(before) as f64;
        table.row(
            kind,
            [Figure::one(grown / 1e3), Figure::one(grown / KEYS as f64)],
        );
    }
    report.add(&table);
}
