//! `--directory FILE`: entries of the directory in a file of their own, as CSV or as JSON lines,
//! which are added to those of the policy.
//!
//! The entries become part of the policy's document, so the same code reads all of them. A node of
//! the document only has a line; for one of a file it is a number from [`FIRST`] on, the place of
//! its text, from which the line and the column follow.

mod csv;
mod json_lines;

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::document::text;
use crate::policy::document::{Entry, NODES_MAX, Node, Value};
use crate::policy::error::{PolicyError, Reason, Shown};

/// The option of all commands that read a policy.
#[derive(Debug, Default, Args)]
pub(super) struct DirectoryArgs {
    /// More entries for the policy's directory: a CSV file whose first line has `sha256` and the
    /// names of attributes, or a file with a JSON object on each line; `until` may be one of them.
    #[arg(long, value_name = "FILE")]
    pub(super) directory: Option<PathBuf>,
}

/// The first number that is not a line of the policy, which has fewer than 2^31 bytes.
const FIRST: u32 = 1 << 31;

/// The pointer of the directory.
const DIRECTORY: &str = "/callers/directory/";

/// A file with entries.
pub(super) struct EntryFile {
    name: String,
    text: String,
    is_json: bool,
    places: Vec<Place>,
    /// The place of each entry.
    entries: Vec<u32>,
    /// How many entries of the policy come before.
    own: usize,
}

/// A part of an entry.
#[derive(Clone, Copy)]
struct Place {
    /// The byte at which the entry begins.
    start: usize,
    /// The number of the value, from 0; `None` for the entry itself.
    value: Option<usize>,
}

/// The content of a file.
pub(super) struct ReadFile {
    pub(super) file: EntryFile,
    nodes: Vec<Node>,
    /// The errors that no reader of policies can see.
    pub(super) errors: Vec<String>,
    /// Whether no entry can be read because of that.
    pub(super) is_broken: bool,
}

/// Reads the entries of a file.
pub(super) fn read(path: &Path) -> Result<ReadFile, Failure> {
    let name = path.display().to_string();
    let text = text(path).map_err(|why| Failure::Usage(format!("{name}: {why}")))?;
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let mut read = ReadFile {
        file: EntryFile {
            is_json: start.starts_with('{'),
            name,
            places: Vec::new(),
            entries: Vec::new(),
            own: 0,
            text,
        },
        nodes: Vec::new(),
        errors: Vec::new(),
        is_broken: false,
    };
    if read.file.text.trim().is_empty() {
        read.break_off(0, "is empty: begin it with a line such as sha256,org,plan");
    } else if read.file.is_json {
        json_lines::read(&mut read);
    } else {
        csv::read(&mut read);
    }
    if read.file.places.len() > NODES_MAX {
        let all = read.file.text.len();
        read.break_off(all, &format!("more than {NODES_MAX} values"));
    }
    Ok(read)
}

impl ReadFile {
    /// Notes an error at a byte of the file.
    fn error(&mut self, byte: usize, rule: &str) {
        let error = format!("{}: {rule}", self.file.at(byte));
        self.errors.push(error);
    }

    /// Notes an error because of which nothing can be read.
    fn break_off(&mut self, byte: usize, rule: &str) {
        self.error(byte, rule);
        self.is_broken = true;
    }

    /// The number of a place, which a node has for its line.
    fn place(&mut self, start: usize, value: Option<usize>) -> u32 {
        let number = u32::try_from(self.file.places.len()).unwrap_or(u32::MAX);
        self.file.places.push(Place { start, value });
        FIRST.saturating_add(number)
    }

    /// Adds an entry that begins at a byte: the number, the key and the content of each value.
    fn add(&mut self, start: usize, values: Vec<(usize, Box<str>, Value)>) {
        let line = self.place(start, None);
        self.file.entries.push(line);
        let entries = values.into_iter().map(|(number, key, value)| {
            let line = self.place(start, Some(number));
            Entry {
                key,
                line,
                value: Node::new(value, line),
            }
        });
        let entries = entries.collect();
        self.nodes.push(Node::new(Value::Map(entries), line));
    }

    /// Adds the entries to a document's own.
    pub(super) fn merge(mut self, document: &mut Node) -> EntryFile {
        let list = || Value::List(Vec::new());
        let callers = key(document, "callers", || Value::Map(Vec::new()));
        let directory = callers.and_then(|callers| key(callers, "directory", list));
        if let Some(Value::List(own)) = directory.map(|node| &mut node.value) {
            self.file.own = own.len();
            own.append(&mut self.nodes);
        }
        self.file
    }
}

/// The value of a map's key, which is added if it is not there; `None` if `map` is something else.
fn key<'n>(map: &'n mut Node, key: &str, none: impl FnOnce() -> Value) -> Option<&'n mut Node> {
    let line = map.line;
    let Value::Map(entries) = &mut map.value else {
        return None;
    };
    let place = entries.iter().position(|entry| &*entry.key == key);
    let place = place.unwrap_or_else(|| {
        entries.push(Entry {
            key: key.into(),
            line,
            value: Node::new(none(), line),
        });
        entries.len().saturating_sub(1)
    });
    entries.get_mut(place).map(|entry| &mut entry.value)
}

impl EntryFile {
    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where a node of this number is, as `keys.csv:17:5`; `None` if it is of the policy.
    pub(super) fn position(&self, line: u32) -> Option<String> {
        let number = usize::try_from(line.checked_sub(FIRST)?).ok()?;
        let Place { start, value } = *self.places.get(number)?;
        let byte = match value {
            None => start,
            Some(value) if self.is_json => json_lines::value(&self.text, start, value),
            Some(value) => csv::value(&self.text, start, value),
        };
        Some(self.at(byte))
    }

    /// An error of an entry of this file, with its position; `None` if it is of the policy.
    pub(super) fn shown(&self, error: &PolicyError) -> Option<String> {
        let position = self.position(error.line)?;
        let entry = error.at.strip_prefix(DIRECTORY).unwrap_or_default();
        let key = match entry.split_once('/') {
            Some((_, key)) => format!("{}: ", Shown(key)),
            None => String::new(),
        };
        let reason = if let Reason::Duplicate { value: None, first } = &error.reason {
            let first = self.named(first);
            Reason::Duplicate { value: None, first }
        } else {
            error.reason.clone()
        };
        Some(format!("{position}: {key}{reason}"))
    }

    /// An entry by its place if it is of this file, otherwise by its pointer.
    fn named(&self, pointer: &str) -> String {
        let index = pointer
            .strip_prefix(DIRECTORY)
            .and_then(|index| index.parse::<usize>().ok()?.checked_sub(self.own));
        let line = index.and_then(|index| self.entries.get(index));
        line.and_then(|line| self.position(*line))
            .unwrap_or_else(|| format!("{pointer} of the policy"))
    }

    /// The position of a byte.
    fn at(&self, byte: usize) -> String {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let column = before.get(start..).unwrap_or_default().chars().count();
        let column = column.saturating_add(1);
        format!("{}:{line}:{column}", self.name)
    }
}
