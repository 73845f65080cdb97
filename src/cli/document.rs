//! Reads a policy or a list of filters from a file, and reports errors with their lines.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use super::Failure;
use crate::base::number::counted;
use crate::policy::Policy;
use crate::policy::document::{DOCUMENT_BYTES_MAX, Node, SyntaxError, Value, from_yaml};
use crate::policy::error::{PolicyError, Reason, Shown};

/// Returns a valid policy with its document, or the report of its errors.
pub(super) fn read(path: &Path) -> Result<Result<(Node, Policy), String>, Failure> {
    let document = match tree(path)? {
        Ok(document) => document,
        Err(report) => return Ok(Err(report)),
    };
    Ok(match Policy::compile(&document) {
        Ok(policy) => Ok((document, policy)),
        Err(errors) => Err(report(&path.display().to_string(), &errors)),
    })
}

/// Returns a valid policy with its document. Reports errors to standard error.
pub(super) fn read_valid(path: &Path) -> Result<(Node, Policy), Failure> {
    or_report(read(path)?)
}

/// Reports errors to standard error.
pub(super) fn or_report<T>(result: Result<T, String>) -> Result<T, Failure> {
    result.map_err(|report| {
        eprint!("{report}");
        Failure::Invalid
    })
}

/// An example of a filter, for messages.
const FILTER: &str = "{ name: envoy.filters.http.cors }";

/// Returns a list of maps, which Envoy accepts as HTTP filters, or the report of its errors.
pub(super) fn filters(path: &Path) -> Result<Result<Node, String>, Failure> {
    let document = match tree(path)? {
        Ok(document) => document,
        Err(report) => return Ok(Err(report)),
    };
    let mut errors = Vec::new();
    match &document.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if !matches!(item.value, Value::Map(_)) {
                    let reason = Reason::NotAMap {
                        form: FILTER,
                        found: item.value.kind(),
                    };
                    errors.push(PolicyError {
                        at: format!("/{index}"),
                        line: item.line,
                        reason,
                    });
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
            let reason = Reason::NotA {
                wanted: "a list",
                found: document.value.kind(),
            };
            errors.push(PolicyError {
                at: String::new(),
                line: document.line,
                reason,
            });
        }
    }
    Ok(if errors.is_empty() {
        Ok(document)
    } else {
        Err(report(&path.display().to_string(), &errors))
    })
}

/// Parses a file as a tree, or returns the report of its syntax error.
fn tree(path: &Path) -> Result<Result<Node, String>, Failure> {
    let text = text(path).map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))?;
    let name = path.display();
    Ok(from_yaml(&text).map_err(
        |SyntaxError {
             line,
             column,
             pointer,
             rule,
         }| {
            let at = pointer
                .as_deref()
                .filter(|pointer| !pointer.is_empty())
                .unwrap_or("/");
            format!(
                "{name}{}: {}: {rule}\n{name}: 1 error\n",
                position(line, column),
                Shown(at)
            )
        },
    ))
}

fn report(name: &str, errors: &[PolicyError]) -> String {
    let mut report = String::new();
    for error in errors {
        // Writing to a string cannot fail.
        let _ = writeln!(report, "{name}{}: {error}", position(error.line, 0));
    }
    let _ = writeln!(report, "{name}: {}", counted(errors.len(), "error"));
    report
}

/// `:line:column` as compilers write it. Numbers that are 0 are unknown and left out.
pub(super) fn position(line: u32, column: u32) -> String {
    [line, column]
        .iter()
        .filter(|number| **number > 0)
        .map(|number| format!(":{number}"))
        .collect()
}

fn text(path: &Path) -> Result<String, String> {
    // One byte more, to see whether the document is too large.
    let bytes_max = (DOCUMENT_BYTES_MAX as u64).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(bytes_max)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err("larger than 64 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "not valid UTF-8".to_owned())
}
