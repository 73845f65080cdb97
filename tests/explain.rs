//! `sluicegate explain`, as used by people and scripts.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "explain/credentials.rs"]
mod credentials;
#[path = "explain/directories.rs"]
mod directories;
#[path = "explain/documents.rs"]
mod documents;
#[path = "explain/endpoint.rs"]
mod endpoint;
#[path = "explain/given.rs"]
mod given;
#[path = "explain/presets.rs"]
mod presets;
#[path = "explain/refused.rs"]
mod refused;
#[path = "explain/shadow.rs"]
mod shadow;
#[path = "explain/usage.rs"]
mod usage;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const AT: [&str; 2] = ["--at", "2026-11-25T10:00:00Z"];

/// Exit code, standard output, standard error.
fn run(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let piped = command
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = piped
        .stderr(Stdio::piped())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .spawn()
        .unwrap();
    // A usage error may end it before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn text_form(arguments: &[&str], policy: &str) -> String {
    let (code, stdout, stderr) = run(&[arguments, &AT].concat(), policy);
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    stdout
}

fn explanation(arguments: &[&str], policy: &str) -> Value {
    serde_json::from_str(&text_form(&[arguments, &["--json"]].concat(), policy)).unwrap()
}

/// For a preset; `rest` are the arguments after it.
fn preset(name: &str, rest: &[&str]) -> Value {
    explanation(
        &[&[&*format!("envoy/presets/{name}.yaml")], rest].concat(),
        "",
    )
}

/// `name: decision` for each limit that applies.
fn decisions(explanation: &Value) -> Vec<String> {
    let limits = explanation["limits"].as_array().unwrap().iter();
    limits
        .map(|limit| format!("{}: {}", text(&limit["name"]), text(&limit["decision"])))
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn limit<'a>(explanation: &'a Value, name: &str) -> &'a Value {
    let mut limits = explanation["limits"].as_array().unwrap().iter();
    limits
        .find(|limit| limit["name"] == name)
        .unwrap_or_else(|| panic!("{name} does not apply: {explanation:#}"))
}

fn reason<'a>(explanation: &'a Value, name: &str) -> &'a str {
    let mut others = explanation["not_applied"].as_array().unwrap().iter();
    text(&others.find(|other| other["name"] == name).unwrap()["reason"])
}

fn attribute<'a>(explanation: &'a Value, name: &str) -> &'a str {
    let mut known = explanation["callers"]["attributes"]
        .as_array()
        .unwrap()
        .iter();
    known
        .find(|attribute| attribute["name"] == name)
        .map_or("-", |attribute| text(&attribute["value"]))
}

fn field<'a>(explanation: &'a Value, name: &str) -> &'a str {
    let mut fields = explanation["response"]["fields"].as_array().unwrap().iter();
    fields
        .find(|field| field["name"] == name)
        .map_or("-", |field| text(&field["value"]))
}

