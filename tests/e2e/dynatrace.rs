//! The preset dynatrace, row by row: payloads (DT1 to DT8), and custom metrics (DT12).

use crate::harness::{
    Answer, Call, Framing, Gateway, Pieces, Policy, TestBed, gzip, gzip_of_zeros, upload,
    zip_of_zeros,
};
use serde_json::{Value, json};

const KB: u64 = 1_000;
const MB: u64 = 1_000_000;
const MIB: u64 = 1 << 20;

/// Tokens of one environment, of another, and of the environment in the path.
const PROD: [&str; 2] = ["demo-prod-1", "demo-prod-2"];
const STAGE: &str = "demo-stage-1";
const ROAMING: &str = "demo-roaming";

fn preset() -> Policy {
    Policy::shipped("envoy/presets/dynatrace.yaml")
}

/// A call with a token.
fn call(method: &str, path: &str, token: &str) -> Call {
    Call::new(method, path).header("authorization", &format!("Api-Token {token}"))
}

/// Fails unless the response is a refusal of a payload, in the format of this API.
fn assert_refused(answer: &Answer, limit: &str, max: u64, request: &str) {
    assert_eq!(answer.status, 413, "{request}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{request}"
    );
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let error = &body["error"];
    assert_eq!(
        (&error["code"], &error["limit"], &error["max"]),
        (&json!(413), &json!(limit), &json!(max)),
        "{request}"
    );
}

pub(crate) async fn a_payload_is_bounded_as_its_row_states(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    for (limit, method, path, bytes) in [
        ("payload", "POST", "/api/v2/events/ingest", MB),
        ("payload", "PUT", "/e/prod/api/config/v1/dashboards/7", MB),
        ("payload", "POST", "/api/v2/logs/ingestion", MB),
        ("payload", "PATCH", "/api/v2/logs/ingest", MB),
        ("log-ingest", "POST", "/api/v2/logs/ingest", 10 * MB),
        ("log-ingest", "POST", "/e/prod/api/v2/logs/ingest", 10 * MB),
        ("otlp-traces", "POST", "/api/v2/otlp/v1/traces", 8 * MB),
        (
            "otlp-metrics",
            "POST",
            "/e/stage/api/v2/otlp/v1/metrics",
            4 * MB,
        ),
        ("otlp-logs", "POST", "/api/v2/otlp/v1/logs", 2 * MB),
    ] {
        for framing in Framing::ALL {
            let request = format!("{method} {path} {framing:?}");
            let path = &format!("{path}?{method}{framing:?}");
            let send = async |bytes: u64| {
                let call = call(method, path, PROD[0]);
                upload(gateway.address, call, framing, bytes, Pieces::zeros(bytes))
                    .await
                    .expect(&request)
            };
            assert_eq!(send(bytes).await.status, 200, "{request}");
            assert_refused(&send(bytes + 1).await, limit, bytes, &request);
            let arrived = gateway.upstream.bodies(path);
            let whole: Vec<u64> = arrived
                .iter()
                .filter(|body| body.whole)
                .map(|body| body.bytes)
                .collect();
            assert_eq!(whole, [bytes], "{request}: {arrived:?}");
            if framing == Framing::Length {
                assert_eq!(
                    gateway.upstream.count(path),
                    1,
                    "the head of the other announces too many bytes"
                );
            }
        }
    }
}

pub(crate) async fn extensions_and_plugins_are_bounded_as_their_rows_state(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    for (limit, path, framing) in [
        ("extensions", "/api/config/v1/extensions", Framing::Chunked),
        (
            "extensions",
            "/e/prod/api/config/v1/extensions/custom/7",
            Framing::Http2,
        ),
        ("plugins", "/api/config/v1/plugins/zip", Framing::Length),
    ] {
        let send = async |bytes: u64| {
            let call = call("POST", path, ROAMING).header("content-type", "application/zip");
            upload(gateway.address, call, framing, bytes, Pieces::zeros(bytes))
                .await
                .expect(path)
        };
        assert_eq!(send(50 * MB).await.status, 200, "{path}");
        assert_refused(&send(50 * MB + 1).await, limit, 50 * MB, path);
    }
}

pub(crate) async fn a_symbol_file_is_measured_as_sent_and_unpacked(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let path = "/api/config/v1/symfiles/app/android/7.zip";
    let send = async |framing: Framing, encoding: Option<&str>, body: Pieces, bytes: u64| {
        let mut call = call("PUT", path, STAGE);
        if let Some(encoding) = encoding {
            call = call.header("content-encoding", encoding);
        }
        upload(gateway.address, call, framing, bytes, body)
            .await
            .expect("an answer")
    };
    // As sent: "up to 100 MiB compressed".
    for framing in Framing::ALL {
        assert_eq!(
            send(framing, None, Pieces::zeros(100 * MIB), 100 * MIB)
                .await
                .status,
            200,
            "{framing:?}"
        );
        let refusal = send(framing, None, Pieces::zeros(100 * MIB + 1), 100 * MIB + 1).await;
        assert_refused(&refusal, "symbol-files", 100 * MIB, &format!("{framing:?}"));
    }
    // Unpacked: "the uncompressed file must not exceed 500 MiB"; an archive, a gzip file, or an
    // encoding.
    let most = 500 << 20;
    for (encoding, pack) in [
        (None, zip_of_zeros as fn(usize) -> Vec<u8>),
        (None, gzip_of_zeros),
        (Some("gzip"), gzip_of_zeros),
    ] {
        for (bytes, passes) in [(most, true), (most + 1, false)] {
            let packed = pack(bytes);
            let length = packed.len() as u64;
            assert!(length < 10 * MB, "{length}");
            let answer = send(Framing::Chunked, encoding, packed.into(), length).await;
            if passes {
                assert_eq!(answer.status, 200, "{encoding:?}: {}", answer.text());
            } else {
                assert_refused(&answer, "symbol-files", 500 * MIB, &format!("{encoding:?}"));
            }
        }
    }
    let archive = zip_of_zeros(2 << 20);
    let cut = archive[..archive.len() - 30].to_vec();
    let length = cut.len() as u64;
    assert_eq!(
        send(Framing::Length, None, cut.into(), length).await.status,
        400,
        "a truncated archive"
    );
    assert_eq!(
        send(Framing::Length, Some("compress"), Pieces::zeros(9), 9)
            .await
            .status,
        415
    );
}

