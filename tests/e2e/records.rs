//! The preset datocms: the size and shape of a record and an asset (DC3 to DC5, DC7).

use super::{SECOND, limit_and_left};
use crate::harness::{Answer, Call, Framing, Gateway, Pieces, Policy, TestBed, upload};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::sleep;

const FREE: &str = "demo-free";
const PAID: &str = "demo-paid-1";
const ENTERPRISE: &str = "demo-enterprise";

fn preset() -> Policy {
    // These tests are about the content of records, not about their rate.
    Policy::shipped("envoy/presets/datocms.yaml").limiting(
        "requests",
        "rolling",
        json!({ "quota": 999, "window": "3s" }),
    )
}

/// A record whose value has this many bytes as sent.
fn record_of(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"type":"item","attributes":{"text":""#, r#""}}"#);
    let text = "x".repeat(bytes - head.len() - tail.len());
    format!("{{\"data\": {head}{text}{tail} }}").into_bytes()
}

/// A record with these attributes.
fn record(attributes: &Value) -> Vec<u8> {
    json!({ "data": { "type": "item", "attributes": attributes } })
        .to_string()
        .into_bytes()
}

/// Nested blocks, with the type after the content.
fn nested(depth: usize) -> Value {
    let block = |within: Value| json!({ "attributes": { "content": [within] }, "type": "item" });
    (0..depth).fold(json!("text"), |within, _| block(within))
}

async fn send(
    gateway: &Gateway,
    token: &str,
    framing: Framing,
    path: &str,
    body: Vec<u8>,
) -> Answer {
    let method = if path == "/items" { "POST" } else { "PUT" };
    let call = Call::new(method, path)
        .bearer(token)
        .header("content-type", "application/vnd.api+json");
    let bytes = body.len() as u64;
    // In pieces that end anywhere.
    let pieces: Vec<Bytes> = body.chunks(9_973).map(Bytes::copy_from_slice).collect();
    upload(gateway.address, call, framing, bytes, Pieces::of(pieces))
        .await
        .expect("an answer")
}

fn assert_refused(answer: &Answer, status: u16, reason: &str, max: u64) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let details = &body["data"][0]["attributes"]["details"];
    assert_eq!(
        (&details["reason"], &details["max"]),
        (&json!(reason), &json!(max)),
        "{body}"
    );
    assert!(
        [180, 999].contains(&limit_and_left(answer).0),
        "the fields are on every response"
    );
}

pub(crate) async fn the_bytes_of_a_record_are_bounded_by_its_plan(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    for (token, path, most) in [
        (FREE, "/items", 300_000),
        (PAID, "/items/7", 300_000),
        (ENTERPRISE, "/items/8", 1_000_000),
    ] {
        for framing in Framing::ALL {
            let before = gateway.upstream.count(path);
            assert_eq!(
                send(&gateway, token, framing, path, record_of(most))
                    .await
                    .status,
                200,
                "{path} {framing:?}"
            );
            let refusal = send(&gateway, token, framing, path, record_of(most + 1)).await;
            assert_refused(&refusal, 413, "value_bytes", most as u64);
            // The upstream does not receive its head either.
            assert_eq!(
                gateway.upstream.count(path),
                before + 1,
                "a refused record never reaches the upstream"
            );
        }
    }
    let all = gateway.upstream.bodies("/items");
    assert!(
        all.iter()
            .all(|body| body.whole && body.bytes == record_of(300_000).len() as u64),
        "{all:?}"
    );
}

pub(crate) async fn a_record_has_at_most_six_hundred_blocks(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let with = |blocks: usize| {
        let blocks: Vec<_> = (0..blocks)
            .map(|number| match number % 2 {
                0 => json!({ "type": "item", "id": number }),
                _ => json!({ "attributes": { "linked": { "type": "upload" } }, "type": "item" }),
            })
            .collect();
        record(&json!({ "content": blocks, "type": "item_of_another_kind" }))
    };
    for framing in Framing::ALL {
        assert_eq!(
            send(&gateway, PAID, framing, "/items", with(600))
                .await
                .status,
            200,
            "{framing:?}"
        );
        assert_refused(
            &send(&gateway, PAID, framing, "/items", with(601)).await,
            422,
            "objects_count",
            600,
        );
    }
    assert_eq!(gateway.upstream.count("/items"), 3);
    let refused = gateway
        .admin
        .metric(
            "sluicegate_payloads_refused_total",
            &[("reason", "objects_count")],
        )
        .await;
    assert_eq!(refused, 3);
}