fn found(explanation: &Value) -> Vec<&str> {
    explanation["callers"]["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["found"]))
        .collect()
}

/// Everything that no preset contains.
const ODD: &str = "version: 1
name: odd
callers:
  credentials: [{ name: key, header: x-key }, { name: key, query: key }]
  directory: []
  attributes:
    place: [{ header: x-place, trusted: true }, { query: place }]
    region: [{ node_metadata: [shop, region] }]
    shard: [{ route_metadata: [shop, shard] }]
    address: [{ client_address: { v4_prefix: 24 } }]
    service: [{ client_certificate: uri_san }]
    environment: [{ path: \"/e/{environment}/**\" }]
  unknown: anonymous
  absent: anonymous
tiers: [{ name: write, routes: [\"POST /**\"] }]
limits:
  - { name: shady, per: [key], bucket: { burst: 2, refill: 1/h }, enforcement: shadow }
  - { name: late, for: { region: eu }, per: [address], rolling: { quota: 5, window: 1d }, cost: \
  { response_header: x-cost } }
  - { name: sized, per: [], calendar: { quota: 1000, window: 1h }, over: count, cost: { \
  header: content-length }, fields: hide }
  - { name: item, for: { tier: write, routes: [\"/e/*/items/{item}\"] }, per: [item, environment], \
  bucket: { burst: 2, refill: 1/h } }
  - { name: strangers, for: { place: [moon, mars], region: [us, eu] }, per: [], bucket: { \
  burst: 1, refill: 1/d } }
  - { name: never, for: { place: rome }, per: [], bucket: { burst: 3, refill: 1/d }, cost: \
  { header: x-cost, trusted: true } }
replies: { fields: { family: both }, retry_after: { jitter: 100% } }
";

/// A request that supplies every source of [`ODD`].
const ODD_REQUEST: [&str; 17] = [
    "-",
    "--path",
    "/e/prod/items/7%2F8?place=moon&key=s3cr3t",
    "-X",
    "POST",
    "--address",
    "192.0.2.7",
    "--node-metadata",
    r#"{"shop":{"region":"eu"}}"#,
    "--route-metadata",
    r#"{"shop":{"shard":7}}"#,
    "--certificate",
    "uri_san=spiffe://acme/billing",
    "-H",
    "content-length: 1200",
    "-H",
    "X-Place: rome ",
];

#[test]
fn every_source_is_used() {
    let explanation = explanation(&ODD_REQUEST, ODD);
    let attributes: Vec<String> = explanation["callers"]["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !["credential", "key"].contains(&text(&it["name"])))
        .map(|it| {
            format!(
                "{}={} {}",
                text(&it["name"]),
                text(&it["value"]),
                text(&it["from"])
            )
        })
        .collect();
    assert_eq!(
        attributes,
        [
            "place=rome the header x-place, which is trusted",
            "region=eu the proxy's metadata [shop, region]",
            "shard=7 the route's metadata [shop, shard]",
            "address=192.0.2.0/24 the client's address",
            "service=spiffe://acme/billing the client's certificate, uri_san",
            "environment=prod the path, by /e/{environment}/**",
        ]
    );
    assert_eq!(found(&explanation), ["not_presented", "unknown"]);
    let expected = [
        "shady: admitted",
        "late: admitted",
        "sized: admitted",
        "item: admitted",
        "never: admitted",
    ];
    assert_eq!(decisions(&explanation), expected);
    assert_eq!(
        text(&limit(&explanation, "item")["key"][0]["value"]),
        "7/8",
        "for some %2F is no separator"
    );
    assert_eq!(reason(&explanation, "strangers"), "attribute");
    let late = limit(&explanation, "late");
    assert_eq!(
        (&late["cost"], &late["cost_from"], &late["remaining"]),
        (&Value::Null, &json!("response header x-cost"), &json!(4))
    );
    assert_eq!(
        late["key"],
        json!([{ "name": "address", "value": "192.0.2.0/24" }])
    );
    let sized = limit(&explanation, "sized");
    assert_eq!(
        (&sized["cost"], &sized["cost_from"], &sized["overage"]),
        (&json!(1_200), &json!("header content-length"), &json!(200))
    );
    assert_eq!(
        limit(&explanation, "never")["cost_from"],
        "header x-cost, which is missing"
    );
    assert_eq!(field(&explanation, "x-ratelimit-overage"), "200");
    let policies = "\"late\";q=5;w=86400, \"item\";q=2;w=7200, \"never\";q=3;w=259200";
    assert_eq!(field(&explanation, "ratelimit-policy"), policies);
}

#[test]
fn a_shadow_limit_states_what_it_would_do() {
    let third = text_form(&["-", "--path", "/", "--repeat", "3"], ODD);
    assert!(
        third.contains("\n  shady (shadow): would_refuse\n"),
        "{third}"
    );
    assert!(
        third.contains("\ndecision     would_refuse by shady\nresponse     the upstream's"),
        "{third}"
    );
    assert!(
        third.contains("\n    cost     1, by header content-length, which is missing\n"),
        "{third}"
    );
    assert!(
        third.contains("\n    counts   key absent, shared by all callers without one\n"),
        "{third}"
    );
    assert!(
        third.contains(
            "\n  strangers: does not apply: it is for place moon or mars, and the caller has none\n"
        ),
        "{third}"
    );
    assert!(
        third.contains(
            "\n  item: does not apply: it is for tier write, and the request is of none\n"
        ),
        "{third}"
    );
    let region = text_form(
        &[
            "-",
            "--path",
            "/?place=mars",
            "--node-metadata",
            r#"{"shop":{"region":"asia"}}"#,
        ],
        ODD,
    );
    assert!(
        region.contains("it is for region us or eu, and the caller's is asia\n"),
        "{region}"
    );
    let paid = text_form(
        &[
            "-",
            "--path",
            "/",
            "--node-metadata",
            r#"{"shop":{"region":"eu"}}"#,
        ],
        ODD,
    );
    assert!(
        paid.contains(
            "\n    cost     known only with the response (response header x-cost); 1 until then\n"
        ),
        "{paid}"
    );
}

#[test]
fn costs_that_never_fit_and_grpc_callers() {
    let call = ["-", "--path", "/?place=rome", "-H", "x-cost: 4"];
    let never = text_form(&call, ODD);
    assert!(
        never.contains("\n    wait     does not help: it costs more than the limit holds\n"),
        "{never}"
    );
    assert!(
        never.contains("\n  shady (shadow): admits, and takes nothing: another limit refuses\n"),
        "{never}"
    );
    assert!(
        never.contains("\n    left     2 of 2\n"),
        "nothing was taken from the others: {never}"
    );
    let explanation = explanation(
        &[&call[..], &["-H", "content-type: application/grpc"]].concat(),
        ODD,
    );
    assert_eq!(
        (
            &explanation["response"]["status"],
            field(&explanation, "grpc-status")
        ),
        (&json!(200), "8")
    );
    assert_eq!(
        field(&explanation, "grpc-message"),
        "limit never exceeded: the request costs more than the limit can ever admit"
    );
}

#[test]
fn a_path_with_more_than_one_reading_is_explained() {
    let key = ["--header", "Authorization: Bearer demo-acme-1"];
    let both = preset(
        "enterprise-v2",
        &[&["--path", "/v2/things/42%2Ftimeseries"][..], &key].concat(),
    );
    assert_eq!(both["request"]["refused"], Value::Null);
    assert_eq!(
        decisions(&both),
        ["standard: admitted", "data-read: admitted"]
    );
    let arguments = [
        &[
            "envoy/presets/enterprise-v2.yaml",
            "--path",
            "/v2/x%2f..%2f..",
        ][..],
        &key,
    ]
    .concat();
    let refused = explanation(&arguments, "");
    assert_eq!(
        refused["request"]["refused"],
        json!({ "reason": "dot_segment", "message": "The path has a dot segment." })
    );
    assert_eq!(
        (&refused["decision"], &refused["response"]["status"]),
        (&json!("refused"), &json!(400))
    );
    let words = text_form(&arguments, "");
    assert!(
        words.contains("decision     refused: dot_segment: The path has a dot segment.\n"),
        "{words}"
    );
    let web = [
        &[
            "--method",
            "POST",
            "--header",
            "Content-Type: application/grpc-web-text",
        ][..],
        &["--path", "/v2/.."],
    ];
    let web = preset("enterprise-v2", &web.concat());
    assert_eq!(
        (&web["response"]["status"], field(&web, "grpc-status")),
        (&json!(200), "3")
    );
    assert_eq!(
        field(&web, "content-type"),
        "application/grpc-web-text+proto"
    );
}
