//! Who pays: what is admitted, unless it fails (EV4).

use super::{ACME, ALPHA, BETA, STANDARD, spend};
use crate::harness::{Call, Client, Gateway, Lab, Policy, Setup, eventually, route_action};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub(crate) async fn a_refused_request_spends_nothing(lab: &Lab) {
    let gateway = lab.open(&Policy::preset()).await;
    let client = gateway.client();
    let call = Call::get("/v2/things").bearer(ACME[0]);
    let begun = Instant::now();
    let (mut admitted, _) = spend(&client, &call).await;
    for _ in 0..3 {
        let statuses = client.statuses(&call, 50).await;
        admitted += statuses.iter().filter(|status| **status == 200).count() as u64;
    }
    let (last, _) = spend(&client, &call).await;
    // Were refusals given back, it would be more.
    STANDARD.assert_spent(admitted + last, begun.elapsed());
    // Did they cost, the debt would by now be minutes.
    let wait = client.send(call).await.number("retry-after");
    assert!(wait.is_none_or(|seconds| seconds <= 2), "retry-after {wait:?}");
    let given_back = gateway.admin.metric("sluicegate_refunds_total", &[]).await;
    assert_eq!(given_back, 0, "a refusal has nothing to give back");
}

pub(crate) async fn failures_one_after_the_other_are_given_back(lab: &Lab) {
    let gateway = lab.open(&Policy::preset()).await;
    let client = gateway.client();
    for status in [503, 404, 400] {
        let statuses = client.statuses(&Call::get("/v2/things").bearer(ACME[0]).answered(status), 50).await;
        assert!(statuses.iter().all(|s| *s == status), "{statuses:?}");
    }
    given_back(&gateway, 150).await;
    let (left, elapsed) = spend(&client, &Call::get("/v2/things").bearer(ACME[0])).await;
    STANDARD.assert_spent(left, elapsed);
}

pub(crate) async fn failures_in_parallel_are_given_back(lab: &Lab) {
    let gateway = lab.open(&Policy::preset()).await;
    let mut clients = JoinSet::new();
    for index in 0..10 {
        let client = if index % 2 == 0 { gateway.client() } else { Client::http2(gateway.address) };
        let call = Call::post("/v2/things").bearer(ACME[index % 2]).answered(500);
        clients.spawn(async move { client.statuses(&call, 20).await });
    }
    let statuses = clients.join_all().await;
    assert!(statuses.concat().iter().all(|status| *status == 500), "{statuses:?}");
    given_back(&gateway, 200).await;
    let (left, elapsed) = spend(&gateway.client(), &Call::get("/v2/things").bearer(ACME[0])).await;
    STANDARD.assert_spent(left, elapsed);
}

pub(crate) async fn a_grpc_failure_is_given_back(lab: &Lab) {
    let gateway = lab.open_with(Setup::of(&Policy::named("exact")).with_http2()).await;
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
        given_back(&gateway, expected).await;
    }
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(BETA)).await;
    assert_eq!(left, 7);
}

pub(crate) async fn an_upstream_that_is_gone_costs_nothing(lab: &Lab) {
    let mut gateway = lab.open(&Policy::named("exact")).await;
    gateway.upstream.stop().await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let statuses = gateway.client().statuses(&call, 40).await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    given_back(&gateway, 40).await;
    gateway.upstream.resume().await;
    let (left, _) = spend(&gateway.client(), &call).await;
    assert_eq!(left, 10);
}

