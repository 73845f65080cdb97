//! The presets with other directories: empty ones, and entries without the optional attributes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{explanation, text};

const PRESETS: [&str; 10] = [
    "dash0",
    "datadog",
    "datocms",
    "docker-hub",
    "dynatrace",
    "enterprise-v2",
    "enterprise-v2-fleet",
    "github",
    "openai",
    "shopify",
];
const DIRECTORY: &str = "  directory:\n";

/// A preset's text before its directory, the entries, and the text after it.
fn around(preset: &str) -> (String, Vec<String>, String) {
    let path = format!("{}/envoy/presets/{preset}.yaml", env!("CARGO_MANIFEST_DIR"));
    let policy = std::fs::read_to_string(path).unwrap();
    let (before, rest) = policy.split_once(DIRECTORY).unwrap();
    let (entries, after) = rest.split_once("  directory_attributes:").unwrap();
    let entries = entries
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .map(str::to_owned)
        .collect();
    (
        before.to_owned(),
        entries,
        format!("  directory_attributes:{after}"),
    )
}

fn check(policy: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let mut child = command
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(policy.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// The entry without one of its attributes, for each attribute.
fn without_one(entry: &str) -> Vec<String> {
    let inner = entry
        .strip_prefix("{ ")
        .unwrap()
        .strip_suffix(" }")
        .unwrap();
    let pairs: Vec<&str> = inner.split(", ").collect();
    // The first is the digest.
    (1..pairs.len())
        .map(|without| {
            let kept: Vec<&str> = pairs
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != without)
                .map(|(_, pair)| *pair)
                .collect();
            format!("{{ {} }}", kept.join(", "))
        })
        .collect()
}

#[test]
fn a_preset_takes_an_empty_directory_and_any_kind_of_entry() {
    for preset in PRESETS {
        let (before, entries, after) = around(preset);
        let empty = format!("{before}  directory: []\n{after}");
        let (code, printed) = check(&empty);
        // A requirement on Envoy is a note, not a warning.
        let notes = printed
            .lines()
            .filter(|line| line.contains(": note: "))
            .count();
        assert_eq!(
            (code, printed.lines().count() - notes),
            (0, 1),
            "{preset}: {printed}"
        );
        let call = [
            "-",
            "--path",
            "/v2/items",
            "-H",
            "authorization: Bearer x",
            "-H",
            "dd-api-key: x",
            "-H",
            "x-shopify-access-token: x",
        ];
        let refused = explanation(&call, &empty);
        let is_dynatrace = preset == "dynatrace";
        let reason = if is_dynatrace {
            Value::Null
        } else {
            "unknown".into()
        };
        let refusal = &refused["callers"]["refused"];
        assert_eq!(
            refusal.get("reason").unwrap_or(&Value::Null),
            &reason,
            "{preset}: {refused:#}"
        );
        assert!(entries.len() >= 3, "{preset}");
        for entry in &entries {
            for entry in without_one(entry)
                .iter()
                .chain([entry, &entry.split(", ").next().unwrap().to_owned()])
            {
                let entry = if entry.ends_with('}') {
                    entry.clone()
                } else {
                    format!("{entry} }}")
                };
                let policy = format!("{before}  directory:\n    - {entry}\n{after}");
                let (code, printed) = check(&policy);
                assert_eq!(code, 0, "{preset} with {entry}: {printed}");
                assert!(
                    !text(&explanation(&call, &policy)["decision"]).is_empty(),
                    "{preset} with {entry}"
                );
            }
        }
    }
}
