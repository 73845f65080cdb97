//! `sluicegate version`: the version of a filter, from its custom section.

use std::path::Path;

use super::Failure;
use crate::base::varint;
use crate::base::version::SECTION;

/// The first bytes of a WebAssembly module: the magic number, and version 1 of the format.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

pub(super) fn run(path: &Path) -> Result<String, Failure> {
    let failed = |why: &str| Failure::Usage(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(&error.to_string()))?;
    let sections = bytes
        .strip_prefix(MODULE)
        .ok_or_else(|| failed("is not a WebAssembly module"))?;
    let version = version(sections).ok_or_else(|| {
        failed("does not state a version; it is not a filter of Sluicegate, or one before 0.1.0")
    })?;
    Ok(format!("sluicegate {version}\n"))
}

/// The content of our section, if it is a line of text.
fn version(mut sections: &[u8]) -> Option<&str> {
    while let Some((kind, rest)) = sections.split_first() {
        let (content, rest) = counted(rest)?;
        if *kind == 0
            && let Some((name, text)) = counted(content)
            && name == SECTION.as_bytes()
        {
            let text = str::from_utf8(text).ok();
            return text.filter(|text| !text.contains(char::is_control));
        }
        sections = rest;
    }
    None
}

/// Bytes after their number, and the rest.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint::read(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}
