//! Bodies that violate HTTP or its conventions, and their cost (X7, X13).

use super::SECOND;
use crate::harness::{
    Call, Client, Framing, Pieces, Policy, Received, Setup, TestBed, brotli, eventually, gzip,
    gzip_of_zeros, raw, upload, zstd_of_blanks,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

pub(crate) async fn a_wrong_length_bypasses_no_limit(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::measuring(json!([{ "bytes": "10B" }])))
        .await;
    let head = "POST /a HTTP/1.1\r\nHost: e\r\n";
    for (rest, status) in [
        ("Content-Length: 10\r\n\r\n1234567890", "200"),
        ("Content-Length: 11\r\n\r\n12345678901", "413"),
        (
            "Transfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n",
            "200",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n0\r\n\r\n",
            "413",
        ),
        // Envoy refuses a body with two lengths, or with one that is not a number.
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n",
            "400",
        ),
        ("Content-Length: 1\r\nContent-Length: 99\r\n\r\n1", "400"),
        ("Content-Length: x\r\n\r\n1", "400"),
    ] {
        let answer = raw(
            gateway.address,
            format!("{head}Connection: close\r\n{rest}").as_bytes(),
            false,
        )
        .await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{rest:?}: {answer}"
        );
    }
    // Bytes after a body's stated length are another request.
    let two = format!(
        "{head}Content-Length: 10\r\n\r\n1234567890{head}Content-Length: 11\r\nConnection: \
         close\r\n\r\n12345678901"
    );
    let answer =
        String::from_utf8_lossy(&raw(gateway.address, two.as_bytes(), false).await).into_owned();
    assert!(
        answer.contains("HTTP/1.1 200") && answer.contains("HTTP/1.1 413"),
        "{answer}"
    );
    assert!(
        gateway
            .upstream
            .bodies("/a")
            .iter()
            .all(|body| body.bytes <= 10)
    );
    assert_eq!(
        gateway.admin.metric("sluicegate_faults_total", &[]).await,
        0
    );
}

pub(crate) async fn trailers_end_a_body(bed: &TestBed) {
    let held = json!([
        { "for": { "routes": ["/held"] }, "json": { "depth": 1 }, "bytes": "1MB", "hold": true },
        { "bytes": "10B" },
    ]);
    let gateway = bed.open(&Policy::measuring(held)).await;
    for (path, body, status) in [
        ("/a", "1234567890", 200),
        ("/a", "12345678901", 413),
        ("/held", "{\"a\":1}", 200),
        ("/held", "{\"a\":[]}", 422),
        ("/held", "{\"a\":1", 400),
    ] {
        for framing in [Framing::Chunked, Framing::Http2] {
            let pieces = Pieces::from(body.as_bytes().to_vec()).then_trailers("x-checksum", "7");
            let answer = upload(gateway.address, Call::post(path), framing, 0, pieces)
                .await
                .expect("an answer");
            assert_eq!(answer.status, status, "{path} {body} {framing:?}");
        }
    }
    assert_eq!(gateway.upstream.count("/held"), 2);
}

pub(crate) async fn a_client_that_expects_100_is_answered_before_the_body(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::measuring(json!([{ "bytes": "10B" }])))
        .await;
    let ask = async |length: usize| {
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("the gateway accepts");
        let head = format!(
            "POST /a HTTP/1.1\r\nHost: e\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\
             \r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("a head");
        let mut received = vec![0; 4_096];
        let read = stream.read(&mut received).await.expect("an answer");
        let mut received = String::from_utf8_lossy(&received[..read]).into_owned();
        if !received.contains("413") {
            let _ = stream.write_all(&vec![b'x'; length]).await;
            let mut rest = vec![0; 4_096];
            let read = stream.read(&mut rest).await.unwrap_or_default();
            received.push_str(&String::from_utf8_lossy(&rest[..read]));
        }
        received
    };
    let admitted = ask(10).await;
    assert!(
        admitted.starts_with("HTTP/1.1 100") && admitted.contains("HTTP/1.1 200"),
        "{admitted}"
    );
    let refused = ask(11).await;
    assert!(refused.contains("HTTP/1.1 413"), "{refused}");
    assert_eq!(gateway.upstream.count("/a"), 1);
}

