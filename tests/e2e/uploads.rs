//! The way of a body through a real Envoy: to its end, in slices, held and in a queue.

use super::pending::{long, policy};
use crate::harness::{
    Answer, Call, Client, Framing, Gateway, Pieces, Policy, Setup, TestBed, brotli,
    connection_manager, eventually, gzip, upload, zstd,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(crate) fn plugin(listeners: &mut Value) -> &mut Value {
    let filters = connection_manager(listeners)["http_filters"]
        .as_array_mut()
        .expect("filters");
    let wasm = filters
        .iter_mut()
        .find(|filter| filter["name"] == "envoy.filters.http.wasm")
        .expect("ours");
    &mut wasm["typed_config"]["config"]
}

pub(crate) fn allowing(policy: &Policy, allow: bool) -> Setup {
    Setup::of(policy).edited(move |listeners, _| {
        plugin(listeners)["allow_on_headers_stop_iteration"] = json!(allow)
    })
}

pub(crate) async fn send(gateway: &Gateway, call: Call, framing: Framing, body: Vec<u8>) -> u16 {
    let bytes = body.len() as u64;
    upload(gateway.address, call, framing, bytes, body)
        .await
        .map_or(0, |answer| answer.status)
}

/// A way to send a body: its framing, whether its length is stated over HTTP/2, and how it ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// Over HTTP/1.1, by its length.
    Length,
    /// By the last chunk.
    Chunk,
    ChunkedTrailers,
    /// Over HTTP/2, by a frame without data; its length may be stated.
    EmptyFrame {
        length: bool,
    },
    /// By the frame with the last byte.
    LastFrame {
        length: bool,
    },
    Trailers {
        length: bool,
    },
}

impl Ending {
    const ALL: [Self; 9] = [
        Self::Length,
        Self::Chunk,
        Self::ChunkedTrailers,
        Self::EmptyFrame { length: true },
        Self::EmptyFrame { length: false },
        Self::LastFrame { length: true },
        Self::LastFrame { length: false },
        Self::Trailers { length: true },
        Self::Trailers { length: false },
    ];

    async fn send(self, gateway: &Gateway, call: Call, body: &[u8]) -> Result<Answer, String> {
        let pieces = Pieces::from(body.to_vec());
        let (framing, length, pieces) = match self {
            Self::Length => (Framing::Length, false, pieces),
            Self::Chunk => (Framing::Chunked, false, pieces),
            Self::ChunkedTrailers => (
                Framing::Chunked,
                false,
                pieces.then_trailers("x-checksum", "7"),
            ),
            Self::EmptyFrame { length } => (Framing::Http2, length, pieces),
            Self::LastFrame { length } => (Framing::Http2, length, pieces.that_end_with_the_last()),
            Self::Trailers { length } => (
                Framing::Http2,
                length,
                pieces.then_trailers("x-checksum", "7"),
            ),
        };
        let call = if length {
            call.header("content-length", &body.len().to_string())
        } else {
            call
        };
        upload(gateway.address, call, framing, body.len() as u64, pieces).await
    }
}

pub(crate) async fn a_body_refused_at_its_end_is_not_served_and_is_charged(bed: &TestBed) {
    let limits = json!([
        { "name": "json", "for": { "routes": ["/json"] }, "json": { "depth": 9 } },
        { "name": "files", "bytes": "1MB", "decoded_bytes": "10MB" },
    ]);
    let text = [b'x'; 5_000];
    let zip = crate::harness::zip_of_zeros(5_000);
    let writes = Ending::ALL.len() as u64;
    for http2 in [false, true] {
        for (path, encoding, mut body, cut) in [
            ("/gzip", "gzip", gzip(&text), 8),
            ("/gzip/by-a-byte", "gzip", gzip(&text), 1),
            ("/br", "br", brotli(&text, 22), 1),
            ("/zstd", "zstd", zstd(&text), 1),
            ("/zstd/last-block", "zstd", zstd(&text), 5_000 % 1_024 + 3),
            ("/br/gzip", "gzip, br", brotli(&gzip(&text), 22), 1),
            ("/zip", "identity", zip.clone(), 8),
            ("/json", "identity", b"{\"a\":[1,2]}".to_vec(), 2),
        ] {
            let setup = Setup::of(&Policy::measuring(limits.clone()).writing(writes));
            let gateway = bed
                .open_with(if http2 { setup.with_http2() } else { setup })
                .await;
            let call = Call::post(path).header("content-encoding", encoding);
            // It leaves a connection to the upstream that waits for the next request.
            assert_eq!(gateway.client().send(Call::get("/warm")).await.status, 200);
            body.truncate(body.len() - cut);
            for (ending, left) in Ending::ALL.into_iter().zip((0..writes).rev()) {
                let answer = ending
                    .send(&gateway, call.clone(), &body)
                    .await
                    .expect("an answer");
                let answered = (answer.status, answer.number("x-ratelimit-remaining"));
                assert_eq!(
                    answered,
                    (400, Some(left)),
                    "{path} {ending:?}: {}",
                    answer.text()
                );
            }
            for ending in Ending::ALL {
                let status = ending
                    .send(&gateway, call.clone(), &body)
                    .await
                    .map(|answer| answer.status);
                assert_eq!(status, Ok(429), "{path} {ending:?}");
            }
            let bodies = gateway.upstream.bodies(path);
            assert!(
                bodies.iter().all(|body| !body.whole),
                "{path}: none arrives whole: {bodies:?}"
            );
        }
    }
}

