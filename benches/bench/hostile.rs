//! The cost of hostile bodies compared with ordinary ones, and the longest turn of the worker's
//! event loop.

use std::fs;
use std::path::PathBuf;

use crate::client;
use crate::crafted::{self, gzip};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::samples::{lines, record};
use crate::statistics::{Rounds, median, over};
use crate::turns::{Worker, now};
use crate::upstream;

const ROUNDS: usize = 15;
const SECONDS_MAX: u64 = 30;
/// The rounds in which turns are recorded.
const ROUNDS_OF_TURNS: usize = 7;
/// A body with fewer bytes, sent and decoded, is sent several times in a round, since its cost is
/// small.
const SMALL: usize = 20_000;
const UPLOADS_OF_SMALL: usize = 10;

const MB: f64 = 1e6;
const TEXT: usize = 4_000_000;
const ZEROS: usize = 64 << 20;

/// The policies: one counts the bytes as sent, one decodes, one reads JSON.
const LIMITS: [(&str, &str); 3] = [
    ("bytes", "bytes: 1GB"),
    ("decoded", "decoded_bytes: 500MB"),
    ("json", "json: { depth: 1024 }"),
];
const BYTES: usize = 0;
const DECODED: usize = 1;
const JSON: usize = 2;

struct Body {
    name: String,
    head: String,
    bytes: Vec<u8>,
    /// The decoded size; `None` if it is not encoded.
    decoded: Option<usize>,
    limit: usize,
}

impl Body {
    /// A body with these encodings; without one, an archive.
    fn encoded(name: &str, encodings: &str, bytes: Vec<u8>, decoded: usize) -> Self {
        let (behind, head) = match encodings {
            "" => ("ZIP".to_owned(), "content-type: application/zip".to_owned()),
            _ => (
                format!("`{encodings}`"),
                format!("content-encoding: {encodings}"),
            ),
        };
        Self {
            name: format!("{name}, {behind}"),
            head,
            bytes,
            decoded: Some(decoded),
            limit: DECODED,
        }
    }

    fn json(name: &str, bytes: Vec<u8>) -> Self {
        let head = "content-type: application/json".to_owned();
        Self {
            name: format!("JSON, {name}"),
            head,
            bytes,
            decoded: None,
            limit: JSON,
        }
    }

    fn uploads(&self) -> usize {
        if self.bytes.len() < SMALL && self.decoded.is_some_and(|decoded| decoded < SMALL) {
            UPLOADS_OF_SMALL
        } else {
            1
        }
    }

    /// Sends the body on a new connection each time, since a refusal may close it. Returns the last
    /// status.
    fn send(&self, port: u16) -> u16 {
        let mut answer = 0;
        for _ in 0..self.uploads() {
            let mut connection = client::connect(port);
            client::begin(&mut connection, &self.head, self.bytes.len(), &self.bytes);
            answer = client::receive(&mut connection);
        }
        answer
    }
}

fn ordinary() -> Vec<Body> {
    let text = lines(TEXT);
    let of_text = |encodings, bytes| Body::encoded("text", encodings, bytes, TEXT);
    let twice = gzip(&gzip(&text));
    vec![
        of_text("gzip", gzip(&text)),
        of_text("gzip, gzip", twice.clone()),
        of_text("gzip, gzip, gzip, gzip", gzip(&gzip(&twice))),
        of_text("deflate", crafted::deflate(&text)),
        of_text("", crafted::archive(&text, 1)),
        of_text("br", crafted::brotli(&text)),
        of_text("zstd", crafted::zstd(&text)),
        Body::json("ordinary", record(2)),
    ]
}

/// Text from encoders that flush after every few bytes, or begin a new member or frame.
fn in_pieces() -> Vec<Body> {
    const PIECE: usize = 100;
    let text = lines(1_000_000);
    let of_text = |name, encodings, bytes| Body::encoded(name, encodings, bytes, text.len());
    vec![
        of_text(
            "text flushed every 100 bytes",
            "gzip",
            crafted::gzip_flushed(&text, PIECE),
        ),
        of_text(
            "text flushed every 100 bytes",
            "br",
            crafted::brotli_flushed(&text, PIECE),
        ),
        of_text(
            "text, a member for every 100 bytes",
            "gzip",
            crafted::parts(&text, PIECE, gzip),
        ),
        of_text(
            "text, a frame for every 100 bytes",
            "zstd",
            crafted::parts(&text, PIECE, crafted::zstd),
        ),
    ]
}

