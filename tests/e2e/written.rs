//! Fields and answers in the policy's own words: `replies.fields.write`, `refused` of one limit,
//! headers of answers, and `fields: never`.

use crate::harness::{Answer, Call, Client, Policy, TestBed};
use serde_json::{Value, json};

/// A policy whose callers name themselves in the path and in a query.
fn policy(limits: Value, replies: Value) -> Policy {
    Policy::measuring(json!([{ "name": "body", "bytes": "9MB" }]))
        .with(
            "/callers/attributes",
            json!({ "plan": [{ "query": "plan" }] }),
        )
        .with("/limits", limits)
        .with("/replies", replies)
}

fn written(fields: Value) -> Value {
    json!({ "fields": { "family": "none", "write": fields } })
}

pub(crate) async fn a_policy_writes_fields_of_its_own(bed: &TestBed) {
    let limits = json!([
        { "name": "calls", "for": { "routes": ["GET /v2/*"] }, "per": ["key"],
          "bucket": { "burst": 2, "refill": "1/h" } },
        { "name": "day", "for": { "routes": ["/v2/**"] }, "per": [],
          "calendar": { "quota": 50, "window": "1d" } },
    ]);
    let fields = written(json!([
        { "name": "X-Shop-Api-Call-Limit", "value": "{used}/{quota}" },
        { "name": "Ratelimit-Remaining", "value": "{remaining};w={window}" },
        { "name": "x-day", "of": ["day"], "value": "{limit} {remaining}" },
        { "name": "x-route", "value": "{route} of {policy}", "when": "admitted" },
        { "name": "X-RateLimit-Reset", "value": "{reset:http-date}", "when": "refused" },
        { "name": "x-plan", "value": "{attribute:plan}" },
    ]));
    let gateway = bed.open(&policy(limits, fields)).await;
    let forged = |call: Call| {
        call.answered_with("x-shop-api-call-limit", "forged")
            .answered_with("x-plan", "forged")
            .answered_with("x-plan", "forged again")
    };
    for (key, client) in [
        ("1", gateway.client()),
        ("2", Client::http2(gateway.address)),
    ] {
        let call = forged(Call::get("/v2/things?plan=a%0d%0ab%22c").header("x-key", key));
        let answer = client.send(call.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-shop-api-call-limit"), Some("1/2"));
        assert_eq!(answer.header("ratelimit-remaining"), Some("1;w=7200"));
        let day = answer.header("x-day").expect("x-day");
        assert!(day.starts_with("day 4"), "{day}");
        assert_eq!(answer.header("x-route"), Some("GET /v2/* of exact"));
        assert_eq!(answer.header("x-ratelimit-reset"), None);
        // A line break of the client's cannot end the header.
        assert_eq!(answer.header("x-plan"), Some("ab\"c"));
        client.send(call.clone()).await;
        let refused = client.send(call).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("x-shop-api-call-limit"), Some("2/2"));
        assert_eq!(refused.header("x-route"), None);
        let reset = refused.header("x-ratelimit-reset").expect("a reset");
        assert!(reset.ends_with(" GMT") && reset.len() == 29, "{reset}");
        // The refused request took nothing from the day.
        let day_after = refused.header("x-day").expect("x-day");
        let left = |text: &str| {
            text.rsplit_once(' ')
                .and_then(|it| it.1.parse::<u64>().ok())
        };
        assert_eq!(left(day_after), left(day).map(|left| left - 1));
        // Without a limit there is no field, and none of the upstream's.
        let free = client.send(forged(Call::get("/free?plan=x"))).await;
        assert_eq!(free.header("x-plan"), None, "{:?}", free.headers);
        assert_eq!(free.header("x-shop-api-call-limit"), None);
    }
}

