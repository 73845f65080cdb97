//! The preset dash0, row by row: rolling windows per user and organization, tiers, tokens (D01 to D10).

use super::promises::Rolling;
use super::{Bucket, exactly, limit_and_left, spend, unix_reset, until, until_refused};
use crate::harness::{
    Answer, Call, Client, Crowd, Gateway, Issuer, Lab, Policy, Setup, claims, demo_filters, demo_jwt, eventually,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The demo tokens: two of alice, one of bob in the same organization, one of carol in another.
pub(crate) const ALICE: [&str; 2] = ["demo-alice-1", "demo-alice-2"];
const BOB: &str = "demo-bob";
pub(crate) const CAROL: &str = "demo-carol";

/// What the page says of a tier, and what the preset calls it.
struct Tier {
    name: &'static str,
    call: fn() -> Call,
    user: u64,
    org: u64,
}

const TIERS: [Tier; 3] = [
    Tier { name: "read", call: read, user: 4_000, org: 8_000 },
    Tier { name: "write", call: write, user: 1_000, org: 2_000 },
    Tier { name: "test", call: test, user: 10, org: 20 },
];

pub(crate) fn read() -> Call {
    Call::get("/api/spans")
}

fn write() -> Call {
    Call::post("/api/dashboards")
}

fn test() -> Call {
    Call::post("/api/notification-channels/7/test")
}

fn preset() -> Policy {
    Policy::shipped("envoy/presets/dash0.yaml")
}

/// With other numbers for the Read tier, in windows of an hour: nothing comes back within a test.
pub(crate) fn reads(user: u64, org: u64, token: u64) -> Policy {
    preset()
        .limiting("read-per-user", "rolling", json!({ "quota": user, "window": "1h" }))
        .limiting("read-per-org", "rolling", json!({ "quota": org, "window": "1h" }))
        .limiting("read-per-token", "bucket", json!({ "burst": token, "refill": "1/h" }))
        .limiting("read-per-user", "overrides", json!([]))
        .limiting("read-per-org", "overrides", json!([]))
}

/// As it ships, behind the filter for sessions that ships.
pub(crate) async fn open_with_sessions(lab: &Lab, policy: &Policy) -> Gateway {
    lab.open_with(Setup::of(policy).behind(demo_filters())).await
}

pub(crate) async fn capacity_comes_back_as_the_window_rolls(lab: &Lab) {
    let window = Duration::from_secs(2);
    let policy = preset().limiting("read-per-user", "rolling", json!({ "quota": 5, "window": "2s" })).limiting(
        "write-per-user",
        "rolling",
        json!({ "quota": 80, "window": "2s" }),
    );
    let gateway = open_with_sessions(lab, &policy).await;
    let session = demo_jwt("bob");
    for (call, quota) in [(read(), 5), (write(), 80)] {
        let rolling = Rolling { quota, window };
        let crowd = Crowd::of(6, &gateway);
        let before = gateway.upstream.count("/api/");
        let answers = crowd.send_for(window * 3 + window / 2, |_| call.clone().bearer(&session)).await;
        let admitted = rolling.assert_held(&answers);
        assert!(admitted > quota, "the window rolled on");
        assert_eq!(gateway.upstream.count("/api/") - before, admitted, "what was admitted is what arrived");
    }
}

pub(crate) async fn the_shipped_quotas_hold_under_load(lab: &Lab) {
    let gateway = open_with_sessions(lab, &preset()).await;
    let [alice, bob] = ["alice", "bob"].map(demo_jwt);
    // 1,000 writes in 5 minutes for each user, 2,000 for the organization: all while the window stands.
    let crowd = Crowd::of(12, &gateway);
    let answers = crowd.send(100, |_| write().bearer(&alice)).await;
    assert_eq!(Rolling { quota: 1_000, window: Duration::from_secs(300) }.assert_held(&answers), 1_000);
    let answers = crowd.send(90, |_| write().bearer(&bob)).await;
    assert_eq!(Rolling { quota: 1_000, window: Duration::from_secs(300) }.assert_held(&answers), 1_000);
    // 4,000 reads in 10 seconds: on a machine that is fast enough to send more.
    let answers = Crowd::of(16, &gateway).send(275, |_| read().bearer(&alice)).await;
    Rolling { quota: 4_000, window: Duration::from_secs(10) }.assert_held(&answers);
    // 10 and 20 test calls in a minute.
    for (user, admitted) in [(&alice, 10), (&bob, 10)] {
        let (spent, refusal) = until_refused(&gateway.client(), &test().bearer(user)).await;
        assert_eq!((spent.len(), limit_and_left(&refusal)), (admitted, (10, 0)));
    }
}

pub(crate) async fn whichever_of_user_and_organization_is_reached_first_refuses(lab: &Lab) {
    let gateway = lab.open(&reads(5, 8, 10)).await;
    let client = gateway.client();
    let of = |token: &str| read().bearer(token);
    // A user's two tokens draw from one budget; the organization still has room for three.
    exactly(&client, &of(ALICE[0]), 3).await;
    exactly(&client, &of(ALICE[1]), 2).await;
    for token in [ALICE[0], ALICE[1], ALICE[0], ALICE[1]] {
        let refusal = client.send(of(token)).await;
        assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (5, 0)), "the user's limit is reached");
    }
    // Bob has two left of his own when the organization's limit is reached.
    exactly(&client, &of(BOB), 3).await;
    for _ in 0..4 {
        let refusal = client.send(of(BOB)).await;
        assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (8, 0)), "the organization's limit is reached");
    }
    assert_eq!(spend(&client, &of(CAROL)).await.0, 5, "another organization has a budget of its own");

    // What was refused took nothing: not from the organization and not from the token while the user's limit
    // refused, and not from the user while the organization's did.
    gateway.update(&reads(5, 100, 10)).await.expect("a good policy");
    let client = gateway.client();
    assert_eq!(client.send(of(ALICE[0])).await.status, 429);
    assert_eq!(spend(&client, &of(BOB)).await.0, 2);
    gateway.update(&reads(100, 18, 10)).await.expect("a good policy");
    let client = gateway.client();
    let (spent, refusal) = until_refused(&client, &of(ALICE[0])).await;
    assert_eq!((spent.len(), limit_and_left(&refusal)), (7, (10, 0)), "the token had paid for three of its ten");
    assert_eq!(spend(&client, &of(ALICE[1])).await.0, 1, "the organization had paid for ten of its eighteen");
    assert_eq!(gateway.upstream.count("/"), 10 + 5 + 7 + 1);
}