fn zeros() -> Vec<Body> {
    let of_zeros = |encodings, bytes| Body::encoded("zeros", encodings, bytes, ZEROS);
    vec![
        of_zeros("gzip", crafted::gzip_of_zeros(ZEROS)),
        of_zeros("deflate", crafted::deflate_of_zeros(ZEROS)),
        of_zeros("", crafted::zip_of_zeros(ZEROS)),
        of_zeros("br", crafted::brotli_of_zeros(ZEROS)),
        of_zeros("zstd", crafted::zstd_of_zeros(ZEROS >> 17)),
    ]
}

/// Bodies without content, in one encoding and in several.
fn empty() -> Vec<Body> {
    let blocks = crafted::gzip_of_empty_blocks(400_000);
    let twice = gzip(&blocks);
    let thrice = gzip(&twice);
    let members = gzip(&[]);
    let empty = |name, encodings, bytes| Body::encoded(name, encodings, bytes, 0);
    vec![
        empty(
            "empty blocks",
            "gzip",
            crafted::gzip_of_empty_blocks(200_000),
        ),
        empty("empty blocks", "gzip, gzip", twice.clone()),
        empty("empty blocks", "gzip, gzip, gzip", thrice.clone()),
        empty("empty blocks", "gzip, gzip, gzip, gzip", gzip(&thrice)),
        empty(
            "empty blocks with tables",
            "gzip",
            crafted::gzip_of_empty_tables(10_000),
        ),
        empty(
            "empty blocks with tables",
            "gzip, gzip",
            gzip(&crafted::gzip_of_empty_tables(10_000)),
        ),
        empty("empty members", "gzip", members.repeat(50_000)),
        empty("empty members", "gzip, gzip", gzip(&members.repeat(50_000))),
        empty("empty entries", "", crafted::archive(&[], 9_000)),
        empty(
            "empty frames",
            "zstd",
            crafted::zstd_of_empty_frames(100_000),
        ),
        empty(
            "empty frames",
            "zstd, gzip",
            gzip(&crafted::zstd_of_empty_frames(100_000)),
        ),
        empty(
            "empty blocks of metadata",
            "br",
            crafted::brotli_of_empty_metadata(1_000_000),
        ),
        empty(
            "empty blocks of metadata",
            "br, gzip",
            gzip(&crafted::brotli_of_empty_metadata(1_000_000)),
        ),
        empty(
            "a window of 16 MiB, a few bytes",
            "br",
            crafted::brotli_of_a_window(),
        ),
    ]
}

fn contexts() -> Vec<Body> {
    const BLOCKS: usize = 200;
    const BLOCK: usize = 20_000;
    let stream = crafted::brotli_of_contexts(BLOCKS, BLOCK as u64);
    vec![Body::encoded(
        "16,384 contexts for every 20,000 zeros",
        "br",
        stream,
        (BLOCKS + 1) * BLOCK,
    )]
}

/// The most expensive known shapes of JSON.
fn json() -> Vec<Body> {
    const BYTES: usize = 2_400_000;
    let array = |item: &str| {
        format!("[{}0]", format!("{item},").repeat(BYTES / (item.len() + 1))).into_bytes()
    };
    vec![
        Body::json("empty objects and names", array("{\"\":{}}")),
        Body::json("arrays in arrays", array("[[[[[[[[]]]]]]]]")),
        Body::json("numbers with exponents", array("1e5")),
        Body::json(
            "escapes alone",
            format!("\"{}\"", "\\u0061".repeat(BYTES / 6)).into_bytes(),
        ),
    ]
}

