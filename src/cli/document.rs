//! Reads a policy, or filters to put before it, from a file, and reports errors, each with its line.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use super::Failure;
use crate::base::number::counted;
use crate::policy::Policy;
use crate::policy::document::{DOCUMENT_BYTES_MAX, Node, SyntaxError, Value, from_yaml};
use crate::policy::error::{PolicyError, Reason, Shown};

/// A checked policy and the document that it was read from; else the report of its errors.
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

/// A checked policy, if the output is not about its errors: those go to the standard error.
pub(super) fn checked(path: &Path) -> Result<(Node, Policy), Failure> {
    told(read(path)?)
}

/// What was read; a report of errors goes to the standard error.
pub(super) fn told<T>(read: Result<T, String>) -> Result<T, Failure> {
    read.map_err(|report| {
        eprint!("{report}");
        Failure::Invalid
    })
}

/// How a filter is written.
const FILTER: &str = "{ name: envoy.filters.http.cors }";

/// A list of maps, which Envoy takes for HTTP filters; else the report of its errors.
pub(super) fn filters(path: &Path) -> Result<Result<Node, String>, Failure> {
    let document = match tree(path)? {
        Ok(document) => document,
        Err(report) => return Ok(Err(report)),
    };
    let errors: Vec<PolicyError> = match &document.value {
        Value::List(items) => {
            let others = items.iter().enumerate().filter(|(_, item)| !matches!(item.value, Value::Map(_)));
            let error = |(index, item): (usize, &Node)| PolicyError {
                at: format!("/{index}"),
                line: item.line,
                reason: Reason::NotAMap { form: FILTER, found: item.value.kind() },
            };
            others.map(error).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_) => {
            let reason = Reason::NotA { wanted: "a list", found: document.value.kind() };
            vec![PolicyError { at: String::new(), line: document.line, reason }]
        }
    };
    Ok(if errors.is_empty() { Ok(document) } else { Err(report(&path.display().to_string(), &errors)) })
}

/// What a file says, as a tree; else the report of why it is none.
fn tree(path: &Path) -> Result<Result<Node, String>, Failure> {
    let text = text(path).map_err(|why| Failure::Usage(format!("{}: {why}", path.display())))?;
    let name = path.display();
    Ok(from_yaml(&text).map_err(|SyntaxError { line, column, pointer, rule }| {
        let at = pointer.as_deref().filter(|pointer| !pointer.is_empty()).unwrap_or("/");
        format!("{name}{}: {}: {rule}\n{name}: 1 error\n", place(line, column), Shown(at))
    }))
}

fn report(name: &str, errors: &[PolicyError]) -> String {
    let mut report = String::new();
    for error in errors {
        // Writing to a string cannot fail.
        let _ = writeln!(report, "{name}{}: {error}", place(error.line, 0));
    }
    let _ = writeln!(report, "{name}: {}", counted(errors.len(), "error"));
    report
}

/// `:line:column` as compilers write it, as far as they are known.
pub(super) fn place(line: u32, column: u32) -> String {
    [line, column].iter().filter(|number| **number > 0).map(|number| format!(":{number}")).collect()
}

fn text(path: &Path) -> Result<String, String> {
    let most = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err("is larger than 64 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}
