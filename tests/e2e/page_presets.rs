//! Published limit pages that are presets, row by row.

use super::pages::{assert_answer, assert_unix, body, spend, statuses_at_once};
use crate::harness::{Call, Client, Policy, TestBed};
use std::time::Duration;

fn preset(name: &str) -> Policy {
    Policy::shipped(&format!("envoy/presets/{name}.yaml"))
}

pub(crate) async fn github(bed: &TestBed) {
    let gateway = bed.open(&preset("github")).await;
    let client = gateway.client();
    let anonymous = client.send(Call::get("/repos/a/b")).await;
    let fields = [
        ("x-ratelimit-limit", "60"),
        ("x-ratelimit-remaining", "59"),
        ("x-ratelimit-used", "1"),
        ("x-ratelimit-resource", "core"),
    ];
    assert_answer(&anonymous, 200, &fields);
    assert_unix(&anonymous, "x-ratelimit-reset", 3_600);
    let user = client
        .send(Call::get("/repos/a/b").bearer("demo-user"))
        .await;
    assert_answer(
        &user,
        200,
        &[("x-ratelimit-limit", "5000"), ("x-ratelimit-used", "1")],
    );
    let app = client
        .send(Call::get("/repos/a/b").bearer("demo-app"))
        .await;
    assert_answer(&app, 200, &[("x-ratelimit-limit", "12500")]);
    let unknown = client.send(Call::get("/repos/a/b").bearer("made-up")).await;
    assert_answer(&unknown, 401, &[("x-ratelimit-limit", "-")]);
    let search = client.send(Call::get("/search/code?q=x")).await;
    let fields = [
        ("x-ratelimit-limit", "10"),
        ("x-ratelimit-resource", "search"),
    ];
    assert_answer(&search, 200, &fields);
    assert_the_endpoint(&client).await;
    // The hour is spent: 403, in the page's words.
    let (admitted, refused) = spend(&gateway, &Call::get("/repos/a/b"), 60).await;
    assert_eq!(admitted, 59);
    let fields = [
        ("x-ratelimit-limit", "60"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-used", "60"),
        ("retry-after", "*"),
    ];
    assert_answer(&refused, 403, &fields);
    assert_eq!(body(&refused)["message"], "API rate limit exceeded.");
}

async fn assert_the_endpoint(client: &Client) {
    // Anybody may ask for its own numbers, and that costs nothing.
    for _ in 0..3 {
        let asked = client.send(Call::get("/rate_limit?path=/repos/a/b")).await;
        assert_answer(
            &asked,
            200,
            &[("x-ratelimit-limit", "-"), ("cache-control", "no-store")],
        );
        let limits = body(&asked)["limits"].clone();
        assert_eq!(limits[0]["name"], "core", "{limits}");
        assert_eq!(
            (&limits[0]["used"], &limits[0]["quota"]),
            (&1.into(), &60.into())
        );
    }
    let own = client
        .send(Call::get("/rate_limit").bearer("demo-user"))
        .await;
    assert_eq!(
        body(&own)["ask"],
        serde_json::json!(["core", "search", "graphql", "concurrent"])
    );
}

pub(crate) async fn github_secondary(bed: &TestBed) {
    let gateway = bed.open(&preset("github")).await;
    let client = gateway.client();
    // A secondary limit shows the primary one's numbers.
    let write = Call::post("/repos/a/issues").bearer("demo-other");
    let (admitted, refused) = spend(&gateway, &write, 90).await;
    assert_eq!(admitted, 80);
    let fields = [
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-resource", "core"),
    ];
    assert_answer(&refused, 403, &fields);
    let message = body(&refused)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("secondary rate limit"), "{message}");
    // 900 points a minute to one endpoint, of which a write takes 5.
    let patch = Call::new("DELETE", "/repos/a/b").bearer("demo-app");
    let (admitted, refused) = spend(&gateway, &patch, 200).await;
    assert_eq!(admitted, 180);
    assert_eq!(refused.status, 403);
    // A query states its points in the response.
    let query = Call::post("/graphql").bearer("demo-user");
    let answer = client
        .send(query.answered_with("x-graphql-cost", "37"))
        .await;
    assert_answer(
        &answer,
        200,
        &[
            ("x-ratelimit-used", "37"),
            ("x-ratelimit-resource", "graphql"),
        ],
    );
    let after = client
        .send(Call::get("/repos/a/b").bearer("demo-user"))
        .await;
    assert_answer(&after, 200, &[("x-ratelimit-used", "1")]);
}

pub(crate) async fn github_concurrency(bed: &TestBed) {
    let gateway = bed.open(&preset("github")).await;
    let slow = Call::get("/repos/a/b")
        .bearer("demo-user")
        .delayed(Duration::from_secs(2));
    let statuses = statuses_at_once(&gateway, &slow, 105).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        100,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 403).count(),
        5,
        "{statuses:?}"
    );
}

