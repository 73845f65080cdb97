//! The revision of a policy: a short name for exactly this document.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::document::{Entry, Node, Value, from_decimal, write_string};

/// The bytes of the digest that a revision has, as two hexadecimal digits each.
const DIGEST_BYTES: usize = 4;

/// The most bytes that wait to be hashed, so that no copy of a large directory is made.
const BUFFER_BYTES: usize = 4_096;

/// The first digits of the SHA-256 over the canonical JSON of `document`: compact, and the keys of
/// each map in the order of their bytes.
///
/// A text in the form of a number is written without its quotes: Envoy makes such texts of the
/// numbers in a `Struct`, and a policy has one revision whichever way it arrives.
pub(super) fn of(document: &Node) -> Box<str> {
    let mut json = Canonical {
        hash: Sha256::new(),
        buffer: String::with_capacity(BUFFER_BYTES),
    };
    json.node(document);
    json.hash.update(&json.buffer);
    let mut revision = String::new();
    for byte in json.hash.finalize().iter().take(DIGEST_BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(revision, "{byte:02x}");
    }
    revision.into()
}

struct Canonical {
    hash: Sha256,
    buffer: String,
}

impl Canonical {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Null => self.buffer.push_str("null"),
            Value::Bool(truth) => self.buffer.push_str(if *truth { "true" } else { "false" }),
            Value::Number(number) => self.buffer.push_str(number),
            Value::String(text) => self.text(text),
            Value::List(items) => self.each('[', items, |json, item| json.node(item), ']'),
            Value::Map(entries) => {
                let mut sorted: Vec<&Entry> = entries.iter().collect();
                sorted.sort_unstable_by(|one, other| one.key.cmp(&other.key));
                self.each('{', &sorted, |json, entry| json.entry(entry), '}');
            }
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
    }

    fn entry(&mut self, entry: &Entry) {
        write_string(&entry.key, &mut self.buffer);
        self.buffer.push(':');
        self.node(&entry.value);
    }

    fn text(&mut self, text: &str) {
        let begins_a_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.');
        let number = text.as_bytes().first().filter(|it| begins_a_number(it));
        match number.and_then(|_| from_decimal(text)) {
            Some(number) => self.buffer.push_str(&number),
            None => write_string(text, &mut self.buffer),
        }
    }

    fn each<T>(&mut self, open: char, items: &[T], write: impl Fn(&mut Self, &T), close: char) {
        self.buffer.push(open);
        for (rank, item) in items.iter().enumerate() {
            if rank > 0 {
                self.buffer.push(',');
            }
            write(self, item);
        }
        self.buffer.push(close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::{from_json, from_yaml};

    #[test]
    fn the_revision_is_that_of_the_canonical_json() {
        // printf %s '{"a":[1,true,null],"b":"x\ny"}' | sha256sum
        let expected = "544c2714";
        let yaml = from_yaml("# A comment.\nb: \"x\\ny\"\na: [1, true, ~]\n").unwrap();
        let json = from_json(br#" {"b": "x\ny", "a": [1.0, true, null]} "#).unwrap();
        assert_eq!(&*of(&yaml), expected);
        assert_eq!(&*of(&json), expected);
    }

    #[test]
    fn a_number_that_arrives_as_a_text_gives_the_same_revision() {
        let revision = |text: &str| of(&from_yaml(text).unwrap());
        assert_eq!(
            revision("a: 5000000000\nb: 1e3"),
            revision("a: '5000000000'\nb: '1e3'")
        );
        for other in [
            "a: 5000000001\nb: 1e3",
            "a: 1e3\nb: 5000000000",
            "a: infinity",
        ] {
            assert_ne!(revision("a: 5000000000\nb: 1e3"), revision(other));
        }
    }

    #[test]
    fn every_value_of_a_large_document_counts() {
        let revision = |last: &str| {
            let items = "'0123456789abcdef', ".repeat(2_000);
            of(&from_yaml(&format!("[{items}{last}]")).unwrap())
        };
        assert_eq!(revision("a"), revision("a"));
        assert_ne!(revision("a"), revision("b"));
    }
}