pub(crate) async fn the_tier_is_found_from_the_request_alone(lab: &Lab) {
    let gateway = open_with_sessions(lab, &preset()).await;
    let session = demo_jwt("alice");
    // Over HTTP/2, where a method may be any word.
    for client in [gateway.client(), Client::http2(gateway.address)] {
        for (tier, calls) in [
            (
                "read",
                &[
                    ("GET", "/api/spans"),
                    ("GET", "/"),
                    ("GET", "/api/notification-channels/7/test"),
                    ("HEAD", "/api/dashboards"),
                    ("OPTIONS", "/api/dashboards"),
                    ("POST", "/api/query"),
                    ("POST", "/api/logs/query"),
                    ("POST", "/api/logs/v2/query?limit=5"),
                    ("POST", "/api/prometheus/api/v1/query_range"),
                    ("POST", "/api/prometheus"),
                    ("POST", "/api//logs/./query/"),
                ][..],
            ),
            (
                "write",
                &[
                    ("POST", "/api/dashboards"),
                    ("PUT", "/api/dashboards/7"),
                    ("PATCH", "/api/check-rules/7"),
                    ("DELETE", "/api/views/7"),
                    ("PUT", "/api/logs/query"),
                    ("DELETE", "/api/prometheus/api/v1/rules"),
                    ("PUT", "/api/notification-channels/7/test"),
                    ("POST", "/api/queries"),
                    ("POST", "/api/test/dashboards"),
                    ("POST", "/api/dashboards?name=/test"),
                ],
            ),
            ("test", &[("POST", "/api/notification-channels/7/test"), ("POST", "/api/test")]),
        ] {
            let limit = TIERS.iter().find(|known| known.name == tier).expect("a tier").user;
            for (method, path) in calls {
                let answer = client.send(Call::new(method, path).bearer(&session)).await;
                assert_eq!((answer.status, limit_and_left(&answer).0), (200, limit), "{method} {path} is a {tier}");
            }
        }
    }
    // What is no method that the page lists is no way past it: it changes something, as far as anybody knows.
    let odd = Call::new("PURGE", "/api/dashboards").bearer(&session);
    let answer = Client::http2(gateway.address).send(odd).await;
    assert_eq!(limit_and_left(&answer).0, 1_000);
}