pub(crate) async fn shopify(bed: &TestBed) {
    let gateway = bed.open(&preset("shopify")).await;
    let client = gateway.client();
    let key = "x-shopify-access-token";
    let orders = Call::get("/admin/api/2026-07/orders.json").header(key, "demo-shop");
    let answer = client.send(orders.clone()).await;
    assert_answer(&answer, 200, &[("x-shopify-shop-api-call-limit", "1/40")]);
    let (admitted, refused) = spend(&gateway, &orders, 200).await;
    assert!(admitted >= 39, "{admitted}");
    let fields = [
        ("x-shopify-shop-api-call-limit", "40/40"),
        ("retry-after", "*"),
    ];
    assert_answer(&refused, 429, &fields);
    let wait = refused.header("retry-after").unwrap();
    assert!(wait.starts_with("0.") && wait.len() == 5, "{wait}");
    assert!(
        body(&refused)["errors"]
            .as_str()
            .unwrap()
            .starts_with("Exceeded 2 calls")
    );
    // Another store has its own bucket, and so has another plan.
    let plus = client
        .send(Call::get("/admin/orders.json").header(key, "demo-plus"))
        .await;
    assert_answer(&plus, 200, &[("x-shopify-shop-api-call-limit", "*")]);
    // Of ten queries at once, each of which asks for 900 points, one passes.
    let query = Call::post("/admin/api/2026-07/graphql.json")
        .header(key, "demo-shop")
        .header("x-requested-query-cost", "900")
        .answered_with("x-actual-query-cost", "100")
        .delayed(Duration::from_secs(1));
    let calls: Vec<u16> = statuses_at_once(&gateway, &query, 10).await;
    assert_eq!(calls, [200; 10], "a throttled query has this status, too");
    assert_eq!(gateway.upstream.count("/admin/api/2026-07/graphql.json"), 1);
    // The rest of its reservation is refunded. A query of more than 1,000 points is never admitted.
    let large = Call::post("/admin/api/2026-07/graphql.json")
        .header(key, "demo-shop")
        .header("x-requested-query-cost", "1200");
    let answer = client.send(large).await;
    assert_answer(
        &answer,
        200,
        &[("retry-after", "-"), ("x-shopify-shop-api-call-limit", "-")],
    );
    let throttle = &body(&answer)["extensions"]["cost"]["throttleStatus"];
    assert_eq!(throttle["maximumAvailable"], 1_000, "{answer:?}");
    assert!(
        throttle["currentlyAvailable"].as_u64().unwrap() >= 900,
        "{answer:?}"
    );
}

pub(crate) async fn openai(bed: &TestBed) {
    let gateway = bed.open(&preset("openai")).await;
    let client = gateway.client();
    let chat = Call::post("/v1/chat/completions").bearer("demo-openai");
    let call = chat
        .clone()
        .header("x-model", "small")
        .header("x-max-tokens", "4000");
    let answer = client
        .send(call.clone().answered_with("x-used-tokens", "1500"))
        .await;
    let fields = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-limit-tokens", "30000"),
    ];
    assert_answer(&answer, 200, &fields);
    // The bucket fills meanwhile.
    let left = answer
        .number("x-ratelimit-remaining-tokens")
        .expect("a number");
    assert!((28_500..29_500).contains(&left), "{left}");
    // The units that remain when the response is sent, on a busy machine some time later.
    for (name, longest) in [
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-reset-tokens", "3s"),
    ] {
        let reset = answer.header(name).expect("a duration");
        assert!(
            reset.ends_with('s') && reset.len() <= 6,
            "{name}: {reset}, of {longest}"
        );
    }
    // Another model has its own numbers.
    let other = chat
        .clone()
        .header("x-model", "large")
        .header("x-max-tokens", "30000");
    let answer = client.send(other.clone()).await;
    assert_answer(&answer, 200, &[("x-ratelimit-remaining-tokens", "0")]);
    let refused = client.send(other).await;
    assert_answer(
        &refused,
        429,
        &[
            ("retry-after-ms", "*"),
            ("x-ratelimit-limit-tokens", "30000"),
        ],
    );
    let error = &body(&refused)["error"];
    assert_eq!(error["code"], "rate_limit_exceeded");
    let message = error["message"].as_str().unwrap();
    let begin = "Rate limit reached for large in organization acme on tokens per min (TPM): \
                 Limit 30000, Used ";
    assert!(message.starts_with(begin), "{message}");
    // A name that a client cannot choose, but that has quotes, stays one string.
    let odd = chat
        .header("x-model", "a\"b")
        .header("x-max-tokens", "30000");
    client.send(odd.clone()).await;
    let message = body(&client.send(odd).await)["error"]["message"].to_string();
    assert!(message.contains("a\\\"b"), "{message}");
}

pub(crate) async fn docker_hub(bed: &TestBed) {
    let gateway = bed.open(&preset("docker-hub")).await;
    let client = gateway.client();
    let manifest = "/v2/library/alpine/manifests/latest";
    let numbers = |limit: &'static str, left: &'static str| {
        [("ratelimit-limit", limit), ("ratelimit-remaining", left)]
    };
    let head = Call::new("HEAD", manifest);
    let answer = client.send(head.clone()).await;
    assert_answer(&answer, 200, &numbers("100;w=21600", "100;w=21600"));
    assert_answer(&answer, 200, &[("docker-ratelimit-source", "*")]);
    let (admitted, refused) = spend(&gateway, &Call::get(manifest), 110).await;
    assert_eq!(admitted, 100);
    assert_answer(&refused, 429, &numbers("100;w=21600", "0;w=21600"));
    assert!(
        refused
            .text()
            .starts_with("You have reached your pull rate limit.")
    );
    let answer = client.send(head).await;
    assert_answer(&answer, 200, &numbers("100;w=21600", "0;w=21600"));
    let personal = client.send(Call::get(manifest).bearer("demo-docker")).await;
    assert_answer(&personal, 200, &numbers("200;w=21600", "199;w=21600"));
    assert_answer(&personal, 200, &[("docker-ratelimit-source", "alice")]);
    // A paid account has no limit, and no field. A blob is not counted.
    for path in [manifest, "/v2/library/alpine/blobs/sha256:1"] {
        let key = if path == manifest {
            "demo-docker-pro"
        } else {
            "demo-docker"
        };
        let answer = client.send(Call::get(path).bearer(key)).await;
        assert_answer(&answer, 200, &numbers("-", "-"));
    }
}
