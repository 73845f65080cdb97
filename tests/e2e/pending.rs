//! Bodies in progress while something else happens: an update, a drain, a response, other requests.

use super::hostile::unharmed;
use crate::harness::{
    Call, Framing, Gateway, Pieces, Policy, Setup, TestBed, Underway, eventually, gzip, upload,
};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// More writes than any scenario here makes.
const BURST: u64 = 1_000;

/// A policy that holds some bodies, lets others stream, and counts writes.
pub(crate) fn policy() -> Policy {
    let limits = json!([
        { "name": "held", "for": { "routes": ["/held"] }, "bytes": "1MB", "json": { "depth": 9 },
          "hold": true },
        { "name": "quick", "for": { "routes": ["/quick"] }, "bytes": "1B" },
        { "name": "long", "bytes": "1MB", "decoded_bytes": "100MB", "json": { "depth": 9 } },
    ]);
    Policy::measuring(limits).writing(BURST)
}

/// The same with another bound and the same counters.
fn changed(round: usize) -> Policy {
    policy().with(
        "/payloads/2/decoded_bytes",
        json!(format!("{}MB", 101 + round)),
    )
}

/// JSON whose work takes dozens of slices, in a few packets, followed by `rest`.
pub(crate) fn long(rest: &str) -> Vec<u8> {
    gzip(format!("[{}1]{rest}", "1,".repeat(8_000_000)).as_bytes())
}

fn long_call() -> Call {
    Call::post("/long").header("content-encoding", "gzip")
}

/// The number of writes charged, by the remaining units.
async fn paid(gateway: &Gateway) -> u64 {
    let answer = gateway.client().send(Call::post("/plain").sized(1)).await;
    BURST - answer.number("x-ratelimit-remaining").expect("the rest") - 1
}

const VALID: [&[u8]; 2] = [b"{\"a\":", b"[1]}"];
const INVALID: [&[u8]; 2] = [b"{\"a\":", b"[1}]"];

/// Begins held and streamed uploads in each framing and sends one half: for each, a body that will
/// be valid, and one that will not.
async fn begin_halves(gateway: &Gateway) -> Vec<(u16, Underway)> {
    let mut halves = Vec::new();
    for framing in Framing::ALL {
        for path in ["/held", "/streamed"] {
            for (status, body) in [(200, VALID), (400, INVALID)] {
                let upload = Underway::begin(
                    gateway.address,
                    Call::post(path),
                    framing,
                    body.concat().len(),
                );
                upload.send(body[0]);
                halves.push((status, upload));
            }
        }
    }
    let count = halves.len() as u64;
    eventually("all halves are there", async || {
        let active = gateway
            .admin
            .stat("http.gateway.downstream_rq_active")
            .await;
        let streamed = gateway.upstream.arrived("/streamed", VALID[0].len() as u64) as u64;
        (active >= count && streamed == count / 2).then_some(())
    })
    .await;
    halves
}

async fn end_halves(gateway: &Gateway, halves: Vec<(u16, Underway)>) {
    for (status, upload) in halves {
        upload.send(if status == 200 { VALID[1] } else { INVALID[1] });
        let answer = upload.end().await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    for path in ["/held", "/streamed"] {
        let whole = gateway
            .upstream
            .bodies(path)
            .into_iter()
            .filter(|body| body.whole)
            .map(|body| body.bytes);
        assert_eq!(
            whole.collect::<Vec<_>>(),
            [VALID.concat().len() as u64; 3],
            "{path}"
        );
    }
}

pub(crate) async fn an_unfinished_body_outlasts_updates(bed: &TestBed) {
    let gateway = bed.open(&policy()).await;
    let halves = begin_halves(&gateway).await;
    let count = halves.len() as u64;
    for round in 0..3 {
        gateway
            .update(&changed(round))
            .await
            .expect("a good policy");
    }
    end_halves(&gateway, halves).await;
    assert_eq!(paid(&gateway).await, count, "each has paid once");
    unharmed(&gateway).await;
}

pub(crate) async fn an_unfinished_body_outlasts_its_listener(bed: &TestBed) {
    let gateway = bed.open(&policy()).await;
    let halves = begin_halves(&gateway).await;
    let count = halves.len() as u64;
    gateway.remove_listeners().await;
    end_halves(&gateway, halves).await;
    let refused = [("reason", "malformed_json")];
    assert_eq!(
        gateway
            .admin
            .metric("sluicegate_payloads_refused_total", &refused)
            .await,
        count / 2
    );
    // A draining listener keeps the counters, and another listener finds them.
    gateway.update(&policy()).await.expect("a good policy");
    assert_eq!(paid(&gateway).await, count, "each has paid once");
    unharmed(&gateway).await;
}

/// At every moment of the updates, each worker is reading bodies: as one ends, the next begins.
pub(crate) async fn a_body_being_read_outlasts_updates(bed: &TestBed) {
    let gateway = bed.open(&policy()).await;
    let (good, bad) = (Bytes::from(long("")), Bytes::from(long("]")));
    let stopped = Arc::<AtomicBool>::default();
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (status, body) = if client % 4 == 3 {
            (400, bad.clone())
        } else {
            (200, good.clone())
        };
        let (address, stopped) = (gateway.address, Arc::clone(&stopped));
        clients.spawn(async move {
            let mut sent = 0_usize;
            while !stopped.load(Ordering::Relaxed) {
                let framing = Framing::ALL[(client + sent) % 3];
                let pieces = Pieces::of([body.clone()]);
                let answer = upload(address, long_call(), framing, body.len() as u64, pieces).await;
                let answer = answer.expect("an answer");
                assert_eq!(answer.status, status, "{framing:?}: {}", answer.text());
                sent += 1;
            }
            sent as u64
        });
    }
    for round in 0..3 {
        gateway
            .update(&changed(round))
            .await
            .expect("a good policy");
    }
    stopped.store(true, Ordering::Relaxed);
    let sent: u64 = clients.join_all().await.iter().sum();
    let whole = gateway
        .upstream
        .bodies("/long")
        .into_iter()
        .filter(|body| body.whole);
    assert!(
        whole.clone().all(|body| body.bytes == good.len() as u64),
        "none is longer or shorter"
    );
    let refused = gateway
        .admin
        .metric("sluicegate_payloads_refused_total", &[])
        .await;
    assert_eq!(whole.count() as u64 + refused, sent);
    assert_eq!(paid(&gateway).await, sent, "each has paid once");
    unharmed(&gateway).await;
}