/// Measures processor time for each body, added over one whose bytes are only counted, and the
/// longest turn.
pub(crate) fn measure(paths: &Paths, report: &mut Report) {
    let mut bodies: Vec<Body> = [
        ordinary(),
        in_pieces(),
        zeros(),
        empty(),
        contexts(),
        json(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let upstream = upstream::serve();
    let ports = LIMITS.map(|_| free_port());
    let listeners = LIMITS.iter().zip(ports).map(|((name, payload), port)| {
        listener(
            paths,
            &policy(paths, name, payload),
            port,
            Filter::Sluicegate,
            Answer::Upstream,
        )
    });
    let envoy = Envoy::start(paths, listeners.collect(), Some(upstream));
    let mut worker = envoy.worker();
    let first = longest_turns(&worker, paths, &bodies, &ports, 1);
    let mut answers = vec![0; bodies.len()];
    // Milliseconds for one body: when it is only counted, and when it is read.
    let mut counted = vec![Vec::new(); bodies.len()];
    let costs = Rounds::new(ROUNDS, SECONDS_MAX).costs(&mut bodies, |round, place, body| {
        let base = worker.millis(|| client::admitted(body.send(ports[BYTES])));
        if round > 0 {
            counted[place].push(base / body.uploads() as f64);
        }
        worker.millis(|| answers[place] = body.send(ports[body.limit])) / body.uploads() as f64
    });
    let turns = longest_turns(&worker, paths, &bodies, &ports, ROUNDS_OF_TURNS);
    if let Err(reason) = &turns {
        report.missing("hostile", "the longest turns", reason);
    }
    let turns = [first, turns].map(Result::unwrap_or_default);
    add_table(&bodies, &answers, [&costs, &counted], &turns, report);
}

/// The milliseconds of the longest turn for each body in each of these rounds.
fn longest_turns(
    worker: &Worker,
    paths: &Paths,
    bodies: &[Body],
    ports: &[u16],
    rounds: usize,
) -> Result<Vec<Vec<f64>>, String> {
    let mut begun = Vec::new();
    let turns = worker.turns(paths.scratch.path(), || {
        for _ in 0..rounds {
            for (place, body) in bodies.iter().enumerate() {
                begun.push((place, now()));
                body.send(ports[body.limit]);
            }
        }
    })?;
    let mut longest = vec![Vec::new(); bodies.len()];
    for (number, (place, start)) in begun.iter().enumerate() {
        let end = begun.get(number + 1).map_or(f64::MAX, |(_, end)| *end);
        let within = turns
            .iter()
            .filter(|turn| (*start..end).contains(&turn.begun));
        longest[*place].push(most(within.map(|turn| turn.millis)));
    }
    Ok(longest)
}

fn most(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

fn policy(paths: &Paths, name: &str, payload: &str) -> PathBuf {
    let file = paths.scratch.path().join(format!("hostile-{name}.yaml"));
    let text = format!(
        "version: 1\nname: {name}\n\
         limits: [{{ name: all, per: [], bucket: {{ burst: 1000000, refill: 1000000/s }} }}]\n\
         payloads: [{{ {payload} }}]\n"
    );
    fs::write(&file, text).unwrap();
    file
}

fn add_table(
    bodies: &[Body],
    answers: &[u16],
    [costs, counted]: [&[Vec<f64>]; 2],
    [first, turns]: &[Vec<Vec<f64>>; 2],
    report: &mut Report,
) {
    let mut table = Table::new(
        "hostile",
        "Processor time of Envoy's worker for ordinary and hostile bodies",
        &[
            ("answer", "", 0),
            ("sent", "bytes", 0),
            ("decoded", "bytes", 0),
            ("added", "ms", 2),
            ("per MB sent", "ms", 1),
            ("per MB decoded", "ms", 1),
            ("longest turn", "ms", 1),
            ("longest of all", "ms", 1),
            ("when Envoy was new", "ms", 1),
        ],
    );
    for (place, body) in bodies.iter().enumerate() {
        let added = over(&costs[place], &counted[place]);
        let per = |bytes: usize| {
            (bytes >= SMALL)
                .then(|| Figure::one(median(&added) * MB / bytes as f64))
                .flatten()
        };
        table.row(
            body.name.as_str(),
            [
                Figure::one(f64::from(answers[place])),
                Figure::one(body.bytes.len() as f64),
                body.decoded.and_then(|bytes| Figure::one(bytes as f64)),
                Figure::of(&added),
                per(body.bytes.len()),
                body.decoded.filter(|_| answers[place] == 200).and_then(per),
                turns.get(place).and_then(|turns| Figure::of(turns)),
                turns
                    .get(place)
                    .and_then(|turns| Figure::one(most(turns.iter().copied()))),
                first
                    .get(place)
                    .and_then(|turns| Figure::one(most(turns.iter().copied()))),
            ],
        );
    }
    table.note(format!(
        "Medians of {} rounds, interleaved. Half of the rounds are between the numbers in \
         parentheses. The added time is \
         relative to the same bytes under a limit that only counts them. Bodies below {SMALL} \
         bytes have no figure per MB. \
         A turn is the worker's processor time between two waits for events: with one body at a \
         time, at most a callback \
         for data, a tick, and Envoy's reading, copying and writing of 1 MiB. `perf` records the \
         turns in \
         {ROUNDS_OF_TURNS} rounds of their own, and the last column in one round before all \
         others.",
        costs[0].len(),
    ));
    report.add(&table);
}
