//! What a byte of a body costs, and a stream that waits for more of them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::client::{self, Connection};
use crate::envoy::{Answer, Envoy, Filter, Paths, free_port, listener};
use crate::upstream;

const ROUNDS: usize = 100;
const UPLOADS_PER_ROUND: usize = 8;
/// As many again are open before. Together they stay below what one worker decodes at a time.
const STREAMS: usize = 500;
const STREAMS_AT_ONCE: usize = 4;
/// What each of them has sent.
const BEGUN_BYTES: usize = 64 * 1_024;
const OPEN_FILES: u64 = 8_192;
const MB: f64 = 1e6;

const JSON: &str = "content-type: application/json";
const GZIP: &str = "content-type: application/json\r\ncontent-encoding: gzip";
const ZIP: &str = "content-type: application/zip";

/// The rules of the preset `datocms`, with numbers that [`record`] keeps to.
const RECORD: &str = "bytes: 1MiB, json: { value: { at: /data, bytes: 1MiB }, \
                      objects: { where: { type: item }, below: /data, count: 6000, depth: 6 } }";

/// Something that is done with a body.
struct Kind {
    name: &'static str,
    filter: Filter,
    payload: String,
    head: &'static str,
    body: Vec<u8>,
    decoded: usize,
    aim: &'static str,
}

impl Kind {
    fn all() -> Vec<Self> {
        // One and five megabytes; the latter becomes one when it is compressed.
        let (small, large) = (record(5_000), record(25_000));
        let kind = |name, filter, payload: &str, aim| Self {
            name,
            filter,
            payload: payload.to_owned(),
            head: JSON,
            body: small.clone(),
            decoded: small.len(),
            aim,
        };
        let decoding = |name, head, body| Self {
            head,
            body,
            decoded: large.len(),
            ..kind(name, Filter::Sluicegate, "decoded_bytes: 100MB", "")
        };
        vec![
            kind("no filter", Filter::Missing, "", ""),
            kind("no-op filter", Filter::Noop, "", ""),
            kind("a limit alone", Filter::Sluicegate, "", ""),
            kind("bytes", Filter::Sluicegate, "bytes: 1GB", "not measurable"),
            kind("json", Filter::Sluicegate, RECORD, "1.00"),
            kind("json, held", Filter::Sluicegate, &format!("{RECORD}, hold: true"), "1.00"),
            decoding("gzip", GZIP, gzip(&large)),
            decoding("zip", ZIP, archive(&large)),
        ]
    }

    fn policy(&self, paths: &Paths) -> PathBuf {
        let name = self.name.replace([',', ' '], "");
        let payloads =
            if self.payload.is_empty() { String::new() } else { format!("payloads: [{{ {} }}]\n", self.payload) };
        let file = paths.scratch.path().join(format!("body-{name}.yaml"));
        let text = format!(
            "version: 1\nname: {name}\n\
             limits: [{{ name: all, per: [], bucket: {{ burst: 1000000, refill: 1000000/s }} }}]\n{payloads}"
        );
        fs::write(&file, text).unwrap();
        file
    }

    /// Megabytes that one round sends, and what they come to decoded.
    fn megabytes(&self) -> [f64; 2] {
        [self.body.len(), self.decoded].map(|bytes| (bytes * UPLOADS_PER_ROUND) as f64 / MB)
    }
}

