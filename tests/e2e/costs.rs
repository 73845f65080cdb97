//! The cost of a request whose input is missing or ambiguous, and the counters of other callers
//! when the store is full.

use super::windows::{bucket, calendar, limits, of, on, rolling};
use super::{ALPHA, BETA, exactly, limit_and_left, spend};
use crate::harness::{Call, Client, Gateway, Setup, TestBed, extension, raw};
use serde_json::{Value, json};

pub(crate) fn costing(mut rule: Value, cost: Value) -> Value {
    rule["cost"] = cost;
    rule
}

pub(crate) async fn a_request_without_a_body_does_not_bypass_a_limit_by_items(bed: &TestBed) {
    let policy = limits(&[
        (
            "items",
            on("items", costing(calendar(100), json!({ "items": "/a" }))),
        ),
        (
            "lines",
            on("lines", costing(calendar(2), json!({ "lines": "request" }))),
        ),
    ]);
    let gateway = bed.open(&policy).await;
    for (client, method) in [
        (gateway.client(), "GET"),
        (Client::http2(gateway.address), "DELETE"),
    ] {
        let key = if method == "GET" { ALPHA[0] } else { BETA };
        let call = Call::new(method, "/items/x").header("x-api-key", key);
        let statuses = client.statuses(&call, 150).await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            100,
            "{method}"
        );
        assert!(
            statuses[100..].iter().all(|status| *status == 429),
            "{method}"
        );
    }
    // No lines cost nothing, and a request that costs nothing is never refused.
    let call = of("/lines/x", ALPHA[0]);
    assert_eq!(gateway.client().statuses(&call, 9).await, [200; 9]);
}

pub(crate) async fn the_greatest_value_of_a_cost_header_counts(bed: &TestBed) {
    let policy = limits(&[
        (
            "asked",
            on(
                "asked",
                costing(rolling(100), json!({ "header": "x-cost", "trusted": true })),
            ),
        ),
        (
            "stated",
            on(
                "stated",
                costing(rolling(100), json!({ "response_header": "x-cost" })),
            ),
        ),
    ]);
    let gateway = bed.open(&policy).await;
    for (client, key) in [
        (gateway.client(), ALPHA[0]),
        (Client::http2(gateway.address), BETA),
    ] {
        let mut left = 100;
        for (lines, cost) in [
            (&["1", "7"][..], 7),
            (&["7", "1"], 7),
            (&["1, 7"], 7),
            (&["7,1"], 7),
            (&["1", "2, 5,", "3"], 5),
            (&["0", "many"], 1),
            (&["0, 0", "0"], 0),
            (&[], 1),
        ] {
            left -= cost;
            let mut by_request = of("/asked/x", key);
            for line in lines {
                by_request = by_request.header("x-cost", line);
            }
            let mut by_response = of("/stated/x", key);
            for line in lines {
                by_response = by_response.answered_with("x-cost", line);
            }
            for call in [by_request, by_response] {
                let answer = client.send(call).await;
                assert_eq!(
                    (answer.status, limit_and_left(&answer)),
                    (200, (100, left)),
                    "{lines:?}"
                );
            }
        }
    }
}

pub(crate) async fn an_overdraft_is_owed_in_full(bed: &TestBed) {
    let by_response = |rule| costing(rule, json!({ "response_header": "x-cost" }));
    let slow = json!({ "bucket": { "burst": 10, "refill": "1/d" } });
    let kinds = [
        ("slow", slow),
        ("bucket", bucket(10)),
        ("rolling", rolling(10)),
        ("calendar", calendar(10)),
    ];
    let policy = limits(
        &kinds
            .clone()
            .map(|(name, rule)| (name, on(name, by_response(rule)))),
    );
    let gateway = bed.open(&policy).await;
    for (name, _) in kinds {
        for (cost, key) in [(1_000, ALPHA[0]), (100_000, BETA)] {
            let call = of(&format!("/{name}/x"), key);
            let answer = gateway
                .client()
                .send(call.clone().answered_with("x-cost", &cost.to_string()))
                .await;
            assert_eq!(
                (answer.status, limit_and_left(&answer)),
                (200, (10, 0)),
                "{name}"
            );
            assert_eq!(
                answer.number("x-ratelimit-overage"),
                Some(cost - 10),
                "{name}"
            );
            assert_eq!(gateway.client().send(call).await.status, 429, "{name}");
        }
    }
}

