//! The preset dash0, row by row: rolling windows per user and organization, tiers, tokens (D01 to
//! D10).

use super::promises::Rolling;
use super::{Bucket, exactly, limit_and_left, spend, until_refused};
use crate::harness::{
    Call, Client, Crowd, Gateway, Issuer, Policy, Setup, TestBed, claims, demo_filters, demo_jwt,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The demo tokens: two of alice, one of bob in the same organization, one of carol in another.
pub(crate) const ALICE: [&str; 2] = ["demo-alice-1", "demo-alice-2"];
pub(crate) const BOB: &str = "demo-bob";
pub(crate) const CAROL: &str = "demo-carol";

/// A tier of the page, with the preset's name for it.
struct Tier {
    name: &'static str,
    call: fn() -> Call,
    user: u64,
    org: u64,
}

const TIERS: [Tier; 3] = [
    Tier {
        name: "read",
        call: read,
        user: 4_000,
        org: 8_000,
    },
    Tier {
        name: "write",
        call: write,
        user: 1_000,
        org: 2_000,
    },
    Tier {
        name: "test",
        call: test,
        user: 10,
        org: 20,
    },
];

pub(crate) fn read() -> Call {
    Call::get("/api/spans")
}

pub(crate) fn write() -> Call {
    Call::post("/api/dashboards")
}

pub(crate) fn test() -> Call {
    Call::post("/api/notification-channels/7/test")
}

pub(crate) fn preset() -> Policy {
    Policy::shipped("envoy/presets/dash0.yaml")
}

/// With other numbers for the Read tier, in windows of an hour, so that nothing comes back during a
/// test.
pub(crate) fn reads(user: u64, org: u64, token: u64) -> Policy {
    preset()
        .limiting(
            "read-per-user",
            "rolling",
            json!({ "quota": user, "window": "1h" }),
        )
        .limiting(
            "read-per-org",
            "rolling",
            json!({ "quota": org, "window": "1h" }),
        )
        .limiting(
            "read-per-token",
            "bucket",
            json!({ "burst": token, "refill": "1/h" }),
        )
        .limiting("read-per-user", "overrides", json!([]))
        .limiting("read-per-org", "overrides", json!([]))
}

/// As shipped, behind the shipped filter for sessions.
pub(crate) async fn open_with_sessions(bed: &TestBed, policy: &Policy) -> Gateway {
    bed.open_with(Setup::of(policy).behind(demo_filters()))
        .await
}

pub(crate) async fn capacity_comes_back_as_the_window_rolls(bed: &TestBed) {
    let window = Duration::from_secs(2);
    let policy = preset()
        .limiting(
            "read-per-user",
            "rolling",
            json!({ "quota": 5, "window": "2s" }),
        )
        .limiting(
            "write-per-user",
            "rolling",
            json!({ "quota": 80, "window": "2s" }),
        );
    let gateway = open_with_sessions(bed, &policy).await;
    let session = demo_jwt("bob");
    for (call, quota) in [(read(), 5), (write(), 80)] {
        let rolling = Rolling { quota, window };
        let crowd = Crowd::of(6, &gateway);
        let before = gateway.upstream.count("/api/");
        let answers = crowd
            .send_for(window * 3 + window / 2, |_| call.clone().bearer(&session))
            .await;
        let admitted = rolling.assert_held(&answers);
        assert!(admitted > quota, "the window moved");
        assert_eq!(
            gateway.upstream.count("/api/") - before,
            admitted,
            "every admitted request arrived, and no other"
        );
    }
}

pub(crate) async fn the_shipped_quotas_hold_under_load(bed: &TestBed) {
    let gateway = open_with_sessions(bed, &preset()).await;
    let [alice, bob] = ["alice", "bob"].map(demo_jwt);
    // 1,000 writes in 5 minutes for each user, 2,000 for the organization: all within one window.
    let crowd = Crowd::of(12, &gateway);
    let answers = crowd.send(100, |_| write().bearer(&alice)).await;
    assert_eq!(
        Rolling {
            quota: 1_000,
            window: Duration::from_secs(300)
        }
        .assert_held(&answers),
        1_000
    );
    let answers = crowd.send(90, |_| write().bearer(&bob)).await;
    assert_eq!(
        Rolling {
            quota: 1_000,
            window: Duration::from_secs(300)
        }
        .assert_held(&answers),
        1_000
    );
    // 4,000 reads in 10 seconds, on a machine that is fast enough to send more.
    let answers = Crowd::of(16, &gateway)
        .send(275, |_| read().bearer(&alice))
        .await;
    Rolling {
        quota: 4_000,
        window: Duration::from_secs(10),
    }
    .assert_held(&answers);
    // 10 and 20 test calls in a minute.
    for (user, admitted) in [(&alice, 10), (&bob, 10)] {
        let (spent, refusal) = until_refused(&gateway.client(), &test().bearer(user)).await;
        assert_eq!((spent.len(), limit_and_left(&refusal)), (admitted, (10, 0)));
    }
}

pub(crate) async fn the_limit_that_is_reached_first_refuses(bed: &TestBed) {
    let gateway = bed.open(&reads(5, 8, 10)).await;
    let client = gateway.client();
    let of = |token: &str| read().bearer(token);
    // A user's two tokens share one budget; the organization still has room for three.
    exactly(&client, &of(ALICE[0]), 3).await;
    exactly(&client, &of(ALICE[1]), 2).await;
    for token in [ALICE[0], ALICE[1], ALICE[0], ALICE[1]] {
        let refusal = client.send(of(token)).await;
        assert_eq!(
            (refusal.status, limit_and_left(&refusal)),
            (429, (5, 0)),
            "the user's limit is reached"
        );
    }
    // Bob has two left when the organization's limit is reached.
    exactly(&client, &of(BOB), 3).await;
    for _ in 0..4 {
        let refusal = client.send(of(BOB)).await;
        assert_eq!(
            (refusal.status, limit_and_left(&refusal)),
            (429, (8, 0)),
            "the organization's limit is reached"
        );
    }
    assert_eq!(
        spend(&client, &of(CAROL)).await.0,
        5,
        "another organization has a budget of its own"
    );

    // Refused requests took nothing: neither from the organization and the token when the user's
    // limit refused, nor from the user when the organization's limit did.
    gateway
        .update(&reads(5, 100, 10))
        .await
        .expect("a good policy");
    let client = gateway.client();
    assert_eq!(client.send(of(ALICE[0])).await.status, 429);
    assert_eq!(spend(&client, &of(BOB)).await.0, 2);
    gateway
        .update(&reads(100, 18, 10))
        .await
        .expect("a good policy");
    let client = gateway.client();
    let (spent, refusal) = until_refused(&client, &of(ALICE[0])).await;
    assert_eq!(
        (spent.len(), limit_and_left(&refusal)),
        (7, (10, 0)),
        "the token was charged for three of its ten"
    );
    assert_eq!(
        spend(&client, &of(ALICE[1])).await.0,
        1,
        "the organization was charged for ten of its eighteen"
    );
    assert_eq!(gateway.upstream.count("/"), 10 + 5 + 7 + 1);
}

pub(crate) async fn the_tier_is_found_from_the_request_alone(bed: &TestBed) {
    let gateway = open_with_sessions(bed, &preset()).await;
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
            (
                "test",
                &[
                    ("POST", "/api/notification-channels/7/test"),
                    ("POST", "/api/test"),
                ],
            ),
        ] {
            let limit = TIERS
                .iter()
                .find(|known| known.name == tier)
                .expect("a tier")
                .user;
            for (method, path) in calls {
                let answer = client.send(Call::new(method, path).bearer(&session)).await;
                assert_eq!(
                    (answer.status, limit_and_left(&answer).0),
                    (200, limit),
                    "{method} {path} is a {tier}"
                );
            }
        }
    }
    // A method that the page does not list must not bypass the limits. It counts as a write.
    let odd = Call::new("PURGE", "/api/dashboards").bearer(&session);
    let answer = Client::http2(gateway.address).send(odd).await;
    assert_eq!(limit_and_left(&answer).0, 1_000);
}

