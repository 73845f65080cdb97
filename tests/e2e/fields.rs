//! Fields and responses that no preset has: the standard's, gRPC's, shadow limits, costs (X1, X8,
//! X12, X13).

use super::windows::{bucket, calendar, limits, of, on, rolling};
use super::{ALPHA, BETA, exactly, limit_and_left, spend, until_refused};
use crate::harness::{
    Answer, Call, Client, Gateway, Policy, Setup, TestBed, eventually, extension, raw,
};
use serde_json::{Value, json};
use sfv::{BareItem, List, ListEntry, Parser};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

const STANDARD: [&str; 2] = ["ratelimit", "ratelimit-policy"];
const OLDER: [&str; 3] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

fn with_family(policy: Policy, family: &str) -> Policy {
    policy.with("/replies", json!({ "fields": { "family": family } }))
}

/// The items of a list field: each a string, with those of these parameters that it has.
fn items(answer: &Answer, field: &str, parameters: &[&str]) -> Vec<(String, Vec<Option<u64>>)> {
    let value = answer
        .header(field)
        .unwrap_or_else(|| panic!("no {field}: {:?}", answer.headers));
    let list: List = Parser::new(value)
        .parse()
        .unwrap_or_else(|error| panic!("{value}: {error}"));
    let read = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list: {value}")
        };
        let BareItem::String(name) = &item.bare_item else {
            panic!("no string: {value}")
        };
        let number = |key: &&str| match item.params.get(*key) {
            Some(BareItem::Integer(number)) => {
                Some(u64::try_from(i64::from(*number)).expect("not below zero"))
            }
            None => None,
            Some(other) => panic!("{key}={other:?}"),
        };
        (
            name.as_str().to_owned(),
            parameters.iter().map(number).collect(),
        )
    };
    list.iter().map(read).collect()
}

/// The remaining units of the only limit in `RateLimit`, and the time until one more unit is
/// available.
fn left_and_more(answer: &Answer) -> (u64, Option<u64>) {
    let items = items(answer, "ratelimit", &["r", "t"]);
    let [(_, numbers)] = &items[..] else {
        panic!("{items:?}")
    };
    (numbers[0].expect("r"), numbers[1])
}

pub(crate) async fn the_standard_fields_are_lists_that_a_parser_reads(bed: &TestBed) {
    let mut bytes = calendar(1_000);
    bytes["cost"] = json!({ "header": "content-length" });
    let mut hidden = rolling(900);
    hidden["fields"] = json!("hide");
    let policy = limits(&[
        ("of-an-hour", rolling(5)),
        ("of-a-day", calendar(7)),
        (
            "steady",
            json!({ "bucket": { "burst": 6, "refill": "2/min" } }),
        ),
        ("bytes", bytes),
        ("hidden", hidden),
        ("elsewhere", on("elsewhere", rolling(1))),
    ]);
    let gateway = bed.open(&with_family(policy.clone(), "ietf")).await;
    let client = gateway.client();
    let forged = STANDARD.iter().fold(of("/x", ALPHA[0]), |call, name| {
        call.header(name, "\"mine\";r=99")
            .answered_with(name, "\"mine\";r=99")
            .answered_with(name, "\"mine\";r=98")
    });
    for (number, call) in [
        (1, of("/x", ALPHA[0])),
        (2, forged),
        (3, of("/x", ALPHA[1]).answered(404)),
    ] {
        let answer = client.send(call).await;
        let named = |quota, window| vec![Some(quota), Some(window)];
        assert_eq!(
            items(&answer, "ratelimit-policy", &["q", "w"]),
            [
                ("of-an-hour".to_owned(), named(5, 3_600)),
                ("of-a-day".to_owned(), named(7, 86_400)),
                ("steady".to_owned(), named(6, 180)),
                ("bytes".to_owned(), named(1_000, 86_400)),
            ]
        );
        // The quota unit of the limit that does not count requests.
        assert_eq!(
            answer
                .header("ratelimit-policy")
                .map(|value| value.matches("qu=\"content-bytes\"").count()),
            Some(1)
        );
        let now = items(&answer, "ratelimit", &["r", "t"]);
        let left: Vec<(&str, Option<u64>)> = now
            .iter()
            .map(|(name, numbers)| (&**name, numbers[0]))
            .collect();
        let expected = [
            ("of-an-hour", 5),
            ("of-a-day", 7),
            ("steady", 6),
            ("bytes", 1_000),
        ];
        assert_eq!(
            left,
            expected.map(|(name, quota)| (name, Some(quota - number)))
        );
        for ((name, numbers), most) in now.iter().zip([3_600, 86_400, 30, 86_400]) {
            assert!(
                numbers[1].is_some_and(|t| (1..=most).contains(&t)),
                "{name}: {numbers:?}"
            );
        }
        assert!(
            OLDER.iter().all(|name| answer.header(name).is_none()),
            "{:?}",
            answer.headers
        );
    }
    gateway
        .update(&with_family(policy, "both"))
        .await
        .expect("a good policy");
    let answer = gateway.client().send(of("/x", ALPHA[0])).await;
    assert_eq!(
        items(&answer, "ratelimit", &["r"])[0],
        ("of-an-hour".to_owned(), vec![Some(1)])
    );
    assert_eq!(limit_and_left(&answer), (5, 1));
}