pub(crate) async fn an_exempt_request_has_no_written_field_of_the_upstream(bed: &TestBed) {
    let limits = json!([{ "name": "all", "per": [], "bucket": { "burst": 9, "refill": "1/h" } }]);
    let fields = written(json!([{ "name": "x-left", "value": "{remaining}" }]));
    let policy = policy(limits, fields).with("/exempt", json!([{ "routes": ["/exempt"] }]));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let forged = |path: &str| Call::get(path).answered_with("x-left", "7777");
    assert_eq!(client.send(forged("/exempt")).await.header("x-left"), None);
    assert_eq!(
        client.send(forged("/v2/a")).await.header("x-left"),
        Some("8")
    );
}

/// The status, the type, the body and one header.
fn summary<'a>(
    answer: &'a Answer,
    header: &str,
) -> (u16, Option<&'a str>, String, Option<&'a str>) {
    (
        answer.status,
        answer.header("content-type"),
        answer.text().trim_end_matches('\n').to_owned(),
        answer.header(header),
    )
}

pub(crate) async fn each_limit_answers_in_its_own_words(bed: &TestBed) {
    let bucket = json!({ "burst": 1, "refill": "1/h" });
    let limits = json!([
        { "name": "texts", "for": { "routes": ["/v2/text"] }, "per": [], "bucket": bucket,
          "refused": { "status": 403, "content_type": "text/plain",
                       "body": "{limit}: {remaining} of {quota}, {attribute:plan}",
                       "headers": { "x-reason": "{limit}", "retry-after": "",
                                    "x-shared": "" } } },
        { "name": "pages", "for": { "routes": ["/v2/page"] }, "per": [], "bucket": bucket,
          "refused": { "content_type": "text/html", "body": "<p>{attribute:plan}</p>",
                       "headers": { "retry-after": "{retry_after:decimal}" } } },
        { "name": "others", "for": { "routes": ["/v2/**"] }, "per": [],
          "bucket": { "burst": 3, "refill": "1/h" },
          "refused": { "status": 200 } },
    ]);
    let replies = json!({
        "fields": { "family": "none" },
        "refused": {
            "status": 400, "content_type": "application/json",
            "body": concat!(
                r#"{"limit":"{limit}","plan":"{attribute:plan}","#,
                r#""bare":{attribute:plan},"none":{overage}}"#,
            ),
            "headers": { "x-shared": "yes", "x-ms": "{retry_after:ms}" },
        },
    });
    let gateway = bed.open(&policy(limits, replies)).await;
    let client = gateway.client();
    let hostile = "?plan=%22%7d%3c%0a%5c";
    let call = |path: &str| Call::get(&format!("{path}{hostile}"));
    for path in ["/v2/text", "/v2/page"] {
        assert_eq!(client.send(call(path)).await.status, 200);
    }
    let text = client.send(call("/v2/text")).await;
    let expected = "texts: 0 of 1, \"}<\n\\";
    assert_eq!(
        summary(&text, "x-reason"),
        (403, Some("text/plain"), expected.to_owned(), Some("texts"))
    );
    assert_eq!(
        (text.header("retry-after"), text.header("x-shared")),
        (None, None)
    );
    assert!(
        text.number("x-ms").is_some_and(|ms| ms > 3_000_000),
        "{:?}",
        text.headers
    );
    let page = client.send(call("/v2/page")).await;
    let expected = "<p>&quot;}&lt;\n\\</p>".to_owned();
    assert_eq!(
        summary(&page, "x-shared"),
        (400, Some("text/html"), expected, Some("yes"))
    );
    let seconds = page.header("retry-after").expect("a wait");
    assert_eq!(
        seconds.rsplit_once('.').map(|(_, decimals)| decimals.len()),
        Some(3)
    );
    assert_eq!(client.send(call("/v2/other")).await.status, 200);
    let other = client.send(call("/v2/other")).await;
    assert_eq!((other.status, other.header("x-shared")), (200, Some("yes")));
    let body: Value = serde_json::from_slice(&other.body).expect("JSON, for every request");
    let plan = "\"}<\n\\";
    assert_eq!(
        body,
        json!({ "limit": "others", "plan": plan, "bare": plan, "none": 0 })
    );
}

