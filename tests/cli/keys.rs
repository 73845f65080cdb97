//! `key new`, `--directory FILE`, and entries that expire.

use super::{file, from_json, from_yaml, run};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sluicegate::policy::Policy;

const POLICY: &str = "version: 1
name: keys
callers:
  credentials: [{ name: api_key, header: x-api-key }]
  directory:
    - { sha256: ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb, org: acme }
limits:
  - { name: all, per: [org], bucket: { burst: 10, refill: 1/s } }
";

fn sha256(secret: &str) -> String {
    let digest = Sha256::digest(secret);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key and the other lines that `key new` prints.
fn new(arguments: &[&str]) -> (String, Vec<String>) {
    let (code, stdout, stderr) = run(&[&["key", "new"], arguments].concat(), b"");
    assert_eq!(code, 0, "{stderr}");
    let mut lines = stdout.lines().map(str::to_owned);
    let key = lines.next().unwrap();
    assert!(!stderr.contains(&key));
    (key, lines.collect())
}

/// The caller that `explain` finds for this key.
fn explained(policy: &str, directory: &[&str], key: &str, at: &str) -> Value {
    let header = format!("x-api-key: {key}");
    let call = [
        "explain", policy, "--path", "/", "-H", &header, "--json", "--at", at,
    ];
    let (code, stdout, stderr) = run(&[&call, directory].concat(), b"");
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn a_new_key_is_known_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let policy = file(&folder, "policy.yaml", POLICY.as_bytes());
    let now = "2026-12-01T00:00:00Z";
    for (format, name) in [
        ("yaml", "more.yaml"),
        ("csv", "keys.csv"),
        ("jsonl", "keys.jsonl"),
    ] {
        let (key, lines) = new(&["--org", "glo,bex \"x\"", "--plan=team", "--format", format]);
        assert!(key.starts_with("sg_") && key.len() == 46, "{key}");
        let text = lines.join("\n") + "\n";
        assert!(
            text.contains(&sha256(&key)) && !text.contains(&key),
            "{text}"
        );
        let found = if format == "yaml" {
            let indented = format!("    {text}limits:");
            let merged = POLICY.replace("limits:", &indented);
            explained(&file(&folder, name, merged.as_bytes()), &[], &key, now)
        } else {
            let entries = file(&folder, name, text.as_bytes());
            explained(&policy, &["--directory", &entries], &key, now)
        };
        let values = found["callers"]["attributes"].as_array().unwrap();
        let value = |name: &str| {
            let attribute = values.iter().find(|attribute| attribute["name"] == name);
            attribute.unwrap()["value"].clone()
        };
        assert_eq!(
            (value("org"), value("plan")),
            (json!("glo,bex \"x\""), json!("team"))
        );
    }
}

#[test]
fn no_two_keys_are_the_same() {
    let (first, line) = new(&["--attribute", "org=acme", "--prefix", ""]);
    let (second, _) = new(&["--org", "acme", "--prefix", ""]);
    assert_ne!(first, second);
    assert_eq!((first.len(), second.len()), (43, 43));
    assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    // A digest that begins with a digit is quoted.
    let line = line.concat().replace('"', "");
    assert_eq!(
        line,
        format!("- {{ sha256: {}, org: acme }}", sha256(&first))
    );
}

#[test]
fn a_key_that_no_policy_would_accept_is_not_made() {
    for (arguments, says) in [
        (&["--Org", "acme"][..], "--Org: an attribute is named by"),
        (&["--tier", "a"], "a word of the policy language"),
        (&["--org", ""], "--org: a value has 1 to 256 bytes"),
        (&["--org", "a", "--org", "b"], "--org is there twice"),
        (&["--org"], "--org needs a value"),
        (
            &["--org", "a", "acme"],
            "expected --ATTRIBUTE VALUE, found acme",
        ),
        (&["--until", "soon"], "--until soon: expected a date"),
        (&["--org", "a", "--until", "2027-02-30"], "expected a date"),
        (&["--prefix", "a b"], "--prefix: up to 32"),
        (
            &["--org", "a", "--format", "toml"],
            "--format is yaml, csv or jsonl",
        ),
        (&["--attribute", "org"], "is not KEY=VALUE"),
    ] {
        let (code, stdout, stderr) = run(&[&["key", "new"], arguments].concat(), b"");
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_key_is_unknown_after_its_last_day() {
    let folder = tempfile::tempdir().unwrap();
    let policy = file(&folder, "policy.yaml", POLICY.as_bytes());
    let (key, lines) = new(&[
        "--org",
        "globex",
        "--until",
        "2027-01-31",
        "--format",
        "csv",
    ]);
    assert_eq!(lines[0], "sha256,org,until");
    let entries = file(&folder, "keys.csv", (lines.join("\n") + "\n").as_bytes());
    let explained = |at| explained(&policy, &["--directory", &entries], &key, at);
    let valid = explained("2027-01-31T23:59:59Z");
    assert_eq!(valid["callers"]["credentials"][0]["found"], "known");
    assert_eq!(valid["decision"], "admitted");
    let expired = explained("2027-02-01T00:00:00Z");
    assert_eq!(expired["callers"]["credentials"][0]["found"], "expired");
    assert_eq!(expired["response"]["status"], 401);
    assert_eq!(
        expired["callers"]["refused"]["message"],
        "the directory's entry of this api_key was valid until 2027-02-01T00:00:00Z"
    );
}

#[test]
fn check_warns_of_entries_that_have_expired() {
    let folder = tempfile::tempdir().unwrap();
    let text = POLICY.replace(", org: acme", ", until: 2020-01-31, org: acme");
    let policy = file(&folder, "policy.yaml", text.as_bytes());
    let entries = format!(
        "sha256,org,until\n{},acme,2020-01-31T12:00:00Z\n{},acme,2999-01-01\n{},acme,\n",
        sha256("b"),
        sha256("c"),
        sha256("d")
    );
    let entries = file(
        &folder,
        "keys.csv",
        entries.replace("2999", "2500").as_bytes(),
    );
    let (code, stdout, _) = run(&["check", &policy, "--directory", &entries], b"");
    assert_eq!(code, 0);
    let warnings: Vec<&str> = stdout
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert_eq!(
        warnings,
        [
            format!(
                "{policy}:6: warning: /callers/directory/0: the secret of this entry is unknown \
                 since 2020-02-01T00:00:00Z"
            ),
            format!(
                "{entries}:2:71: warning: /callers/directory/1: the secret of this entry is \
                 unknown since 2020-01-31T12:00:00Z"
            ),
        ],
        "{stdout}"
    );
    assert!(
        stdout.contains("4 credentials in the directory"),
        "{stdout}"
    );
}

/// The output of `check` for a file of entries; `FILE` for its name, `POLICY` for the policy's.
fn checked(name: &str, entries: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let policy = file(&folder, "policy.yaml", POLICY.as_bytes());
    let entries = file(&folder, name, entries.as_bytes());
    let (code, stdout, stderr) = run(&["check", &policy, "--directory", &entries], b"");
    let text = format!("{stdout}{stderr}");
    (
        code,
        text.replace(&entries, "FILE").replace(&policy, "POLICY"),
    )
}

#[test]
fn every_error_of_a_csv_file_is_listed_with_its_place() {
    let (a, b) = (sha256("a"), sha256("b"));
    let text = format!(
        "sha256, org ,until\n{a},acme,\n{b},acme\n\n\"{b}\",\"a\nb\",never\nxyz,acme,\n{b},acme,\n"
    );
    let (code, report) = checked("keys.csv", &text);
    assert_eq!(code, 1);
    assert_eq!(
        report,
        "FILE:3:1: the line has 2 values, and the first line 3 names
FILE:2:1: is a duplicate of /callers/directory/0 of the policy
FILE:6:4: until: expected a date such as 2027-01-31, or a time with its offset such as \
2027-01-31T18:00:00Z, from 1970 to 2554, found another string
FILE:7:1: sha256: is not a SHA-256: 64 hexadecimal digits (printf %s KEY | sha256sum)
POLICY with FILE: 4 errors
"
    );
}

#[test]
fn the_first_line_of_a_csv_file_has_its_names() {
    for (text, says) in [
        ("", "FILE:1:1: is empty"),
        (
            "org,plan\na,b\n",
            "FILE:1:1: the first line must name the column sha256",
        ),
        ("sha256,org,org\n", "FILE:1:12: this name is there twice"),
        ("sha256,Org\n", "FILE:1:8: the first line has the names"),
        ("sha256,tier\n", "FILE:1:8: a word of the policy language"),
        ("\n\nsha256;org\n", "FILE:3:1: the first line has the names"),
    ] {
        let (code, report) = checked("keys.csv", text);
        assert_eq!(code, 1, "{text}: {report}");
        assert!(report.starts_with(says), "{text}: {report}");
    }
    // A file of tables in Windows begins with a mark, and its lines with two characters.
    let text = format!("\u{feff}sha256,org\r\n\r\n{},globex\r\n", sha256("b"));
    let (code, report) = checked("keys.csv", &text);
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("2 credentials"), "{report}");
}

#[test]
fn every_error_of_json_lines_is_listed_with_its_place() {
    let (b, c) = (sha256("b"), sha256("c"));
    let text = format!(
        "{{\"sha256\":\"{b}\",\"org\":\"acme\"}}\n\n  {{\"sha256\":\"{b}\"}}\n\
         {{\"org\":\"a:\\\"b\",\"sha256\": \"x\"}}\n{{\"sha256\":\"{c}\",\"org\":7}}\n\
         {{\"org\":\"acme\"}}\n{{\"sha256\":\n[1]\n{{\"a\":1,\"a\":2}}\n"
    );
    let (code, report) = checked("keys.jsonl", &text);
    assert_eq!(code, 1);
    let places: Vec<&str> = report
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "FILE:7:10",
            "FILE:8:1",
            "FILE:9:1",
            "FILE:3:3",
            "FILE:4:26",
            "FILE:5:84",
            "FILE:6:1",
            "POLICY with FILE"
        ],
        "{report}"
    );
    assert!(
        report.contains("FILE:3:3: is a duplicate of FILE:1:1"),
        "{report}"
    );
    assert!(
        report.contains("FILE:6:1: sha256: missing required key"),
        "{report}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let policy = file(&folder, "policy.yaml", POLICY.as_bytes());
    let latin = file(&folder, "latin.csv", b"sha256,org\n\xff\n");
    for (entries, says) in [
        ("/nowhere/keys.csv", "/nowhere/keys.csv: "),
        (&latin, "on line 2"),
    ] {
        let (code, _, stderr) = run(&["check", &policy, "--directory", entries], b"");
        assert_eq!(code, 2);
        assert!(stderr.contains(says), "{stderr}");
    }
}

/// The configuration in what `render extension` prints.
fn configuration(policy: &str, entries: &str) -> Value {
    let call = [
        "render",
        "extension",
        "--wasm",
        "/filter.wasm",
        "--policy",
        policy,
    ];
    let (code, stdout, stderr) = run(&[&call[..], &["--directory", entries]].concat(), b"");
    assert_eq!(code, 0, "{stderr}");
    let tree = from_yaml(&stdout).unwrap().to_json();
    let tree: Value = serde_json::from_str(&tree).unwrap();
    tree["resources"][0]["typed_config"]["config"]["configuration"].clone()
}

#[test]
fn entries_of_a_file_are_rendered_with_those_of_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let policy = file(&folder, "policy.yaml", POLICY.as_bytes());
    let few = format!("sha256,org\n{},globex\n", sha256("b"));
    let few = configuration(&policy, &file(&folder, "few.csv", few.as_bytes()));
    let read = from_json(few["value"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(Policy::compile(&read).unwrap().callers.directory.count(), 2);

    let mut many = "sha256,org\n".to_owned();
    for number in 0..2_000 {
        many.push_str(&format!("{},org-{number}\n", sha256(&number.to_string())));
    }
    let many = file(&folder, "many.csv", many.as_bytes());
    let packed = configuration(&policy, &many);
    assert_eq!(
        packed["@type"],
        "type.googleapis.com/google.protobuf.BytesValue"
    );
    let (code, stdout, stderr) = run(
        &[
            "render",
            "istio",
            "--image",
            "oci://r/i:1",
            "--policy",
            &policy,
            "--directory",
            &many,
        ],
        b"",
    );
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.matches("sha256:").count(), 2_001);
}
