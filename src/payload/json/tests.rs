//! The meter in tables: rules, body, result. Also a slow oracle, and hostile clients.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::string_slice,
    reason = "the oracle counts in plain numbers"
)]

use std::sync::Arc;

use super::*;

mod bodies;
mod grammar;
mod hostile;
mod oracle;
mod properties;

const SEED: u64 = 0x5EED;

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}

/// Objects of the type `item` below `below`.
fn items_below(below: &str, count: Option<u64>, depth: Option<u32>) -> JsonRules {
    let conditions = Conditions::new([("type", "item")]).unwrap();
    let objects = ObjectsRule {
        conditions,
        below: path(below),
        count,
        depth,
    };
    JsonRules {
        objects: Some(objects),
        ..JsonRules::default()
    }
}

/// Parses rules: `depth=3`, `value=/a:10`, `count=/a:2`, `nested=/a:2`, `array_items=4`, `unique`
/// and so on.
fn rules(words: &str) -> JsonRules {
    let mut rules = JsonRules::default();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse().unwrap();
        let (at, limit) = value.split_once(':').unwrap_or((value, "0"));
        match key {
            "depth" => rules.depth = value.parse().unwrap(),
            "value" => {
                rules.value = Some(ValueRule {
                    at: path(at),
                    bytes: limit.parse().unwrap(),
                })
            }
            "count" => rules.objects = items_below(at, limit.parse().ok(), None).objects,
            "nested" => rules.objects = items_below(at, None, limit.parse().ok()).objects,
            "array_items" => rules.array_items = Some(number()),
            "members" => rules.members = Some(number()),
            "string_bytes" => rules.string_bytes = Some(number()),
            "name_bytes" => rules.name_bytes = Some(number()),
            "unique" => rules.duplicate_names = DuplicateNames::Refuse,
            "items" => rules.items = Some(path(at)),
            _ => panic!("{word}"),
        }
    }
    rules
}

fn feed_all<'c>(
    rules: &JsonRules,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Measurements, Breach> {
    let mut meter = Meter::new(Arc::new(rules.clone()), SEED);
    for chunk in chunks {
        if let Err(breach) = meter.feed(chunk) {
            assert_eq!(meter.feed(b"more"), Err(breach), "a breach stays");
            assert_eq!(meter.finish(), Err(breach), "a breach stays");
            return Err(breach);
        }
    }
    meter.finish()
}

/// The result, which must be the same in one chunk, in single bytes, and in any two chunks.
fn measure(rules: &JsonRules, body: &[u8]) -> Result<Measurements, Breach> {
    let whole = feed_all(rules, [body]);
    assert_eq!(
        feed_all(rules, body.chunks(1)),
        whole,
        "{} in bytes",
        body.escape_ascii()
    );
    for at in 0..=body.len() {
        let (left, right) = body.split_at(at);
        assert_eq!(
            feed_all(rules, [left, right]),
            whole,
            "{} cut at {at}",
            body.escape_ascii()
        );
    }
    whole
}

/// Each line is `<result> <rules> | <body>`. The result is `ok`, the number of items, the name of a
/// breach, the offset of the malformed byte, or `truncated`.
fn check(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (words, body) = line.split_once('|').unwrap();
        let (expected, words) = words.split_once(' ').unwrap();
        let actual = match measure(&rules(words), body.trim().as_bytes()) {
            Ok(Measurements { items: None }) => "ok".to_owned(),
            Ok(Measurements { items: Some(items) }) => items.to_string(),
            Err(Breach::Malformed { at }) => format!("at={at}"),
            Err(Breach::Truncated) => "truncated".to_owned(),
            Err(breach) => breach.name().to_owned(),
        };
        assert_eq!(actual, expected, "{line}");
    }
}

