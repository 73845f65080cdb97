//! The grammar of JSON: values, numbers and strings, in tables.

use super::*;

#[test]
fn one_value_is_valid() {
    check(
        r#"
        truncated |
        ok        | 0
        ok        | null
        ok        | true
        ok        | false
        ok        | ""
        ok        | [ ]
        ok        | {"a" : [1 , {"b":-0.5e+10}, "c"] }
        at=1      | nil
        at=0      | True
        truncated | tru
        at=4      | null1
        at=2      | 1 2
        at=2      | []]
        at=1      | [,1]
        at=3      | [1,]
        at=3      | [1 2]
        at=1      | {1:2}
        at=1      | {,}
        at=4      | {"a"}
        at=4      | {"a",1}
        at=7      | {"a":1,}
        at=6      | {"a":1]
        at=2      | [1}
        at=5      | {"a":}
        at=0      | }
        at=0      | ]
        at=0      | 'a'
        truncated | {"a":1
        truncated | {"a"
        truncated | [
        "#,
    );
}

#[test]
fn numbers_are_those_of_rfc_8259() {
    check(
        "
        ok        | -0
        ok        | 10
        ok        | 0.00
        ok        | 1e5
        ok        | 1E+05
        ok        | 0e-0
        ok        | 1e999999999999999999999
        ok        | [0,1]
        at=1      | 01
        at=1      | -a
        at=2      | -01
        at=0      | +1
        at=0      | .5
        at=2      | 1.e5
        at=2      | 1ee
        at=3      | 1e+-
        at=3      | 1.5.
        truncated | -
        truncated | 1.
        truncated | 1e
        truncated | 1e+
        ",
    );
}

#[test]
fn strings_are_those_of_rfc_8259() {
    check(
        r#"
        ok        | "\"\\\/\b\f\n\r\t\u00e9"
        ok        | "ü€😀"
        ok        | "\uD83D\ude00"
        at=2      | "\a"
        at=5      | "\u12x4"
        at=6      | "\uDE00"
        at=7      | "\uD83D"
        at=8      | "\uD83D\n"
        at=12     | "\uD83D\u0041"
        at=12     | "\uD83D\uD83D"
        truncated | "\uD83D
        truncated | "a
        truncated | "a\
        "#,
    );
    for (body, at) in [
        (&b"\"\n\""[..], 1),
        (b"\"\x1F\"", 1),
        (b"\"12345678\x00\"", 9),
        (b"\"\x80\"", 1),
        (b"\"\xC0\x80\"", 1),
        (b"\"\xC1\xBF\"", 1),
        (b"\"\xE0\x9F\xBF\"", 2),
        (b"\"\xED\xA0\x80\"", 2),
        (b"\"\xF0\x8F\xBF\xBF\"", 2),
        (b"\"\xF4\x90\x80\x80\"", 2),
        (b"\"\xF5\x80\x80\x80\"", 1),
        (b"\"\xE2\x82\"", 3),
        (b"\"\xF0\x9F\x98a", 4),
        (b"\xEF\xBB\xBF1", 0),
        (b"[\xC2\xA0]", 1),
        (b"[\x0C]", 1),
    ] {
        let malformed = Err(Breach::Malformed { at });
        assert_eq!(
            measure(&JsonRules::default(), body),
            malformed,
            "{}",
            body.escape_ascii()
        );
    }
    assert!(
        measure(&JsonRules::default(), b"\"\x7F\"").is_ok(),
        "DEL is not a control character here"
    );
}