pub(crate) async fn a_client_that_hangs_up_still_pays(lab: &Lab) {
    let gateway = lab.open(&Policy::named("exact")).await;
    for index in 0..4 {
        let mut stream = TcpStream::connect(gateway.address).await.expect("the gateway accepts");
        let request = format!(
            "GET /v2/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-answer-delay-ms: 60000\r\n\r\n",
            ALPHA[0]
        );
        stream.write_all(request.as_bytes()).await.expect("the gateway reads");
        eventually("the request arrives", async || (gateway.upstream.count("/v2/things") > index).then_some(())).await;
    }
    eventually("Envoy sees that they hung up", async || {
        (gateway.admin.stat("downstream_cx_destroy_remote_active_rq").await >= 4).then_some(())
    })
    .await;
    let (left, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(left, 6);
}

pub(crate) async fn an_internal_redirect_is_one_request(lab: &Lab) {
    let gateway = lab.open_with(following_redirects(&Policy::named("exact"))).await;
    let client = gateway.client();
    let moved = Call::get("/v2/moved").bearer(ALPHA[0]);
    assert_eq!(client.statuses(&moved, 4).await, [200; 4]);
    assert_eq!(gateway.upstream.count("/v2/found"), 4, "Envoy followed every redirect");
    given_back(&gateway, 4).await;
    assert_eq!(client.statuses(&Call::get("/v2/things").bearer(ALPHA[0]), 5).await, [200; 5]);
    // One unit is left: the second half finds it only where the first has given it back by then.
    assert_eq!(client.statuses(&moved, 2).await, [200, 429]);
    assert_eq!(gateway.upstream.count("/v2/found"), 5);
}

pub(crate) async fn a_redirect_that_fails_costs_nothing(lab: &Lab) {
    let gateway = lab.open_with(following_redirects(&Policy::named("exact"))).await;
    let client = gateway.client();
    let statuses = client.statuses(&Call::get("/v2/moved").bearer(ALPHA[0]).answered(503), 12).await;
    assert_eq!(statuses, [503; 12]);
    assert_eq!(gateway.upstream.count("/v2/found"), 12, "Envoy followed every redirect");
    given_back(&gateway, 24).await;
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(left, 10);
}

pub(crate) async fn a_redirect_is_charged_where_it_ends(lab: &Lab) {
    let policy = Policy::named("exact")
        .with("/tiers/0/routes", json!(["/v2/far/found"]))
        .with("/limits/1/bucket/burst", json!(1));
    let gateway = lab.open_with(following_redirects(&policy)).await;
    let client = gateway.client();
    let statuses = client.statuses(&Call::get("/v2/far/moved").bearer(ALPHA[0]), 3).await;
    assert_eq!(statuses, [200, 429, 429]);
    let (left, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(left, 10, "the tier where it begins pays nothing");
}

fn following_redirects(policy: &Policy) -> Setup {
    Setup::of(policy).edited(|listeners, _| route_action(listeners)["internal_redirect_policy"] = json!({}))
}

/// Waits for the giving back of `count` units: a response may reach its client before its stream has ended.
async fn given_back(gateway: &Gateway, count: u64) {
    eventually("the units are given back", async || {
        (gateway.admin.metric("sluicegate_refunds_total", &[("limit", "standard")]).await >= count).then_some(())
    })
    .await;
    let total = gateway.admin.metric("sluicegate_refunds_total", &[]).await;
    assert_eq!(total, count, "each is given back once");
}

/// Envoy answers 400 to a body that breaks the protocol, when the upstream has long got the head.
pub(crate) async fn a_client_that_breaks_its_own_request_has_paid(lab: &Lab) {
    let gateway = lab.open(&Policy::named("exact")).await;
    for arrived in 1..=5 {
        let mut stream = TcpStream::connect(gateway.address).await.expect("the gateway accepts");
        let head = format!(
            "POST /v2/things HTTP/1.1\r\nhost: gateway\r\nx-api-key: {BETA}\r\nx-answer-delay-ms: 3000\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("the head");
        eventually("it arrives", async || (gateway.upstream.count("/v2/things") == arrived).then_some(())).await;
        stream.write_all(b"ZZ\r\n").await.expect("no chunk");
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(gateway.admin.metric("sluicegate_refunds_total", &[]).await, 0);
    let (left, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(BETA)).await;
    assert_eq!(left, 5);
}

pub(crate) async fn callers_with_different_bursts_share_one_count(lab: &Lab) {
    let overrides = json!([{ "for": { "credential": "token" }, "burst": 20 }]);
    let gateway = lab.open(&Policy::named("exact").with("/limits/0/overrides", overrides)).await;
    let client = gateway.client();
    let (large, _) = spend(&client, &Call::get("/v2/things").bearer(ALPHA[0])).await;
    assert_eq!(large, 20);
    for _ in 0..5 {
        // Under the smaller burst the debt is longer than the window; that forgives nothing.
        let small = Call::get("/v2/things").header("x-api-key", ALPHA[1]);
        assert_eq!(client.send(small).await.status, 429);
        assert_eq!(client.send(Call::get("/v2/things").bearer(ALPHA[0])).await.status, 429);
    }
}
