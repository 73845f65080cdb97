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
    let whole = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.0}"));
    let line = |row: &Row| {
        let Row { case, nanoseconds, instructions, allocations, .. } = row;
        let speed = whole(row.megabytes_a_second());
        vec![case.clone(), whole(*nanoseconds), whole(*instructions), short(*allocations), speed]
    };
    let head = ["case", "ns", "instructions", "allocations", "MB/s"].map(str::to_owned).to_vec();
    markdown(head, rows.iter().map(line).collect())
}

/// The host calls as a table in Markdown, without the kinds that no request makes.
pub(crate) fn of_host_calls(profiles: &[Profile]) -> String {
    let used = |call: &(Call, &str)| profiles.iter().any(|profile| profile.calls[call.0 as usize] > 0.0);
    let kinds: Vec<(Call, &str)> = Call::ALL.into_iter().filter(used).collect();
    let line = |profile: &Profile| {
        let Profile { preset, verdict, calls } = profile;
        let counts = kinds.iter().map(|(call, _)| calls[*call as usize]).chain([calls.iter().sum()]);
        [format!("{preset}, {verdict}")].into_iter().chain(counts.map(short)).collect()
    };
    let names = kinds.iter().map(|(_, name)| (*name).to_owned());
    let head = ["host calls".to_owned()].into_iter().chain(names).chain(["all".to_owned()]).collect();
    markdown(head, profiles.iter().map(line).collect())
}

/// A table whose first column is text and whose others are numbers.
fn markdown(head: Vec<String>, lines: Vec<Vec<String>>) -> String {
    let width = |column: usize| lines.iter().chain([&head]).map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).filter_map(width).collect();
    let rule = widths.iter().enumerate().map(|(column, width)| match column {
        0 => "-".repeat(*width),
        _ => format!("{}:", "-".repeat(width - 1)),
    });
    let mut table = String::new();
    for line in [&head, &rule.collect()].into_iter().chain(&lines) {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if column == 0 { write!(table, "| {cell:width$} |") } else { write!(table, " {cell:>width$} |") }.unwrap();
        }
        table.push('\n');
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