pub(crate) async fn a_complete_body_is_served_whatever_its_ending(bed: &TestBed) {
    let text = [b'x'; 5_000];
    let limits = json!([{ "bytes": "1MB", "decoded_bytes": "10MB" }]);
    let gateway = bed.open(&Policy::measuring(limits).writing(1_000)).await;
    for (encoding, body) in [
        ("gzip", gzip(&text)),
        ("br", brotli(&text, 22)),
        ("zstd", zstd(&text)),
        ("identity", crate::harness::zip_of_zeros(5_000)),
    ] {
        for ending in Ending::ALL {
            let call = Call::post("/whole").header("content-encoding", encoding);
            let answer = ending.send(&gateway, call, &body).await.expect("an answer");
            assert_eq!(
                answer.status,
                200,
                "{encoding} {ending:?}: {}",
                answer.text()
            );
        }
    }
    let bodies = gateway.upstream.bodies("/whole");
    assert!(
        bodies.len() == 4 * Ending::ALL.len() && bodies.iter().all(|body| body.whole),
        "{bodies:?}"
    );
}

pub(crate) async fn a_long_body_lets_others_pass(bed: &TestBed) {
    let limits = json!([{ "bytes": "100MB", "json": { "depth": 9 } }]);
    let gateway = bed.open(&Policy::measuring(limits)).await;
    // Sixteen megabytes of JSON in a few packets.
    let body = gzip(format!("[{}1]", "1,".repeat(8_000_000)).as_bytes());
    for framing in Framing::ALL {
        let call = Call::post("/long").header("content-encoding", "gzip");
        let (address, body, bytes) = (gateway.address, body.clone(), body.len() as u64);
        let long = tokio::spawn(async move { upload(address, call, framing, bytes, body).await });
        eventually("the upload has begun", async || {
            (gateway
                .admin
                .stat("http.gateway.downstream_rq_active")
                .await
                > 0)
            .then_some(())
        })
        .await;
        let mut others = JoinSet::new();
        for _ in 0..8 {
            let client = Client::http1(gateway.address);
            others.spawn(async move { client.statuses(&Call::get("/quick"), 5).await });
        }
        let statuses = others.join_all().await.concat();
        assert!(statuses.iter().all(|status| *status == 200));
        let answer = long.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status, 200, "{framing:?}: {}", answer.text());
    }
    let bodies = gateway.upstream.bodies("/long");
    assert!(
        bodies.len() == 3
            && bodies
                .iter()
                .all(|arrived| arrived.whole && arrived.bytes == body.len() as u64),
        "{bodies:?}"
    );
}