pub(crate) async fn no_tier_takes_from_another(lab: &Lab) {
    let gateway = open_with_sessions(lab, &preset()).await;
    let client = gateway.client();
    let session = demo_jwt("bob");
    let (tests, _) = spend(&client, &test().bearer(&session)).await;
    assert_eq!(tests, 10);
    for (call, limit, left) in [(write(), 1_000, 999), (read(), 4_000, 3_999), (write(), 1_000, 998)] {
        let answer = client.send(call.bearer(&session)).await;
        assert_eq!((answer.status, limit_and_left(&answer)), (200, (limit, left)));
    }
}

pub(crate) async fn the_headers_state_the_shipped_limits(lab: &Lab) {
    let gateway = open_with_sessions(lab, &preset()).await;
    let client = gateway.client();
    for Tier { name, call, user, .. } in TIERS {
        let answer = client.send(call().bearer(&demo_jwt("alice"))).await;
        assert_eq!(limit_and_left(&answer), (user, user - 1), "{name} per user");
    }
    // A token's own burst is usually what is reached first.
    for (call, limit) in [(read(), 1_000), (write(), 100), (test(), 10)] {
        let answer = client.send(call.bearer(CAROL)).await;
        assert_eq!(limit_and_left(&answer), (limit, limit - 1), "per token");
    }
    // The organization's numbers are seen once its users' are out of the way.
    let raised = TIERS.iter().fold(preset(), |policy, tier| {
        policy.limiting(
            &format!("{}-per-user", tier.name),
            "overrides",
            json!([{ "for": { "org": "acme" }, "quota": 99_999 }]),
        )
    });
    gateway.update(&raised).await.expect("a good policy");
    let client = gateway.client();
    for Tier { name, call, org, .. } in TIERS {
        let (limit, left) = limit_and_left(&client.send(call().bearer(&demo_jwt("alice"))).await);
        assert!(limit == org && left < org, "{name} per organization: {left} of {limit}");
    }
}

pub(crate) async fn a_token_has_a_bucket_of_its_own_on_top(lab: &Lab) {
    let gateway = open_with_sessions(lab, &preset()).await;
    let client = gateway.client();
    let session = demo_jwt("alice");
    let crowd = Crowd::of(8, &gateway);
    let mut taken = 0;
    for (call, bucket, each) in [
        (read(), Bucket { burst: 1_000, refill_per_min: 6_000 }, 160),
        (write(), Bucket { burst: 100, refill_per_min: 60 }, 20),
    ] {
        // Another token of the same user has one of its own, and her session none.
        taken = 0;
        for token in ALICE {
            let begun = Instant::now();
            let answers = crowd.send(each, |_| call.clone().bearer(token)).await;
            let spent = answers.iter().filter(|answer| answer.status == 200).count() as u64;
            bucket.assert_spent(spent, begun.elapsed());
            taken += spent;
        }
        exactly(&client, &call.bearer(&session), 150).await;
    }
    // On top of the user's limit, not instead: all of her writes counted there.
    let answer = client.send(write().bearer(&session)).await;
    assert_eq!(limit_and_left(&answer), (1_000, 1_000 - taken - 151));
}

