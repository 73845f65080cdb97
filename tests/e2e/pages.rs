//! Published limit pages of other products, row by row: the names and values of their fields,
//! their statuses and bodies.

use super::{at_once, until_other};
use crate::harness::{Answer, Call, Gateway, Policy, TestBed};
use serde_json::{Value, json};
use std::time::Duration;

/// A page's policy.
fn page(name: &str) -> Policy {
    Policy::shipped(&format!("tests/pages/{name}.yaml"))
}

/// Asserts the status of an answer and these fields. `*` is any value, and `-` an absent field.
pub(super) fn assert_answer(answer: &Answer, status: u16, fields: &[(&str, &str)]) {
    assert_eq!(answer.status, status, "{answer:?}");
    for (name, expected) in fields {
        let value = answer.header(name);
        match *expected {
            "*" => assert!(value.is_some(), "{name}: {answer:?}"),
            "-" => assert_eq!(value, None, "{name}: {answer:?}"),
            expected => assert_eq!(value, Some(expected), "{name}: {answer:?}"),
        }
    }
}

pub(super) fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Sends a call until its status is not 200, which at most `most` responses have before. Returns
/// their number, and the other response.
pub(super) async fn spend(gateway: &Gateway, call: &Call, most: usize) -> (usize, Answer) {
    let (admitted, other) = until_other(&gateway.client(), call).await;
    assert!(admitted.len() <= most, "{} of {most}", admitted.len());
    (admitted.len(), other)
}

/// The statuses of this number of calls at once.
pub(super) async fn statuses_at_once(gateway: &Gateway, call: &Call, count: usize) -> Vec<u16> {
    let answers = at_once(gateway, call, count).await;
    answers.iter().map(|answer| answer.status).collect()
}

/// A Unix time in a field, which lies `within` this many seconds from now.
pub(super) fn assert_unix(answer: &Answer, name: &str, within: u64) {
    let value = answer.header(name).expect("a time");
    let seconds: f64 = value.parse().expect("a number");
    let now = answer.received.as_secs();
    let (least, most) = (now - 2, now + within + 2);
    assert!(
        (least as f64..=most as f64).contains(&seconds),
        "{name}: {value}, at {now}"
    );
}

