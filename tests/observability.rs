//! The metrics of the sources, of the reference, and of the alerts and the dashboard are the same.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The text of all sources in a folder, but for tests.
fn sources(folder: &Path, out: &mut String) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, out);
        } else {
            out.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The words that begin as our metrics do.
fn words(text: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words
        .filter(|word| word.starts_with("sluicegate_"))
        .collect()
}

/// The metrics that the filter defines: whole strings in the sources.
fn defined(sources: &str) -> BTreeSet<&str> {
    words(sources)
        .into_iter()
        .filter(|word| sources.contains(&format!("\"{word}\"")))
        .collect()
}

/// The first cells of the rows that document our metrics, each with the other cells.
fn documented(operations: &str) -> Vec<(&str, Vec<&str>)> {
    let table = operations.split_once("## Metrics\n").unwrap().1;
    let table = table.split_once("\n### ").unwrap().0;
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `sluicegate_"));
    rows.map(|row| {
        let row = row.trim_end().trim_end_matches('|');
        let mut cells = row.split('|').map(str::trim);
        let name = cells.next().unwrap().trim_end_matches('`');
        (name, cells.collect())
    })
    .collect()
}

#[test]
fn the_reference_has_each_metric_with_its_type_its_unit_and_what_to_do() {
    let mut text = String::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in ["observe", "usage"] {
        sources(&src.join(folder), &mut text);
    }
    let defined = defined(&text);
    assert!(defined.len() > 20, "{defined:?}");
    let operations = read("docs/operations.md");
    let rows = documented(&operations);
    let listed: BTreeSet<String> = rows
        .iter()
        .map(|(name, _)| format!("sluicegate_{name}"))
        .collect();
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(defined, listed, "sources and docs/operations.md");
    for (name, cells) in rows {
        let [kind, _labels, unit, meaning, advice] = cells[..] else {
            panic!("{name}: {cells:?}");
        };
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}");
        let is_unitless = name == "policy_info";
        assert!(is_unitless || !unit.is_empty(), "{name}: no unit");
        assert!(!meaning.is_empty() && !advice.is_empty(), "{name}");
    }
}

#[test]
fn alerts_rules_and_dashboard_read_only_metrics_that_exist() {
    let operations = read("docs/operations.md");
    let rows = documented(&operations);
    let mut known: BTreeSet<String> = rows
        .iter()
        .map(|(name, _)| format!("sluicegate_{name}"))
        .collect();
    // A part of the names of Envoy's own, and of those of the rules, and what is yet to come.
    known.insert("sluicegate_update_rejected".to_owned());
    known.insert("sluicegate_vm_reload".to_owned());
    let recorded = read("envoy/observability/recording.yaml");
    for file in [
        "alerts.yaml",
        "recording.yaml",
        "tests.yaml",
        "dashboard.json",
    ] {
        let text = read(&format!("envoy/observability/{file}"));
        for word in words(&text) {
            let name = word.trim_end_matches("_bucket").trim_end_matches("_count");
            let is_usage = name.starts_with("sluicegate_usage_");
            let is_recorded = recorded.contains(&format!(":{name}:"));
            assert!(
                is_usage || is_recorded || known.contains(name),
                "{file}: {word}"
            );
        }
    }
}