pub(crate) async fn no_tier_takes_from_another(bed: &TestBed) {
    let gateway = open_with_sessions(bed, &preset()).await;
    let client = gateway.client();
    let session = demo_jwt("bob");
    let (tests, _) = spend(&client, &test().bearer(&session)).await;
    assert_eq!(tests, 10);
    for (call, limit, left) in [
        (write(), 1_000, 999),
        (read(), 4_000, 3_999),
        (write(), 1_000, 998),
    ] {
        let answer = client.send(call.bearer(&session)).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (200, (limit, left))
        );
    }
}

pub(crate) async fn the_headers_state_the_shipped_limits(bed: &TestBed) {
    let gateway = open_with_sessions(bed, &preset()).await;
    let client = gateway.client();
    for Tier {
        name, call, user, ..
    } in TIERS
    {
        let answer = client.send(call().bearer(&demo_jwt("alice"))).await;
        assert_eq!(limit_and_left(&answer), (user, user - 1), "{name} per user");
    }
    // A token's own burst is usually reached first.
    for (call, limit) in [(read(), 1_000), (write(), 100), (test(), 10)] {
        let answer = client.send(call.bearer(CAROL)).await;
        assert_eq!(limit_and_left(&answer), (limit, limit - 1), "per token");
    }
    // The organization's numbers show once those of its users are raised.
    let raised = TIERS.iter().fold(preset(), |policy, tier| {
        policy.limiting(
            &format!("{}-per-user", tier.name),
            "overrides",
            json!([{ "for": { "org": "acme" }, "quota": 99_999 }]),
        )
    });
    gateway.update(&raised).await.expect("a good policy");
    let client = gateway.client();
    for Tier {
        name, call, org, ..
    } in TIERS
    {
        let (limit, left) = limit_and_left(&client.send(call().bearer(&demo_jwt("alice"))).await);
        assert!(
            limit == org && left < org,
            "{name} per organization: {left} of {limit}"
        );
    }
}