pub(crate) async fn a_test_call_counts_as_a_write_of_the_token(lab: &Lab) {
    let policy = preset().limiting("write-per-token", "bucket", json!({ "burst": 9, "refill": "1/h" }));
    let gateway = open_with_sessions(lab, &policy).await;
    let client = gateway.client();
    exactly(&client, &test().bearer(ALICE[0]), 4).await;
    let answer = client.send(write().bearer(ALICE[0])).await;
    assert_eq!(limit_and_left(&answer), (9, 4), "four test calls and a write");
    exactly(&client, &write().bearer(ALICE[0]), 4).await;
    for call in [test(), write()] {
        let refusal = client.send(call.bearer(ALICE[0])).await;
        assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (9, 0)));
    }
    assert_eq!(client.send(read().bearer(ALICE[0])).await.status, 200, "no read");
    // What the bucket refused took nothing from the six test calls that she has left, and a session has no bucket.
    let session = demo_jwt("alice");
    let (tests, refusal) = until_refused(&client, &test().bearer(&session)).await;
    assert_eq!((tests.len(), limit_and_left(&refusal)), (6, (10, 0)));
    let answer = client.send(write().bearer(&session)).await;
    assert_eq!((answer.status, limit_and_left(&answer)), (200, (1_000, 994)), "a test call is no write of the user");
}

pub(crate) async fn a_refusal_has_the_trace_of_its_request(lab: &Lab) {
    let gateway = lab.open(&reads(1, 8, 10)).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut of_envoy = BTreeSet::new();
    for client in [gateway.client(), Client::http2(gateway.address)] {
        client.send(read().bearer(ALICE[0])).await;
        let refused = async |call: Call| {
            let answer = client.send(call.bearer(ALICE[0])).await;
            assert_eq!((answer.status, answer.header("content-type")), (429, Some("application/json")));
            let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
            let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&body), ["error"]);
            assert_eq!(keys(&body["error"]), ["code", "message", "traceId"]);
            assert_eq!(body["error"]["code"], 429);
            assert_eq!(body["error"]["message"], "rate limit exceeded");
            body["error"]["traceId"].as_str().expect("a string").to_owned()
        };
        let traced = read().header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
        assert_eq!(refused(traced).await, trace);
        // Without one it is the id that Envoy gave the request, and wrote down beside it.
        for _ in 0..3 {
            of_envoy.insert(refused(read()).await);
        }
        let forged = read().header("x-request-id", "\"},{").header("traceparent", "00-0-0-0");
        of_envoy.insert(refused(forged).await);
    }
    assert_eq!(of_envoy.len(), 8, "each request has its own: {of_envoy:?}");
    eventually("they are in the access log", async || {
        let log = gateway.log();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let logged = |id: &String| lines.iter().any(|line| line["request_id"] == id.as_str() && line["status"] == 429);
        of_envoy.iter().all(logged).then_some(())
    })
    .await;
}

pub(crate) async fn every_response_behind_the_limiter_has_the_fields(lab: &Lab) {
    let mut gateway = lab.open(&reads(40, 40, 40)).await;
    let client = gateway.client();
    let call = |method: &str| Call::new(method, "/api/spans").bearer(BOB);
    let mut left = 40;
    let mut check = |answer: &Answer, status: u16| {
        left -= 1;
        assert_eq!((answer.status, limit_and_left(answer)), (status, (40, left)));
        unix_reset(answer, Duration::from_secs(3_600));
    };
    for status in [200, 201, 204, 304, 400, 404, 429, 500, 503] {
        check(&client.send(call("GET").answered(status)).await, status);
    }
    for method in ["HEAD", "OPTIONS"] {
        check(&client.send(call(method)).await, 200);
    }
    // A client that sends the fields itself changes nothing, nor does an upstream.
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let forged = names.iter().fold(call("GET"), |call, name| call.header(name, "77").answered_with(name, "88"));
    check(&client.send(forged).await, 200);
    check(&Client::http2(gateway.address).send(call("GET")).await, 200);
    gateway.upstream.stop().await;
    check(&client.send(call("GET")).await, 503);
    gateway.upstream.resume().await;
    let (_, refusal) = until_refused(&client, &call("GET")).await;
    assert_eq!(limit_and_left(&refusal), (40, 0));
    unix_reset(&refusal, Duration::from_secs(3_600));
}

