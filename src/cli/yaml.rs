//! YAML as `render` writes it: for people, and for every reader of either version of YAML.

use std::fmt::Write as _;

use crate::policy::document::{Node, Value};

/// A tree as lines, a key or an element on each, whatever the layout was that it was read from. An
/// empty list has none.
pub(super) fn block(node: &Node) -> String {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .map(|entry| match scalar(&entry.value) {
                Some(scalar) => format!("{}: {scalar}\n", text(&entry.key)),
                None => format!("{}:\n{}", text(&entry.key), indented(&block(&entry.value), 2)),
            })
            .collect(),
        Value::List(items) => items
            .iter()
            .map(|item| format!("- {}\n", scalar(item).unwrap_or_else(|| indented_tail(&block(item)))))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(node).unwrap_or_default() + "\n",
    }
}

/// A value that needs no lines of its own.
fn scalar(node: &Node) -> Option<String> {
    Some(match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => text(string),
        Value::List(items) if items.is_empty() => "[]".to_owned(),
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::List(_) | Value::Map(_) => return None,
    })
}

/// A text that no reader takes for anything else, without quotes where it can do without.
fn text(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if plain { text.to_owned() } else { quoted(text) }
}

/// `text` with its lines moved to the right.
pub(super) fn indented(text: &str, columns: usize) -> String {
    text.lines().map(|line| format!("{:columns$}{line}\n", "")).collect()
}

/// `text` for behind a dash: all lines but the first are moved to the right.
pub(super) fn indented_tail(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("\n  ")
}

/// A YAML scalar in double quotes. JSON's escapes are YAML's, too.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let json = serde_json::Value::from(text).to_string();
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    for character in inner.chars() {
        // What one YAML reader takes for a line break and another does not, or none reads as it is;
        // half of a surrogate pair, as JSON has it, is no character of YAML's.
        match u32::from(character) {
            code @ (0x7f..=0xffff) => _ = write!(quoted, "\\u{code:04x}"),
            code @ 0x1_0000.. => _ = write!(quoted, "\\U{code:08x}"),
            ..0x7f => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A YAML scalar in single quotes, which JSON in it survives unchanged; where it is not plain
/// ASCII, in double quotes.
pub(super) fn single_quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if plain { format!("'{}'", text.replace('\'', "''")) } else { quoted(text) }
}
