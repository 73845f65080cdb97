//! Entries as JSON objects, one on each line.

use super::ReadFile;
use crate::policy::document::{Value, from_json};

/// Reads all lines that are not empty.
pub(super) fn read(read: &mut ReadFile) {
    let text = std::mem::take(&mut read.file.text);
    let mut faults = Vec::new();
    let mut start = 0_usize;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_start_matches(['\u{feff}', ' ', '\t']);
        let begins = start.saturating_add(whole.len().saturating_sub(line.len()));
        start = start.saturating_add(whole.len());
        if line.trim().is_empty() {
            continue;
        }
        match from_json(line.trim_end().as_bytes()).map(|node| node.value) {
            Ok(Value::Map(entries)) => {
                let values = entries.into_iter().enumerate();
                let values = values.map(|(number, entry)| (number, entry.key, entry.value.value));
                read.add(begins, values.collect());
            }
            Ok(other) => {
                let kind = other.kind();
                let rule = format!("expected an object such as {EXAMPLE}, found {kind}");
                faults.push((begins, rule));
            }
            Err(syntax) => {
                let column = usize::try_from(syntax.column).unwrap_or_default();
                let byte = begins.saturating_add(column.saturating_sub(1));
                faults.push((byte, syntax.rule.to_string()));
            }
        }
    }
    read.file.text = text;
    for (byte, rule) in faults {
        read.error(byte, &rule);
    }
}

const EXAMPLE: &str = r#"{"sha256":"…","org":"acme"}"#;

/// The byte at which a value of the object begins that begins at `start`.
pub(super) fn value(text: &str, start: usize, number: usize) -> usize {
    let (mut depth, mut colons) = (0_usize, 0_usize);
    let (mut is_text, mut is_escaped) = (false, false);
    for (byte, character) in text.get(start..).unwrap_or_default().char_indices() {
        if colons > number && !character.is_whitespace() {
            return start.saturating_add(byte);
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            '{' | '[' if !is_text => depth = depth.saturating_add(1),
            '}' | ']' if !is_text => depth = depth.saturating_sub(1),
            ':' if !is_text && depth == 1 => colons = colons.saturating_add(1),
            '\n' => break,
            _ => {}
        }
    }
    start
}
