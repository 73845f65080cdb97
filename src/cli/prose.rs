//! The documentation of a declaration as text.

use crate::policy::language::{Constraint, Description};

/// The lines of a comment as paragraphs, each on one line.
pub(super) fn paragraphs(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let line = line.trim();
        if line.is_empty() {
            text.push_str("\n\n");
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(line);
        }
    }
    text
}

/// The text of Markdown without its links, which only lead somewhere in the reference.
pub(super) fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, label, after)) = split_link(rest) {
        plain.push_str(before);
        plain.push_str(label);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// The text before the first link of `text`, its label, and the text after it.
fn split_link(text: &str) -> Option<(&str, &str, &str)> {
    let (label_and_before, rest) = text.split_once("](")?;
    let (before, label) = label_and_before.rsplit_once('[')?;
    let (_, after) = rest.split_once(')')?;
    Some((before, label, after))
}

/// The keys that the constraints of a mapping require, in words.
pub(super) fn requirements(description: &Description) -> Vec<String> {
    let sentences = description
        .constraints
        .iter()
        .filter_map(|constraint| match constraint {
            Constraint::ExactlyOne(keys) => {
                Some(format!("Exactly one of {} is present.", listed(keys)))
            }
            Constraint::LimitsOne(keys) | Constraint::ChangesOne(keys) if keys.len() > 1 => {
                Some(format!("At least one of {} is present.", listed(keys)))
            }
            Constraint::NotEmpty => Some("It has at least one key.".to_owned()),
            Constraint::LimitsOne(_)
            | Constraint::ChangesOne(_)
            | Constraint::Requires { .. }
            | Constraint::Excludes { .. }
            | Constraint::Without { .. } => None,
        });
    sentences.collect()
}

fn listed(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_becomes_paragraphs() {
        assert_eq!(
            paragraphs(&[" One", " line.", "", " Two."]),
            "One line.\n\nTwo."
        );
    }

    #[test]
    fn a_link_becomes_its_label() {
        for (text, plain) in [
            ("see [costs](#costs), or [a](b).", "see costs, or a."),
            ("`[]` is one; [x, y] too", "`[]` is one; [x, y] too"),
            ("`[a]` and [b](c)", "`[a]` and b"),
        ] {
            assert_eq!(unlinked(text), plain);
        }
    }
}
