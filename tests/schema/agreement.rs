//! Compares what the schema accepts with what the readers accept.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::lockstep::{places, with};
use super::{errors, schema, valid_policies, validator};

/// Strings for [`candidates`].
const TEXTS: [&str; 73] = [
    "",
    "a",
    "a-_9",
    "A",
    "credential",
    "tier",
    "routes",
    "sha256",
    "token",
    "read",
    "acme",
    "Bearer",
    "refuse",
    "count",
    "/",
    "/a",
    "/a/{org}",
    "/{org}/**",
    "GET /a*b",
    "GET,POST /**",
    "/A/é/*.json",
    "/...",
    "/a..",
    "/.a/..b",
    "/{a_1}/*",
    "/a+b:c;d=e@f",
    "-/a",
    "G-1 /",
    "1/s",
    "007/min",
    "1000000/s",
    "9/h",
    "366/d",
    "1s",
    "01s",
    "60s",
    "007m",
    "366d",
    "1h",
    "3600s",
    "86400s",
    "52w",
    "24h",
    "1B",
    "007KiB",
    "1000GB",
    "text/*",
    "text/*+a",
    "Text/A+b",
    "/a~1b/~0",
    "//",
    "1mo",
    "012mo",
    "12mo",
    "1d",
    "1w",
    "00%",
    "100%",
    "0100%",
    "UTC",
    "Europe/Rome",
    "content-length",
    "Content-Length",
    "x!#$%&'*+-.^_`|~9",
    "text/plain",
    "text/plain ; a=b",
    "a/b;",
    "{limit}",
    "{trace_id} {Trace} {{}",
    "{{trace_id}",
    "é ☃",
    "a b\n\tc",
    "9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
];

/// Values that are valid in some places, at the limit in others, and invalid in most.
fn candidates() -> Vec<Value> {
    let mut all: Vec<Value> = TEXTS.iter().map(|text| json!(text)).collect();
    all.extend(
        [
            0_u64,
            1,
            2,
            15,
            128,
            400,
            499,
            1_000_000_000,
            999_999_999_999_999,
        ]
        .map(|number| json!(number)),
    );
    all.extend([
        json!(1.0),
        json!(1.5),
        json!(-1),
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
    ]);
    all.extend([
        json!(["org"]),
        json!(["a", "b", "c"]),
        json!(["/a", "/b"]),
        json!({ "header": "content-length" }),
    ]);
    all.extend([
        json!({ "org": "a" }),
        json!({ "routes": ["/x"] }),
        json!({ "quota": 1, "window": "1h" }),
    ]);
    all.extend([
        json!({ "bytes": "1B" }),
        json!({ "depth": 1 }),
        json!({ "members": 1 }),
        json!({ "lines": "request" }),
        json!({ "length": 0, "timeout": "1s" }),
        json!({ "length": 1000, "timeout": "060m" }),
    ]);
    all
}

#[test]
fn the_schema_accepts_what_the_readers_accept() {
    let root = schema();
    let validator = validator(&root);
    let mut accepted = 0;
    let mut seen = BTreeSet::new();
    for (name, document) in valid_policies()
        .iter()
        .filter(|(name, _)| name.starts_with("ok_"))
    {
        for place in places(&root, document)
            .iter()
            .filter(|place| !place.at.is_empty())
        {
            // One place of each kind is enough.
            let kind: Vec<_> = place
                .schemas
                .iter()
                .map(|schema| std::ptr::from_ref(*schema))
                .collect();
            if !seen.insert(kind) {
                continue;
            }
            for candidate in candidates() {
                let changed = with(document, &place.at, candidate.clone());
                if errors(&changed).is_empty() {
                    let errors: Vec<String> = validator
                        .iter_errors(&changed)
                        .map(|error| error.to_string())
                        .collect();
                    assert!(
                        errors.is_empty(),
                        "{name}: {candidate} at {}: {errors:#?}",
                        place.at
                    );
                    accepted += 1;
                }
            }
            let mut shorter = document.clone();
            let (parent, key) = place.at.rsplit_once('/').unwrap();
            if let Some(Value::Object(map)) = shorter.pointer_mut(parent)
                && map.remove(key).is_some()
                && errors(&shorter).is_empty()
            {
                assert!(validator.is_valid(&shorter), "{name}: without {}", place.at);
            }
        }
    }
    assert!(accepted > 500, "only {accepted} policies");
}