pub(crate) async fn stripe(bed: &TestBed) {
    let gateway = bed.open(&page("stripe")).await;
    let live = Call::get("/v1/charges").bearer("sk_live_demo");
    let (admitted, refused) = spend(&gateway, &live, 200).await;
    assert!(admitted >= 25, "{admitted}");
    let fields = [
        ("stripe-rate-limited-reason", "endpoint-rate"),
        ("retry-after", "-"),
    ];
    assert_answer(&refused, 429, &fields);
    assert_eq!(body(&refused)["error"]["code"], "rate_limit");
    // The key is the user of Basic credentials, as well.
    let basic = Call::get("/v1/files").header("authorization", "Basic c2tfdGVzdF9kZW1vOg==");
    let answer = gateway.client().send(basic).await;
    assert_answer(&answer, 200, &[("stripe-rate-limited-reason", "-")]);
    let payout = Call::post("/v1/payouts")
        .bearer("sk_live_demo")
        .delayed(Duration::from_secs(2));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let statuses = statuses_at_once(&gateway, &payout, 25).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

pub(crate) async fn slack(bed: &TestBed) {
    let gateway = bed.open(&page("slack")).await;
    let call = |method: &str| Call::post(&format!("/api/{method}")).bearer("demo-slack");
    for (method, quota) in [
        ("admin.analytics.getFile", 1),
        ("conversations.list", 20),
        ("users.list", 20),
        ("chat.delete", 50),
        ("users.info", 100),
    ] {
        let (admitted, refused) = spend(&gateway, &call(method), 110).await;
        assert_eq!(admitted, quota, "{method}");
        assert_answer(
            &refused,
            429,
            &[("retry-after", "*"), ("x-ratelimit-limit", "-")],
        );
        assert_eq!(
            body(&refused),
            json!({ "ok": false, "error": "ratelimited" })
        );
    }
}

pub(crate) async fn jira(bed: &TestBed) {
    let gateway = bed.open(&page("jira")).await;
    let client = gateway.client();
    let search = Call::get("/rest/api/3/search/x").bearer("demo-jira");
    let answer = client
        .send(search.clone().answered_with("x-points", "3"))
        .await;
    let fields = [
        ("x-ratelimit-limit", "*"),
        ("x-ratelimit-reset", "-"),
        ("ratelimit-reason", "-"),
    ];
    assert_answer(&answer, 200, &fields);
    let policies = answer.header("ratelimit-policy").unwrap();
    assert!(
        policies.contains("\"jira-quota-tenant-based\";q=150000"),
        "{policies}"
    );
    let issue = Call::new("PUT", "/rest/api/3/issue/7").bearer("demo-jira");
    let (admitted, refused) = spend(&gateway, &issue, 60).await;
    assert!(admitted >= 20, "{admitted}");
    let fields = [
        ("x-ratelimit-limit", "20"),
        ("x-ratelimit-remaining", "0"),
        ("ratelimit-reason", "jira-per-issue-on-write"),
    ];
    assert_answer(&refused, 429, &fields);
    let reset = refused.header("x-ratelimit-reset").unwrap();
    assert!(
        reset.len() == 20 && reset.ends_with('Z') && reset.contains('T'),
        "{reset}"
    );
}

pub(crate) async fn notion(bed: &TestBed) {
    let gateway = bed.open(&page("notion")).await;
    let client = gateway.client();
    let pages = Call::post("/v1/pages").bearer("demo-notion");
    let large = pages
        .clone()
        .header("content-type", "application/json")
        .sized(500_001);
    let answer = client.send(large).await;
    assert_answer(&answer, 400, &[("retry-after", "-")]);
    assert_eq!(body(&answer)["code"], "validation_error");
    let (_, refused) = spend(
        &gateway,
        &Call::get("/v1/pages/1").bearer("demo-notion"),
        60,
    )
    .await;
    assert_answer(&refused, 429, &[("retry-after", "*")]);
    assert_eq!(body(&refused)["code"], "rate_limited");
}

pub(crate) async fn linear(bed: &TestBed) {
    let gateway = bed.open(&page("linear")).await;
    let client = gateway.client();
    let query = Call::post("/graphql").header("authorization", "demo-linear");
    let answer = client
        .send(query.clone().answered_with("x-complexity", "50"))
        .await;
    let fields = [
        ("x-ratelimit-requests-limit", "2500"),
        ("x-ratelimit-requests-remaining", "2499"),
        ("x-ratelimit-complexity-limit", "250000"),
    ];
    assert_answer(&answer, 200, &fields);
    // The bucket fills meanwhile.
    let left = answer.number("x-ratelimit-complexity-remaining");
    assert!(
        left.is_some_and(|left| (249_950..=250_000).contains(&left)),
        "{left:?}"
    );
    let reset = answer.number("x-ratelimit-requests-reset").unwrap();
    let now = answer.received.as_millis() as u64;
    assert!(
        reset > now - 1_000 && reset < now + 10_000,
        "{reset}, {now}"
    );
    let costly = query.header("x-requested-complexity", "260000");
    let refused = client.send(costly).await;
    assert_answer(&refused, 400, &[("retry-after", "-")]);
    assert_eq!(
        body(&refused)["errors"][0]["extensions"]["code"],
        "RATELIMITED"
    );
    let (admitted, refused) = spend(&gateway, &Call::post("/graphql"), 70).await;
    assert_eq!((admitted, refused.status), (60, 400));
}

pub(crate) async fn discord(bed: &TestBed) {
    let gateway = bed.open(&page("discord")).await;
    let client = gateway.client();
    let bot = |call: Call| call.header("authorization", "Bot demo-bot");
    let answer = client.send(bot(Call::post("/channels/7/messages"))).await;
    let fields = [
        ("x-ratelimit-limit", "5"),
        ("x-ratelimit-remaining", "4"),
        ("x-ratelimit-bucket", "messages"),
    ];
    assert_answer(&answer, 200, &fields);
    assert_unix(&answer, "x-ratelimit-reset", 5);
    let after: f64 = answer
        .header("x-ratelimit-reset-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((4.0..=5.0).contains(&after), "{after}");
    let (admitted, refused) = spend(&gateway, &bot(Call::post("/channels/7/messages")), 10).await;
    assert_eq!(admitted, 4);
    assert_answer(
        &refused,
        429,
        &[("x-ratelimit-scope", "user"), ("x-ratelimit-global", "-")],
    );
    assert!(body(&refused)["retry_after"].as_f64().unwrap() > 0.0);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // The global limit has no numbers.
    let (_, refused) = spend(&gateway, &bot(Call::get("/gateway")), 200).await;
    let fields = [
        ("x-ratelimit-global", "true"),
        ("x-ratelimit-scope", "global"),
        ("x-ratelimit-limit", "-"),
        ("x-ratelimit-bucket", "-"),
    ];
    assert_answer(&refused, 429, &fields);
    assert_eq!(body(&refused)["global"], true);
    let interaction = bot(Call::post("/interactions/1/2/callback"));
    assert_eq!(client.send(interaction).await.status, 200);
}

pub(crate) async fn discord_invalid_requests(bed: &TestBed) {
    let policy = page("discord").limiting(
        "invalid",
        "rolling",
        json!({ "quota": 10, "window": "10m" }),
    );
    let gateway = bed.open(&policy).await;
    let wrong = Call::get("/gateway").header("authorization", "Bot made-up");
    let statuses = gateway.client().statuses(&wrong, 20).await;
    assert_eq!(statuses, [[401; 10], [429; 10]].concat());
}

pub(crate) async fn x(bed: &TestBed) {
    let policy = page("x").limiting(
        "user-lookup",
        "rolling",
        json!({ "quota": 9, "window": "15m" }),
    );
    let gateway = bed.open(&policy).await;
    let call = Call::get("/2/users/12").bearer("demo-x");
    let answer = gateway.client().send(call.clone()).await;
    let fields = [("x-rate-limit-limit", "9"), ("x-rate-limit-remaining", "8")];
    assert_answer(&answer, 200, &fields);
    assert_unix(&answer, "x-rate-limit-reset", 900);
    // Another user's page is the same endpoint.
    let (admitted, refused) = spend(&gateway, &Call::get("/2/users/13").bearer("demo-x"), 20).await;
    assert_eq!(admitted, 8);
    assert_answer(
        &refused,
        429,
        &[("x-rate-limit-remaining", "0"), ("retry-after", "-")],
    );
    assert_eq!(body(&refused)["errors"][0]["code"], 88);
}

pub(crate) async fn sentry(bed: &TestBed) {
    let gateway = bed.open(&page("sentry")).await;
    let call = Call::get("/api/0/projects/").bearer("demo-sentry");
    let answer = gateway.client().send(call.clone()).await;
    let fields = [
        ("x-sentry-rate-limit-limit", "40"),
        ("x-sentry-rate-limit-remaining", "*"),
        ("x-sentry-rate-limit-concurrentlimit", "25"),
        ("x-sentry-rate-limit-concurrentremaining", "24"),
    ];
    assert_answer(&answer, 200, &fields);
    assert_unix(&answer, "x-sentry-rate-limit-reset", 1);
    let statuses = statuses_at_once(&gateway, &call.delayed(Duration::from_secs(2)), 30).await;
    assert!(
        statuses.iter().filter(|status| **status == 200).count() <= 25,
        "{statuses:?}"
    );
}
