//! Reads a policy or a list of filters from a file, and reports errors with their lines.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use super::Failure;
use super::directory::{self, DirectoryArgs, EntryFile};
use crate::base::number::counted;
use crate::policy::Policy;
use crate::policy::document::{DOCUMENT_BYTES_MAX, Node, SyntaxError, Value, from_yaml};
use crate::policy::error::{PolicyError, Reason, Shown};

/// A valid policy.
pub(super) struct ReadPolicy {
    pub(super) document: Node,
    pub(super) policy: Policy,
    pub(super) sources: Sources,
}

/// The files of a policy, in which its lines are.
pub(super) struct Sources {
    name: String,
    entries: Option<EntryFile>,
}

impl Sources {
    /// Where a value of the document is: `policy.yaml:12`, or a place in the file of entries.
    pub(super) fn position(&self, line: u32) -> String {
        let entry = self.entries.as_ref().and_then(|file| file.position(line));
        entry.unwrap_or_else(|| format!("{}{}", self.name, position(line, 0)))
    }

    /// The files by their names.
    fn names(&self) -> String {
        match &self.entries {
            Some(file) => format!("{} with {}", self.name, file.name()),
            None => self.name.clone(),
        }
    }

    fn shown(&self, error: &PolicyError) -> String {
        let entry = self.entries.as_ref().and_then(|file| file.shown(error));
        entry.unwrap_or_else(|| format!("{}{}: {error}", self.name, position(error.line, 0)))
    }
}

/// Returns a valid policy with the entries of `directory`, or the report of all errors.
pub(super) fn read(
    path: &Path,
    directory: &DirectoryArgs,
) -> Result<Result<ReadPolicy, String>, Failure> {
    let read = directory.directory.as_deref().map(directory::read);
    let read = read.transpose()?;
    let mut document = match tree(path)? {
        Ok(document) => document,
        Err(report) => return Ok(Err(report)),
    };
    let (mut errors, is_broken) = match &read {
        Some(read) => (read.errors.clone(), read.is_broken),
        None => (Vec::new(), false),
    };
    let sources = Sources {
        name: path.display().to_string(),
        entries: read.map(|read| read.merge(&mut document)),
    };
    let compiled = if is_broken {
        // Its attributes are not known, so the policy has errors that are none.
        Err(Vec::new())
    } else {
        Policy::compile(&document)
    };
    match compiled {
        Ok(policy) if errors.is_empty() => {
            return Ok(Ok(ReadPolicy {
                document,
                policy,
                sources,
            }));
        }
        Ok(_) => {}
        Err(found) => errors.extend(found.iter().map(|error| sources.shown(error))),
    }
    Ok(Err(report(&sources.names(), &errors)))
}

/// Returns a valid policy with the entries of `directory`. Reports errors to standard error.
pub(super) fn read_valid(path: &Path, directory: &DirectoryArgs) -> Result<ReadPolicy, Failure> {
    or_report(read(path, directory)?)
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
        let name = path.display().to_string();
        let shown = |error: &PolicyError| format!("{name}{}: {error}", position(error.line, 0));
        let errors: Vec<String> = errors.iter().map(shown).collect();
        Err(report(&name, &errors))
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

fn report(name: &str, errors: &[String]) -> String {
    let mut report = String::new();
    for error in errors {
        // Writing to a string cannot fail.
        let _ = writeln!(report, "{error}");
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

/// The text of a file, or of standard input.
pub(super) fn text(path: &Path) -> Result<String, String> {
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
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        format!("not valid UTF-8, on line {}", lines.saturating_add(1))
    })
}
