//! Bounds: on depth, size, copies.

use super::*;
use crate::policy::document::bounds::Budget;
use prost::Message as _;

/// A key or a list's bracket, repeated, around nothing.
fn nested(open: &str, inside: &str, close: &str, times: usize) -> String {
    format!("{}{inside}{}", open.repeat(times), close.repeat(times))
}

/// A `Struct` of nested maps.
fn nested_struct(depth: usize) -> Vec<u8> {
    let field = |tag: u8, inner: &[u8]| {
        let mut bytes = vec![tag];
        prost::encode_length_delimiter(inner.len(), &mut bytes).unwrap();
        bytes.extend_from_slice(inner);
        bytes
    };
    (1..depth).fold(Vec::new(), |map, _| {
        let value = field(0x2a, &map);
        field(0x0a, &[field(0x0a, b"a"), field(0x12, &value)].concat())
    })
}

#[test]
fn nothing_is_deeper_than_the_bound() {
    let deep = "more than 32 lists and maps inside one another";
    for (open, inside, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        let good = nested(open, inside, close, DEPTH_MAX);
        assert_eq!(json(&good), good);
        assert_eq!(yaml(&good), good);
        for depth in [33, 127, 128, 129, 256, 100_000] {
            let text = nested(open, inside, close, depth);
            assert!(json(&text).ends_with(deep), "{depth}: {}", json(&text));
            assert!(yaml(&text).ends_with(deep), "{depth}: {}", yaml(&text));
        }
    }
    assert_eq!(
        yaml(&"- ".repeat(DEPTH_MAX)),
        nested("[", "null", "]", DEPTH_MAX)
    );
    assert!(yaml(&"- ".repeat(100_000)).ends_with(deep));
    let stairs = (0..1000)
        .map(|step| format!("{}a:\n", " ".repeat(step)))
        .collect::<String>();
    assert!(yaml(&stairs).ends_with(deep));
}

#[test]
fn a_struct_is_no_deeper_than_the_bound() {
    assert_eq!(
        from_struct(&nested_struct(DEPTH_MAX)).unwrap().to_json(),
        nested("{\"a\":", "{}", "}", DEPTH_MAX - 1)
    );
    for depth in [33, 34, 35, 50, 100, 3_000] {
        let rule = from_struct(&nested_struct(depth)).unwrap_err().rule;
        assert!(
            matches!(rule, Rule::TooDeep | Rule::NotStruct),
            "{depth}: {rule}"
        );
    }
}

#[test]
fn aliases_are_paid_for() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_eq!(from_yaml(&laughs).unwrap_err().rule, Rule::TooManyCopies);
    let heavy = format!(
        "a: &a {}\nb: [{}]",
        "x".repeat(1 << 20),
        "*a, ".repeat(1000)
    );
    assert_eq!(from_yaml(&heavy).unwrap_err().rule, Rule::TooLarge);
    let deeper = format!(
        "a: &a {}\nb: {}",
        nested("[", "", "]", 20),
        nested("[", "*a", "]", 20)
    );
    assert_eq!(from_yaml(&deeper).unwrap_err().rule, Rule::TooDeep);
    assert_eq!(
        yaml("a: &a [*a]"),
        "line 1: /a/0: an alias without a complete anchor above it"
    );
    assert_eq!(
        yaml("a: &a {b: *a}"),
        "line 1: /a/b: an alias without a complete anchor above it"
    );
    // An anchor may be set again; each alias is of the last before it.
    assert_eq!(yaml("[&a 1, *a, &a 2, *a]"), "[1,1,2,2]");
}

