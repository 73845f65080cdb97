//! Failures by cause: requests that a client broke or never finished stay charged, failures of the
//! upstream are refunded (EV4).

use super::{ALPHA, BETA, spend};
use crate::harness::{
    Call, Client, Framing, Gateway, Pieces, Policy, Setup, TestBed, connection_manager, eventually,
    route_action, upload,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A change to the listeners.
type Edit = fn(&mut Value);

/// The timeouts of a stream, with Envoy's response code details.
const TOO_LONG: [(&str, Edit); 5] = [
    ("stream_idle_timeout", |listeners| {
        connection_manager(listeners)["stream_idle_timeout"] = json!("1s")
    }),
    ("stream_idle_timeout", |listeners| {
        route_action(listeners)["idle_timeout"] = json!("1s")
    }),
    ("max_duration_timeout", |listeners| {
        route_action(listeners)["max_stream_duration"] = json!({ "max_stream_duration": "1s" });
    }),
    ("max_duration_timeout", |listeners| {
        connection_manager(listeners)["common_http_protocol_options"] =
            json!({ "max_stream_duration": "1s" });
    }),
    // With status codes that the operator maps, the status does not show the cause.
    ("stream_idle_timeout", |listeners| {
        let manager = connection_manager(listeners);
        manager["stream_idle_timeout"] = json!("1s");
        let timed_out = |status| {
            let value = json!({ "default_value": status, "runtime_key": "none" });
            json!({ "status_code_filter": { "comparison": { "op": "EQ", "value": value } } })
        };
        manager["local_reply_config"] = json!({ "mappers": [
            { "filter": timed_out(504), "status_code": 408 },
            { "filter": timed_out(408), "status_code": 504 },
        ] });
    }),
];

/// The timeouts of a request that is never finished, or of an upstream that does not answer.
const OF_ONE_SIDE: [(&str, bool, Edit); 4] = [
    ("request_overall_timeout", false, |listeners| {
        connection_manager(listeners)["request_timeout"] = json!("1s")
    }),
    ("response_timeout", true, |listeners| {
        route_action(listeners)["timeout"] = json!("1s")
    }),
    ("upstream_per_try_timeout", true, |listeners| {
        route_action(listeners)["retry_policy"] =
            json!({ "num_retries": 0, "per_try_timeout": "1s" });
    }),
    ("upstream_per_try_idle_timeout", true, |listeners| {
        route_action(listeners)["retry_policy"] =
            json!({ "num_retries": 0, "per_try_idle_timeout": "1s" });
    }),
];

pub(crate) async fn a_timeout_is_the_failure_of_the_side_that_envoy_waits_for(bed: &TestBed) {
    for (details, edit) in TOO_LONG {
        timed_out(bed, details, edit, &[true, false]).await;
    }
}

pub(crate) async fn a_timeout_of_one_side_is_the_failure_of_that_side(bed: &TestBed) {
    for (details, complete, edit) in OF_ONE_SIDE {
        timed_out(bed, details, edit, &[complete]).await;
    }
}

/// Sends requests that are never answered, both complete and incomplete ones, of every kind.
async fn timed_out(bed: &TestBed, details: &str, edit: Edit, completes: &[bool]) {
    let gateway = bed
        .open_with(Setup::of(&Policy::named("exact")).edited(move |listeners, _| edit(listeners)))
        .await;
    let mut calls = JoinSet::new();
    for complete in completes {
        for (framing, grpc) in [
            (Framing::Length, false),
            (Framing::Http2, false),
            (Framing::Http2, true),
        ] {
            let call = Call::post("/v2/things")
                .header("x-api-key", if *complete { BETA } else { ALPHA[0] });
            let call = if grpc { call.grpc() } else { call }.header("x-answer-delay-ms", "600000");
            let pieces = Pieces::of([Bytes::from_static(b"half")]);
            let body = if *complete {
                pieces
            } else {
                pieces.then_silence()
            };
            let bytes = if *complete { 4 } else { 9 };
            let address = gateway.address;
            calls.spawn(async move { upload(address, call, framing, bytes, body).await });
        }
    }
    for answer in calls.join_all().await {
        let answer = answer.expect("a response by Envoy itself");
        assert!(
            answer.status > 400
                || answer
                    .header("grpc-status")
                    .is_some_and(|status| status != "0"),
            "{answer:?}"
        );
    }
    let kinds = completes.len() * 3;
    eventually(details, async || {
        (logged(&gateway, details) == kinds).then_some(())
    })
    .await;
    let complete = if completes.contains(&true) { 3 } else { 0 };
    refunded(&gateway, complete).await;
    let left = async |key| {
        let call = Call::get("/v2/things").header("x-api-key", key);
        spend(&gateway.client(), &call).await.0
    };
    assert_eq!(
        left(BETA).await,
        10,
        "{details}: an upstream that never answers costs nothing"
    );
    let paid = if completes.contains(&false) { 3 } else { 0 };
    assert_eq!(
        left(ALPHA[0]).await,
        10 - paid,
        "{details}: an unfinished request stays charged"
    );
}

/// The number of lines of the access log with these details.
fn logged(gateway: &Gateway, details: &str) -> usize {
    gateway
        .log()
        .matches(&format!("\"response_code_details\":\"{details}"))
        .count()
}

/// Waits for this many refunds: a response may reach its client before its stream has ended.
async fn refunded(gateway: &Gateway, count: u64) {
    eventually("the units are refunded", async || {
        (gateway.admin.metric("sluicegate_refunds_total", &[]).await == count).then_some(())
    })
    .await;
}

pub(crate) async fn a_grpc_call_that_breaks_off_costs_nothing(bed: &TestBed) {
    let mut gateway = bed
        .open_with(Setup::of(&Policy::named("exact")).with_http2())
        .await;
    let client = Client::http2(gateway.address);
    let grpc = |key| {
        Call::post("/v2/fleet.Things/List")
            .header("x-api-key", key)
            .grpc()
    };
    let head = |call: Call| call.answered_with("content-type", "application/grpc");
    // The upstream resets its stream after the head or within the body, or omits the status.
    let broken = |how| head(grpc(BETA)).header("x-answer-break", how);
    let without_status = [
        head(grpc(BETA)),
        head(grpc(BETA)).answered_at_last("x-other", "1"),
    ];
    let calls = [broken("reset"), broken("body-reset")]
        .into_iter()
        .chain(without_status);
    for (call, count) in calls.zip(1..) {
        let _ = client.try_send(call).await;
        refunded(&gateway, count).await;
    }
    let broken_off = "upstream_reset_after_response_started";
    eventually(broken_off, async || {
        (logged(&gateway, broken_off) == 2).then_some(())
    })
    .await;
    // The upstream's connection ends.
    let call = head(grpc(BETA)).header("x-answer-break", "stall");
    let stalled = tokio::spawn({
        let client = client.clone();
        async move { client.try_send(call).await.is_ok() }
    });
    eventually("it arrives", async || {
        (gateway.upstream.count("/v2/fleet") == 5).then_some(())
    })
    .await;
    eventually("its head has come", async || {
        (gateway.admin.stat("cluster.upstream.upstream_rq_200").await >= 5).then_some(())
    })
    .await;
    gateway.upstream.stop().await;
    let _ = stalled.await;
    refunded(&gateway, 5).await;
    gateway.upstream.resume().await;
    assert_eq!(
        spend(&client, &Call::get("/v2/things").header("x-api-key", BETA))
            .await
            .0,
        10
    );
}

pub(crate) async fn a_client_that_disconnects_from_a_grpc_call_is_charged(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&Policy::named("exact")).with_http2())
        .await;
    let call = Call::post("/v2/fleet.Things/List")
        .header("x-api-key", BETA)
        .grpc();
    let call = call
        .answered_with("content-type", "application/grpc")
        .header("x-answer-break", "stall");
    // The client resets the stream, or closes its connection.
    for _ in 0..2 {
        Client::http2(gateway.address)
            .hang_up_after_the_head(call.clone())
            .await;
    }
    gateway.client().hang_up_after_the_head(call).await;
    eventually("Envoy notices the closed streams", async || {
        let ended = logged(&gateway, "downstream_remote_disconnect")
            + logged(&gateway, "http2.remote_reset");
        (ended == 3).then_some(())
    })
    .await;
    assert_eq!(
        gateway.admin.metric("sluicegate_refunds_total", &[]).await,
        0
    );
    assert_eq!(
        spend(
            &gateway.client(),
            &Call::get("/v2/things").header("x-api-key", BETA)
        )
        .await
        .0,
        7
    );
}

/// The client chooses the content type: a plain response to it is a success like any other.
pub(crate) async fn a_plain_response_to_a_grpc_request_is_charged(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let call = Call::post("/v2/things").header("x-api-key", BETA).grpc();
    for client in [gateway.client(), Client::http2(gateway.address)] {
        assert_eq!(client.statuses(&call, 2).await, [200; 2]);
        // Also if it breaks off after the head: the status was a success.
        let _ = client
            .try_send(
                Call::get("/v2/things")
                    .header("x-api-key", BETA)
                    .header("x-answer-break", "body-reset"),
            )
            .await;
    }
    assert_eq!(
        spend(
            &gateway.client(),
            &Call::get("/v2/things").header("x-api-key", BETA)
        )
        .await
        .0,
        4
    );
    assert_eq!(
        gateway.admin.metric("sluicegate_refunds_total", &[]).await,
        0
    );
}