pub(crate) async fn a_token_has_a_bucket_of_its_own_on_top(bed: &TestBed) {
    let gateway = open_with_sessions(bed, &preset()).await;
    let client = gateway.client();
    let session = demo_jwt("alice");
    let crowd = Crowd::of(8, &gateway);
    let mut taken = 0;
    for (call, bucket, each) in [
        (
            read(),
            Bucket {
                burst: 1_000,
                refill_per_min: 6_000,
            },
            160,
        ),
        (
            write(),
            Bucket {
                burst: 100,
                refill_per_min: 60,
            },
            20,
        ),
    ] {
        // Another token of the same user has its own bucket, and her session has none.
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
    // In addition to the user's limit, not instead of it: all of her writes counted there.
    let answer = client.send(write().bearer(&session)).await;
    assert_eq!(limit_and_left(&answer), (1_000, 1_000 - taken - 151));
}

pub(crate) async fn a_test_call_counts_as_a_write_of_the_token(bed: &TestBed) {
    let policy = preset().limiting(
        "write-per-token",
        "bucket",
        json!({ "burst": 9, "refill": "1/h" }),
    );
    let gateway = open_with_sessions(bed, &policy).await;
    let client = gateway.client();
    exactly(&client, &test().bearer(ALICE[0]), 4).await;
    let answer = client.send(write().bearer(ALICE[0])).await;
    assert_eq!(
        limit_and_left(&answer),
        (9, 4),
        "four test calls and a write"
    );
    exactly(&client, &write().bearer(ALICE[0]), 4).await;
    for call in [test(), write()] {
        let refusal = client.send(call.bearer(ALICE[0])).await;
        assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (9, 0)));
    }
    assert_eq!(
        client.send(read().bearer(ALICE[0])).await.status,
        200,
        "no read"
    );
    // Requests refused by the bucket took nothing from her six remaining test calls. A session has
    // no bucket.
    let session = demo_jwt("alice");
    let (tests, refusal) = until_refused(&client, &test().bearer(&session)).await;
    assert_eq!((tests.len(), limit_and_left(&refusal)), (6, (10, 0)));
    let answer = client.send(write().bearer(&session)).await;
    assert_eq!(
        (answer.status, limit_and_left(&answer)),
        (200, (1_000, 994)),
        "a test call is not a write of the user"
    );
}

