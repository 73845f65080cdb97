//! The content of `/callers/directory` is never repeated: neither by the library nor by the command
//! line, with any error in it or around it.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "test code"
)]

use std::process::Command;

use sluicegate::policy::Policy;
use sluicegate::policy::document::{from_configuration, from_yaml};

const MARK: &str = "s3cr3t";

/// Policies with an error at every place where a message could repeat the content of the directory,
/// `DIRECTORY`.
const POLICIES: [&str; 2] = [
    r"version: 1
name: Wrong
callers:
  directory: DIRECTORY
  credentials: [{ name: token, header: authorization }]
  attributes: { region: [{ directory: nope }] }
limits:
  - name: all
    for: { nope: acme, credential: nope, tier: nope }
    per: [nope]
    bucket: { burst: 1, refill: 1/s }
    overrides: [{ for: { nope: a }, burst: 2 }, { for: { org: a }, burst: 2 },
                { for: { org: a }, burst: 2 }]
access_log: { attributes: [nope] }
",
    r"version: 1
name: right
callers:
  credentials: [{ name: token, header: authorization }]
  directory: DIRECTORY
limits:
  - { name: all, per: [token], bucket: { burst: 1, refill: 1/s } }
",
];

/// Directories with the mark at every place, in flow style, each valid or invalid in its own way.
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn directories() -> Vec<String> {
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let long = MARK.repeat(100);
    let many: String = (0..70)
        .map(|number| format!(", s3cr3t{number}: a"))
        .collect();
    let mut all: Vec<String> = [
        "s3cr3t",
        "'s3cr3t'",
        "{ s3cr3t: { org: acme } }",
        "{ s3cr3t: { org: acme, org: acme } }",
        "{ s3cr3t: 1, s3cr3t: 2 }",
        "[s3cr3t]",
        "[[s3cr3t]]",
        "[{ s3cr3t: s3cr3t }]",
        "[{ sha256: s3cr3t }]",
        "[{ sha256: [s3cr3t] }]",
        "[{ sha256: { s3cr3t: s3cr3t } }]",
        "[{ sha256: { s3cr3t: 1, s3cr3t: 2 } }]",
        "[{ s3cr3t: a, s3cr3t: b }]",
        "[{ sha256: s3cr3t, sha256: s3cr3t }]",
        "[{ S3CR3T s3cr3t: a }]",
        "[{ ? [s3cr3t] : a }]",
        "[{ sha256: !s3cr3t s3cr3t }]",
        "[{ sha256: !!int s3cr3t }]",
        "[{ sha256: *s3cr3t }]",
        "[&s3cr3t { sha256: s3cr3t, more: *s3cr3t }]",
        "[{ sha256: &s3cr3t s3cr3t }, *s3cr3t]",
        "[{ sha256: 's3cr3t }]",
        "[{ sha256: \"s3cr3t\\q\" }]",
        "[{ sha256: s3cr3t ]",
        "[{ sha256: s3cr3t }",
        "[{ sha256: @s3cr3t }]",
        "[{ sha256: s3cr3t: s3cr3t }]",
        "[{ sha256: a }] s3cr3t",
        "[{ sha256: a }]\ns3cr3t\n",
        "|0\n  s3cr3t",
        "!s3cr3t []",
    ]
    .map(str::to_owned)
    .into();
    for entry in [
        "s3cr3t: acme".to_owned(),
        "org: s3cr3t, s3cr3t-b: s3cr3t".to_owned(),
        "token: s3cr3t".to_owned(),
        "S3 s3cr3t: a".to_owned(),
        "s3cr3t: { s3cr3t: s3cr3t }".to_owned(),
        "s3cr3t: [s3cr3t, [s3cr3t]]".to_owned(),
        "s3cr3t: 1, a: true, b: null".to_owned(),
        "s3cr3t: ''".to_owned(),
        "s3cr3t: 1e999".to_owned(),
        format!("org: {long}"),
        format!("{long}: a"),
        format!("org: a{many}"),
    ] {
        all.push(format!("[{{ sha256: {digest}, {entry} }}]"));
        all.push(format!(
            "[{{ sha256: {digest}, {entry} }}, {{ sha256: {digest}, {entry} }}]"
        ));
        all.push(format!("[{{ {entry} }}, s3cr3t]"));
    }
    all
}

fn documents() -> impl Iterator<Item = String> {
    directories()
        .into_iter()
        .flat_map(|directory| POLICIES.map(|policy| policy.replace("DIRECTORY", &directory)))
}

