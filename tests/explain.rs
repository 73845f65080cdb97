//! `sluicegate explain`, as used by people and scripts.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "explain/directories.rs"]
mod directories;
#[path = "explain/given.rs"]
mod given;
#[path = "explain/presets.rs"]
mod presets;

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
  - { name: late, for: { region: eu }, per: [address], rolling: { quota: 5, window: 1d }, cost: { \
  response_header: x-cost } }
  - { name: sized, per: [], calendar: { quota: 1000, window: 1h }, over: count, cost: { header: \
  content-length }, fields: hide }
  - { name: item, for: { tier: write, routes: [\"/e/*/items/{item}\"] }, per: [item, environment], \
  bucket: { burst: 2, refill: 1/h } }
  - { name: strangers, for: { place: [moon, mars], region: [us, eu] }, per: [], bucket: { burst: \
  1, refill: 1/d } }
  - { name: never, for: { place: rome }, per: [], bucket: { burst: 3, refill: 1/d }, cost: { \
  header: x-cost, trusted: true } }
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
        third.contains("\n    counts   key absent, with all who have none\n"),
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
            "\n    cost     known only with the response (response header x-cost); taken \
                       as 1 here\n"
        ),
        "{paid}"
    );
}

#[test]
fn costs_that_never_fit_and_grpc_callers() {
    let call = ["-", "--path", "/?place=rome", "-H", "x-cost: 4"];
    let never = text_form(&call, ODD);
    assert!(
        never.contains("\n    wait     none helps: it costs more than the limit holds\n"),
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
        "limit never exceeded: the request costs more than it ever admits"
    );
}

#[test]
fn the_documents_show_the_text() {
    let tools =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    let arguments = [
        "envoy/presets/enterprise-v2.yaml",
        "--path",
        "/v2/things",
        "--header",
        "Authorization: Bearer demo-acme-1",
    ];
    let text = text_form(&[&arguments[..], &["--repeat", "101"]].concat(), "");
    assert!(
        tools.contains(&text),
        "docs/tools.md has another text than this:\n{text}"
    );
    assert!(!text.lines().any(|line| line.ends_with(' ')), "{text}");
}

