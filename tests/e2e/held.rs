//! Bodies that Envoy holds back: in a queue, or until they have been read.

use super::pools::{depth, held, in_flight, pool};
use super::uploads::{allowing, send};
use crate::harness::{Call, Framing, Pieces, Policy, TestBed, eventually, upload};
use serde_json::json;
use tokio::task::JoinSet;

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

pub(crate) async fn a_waiting_body_is_held_back_and_forwarded_whole(bed: &TestBed) {
    const MB: u64 = 1_000_000;
    let gateway = bed.open(&pool(1, 10, "1m")).await;
    let slot = async { gateway.client().send(held("prod")).await };
    let waiting = async {
        eventually("the slot is taken", async || {
            (in_flight(&gateway) == 1).then_some(())
        })
        .await;
        let mut all = JoinSet::new();
        for framing in Framing::ALL {
            let call = Call::post("/e/prod/api/v2/logs/ingest");
            // Far more than Envoy's buffer.
            all.spawn(upload(
                gateway.address,
                call,
                framing,
                9 * MB,
                Pieces::zeros(9 * MB),
            ));
        }
        eventually("all of them wait", async || {
            (depth(&gateway).await == 3).then_some(())
        })
        .await;
        gateway.upstream.let_go(1);
        all.join_all().await
    };
    let (slot, waiting) = tokio::join!(slot, waiting);
    assert_eq!(slot.status, 200);
    assert!(
        waiting
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)),
        "{waiting:?}"
    );
    let bodies = gateway.upstream.bodies("/e/prod/api/v2/logs/ingest");
    assert!(
        bodies.iter().all(|body| body.whole && body.bytes == 9 * MB) && bodies.len() == 3,
        "{bodies:?}"
    );
}
