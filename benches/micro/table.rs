//! What was measured, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::host::Call;
use super::host_calls::Profile;

/// One case, and what is known of it.
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) bytes: Option<usize>,
    pub(crate) nanoseconds: Option<f64>,
    pub(crate) instructions: Option<f64>,
    pub(crate) allocations: f64,
}

impl Row {
    fn megabytes_a_second(&self) -> Option<f64> {
        Some(self.bytes? as f64 * 1_000.0 / self.nanoseconds?)
    }

    fn to_json(&self) -> Value {
        json!({
            "case": self.case,
            "bytes": self.bytes,
            "nanoseconds": self.nanoseconds,
            "instructions": self.instructions,
            "allocations": self.allocations,
            "megabytes_a_second": self.megabytes_a_second(),
        })
    }
}

/// The cases as a table in Markdown.
pub(crate) fn of_cases(rows: &[Row]) -> String {
    let mut table = "| one time | ns | instructions | allocations | MB/s |\n|---|--:|--:|--:|--:|\n".to_owned();
    for row in rows {
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.0}"));
        let numbers = [
            number(row.nanoseconds),
            number(row.instructions),
            short(row.allocations),
            number(row.megabytes_a_second()),
        ];
        writeln!(table, "| {} | {} |", row.case, numbers.join(" | ")).unwrap();
    }
    table
}

/// The host calls as a table in Markdown, without the kinds that no request makes.
pub(crate) fn of_host_calls(profiles: &[Profile]) -> String {
    let used = |call: &(Call, &str)| profiles.iter().any(|profile| profile.calls[call.0 as usize] > 0.0);
    let kinds: Vec<(Call, &str)> = Call::ALL.into_iter().filter(used).collect();
    let names: Vec<&str> = kinds.iter().map(|(_, name)| *name).collect();
    let mut table =
        format!("| host calls a request | {} | all |\n|---|{}--:|\n", names.join(" | "), "--:|".repeat(names.len()));
    for Profile { preset, verdict, calls } in profiles {
        let numbers: Vec<String> = kinds.iter().map(|(call, _)| short(calls[*call as usize])).collect();
        writeln!(table, "| {preset}, {verdict} | {} | {} |", numbers.join(" | "), short(calls.iter().sum())).unwrap();
    }
    table
}

/// Both of them.
pub(crate) fn to_json(rows: &[Row], profiles: &[Profile]) -> Value {
    let calls = |profile: &Profile| -> Map<String, Value> {
        Call::ALL.iter().map(|(call, name)| ((*name).to_owned(), json!(profile.calls[*call as usize]))).collect()
    };
    let profiles = profiles
        .iter()
        .map(|profile| json!({ "preset": profile.preset, "verdict": profile.verdict, "calls": calls(profile) }));
    json!({
        "cases": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "host_calls": profiles.collect::<Vec<_>>(),
    })
}

/// At most two decimals, and none that say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