/// Processor time per megabyte, added over a filter that lets every chunk pass.
pub(crate) fn processor_time(paths: &Paths) {
    let kinds = Kind::all();
    let ports: Vec<u16> = kinds.iter().map(|_| free_port()).collect();
    let listeners = kinds
        .iter()
        .zip(&ports)
        .map(|(kind, port)| listener(paths, &kind.policy(paths), *port, kind.filter, Answer::Upstream));
    let envoy = Envoy::start(paths, listeners.collect(), Some(upstream::serve()));
    let mut connections: Vec<Connection> = ports.into_iter().map(client::connect).collect();
    // Milliseconds per megabyte sent.
    let mut costs = vec![Vec::new(); kinds.len()];
    for round in 0..=ROUNDS {
        for ((kind, connection), costs) in kinds.iter().zip(&mut connections).zip(&mut costs) {
            // The caches are still full of what came before, which is not the same for all.
            client::upload(connection, kind.head, &kind.body);
            let before = envoy.cpu_nanos();
            (0..UPLOADS_PER_ROUND).for_each(|_| client::upload(connection, kind.head, &kind.body));
            let cost = (envoy.cpu_nanos() - before) as f64 / 1e6 / kind.megabytes()[0];
            // The first round warms everything up.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    println!(
        "processor time of Envoy per MB of body, median of {ROUNDS} rounds of {UPLOADS_PER_ROUND} uploads of 1 MB, \
         in milliseconds (half of the rounds between):"
    );
    for (kind, cost) in kinds.iter().zip(&costs) {
        let [_, whole, _] = quartiles(cost);
        // Round by round, so that a slow stretch of the machine is in both sides of a difference.
        let added: Vec<f64> = cost.iter().zip(&costs[1]).map(|(a, b)| a - b).collect();
        let [low, added, high] = quartiles(&added);
        let [sent, decoded] = kind.megabytes();
        let mut line =
            format!("  {:14} {whole:6.2}   added over no-op {added:5.2} ({low:5.2} to {high:5.2})", kind.name);
        if kind.decoded != kind.body.len() {
            write!(line, "   per MB decoded {:4.2}, {:.1}:1", added * sent / decoded, decoded / sent).unwrap();
        }
        if !kind.aim.is_empty() {
            write!(line, "   aim: {}", kind.aim).unwrap();
        }
        println!("{line}");
    }
}

/// Memory for streams that have sent a part of their body and wait, each kind in an Envoy of its own.
pub(crate) fn memory(paths: &Paths) {
    open_files();
    let upstream = upstream::serve();
    println!(
        "memory of Envoy and its VM per open stream, {STREAMS} of them, each with {} KiB of its body sent, \
         in KB, without the connection of the client:",
        BEGUN_BYTES / 1_024
    );
    let mut noop = 0.0;
    for kind in Kind::all() {
        let port = free_port();
        let listener = listener(paths, &kind.policy(paths), port, kind.filter, Answer::Upstream);
        let envoy = Envoy::start(paths, vec![listener], Some(upstream));
        let mut first = client::connect(port);
        (0..40).for_each(|_| client::upload(&mut first, kind.head, &kind.body));
        let mut open: Vec<Connection> = (0..2 * STREAMS).map(|_| client::connect(port)).collect();
        let (mut expected, mut sizes) = (envoy.received_bytes(), Vec::new());
        // The first half takes up what start and compiler have left free.
        for half in open.chunks_mut(STREAMS) {
            for some in half.chunks_mut(STREAMS_AT_ONCE) {
                for connection in some {
                    let begun = &kind.body[..BEGUN_BYTES];
                    expected += client::begin(connection, kind.head, kind.body.len(), begun) as u64;
                }
                // What passes is gone before more comes, so that only what is kept adds up.
                let begun = Instant::now();
                while envoy.received_bytes() < expected {
                    assert!(begun.elapsed() < Duration::from_secs(10), "{}: a stream was refused", kind.name);
                    sleep(Duration::from_millis(1));
                }
            }
            sleep(Duration::from_millis(300));
            sizes.push(envoy.resident_bytes() as f64);
        }
        let each = (sizes[1] - sizes[0]) / 1e3 / STREAMS as f64;
        if kind.filter == Filter::Noop {
            noop = each;
        }
        let added = if kind.filter == Filter::Sluicegate {
            format!("   added over no-op {:5.1}", each - noop)
        } else {
            String::new()
        };
        println!("  {:14} {each:6.1}{added}", kind.name);
    }
}

/// The first quartile, the median and the third quartile.
fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[sorted.len() * quarter / 4])
}

/// A record as a content management API has it: blocks in one another, six deep.
fn record(blocks: usize) -> Vec<u8> {
    const DEPTH: usize = 6;
    let mut words = Words(1);
    let mut text = "{\"data\":{\"type\":\"item\",\"attributes\":{\"blocks\":[".to_owned();
    for block in 0..blocks {
        if block > 0 && block % DEPTH == 0 {
            text.push(',');
        }
        let (id, title) = (words.id(), words.some(6));
        write!(
            text,
            "{{\"type\":\"item\",\"id\":\"{id}\",\"relationships\":{{\"item_type\":{{\"data\":{{\"id\":\"text\"}}}}}},\
             \"attributes\":{{\"title\":\"{title}\",\"position\":{block},\"blocks\":["
        )
        .unwrap();
        if block % DEPTH == DEPTH - 1 || block + 1 == blocks {
            text.push_str(&"]}}".repeat(block % DEPTH + 1));
        }
    }
    text.push_str("]}}}");
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    text.into_bytes()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A ZIP archive with one entry.
fn archive(text: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("record.json", SimpleFileOptions::default()).unwrap();
    archive.write_all(text).unwrap();
    archive.finish().unwrap().into_inner()
}

/// Words that compress about as text does.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// As long as an id of 128 bits, which nothing compresses.
    fn id(&mut self) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..22).map(|_| char::from(DIGITS[(self.next() >> 20) as usize % 64])).collect()
    }

    fn some(&mut self, count: usize) -> String {
        const SYLLABLES: [&str; 16] =
            ["ma", "ter", "in", "on", "a", "re", "con", "tion", "al", "ver", "so", "ly", "qui", "est", "pro", "u"];
        let mut text = String::new();
        for number in 0..count {
            if number > 0 {
                text.push(' ');
            }
            // Small numbers come more often.
            let word = (self.next() % 40) * (self.next() % 40);
            for digit in [word % 16, word / 16 % 16, word / 256] {
                text.push_str(SYLLABLES[digit as usize]);
            }
        }
        text
    }
}

/// Lets this process, and the Envoys that it starts, have a file open for each stream and each side.
fn open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = limit.maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < raised) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }).unwrap();
    }
}