fn entry(org: &str, user: &str, plan: &str, region: &str) -> Value {
    json!({ "org": org, "user": user, "plan": plan, "region": region })
}

pub(crate) async fn limits_follow_plan_and_region(bed: &TestBed) {
    let issuer = Issuer::new();
    // Another directory than the demo's.
    let policy = preset().knowing(&[
        (
            "their-token",
            entry("initech", "peter", "enterprise", "us-west"),
        ),
        (
            "their-other",
            entry("initrode", "milton", "team", "us-west"),
        ),
    ]);
    let gateway = bed
        .open_with(Setup::of(&policy).behind(issuer.jwt_authn("authorization")))
        .await;
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
        let answer = client
            .send(read().bearer(&session("hooli", plan, region)))
            .await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (200, (limit, limit - 1)),
            "{plan}, {region}"
        );
    }
    // Tokens get plan and region from the directory, and their own bucket applies first.
    for (token, left) in [("their-token", 999), ("their-other", 999)] {
        let answer = client.send(read().bearer(token)).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (200, (1_000, left))
        );
    }
    for token in [ALICE[0], BOB, CAROL] {
        assert_eq!(
            client.send(read().bearer(token)).await.status,
            401,
            "the demo's tokens are gone"
        );
    }
    let wide = policy
        .limiting(
            "read-per-token",
            "bucket",
            json!({ "burst": 99_999, "refill": "100/s" }),
        )
        .limiting(
            "read-per-user",
            "rolling",
            json!({ "quota": 99_999, "window": "10s" }),
        )
        .limiting("read-per-user", "overrides", json!([]));
    gateway.update(&wide).await.expect("a good policy");
    for (token, org) in [("their-token", 24_000), ("their-other", 8_000)] {
        let answer = gateway.client().send(read().bearer(token)).await;
        assert_eq!(limit_and_left(&answer).0, org);
    }
}

pub(crate) async fn an_organizations_limit_is_raised_and_lowered_in_place(bed: &TestBed) {
    let policy = reads(100, 6, 100);
    let gateway = bed.open(&policy).await;
    assert_eq!(
        spend(&gateway.client(), &read().bearer(ALICE[0])).await.0,
        6
    );
    exactly(&gateway.client(), &read().bearer(CAROL), 2).await;
    let for_acme = |quota: u64| {
        let overrides = json!([{ "for": { "org": "acme" }, "quota": quota }]);
        policy
            .clone()
            .limiting("read-per-org", "overrides", overrides)
    };
    // Raised: used units stay used. Lowered below that: nothing is admitted before enough has come
    // back. Raised again.
    for (quota, further) in [(9, 3), (4, 0), (40, 31), (8, 0), (41, 1)] {
        gateway
            .update(&for_acme(quota))
            .await
            .expect("a good policy");
        let (spent, refusal) = until_refused(&gateway.client(), &read().bearer(BOB)).await;
        assert_eq!(
            (spent.len(), limit_and_left(&refusal)),
            (further, (quota, 0))
        );
    }
    let (carol, refusal) = until_refused(&gateway.client(), &read().bearer(CAROL)).await;
    assert_eq!(
        (carol.len(), limit_and_left(&refusal)),
        (4, (6, 0)),
        "no other limit changed"
    );
}

pub(crate) async fn a_user_of_two_organizations_is_one_user(bed: &TestBed) {
    let entry = |org, user| entry(org, user, "team", "eu-west");
    let policy = reads(5, 6, 100).knowing(&[
        ("first", entry("initech", "peter")),
        ("second", entry("initrode", "peter")),
        ("other", entry("initrode", "milton")),
    ]);
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    exactly(&client, &read().bearer("first"), 3).await;
    let (second, refusal) = until_refused(&client, &read().bearer("second")).await;
    assert_eq!(
        (second.len(), limit_and_left(&refusal)),
        (2, (5, 0)),
        "requests of an individual user identity"
    );
    let (other, refusal) = until_refused(&client, &read().bearer("other")).await;
    assert_eq!(
        (other.len(), limit_and_left(&refusal)),
        (4, (6, 0)),
        "each organization was charged for its own"
    );
}
