//! The results, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::host::Call;
use super::host_calls::Profile;

/// A case and its results.
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
    let head = ["case", "ns", "instructions", "allocations", "MB/s"]
        .map(str::to_owned)
        .to_vec();
    let mut lines = Vec::new();
    for row in rows {
        let Row {
            case,
            nanoseconds,
            instructions,
            allocations,
            ..
        } = row;
        let speed = whole(row.megabytes_a_second());
        lines.push(vec![
            case.clone(),
            whole(*nanoseconds),
            whole(*instructions),
            short(*allocations),
            speed,
        ]);
    }
    markdown(head, lines)
}

/// The host calls as a table in Markdown, without the kinds that no request makes.
pub(crate) fn of_host_calls(profiles: &[Profile]) -> String {
    let mut kinds = Call::ALL.to_vec();
    kinds.retain(|(call, _)| {
        profiles
            .iter()
            .any(|profile| profile.calls[*call as usize] > 0.0)
    });
    let names = kinds.iter().map(|(_, name)| (*name).to_owned());
    let head = ["host calls".to_owned()]
        .into_iter()
        .chain(names)
        .chain(["all".to_owned()])
        .collect();
    let mut lines = Vec::new();
    for Profile {
        preset,
        verdict,
        calls,
    } in profiles
    {
        let counts = kinds
            .iter()
            .map(|(call, _)| calls[*call as usize])
            .chain([calls.iter().sum()]);
        lines.push(
            [format!("{preset}, {verdict}")]
                .into_iter()
                .chain(counts.map(short))
                .collect(),
        );
    }
    markdown(head, lines)
}

/// A table whose first column is text and whose other columns are numbers.
pub(crate) fn markdown(head: Vec<String>, lines: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        lines
            .iter()
            .chain([&head])
            .map(|line| line[column].chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..head.len()).filter_map(width).collect();
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width - 1)),
        });
    let mut table = String::new();
    for line in [&head, &rule.collect()].into_iter().chain(&lines) {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if column == 0 {
                write!(table, "| {cell:width$} |")
            } else {
                write!(table, " {cell:>width$} |")
            }
            .unwrap();
        }
        table.push('\n');
    }
    table
}

/// Both tables.
pub(crate) fn to_json(rows: &[Row], profiles: &[Profile]) -> Value {
    let profiles = profiles.iter().map(
        |Profile {
             preset,
             verdict,
             calls,
         }| {
            let calls: Map<String, Value> = Call::ALL
                .iter()
                .map(|(call, name)| ((*name).to_owned(), json!(calls[*call as usize])))
                .collect();
            json!({ "preset": preset, "verdict": verdict, "calls": calls })
        },
    );
    json!({
        "cases": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "host_calls": profiles.collect::<Vec<_>>(),
    })
}

/// A whole number, or nothing.
fn whole(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| format!("{number:.0}"))
}

/// At most two decimals, without trailing zeros.
pub(crate) fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
