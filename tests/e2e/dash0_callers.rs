//! The callers of the preset dash0: tokens, plans, regions, several organizations (D05 to D10).

use super::dash0::{ALICE, BOB, CAROL, open_with_sessions, preset, read, reads, test, write};
use super::{Bucket, exactly, limit_and_left, spend, until_refused};
use crate::harness::{Crowd, Issuer, Policy, Setup, TestBed, claims, demo_jwt};
use serde_json::{Value, json};
use tokio::time::Instant;

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

/// The policy in which only the limits of organizations can be reached.
fn without_the_own(policy: Policy) -> Policy {
    policy
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
        .limiting("read-per-user", "overrides", json!([]))
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
    gateway
        .update(&without_the_own(policy))
        .await
        .expect("a good policy");
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
