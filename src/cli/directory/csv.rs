//! Entries as CSV (RFC 4180), with the names in the first line.

use ::csv::{ReaderBuilder, StringRecord, Trim};

use super::ReadFile;
use crate::policy::attributes::{ATTRIBUTES_MAX, RESERVED};
use crate::policy::document::Value;
use crate::policy::reader::is_name;

/// The columns that are not attributes.
const SHA256: &str = "sha256";
const UNTIL: &str = "until";

/// Reads all records. An empty field is no value.
pub(super) fn read(read: &mut ReadFile) {
    let text = std::mem::take(&mut read.file.text);
    let body = text.trim_start_matches('\u{feff}');
    let skipped = text.len().saturating_sub(body.len());
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(body.as_bytes());
    let mut record = StringRecord::new();
    let mut names: Option<Vec<Box<str>>> = None;
    let mut faults = Vec::new();
    // Bytes that are UTF-8 can always be read as records of any length.
    while reader.read_record(&mut record).unwrap_or(false) {
        let start = start(&text, skipped, &record);
        let Some(names) = &names else {
            let found: Vec<Box<str>> = record.iter().map(Box::from).collect();
            for (number, rule) in header(&found) {
                faults.push((value(&text, start, number), rule));
            }
            read.is_broken = !faults.is_empty();
            names = Some(found);
            continue;
        };
        if read.is_broken {
            break;
        }
        if record.len() != names.len() {
            let (found, wanted) = (record.len(), names.len());
            let rule = format!("the line has {found} values, and the first line {wanted} names");
            faults.push((start, rule));
            continue;
        }
        let values = names.iter().zip(&record).enumerate();
        let values = values.filter(|(_, (name, text))| !text.is_empty() || ***name == *SHA256);
        let values =
            values.map(|(number, (name, text))| (number, name.clone(), Value::String(text.into())));
        read.add(start, values.collect());
    }
    read.file.text = text;
    for (byte, rule) in faults {
        read.error(byte, &rule);
    }
}

/// The errors of the names, each with its number.
fn header(names: &[Box<str>]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let is_column = [SHA256, UNTIL].contains(&&**name);
        let before = names.iter().take(number);
        let rule = if before.into_iter().any(|before| before == name) {
            "this name is there twice"
        } else if !is_column && RESERVED.contains(&&**name) {
            "a word of the policy language, which cannot be an attribute"
        } else if !is_name(name) {
            "the first line has the names of the attributes, up to 64 of a-z, 0-9, _ and -, \
             beginning with a letter, between commas"
        } else {
            continue;
        };
        faults.push((number, rule.to_owned()));
    }
    if names.len() > ATTRIBUTES_MAX {
        let count = names.len();
        faults.push((
            ATTRIBUTES_MAX,
            format!("{count} names; at most {ATTRIBUTES_MAX} are allowed"),
        ));
    }
    if !names.iter().any(|name| **name == *SHA256) {
        let rule = "the first line must name the column sha256, as in: sha256,org,plan";
        faults.push((0, rule.to_owned()));
    }
    faults
}

/// The byte at which a record begins. The reader's own includes empty lines before it.
fn start(text: &str, skipped: usize, record: &StringRecord) -> usize {
    let byte = record.position().map_or(0, ::csv::Position::byte);
    let start = usize::try_from(byte).unwrap_or(usize::MAX);
    let start = start.saturating_add(skipped);
    let rest = text.get(start..).unwrap_or_default();
    let blank = rest
        .len()
        .saturating_sub(rest.trim_start_matches(['\r', '\n']).len());
    start.saturating_add(blank)
}

/// The byte at which a value of the record begins that begins at `start`.
pub(super) fn value(text: &str, start: usize, number: usize) -> usize {
    let (mut before, mut is_quoted) = (0, false);
    for (byte, character) in text.get(start..).unwrap_or_default().char_indices() {
        if before == number && character != ' ' {
            return start.saturating_add(byte);
        }
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => before = before.saturating_add(1),
            '\n' if !is_quoted => break,
            _ => {}
        }
    }
    start
}