/// Everything that the library prints, for people and for programmers.
fn printed(text: &str) -> String {
    let read = match from_yaml(text) {
        Ok(document) => {
            Policy::compile(&document).map_err(|errors| (format!("{errors:?}"), errors))
        }
        Err(error) => return format!("{error} {error:?}"),
    };
    match read {
        Ok(policy) => format!("{:?}", policy.callers),
        Err((debug, errors)) => errors
            .iter()
            .fold(debug, |printed, error| format!("{printed}\n{error}")),
    }
}

fn assert_silent(printed: &str, document: &str) {
    assert!(
        !printed.to_lowercase().contains(MARK),
        "{printed}\n--- of\n{document}"
    );
}

#[test]
fn the_library_repeats_nothing_of_the_directory() {
    for document in documents() {
        assert_silent(&printed(&document), &document);
        if let Ok(tree) = from_yaml(&document) {
            let again = from_configuration(tree.to_json().as_bytes()).unwrap();
            let errors = Policy::compile(&again).err().unwrap_or_default();
            assert_silent(&format!("{errors:?}"), &document);
        }
    }
}

#[test]
fn no_error_points_deeper_than_the_digest() {
    for document in documents() {
        let Ok(tree) = from_yaml(&document) else {
            continue;
        };
        for error in Policy::compile(&tree).err().unwrap_or_default() {
            let Some(inside) = error.at.strip_prefix("/callers/directory") else {
                continue;
            };
            let steps: Vec<&str> = inside.split('/').skip(1).collect();
            let known = match steps[..] {
                [] => true,
                [index] | [index, "sha256"] => index.parse::<usize>().is_ok(),
                _ => false,
            };
            assert!(known, "{error}");
        }
    }
}

#[test]
fn the_command_line_repeats_nothing_of_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    for document in documents() {
        std::fs::write(&path, &document).unwrap();
        let address = "127.0.0.1:1";
        let rendered = [
            "render",
            "envoy",
            "--listen",
            address,
            "--upstream",
            address,
            "--admin",
            address,
        ];
        let commands = [
            vec!["check"],
            [&rendered[..], &["--wasm", "f.wasm", "--policy"]].concat(),
        ];
        for command in commands {
            let output = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
                .args(&command)
                .arg(&path)
                .output()
                .unwrap();
            let valid = command[0] == "render" && output.status.success();
            let stdout = if valid {
                String::new()
            } else {
                String::from_utf8(output.stdout).unwrap()
            };
            assert_silent(
                &(stdout + &String::from_utf8(output.stderr).unwrap()),
                &document,
            );
        }
    }
}

#[test]
fn no_typing_error_makes_the_library_repeat_the_directory() {
    // In brackets, so that no typing error moves a line of it out of the directory.
    let directory = "[{ sha256: s3cr3t, org: &s3cr3t s3cr3t, s3cr3t: 's3cr3t' }, { s3cr3t: \
                     { s3cr3t: *s3cr3t } }]";
    let valid = POLICIES[0].replace("DIRECTORY", directory);
    let begin = valid.find("callers").unwrap();
    let end = valid.find("  credentials").unwrap();
    for at in begin..end {
        let slips = [
            "", "\"", "'", "{", "}", "[", "]", ",", ": ", "\n", "\t", "- ", "&", "*", "!", "\\",
            "#", " ",
        ];
        for slip in slips {
            let added = [&valid[..at], slip, &valid[at..]].concat();
            let lost = [&valid[..at], slip, &valid[at + 1..]].concat();
            for document in [added, lost] {
                // A typing error in the key itself makes another key, which is not a directory.
                if document.contains("\ncallers:") && document.contains("\n  directory:") {
                    assert_silent(&printed(&document), &document);
                }
            }
        }
    }
}

/// An alias that crosses the border of the directory would repeat its content outside.
#[test]
fn no_alias_leads_out_of_the_directory() {
    for (inside, outside) in [
        ("&a s3cr3t", "*a"),
        ("s3cr3t", "x"),
        ("&a s3cr3t", "{ x: *a }"),
        ("&a s3cr3t", "[*a]"),
    ] {
        let text = format!(
            "version: 1\ncallers:\n  credentials: []\n  directory: [{{ sha256: {inside} }}]\nname: \
             {outside}\nlimits: []\n"
        );
        assert_silent(&printed(&text), &text);
    }
    let into = "version: &a s3cr3t\ncallers: { directory: [{ sha256: *a }] }\n";
    assert!(
        printed(into).starts_with("line 2, column 34: an alias"),
        "{}",
        printed(into)
    );
}