pub(crate) async fn the_standard_reset_is_the_time_of_the_next_unit(bed: &TestBed) {
    let policy = limits(&[
        (
            "rolling",
            on(
                "rolling",
                json!({ "rolling": { "quota": 4, "window": "3s" } }),
            ),
        ),
        (
            "bucket",
            on(
                "bucket",
                json!({ "bucket": { "burst": 5, "refill": "1/s" } }),
            ),
        ),
        (
            "calendar",
            on(
                "calendar",
                json!({ "calendar": { "quota": 4, "window": "3s" } }),
            ),
        ),
    ]);
    let gateway = bed.open(&with_family(policy, "ietf")).await;
    let client = gateway.client();
    for (path, quota, most) in [
        ("/rolling/x", 4, 3),
        ("/bucket/x", 5, 1),
        ("/calendar/x", 4, 3),
    ] {
        client.send(of(path, ALPHA[0])).await;
        sleep(Duration::from_millis(700)).await;
        let (before, next_unit_in) = left_and_more(&client.send(of(path, ALPHA[0])).await);
        let next_unit_in = next_unit_in.expect("something was taken");
        assert!((1..=most).contains(&next_unit_in), "{path}: {next_unit_in}");
        sleep(Duration::from_secs(next_unit_in)).await;
        let (after, _) = left_and_more(&client.send(of(path, ALPHA[0])).await);
        assert!(
            after >= before && after < quota,
            "{path}: {before}, {after} after {next_unit_in} s"
        );
    }
}

pub(crate) async fn the_standard_problem_names_what_was_exceeded(bed: &TestBed) {
    let policy = limits(&[
        (
            "short",
            json!({ "rolling": { "quota": 2, "window": "1m" } }),
        ),
        ("wide", rolling(9)),
        ("long", calendar(2)),
        (
            "steady",
            json!({ "bucket": { "burst": 2, "refill": "1/min" } }),
        ),
    ]);
    for family in ["ietf", "both"] {
        let gateway = bed.open(&with_family(policy.clone(), family)).await;
        let (_, refusal) = until_refused(&gateway.client(), &of("/x", ALPHA[0])).await;
        assert_eq!(
            refusal.header("content-type"),
            Some("application/problem+json")
        );
        let problem: Value = serde_json::from_slice(&refusal.body).expect("JSON");
        assert_eq!(
            problem["type"],
            "https://iana.org/assignments/http-problem-types#quota-exceeded"
        );
        assert_eq!(
            problem["title"],
            "Request cannot be satisfied as assigned quota has been exceeded"
        );
        assert_eq!(problem["status"], 429);
        assert_eq!(
            problem["violated-policies"],
            json!(["short", "long", "steady"])
        );
        let all = items(&refusal, "ratelimit", &["r", "t"]);
        let names: Vec<&str> = all.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["short", "long", "steady"]);
        assert!(
            all.iter().all(|(_, numbers)| numbers[0] == Some(0)),
            "{all:?}"
        );
        // The wait is that of the slowest of them.
        assert_eq!(refusal.number("retry-after"), all[1].1[1]);
        assert_eq!(
            refusal.header("x-ratelimit-limit"),
            (family == "both").then_some("2")
        );
    }
}

pub(crate) async fn a_grpc_caller_is_told_the_same_as_metadata(bed: &TestBed) {
    let kinds = [
        ("rolling", rolling(3)),
        ("calendar", calendar(3)),
        ("bucket", bucket(3)),
    ];
    let policy = with_family(
        limits(&kinds.map(|(name, rule)| (name, on(name, rule)))),
        "both",
    );
    let gateway = bed.open_with(Setup::of(&policy).with_http2()).await;
    let client = Client::http2(gateway.address);
    let fields = |answer: &Answer| -> BTreeSet<String> {
        let names = answer.headers.keys().map(ToString::to_string);
        names
            .filter(|name| name.contains("ratelimit") || name == "retry-after")
            .collect()
    };
    for name in ["rolling", "calendar", "bucket"] {
        let call = of(&format!("/{name}/List"), ALPHA[0]);
        for left in (0..3).rev() {
            let answer = client
                .send(call.clone().grpc().answered_at_last("grpc-status", "0"))
                .await;
            assert_eq!((answer.status, limit_and_left(&answer)), (200, (3, left)));
            assert_eq!(left_and_more(&answer).0, left);
        }
        let plain = client.send(call.clone()).await;
        let refused = client.send(call.grpc()).await;
        assert_eq!((plain.status, refused.status), (429, 200));
        assert_eq!(
            refused.header("grpc-status"),
            Some("8"),
            "RESOURCE_EXHAUSTED"
        );
        assert!(
            refused
                .header("grpc-message")
                .is_some_and(|message| message.contains(name)),
            "{:?}",
            refused.headers
        );
        assert_eq!(
            (refused.header("content-type"), refused.body.len()),
            (Some("application/grpc"), 0)
        );
        assert_eq!(fields(&refused), fields(&plain), "{name}");
        assert_eq!(fields(&refused).len(), 6, "{name}");
        assert_eq!(limit_and_left(&refused), limit_and_left(&plain));
        for field in ["retry-after", "x-ratelimit-reset"] {
            let [grpc, plain] =
                [&refused, &plain].map(|answer| answer.number(field).expect("a number"));
            assert!(
                grpc.abs_diff(plain) <= 1,
                "{name}, {field}: {grpc}, {plain}"
            );
        }
    }
}