pub(crate) async fn blocks_nest_at_most_six_deep(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    let siblings = |depth: usize| {
        record(&json!({ "shallow": nested(2), "deep": nested(depth), "more": [nested(1)] }))
    };
    for framing in Framing::ALL {
        assert_eq!(
            send(&gateway, PAID, framing, "/items/7", siblings(6))
                .await
                .status,
            200,
            "{framing:?}"
        );
        assert_refused(
            &send(&gateway, PAID, framing, "/items/7", siblings(7)).await,
            422,
            "objects_depth",
            6,
        );
    }
    // The same with the type first, and escaped.
    let escaped = |depth: usize| {
        let block =
            |within: String| format!(r#"{{"ty\u0070e":"it\u0065m","attributes":[{within}]}}"#);
        let blocks = (0..depth).fold("1".to_owned(), |within, _| block(within));
        format!(r#"{{"data":{{"attributes":{blocks}}}}}"#).into_bytes()
    };
    assert_eq!(
        send(&gateway, PAID, Framing::Chunked, "/items/7", escaped(6))
            .await
            .status,
        200
    );
    assert_refused(
        &send(&gateway, PAID, Framing::Chunked, "/items/7", escaped(7)).await,
        422,
        "objects_depth",
        6,
    );
}

pub(crate) async fn a_body_that_is_not_json_is_not_a_record(bed: &TestBed) {
    let gateway = bed.open(&preset()).await;
    for body in [
        "{\"data\": 1",
        "{'data': 1}",
        "data=1",
        "{\"data\": \"\u{0}\"}",
    ] {
        let answer = send(&gateway, PAID, Framing::Chunked, "/items", body.into()).await;
        assert_refused(&answer, 400, "malformed_json", 0);
    }
    assert_eq!(gateway.upstream.count("/items"), 0);
    // Each of the four was read, so it takes one of the month; a body that is not a record is
    // refused.
    assert_eq!(
        send(&gateway, PAID, Framing::Length, "/items", Vec::new())
            .await
            .status,
        200
    );
    let listed = gateway
        .client()
        .send(Call::get("/items").bearer(PAID))
        .await;
    assert_eq!(listed.status, 200);
    assert_eq!(limit_and_left(&listed), (999, 993));
}

pub(crate) async fn an_asset_has_at_most_a_gigabyte_and_needs_no_memory(bed: &TestBed) {
    const GB: u64 = 1_000_000_000;
    let gateway = bed.open(&preset()).await;
    let asset = |path: &str| Call::new("PUT", path).bearer(PAID);
    let send = async |path: &str, framing: Framing, bytes: u64| {
        upload(
            gateway.address,
            asset(path),
            framing,
            bytes,
            Pieces::zeros(bytes),
        )
        .await
        .expect("an answer")
    };
    send("/uploads/warm", Framing::Chunked, 9_000_000).await;
    let before = gateway.memory_bytes();
    assert_eq!(send("/uploads/a/b", Framing::Chunked, GB).await.status, 200);
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more than {before}");
    assert_eq!(gateway.upstream.bodies("/uploads/a/b")[0].bytes, GB);
    assert_refused(
        &send("/uploads/c", Framing::Length, GB + 1).await,
        413,
        "bytes",
        GB,
    );
    assert_eq!(gateway.upstream.count("/uploads/c"), 0);
    assert_refused(
        &send("/uploads/d", Framing::Chunked, GB + 1).await,
        413,
        "bytes",
        GB,
    );
    sleep(SECOND / 5).await;
    let arrived = gateway.upstream.bodies("/uploads/d");
    assert!(
        arrived.iter().all(|body| !body.whole && body.bytes <= GB),
        "the upload broke off: {arrived:?}"
    );
}
