//! The accepted cost of each case, in `baseline.json`: `make micro-check` compares with it, and
//! `make micro-baseline` writes it.
//!
//! Instructions vary by less than 0.2 % between runs and builds on one machine. They depend on the
//! toolchain, the target and the C library, so the file states the first two.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::{ARCH, OS};
use std::fs;

use serde_json::{Value, json};

use super::host::Call;
use super::host_calls::Profile;
use super::table::{Row, markdown, short};

/// The cases by name, each with its measures by name.
type Costs = BTreeMap<String, BTreeMap<String, f64>>;

/// The measure that may vary a little.
const INSTRUCTIONS: &str = "instructions";

/// The part by which instructions may change without a word.
const TOLERANCE: f64 = 0.02;

/// The machine for which instructions are comparable.
fn machine() -> Value {
    json!({ "rust": env!("CARGO_PKG_RUST_VERSION"), "target": format!("{ARCH}-{OS}") })
}

/// The costs of the cases. The host calls of a request are with its case.
fn costs(rows: &[Row], profiles: &[Profile]) -> Costs {
    let mut costs = Costs::new();
    for row in rows {
        let measures = costs.entry(row.case.clone()).or_default();
        measures.extend(
            row.instructions
                .map(|count| (INSTRUCTIONS.to_owned(), count.round())),
        );
        measures.insert("allocations".to_owned(), row.allocations);
    }
    for profile in profiles {
        let case = format!("request, {}, {}", profile.preset, profile.verdict);
        let measures = costs.entry(case).or_default();
        for (call, name) in Call::ALL {
            let count = profile.calls[call as usize];
            if count > 0.0 {
                measures.insert(format!("host calls: {name}"), count);
            }
        }
    }
    costs
}

/// Accepts the present costs.
pub(crate) fn accept(file: &str, rows: &[Row], profiles: &[Profile]) {
    let costs = costs(rows, profiles);
    let baseline = json!({ "machine": machine(), "cases": costs });
    fs::write(file, format!("{baseline:#}\n")).unwrap();
}

/// Compares the present costs with those of the file.
///
/// # Errors
/// A table of the costs that differ.
pub(crate) fn check(file: &str, rows: &[Row], profiles: &[Profile]) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|why| format!("{file}: {why}"))?;
    let baseline: Value = serde_json::from_str(&text).map_err(|why| format!("{file}: {why}"))?;
    if baseline["machine"] != machine() {
        return Err(format!(
            "{file} is for {}, and this is {}: instructions are not comparable",
            baseline["machine"],
            machine()
        ));
    }
    let accepted: Costs = serde_json::from_value(baseline["cases"].clone())
        .map_err(|why| format!("{file}: {why}"))?;
    let lines = differences(&accepted, &costs(rows, profiles));
    if lines.is_empty() {
        return Ok(());
    }
    let head = ["case", "measure", "accepted", "now", "change"];
    Err(format!(
        "{}\nThese costs differ from {file}: instructions by more than 2 %, or anything else at \
         all.\nIf that is intended, accept them with `make micro-baseline`, and state the reason \
         in the commit.",
        markdown(head.map(str::to_owned).to_vec(), lines)
    ))
}

fn differences(accepted: &Costs, now: &Costs) -> Vec<Vec<String>> {
    let nothing = BTreeMap::new();
    let mut lines = Vec::new();
    for case in accepted.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        let before = accepted.get(case).unwrap_or(&nothing);
        let after = now.get(case).unwrap_or(&nothing);
        for measure in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (before.get(measure), after.get(measure));
            let bound = match before {
                Some(before) if measure == INSTRUCTIONS => before * TOLERANCE,
                // Rounding of an average.
                _ => 0.005,
            };
            let difference = after.unwrap_or(&0.0) - before.unwrap_or(&0.0);
            if difference.abs() > bound {
                let change = before.map(|before| format!("{:+.1} %", difference * 100.0 / before));
                lines.push(vec![
                    case.clone(),
                    measure.clone(),
                    before.copied().map_or_else(String::new, short),
                    after.copied().map_or_else(String::new, short),
                    change.unwrap_or_default(),
                ]);
            }
        }
    }
    lines
}