/// When the time of a drain is over, its connections end. The events of its policy end, too, and
/// those of the new policy continue.
pub(crate) async fn a_drain_that_ends_leaves_nothing_behind(bed: &TestBed) {
    let gateway = bed.open_with(Setup::of(&policy()).draining(1)).await;
    let halves = begin_halves(&gateway).await;
    let mut count = halves.len() as u64;
    let mut works = JoinSet::new();
    for framing in Framing::ALL.repeat(4) {
        let body = long("");
        let bytes = body.len() as u64;
        works.spawn(upload(gateway.address, long_call(), framing, bytes, body));
        count += 1;
    }
    eventually("all have come", async || {
        let come = gateway.admin.stat("http.gateway.downstream_rq_total").await;
        (come >= count).then_some(())
    })
    .await;
    gateway.update(&changed(0)).await.expect("a good policy");
    gateway.drained().await;
    let body = long("");
    for framing in Framing::ALL {
        let answer = upload(
            gateway.address,
            long_call(),
            framing,
            body.len() as u64,
            body.clone(),
        )
        .await;
        assert_eq!(answer.expect("an answer").status, 200, "{framing:?}");
        count += 1;
    }
    // Each is served, or broken off with its connection; none hangs.
    for answer in works.join_all().await {
        assert!(
            answer.as_ref().map_or(true, |answer| answer.status == 200),
            "{answer:?}"
        );
    }
    for (_, upload) in halves {
        let answer = upload.end().await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(
        gateway.upstream.count("/held"),
        0,
        "the upstream has seen nothing of them"
    );
    assert!(
        gateway
            .upstream
            .bodies("/streamed")
            .iter()
            .all(|body| !body.whole)
    );
    assert_eq!(paid(&gateway).await, count, "each has paid once");
    unharmed(&gateway).await;
}

/// The upstream answers without waiting for the body; then a byte arrives for which the body is
/// refused.
pub(crate) async fn an_upload_answered_early_is_charged(bed: &TestBed) {
    let limits = json!([
        { "name": "bytes", "for": { "routes": ["/bytes"] }, "bytes": "10B" },
        { "name": "json", "for": { "routes": ["/json"] }, "json": { "depth": 9 } },
        { "name": "packed", "bytes": "1MB", "decoded_bytes": "1MB" },
    ]);
    for charge in ["admitted", "success"] {
        for (path, first, refused) in [
            ("/bytes", &b"123456789"[..], &b"01"[..]),
            ("/json", b"[1,", b"}"),
            ("/packed", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x07"),
        ] {
            // The response continues, or has ended.
            for answer in ["x-answer-break: stall\r\n", ""] {
                let policy = Policy::measuring(limits.clone())
                    .writing(5)
                    .with("/limits/0/charge", json!(charge));
                let gateway = bed.open(&policy).await;
                let mut statuses = Vec::new();
                for _ in 0..12 {
                    let head = format!(
                        "POST {path} HTTP/1.1\r\nHost: e\r\nx-answer-early: 1\r\nContent-Encoding: \
                         {}\r\n{answer}",
                        if path == "/packed" {
                            "gzip"
                        } else {
                            "identity"
                        }
                    );
                    statuses.push(answered_early(&gateway, &head, first, refused).await);
                }
                assert_eq!(statuses[..5], [200; 5], "{charge} {path} {answer:?}");
                assert_eq!(statuses[5..], [429; 7], "{charge} {path} {answer:?}");
                let refunds = gateway.admin.metric("sluicegate_refunds_total", &[]).await;
                assert_eq!(refunds, 0, "{charge} {path} {answer:?}");
                if !answer.is_empty() {
                    // So the byte did arrive after the response had begun.
                    let refused = gateway
                        .admin
                        .metric("sluicegate_payloads_refused_total", &[])
                        .await;
                    assert_eq!(refused, 5, "{charge} {path}");
                }
            }
        }
    }
}

/// Sends a head and the first bytes of a body, waits for the head of the response, and then sends
/// the bytes for which the body is refused. Returns the status; there must be no second response.
async fn answered_early(gateway: &Gateway, head: &str, first: &[u8], refused: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("the gateway accepts");
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let begun = [
        format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes(),
        &chunk(first),
    ]
    .concat();
    stream.write_all(&begun).await.expect("a head");
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        received.push(stream.read_u8().await.expect("the head of an answer"));
    }
    let received = String::from_utf8_lossy(&received).into_owned();
    let status = received
        .get(9..12)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    // It may be closed already.
    let _ = stream.write_all(&chunk(refused)).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(crate::harness::DEADLINE, stream.read_to_end(&mut rest))
        .await
        .unwrap_or_else(|_| panic!("it does not end: {head}"));
    assert!(
        !String::from_utf8_lossy(&rest).contains("HTTP/1.1"),
        "there is no second answer"
    );
    status
}
