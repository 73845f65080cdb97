//! The command line, as used from a shell and a script.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "cli/bootstrap.rs"]
mod bootstrap;
#[path = "cli/filters.rs"]
mod filters;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/kubernetes.rs"]
mod kubernetes;
#[path = "cli/manifests.rs"]
mod manifests;
#[path = "cli/manual.rs"]
mod manual;
#[path = "cli/prometheus.rs"]
mod prometheus;
#[path = "cli/shared.rs"]
mod shared;
#[path = "cli/unidentified.rs"]
mod unidentified;
#[path = "cli/unmet.rs"]
mod unmet;
#[path = "cli/warnings.rs"]
mod warnings;
#[path = "cli/written.rs"]
mod written;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluicegate::policy::Policy;
use sluicegate::policy::document::{Node, from_configuration, from_json, from_yaml};
use tempfile::TempDir;

const VALID: &str = "version: 1
name: least
limits:
  - { name: all, per: [], bucket: { burst: 10, refill: 1/s } }
";
const INVALID: &str = "version: 1
name: least
limits:
  - { name: all, per: [], bucket: { burst: 0, refill: 1/s } }
sets: []
";
const ERRORS: &str = "POLICY:4: /limits/0/bucket/burst: 0 is not in 1..=1000000000
POLICY:5: /sets: unknown key; known keys: version, name, revision, callers, tiers, exempt, deny, \
limits, concurrency, seats, payloads, enforcement, replies, store, access_log, usage; did you \
mean \"seats\"?
POLICY: 2 errors
";

/// Exit code, standard output, standard error.
type Ran = (i32, String, String);

fn run(arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let piped = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A usage error may end it before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The arguments of `render envoy` with common addresses.
fn render(policy: &str) -> Vec<&str> {
    let mut arguments = vec![
        "render",
        "envoy",
        "--listen",
        "127.0.0.1:8080",
        "--upstream",
        "localhost:9000",
    ];
    arguments.extend([
        "--admin",
        "127.0.0.1:9901",
        "--wasm",
        "/filter.wasm",
        "--policy",
        policy,
    ]);
    arguments
}

/// The same with another value for one option.
fn render_with<'a>(option: &str, value: &'a str) -> Vec<&'a str> {
    let mut arguments = render("-");
    let pair = arguments
        .chunks_exact_mut(2)
        .find(|pair| pair[0] == option)
        .unwrap();
    pair[1] = value;
    arguments
}

fn rendered(arguments: &[&str], policy: &[u8]) -> Value {
    let (code, stdout, stderr) = run(arguments, policy);
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    serde_saphyr::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}"))
}

fn connection_manager(listener: &Value) -> &Value {
    &listener["filter_chains"][0]["filters"][0]["typed_config"]
}

fn plugin(listener: &Value) -> &Value {
    &connection_manager(listener)["http_filters"][0]["typed_config"]["config"]
}

/// The policy as the filter receives it.
fn received_policy(listener: &Value) -> Node {
    from_configuration(
        plugin(listener)["configuration"]["value"]
            .as_str()
            .unwrap()
            .as_bytes(),
    )
    .unwrap()
}

#[test]
fn check_distinguishes_valid_from_invalid_policies() {
    let folder = tempfile::tempdir().unwrap();
    let (valid, invalid) = (
        file(&folder, "good.yaml", VALID.as_bytes()),
        file(&folder, "bad.yaml", INVALID.as_bytes()),
    );
    let (code, stdout, stderr) = run(&["check", &valid], b"");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with(&format!("{valid}: ok: policy least, 1 limit, 0 tiers")),
        "{stdout}"
    );
    let expected = ERRORS.replace("POLICY", &invalid);
    assert_eq!(run(&["check", &invalid], b""), (1, expected, String::new()));
    assert_eq!(
        run(&["check", "-"], INVALID.as_bytes()),
        (1, ERRORS.replace("POLICY", "-"), String::new())
    );
    assert_eq!(run(&["check", "-"], VALID.as_bytes()).0, 0);
}