/// Sends lines of metrics; returns the remaining units and the overage.
async fn ingest(
    gateway: &Gateway,
    path: &str,
    token: Option<&str>,
    encoding: Option<&str>,
    lines: &[u8],
) -> (u64, u64) {
    let mut call = Call::post(path);
    if let Some(token) = token {
        call = call.header("authorization", &format!("Api-Token {token}"));
    }
    if let Some(encoding) = encoding {
        call = call.header("content-encoding", encoding);
    }
    let answer = upload(gateway.address, call, Framing::Chunked, 0, lines.to_vec())
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let left = answer.number("x-ratelimit-remaining").expect("a field");
    let overage = answer.number("x-ratelimit-overage").unwrap_or_default();
    (left, overage)
}

/// A body that is too large is charged for the lines before the refusal. Their number depends on
/// the network.
async fn send_too_many(gateway: &Gateway, path: &str) {
    let large = call("POST", path, PROD[0]);
    let mut body = b"a 1\n".repeat(250_000);
    body.push(b'\n');
    let refused = upload(gateway.address, large, Framing::Chunked, 0, body)
        .await
        .expect("an answer");
    assert_refused(&refused, "payload", MB, "too large");
}

async fn total(gateway: &Gateway, metric: &str) -> u64 {
    let labels = [("limit", "custom-metrics")];
    gateway.admin.metric(metric, &labels).await
}

pub(crate) async fn custom_metrics_are_counted_per_environment_and_never_refused(bed: &TestBed) {
    // The page documents no fields; the test uses them to see the remaining units.
    let policy = preset()
        .with("/replies/fields", json!({ "family": "x-ratelimit" }))
        .limiting(
            "custom-metrics",
            "calendar",
            json!({ "quota": 10, "window": "1mo", "zone": "UTC" }),
        );
    let gateway = bed.open(&policy).await;
    let ingest = async |path: &str, token: Option<&str>, encoding: Option<&str>, lines: &[u8]| {
        ingest(&gateway, path, token, encoding, lines).await
    };
    let plain = "/api/v2/metrics/ingest";
    let of_prod = "/e/prod/api/v2/metrics/ingest";
    let lines = b"cpu,host=a 1\n\n# of no interest\nmem,host=a 2\r\ndisk 3";
    let packed = gzip(lines);
    let few: &[u8] = b"a 1\nb 2";
    for (path, token, encoding, lines, left) in [
        (plain, Some(PROD[0]), None, &lines[..], 7),
        // The environment of the token counts, not that of the path.
        (
            "/e/stage/api/v2/metrics/ingest",
            Some(PROD[1]),
            None,
            b"a 1\n",
            6,
        ),
        // The roaming token takes the environment of the path, and so does a probe.
        (of_prod, Some(ROAMING), Some("gzip"), &packed, 3),
        (of_prod, None, None, few, 1),
        (plain, Some(STAGE), None, b"a 1", 9),
        (plain, None, None, b"a 1", 9),
    ] {
        assert_eq!(
            ingest(path, token, encoding, lines).await,
            (left, 0),
            "{path} {token:?}"
        );
    }
    send_too_many(&gateway, plain).await;
    let units = || total(&gateway, "sluicegate_units_total");
    let paid = units().await - (3 + 1 + 3 + 2 + 1 + 1);
    assert!(
        (1..=250_000).contains(&paid),
        "{paid} units for a body that was refused"
    );
    // One of the ten units was left.
    assert_eq!(
        ingest(plain, Some(PROD[0]), None, lines).await,
        (0, paid + 3 - 1),
        "over, and admitted all the same"
    );
    assert_eq!(units().await, 3 + 1 + 3 + 2 + 1 + 1 + paid + 3);
    assert_eq!(
        total(&gateway, "sluicegate_overage_units_total").await,
        paid + 3 - 1
    );
}

pub(crate) async fn an_unknown_token_is_refused_and_a_missing_one_admitted(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let client = gateway.client();
    let answer = client.send(call("GET", "/api/v2/metrics", "nobody")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Api-Token realm=\"dynatrace\"")
    );
    for path in ["/api/v2/metrics", "/e/prod/api/v2/metrics"] {
        assert_eq!(client.send(Call::get(path)).await.status, 200);
        let answer = client
            .send(call("POST", path, PROD[0]).sized(600 * KB as usize))
            .await;
        assert_eq!(answer.status, 200);
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().contains("ratelimit")),
            "{:?}",
            answer.headers
        );
    }
}
