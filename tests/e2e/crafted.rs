//! Bodies of a few bytes that try to cause much work or memory, on a real Envoy.

use super::hostile::unharmed;
use crate::harness::{
    Answer, Call, Client, Framing, Gateway, Policy, TestBed, empty_blocks, eventually, gzip,
    gzip_of_empty_blocks, upload,
};
use serde_json::{Value, json};
use std::io::Write as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

fn policy(payload: Value) -> Policy {
    Policy::measuring(json!([payload]))
}

/// This many times four empty DEFLATE blocks as the only entry of an archive, cut off within its
/// data.
fn zip_of_empty_blocks(fours: usize) -> Vec<u8> {
    // APPNOTE 4.3.7: a deflated entry `a` whose sizes follow its data.
    let mut archive = b"PK\x03\x04\x14\x00\x08\x00\x08\x00".to_vec();
    archive.extend([0; 16]);
    archive.extend([1, 0, 0, 0, b'a']);
    archive.extend(empty_blocks(fours));
    archive
}

async fn send(gateway: &Gateway, call: Call, encoding: &str, body: Vec<u8>) -> Answer {
    let call = call.header("content-encoding", encoding);
    let bytes = body.len() as u64;
    upload(gateway.address, call, Framing::Length, bytes, body)
        .await
        .expect("an answer")
}

pub(crate) async fn empty_blocks_allow_no_work(bed: &TestBed) {
    let nested = |body: Vec<u8>, times: usize| (0..times).fold(body, |body, _| gzip(&body));
    let gateway = bed
        .open(&policy(
            json!({ "name": "f", "bytes": "100MB", "decoded_bytes": "2MB" }),
        ))
        .await;
    // Sent without encodings, they cost no more than other bytes.
    assert_eq!(
        send(
            &gateway,
            Call::post("/x"),
            "gzip",
            gzip_of_empty_blocks(390_000)
        )
        .await
        .status,
        200
    );
    for (times, encoding) in [
        (1, "gzip, gzip"),
        (2, "gzip, gzip, gzip"),
        (3, "gzip, gzip, gzip, gzip"),
    ] {
        let answer = send(
            &gateway,
            Call::post("/x"),
            encoding,
            nested(gzip_of_empty_blocks(390_000), times),
        )
        .await;
        assert_eq!(answer.status, 400, "{encoding}: {}", answer.text());
    }
    let refused = [("limit", "f"), ("reason", "malformed_encoding")];
    assert_eq!(
        gateway
            .admin
            .metric("sluicegate_payloads_refused_total", &refused)
            .await,
        3
    );
    unharmed(&gateway).await;
}

pub(crate) async fn empty_blocks_allow_no_work_under_the_presets(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::shipped("envoy/presets/dynatrace.yaml"))
        .await;
    let call = Call::new("PUT", "/api/config/v1/symfiles/app/android/7.zip")
        .header("authorization", "Api-Token demo-stage-1");
    let answer = send(&gateway, call, "gzip", gzip(&zip_of_empty_blocks(400_000))).await;
    assert_eq!(answer.status, 400, "{}", answer.text());

    let gateway = bed
        .open(&Policy::shipped("envoy/presets/datocms.yaml"))
        .await;
    let left = |answer: &Answer| answer.number("x-ratelimit-remaining").expect("a number");
    let call = || Call::post("/items").bearer("demo-free");
    let first = send(
        &gateway,
        call(),
        "gzip, gzip",
        gzip(&gzip_of_empty_blocks(200_000)),
    )
    .await;
    let second = send(
        &gateway,
        call(),
        "gzip, gzip",
        gzip(&gzip_of_empty_blocks(200_000)),
    )
    .await;
    assert_eq!(
        (first.status, second.status),
        (400, 400),
        "{}",
        first.text()
    );
    assert!(
        left(&second) < left(&first),
        "a body that had to be decoded is charged"
    );
}

pub(crate) async fn a_thousand_small_bodies_are_decoded_at_once(bed: &TestBed) {
    let gateway = bed
        .open(&policy(
            json!({ "name": "f", "bytes": "1MB", "decoded_bytes": "2MB", "hold": true }),
        ))
        .await;
    let mut small = Vec::new();
    let text = "a small body, as a client sends it";
    brotli::CompressorWriter::new(&mut small, 4096, 5, 22)
        .write_all(text.as_bytes())
        .expect("memory");
    let kept = open(
        &gateway,
        1_000,
        "content-encoding: br\r\n",
        &small[..small.len() - 1],
    )
    .await;
    assert_eq!(refused_as_busy(&gateway).await, 0);
    assert_eq!(
        Client::http1(gateway.address)
            .statuses(&Call::get("/x"), 3)
            .await,
        [200; 3]
    );
    drop(kept);
    unharmed(&gateway).await;
}

pub(crate) async fn open_bodies_stay_within_the_memory_of_their_worker(bed: &TestBed) {
    let rules = json!({ "duplicate_names": "refuse", "members": 16_384 });
    let gateway = bed
        .open(&policy(
            json!({ "name": "f", "bytes": "1MB", "json": rules, "hold": true }),
        ))
        .await;
    let names: Vec<String> = (0..16_000)
        .map(|number| format!("\"{number}\":1"))
        .collect();
    let body = format!("{{{}", names.join(","));
    let before = gateway.memory_bytes();
    let kept = open(&gateway, 2_000, "", body.as_bytes()).await;
    let grown = gateway.memory_bytes().saturating_sub(before);
    // Two workers with a budget of 384 MiB each, plus the 280 MiB sent in Envoy's buffers.
    assert!(grown < 1_400 << 20, "{grown} bytes more than {before}");
    drop(kept);
    unharmed(&gateway).await;
}

/// Opens this many uploads and sends this much of each. They stay open unless refused. They are
/// held, so that the upstream needs no connection for each.
async fn open(gateway: &Gateway, count: usize, headers: &str, body: &[u8]) -> Vec<TcpStream> {
    let head = format!(
        "POST /u HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{headers}\r\n{:x}\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body, b"\r\n"].concat();
    let mut kept = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("a connection");
        // A refused upload may be closed while it is being sent.
        let _ = stream.write_all(&request).await;
        kept.push(stream);
    }
    let came = count as u64;
    eventually("all have come", async || {
        let active = gateway
            .admin
            .stat("http.gateway.downstream_rq_active")
            .await;
        (active + refused_as_busy(gateway).await >= came).then_some(())
    })
    .await;
    kept
}

async fn refused_as_busy(gateway: &Gateway) -> u64 {
    gateway
        .admin
        .metric("sluicegate_payloads_refused_total", &[("reason", "busy")])
        .await
}
