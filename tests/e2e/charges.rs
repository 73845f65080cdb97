//! Which requests are charged: those admitted, unless they fail (EV4).

use super::{ACME, ALPHA, BETA, STANDARD, spend};
use crate::harness::{Call, Client, Gateway, Policy, Setup, TestBed, eventually, route_action};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub(crate) async fn a_refused_request_spends_nothing(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    let call = Call::get("/v2/things").bearer(ACME[0]);
    let begun = Instant::now();
    let (mut admitted, _) = spend(&client, &call).await;
    for _ in 0..3 {
        let statuses = client.statuses(&call, 50).await;
        admitted += statuses.iter().filter(|status| **status == 200).count() as u64;
    }
    let (last, _) = spend(&client, &call).await;
    // If refusals were refunded, it would be more.
    STANDARD.assert_spent(admitted + last, begun.elapsed());
    // If they were charged, the debt would be minutes by now.
    let wait = client.send(call).await.number("retry-after");
    assert!(
        wait.is_none_or(|seconds| seconds <= 2),
        "retry-after {wait:?}"
    );
    let refunded = gateway.admin.metric("sluicegate_refunds_total", &[]).await;
    assert_eq!(refunded, 0, "a refusal has nothing to refund");
}

pub(crate) async fn consecutive_failures_are_refunded(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let client = gateway.client();
    for status in [503, 404, 400] {
        let statuses = client
            .statuses(
                &Call::get("/v2/things").bearer(ACME[0]).answered(status),
                50,
            )
            .await;
        assert!(statuses.iter().all(|s| *s == status), "{statuses:?}");
    }
    refunded(&gateway, 150).await;
    let (left, elapsed) = spend(&client, &Call::get("/v2/things").bearer(ACME[0])).await;
    STANDARD.assert_spent(left, elapsed);
}

pub(crate) async fn parallel_failures_are_refunded(bed: &TestBed) {
    let gateway = bed.open(&Policy::preset()).await;
    let mut clients = JoinSet::new();
    for index in 0..10 {
        let client = if index % 2 == 0 {
            gateway.client()
        } else {
            Client::http2(gateway.address)
        };
        let call = Call::post("/v2/things")
            .bearer(ACME[index % 2])
            .answered(500);
        clients.spawn(async move { client.statuses(&call, 20).await });
    }
    let statuses = clients.join_all().await;
    assert!(
        statuses.concat().iter().all(|status| *status == 500),
        "{statuses:?}"
    );
    refunded(&gateway, 200).await;
    let (left, elapsed) = spend(&gateway.client(), &Call::get("/v2/things").bearer(ACME[0])).await;
    STANDARD.assert_spent(left, elapsed);
}

pub(crate) async fn a_grpc_failure_is_refunded(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&Policy::named("exact")).with_http2())
        .await;
    let client = Client::http2(gateway.address);
    let call = Call::post("/v2/fleet.Things/List").bearer(BETA).grpc();
    let call = call.answered_with("content-type", "application/grpc");
    let mut expected = 0;
    for (call, count, fails) in [
        (call.clone().answered_with("grpc-status", "13"), 3, true),
        (call.clone().answered_at_last("grpc-status", "14"), 3, true),
        (call.clone().answered(503), 2, true),
        (call.clone().answered_at_last("grpc-status", "0"), 2, false),
        (call.clone().answered_with("grpc-status", "0"), 1, false),
    ] {
        client.statuses(&call, count).await;
        expected += if fails { count as u64 } else { 0 };
        refunded(&gateway, expected).await;
    }
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(BETA)).await;
    assert_eq!(left, 7);
}

pub(crate) async fn an_unreachable_upstream_costs_nothing(bed: &TestBed) {
    let mut gateway = bed.open(&Policy::named("exact")).await;
    gateway.upstream.stop().await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let statuses = gateway.client().statuses(&call, 40).await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    refunded(&gateway, 40).await;
    gateway.upstream.resume().await;
    let (left, _) = spend(&gateway.client(), &call).await;
    assert_eq!(left, 10);
}