#[test]
fn check_locates_syntax_errors() {
    let (code, stdout, _) = run(&["check", "-"], b"version: 1\nlimits: [\n");
    assert_eq!((code, stdout.lines().count()), (1, 2), "{stdout}");
    for (text, expected) in [
        ("", "-: /: the document is empty\n-: 1 error\n"),
        (
            "a: 'b",
            "-:1:4: /: an unclosed quote, or its text continues without indentation\n-: 1 error\n",
        ),
        ("a: 1\na: 2", "-:2: /a: duplicate key\n-: 1 error\n"),
        (
            "[]",
            "-:1: /: expected a map such as { version: 1, name: shop, limits: […] }, found a \
             list\n-: 1 error\n",
        ),
    ] {
        assert_eq!(
            run(&["check", "-"], text.as_bytes()),
            (1, expected.to_owned(), String::new()),
            "{text}"
        );
    }
}

#[test]
fn render_prints_only_the_configuration_to_standard_output() {
    let expected = ERRORS.replace("POLICY", "-");
    assert_eq!(
        run(&render("-"), INVALID.as_bytes()),
        (1, String::new(), expected.clone())
    );
    let listeners = [
        "render",
        "listeners",
        "--listen",
        "127.0.0.1:1",
        "--wasm",
        "f",
        "--policy",
        "-",
    ];
    assert_eq!(
        run(&listeners, INVALID.as_bytes()),
        (1, String::new(), expected)
    );
}

#[test]
fn an_unreadable_file_is_not_an_error_of_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder
        .path()
        .join("missing.yaml")
        .to_str()
        .unwrap()
        .to_owned();
    let directory = folder.path().to_str().unwrap().to_owned();
    let latin = file(&folder, "latin.yaml", b"name: caf\xe9\n");
    let large = file(&folder, "large.yaml", "é".repeat(33 << 20).as_bytes());
    for (path, why) in [
        (&missing, "No such file or directory (os error 2)"),
        (&directory, "Is a directory (os error 21)"),
        (&latin, "not valid UTF-8, on line 1"),
        (&large, "larger than 64 MiB"),
    ] {
        let expected = (2, String::new(), format!("sluicegate: {path}: {why}\n"));
        assert_eq!(run(&["check", path], b""), expected);
        assert_eq!(run(&render(path), b""), expected);
    }
}

