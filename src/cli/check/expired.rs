//! Entries of the directory that have expired.

use super::time;
use super::warnings::{Warning, items};
use crate::base::rfc3339;
use crate::base::time::Timestamp;
use crate::policy::document::{Node, Value};

/// Warns of each entry that has expired by `now`.
pub(super) fn expired(document: &Node, now: Timestamp) -> Vec<Warning> {
    let directory = document
        .at("callers")
        .and_then(|callers| callers.at("directory"));
    let entries = directory
        .into_iter()
        .flat_map(|list| items(list, "/callers/directory".to_owned()));
    let mut warnings = Vec::new();
    for (at, entry) in entries {
        let Some(Node {
            value: Value::String(text),
            line,
            ..
        }) = entry.at("until")
        else {
            continue;
        };
        if let Some(until) = rfc3339::until(text).filter(|until| *until <= now) {
            let until = time::rfc3339(until);
            let text = format!("the secret of this entry is unknown since {until}");
            warnings.push(Warning {
                line: *line,
                at,
                text,
            });
        }
    }
    warnings
}