pub(crate) async fn a_shadow_limit_works_next_to_an_enforced_one(bed: &TestBed) {
    let shadow = |mut rule: Value| {
        rule["enforcement"] = json!("shadow");
        rule
    };
    let policy = limits(&[
        ("now", rolling(6)),
        ("next", shadow(rolling(4))),
        ("later", shadow(calendar(2))),
        ("spare", shadow(bucket(9))),
    ]);
    let policy = with_family(policy, "both").with("/access_log", json!({ "attributes": ["org"] }));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for left in (0..6).rev() {
        let answer = client.send(of("/x", ALPHA[0])).await;
        assert_eq!(
            (answer.status, limit_and_left(&answer)),
            (200, (6, left)),
            "only the enforced limit shows"
        );
        assert_eq!(items(&answer, "ratelimit", &[]).len(), 1);
    }
    let refusal = client.send(of("/x", ALPHA[0])).await;
    assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (6, 0)));
    let problem: Value = serde_json::from_slice(&refusal.body).expect("JSON");
    assert_eq!(problem["violated-policies"], json!(["now"]));
    assert_eq!(gateway.upstream.paths(), ["/x"; 6], "no other requests");
    let decided = async |limit, decision| {
        let labels = [("limit", limit), ("decision", decision)];
        gateway
            .admin
            .metric("sluicegate_requests_total", &labels)
            .await
    };
    // The enforced limit refused the seventh: no limit admitted it, and two others would have
    // refused.
    for (limit, admitted, refused, would_refuse) in [
        ("now", 6, 1, 0),
        ("next", 4, 0, 3),
        ("later", 2, 0, 5),
        ("spare", 6, 0, 0),
    ] {
        let counted = [
            decided(limit, "admitted").await,
            decided(limit, "refused").await,
            decided(limit, "would_refuse").await,
        ];
        assert_eq!(counted, [admitted, refused, would_refuse], "{limit}");
    }
    // A line shows one limit: the one with the longest wait.
    for (count, line) in [
        (2, "decision=admitted limit=now tier=- org=alpha"),
        (4, "decision=would_refuse limit=later tier=- org=alpha"),
        (1, "decision=refused limit=now tier=- org=alpha"),
    ] {
        eventually(line, async || {
            (gateway.log().matches(line).count() == count).then_some(())
        })
        .await;
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
    assert_eq!((refusal.status, limit_and_left(&refusal)), (429, (10, 0)));
    assert!(
        refusal
            .number("retry-after")
            .is_some_and(|wait| (3_500..=3_600).contains(&wait))
    );
    assert_eq!(gateway.upstream.count("/x"), 3);

    // As a proxy in front may send it: an invalid number costs one, and none returns units.
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
        (300, 429, (1_000, 0)),
        (150, 200, (1_000, 50)),
        (51, 429, (1_000, 0)),
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
            let call = cost.iter().fold(call.clone(), |call, cost| {
                call.answered_with("x-cost", cost)
            });
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
        // The next request sees it, whatever it costs itself. A header in the request is not a
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

pub(crate) async fn exempt_requests_have_no_fields(bed: &TestBed) {
    let policy = with_family(limits(&[("all", rolling(3))]), "both");
    let policy = policy.with(
        "/exempt",
        json!([{ "routes": ["/health/**", "POST /metrics"] }, { "org": "beta" }]),
    );
    let gateway = bed.open(&policy).await;
    for client in [gateway.client(), Client::http2(gateway.address)] {
        for call in [
            of("/health", ALPHA[0]),
            Call::post("/metrics").header("x-api-key", ALPHA[0]),
            of("/x", BETA),
        ] {
            for _ in 0..5 {
                let forged = STANDARD
                    .iter()
                    .chain(&OLDER)
                    .fold(call.clone(), |call, name| call.answered_with(name, "9"));
                let answer = client.send(forged).await;
                assert_eq!(answer.status, 200);
                assert!(
                    STANDARD
                        .iter()
                        .chain(&OLDER)
                        .all(|name| answer.header(name).is_none()),
                    "{:?}",
                    answer.headers
                );
            }
        }
    }
    let client = gateway.client();
    assert_eq!(
        limit_and_left(&client.send(of("/metrics", ALPHA[0])).await),
        (3, 2),
        "a GET is not exempt"
    );
    assert_eq!(spend(&client, &of("/healthy", ALPHA[0])).await.0, 2);
}
