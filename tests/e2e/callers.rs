//! Secrets in cookies and Basic credentials, callers without a credential, denials, and limits on
//! requests that receive a 401.

use super::identity::unauthorized;
use crate::harness::{Call, Crowd, Policy, TestBed, eventually};
use serde_json::json;

/// The callers of the policy, with other credentials.
fn credentials(list: serde_json::Value) -> Policy {
    Policy::named("callers")
        .with("/callers/credentials", list)
        .with("/callers/attributes", json!({}))
}

/// `e2e-alpha-1:x` in Base64.
const BASIC: &str = "Basic ZTJlLWFscGhhLTE6eA==";

pub(crate) async fn a_cookie_or_the_user_of_basic_credentials_is_a_secret(bed: &TestBed) {
    let policy = credentials(json!([
        { "name": "sid", "cookie": "sid" },
        { "name": "login", "header": "authorization", "scheme": "Basic", "part": "user" },
    ]));
    let policy = policy
        .with(
            "/callers/attributes",
            json!({ "device": [{ "cookie": "device" }, { "value": "none" }] }),
        )
        .with("/access_log", json!({ "attributes": ["org", "device"] }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let cookie = |line: &str| Call::get("/").header("cookie", line);
    let basic = Call::get("/").header("authorization", BASIC);
    // All of one organization, which has four requests.
    for call in [
        cookie("a=b; sid=e2e-alpha-1; device=d1"),
        cookie("sid=e2e-alpha-2"),
        basic.clone(),
        basic.clone(),
    ] {
        assert_eq!(client.send(call).await.status, 200);
    }
    assert_eq!(client.send(basic).await.status, 429);
    for (call, reason) in [
        (cookie("sid=nobody"), "unknown"),
        (cookie("sid=\"e2e-alpha-1\""), "unknown"),
        (cookie("sid=e2e-beta-1; sid=e2e-beta-1"), "ambiguous"),
        (cookie("other=e2e-beta-1"), "absent"),
        (
            Call::get("/").header("authorization", "Basic not-base64!"),
            "absent",
        ),
    ] {
        let before = unauthorized(&gateway, reason).await;
        let answer = client.send(call).await;
        assert_eq!(answer.status, 401, "{reason}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Basic realm=\"callers\"")
        );
        assert_eq!(unauthorized(&gateway, reason).await, before + 1, "{reason}");
    }
    eventually("the lines are in the log", async || {
        ["org=alpha device=d1", "org=alpha device=none"]
            .iter()
            .all(|line| gateway.log().contains(line))
            .then_some(())
    })
    .await;
    assert!(!gateway.log().contains("sluicegate\":\"e2e-alpha"));
}

pub(crate) async fn a_policy_without_credentials_counts_by_address_and_host(bed: &TestBed) {
    let policy = Policy::named("callers")
        .with(
            "/callers",
            json!({ "attributes": {
                "address": [{ "client_address": {} }],
                "tenant": [{ "host": "{tenant}.shop.example" }],
            } }),
        )
        .with("/limits/0/per", json!(["address", "tenant"]))
        .with("/limits/0/for", json!({ "credential": "none" }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for tenant in ["acme", "globex"] {
        let call = Call::get("/").header("host", &format!("{tenant}.shop.example"));
        assert_eq!(
            client.statuses(&call, 5).await,
            [200, 200, 200, 200, 429],
            "{tenant}"
        );
    }
}

pub(crate) async fn a_denied_request_receives_a_403(bed: &TestBed) {
    let everybody = json!(["0.0.0.0/0", "::/0"]);
    let policy = credentials(json!([{ "name": "api_key", "header": "x-api-key" }]))
        .with(
            "/deny",
            json!([{ "org": "beta" }, { "client_address": everybody, "routes": ["/closed/**"] }]),
        )
        .with("/exempt", json!([{ "routes": ["/closed/open"] }]))
        .with(
            "/replies",
            json!({ "denied": { "content_type": "text/plain", "body": "no entry",
                                 "headers": { "x-reason": "{status} {attribute:org}" } } }),
        )
        .with("/access_log", json!({ "attributes": ["org", "api_key"] }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let call = |path: &str, key: &str| Call::get(path).header("x-api-key", key);
    let mut reasons = Vec::new();
    for (call, status) in [
        (call("/", "e2e-alpha-1"), 200),
        (call("/", "e2e-beta-1"), 403),
        (call("/closed/a", "e2e-alpha-1"), 403),
        (call("/closed/open", "e2e-beta-1"), 200),
        // The denial comes before the 401.
        (call("/closed/a", "hunter2"), 403),
        (Call::get("/closed/a"), 403),
        (call("/", "hunter2"), 401),
    ] {
        let answer = client.send(call).await;
        assert_eq!(answer.status, status);
        if status == 403 {
            assert_eq!(answer.text(), "no entry");
            reasons.push(answer.header("x-reason").map(str::to_owned));
            assert_eq!(answer.header("x-ratelimit-limit"), None);
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
    let own = |reason: &str| Some(reason.to_owned());
    assert_eq!(reasons, [own("403 beta"), own("403 alpha"), None, None]);
    let denied = async |entry| {
        let labels = [("entry", entry)];
        gateway
            .admin
            .metric("sluicegate_denied_total", &labels)
            .await
    };
    assert_eq!((denied("0").await, denied("1").await), (1, 3));
    eventually("the lines are in the log", async || {
        [
            "decision=denied limit=- tier=- org=beta api_key=",
            "sluicegate_denied:0",
            "sluicegate_denied:1",
        ]
        .iter()
        .all(|part| gateway.log().contains(part))
        .then_some(())
    })
    .await;
    assert!(!gateway.log().contains("hunter2"));
}

pub(crate) async fn wrong_secrets_above_their_limit_receive_a_429(bed: &TestBed) {
    let policy = credentials(json!([{ "name": "api_key", "header": "x-api-key" }]))
        .with(
            "/callers/attributes",
            json!({ "address": [{ "client_address": {} }] }),
        )
        .with(
            "/limits/-",
            json!({ "name": "guesses", "for": { "credential": "refused" }, "per": ["address"],
                "calendar": { "quota": 5, "window": "1d" } }),
        );
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    // Each client guesses another secret, all at once and on all workers.
    let crowd = Crowd::of(50, &gateway);
    let guess = |number: usize| Call::get("/").header("x-api-key", &format!("guess-{number}"));
    let answers = crowd.send(1, guess).await;
    let with = |status: u16| answers.iter().filter(move |answer| answer.status == status);
    assert_eq!((with(401).count(), with(429).count()), (5, 45));
    for answer in with(401) {
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    for answer in with(429) {
        assert_eq!(answer.header("www-authenticate"), None);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("5"));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(gateway.upstream.paths(), [""; 0], "none was forwarded");
    let known = Call::get("/").header("x-api-key", "e2e-alpha-1");
    assert_eq!(
        client.statuses(&known, 5).await,
        [200, 200, 200, 200, 429],
        "an accepted secret has its own limit"
    );
    for (decision, count) in [("admitted", 5), ("refused", 45)] {
        let labels = [("limit", "guesses"), ("decision", decision)];
        let counted = gateway
            .admin
            .metric("sluicegate_requests_total", &labels)
            .await;
        assert_eq!(counted, count, "{decision}");
    }
    assert_eq!(unauthorized(&gateway, "unknown").await, 5);
}