pub(crate) async fn a_header_set_by_the_gateway_determines_the_cost(bed: &TestBed) {
    let mut costly = rolling(10);
    costly["cost"] = json!({ "header": "X-Cost", "trusted": true });
    let policy = limits(&[("costly", costly)]);
    let append = json!({
        "header": { "key": "x-cost", "value": "3" },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    });
    let filters = json!([{
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": extension("filters.http.header_mutation.v3.HeaderMutation"),
            "mutations": { "request_mutations": [{ "append": append }] },
        },
    }]);
    let gateway = bed.open_with(Setup::of(&policy).behind(filters)).await;
    let client = gateway.client();
    // The client's own header is ignored.
    for (own, left) in [("0", 7), ("1", 4), ("-9", 1)] {
        let answer = client.send(of("/x", ALPHA[0]).header("x-cost", own)).await;
        assert_eq!((answer.status, limit_and_left(&answer)), (200, (10, left)));
    }
    let refusal = client.send(of("/x", ALPHA[0]).header("x-cost", "0")).await;
    assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (10, 1)));
    assert!(
        refusal
            .number("retry-after")
            .is_some_and(|wait| (3_500..=3_600).contains(&wait))
    );
    assert_eq!(gateway.upstream.count("/x"), 3);
}

/// As a proxy in front may send it: an invalid number costs one, and none returns units.
pub(crate) async fn a_header_that_is_no_number_costs_one(bed: &TestBed) {
    let mut costly = rolling(10);
    costly["cost"] = json!({ "header": "X-Cost", "trusted": true });
    let policy = limits(&[("costly", costly)]);
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let mut left = 10;
    for (value, costs) in [
        ("2", 2),
        ("0", 0),
        ("-5", 1),
        ("1.5", 1),
        ("many", 1),
        ("", 1),
    ] {
        left -= costs;
        let answer = client
            .send(of("/x", ALPHA[0]).header("x-cost", value))
            .await;
        assert_eq!(
            (answer.status, limit_and_left(&answer).1),
            (200, left),
            "{value:?}"
        );
    }
    let without = client.send(of("/x", ALPHA[0])).await;
    assert_eq!(limit_and_left(&without).1, 3);
    let twice = client
        .send(
            of("/x", ALPHA[0])
                .header("x-cost", "1")
                .header("x-cost", "2"),
        )
        .await;
    assert_eq!(
        (twice.status, limit_and_left(&twice).1),
        (200, 1),
        "the greater one"
    );
    let never = client.send(of("/x", BETA).header("x-cost", "11")).await;
    assert_eq!(
        (never.status, never.header("retry-after")),
        (429, None),
        "no wait helps"
    );
    assert_eq!(
        spend(&client, &of("/x", BETA)).await.0,
        10,
        "and it took nothing"
    );
}

