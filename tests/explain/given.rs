//! Missing arguments, and how they change the explanation of callers and responses.

use serde_json::{Value, json};

use super::{
    attribute, decisions, explanation, field, limit, preset, reason, run, text, text_form,
};

const POLICY: &str = "version: 1
name: given
callers:
  credentials: [{ name: session, metadata: [filter, session] }, { name: key, header: x-key }]
  directory: [{ sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, \
  org: acme }]
  attributes:
    region: [{ node_metadata: [shop, region] }]
    shard: [{ route_metadata: [shop, shard] }]
    address: [{ client_address: {} }]
    cert: [{ client_certificate: sha256 }]
    tenant: [{ header: x-tenant, trusted: true }, { query: tenant }]
    user: [{ query: user }, { metadata: [filter, user] }]
  absent: anonymous
limits:
  - { name: late, for: { region: eu }, per: [address], rolling: { quota: 5, window: 1d }, cost: \
  { response_header: x-cost } }
  - { name: paid, for: { region: eu }, per: [org], bucket: { burst: 5, refill: 1/h }, \
  charge: success }
  - { name: both, for: { region: eu }, per: [], rolling: { quota: 9, window: 1d }, cost: \
  { response_header: x-cost }, charge: success }
  - { name: lines, for: { region: eu }, per: [], rolling: { quota: 9, window: 1d }, cost: { \
  lines: request } }
  - { name: skips, for: { routes: [/never/**] }, per: [shard], absent: skip, bucket: { burst: 1, \
  refill: 1/h } }
";
const EU: [&str; 2] = ["--node-metadata", r#"{"shop":{"region":"eu"}}"#];

/// `option: names` of each missing argument.
fn not_given(explanation: &Value) -> Vec<String> {
    let all = explanation["not_given"].as_array().unwrap().iter();
    let names = |it: &Value| {
        it["names"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect::<Vec<_>>()
            .join(",")
    };
    all.map(|it| format!("{}: {}", text(&it["option"]), names(it)))
        .collect()
}

#[test]
fn missing_arguments_are_listed() {
    let nothing = explanation(&["-", "--path", "/?user=u"], POLICY);
    assert_eq!(
        not_given(&nothing),
        [
            "--address: address",
            "--certificate sha256=…: cert",
            "--header 'x-tenant: …': tenant",
            "--metadata: session",
            "--node-metadata: region",
            "--route-metadata: shard",
        ]
    );
    let said = text_form(&["-", "--path", "/?user=u"], POLICY);
    assert!(
        said.contains("\nnot given    the policy reads it, and it may change this explanation\n"),
        "{said}"
    );
    assert!(
        said.contains("\n  --node-metadata         for region\n"),
        "{said}"
    );
    assert!(
        said.contains(
            "late: does not apply: it is for region eu, and the caller has none (not \
             given: --node-metadata)\n"
        ),
        "{said}"
    );
    assert!(
        said.contains("\ndecision     admitted: no limit applies to the given input\n"),
        "{said}"
    );
    let shared = text_form(&["-", "--path", "/", "--node-metadata", EU[1]], POLICY);
    let line =
        "\n    counts   address absent (not given: --address), shared by all callers without one\n";
    assert!(shared.contains(line), "{shared}");
    let never = text_form(&["-", "--path", "/never/x"], POLICY);
    assert!(
        never.contains(
            "skips: does not apply: the caller has no shard (not given: --route-metadata), and it \
             says absent: skip\n"
        ),
        "{never}"
    );
}

/// An empty argument is not missing, and a source after the first value is not needed.
#[test]
fn only_arguments_that_may_change_the_explanation_are_missing() {
    let all = [
        "--metadata",
        "{}",
        "--route-metadata",
        "{}",
        "--address",
        "192.0.2.7",
        "--certificate",
        "sha256=",
        "-H",
        "x-tenant: t",
    ];
    let all = explanation(&[&["-", "--path", "/"], &EU[..], &all].concat(), POLICY);
    assert_eq!(not_given(&all), Vec::<String>::new());
    let free = text_form(
        &["-", "--path", "/"],
        "version: 1\nname: free\nlimits: [{ name: all, for: { routes: [/x] }, per: [], bucket: \
         { burst: 1, refill: 1/h } }]\n",
    );
    assert!(
        free.contains("\ndecision     admitted: no limit applies\n") && !free.contains("not given"),
        "{free}"
    );
}

#[test]
fn missing_metadata_may_be_the_reason_for_a_401() {
    let refused = explanation(
        &["-", "--path", "/"],
        &POLICY.replace("absent: anonymous", "absent: refuse"),
    );
    assert!(
        not_given(&refused).contains(&"--metadata: session,user".to_owned()),
        "{refused:#}"
    );
}

/// A POST request with these arguments.
fn call(rest: &[&str]) -> Value {
    let post = ["-", "-X", "POST", "--path", "/"];
    explanation(&[&post, &EU[..], rest].concat(), POLICY)
}

/// The cost of a limit, its remaining units, its overage, and whether the cost was refunded.
fn costs(explanation: &Value, name: &str) -> Value {
    let limit = limit(explanation, name);
    json!([
        limit["cost"],
        limit["remaining"],
        limit["overage"],
        limit["refunded"],
    ])
}

#[test]
fn a_response_determines_the_cost_of_a_request() {
    let unknown = call(&[]);
    assert_eq!(costs(&unknown, "late"), json!([null, 4, 0, false]));
    assert_eq!(unknown["response"]["status"], json!(null));
    let three = call(&["--response-header", "X-Cost: 3"]);
    assert_eq!(costs(&three, "late"), json!([3, 2, 0, false]));
    assert_eq!(costs(&three, "lines"), json!([null, 8, 0, false]));
    let over = call(&["--response-header", "x-cost: 3", "--repeat", "2"]);
    assert_eq!(
        costs(&over, "late"),
        json!([3, 0, 1, false]),
        "the response may overdraw"
    );
    let third = call(&["--response-header", "x-cost: 3", "--repeat", "3"]);
    assert_eq!(
        (text(&third["decision"]), text(&third["limit"])),
        ("refused", "late")
    );
    for (header, cost) in [("x-other: 3", 1), ("x-cost: many", 1), ("x-cost: 0", 0)] {
        assert_eq!(
            limit(&call(&["--response-header", header]), "late")["cost"],
            cost,
            "{header}"
        );
    }
}

#[test]
fn a_failed_response_is_refunded_by_limits_that_charge_for_success() {
    let failed = call(&[
        "--status",
        "404",
        "--response-header",
        "x-cost: 3",
        "--repeat",
        "9",
    ]);
    assert_eq!(
        (text(&failed["decision"]), text(&failed["limit"])),
        ("refused", "late"),
        "always charged"
    );
    let failed = call(&[
        "--status",
        "404",
        "--response-header",
        "x-cost: 0",
        "--repeat",
        "9",
    ]);
    assert_eq!(costs(&failed, "paid"), json!([1, 5, 0, true]));
    assert_eq!(costs(&failed, "both"), json!([0, 9, 0, true]));
    assert_eq!(
        (
            &failed["response"]["status"],
            field(&failed, "x-ratelimit-remaining")
        ),
        (&json!(404), "0")
    );
    let fine = call(&[
        "--status",
        "204",
        "--response-header",
        "x-cost: 2",
        "--repeat",
        "2",
    ]);
    assert_eq!(costs(&fine, "paid"), json!([1, 3, 0, false]));
    assert_eq!(costs(&fine, "both"), json!([2, 5, 0, false]));
}

#[test]
fn a_grpc_call_fails_by_its_grpc_status() {
    let grpc = [
        "-H",
        "content-type: application/grpc",
        "--response-header",
        "grpc-status: 5",
        "--response-header",
        "x-cost: 1",
    ];
    assert_eq!(costs(&call(&grpc), "paid"), json!([1, 5, 0, true]));
    assert_eq!(
        costs(&call(&grpc[2..]), "paid"),
        json!([1, 4, 0, false]),
        "no gRPC call"
    );
}

#[test]
fn the_text_states_a_refund_and_a_cost_that_is_not_known() {
    let said = text_form(
        &[
            &["-", "-X", "POST", "--path", "/", "--status", "500"],
            &EU[..],
        ]
        .concat(),
        POLICY,
    );
    assert!(
        said.contains("\n    cost     1; refunded: such a response is not charged\n"),
        "{said}"
    );
    assert!(
        said.contains(
            "\n    cost     known only with the body (the lines of the body), which is not \
             explained; 1 until then\n"
        ),
        "{said}"
    );
    assert!(
        said.contains("\nresponse     500, the upstream's, with\n"),
        "{said}"
    );
}

#[test]
fn a_response_that_cannot_be_is_a_usage_error() {
    for wrong in [
        &["--status", "99"][..],
        &["--status", "ok"],
        &["--response-header", "x-cost"],
        &["--response-header", ":status: 200"],
    ] {
        assert_eq!(
            run(&[&["-", "--path", "/"], wrong].concat(), POLICY).0,
            2,
            "{wrong:?}"
        );
    }
}

#[test]
fn a_401_shows_the_attributes_that_are_known() {
    let pair = [
        "-H",
        "dd-api-key: demo-api-acme-1",
        "-H",
        "dd-application-key: demo-app-carol",
    ];
    let refused = preset(
        "datadog",
        &[&["--path", "/api/v1/monitor"], &pair[..]].concat(),
    );
    let callers = &refused["callers"];
    assert_eq!(
        (
            text(&callers["refused"]["reason"]),
            text(&callers["refused_by"])
        ),
        ("conflicting", "org")
    );
    assert_eq!(
        (attribute(&refused, "org"), attribute(&refused, "user")),
        ("-", "carol")
    );
    assert_eq!(
        attribute(&refused, "api_key"),
        "81918d874881704734488be9dd2ecb20"
    );
    assert_eq!(decisions(&refused), Vec::<String>::new());
    let absent = preset("dash0", &["--path", "/"]);
    assert_eq!(absent["callers"]["refused_by"], Value::Null);
}

#[test]
fn a_number_of_the_callers_own_is_explained() {
    let policy = r"
version: 1
name: demo
callers:
  attributes:
    points: [{ header: x-points, trusted: true }]
    plan: [{ header: x-plan, trusted: true }]
limits:
  - name: own
    per: []
    rolling: { quota: { attribute: points, else: 5, at_most: 9 }, window: 1h }
    overrides: [{ for: { plan: paid }, quota: unlimited }, { for: { plan: free }, quota: 3 }]
";
    for (headers, quota, from) in [
        (&["x-points: 7"][..], 7, json!("attribute points")),
        (&["x-points: 70"], 9, json!("at_most: points is 70")),
        (
            &["x-points: 0"],
            5,
            json!("else: points is not a whole number from 1 up"),
        ),
        (&[], 5, json!("else: the caller has no points")),
        (&["x-points: 7", "x-plan: free"], 3, Value::Null),
    ] {
        let mut arguments = vec!["-", "--path", "/"];
        for header in headers {
            arguments.extend(["-H", header]);
        }
        let explained = explanation(&arguments, policy);
        assert_eq!(explained["limits"][0]["quota"], quota, "{headers:?}");
        assert_eq!(explained["limits"][0]["quota_from"], from, "{headers:?}");
        assert_eq!(
            explained["limits"][0]["rule"]["rolling"]["quota"], quota,
            "{headers:?}"
        );
        let text = text_form(&arguments, policy);
        let by = from.as_str().map(|from| format!(", number by {from}\n"));
        assert!(text.contains(&by.unwrap_or_default()), "{text}");
    }
    let arguments = ["-", "--path", "/", "-H", "x-plan: paid"];
    let explained = explanation(&arguments, policy);
    assert_eq!(explained["limits"], json!([]));
    assert_eq!(reason(&explained, "own"), "unlimited");
    assert_eq!(
        explained["not_applied"][0]["message"],
        "its override 0 says unlimited"
    );
}

#[test]
fn a_host_that_a_key_needs_is_not_given() {
    let policy = "version: 1\nname: demo\nlimits: [{ name: one, per: [host], bucket: { burst: 1, \
                  refill: 1/s } }]\n";
    let explained = explanation(&["-", "--path", "/"], policy);
    assert_eq!(explained["not_given"][0]["option"], "--header 'Host: …'");
    assert_eq!(explained["not_given"][0]["names"], json!(["host"]));
    let explained = explanation(&["-", "--path", "/", "-H", "Host: a"], policy);
    assert_eq!(explained["not_given"], json!([]));
}