pub(crate) async fn the_limit_is_full_again_at_the_reset(lab: &Lab) {
    let policy = preset()
        .limiting("read-per-user", "rolling", json!({ "quota": 5, "window": "3s" }))
        .limiting("test-per-user", "rolling", json!({ "quota": 33, "window": "4s" }))
        .limiting("test-per-org", "rolling", json!({ "quota": 50, "window": "4s" }))
        .limiting("write-per-token", "bucket", json!({ "burst": 6, "refill": "2/s" }));
    let gateway = open_with_sessions(lab, &policy).await;
    let client = gateway.client();
    // A rolling window, one with coarser times, a bucket: each is full again when it says.
    for (call, limit, window) in
        [(read().bearer(ALICE[0]), 5, 3), (test().bearer(&demo_jwt("alice")), 33, 4), (write().bearer(ALICE[0]), 6, 3)]
    {
        let window = Duration::from_secs(window);
        let mut last = client.send(call.clone()).await;
        for _ in 1..3 {
            last = client.send(call.clone()).await;
        }
        let reset = unix_reset(&last, window);
        until(reset).await;
        let full = client.send(call.clone()).await;
        assert_eq!((full.status, limit_and_left(&full)), (200, (limit, limit - 1)), "full at {reset:?}");
        let (_, refusal) = until_refused(&client, &call).await;
        let reset = unix_reset(&refusal, window);
        until(reset).await;
        let full = client.send(call.clone()).await;
        assert_eq!((full.status, limit_and_left(&full)), (200, (limit, limit - 1)), "full at {reset:?}");
    }
}

pub(crate) async fn the_fields_show_the_limit_that_is_nearest_to_exhaustion(lab: &Lab) {
    let gateway = lab.open(&reads(5, 7, 100)).await;
    let client = gateway.client();
    for (token, status, shown) in [
        (ALICE[0], 200, (5, 4)),
        (ALICE[1], 200, (5, 3)),
        (BOB, 200, (5, 4)),
        (BOB, 200, (5, 3)),
        (ALICE[0], 200, (5, 2)),
        (BOB, 200, (7, 1)),
        (BOB, 200, (7, 0)),
        (ALICE[0], 429, (7, 0)),
        (CAROL, 200, (5, 4)),
    ] {
        let answer = client.send(read().bearer(token)).await;
        assert_eq!((answer.status, limit_and_left(&answer)), (status, shown), "{token}");
    }
}

pub(crate) async fn waiting_out_a_retry_after_with_its_jitter_succeeds(lab: &Lab) {
    let policy = preset().limiting("read-per-user", "rolling", json!({ "quota": 3, "window": "2s" })).limiting(
        "write-per-user",
        "rolling",
        json!({ "quota": 2, "window": "5m" }),
    );
    let gateway = lab.open(&policy).await;
    let client = gateway.client();
    for (number, token) in [ALICE[0], CAROL, ALICE[0], CAROL, BOB].into_iter().enumerate() {
        // Not at the beginning of a second each time.
        sleep(Duration::from_millis(170 * number as u64)).await;
        let (_, refusal) = until_refused(&client, &read().bearer(token)).await;
        let wait = refusal.number("retry-after").expect("retry-after");
        // Two seconds at most, and a fifth of that.
        assert!((1..=3).contains(&wait), "{wait} s");
        sleep(Duration::from_secs(wait)).await;
        assert_eq!(client.send(read().bearer(token)).await.status, 200, "after {wait} s");
    }
    // In a longer window the jitter shows: never too early, at most a fifth late, and seldom twice the same.
    let first = client.send(write().bearer(CAROL)).await;
    client.send(write().bearer(CAROL)).await;
    let mut waits = BTreeSet::new();
    for _ in 0..40 {
        let refusal = client.send(write().bearer(CAROL)).await;
        assert_eq!(refusal.status, 429);
        let wait = Duration::from_secs(refusal.number("retry-after").expect("retry-after"));
        assert!(refusal.received + wait >= first.sent + Duration::from_secs(300), "{wait:?} is too early");
        assert!(wait <= Duration::from_secs(361), "{wait:?}");
        waits.insert(wait);
    }
    assert!(waits.len() > 10, "{waits:?}");
}