pub(crate) async fn a_client_that_disconnects_is_still_charged(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    for index in 0..4 {
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("the gateway accepts");
        let request = format!(
            "GET /v2/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-answer-delay-ms: \
             60000\r\n\r\n",
            ALPHA[0]
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("the gateway reads");
        eventually("the request arrives", async || {
            (gateway.upstream.count("/v2/things") > index).then_some(())
        })
        .await;
    }
    eventually("Envoy notices the closed connections", async || {
        (gateway
            .admin
            .stat("downstream_cx_destroy_remote_active_rq")
            .await
            >= 4)
            .then_some(())
    })
    .await;
    let (left, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(left, 6);
}

pub(crate) async fn an_internal_redirect_is_one_request(bed: &TestBed) {
    let gateway = bed
        .open_with(following_redirects(&Policy::named("exact")))
        .await;
    let client = gateway.client();
    let moved = Call::get("/v2/moved").bearer(ALPHA[0]);
    assert_eq!(client.statuses(&moved, 4).await, [200; 4]);
    assert_eq!(
        gateway.upstream.count("/v2/found"),
        4,
        "Envoy followed every redirect"
    );
    refunded(&gateway, 4).await;
    assert_eq!(
        client
            .statuses(&Call::get("/v2/things").bearer(ALPHA[0]), 5)
            .await,
        [200; 5]
    );
    // One unit is left: the second half gets it only if the first has been refunded by then.
    assert_eq!(client.statuses(&moved, 2).await, [200, 429]);
    assert_eq!(gateway.upstream.count("/v2/found"), 5);
}

pub(crate) async fn a_redirect_that_fails_costs_nothing(bed: &TestBed) {
    let gateway = bed
        .open_with(following_redirects(&Policy::named("exact")))
        .await;
    let client = gateway.client();
    let statuses = client
        .statuses(&Call::get("/v2/moved").bearer(ALPHA[0]).answered(503), 12)
        .await;
    assert_eq!(statuses, [503; 12]);
    assert_eq!(
        gateway.upstream.count("/v2/found"),
        12,
        "Envoy followed every redirect"
    );
    refunded(&gateway, 24).await;
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(left, 10);
}

pub(crate) async fn a_redirect_is_charged_in_its_final_tier(bed: &TestBed) {
    let policy = Policy::named("exact")
        .with("/tiers/0/routes", json!(["/v2/far/found"]))
        .with("/limits/1/bucket/burst", json!(1));
    let gateway = bed.open_with(following_redirects(&policy)).await;
    let client = gateway.client();
    let statuses = client
        .statuses(&Call::get("/v2/far/moved").bearer(ALPHA[0]), 3)
        .await;
    assert_eq!(statuses, [200, 429, 429]);
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(left, 10, "the tier in which it began is not charged");
}

fn following_redirects(policy: &Policy) -> Setup {
    Setup::of(policy)
        .edited(|listeners, _| route_action(listeners)["internal_redirect_policy"] = json!({}))
}

/// Waits for the refund of `count` units: a response may reach its client before its stream has
/// ended.
async fn refunded(gateway: &Gateway, count: u64) {
    eventually("the units are refunded", async || {
        (gateway
            .admin
            .metric("sluicegate_refunds_total", &[("limit", "standard")])
            .await
            >= count)
            .then_some(())
    })
    .await;
    let total = gateway.admin.metric("sluicegate_refunds_total", &[]).await;
    assert_eq!(total, count, "each is refunded once");
}

/// Envoy answers 400 to a body that violates the protocol, although the upstream already has the
/// head.
pub(crate) async fn a_client_that_breaks_its_own_request_is_charged(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    for arrived in 1..=5 {
        let mut stream = TcpStream::connect(gateway.address)
            .await
            .expect("the gateway accepts");
        let head = format!(
            "POST /v2/things HTTP/1.1\r\nhost: gateway\r\nx-api-key: {BETA}\r\nx-answer-delay-ms: \
             3000\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("the head");
        eventually("it arrives", async || {
            (gateway.upstream.count("/v2/things") == arrived).then_some(())
        })
        .await;
        stream.write_all(b"ZZ\r\n").await.expect("no chunk");
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 400"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(
        gateway.admin.metric("sluicegate_refunds_total", &[]).await,
        0
    );
    let (left, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(BETA)).await;
    assert_eq!(left, 5);
}

pub(crate) async fn callers_with_different_bursts_share_one_counter(bed: &TestBed) {
    let overrides = json!([{ "for": { "credential": "token" }, "burst": 20 }]);
    let gateway = bed
        .open(&Policy::named("exact").with("/limits/0/overrides", overrides))
        .await;
    let client = gateway.client();
    let (large, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(large, 20);
    for _ in 0..5 {
        // Under the smaller burst, the debt is longer than the window; none of it is forgiven.
        let small = Call::get("/v2/things").header("x-api-key", ALPHA[1]);
        assert_eq!(client.send(small).await.status, 429);
        assert_eq!(
            client
                .send(Call::get("/v2/things").bearer(ALPHA[0]))
                .await
                .status,
            429
        );
    }
}