pub(crate) async fn an_unfinished_held_body_never_reaches_the_upstream(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::measuring(
            json!([{ "bytes": "1MB", "json": { "depth": 9 }, "hold": true }]),
        ))
        .await;
    for framing in [Framing::Chunked, Framing::Http2] {
        let silent = Pieces::from(b"{\"data\":".to_vec()).then_silence();
        let call = Call::post("/silent");
        let address = gateway.address;
        let sending = tokio::spawn(async move { upload(address, call, framing, 0, silent).await });
        eventually("the request is there", async || {
            (gateway
                .admin
                .stat("http.gateway.downstream_rq_active")
                .await
                >= 1)
                .then_some(())
        })
        .await;
        sending.abort();
    }
    eventually("both have hung up", async || {
        let log = gateway.log();
        (log.lines()
            .filter(|line| line.contains("downstream_remote_disconnect"))
            .count()
            >= 1)
            .then_some(())
    })
    .await;
    assert_eq!(gateway.upstream.count("/silent"), 0);
    let call = Call::post("/whole");
    let answer = upload(gateway.address, call, Framing::Chunked, 0, b"{}".to_vec())
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
}

pub(crate) async fn a_response_that_has_begun_is_broken_off(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::measuring(json!([{ "bytes": "100KB" }])))
        .await;
    // The upstream answers at once and continues to read; the body is refused after that.
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("the gateway accepts");
    let head = "POST /early HTTP/1.1\r\nHost: e\r\nx-answer-early: 1\r\nTransfer-Encoding: \
                chunked\r\n\r\n5\r\n12345\r\n";
    stream.write_all(head.as_bytes()).await.expect("a head");
    let mut received = vec![0; 4_096];
    let read = stream.read(&mut received).await.expect("an answer");
    assert!(
        received[..read].starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&received[..read])
    );
    let piece = [b"10000\r\n".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat();
    for _ in 0..3 {
        let _ = stream.write_all(&piece).await;
        sleep(SECOND / 20).await;
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(5 * SECOND, stream.read_to_end(&mut rest)).await;
    assert!(
        !String::from_utf8_lossy(&rest).contains("413"),
        "there is no second answer"
    );
    assert_eq!(gateway.client().send(Call::get("/still")).await.status, 200);
    assert_eq!(
        gateway.admin.metric("sluicegate_faults_total", &[]).await,
        0
    );
}

pub(crate) async fn a_bomb_in_any_encoding_is_refused_and_takes_no_memory(bed: &TestBed) {
    let limits = json!([
        { "for": { "routes": ["/json"] }, "bytes": "1MB", "json": { "depth": 9 } },
        { "bytes": "1MB", "decoded_bytes": "10MB" },
    ]);
    let gateway = bed.open(&Policy::measuring(limits)).await;
    let size = 50 << 20;
    let before = gateway.memory_bytes();
    for (encoding, body) in [
        ("gzip", gzip_of_zeros(size)),
        ("br", brotli(&vec![0; size], 22)),
        ("zstd", zstd_of_blanks(400)),
        ("gzip, gzip", gzip(&gzip_of_zeros(size))),
    ] {
        for (path, status) in [
            ("/a", 413),
            ("/json", if encoding == "zstd" { 413 } else { 400 }),
        ] {
            let call = Call::post(path).header("content-encoding", encoding);
            let bytes = body.len() as u64;
            let answer = upload(gateway.address, call, Framing::Length, bytes, body.clone())
                .await
                .expect("an answer");
            assert_eq!(
                answer.status,
                status,
                "{encoding} {path}: {}",
                answer.text()
            );
        }
    }
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than {before}");
    let unknown = Call::post("/a")
        .header("content-encoding", "compress")
        .sized(9);
    assert_eq!(gateway.client().send(unknown).await.status, 415);
}

pub(crate) async fn a_grpc_caller_gets_a_grpc_refusal(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&Policy::measuring(json!([{ "bytes": "1KB" }]))).with_http2())
        .await;
    let send = async |bytes: usize| {
        let call = Call::post("/pkg.Service/Method").grpc();
        upload(gateway.address, call, Framing::Http2, 0, vec![0; bytes])
            .await
            .expect("an answer")
    };
    assert_eq!(send(1_000).await.header("grpc-status"), None);
    let refused = send(1_001).await;
    assert_eq!(
        (refused.status, refused.header("grpc-status")),
        (200, Some("8"))
    );
    assert_eq!(
        refused.header("grpc-message"),
        Some("The payload is larger than 1000 bytes.")
    );
    assert!(
        refused.header("x-ratelimit-remaining").is_some(),
        "{:?}",
        refused.headers
    );
}