#[test]
fn the_documents_list_every_key_of_the_json() {
    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    // The keys of a rule are the policy's.
                    if key != "rule" {
                        keys(value, found);
                    }
                    found.insert(key.clone());
                }
            }
            Value::Array(items) => {
                for item in items {
                    keys(item, found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    keys(
        &preset(
            "enterprise-v2",
            &["--path", "/v2/things", "-H", "x-api-key: demo-acme-1"],
        ),
        &mut found,
    );
    keys(&preset("dash0", &["--path", "/"]), &mut found);
    let tools =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    let (_, section) = tools.split_once("### JSON output").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut missing = found.clone();
    missing.retain(|key| {
        let forms = [
            format!("`{key}`"),
            format!("`{key}."),
            format!(".{key}`"),
            format!("{key}[]`"),
        ];
        !forms.iter().any(|form| section.contains(form))
    });
    assert!(
        missing.is_empty() && found.len() > 40,
        "{missing:?} of {}",
        found.len()
    );
}

#[test]
fn long_lists_are_cut_without_an_option() {
    let limits = |count: usize| -> String {
        (0..count)
            .map(|number| {
                format!(
                    "  - {{ name: l{number}, for: {{ routes: [/r/{number}] }}, per: [], \
                               bucket: {{ burst: 1, refill: 1/s }} }}\n"
                )
            })
            .collect()
    };
    let many = |count| format!("version: 1\nname: many\nlimits:\n{}", limits(count));
    let one_more = text_form(&["-", "--path", "/"], &many(21));
    assert!(
        one_more.contains("\n  and 1 other that does not apply: --all lists them\n"),
        "{one_more}"
    );
    let policy = many(30);
    let cut = text_form(&["-", "--path", "/"], &policy);
    assert_eq!(cut.matches("does not apply").count(), 20, "{cut}");
    assert!(
        cut.contains("\n  and 10 others that do not apply: --all lists them\n"),
        "{cut}"
    );
    assert!(
        cut.contains("\ncallers      nobody is asked: the policy has no callers\n"),
        "{cut}"
    );
    assert_eq!(
        text_form(&["-", "--path", "/", "--all"], &policy)
            .matches("does not apply: none")
            .count(),
        30
    );
    assert_eq!(
        explanation(&["-", "--path", "/"], &policy)["not_applied"]
            .as_array()
            .unwrap()
            .len(),
        30
    );
}

#[test]
fn no_secret_is_ever_printed() {
    const SECRET: &str = "s3cr3t-hunter2";
    let session = format!(r#"{{"f":{{"k":"{SECRET}"}}}}"#);
    let policy = "version: 1
name: quiet
callers:
  credentials:
    - { name: stamp, metadata: [f, k] }
    - { name: bearer, header: authorization, scheme: Bearer, unless: stamp }
    - { name: key, query: key }
  directory: [{ sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: \
  acme }]
  unknown: STANCE
limits: [{ name: all, per: [bearer, key, stamp], bucket: { burst: 1, refill: 1/s } }]
";
    let (header, path) = (
        format!("Authorization: Bearer {SECRET}"),
        format!("/?key={SECRET}"),
    );
    let bare = format!("Authorization {SECRET}");
    let broken = format!("{{{SECRET}");
    let calls: [&[&str]; 12] = [
        &["--path", "/", "-H", &header],
        &["--path", &path],
        &["--path", &path, "-H", &header],
        &["--path", "/", "--metadata", &session],
        &[
            "--path",
            &path,
            "-H",
            &header,
            "--metadata",
            &session,
            "--repeat",
            "3",
        ],
        &["--path", "/", "-H", &header, "-H", &header],
        &["--path", "/", "-H", &bare],
        &["--path", "/", "-H", &format!("{header}\r\nx: y")],
        &["--path", "/", "--metadata", &broken],
        &["--path", "/", "--metadata", &format!("[\"{SECRET}\"]")],
        &["--path", &format!("key={SECRET}")],
        &["--path", &format!("/ {SECRET}")],
    ];
    for stance in ["refuse", "anonymous"] {
        for call in calls {
            for form in [&["--json"][..], &[]] {
                let (_, stdout, stderr) = run(
                    &[&["-"], call, form].concat(),
                    &policy.replace("STANCE", stance),
                );
                assert!(
                    !stdout.contains(SECRET) && !stderr.contains(SECRET),
                    "{call:?}\n{stdout}{stderr}"
                );
                assert!(!stdout.is_empty() || !stderr.is_empty());
            }
        }
    }
}

#[test]
fn a_usage_error_is_distinct_from_an_invalid_policy() {
    let least = "version: 1\nname: least\nlimits: [{ name: all, per: [], bucket: { burst: 10, \
                 refill: 1/s } }]\n";
    for (arguments, why) in [
        (
            &["--path", "v2"][..],
            "sluicegate: --path: must begin with a / (what follows the host in a URL)\n",
        ),
        (
            &["--path", "/", "-X", "GET,POST"],
            "sluicegate: --method: is not the name of a method\n",
        ),
        (
            &["--path", "/", "-H", "a: b", "-H", "c"],
            "sluicegate: --header, number 2: is not NAME: VALUE\n",
        ),
        (
            &["--path", "/", "-H", ": b"],
            "sluicegate: --header, number 1: a pseudo-header: --method and --path say what those \
             say\n",
        ),
        (
            &["--path", "/", "-H", ":path: /b"],
            "sluicegate: --header, number 1: a pseudo-header: --method and --path say what those \
             say\n",
        ),
        (
            &["--path", "/", "-H", "a b: c"],
            "sluicegate: --header, number 1: the name before the colon is not that of a header\n",
        ),
        (
            &["--path", "/", "--metadata", "{\"a\":1}"],
            "sluicegate: --metadata: a: expected a JSON object, found a number\n",
        ),
        (
            &["--path", "/", "--node-metadata", "[]"],
            "sluicegate: --node-metadata: expected a JSON object, found a list\n",
        ),
        (
            &["--path", "/", "--certificate", "san=a"],
            "sluicegate: --certificate, number 1: is not PART=VALUE, with a part of subject, \
             uri_san, dns_san, sha256\n",
        ),
    ] {
        assert_eq!(
            run(&[&["-"], arguments].concat(), least),
            (2, String::new(), why.to_owned())
        );
    }
    for arguments in [
        &[][..],
        &["--path", "/", "--repeat", "0"],
        &["--path", "/", "--repeat", "1000001"],
        &["--path", "/", "--at", "noon"],
    ] {
        let (code, stdout, _) = run(&[&["-"], arguments].concat(), least);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
    }
    let (code, stdout, stderr) = run(&["-", "--path", "/"], &least.replace("10", "0"));
    let expected = "-:3: /limits/0/bucket/burst: 0 is not in 1..=1000000000\n-: 1 error\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (1, "", expected));
    assert_eq!(run(&["/no/such/file", "--path", "/"], "").0, 2);
    // The default of --at is now.
    let (code, stdout, _) = run(&["-", "--path", "/"], least);
    assert!(
        code == 0 && stdout.starts_with("request      GET / at 20"),
        "{stdout}"
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