#[test]
fn a_document_has_a_size() {
    let large = vec![b' '; DOCUMENT_BYTES_MAX + 1];
    assert_eq!(
        from_json(&large[1..]).unwrap_err().rule,
        Rule::EmptyDocument
    );
    assert_eq!(
        from_configuration(&large).unwrap_err().rule,
        Rule::EmptyConfiguration
    );
    assert_eq!(from_json(&large).unwrap_err().rule, Rule::TooLarge);
    assert_eq!(from_struct(&large).unwrap_err().rule, Rule::TooLarge);
    assert_eq!(
        from_yaml(&String::from_utf8(large).unwrap())
            .unwrap_err()
            .rule,
        Rule::TooLarge
    );
    let mut budget = Budget::of(0).unwrap();
    assert_eq!(budget.take(NODES_MAX, DOCUMENT_BYTES_MAX), Ok(()));
    assert_eq!(budget.take(1, 0), Err(Rule::TooManyNodes));
    assert_eq!(budget.take(0, 1), Err(Rule::TooLarge));
}

#[test]
fn a_key_stands_once() {
    for (text, read_as_yaml) in [
        (r#"{"a":1,"a":1}"#, "line 1: /a: duplicate key"),
        (r#"{"a":1,"\u0061":1}"#, "line 1: /a: duplicate key"),
        (
            "{\"a\":1,\n\"b/c\":[0,{\"d~\":1,\n\"d~\":2}]}",
            "line 3: /b~1c/1/d~0: duplicate key",
        ),
        (
            "{\"callers\":{\"directory\":[0,\n{\"s3cret\":1,\n\"s3cret\":2}]}}",
            "line 3: /callers/directory/1: duplicate key",
        ),
        (
            r#"{"callers":{"directory":[0,{"x":{"s3cret":{"y":1,"y":2}}}]}}"#,
            "line 1: /callers/directory/1: duplicate key",
        ),
        (
            r#"{"callers":{"directory":{"s3cret":{"y":1,"y":2}}}}"#,
            "line 1: /callers/directory: duplicate key",
        ),
        (
            r#"{"callers":{"directory":{"s3cret":1,"s3cret":2}}}"#,
            "line 1: /callers/directory: duplicate key",
        ),
        (
            r#"{"callers":{"unknown":1,"unknown":2}}"#,
            "line 1: /callers/unknown: duplicate key",
        ),
    ] {
        assert_eq!(yaml(text), read_as_yaml);
        assert_eq!(json(text), read_as_yaml.split_once(": ").unwrap().1);
    }
    let many = (0..200_000)
        .map(|key| format!("k{key}: 1\n"))
        .collect::<String>();
    assert!(from_yaml(&many).is_ok());
    assert_eq!(
        yaml(&format!("{many}k7: 1\n")),
        "line 200001: /k7: duplicate key"
    );
}

#[test]
fn a_broken_struct_is_refused() {
    use prost_types::value::Kind;
    let of = |kind| {
        prost_types::Struct {
            fields: [("a".to_owned(), prost_types::Value { kind })].into(),
        }
        .encode_to_vec()
    };
    for (bytes, refused) in [
        (
            of(Some(Kind::NumberValue(f64::NAN))),
            "/a: a number must be finite",
        ),
        (
            of(Some(Kind::NumberValue(f64::INFINITY))),
            "/a: a number must be finite",
        ),
        (of(None), "/a: a google.protobuf.Value without a value"),
        (
            b"\x0a\x05\x0a\x01\xff\x12\x00".to_vec(),
            "not a google.protobuf.Struct, or one that is broken or nested too deep",
        ),
    ] {
        assert_eq!(from_struct(&bytes).unwrap_err().to_string(), refused);
    }
    for (number, text) in [
        (60.0, "60"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e21, "1e21"),
        (9_007_199_254_740_992.0, "9007199254740992.0"),
    ] {
        let node = from_struct(&of(Some(Kind::NumberValue(number)))).unwrap();
        assert_eq!(node.to_json(), format!("{{\"a\":{text}}}"));
    }
    let whole = of(Some(Kind::StringValue("s3cret".to_owned())));
    for length in 1..whole.len() {
        assert_eq!(
            from_struct(&whole[..length]).unwrap_err().rule,
            Rule::NotStruct,
            "{length} bytes"
        );
    }
}
