//! The cost of a byte of a body.

use std::fs;
use std::path::PathBuf;

use crate::client::{self, Connection};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::samples::Samples;
use crate::statistics::{Rounds, over};
use crate::upstream;

const MB: f64 = 1e6;

const JSON: &str = "content-type: application/json";
const GZIP: &str = "content-type: application/json\r\ncontent-encoding: gzip";
const BROTLI: &str = "content-type: application/json\r\ncontent-encoding: br";
const ZSTD: &str = "content-type: application/json\r\ncontent-encoding: zstd";
const ZIP: &str = "content-type: application/zip";

/// The rules of the preset `datocms`, with numbers that a sample does not exceed.
const RECORD: &str = "bytes: 200MiB, json: { value: { at: /data, bytes: 200MiB }, \
                      objects: { where: { type: item }, below: /data, count: 500000, depth: 6 } }";

/// The row to compare with.
const NOOP: usize = 1;

/// A listener with a body to send to it.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) filter: Filter,
    payload: String,
    pub(crate) head: &'static str,
    pub(crate) body: Vec<u8>,
    decoded: usize,
}

impl Kind {
    pub(crate) fn all(samples: Samples) -> Vec<Self> {
        let kind = |name, filter, payload: &str| Self {
            name,
            filter,
            payload: payload.to_owned(),
            head: JSON,
            body: samples.json.clone(),
            decoded: samples.json.len(),
        };
        let decoding = |name, head, body| Self {
            head,
            body,
            decoded: samples.decoded,
            ..kind(name, Filter::Sluicegate, "decoded_bytes: 1000MB")
        };
        vec![
            kind("no filter", Filter::Missing, ""),
            kind("no-op filter", Filter::Noop, ""),
            kind("a limit, no body", Filter::Sluicegate, ""),
            kind("bytes", Filter::Sluicegate, "bytes: 1GB"),
            kind("json", Filter::Sluicegate, RECORD),
            kind(
                "json, held",
                Filter::Sluicegate,
                &format!("{RECORD}, hold: true"),
            ),
            decoding("gzip", GZIP, samples.gzip),
            decoding("zip", ZIP, samples.zip),
            decoding("br", BROTLI, samples.brotli),
            decoding("zstd", ZSTD, samples.zstd),
        ]
    }

    pub(crate) fn policy(&self, paths: &Paths) -> PathBuf {
        let name = self.name.replace([',', ' '], "");
        let payloads = if self.payload.is_empty() {
            String::new()
        } else {
            format!("payloads: [{{ {} }}]\n", self.payload)
        };
        let file = paths.scratch.path().join(format!("body-{name}.yaml"));
        let text = format!(
            "version: 1\nname: {name}\n\
             limits: [{{ name: all, per: [], bucket: {{ burst: 1000000, refill: 1000000/s }} }}]\n\
             {payloads}"
        );
        fs::write(&file, text).unwrap();
        file
    }
}

/// Bodies of one size, and the number of uploads.
struct Size {
    megabytes: usize,
    rounds: usize,
    seconds_max: u64,
    uploads_per_round: usize,
}

const SIZES: [Size; 2] = [
    Size {
        megabytes: 1,
        rounds: 60,
        seconds_max: 60,
        uploads_per_round: 8,
    },
    Size {
        megabytes: 64,
        rounds: 10,
        seconds_max: 50,
        uploads_per_round: 1,
    },
];

/// Measures processor time per megabyte, added over a filter that passes every chunk on.
pub(crate) fn processor_time(paths: &Paths, report: &mut Report) {
    let upstream = upstream::serve();
    for size in &SIZES {
        size.measure(paths, upstream, report);
    }
}

impl Size {
    fn measure(&self, paths: &Paths, upstream: u16, report: &mut Report) {
        let mut kinds = Kind::all(Samples::of(self.megabytes));
        // A held body has to fit into Envoy's buffer of 1 MiB.
        kinds.retain(|kind| self.megabytes == 1 || kind.name != "json, held");
        let ports: Vec<u16> = kinds.iter().map(|_| free_port()).collect();
        let listeners = kinds.iter().zip(&ports).map(|(kind, port)| {
            listener(
                paths,
                &kind.policy(paths),
                *port,
                kind.filter,
                Answer::Upstream,
            )
        });
        let envoy = Envoy::start(paths, listeners.collect(), Some(upstream));
        let mut connections: Vec<Connection> = ports.into_iter().map(client::connect).collect();
        // Milliseconds per megabyte sent.
        let costs = Rounds::new(self.rounds, self.seconds_max).costs(
            &mut connections,
            |_, place, connection| {
                let kind = &kinds[place];
                let mut upload = || client::upload(connection, kind.head, &kind.body);
                // The first upload is not measured: the caches are in the state that the previous
                // kind left.
                if self.megabytes == 1 {
                    upload();
                }
                let cost = envoy.micros(|| {
                    for _ in 0..self.uploads_per_round {
                        upload();
                    }
                });
                cost / 1e3 / (kind.body.len() * self.uploads_per_round) as f64 * MB
            },
        );
        self.add_table(&kinds, &costs, report);
    }

    fn add_table(&self, kinds: &[Kind], costs: &[Vec<f64>], report: &mut Report) {
        let mut table = Table::new(
            "bodies",
            format!(
                "Processor time of Envoy per MB of body, bodies of {} MB",
                self.megabytes
            ),
            &[
                ("whole", "ms", 2),
                ("added over no-op", "ms", 2),
                ("added per MB decoded", "ms", 2),
                ("decoded bytes for one sent", "", 1),
            ],
        );
        for (index, (kind, cost)) in kinds.iter().zip(costs).enumerate() {
            let added = over(cost, &costs[NOOP]);
            let growth = kind.decoded as f64 / kind.body.len() as f64;
            let mut figures = vec![
                Figure::of(cost),
                if index > NOOP {
                    Figure::of(&added)
                } else {
                    None
                },
            ];
            if kind.decoded != kind.body.len() {
                let each: Vec<f64> = added.iter().map(|added| added / growth).collect();
                figures.extend([Figure::of(&each), Figure::one(growth)]);
            }
            table.row(kind.name, figures);
        }
        table.note(format!(
            "Medians of {} rounds, interleaved; uploads per round, through Envoy to an \
             upstream: {}. A MB is a MB as sent, \
             except in the third column.",
            costs[0].len(),
            self.uploads_per_round,
        ));
        report.add(&table);
    }
}
