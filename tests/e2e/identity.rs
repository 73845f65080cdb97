//! Identity from claims that Envoy's own filters verify, and from its configuration (D05, EV1).

use super::dash0::{ALICE, CAROL, open_with_sessions, read, reads};
use super::{ALPHA, BETA, exactly, limit_and_left, spend, until_refused};
use crate::harness::{Call, Gateway, Issuer, LATE, Policy, Setup, TestBed, claims, demo_jwt};
use serde_json::{Value, json};

pub(crate) async fn unauthorized(gateway: &Gateway, reason: &str) -> u64 {
    gateway
        .admin
        .metric("sluicegate_unauthorized_total", &[("reason", reason)])
        .await
}

/// The shipped filters, policy and JWTs.
pub(crate) async fn the_demo_session_works_as_documented(bed: &TestBed) {
    let gateway = open_with_sessions(bed, &reads(10, 15, 8)).await;
    let client = gateway.client();
    let call = |token: &str| read().bearer(token);
    exactly(&client, &call(&demo_jwt("alice")), 6).await;
    // Her token uses the same ten, and bob's the organization's fifteen.
    exactly(&client, &call(ALICE[0]), 4).await;
    for token in [ALICE[0], ALICE[1], &demo_jwt("alice")] {
        assert_eq!(client.send(call(token)).await.status, 429);
    }
    let (bob, refusal) = until_refused(&client, &call(&demo_jwt("bob"))).await;
    assert_eq!((bob.len(), limit_and_left(&refusal)), (5, (15, 0)));
    // Carol's session has her ten; her token is refused by its own eight before.
    let (carol, refusal) = until_refused(&client, &call(CAROL)).await;
    assert_eq!((carol.len(), limit_and_left(&refusal)), (8, (8, 0)));
    assert_eq!(spend(&client, &call(&demo_jwt("carol"))).await.0, 2);
    for call in [
        call(&format!("x{}", demo_jwt("bob"))),
        call("nobody's"),
        read(),
    ] {
        let answer = client.send(call).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("x-ratelimit-limit"),
            None,
            "it did not pass through the limiter"
        );
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body["error"]["code"], 401, "{body}");
    }
}

/// JWTs that the filter does not verify. They leave no metadata, and are not in the directory.
fn unverified(issuer: &Issuer) -> [(&'static str, String); 8] {
    let with = |key: &str, value: Value| {
        let mut claims = claims("carol", "gamma");
        claims[key] = value;
        claims
    };
    let strange = Issuer::new().token(&claims("carol", "gamma"));
    let good = issuer.token(&claims("carol", "gamma"));
    let (head, signature) = good.rsplit_once('.').expect("a signature");
    let forged = good.replacen(
        head.rsplit_once('.').expect("claims").1,
        &part(&claims("dave", "alpha")),
        1,
    );
    [
        ("expired", issuer.token(&with("exp", json!(1)))),
        ("not yet", issuer.token(&with("nbf", json!(LATE - 1)))),
        (
            "another issuer",
            issuer.token(&with("iss", json!("id.example"))),
        ),
        (
            "another audience",
            issuer.token(&with("aud", json!("others"))),
        ),
        ("another key", strange),
        ("other claims under the same signature", forged),
        (
            "no signature",
            format!(
                "{}.{}.",
                part(&json!({ "alg": "none" })),
                part(&claims("alice", "alpha"))
            ),
        ),
        ("half a token", signature.to_owned()),
    ]
}

pub(crate) async fn a_session_and_a_token_are_distinguished_in_one_header(bed: &TestBed) {
    let issuer = Issuer::new();
    let policy = Policy::named("callers");
    let gateway = bed
        .open_with(Setup::of(&policy).behind(issuer.jwt_authn("authorization")))
        .await;
    let client = gateway.client();
    let call = |token: &str| Call::get("/").bearer(token);
    let session = call(&issuer.token(&claims("alice", "alpha")));
    assert_eq!(client.statuses(&session, 2).await, [200; 2]);
    assert_eq!(client.statuses(&call(ALPHA[1]), 2).await, [200; 2]);
    assert_eq!(
        client.statuses(&session, 2).await,
        [429; 2],
        "one organization, one budget"
    );
    assert_eq!(
        client
            .send(call(&issuer.token(&claims("carol", "gamma"))))
            .await
            .status,
        200
    );

    for (name, token) in unverified(&issuer) {
        let before = unauthorized(&gateway, "unknown").await;
        assert_eq!(client.send(call(&token)).await.status, 401, "{name}");
        assert_eq!(
            unauthorized(&gateway, "unknown").await,
            before + 1,
            "{name}"
        );
    }
    assert_eq!(client.send(Call::get("/")).await.status, 401);
    assert_eq!(unauthorized(&gateway, "absent").await, 1);
}

fn part(json: &Value) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string())
}