#[test]
fn depth_counts_arrays_and_objects() {
    check(
        r#"
        ok         depth=0 | 1
        json_depth depth=0 | []
        ok         depth=1 | {"a":1}
        json_depth depth=1 | {"a":{}}
        ok         depth=2 | [[],[],{"a":1}]
        json_depth depth=2 | [[],[[
        "#,
    );
}

#[test]
fn a_value_is_measured_as_sent() {
    check(
        r#"
        ok          value=/a:4    | {"a":"ab","b":"abcdef"}
        value_bytes value=/a:3    | {"a":"ab"}
        ok          value=/a:5    | {"a":   [ 1 ]   }
        value_bytes value=/a:4    | {"a":   [ 1 ]   }
        ok          value=:6      | "abcd"
        value_bytes value=:5      | "abcd"
        ok          value=:3      | 123
        value_bytes value=:2      | 123
        value_bytes value=:0      | 1
        ok          value=/a/1:2  | {"a":[123,12,123]}
        value_bytes value=/a/1:1  | {"a":[123,12,123]}
        value_bytes value=/a/1:1  | {"a":{"0":123,"1":12}}
        ok          value=/1/a:1  | [{"a":12},{"a":1},{"a":12}]
        ok          value=/a:2    | {"a":12,"a":34}
        value_bytes value=/a:2    | {"a":12,"a":345}
        value_bytes value=/a:2    | {"\u0061":123}
        ok          value=/a:2    | {"b":{"a":123},"a":12}
        ok          value=/a/a:2  | {"a":[{"a":123}],"a":{"a":12},"b":{"a":123}}
        ok          value=/aa:2   | {"a":123,"aaa":123,"ab":123}
        value_bytes value=/:2     | {"":123}
        ok          value=/-:0    | [1]
        ok          value=/01:0   | [1,2]
        ok          value=/a:1    | {"b":[0],"c":{"a":{"a":[12]}}}
        "#,
    );
}

#[test]
fn the_earlier_byte_decides_the_breach() {
    check(
        r#"
        value_bytes value=:3              | [1,x
        at=3        value=:4              | [1,x
        value_bytes value=:2              | [1,x
        value_bytes value=:3 string_bytes=3 | "abcdef"
        string_bytes value=:5 string_bytes=3 | "abcdef"
        at=3        value=:3              | 123x
        "#,
    );
}

#[test]
fn objects_count_if_they_have_the_member() {
    check(
        r#"
        ok            count=:1  | {"type":"item","a":{"type":"item"}}
        objects_count count=:0  | [{"type":"item"}]
        ok            count=:0  | {"type":"item"}
        objects_count count=:1  | [{"type":"item"},{"type":"item"}]
        ok            count=:1  | [{"type":"item","type":"item"},{"type":"items"}]
        ok            count=:0  | [{"type":"items"},{"type":"ite"},{"types":"item"}]
        objects_count count=:0  | [{"type":1,"type":"item","type":"other"}]
        objects_count count=:0  | [{"ty\u0070e":"\u0069tem"}]
        ok            count=:0  | [{"type":["item"]},{"type":{"a":"item"}},{"a":"type","b":"item"}]
        ok            count=:0  | [{"type":[],"a":"item"},{"type":null,"a":"item"}]
        ok            count=:0  | [{"type":0},"item",[{"type":{}},"item"]]
        objects_count count=/a:0 | {"a":[[{"type":"item"}]]}
        ok            count=/a:0 | {"a":{"type":"item"},"b":{"c":{"type":"item"}}}
        objects_count count=/a:1 | {"a":[{"type":"item"}],"a":{"c":{"type":"item"}}}
        "#,
    );
    let both = Conditions::new([("type", "item"), ("kind", "a")]).unwrap();
    let every = Conditions::new([]).unwrap();
    for (conditions, body, count) in [
        (
            &both,
            r#"[{"type":"item"},{"kind":"a"},{"type":"a","kind":"item"}]"#,
            0,
        ),
        (
            &both,
            r#"[{"kind":"a"},{"kind":"a","type":"item"},{"type":"item"}]"#,
            1,
        ),
        (
            &both,
            r#"[{"type":"item","kind":"b","kind":"a"},{"type":"item","x":{"kind":"a"}}]"#,
            1,
        ),
        (&every, r#"[{},{"a":{}},[]]"#, 3),
        (&every, r#"{}"#, 0_u64),
    ] {
        let limited = |count| JsonRules {
            objects: Some(ObjectsRule {
                conditions: conditions.clone(),
                below: path(""),
                count: Some(count),
                depth: None,
            }),
            ..JsonRules::default()
        };
        assert!(measure(&limited(count), body.as_bytes()).is_ok(), "{body}");
        let less = count
            .checked_sub(1)
            .map(|less| measure(&limited(less), body.as_bytes()).err());
        assert_eq!(
            less,
            less.map(|_| Some(Breach::ObjectsCount { limit: count - 1 })),
            "{body}"
        );
    }
}

#[test]
fn objects_nest_whatever_lies_between_them_or_comes_first() {
    check(
        r#"
        ok            nested=:1  | {"type":"item","a":[{"type":"item"},{"type":"item"}]}
        objects_depth nested=:0  | {"a":{"type":"item"}}
        objects_depth nested=:1  | [{"type":"item","a":{"b":[{"type":"item"}]}}]
        objects_depth nested=:1  | [{"a":{"b":[{"type":"item"}]},"type":"item"}]
        ok            nested=:2  | [{"a":{"b":[{"type":"item"}]},"type":"item","type":"item"}]
        ok            nested=:2  | [{"a":{"b":[{"type":"item"},{"type":"item"}]},"type":"item"}]
        ok            nested=:2  | [{"a":{"b":[{"type":"item"}]},"type":"item"},{"type":"item"}]
        objects_depth nested=:2  | [{"a":{"type":"item","b":[{"type":"item"}]},"type":"item"}]
        objects_depth nested=:2  | [{"a":{"b":[{"type":"item"}],"type":"item"},"type":"item"
        objects_depth nested=:2  | [{"type":"item","a":{"b":[{"type":"item"}],"type":"item"
        ok            nested=/a:1 | {"a":{"type":"item","b":{"type":"item"}},"type":"item"}
        "#,
    );
}

#[test]
fn arrays_objects_and_strings_are_bounded_everywhere() {
    check(
        r#"
        ok           array_items=2  | [[1,2],{"a":1,"b":2,"c":3}]
        array_items  array_items=2  | [[1,2,3]]
        at=6         array_items=2  | [[1,2,]]
        array_items  array_items=0  | [1]
        ok           members=2      | [{"a":1,"b":2},3,{"a":1}]
        members      members=2      | {"a":1,"a":2,"a":3}
        ok           string_bytes=3 | {"abcd":"abc"}
        string_bytes string_bytes=3 | ["abcd"]
        string_bytes string_bytes=4 | "\u0061\n€
        ok           string_bytes=4 | "\ud83d\ude00"
        string_bytes string_bytes=3 | "\ud83d\ude00"
        ok           string_bytes=2 | ["ü","\u00fc"]
        string_bytes string_bytes=1 | ["ü"]
        ok           name_bytes=3   | {"abc":"abcd"}
        name_bytes   name_bytes=2   | {"\u0061bc":1}
        "#,
    );
}

#[test]
fn a_name_may_repeat_only_in_two_objects() {
    check(
        r#"
        ok             | {"a":1,"a":2}
        ok             unique members=9 | {"a":{"a":1,"b":{"a":1}},"b":{"a":2},"c":[{"a":1}]}
        ok             unique members=9 | {"a":{"a":1},"b":{"a":2},"c":[{"a":1},{"a":1}]}
        duplicate_name unique members=9 | {"a":1,"b":2,"a":3}
        duplicate_name unique members=9 | {"a":1,"b":{"a":{}},"\u0061":3}
        duplicate_name unique members=9 | {"":1,"":2}
        ok             unique members=9 | {"a":1,"A":2,"":3,"aa":4}
        "#,
    );
}

#[test]
fn items_are_those_of_the_array_at_the_path() {
    check(
        r#"
        3  items=/a    | {"a":[1,[2,3],4],"b":[1]}
        0  items=/a    | {"a":[]}
        2  items=      | [[1,2,3],{}]
        ok items=/a    | {"a":{"0":1}}
        ok items=/a    | {"b":[1]}
        ok items=/a    | [[1]]
        3  items=/a    | {"a":[1],"a":[1,2],"a":5}
        1  items=/1/a  | [{"a":[1,2]},{"a":[1]}]
        "#,
    );
}

#[test]
fn every_breach_has_its_name_and_its_limit() {
    for (breach, name, limit) in [
        (Breach::Malformed { at: 3 }, "malformed", None),
        (Breach::Truncated, "malformed", None),
        (Breach::Depth { limit: 1 }, "json_depth", Some(1)),
        (Breach::ValueBytes { limit: 2 }, "value_bytes", Some(2)),
        (Breach::ObjectsCount { limit: 3 }, "objects_count", Some(3)),
        (Breach::ObjectsDepth { limit: 4 }, "objects_depth", Some(4)),
        (Breach::ArrayItems { limit: 5 }, "array_items", Some(5)),
        (Breach::Members { limit: 6 }, "members", Some(6)),
        (Breach::StringBytes { limit: 7 }, "string_bytes", Some(7)),
        (Breach::NameBytes { limit: 8 }, "name_bytes", Some(8)),
        (Breach::Names { limit: 9 }, "names", Some(9)),
        (Breach::DuplicateName, "duplicate_name", None),
    ] {
        assert_eq!((breach.name(), breach.limit()), (name, limit));
    }
}

#[test]
fn conditions_are_bounded() {
    let pairs = |count| Conditions::new(vec![("a", "b"); count]);
    assert!(pairs(CONDITIONS_MAX).is_some() && pairs(CONDITIONS_MAX + 1).is_none());
    let long = "a".repeat(CONDITION_BYTES_MAX + 1);
    assert!(
        Conditions::new([("a", &long[1..])]).is_some()
            && Conditions::new([("a", &*long)]).is_none()
    );
    assert!(
        Conditions::new([(&long[1..], "a")]).is_some()
            && Conditions::new([(&*long, "a")]).is_none()
    );
}
