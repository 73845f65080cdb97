//! A policy with a large directory as `render` hands it to the filter: the policy as JSON, its
//! directory as a table that is searched as it is.
//!
//! ```text
//!   MAGIC   bytes of JSON   JSON, with an empty directory   the table
//!   12      4               …                               …
//! ```
//!
//! The host hands over the configuration in parts, so that a worker has neither more than one copy
//! of the table nor parses it.

use super::Policy;
use super::directory::{Table, TableError};
use super::document::{Entry, Node, SyntaxError, Value, from_configuration, from_json};
use super::error::PolicyError;

/// No JSON text and no `Struct` begins with this.
const MAGIC: &[u8; 12] = b"\0sluicegate\x01";
const HEAD_BYTES: usize = MAGIC.len() + size_of::<u32>();

/// A directory of more entries is packed. Fewer are read in milliseconds, and stay readable.
pub const LISTED_MAX: usize = 1_000;

/// Why a configuration is not a policy.
#[derive(Debug)]
pub enum ConfigurationError {
    /// It cannot be read.
    Syntax(SyntaxError),
    /// Its table cannot be used.
    Table(TableError),
    /// The policy has errors.
    Policy(Vec<PolicyError>),
}

/// The policy in a configuration of `size` bytes, of which `part` returns those from one place on.
///
/// # Errors
/// Why it is not a policy.
pub fn read(
    size: usize,
    part: impl Fn(usize, usize) -> Vec<u8>,
) -> Result<Policy, ConfigurationError> {
    let (document, table) = match packed(size, &part) {
        Some(parts) => {
            let (json, table) = parts.map_err(ConfigurationError::Table)?;
            (from_json(&json), Some(table))
        }
        None => (from_configuration(&part(0, size)), None),
    };
    let document = document.map_err(ConfigurationError::Syntax)?;
    // Listed entries would be in no table.
    if table.is_some() && !is_unlisted(&document) {
        return Err(ConfigurationError::Table(TableError));
    }
    Policy::compile_packed(&document, table).map_err(ConfigurationError::Policy)
}

/// The JSON and the table of a packed configuration; `None` for another.
fn packed(
    size: usize,
    part: impl Fn(usize, usize) -> Vec<u8>,
) -> Option<Result<(Vec<u8>, Table), TableError>> {
    let head = part(0, HEAD_BYTES.min(size));
    let length = head.strip_prefix(MAGIC)?;
    let length = length.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let length = length.and_then(|length| usize::try_from(length).ok());
    let start = length.and_then(|length| HEAD_BYTES.checked_add(length));
    let (Some(length), Some(start)) = (length, start.filter(|start| *start <= size)) else {
        return Some(Err(TableError));
    };
    let table = part(start, size.saturating_sub(start));
    Some(Table::of(table.into()).map(|table| (part(HEAD_BYTES, length), table)))
}

/// Whether the document has a directory without entries.
fn is_unlisted(document: &Node) -> bool {
    let callers = document.value.get("callers");
    let directory = callers.and_then(|callers| callers.get("directory"));
    matches!(directory, Some(Value::List(entries)) if entries.is_empty())
}

/// A policy with a large directory.
#[derive(Debug)]
pub struct Packed {
    /// The policy without its directory.
    pub json: String,
    /// The configuration.
    pub bytes: Vec<u8>,
}

impl Packed {
    /// The configuration of a policy with a large directory; `None` for a small one, for which it
    /// is the document itself.
    #[must_use]
    pub fn of(document: &Node, policy: &Policy) -> Option<Self> {
        if policy.callers.directory.count() <= LISTED_MAX {
            return None;
        }
        let json = unlisted(document, policy).to_json();
        let length = u32::try_from(json.len()).ok()?.to_le_bytes();
        let table = policy.callers.directory.table().bytes();
        let bytes = [MAGIC, &length[..], json.as_bytes(), table].concat();
        Some(Self { json, bytes })
    }
}

/// The document without the entries of its directory, and with the revision that it has with them.
fn unlisted(document: &Node, policy: &Policy) -> Node {
    let mut document = with(document, "revision", || {
        Value::String(policy.revision.clone())
    });
    if let Value::Map(keys) = &mut document.value
        && let Some(callers) = keys.iter_mut().find(|entry| &*entry.key == "callers")
    {
        callers.value = with(&callers.value, "directory", || Value::List(Vec::new()));
    }
    document
}

/// A map with another value of `key`, or with `key` as its last.
fn with(map: &Node, key: &str, value: impl FnOnce() -> Value) -> Node {
    let Value::Map(entries) = &map.value else {
        return map.clone();
    };
    let others = entries.iter().filter(|entry| &*entry.key != key);
    let mut entries: Vec<Entry> = others.cloned().collect();
    entries.push(Entry {
        key: key.into(),
        line: 0,
        value: Node::new(value(), 0),
    });
    Node::new(Value::Map(entries), map.line)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::policy::directory::Lookup;
    use crate::policy::document::from_yaml;

    /// A policy with this number of entries.
    fn yaml(entries: usize) -> Node {
        let mut text =
            "version: 1\nname: keys\ncallers:\n  credentials: [{ name: api_key, header: \
                        x-api-key }]\n  directory:\n"
                .to_owned();
        for number in 0..entries {
            text.push_str(&format!(
                "  - {{ sha256: \"{number:032x}{number:032x}\", org: org-{number} }}\n"
            ));
        }
        text.push_str("limits: [{ name: all, per: [org], bucket: { burst: 1, refill: 1/s } }]\n");
        from_yaml(&text).unwrap()
    }

    fn read_all(bytes: &[u8]) -> Result<Policy, ConfigurationError> {
        read(bytes.len(), |start, size| {
            bytes[start..start + size].to_vec()
        })
    }

    #[test]
    fn a_packed_policy_is_the_same_policy() {
        let document = yaml(LISTED_MAX + 1);
        let policy = Policy::compile(&document).unwrap();
        let Packed { json, bytes } = Packed::of(&document, &policy).unwrap();
        assert!(
            json.contains(r#""directory":[]"#) && json.len() < 400,
            "{json}"
        );
        let read = read_all(&bytes).unwrap();
        assert_eq!(read.revision, policy.revision);
        assert_eq!(read.callers.directory.count(), LISTED_MAX + 1);
        let mut digest = [0; 32];
        digest[15] = 7;
        assert!(matches!(
            read.callers.directory.find(&digest, Timestamp::default()),
            Lookup::Known(_)
        ));
        assert!(
            Packed::of(
                &yaml(LISTED_MAX),
                &Policy::compile(&yaml(LISTED_MAX)).unwrap()
            )
            .is_none()
        );
    }

    #[test]
    fn a_damaged_configuration_is_refused() {
        let document = yaml(LISTED_MAX + 1);
        let policy = Policy::compile(&document).unwrap();
        let bytes = Packed::of(&document, &policy).unwrap().bytes;
        for end in (0..bytes.len()).step_by(997).chain(0..200) {
            assert!(read_all(&bytes[..end]).is_err(), "{end}");
        }
        let mut listed = bytes.clone();
        let place = bytes.windows(2).position(|two| two == b"[]").unwrap();
        listed.splice(place..place + 2, *br#"[{"sha256":""}]"#);
        assert!(read_all(&listed).is_err());
    }
}
