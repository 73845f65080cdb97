//! The preset dash0, row by row: rolling windows per user and organization, tiers, tokens (D01 to
//! D10).

use super::promises::Rolling;
use super::{exactly, limit_and_left, spend, until_refused};
use crate::harness::{
    Call, Client, Crowd, Gateway, Policy, Setup, TestBed, demo_filters, demo_jwt,
};
use serde_json::json;
use std::time::Duration;

/// The demo tokens: two of alice, one of bob in the same organization, one of carol in another.
pub(crate) const ALICE: [&str; 2] = ["demo-alice-1", "demo-alice-2"];
pub(crate) const BOB: &str = "demo-bob";
pub(crate) const CAROL: &str = "demo-carol";

/// A tier of the page, with the preset's name for it.
pub(crate) struct Tier {
    name: &'static str,
    call: fn() -> Call,
    user: u64,
    org: u64,
}

pub(crate) const TIERS: [Tier; 3] = [
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

#[expect(clippy::too_many_lines, reason = "one table of cases")]
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
    let mut raised = preset();
    for tier in &TIERS {
        raised = raised.limiting(
            &format!("{}-per-user", tier.name),
            "overrides",
            json!([{ "for": { "org": "acme" }, "quota": 99_999 }]),
        );
    }
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
