//! Compares the schema with the readers, value by value: if one is a pattern and the other a
//! parser, both must accept the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluicegate::policy::error::Reason;

use super::{errors, schema, valid_policies, validator};

/// A key that no policy has.
const UNKNOWN: &str = "zzz-unknown";

/// The places of all values of `document`, below `at`.
fn places(document: &Value, at: &str, all: &mut Vec<String>) {
    let mut below = |step: &str, child: &Value| {
        let step = step.replace('~', "~0").replace('/', "~1");
        places(child, &format!("{at}/{step}"), all);
    };
    match document {
        Value::Object(entries) => {
            for (key, child) in entries {
                below(key, child);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                below(&index.to_string(), child);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all.push(at.to_owned());
}

/// One place of each kind, in the policies that have a key for each key of the language.
fn policies_with_places() -> Vec<(String, Value, Vec<String>)> {
    let mut seen = BTreeSet::new();
    let mut policies = Vec::new();
    for (name, document) in valid_policies() {
        if !name.starts_with("ok_") {
            continue;
        }
        let mut all = Vec::new();
        places(&document, "", &mut all);
        all.retain(|at| seen.insert(without_indices(at)));
        policies.push((name, document, all));
    }
    policies
}

fn without_indices(at: &str) -> String {
    let mut steps: Vec<&str> = at.split('/').collect();
    for step in &mut steps {
        if step.parse::<usize>().is_ok() {
            *step = "*";
        }
    }
    steps.join("/")
}

/// `document` with another value at one place.
fn with(document: &Value, at: &str, value: Value) -> Value {
    let mut changed = document.clone();
    *changed.pointer_mut(at).unwrap() = value;
    changed
}

#[test]
fn a_map_is_closed_for_the_schema_if_it_is_for_the_reader() {
    let validator = validator(&schema());
    let mut closed = 0;
    for (name, document, places) in policies_with_places() {
        for at in places {
            let Some(Value::Object(map)) = document.pointer(&at) else {
                continue;
            };
            let mut longer = map.clone();
            longer.insert(UNKNOWN.to_owned(), json!("x"));
            let changed = with(&document, &at, longer.into());
            let place = format!("{at}/{UNKNOWN}");
            let is_unknown = errors(&changed).iter().any(|error| {
                error.at == place && matches!(error.reason, Reason::UnknownKey { .. })
            });
            if is_unknown {
                assert!(!validator.is_valid(&changed), "{name}: {place}");
                closed += 1;
            } else if !validator.is_valid(&changed) {
                assert!(
                    !errors(&changed).is_empty(),
                    "{name}: {place}: not reported"
                );
            }
        }
    }
    assert!(closed > 30, "only {closed} maps");
}

/// Strings for [`candidates`].
const TEXTS: [&str; 76] = [
    "",
    "a",
    "a-_9",
    "A",
    "credential",
    "tier",
    "routes",
    "sha256",
    "until",
    "2027-01-31",
    "token",
    "read",
    "acme",
    "Bearer",
    "refuse",
    "count",
    "/",
    "/a",
    "/a/{org}",
    "{org}.a_b.com",
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
    let validator = validator(&schema());
    let mut accepted = 0;
    for (name, document, places) in policies_with_places() {
        for at in places.iter().filter(|at| !at.is_empty()) {
            for candidate in candidates() {
                let changed = with(&document, at, candidate.clone());
                if errors(&changed).is_empty() {
                    let errors: Vec<String> = validator
                        .iter_errors(&changed)
                        .map(|error| error.to_string())
                        .collect();
                    assert!(
                        errors.is_empty(),
                        "{name}: {candidate} at {at}: {errors:#?}"
                    );
                    accepted += 1;
                }
            }
            let mut shorter = document.clone();
            let (parent, key) = at.rsplit_once('/').unwrap();
            if let Some(Value::Object(map)) = shorter.pointer_mut(parent)
                && map.remove(key).is_some()
                && errors(&shorter).is_empty()
            {
                assert!(validator.is_valid(&shorter), "{name}: without {at}");
            }
        }
    }
    assert!(accepted > 500, "only {accepted} policies");
}