#[test]
fn a_usage_error_explains_the_usage() {
    for arguments in [
        &[][..],
        &["check"],
        &["check", "a", "b"],
        &["check", "--strict", "-"],
        &["chekc", "-"],
        &["render"],
        &["render", "istio"],
        &["render", "envoy", "--policy", "-"],
        &[
            "render",
            "listeners",
            "--policy",
            "-",
            "--listen",
            "127.0.0.1:1",
        ],
    ] {
        let (code, stdout, stderr) = run(arguments, VALID.as_bytes());
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            stderr.contains("Usage: sluicegate"),
            "{arguments:?}: {stderr}"
        );
    }
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["check", "--help"],
        &["render", "envoy", "--help"],
    ] {
        assert_eq!(
            (run(arguments, b"").0, run(arguments, b"").2.as_str()),
            (0, ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn an_address_is_checked() {
    for (option, value, expected) in [
        ("--listen", "8080", "is not HOST:PORT"),
        ("--listen", "127.0.0.1", "is not HOST:PORT"),
        ("--listen", "127.0.0.1:0", "is not in 1..=65535"),
        ("--listen", "127.0.0.1:65536", "is not in 1..=65535"),
        ("--listen", "127.0.0.1:+80", "is not in 1..=65535"),
        ("--listen", "127.0.0.1:http", "is not in 1..=65535"),
        ("--listen", ":80", "is not HOST:PORT"),
        ("--listen", "::1:80", "is not HOST:PORT"),
        ("--listen", "[::1:80", "is not HOST:PORT"),
        ("--listen", "[127.0.0.1]:80", "is not HOST:PORT"),
        ("--listen", "[::1%lo]:80", "is not HOST:PORT"),
        ("--listen", "example.org:80", "is not an IP address"),
        ("--admin", "example.org:80", "is not an IP address"),
        ("--admin", "", "is not HOST:PORT"),
        ("--upstream", "http://example.org:80", "is not HOST:PORT"),
        ("--upstream", "a b:80", "is not HOST:PORT"),
        ("--upstream", "a\": b:80", "is not HOST:PORT"),
    ] {
        let (code, stdout, stderr) = run(&render_with(option, value), VALID.as_bytes());
        assert_eq!((code, stdout.as_str()), (2, ""), "{option} {value}");
        assert!(stderr.contains(expected), "{option} {value}: {stderr}");
    }
    for (value, address) in [
        ("0.0.0.0:80", "0.0.0.0"),
        ("[::1]:80", "::1"),
        ("[::]:80", "::"),
        ("localhost:80", "127.0.0.1"),
    ] {
        let bootstrap = rendered(&render_with("--listen", value), VALID.as_bytes());
        let listener = &bootstrap["static_resources"]["listeners"][0];
        assert_eq!(
            listener["address"],
            json!({ "socket_address": { "address": address, "port_value": 80 } }),
            "{value}"
        );
    }
    for (value, address) in [
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("api-1.example.org:443", "api-1.example.org"),
    ] {
        let bootstrap = rendered(&render_with("--upstream", value), VALID.as_bytes());
        let endpoints =
            &bootstrap["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0];
        let socket = &endpoints["lb_endpoints"][0]["endpoint"]["address"]["socket_address"];
        assert_eq!(socket, &json!({ "address": address, "port_value": 443 }));
    }
}

#[test]
fn any_text_of_a_policy_survives() {
    let long = "x".repeat(16_000);
    for body in [
        "plain",
        "it's \"quoted\" 'twice' ''",
        "caf\u{e9} \u{6771}\u{4eac} \u{1f600} \u{10ffff}",
        "\u{85} \u{2028} \u{2029} \u{a0} \u{feff} \u{7f} \u{80} \u{9f}",
        "\0 \u{1} \u{8} \u{b} \u{c} \u{1b} \u{1f}",
        "line\nline\r\n\ttab\n\n  indented\n",
        r"\ \\ \n \u0041 \U0001f600 \x41 C:\temp\",
        "# no comment: - [ ] & * ! | > % @ ` --- ... \n---\n...\n",
        "{{ %REQ(X)% $ENV ${ENV} {\"a\":1}",
        &long,
        &"word ".repeat(3_000),
        &"\n".repeat(3_000),
    ] {
        let mut policy: Value = serde_saphyr::from_str(VALID).unwrap();
        policy["replies"] = json!({ "refused": { "content_type": "text/plain", "body": body } });
        let policy = policy.to_string();
        let bootstrap = rendered(&render("-"), policy.as_bytes());
        let received_policy = received_policy(&bootstrap["static_resources"]["listeners"][0]);
        assert_eq!(
            received_policy.to_json(),
            from_json(policy.as_bytes()).unwrap().to_json()
        );
        let read: Value = serde_json::from_str(&received_policy.to_json()).unwrap();
        assert_eq!(read["replies"]["refused"]["body"], *body);
        assert!(Policy::compile(&received_policy).is_ok());
    }
    let wasm = "/it's \"a\"\\b\u{e9}\u{2028}\u{1f600}\u{7f}/f.wasm";
    let bootstrap = rendered(&render_with("--wasm", wasm), VALID.as_bytes());
    let plugin = plugin(&bootstrap["static_resources"]["listeners"][0]);
    assert_eq!(plugin["vm_config"]["code"]["local"]["filename"], wasm);
}
