//! Valid documents, and that all forms read the same.

use super::*;
use proptest::prelude::*;
use prost::Message as _;

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn plain_scalars_follow_the_core_schema() {
    for (written, read) in [
        ("", "null"),
        ("~", "null"),
        ("NULL", "null"),
        ("nUll", r#""nUll""#),
        ("true", "true"),
        ("False", "false"),
        ("no", r#""no""#),
        ("on", r#""on""#),
        ("Y", r#""Y""#),
        ("60/min", r#""60/min""#),
        ("1h", r#""1h""#),
        ("20%", r#""20%""#),
        ("12:30", r#""12:30""#),
        ("2024-01-01", r#""2024-01-01""#),
        ("1_000", r#""1_000""#),
        ("0b1", r#""0b1""#),
        ("0x", r#""0x""#),
        ("0x1g", r#""0x1g""#),
        ("-0x1", r#""-0x1""#),
        (".", r#"".""#),
        ("1e", r#""1e""#),
        ("e1", r#""e1""#),
        ("1.2.3", r#""1.2.3""#),
        ("Infinity", r#""Infinity""#),
        ("nan", r#""nan""#),
        ("'60'", r#""60""#),
        ("\"60\"", r#""60""#),
        ("!!str 60", r#""60""#),
        ("! 60", r#""60""#),
        ("60", "60"),
        ("+60", "60"),
        ("-60", "-60"),
        ("-0", "0"),
        ("007", "7"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("60.0", "60"),
        ("6e1", "60"),
        ("60.", "60"),
        (".5", "0.5"),
        ("1.50", "1.5"),
        ("1e300", "1e300"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551616", "1.8446744073709552e19"),
        (".inf", "line 1: /a: a number must be finite"),
        ("-.INF", "line 1: /a: a number must be finite"),
        (".nan", "line 1: /a: a number must be finite"),
        ("1e999", "line 1: /a: this number is too large"),
        (
            "0x10000000000000000",
            "line 1: /a: this number is too large",
        ),
        ("!!int 60", "line 1: /a: a tag: only !!str is known"),
        ("!mine 60", "line 1: /a: a tag: only !!str is known"),
        ("!!map {}", "line 1: /a: a tag: only !!str is known"),
    ] {
        let expected = if read.starts_with("line") {
            read.to_owned()
        } else {
            format!("{{\"a\":{read}}}")
        };
        assert_eq!(yaml(&format!("a: {written}")), expected, "{written}");
    }
}

#[test]
fn lines_are_those_of_keys_and_values() {
    let text = "\
# a comment
version: 1
limits:

  - name: x
    for: { tier: read,
           plan: free }
  -
    text: |
      one
      two
  - &shared [1]
empty:
again: *shared
\"quoted\": 'a

  b'
";
    let read = "{version@2:1@2 \
        limits@3:[{name@5:\"x\"@5 for@6:{tier@6:\"read\"@6 plan@7:\"free\"@7}@6}@5 \
        {text@9:\"one\\ntwo\\n\"@10}@9 [1@12]@12]@5 \
        empty@13:null@13 again@14:[1@12]@12 quoted@15:\"a\\nb\"@15}@2";
    assert_eq!(lined(&from_yaml(text).unwrap()), read);
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(lined(&from_yaml(&windows).unwrap()), read);
}

#[test]
fn yaml_is_read_as_people_write_it() {
    for (written, read) in [
        ("--- # policy\na: 1\n...\n", r#"{"a":1}"#),
        ("%YAML 1.2\n---\na: 1", r#"{"a":1}"#),
        (
            "a: >-\n  one\n  two\n\n  three\nb: |+\n  x\n\n",
            r#"{"a":"one two\nthree","b":"x\n\n"}"#,
        ),
        ("a:\n- 1\n- - 2\n  - 3\n", r#"{"a":[1,[2,3]]}"#),
        ("a: one\n  two", r#"{"a":"one two"}"#),
        ("a: {b, c: 1}", r#"{"a":{"b":null,"c":1}}"#),
        (
            "base: &b {x: 1}\nc: {<<: *b, y: 2}",
            r#"{"base":{"x":1},"c":{"<<":{"x":1},"y":2}}"#,
        ),
        ("\"1\": x", r#"{"1":"x"}"#),
        ("!!str 1: x", r#"{"1":"x"}"#),
        ("just text", r#""just text""#),
        ("---\n", "null"),
    ] {
        assert_eq!(yaml(written), read, "{written}");
    }
}

#[test]
fn json_is_yaml_with_tabs_and_surrogates_too() {
    for (written, read) in [
        (
            "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t]\n}\n",
            "{a@2:[1@3 2@4]@2}@1",
        ),
        ("\n {\"a\": {}}", "{a@2:{}@2}@2"),
        ("{\"a\"\n:\n1}", "{a@1:1@3}@1"),
        // These two YAML refuses.
        ("{\"a\":\t1}", "{a@0:1@0}@0"),
        ("{\"a\":\"\\ud83d\\ude00\\/\"}", "{a@0:\"😀/\"@0}@0"),
    ] {
        assert_eq!(lined(&from_yaml(written).unwrap()), read, "{written}");
    }
}

#[test]
fn json_numbers_and_strings_keep_their_value() {
    for (written, read) in [
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("60.0", "60"),
        ("6e1", "60"),
        ("0.25", "0.25"),
        ("4503599627370496.0", "4503599627370496"),
        ("9007199254740992.0", "9007199254740992.0"),
        ("1e-7", "1e-7"),
        ("\"\\u0000\\n\\ud83d\\ude00\\\"\"", r#""\u0000\n😀\"""#),
        ("\u{feff} [ ]", "[]"),
        ("1e999", "line 1, column 5: this number is too large"),
    ] {
        assert_eq!(json(written), read, "{written}");
    }
}

#[test]
fn the_configuration_says_what_it_is() {
    use prost_types::value::Kind;
    let serialized = |key: &str, value: &str| {
        let value = prost_types::Value {
            kind: Some(Kind::StringValue(value.to_owned())),
        };
        prost_types::Struct {
            fields: [(key.to_owned(), value)].into(),
        }
        .encode_to_vec()
    };
    let read = |bytes: &[u8]| {
        from_configuration(bytes).map_or_else(|error| error.to_string(), |node| node.to_json())
    };
    let empty = "no policy: the plugin's configuration is empty";
    let neither = "the configuration is neither a JSON object nor a google.protobuf.Struct";
    for (bytes, expected) in [
        (b"".as_slice(), empty),
        (b"\n", empty),
        (b" \r\n\t", empty),
        ("\u{feff}".as_bytes(), empty),
        (b"{}", "{}"),
        (b"\n{\"a\":1}", r#"{"a":1}"#),
        (b" \t\r\n {\"a\":1}\n", r#"{"a":1}"#),
        ("\u{feff}{\"a\":1}".as_bytes(), r#"{"a":1}"#),
        (b"\n{\"a\":}", "line 2, column 6: not valid JSON"),
        (
            b"{\"a\":\"\x12\"}",
            "line 1, column 7: a line break, tab or control character inside a JSON string",
        ),
        (b"version: 1\n", neither),
        (b"\nversion: 1\n", neither),
        (b"[1]", neither),
        (b"\x12\x00", neither),
        (b"\xff", neither),
    ] {
        assert_eq!(read(bytes), expected, "{}", bytes.escape_ascii());
    }
    // A Struct whose first bytes are white space and an opening brace: the lengths are 32 and 10.
    let like_json = serialized("{\"a\":1}   ", &"x".repeat(16));
    assert!(
        like_json.starts_with(b"\n \n\n{\"a\":1}"),
        "{}",
        like_json.escape_ascii()
    );
    assert_eq!(
        read(&like_json),
        format!(r#"{{"{{\"a\":1}}   ":"{}"}}"#, "x".repeat(16))
    );
    // One whose first entry's length is the opening brace itself.
    let brace = serialized("k", &"x".repeat(0x7b - 7));
    assert!(
        brace.starts_with(b"\n{\n\x01k\x12"),
        "{}",
        brace.escape_ascii()
    );
    assert_eq!(
        read(&brace),
        format!(r#"{{"k":"{}"}}"#, "x".repeat(0x7b - 7))
    );
}

/// A number in the text that every form gives it. Fractions have few digits: `serde_json` reads
/// those exactly, longer ones to the last digit but one.
fn a_number(integers: impl Strategy<Value = i64> + 'static) -> BoxedStrategy<Box<str>> {
    let fraction = (-999_999_i64..1_000_000, 1_usize..6).prop_map(|(digits, point)| {
        crate::base::number::from_f64(format!("{digits}e-{point}").parse().unwrap()).unwrap()
    });
    prop_oneof![3 => integers.prop_map(|number| number.to_string().into()), 1 => fraction].boxed()
}

fn a_text() -> BoxedStrategy<Box<str>> {
    let odd = proptest::sample::select(vec![
        "",
        " ",
        "~",
        "no",
        "60",
        "- a",
        "a: b",
        "#c",
        "{",
        "\u{feff}",
        "\u{0}",
        "\u{85}\u{2028}",
        "\r\n",
        "'\"\\/",
        "😀",
        "\u{12}",
    ]);
    prop_oneof![
        odd.prop_map(Into::into),
        any::<String>().prop_map(Into::into)
    ]
    .boxed()
}

fn a_tree(number: BoxedStrategy<Box<str>>) -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        a_text().prop_map(Value::String),
    ]
    .prop_map(|value| Node::new(value, 0));
    leaf.prop_recursive(6, 64, 6, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List);
        prop_oneof![list, a_map(inner)].prop_map(|value| Node::new(value, 0))
    })
}

fn a_map(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(a_text(), inner, 0..6).prop_map(|map| {
        Value::Map(
            map.into_iter()
                .map(|(key, value)| Entry {
                    key,
                    line: 0,
                    value,
                })
                .collect(),
        )
    })
}

proptest! {
    #[test]
    fn json_and_yaml_read_back_what_was_written(tree in a_tree(a_number(any::<i64>()))) {
        let text = tree.to_json();
        prop_assert!(from_json(text.as_bytes()) == Ok(tree.clone()), "{}", text);
        prop_assert!(from_yaml(&text).map(sorted) == Ok(sorted(tree)), "{}", text);
    }

    #[test]
    fn a_struct_is_the_same_tree_as_its_json(
        value in a_map(a_tree(a_number(-(1_i64 << 53) + 1..1 << 53))),
        space in "[ \t\r\n]{0,3}",
    ) {
        let tree = Node::new(value, 0);
        let bytes = fields(&tree).encode_to_vec();
        prop_assert!(from_struct(&bytes).map(sorted) == Ok(sorted(tree.clone())));
        let text = format!("{space}{}", tree.to_json());
        prop_assert!(from_configuration(text.as_bytes()) == Ok(tree.clone()));
        if !bytes.is_empty() {
            prop_assert!(from_configuration(&bytes).map(sorted) == Ok(sorted(tree)));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[-a0 {}\\[\\],:?&*!|>'\"%@#\n\
        \t\r]{0,40}") {
        let _ = (from_json(&bytes), from_struct(&bytes), from_configuration(&bytes));
        let _ = from_yaml(&String::from_utf8_lossy(&bytes));
        let _ = (from_yaml(&text), from_json(text.as_bytes()));
    }
}
