//! Writes YAML for people, and for every parser of YAML 1.1 and 1.2.

use std::fmt::Write as _;

use crate::policy::document::{Node, Value};

/// A tree as lines, with one key or element on each, for any original layout. An empty list has
/// none.
pub(super) fn block(node: &Node) -> String {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .map(|entry| match scalar(&entry.value) {
                Some(scalar) => format!("{}: {scalar}\n", text(&entry.key)),
                None => format!(
                    "{}:\n{}",
                    text(&entry.key),
                    indented(&block(&entry.value), 2)
                ),
            })
            .collect(),
        Value::List(items) => items
            .iter()
            .map(|item| {
                format!(
                    "- {}\n",
                    scalar(item).unwrap_or_else(|| indented_tail(&block(item)))
                )
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => inline(node) + "\n",
    }
}

/// A value that fits on the line of its key.
fn scalar(node: &Node) -> Option<String> {
    let needs_lines = match &node.value {
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    (!needs_lines).then(|| inline(node))
}

/// A scalar, or an empty list or map.
fn inline(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => text(string),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

/// A string that no parser takes for another type, without quotes if it needs none.
pub(super) fn text(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if plain { text.to_owned() } else { quoted(text) }
}

/// `text` with its lines indented.
pub(super) fn indented(text: &str, columns: usize) -> String {
    text.lines()
        .map(|line| format!("{:columns$}{line}\n", ""))
        .collect()
}

/// `text` for use after a dash: all lines except the first are indented.
pub(super) fn indented_tail(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("\n  ")
}

/// A YAML scalar in double quotes. YAML accepts JSON's escapes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for character in serde_json::Value::from(text).to_string().chars() {
        // Escape characters that some YAML parsers take for line breaks, or do not accept. JSON's
        // escapes of surrogate halves are not YAML.
        match u32::from(character) {
            code @ (0x7f..=0xffff) => _ = write!(quoted, "\\u{code:04x}"),
            code @ 0x1_0000.. => _ = write!(quoted, "\\U{code:08x}"),
            ..0x7f => quoted.push(character),
        }
    }
    quoted
}

/// A YAML scalar in single quotes, which leave JSON in it unchanged. If it is not plain ASCII, in
/// double quotes.
pub(super) fn single_quoted(text: &str) -> String {
    let plain = text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if plain {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        quoted(text)
    }
}