pub(crate) async fn limits_follow_plan_and_region(lab: &Lab) {
    let issuer = Issuer::new();
    // A directory of somebody else's.
    let entry = |org: &str, user: &str, plan: &str, region: &str| json!({ "org": org, "user": user, "plan": plan, "region": region });
    let policy = preset().knowing(&[
        ("their-token", entry("initech", "peter", "enterprise", "us-west")),
        ("their-other", entry("initrode", "milton", "team", "us-west")),
    ]);
    let gateway = lab.open_with(Setup::of(&policy).behind(issuer.jwt_authn("authorization"))).await;
    let client = gateway.client();
    let session = |org: &str, plan: &str, region: &str| {
        let mut claims = claims(&format!("{org}-{plan}-{region}"), org);
        (claims["plan"], claims["region"]) = (json!(plan), json!(region));
        issuer.token(&claims)
    };
    for (plan, region, limit) in [
        ("enterprise", "us-west", 12_000),
        ("enterprise", "eu-west", 4_000),
        ("team", "us-west", 4_000),
        ("team", "eu-west", 4_000),
        ("", "", 4_000),
    ] {
        let answer = client.send(read().bearer(&session("hooli", plan, region))).await;
        assert_eq!((answer.status, limit_and_left(&answer)), (200, (limit, limit - 1)), "{plan}, {region}");
    }
    // Tokens have their plan and region from the directory, and their own bucket before all else.
    for (token, left) in [("their-token", 999), ("their-other", 999)] {
        let answer = client.send(read().bearer(token)).await;
        assert_eq!((answer.status, limit_and_left(&answer)), (200, (1_000, left)));
    }
    for token in [ALICE[0], BOB, CAROL] {
        assert_eq!(client.send(read().bearer(token)).await.status, 401, "the demo's tokens are gone");
    }
    let wide = policy
        .limiting("read-per-token", "bucket", json!({ "burst": 99_999, "refill": "100/s" }))
        .limiting("read-per-user", "rolling", json!({ "quota": 99_999, "window": "10s" }))
        .limiting("read-per-user", "overrides", json!([]));
    gateway.update(&wide).await.expect("a good policy");
    for (token, org) in [("their-token", 24_000), ("their-other", 8_000)] {
        let answer = gateway.client().send(read().bearer(token)).await;
        assert_eq!(limit_and_left(&answer).0, org);
    }
}

pub(crate) async fn an_organizations_limit_is_raised_and_lowered_in_place(lab: &Lab) {
    let policy = reads(100, 6, 100);
    let gateway = lab.open(&policy).await;
    assert_eq!(spend(&gateway.client(), &read().bearer(ALICE[0])).await.0, 6);
    exactly(&gateway.client(), &read().bearer(CAROL), 2).await;
    let for_acme = |quota: u64| {
        let overrides = json!([{ "for": { "org": "acme" }, "quota": quota }]);
        policy.clone().limiting("read-per-org", "overrides", overrides)
    };
    // Raised: what was taken stays taken. Lowered below that: nothing comes before enough has gone. Raised again.
    for (quota, further) in [(9, 3), (4, 0), (40, 31), (8, 0), (41, 1)] {
        gateway.update(&for_acme(quota)).await.expect("a good policy");
        let (spent, refusal) = until_refused(&gateway.client(), &read().bearer(BOB)).await;
        assert_eq!((spent.len(), limit_and_left(&refusal)), (further, (quota, 0)));
    }
    let (carol, refusal) = until_refused(&gateway.client(), &read().bearer(CAROL)).await;
    assert_eq!((carol.len(), limit_and_left(&refusal)), (4, (6, 0)), "nobody else's changed");
}

pub(crate) async fn a_user_of_two_organizations_is_one_user(lab: &Lab) {
    let entry = |org: &str, user: &str| json!({ "org": org, "user": user, "plan": "team", "region": "eu-west" });
    let policy = reads(5, 6, 100).knowing(&[
        ("first", entry("initech", "peter")),
        ("second", entry("initrode", "peter")),
        ("other", entry("initrode", "milton")),
    ]);
    let gateway = lab.open(&policy).await;
    let client = gateway.client();
    exactly(&client, &read().bearer("first"), 3).await;
    let (second, refusal) = until_refused(&client, &read().bearer("second")).await;
    assert_eq!((second.len(), limit_and_left(&refusal)), (2, (5, 0)), "requests of an individual user identity");
    let (other, refusal) = until_refused(&client, &read().bearer("other")).await;
    assert_eq!((other.len(), limit_and_left(&refusal)), (4, (6, 0)), "each organization paid for its own");
}