pub(crate) async fn a_session_and_a_token_must_belong_to_one_caller(bed: &TestBed) {
    let issuer = Issuer::new();
    let policy = Policy::named("callers");
    let gateway = bed
        .open_with(Setup::of(&policy).behind(issuer.jwt_authn("x-session")))
        .await;
    let client = gateway.client();
    let alice = format!("Bearer {}", issuer.token(&claims("alice", "alpha")));
    let both = |token: &str| Call::get("/").header("x-session", &alice).bearer(token);
    assert_eq!(client.send(both(ALPHA[0])).await.status, 200);
    for (token, why) in [
        (BETA, "another organization's"),
        (ALPHA[1], "another user's"),
    ] {
        let before = unauthorized(&gateway, "conflicting").await;
        assert_eq!(client.send(both(token)).await.status, 401, "{why}");
        assert_eq!(
            unauthorized(&gateway, "conflicting").await,
            before + 1,
            "{why}"
        );
    }
    assert_eq!(
        client.send(both("e2e-nobody")).await.status,
        200,
        "an unknown token is ignored"
    );
    let key = both("e2e-nobody").header("x-api-key", "e2e-nobody");
    assert_eq!(
        client.send(key).await.status,
        401,
        "an unknown key in another header is not"
    );
    let (left, _) = spend(&client, &Call::get("/").header("x-session", &alice)).await;
    assert_eq!(left, 2, "refused requests took nothing");
}

pub(crate) async fn a_refreshed_session_is_the_same_caller(bed: &TestBed) {
    let issuer = Issuer::new();
    let policy = Policy::named("callers").with("/limits/0/per", json!(["session"]));
    let gateway = bed
        .open_with(Setup::of(&policy).behind(issuer.jwt_authn("authorization")))
        .await;
    let client = gateway.client();
    let session = |sub: &str, number: u64| {
        let mut claims = claims(sub, "alpha");
        (claims["jti"], claims["exp"]) = (json!(number.to_string()), json!(LATE + number));
        Call::get("/").bearer(&issuer.token(&claims))
    };
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(client.send(session("alice", number)).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    assert_eq!(
        client.send(session("bob", 0)).await.status,
        200,
        "another subject"
    );
}

pub(crate) async fn one_secret_in_two_places_is_one_caller(bed: &TestBed) {
    let gateway = bed
        .open(&Policy::named("callers").with("/limits/0/per", json!(["token", "api_key"])))
        .await;
    let client = gateway.client();
    let both = Call::get("/")
        .bearer(ALPHA[0])
        .header("x-api-key", ALPHA[0]);
    assert_eq!(client.statuses(&both, 5).await, [200, 200, 200, 200, 429]);
    assert_eq!(
        client.send(Call::get("/").bearer(ALPHA[0])).await.status,
        200,
        "`per` both is a counter of its own"
    );
}

pub(crate) async fn a_user_of_two_organizations_shares_the_limits_per_user(bed: &TestBed) {
    // The tokens e2e-alpha-1 and e2e-beta-1 are alice's.
    for (per, beta) in [("user", 429), ("org", 200)] {
        let gateway = bed
            .open(&Policy::named("callers").with("/limits/0/per", json!([per])))
            .await;
        let client = gateway.client();
        let (admitted, _) = spend(&client, &Call::get("/").bearer(ALPHA[0])).await;
        assert_eq!(admitted, 4);
        assert_eq!(
            client.send(Call::get("/").bearer(BETA)).await.status,
            beta,
            "per {per}"
        );
    }
}