pub(crate) async fn a_grpc_caller_keeps_its_status_and_gets_the_headers(bed: &TestBed) {
    let limits = json!([{ "name": "all", "per": [], "bucket": { "burst": 1, "refill": "1/h" },
        "refused": { "status": 403, "headers": { "x-reason": "{limit}" } } }]);
    let gateway = bed
        .open(&policy(limits, json!({ "fields": { "family": "none" } })))
        .await;
    let client = Client::http2(gateway.address);
    let call = Call::get("/v2/fleet.Things/List").grpc();
    client
        .send(call.clone().answered_with("grpc-status", "0"))
        .await;
    let refused = client.send(call).await;
    assert_eq!(
        (
            refused.status,
            refused.header("grpc-status"),
            refused.header("x-reason")
        ),
        (200, Some("8"), Some("all"))
    );
}

pub(crate) async fn a_limit_that_is_never_shown_is_never_named(bed: &TestBed) {
    let limits = json!([
        { "name": "primary", "per": [], "bucket": { "burst": 60, "refill": "1/h" } },
        { "name": "secret", "per": [], "bucket": { "burst": 2, "refill": "1/h" },
          "fields": "never" },
    ]);
    for family in ["x-ratelimit", "both"] {
        let replies = json!({ "fields": { "family": family } });
        let gateway = bed.open(&policy(limits.clone(), replies)).await;
        let client = gateway.client();
        let call = Call::get("/v2/things");
        for _ in 0..2 {
            client.send(call.clone()).await;
        }
        let refused = client.send(call).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.number("x-ratelimit-limit"), Some(60));
        // The refused request took nothing from the limit that is shown.
        assert_eq!(refused.number("x-ratelimit-remaining"), Some(58));
        assert!(refused.number("retry-after").is_some());
        let all = format!("{:?} {}", refused.headers, refused.text());
        assert!(!all.contains("secret"), "{all}");
    }
}

pub(crate) async fn a_payload_limit_answers_in_its_own_words(bed: &TestBed) {
    let payloads = json!([{ "name": "body", "bytes": "9B", "refused": {
        "status": 400, "content_type": "application/json",
        "body": r#"{"code":"validation_error","max":{max},"why":"{reason}"}"#,
        "headers": { "x-limit": "{limit}" } } }]);
    let gateway = bed.open(&Policy::measuring(payloads)).await;
    let call = Call::post("/v2/things").sized(10);
    let refused = gateway.client().send(call).await;
    let body: Value = serde_json::from_slice(&refused.body).expect("JSON");
    assert_eq!(
        (refused.status, refused.header("x-limit")),
        (400, Some("body"))
    );
    assert_eq!(
        body,
        json!({ "code": "validation_error", "max": 9, "why": "bytes" })
    );
}

pub(crate) async fn a_refusal_states_what_is_left_and_no_time_if_none_helps(bed: &TestBed) {
    let limits = json!([{ "name": "points", "per": [], "rolling": { "quota": 10, "window": "1h" },
        "cost": { "header": "x-cost", "trusted": true } }]);
    let replies = json!({ "fields": { "family": "both" } });
    let gateway = bed.open(&policy(limits, replies)).await;
    let client = gateway.client();
    let call = |cost: &str| Call::get("/v2/things").header("x-cost", cost);
    assert_eq!(client.send(call("7")).await.status, 200);
    let dear = client.send(call("5")).await;
    assert_eq!(
        (dear.status, dear.number("x-ratelimit-remaining")),
        (429, Some(3))
    );
    assert!(dear.number("retry-after").is_some());
    assert!(
        dear.header("ratelimit")
            .is_some_and(|it| it.starts_with("\"points\";r=3;t="))
    );
    let never = client.send(call("11")).await;
    assert_eq!(
        (never.status, never.number("x-ratelimit-remaining")),
        (429, Some(3))
    );
    assert_eq!(
        (
            never.header("retry-after"),
            never.header("x-ratelimit-reset")
        ),
        (None, None)
    );
    assert_eq!(never.header("ratelimit"), Some("\"points\";r=3"));
}
