//! `sluicegate reference`: `docs/policy.md`, the reference of the policy language.
//!
//! The chapters are those of `docs/policy.in.md`. A line `<!-- keys of NAME -->` there becomes the
//! table of the keys of a mapping, written from the declarations that the readers use
//! ([`crate::policy::language`]). Every mapping has its table somewhere.

mod cells;

use super::Failure;
use super::prose::requirements;
use crate::policy::language::{Description, Mapping as _, Policy, Shape};

const CHAPTERS: &str = include_str!("../../docs/policy.in.md");
const NOTICE: &str = "<!-- Written by `make reference` from policy.in.md and the declarations in \
                      src/policy/language: change these. -->\n\n";

/// The reference.
///
/// # Errors
/// A table of a mapping that does not exist, or a mapping without a table.
pub(super) fn run() -> Result<String, Failure> {
    let mut mappings = Vec::new();
    collect(&Policy::description(), &mut mappings);
    let written = written(CHAPTERS, &mappings).map_err(Failure::Usage)?;
    Ok(format!("{NOTICE}{written}"))
}

/// Adds a mapping, and all mappings that its values can be.
fn collect(description: &Description, all: &mut Vec<(&'static str, String)>) {
    if all.iter().any(|(name, _)| *name == description.name) {
        return;
    }
    all.push((description.name, table(description)));
    for key in &description.keys {
        collect_from(&key.shape, all);
    }
    if let Some(rest) = &description.rest {
        collect_from(&rest.shape, all);
    }
}

fn collect_from(shape: &Shape, all: &mut Vec<(&'static str, String)>) {
    match shape {
        Shape::Map(description) => collect(&description(), all),
        Shape::List { of, .. } => collect_from(of, all),
        Shape::Either(shapes) => {
            for shape in shapes {
                collect_from(shape, all);
            }
        }
        Shape::BySibling(cases) => {
            for (_, description) in cases {
                collect(&description(), all);
            }
        }
        Shape::Count { .. } | Shape::Boolean | Shape::True | Shape::Choice(_) | Shape::Text(_) => {}
    }
}

/// The requirements of the mapping, and its keys.
fn table(description: &Description) -> String {
    let mut text = requirements(description).join(" ");
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str("| key | values | default | meaning |\n|---|---|---|---|\n");
    for key in &description.keys {
        text.push_str(&cells::row(key));
    }
    if let Some(rest) = &description.rest {
        for word in &rest.words {
            text.push_str(&cells::row(word));
        }
        text.push_str(&cells::rest(rest));
    }
    text
}

/// `chapters` with the tables of the mappings.
fn written(chapters: &str, mappings: &[(&'static str, String)]) -> Result<String, String> {
    let mut text = String::new();
    let mut missing: Vec<&str> = mappings.iter().map(|(name, _)| *name).collect();
    for line in chapters.lines() {
        let name = line
            .strip_prefix("<!-- keys of ")
            .and_then(|line| line.strip_suffix(" -->"));
        let Some(name) = name else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let Some((_, table)) = mappings.iter().find(|(known, _)| *known == name) else {
            return Err(format!("docs/policy.in.md: no mapping is named {name}"));
        };
        text.push_str(table);
        missing.retain(|known| *known != name);
    }
    if missing.is_empty() {
        Ok(text)
    } else {
        let missing = missing.join(", ");
        Err(format!(
            "docs/policy.in.md: no line for the keys of {missing}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_has_a_place() {
        let mappings = [("One", "table\n".to_owned()), ("Two", "other\n".to_owned())];
        let both = "a\n<!-- keys of Two -->\nb\n<!-- keys of One -->\n";
        assert_eq!(written(both, &mappings).unwrap(), "a\nother\nb\ntable\n");
        for (chapters, error) in [
            ("<!-- keys of One -->", "no line for the keys of Two"),
            ("<!-- keys of Three -->", "no mapping is named Three"),
        ] {
            let found = written(chapters, &mappings).unwrap_err();
            assert_eq!(found, format!("docs/policy.in.md: {error}"));
        }
    }
}
