//! Any bytes as a policy, in each of its forms, from the document to the validated policy.
#![no_main]

use sluicegate::base::time::Timestamp;
use sluicegate::policy::Policy;
use sluicegate::policy::directory::Lookup;
use sluicegate::policy::document::{Node, from_configuration, from_json, from_struct, from_yaml};
use sluicegate::policy::packed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let documents = [
        from_json(data).ok(),
        from_struct(data).ok(),
        from_configuration(data).ok(),
        str::from_utf8(data)
            .ok()
            .and_then(|text| from_yaml(text).ok()),
    ];
    for document in documents.iter().flatten() {
        compile(document);
    }
    packed(data);
});

/// A packed configuration: what is accepted can be searched.
fn packed(data: &[u8]) {
    let part = |start: usize, size: usize| data[start..start + size].to_vec();
    let Ok(policy) = packed::read(data.len(), part) else {
        return;
    };
    let directory = &policy.callers.directory;
    for (attribute, text) in directory.values() {
        assert!(!policy.attributes.name(attribute).is_empty() && !text.is_empty());
    }
    for byte in 0..=u8::MAX {
        if let Lookup::Known(entry) = directory.find(&[byte; 32], Timestamp::default()) {
            entry
                .values()
                .for_each(|(_, text)| assert!(!text.is_empty()));
        }
    }
}

/// Compiles a policy, and again from its JSON, which the filter receives: both must have the same
/// result.
fn compile(document: &Node) {
    let verdict = |document: &Node| {
        Policy::compile(document)
            .map(|_| ())
            .map_err(|errors| errors.len())
    };
    let json = from_json(document.to_json().as_bytes()).expect("a document can be read again");
    if !was_struct(document) {
        assert_eq!(verdict(document), verdict(&json), "{}", document.to_json());
    } else {
        let _ = verdict(document);
    }
}

/// Whether strings of the document may have been numbers, which JSON cannot express.
fn was_struct(document: &Node) -> bool {
    use sluicegate::policy::document::Value;
    document.was_number
        || match &document.value {
            Value::List(nodes) => nodes.iter().any(was_struct),
            Value::Map(entries) => entries.iter().any(|entry| was_struct(&entry.value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
}