/// Some end with trailers, some never end, and some are invalid.
pub(crate) async fn many_long_bodies_at_once_are_all_answered(bed: &TestBed) {
    let limits = json!([{ "bytes": "100MB", "json": { "depth": 9 } }]);
    let gateway = bed.open(&Policy::measuring(limits)).await;
    let mut all = JoinSet::new();
    for number in 0..24_usize {
        let body = format!(
            "[{}1]{}",
            "1,".repeat(500_000),
            if number % 4 == 3 { "]" } else { "" }
        )
        .into_bytes();
        let pieces = Pieces::of(
            body.chunks(100_000)
                .map(Bytes::copy_from_slice)
                .collect::<Vec<_>>(),
        );
        let pieces = if number % 4 == 1 {
            pieces.then_trailers("x-checksum", "7")
        } else {
            pieces
        };
        let framing = [Framing::Chunked, Framing::Http2][number / 4 % 2];
        let address = gateway.address;
        let sending =
            tokio::spawn(
                async move { upload(address, Call::post("/many"), framing, 0, pieces).await },
            );
        if number % 4 == 2 {
            sending.abort();
        }
        all.spawn(async move {
            let answer = sending.await.ok()?;
            Some((number, answer.map_or(0, |answer| answer.status)))
        });
    }
    for (number, status) in all.join_all().await.into_iter().flatten() {
        if number % 4 != 2 {
            assert_eq!(status, if number % 4 == 3 { 400 } else { 200 }, "{number}");
        }
    }
    assert!(
        gateway
            .upstream
            .bodies("/many")
            .iter()
            .filter(|body| body.whole)
            .all(|body| body.bytes == 1_000_003),
        "none is longer or shorter"
    );
    assert_eq!(
        gateway
            .admin
            .stat("wasm.sluicegate.vm_reload_success")
            .await,
        0
    );
    assert_eq!(gateway.client().send(Call::get("/after")).await.status, 200);
}

/// Connections that sent the heads of long bodies, and connections that sent nothing.
async fn connect(
    gateway: &Gateway,
    encoding: &str,
    bytes: usize,
    (long, others): (usize, usize),
) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let head = format!(
        "POST /long HTTP/1.1\r\nHost: e\r\nContent-Encoding: {encoding}\r\nContent-Length: \
         {bytes}\r\n\r\n"
    );
    let mut streams = Vec::new();
    for number in 0..long + others {
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("the gateway accepts");
        if number < long {
            stream.write_all(head.as_bytes()).await.expect("a head");
        }
        streams.push(stream);
    }
    eventually("all are there", async || {
        let heads = gateway
            .admin
            .stat("http.gateway.downstream_rq_active")
            .await;
        let connections = gateway
            .admin
            .stat("http.gateway.downstream_cx_active")
            .await;
        (heads == long as u64 && connections == (long + others) as u64).then_some(())
    })
    .await;
    let others = streams.split_off(long);
    (streams, others)
}

/// The paths of the requests in the order in which they ended, once `count` have.
async fn paths_in_the_log(gateway: &Gateway, count: usize) -> Vec<&'static str> {
    eventually("all have ended", async || {
        let log = gateway.log();
        let ended: Vec<&str> = log
            .lines()
            .filter_map(|line| {
                ["/quick", "/long"]
                    .into_iter()
                    .find(|path| line.contains(path))
            })
            .collect();
        (ended.len() == count).then_some(ended)
    })
    .await
}

/// Envoy logs the order in which requests end. Requests that arrive after hostile bodies and are
/// answered at once come before these, which are answered at their end. A callback that read a
/// whole body would answer it before it served another connection.
pub(crate) async fn others_are_served_between_the_slices_of_a_body(bed: &TestBed) {
    const OTHERS: usize = 8;
    let bodies = [
        ("gzip", long("]")),
        (
            "br",
            brotli(format!("[{}1]]", "1,".repeat(8_000_000)).as_bytes(), 22),
        ),
        ("gzip, gzip", gzip(&long("]"))),
    ];
    for (encoding, body) in bodies {
        for count in [1, 4] {
            let mut gateway = bed.open_with(Setup::of(&policy()).of_one_worker()).await;
            let (mut hostile, mut others) =
                connect(&gateway, encoding, body.len(), (count, OTHERS)).await;
            // All of it arrives at one moment, in this order.
            gateway.pause();
            for stream in &mut hostile {
                stream.write_all(&body).await.expect("the kernel keeps it");
            }
            for stream in &mut others {
                stream
                    .write_all(b"POST /quick HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\n")
                    .await
                    .expect("a head");
            }
            gateway.unpause();
            for (streams, status) in [(&mut others, "413"), (&mut hostile, "400")] {
                for stream in streams {
                    let mut received = [0; 12];
                    stream.read_exact(&mut received).await.expect("an answer");
                    assert!(
                        received.ends_with(status.as_bytes()),
                        "{}",
                        String::from_utf8_lossy(&received)
                    );
                }
            }
            let ended = paths_in_the_log(&gateway, count + OTHERS).await;
            let quick = ended.iter().take_while(|path| **path == "/quick").count();
            assert_eq!(quick, OTHERS, "{encoding}: {ended:?}");
        }
    }
}
