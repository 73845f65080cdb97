//! The memory that a stream keeps while it waits for more of its body.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bodies::Kind;
use crate::client::{self, Connection};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::samples::Samples;
use crate::upstream;

/// As many are open before. Together they stay below the number that one worker decodes at a time.
const STREAMS: usize = 500;
const STREAMS_AT_ONCE: usize = 4;
/// The bytes that each of them has sent.
const BEGUN_BYTES: usize = 64 * 1_024;
const OPEN_FILES: u64 = 8_192;
/// Encodings of which one worker decodes a few bodies at a time, and answers 503 to the others.
const FEW: [&str; 2] = ["br", "zstd"];

/// Measures the memory of streams that have sent a part of their body and wait, each kind in its
/// own Envoy.
pub(crate) fn memory(paths: &Paths, report: &mut Report) {
    open_files();
    let upstream = upstream::serve();
    let mut table = Table::new(
        "streams",
        "Memory of Envoy and its VM for an open upload",
        &[("whole", "KB", 1), ("added over no-op", "KB", 1)],
    );
    let mut noop = 0.0;
    for kind in Kind::all(Samples::of(1))
        .into_iter()
        .filter(|kind| !FEW.contains(&kind.name))
    {
        let each = kilobytes(paths, &kind, upstream);
        if kind.filter == Filter::Noop {
            noop = each;
        }
        let added = (kind.filter == Filter::Sluicegate)
            .then(|| Figure::one(each - noop))
            .flatten();
        table.row(kind.name, [Figure::one(each), added]);
    }
    table.note(format!(
        "{STREAMS} uploads, each with {} KiB of its body sent, without the client's connection. \
         `br` and `zstd` are not \
         measured.",
        BEGUN_BYTES / 1_024
    ));
    report.add(&table);
}

/// The memory that an open upload of this kind takes.
fn kilobytes(paths: &Paths, kind: &Kind, upstream: u16) -> f64 {
    let port = free_port();
    let listener = listener(
        paths,
        &kind.policy(paths),
        port,
        kind.filter,
        Answer::Upstream,
    );
    let envoy = Envoy::start(paths, vec![listener], Some(upstream));
    let mut first = client::connect(port);
    for _ in 0..40 {
        client::upload(&mut first, kind.head, &kind.body);
    }
    let mut open: Vec<Connection> = (0..2 * STREAMS).map(|_| client::connect(port)).collect();
    let (mut expected, mut sizes) = (envoy.received_bytes(), Vec::new());
    // The first half fills the space that startup and compilation left free.
    for half in open.chunks_mut(STREAMS) {
        for some in half.chunks_mut(STREAMS_AT_ONCE) {
            for connection in some {
                let begun = &kind.body[..BEGUN_BYTES];
                expected += client::begin(connection, kind.head, kind.body.len(), begun) as u64;
            }
            // Bytes that pass are gone before more arrive, so that only kept bytes add up.
            let begun = Instant::now();
            while envoy.received_bytes() < expected {
                assert!(
                    begun.elapsed() < Duration::from_secs(10),
                    "{}: a stream was refused",
                    kind.name
                );
                sleep(Duration::from_millis(1));
            }
        }
        sleep(Duration::from_millis(300));
        sizes.push(envoy.resident_bytes() as f64);
    }
    (sizes[1] - sizes[0]) / 1e3 / STREAMS as f64
}

/// Raises the number of open files to the need of the streams of this process and its Envoys.
fn open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = limit
        .maximum
        .map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < raised) {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(raised),
                ..limit
            },
        )
        .unwrap();
    }
}
