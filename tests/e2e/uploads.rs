//! The way of a body through a real Envoy: to its end, in slices, held and in a queue.

use crate::harness::{
    Answer, Call, Client, Framing, Gateway, Pieces, Policy, Setup, TestBed, brotli,
    connection_manager, eventually, gzip, upload, zstd,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

fn plugin(listeners: &mut Value) -> &mut Value {
    let filters = connection_manager(listeners)["http_filters"]
        .as_array_mut()
        .expect("filters");
    let wasm = filters
        .iter_mut()
        .find(|filter| filter["name"] == "envoy.filters.http.wasm")
        .expect("ours");
    &mut wasm["typed_config"]["config"]
}

fn allowing(policy: &Policy, allow: bool) -> Setup {
    Setup::of(policy).edited(move |listeners, _| {
        plugin(listeners)["allow_on_headers_stop_iteration"] = json!(allow)
    })
}

async fn send(gateway: &Gateway, call: Call, framing: Framing, body: Vec<u8>) -> u16 {
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
    // The refusals do not depend on the ending: complete bodies arrive whole.
    let gateway = bed.open(&Policy::measuring(limits).writing(1_000)).await;
    for (encoding, body) in [
        ("gzip", gzip(&text)),
        ("br", brotli(&text, 22)),
        ("zstd", zstd(&text)),
        ("identity", zip),
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
    // Many at once: some end with trailers, some never end, and some are invalid.
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

pub(crate) async fn a_queue_holds_bodies_back_under_both_settings(bed: &TestBed) {
    for allow in [false, true] {
        let policy = Policy::measuring(json!([{ "bytes": "1MB" }])).with(
            "/concurrency",
            json!([{ "name": "pool", "for": { "routes": ["POST /work"] }, "per": [], "slots": 1,
                     "queue": { "length": 9, "timeout": "30s" } }]),
        );
        let gateway = bed.open_with(allowing(&policy, allow)).await;
        let mut all = JoinSet::new();
        for framing in Framing::ALL {
            let call = Call::post("/work").header("x-answer-delay-ms", "300");
            all.spawn(upload(
                gateway.address,
                call,
                framing,
                9_000,
                vec![b'x'; 9_000],
            ));
        }
        assert!(
            all.join_all()
                .await
                .iter()
                .all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200))
        );
        assert_eq!(gateway.upstream.most_in_flight("/work"), 1, "{allow}");
    }
}

pub(crate) async fn a_held_body_is_read_before_the_queue(bed: &TestBed) {
    let held = json!([{ "bytes": "1MB", "json": { "depth": 9 }, "hold": true }]);
    let policy = Policy::measuring(held).with(
        "/concurrency",
        json!([{ "name": "pool", "for": { "routes": ["POST /work"] }, "per": [], "slots": 1,
                 "queue": { "length": 9, "timeout": "30s" } }]),
    );
    let gateway = bed.open(&policy).await;
    // A request whose body does not end takes no slot.
    let address = gateway.address;
    let silent = Pieces::from(b"[1,".to_vec()).then_silence();
    let waiting = tokio::spawn(async move {
        upload(address, Call::post("/work"), Framing::Chunked, 0, silent).await
    });
    let mut all = JoinSet::new();
    for framing in Framing::ALL {
        for trailers in [false, true] {
            let body = format!("[{}1]", "1,".repeat(100_000)).into_bytes();
            let bytes = body.len() as u64;
            let pieces = Pieces::from(body);
            let pieces = if trailers && framing != Framing::Length {
                pieces.then_trailers("x-checksum", "7")
            } else {
                pieces
            };
            let call = Call::post("/work").header("x-answer-delay-ms", "100");
            all.spawn(upload(gateway.address, call, framing, bytes, pieces));
        }
    }
    let answers = all.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)),
        "{answers:?}"
    );
    assert_eq!(gateway.upstream.most_in_flight("/work"), 1);
    let bodies = gateway.upstream.bodies("/work");
    assert!(
        bodies.len() == 6
            && bodies
                .iter()
                .all(|body| body.whole && body.bytes == 200_003),
        "{bodies:?}"
    );
    assert_eq!(
        send(
            &gateway,
            Call::post("/work"),
            Framing::Chunked,
            b"[1".to_vec()
        )
        .await,
        400
    );
    waiting.abort();
}

pub(crate) async fn a_head_that_cannot_be_held_is_answered_and_logged(bed: &TestBed) {
    let policy = Policy::measuring(
        json!([{ "name": "held", "bytes": "1MB", "json": { "depth": 9 }, "hold": true }]),
    )
    .writing(5);
    let gateway = bed.open_with(allowing(&policy, false)).await;
    for framing in Framing::ALL {
        let answer = upload(
            gateway.address,
            Call::post("/a"),
            framing,
            2,
            b"{}".to_vec(),
        )
        .await
        .expect("an answer");
        assert_eq!(
            (answer.status, answer.header("x-ratelimit-remaining")),
            (503, Some("5")),
            "{framing:?}: it has paid nothing"
        );
    }
    assert_eq!(gateway.upstream.count("/a"), 0);
    assert!(
        gateway
            .log()
            .contains("sluicegate_payload_refused:held:stop_iteration")
    );
    assert_eq!(
        gateway
            .log()
            .matches("allow_on_headers_stop_iteration: true")
            .count()
            .min(2),
        gateway
            .log()
            .matches("allow_on_headers_stop_iteration: true")
            .count(),
        "once for each worker"
    );
    assert_eq!(
        gateway
            .admin
            .metric("sluicegate_faults_total", &[("fault", "stop_iteration")])
            .await,
        3
    );
    // With the setting, a client may be as slow as it likes.
    let gateway = bed.open(&policy).await;
    let slow = Pieces::from(b"{".to_vec()).then_silence();
    let address = gateway.address;
    let waiting = tokio::spawn(async move {
        upload(address, Call::post("/slow"), Framing::Chunked, 0, slow).await
    });
    assert_eq!(
        send(&gateway, Call::post("/b"), Framing::Length, b"{}".to_vec()).await,
        200
    );
    assert!(!waiting.is_finished());
    waiting.abort();
}

pub(crate) async fn a_held_body_may_be_as_large_as_its_limit(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::measuring(
            json!([{ "name": "held", "bytes": "1MiB", "json": { "depth": 9 }, "hold": true }]),
        ))
        .await;
    for framing in Framing::ALL {
        for (bytes, status) in [(1 << 20, 200), ((1 << 20) + 1, 413)] {
            let body = format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
            let answer = upload(
                gateway.address,
                Call::post("/a"),
                framing,
                bytes as u64,
                body,
            )
            .await;
            // Over HTTP/1.1, a client that continues to send may find the connection closed.
            let Ok(answer) = answer else {
                assert_eq!(status, 413, "{framing:?}");
                continue;
            };
            assert_eq!(answer.status, status, "{framing:?} {bytes}");
            assert_eq!(
                answer.header("content-type") == Some("application/problem+json"),
                status == 413,
                "in our own words"
            );
        }
    }
}
