//! Fields and responses that no preset has: the standard's, gRPC's, shadow limits, costs (X1, X8,
//! X12, X13).

use super::windows::{bucket, calendar, limits, of, on, rolling};
use super::{ALPHA, limit_and_left, until_refused};
use crate::harness::{Answer, Client, Policy, Setup, TestBed};
use serde_json::{Value, json};
use sfv::{BareItem, List, ListEntry, Parser};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) const STANDARD: [&str; 2] = ["ratelimit", "ratelimit-policy"];
pub(crate) const OLDER: [&str; 3] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

pub(crate) fn with_family(policy: Policy, family: &str) -> Policy {
    policy.with("/replies", json!({ "fields": { "family": family } }))
}

/// The items of a list field: each a string, with those of these parameters that it has.
pub(crate) fn items(
    answer: &Answer,
    field: &str,
    parameters: &[&str],
) -> Vec<(String, Vec<Option<u64>>)> {
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
        (
            name.as_str().to_owned(),
            parameters
                .iter()
                .map(|key| match item.params.get(*key) {
                    Some(BareItem::Integer(number)) => {
                        Some(u64::try_from(i64::from(*number)).expect("not below zero"))
                    }
                    None => None,
                    Some(other) => panic!("{key}={other:?}"),
                })
                .collect(),
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

/// The fields of the answer to request `number` are those of the four visible limits.
fn assert_standard(answer: &Answer, number: u64) {
    let named = |quota, window| vec![Some(quota), Some(window)];
    assert_eq!(
        items(answer, "ratelimit-policy", &["q", "w"]),
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
    let now = items(answer, "ratelimit", &["r", "t"]);
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
    let mut forged = of("/x", ALPHA[0]);
    for name in &STANDARD {
        forged = forged
            .header(name, "\"mine\";r=99")
            .answered_with(name, "\"mine\";r=99")
            .answered_with(name, "\"mine\";r=98");
    }
    for (number, call) in [
        (1, of("/x", ALPHA[0])),
        (2, forged),
        (3, of("/x", ALPHA[1]).answered(404)),
    ] {
        let answer = client.send(call).await;
        assert_standard(&answer, number);
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
        // Those that do not refuse are stated, too.
        let left: Vec<_> = all.iter().map(|(_, numbers)| numbers[0]).collect();
        assert_eq!(names.len(), left.len());
        for name in ["short", "long", "steady"] {
            let place = names.iter().position(|known| *known == name);
            assert_eq!(place.map(|place| left[place]), Some(Some(0)), "{all:?}");
        }
        // The wait is that of the slowest of them.
        let slowest = all.iter().find(|(name, _)| name == "long");
        assert_eq!(
            refusal.number("retry-after"),
            slowest.and_then(|(_, it)| it[1])
        );
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