/// A policy with a limit of bytes, one of lines and one of items.
fn measuring_costs() -> Policy {
    let costing = |path: &str, cost: Value| {
        let name = cost.as_object().expect("a map").keys().next();
        json!({ "name": name, "for": { "routes": [path] }, "per": [],
                "calendar": { "quota": 1000, "window": "1d" }, "over": "count", "cost": cost })
    };
    Policy::measuring(json!([{ "bytes": "1KB" }])).with(
        "/limits",
        json!([
            costing("/bytes", json!({ "bytes": "request" })),
            costing("/lines", json!({ "lines": "request" })),
            costing("/items", json!({ "items": "/points" })),
        ]),
    )
}

pub(crate) async fn a_body_costs_its_measurements(bed: &TestBed) {
    let gateway = bed.open(&measuring_costs()).await;
    for framing in Framing::ALL {
        let send = async |path: &str, body: &str| {
            let bytes = body.len() as u64;
            let body = body.as_bytes().to_vec();
            let answer = upload(gateway.address, Call::post(path), framing, bytes, body)
                .await
                .expect("an answer");
            (answer.status, answer.number("x-ratelimit-remaining"))
        };
        let round = Framing::ALL
            .iter()
            .position(|known| *known == framing)
            .expect("one of them") as u64;
        // A refused body costs the bytes that were read, and nothing if its head was enough.
        let before = [0, 0, 1_001][round as usize];
        assert_eq!(
            send("/bytes", &"x".repeat(100)).await,
            (200, Some((900 - 100 * round).saturating_sub(before))),
            "{framing:?}"
        );
        assert_eq!(
            send("/lines", "a\n\n#b\nc").await,
            (200, Some(998 - 2 * round)),
            "{framing:?}"
        );
        assert_eq!(
            send("/items", r#"{"points":[1,[2],{}]}"#).await,
            (200, Some(997 - 3 * round)),
            "{framing:?}"
        );
        assert_eq!(send("/bytes", &"x".repeat(1_001)).await.0, 413);
    }
    let none = Client::http1(gateway.address)
        .send(Call::get("/bytes"))
        .await;
    assert_eq!(none.number("x-ratelimit-remaining"), Some(0));
    assert_eq!(
        gateway
            .admin
            .metric("sluicegate_units_total", &[("limit", "bytes")])
            .await,
        300 + 2 * 1_001
    );
    let whole = Received {
        path: "/lines".to_owned(),
        bytes: 7,
        whole: true,
    };
    assert_eq!(gateway.upstream.bodies("/lines"), vec![whole; 3]);
}

/// With a list of types, a body whose type is not exactly one type may be anything to the upstream,
/// and is read.
pub(crate) async fn a_body_without_exactly_one_media_type_is_read(bed: &TestBed) {
    let listed = json!([{ "json": { "depth": 1, "content_types": ["application/json"] } }]);
    let gateway = bed.open(&Policy::measuring(listed)).await;
    let body = "[[1]]";
    for (lines, status) in [
        ("Content-Type: text/plain\r\n", "200"),
        ("Content-Type: text/plain; charset=\"utf-8\"\r\n", "200"),
        ("Content-Type: multipart/form-data; boundary=x\r\n", "200"),
        ("Content-Type: application/json\r\n", "422"),
        ("Content-Type: APPLICATION/json ; a=b\r\n", "422"),
        ("", "422"),
        ("Content-Type:\r\n", "422"),
        ("Content-Type: \t \r\n", "422"),
        ("Content-Type: text/plain, application/json\r\n", "422"),
        (
            "Content-Type: text/plain\r\nContent-Type: application/json\r\n",
            "422",
        ),
        (
            "Content-Type: text/plain\r\nContent-Type: text/plain\r\n",
            "422",
        ),
        ("Content-Type: text/plain; a=b, application/json\r\n", "422"),
        ("Content-Type: \"text/plain\"\r\n", "422"),
        ("Content-Type: text/plain application/json\r\n", "422"),
        ("Content-Type: text/plain; charset\r\n", "422"),
        ("Content-Type: text/plain; charset=\"utf-8\r\n", "422"),
        ("Content-Type: text\r\n", "422"),
        ("Content-Type: text/\r\n", "422"),
        ("Content-Type: ;\r\n", "422"),
        ("Content-Type: text/pl\u{e4}in\r\n", "422"),
    ] {
        let head = format!(
            "POST /a HTTP/1.1\r\nHost: e\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = raw(gateway.address, format!("{head}{body}").as_bytes(), false).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{lines:?}: {answer}"
        );
    }
    assert_eq!(
        gateway.admin.metric("sluicegate_faults_total", &[]).await,
        0
    );
}