pub(crate) async fn a_body_costs_its_length(bed: &TestBed) {
    let mut bytes = calendar(1_000);
    bytes["cost"] = json!({ "header": "content-length" });
    let gateway = bed
        .open(&limits(&[("bytes", bytes), ("requests", rolling(100))]))
        .await;
    let client = gateway.client();
    let post = |bytes: usize| Call::post("/x").header("x-api-key", ALPHA[0]).sized(bytes);
    // Of the two limits, the fields show the one with room for fewer requests like this.
    for (bytes, status, expected) in [
        (400, 200, (1_000, 600)),
        (400, 200, (1_000, 200)),
        (300, 429, (1_000, 200)),
        (150, 200, (1_000, 50)),
        (51, 429, (1_000, 50)),
        (50, 200, (1_000, 0)),
        (1, 429, (1_000, 0)),
    ] {
        let answer = client.send(post(bytes)).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (status, expected),
            "{bytes} bytes"
        );
    }
    let never = client.send(post(1_001)).await;
    assert_eq!(
        (never.status, never.header("retry-after")),
        (429, None),
        "no wait helps"
    );
    // The same over HTTP/2. A body without a length costs one unit.
    let answer = Client::http2(gateway.address)
        .send(Call::post("/x").header("x-api-key", BETA).sized(900))
        .await;
    assert_eq!(
        (answer.status, limit_and_left(&answer)),
        (200, (1_000, 100))
    );
    let chunked = format!(
        "POST /x HTTP/1.1\r\nhost: x\r\nx-api-key: {BETA}\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let answer = raw(gateway.address, chunked.as_bytes(), false).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("x-ratelimit-limit: 100\r\n"),
        "{answer}"
    );
    let over = Call::post("/x").header("x-api-key", BETA).sized(100);
    assert_eq!(client.send(over.clone()).await.status, 429);
    assert_eq!(
        client
            .send(Call::post("/x").header("x-api-key", BETA).sized(99))
            .await
            .status,
        200
    );
}

pub(crate) async fn a_response_states_its_cost_and_may_overdraw(bed: &TestBed) {
    let by_response = |mut rule: Value| {
        rule["cost"] = json!({ "response_header": "X-Cost" });
        rule
    };
    let kinds = [
        ("rolling", rolling(10)),
        ("calendar", calendar(10)),
        ("bucket", bucket(10)),
    ];
    let policy = limits(&kinds.map(|(name, rule)| (name, on(name, by_response(rule)))));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for name in ["rolling", "calendar", "bucket"] {
        let call = of(&format!("/{name}/x"), ALPHA[0]);
        for (cost, left, over) in [
            (Some("4"), 6, None),
            (Some("0"), 6, None),
            (None, 5, None),
            (Some("many"), 4, None),
            (Some("7"), 0, Some(3)),
        ] {
            let mut call = call.clone();
            if let Some(cost) = cost {
                call = call.answered_with("x-cost", cost);
            }
            let answer = client.send(call).await;
            assert_eq!(
                (answer.status, limit_and_left(&answer)),
                (200, (10, left)),
                "{name}, {cost:?}"
            );
            assert_eq!(
                answer.number("x-ratelimit-overage"),
                over,
                "{name}, {cost:?}"
            );
        }
        // The next request sees it, at any cost of its own. A header in the request is not a
        // response header.
        let refusal = client
            .send(
                call.clone()
                    .header("x-cost", "0")
                    .answered_with("x-cost", "0"),
            )
            .await;
        assert_eq!(
            (refusal.status, limit_and_left(&refusal)),
            (429, (10, 0)),
            "{name}"
        );
        assert_eq!(overdrawn(&gateway, name).await, 3);
        exactly(&client, &of(&format!("/{name}/x"), BETA), 10).await;
    }
}

async fn overdrawn(gateway: &Gateway, limit: &str) -> u64 {
    gateway
        .admin
        .metric("sluicegate_overage_units_total", &[("limit", limit)])
        .await
}

pub(crate) async fn requests_without_cost_have_the_fields_and_are_never_refused(bed: &TestBed) {
    let free = |mut rule: Value| {
        rule["cost"] = json!(0);
        rule
    };
    let gateway = bed
        .open(&limits(&[
            ("free", on("free", free(rolling(2)))),
            ("dear", on("dear", rolling(2))),
        ]))
        .await;
    let client = gateway.client();
    for _ in 0..9 {
        let answer = client.send(of("/free/x", ALPHA[0])).await;
        assert_eq!((answer.status, limit_and_left(&answer)), (200, (2, 2)));
        assert_eq!(answer.number("x-ratelimit-reset"), Some(0), "it is full");
    }
    assert_eq!(spend(&client, &of("/dear/x", ALPHA[0])).await.0, 2);
}
