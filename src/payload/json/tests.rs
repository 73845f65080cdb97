//! The meter against `serde_json` for what is JSON, and against an obvious one, which has all of the
//! document before it, for the bounds; in every chunking.

#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::string_slice, reason = "test code")]

mod oracle;

use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn meter(rules: &JsonRules) -> JsonMeter {
    JsonMeter::new(Rc::new(rules.clone()))
}

fn whole(rules: &JsonRules, document: &[u8]) -> Result<Option<u64>, Breach> {
    in_pieces(rules, [document])
}

fn in_pieces<'p>(rules: &JsonRules, pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Option<u64>, Breach> {
    let mut meter = meter(rules);
    for piece in pieces {
        meter.feed(piece)?;
    }
    meter.finish()?;
    Ok(meter.items())
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}

fn items_of(text: &str) -> JsonRules {
    JsonRules { items: Some(path(text)), ..JsonRules::default() }
}

fn value_at(at: &str, bytes: u64) -> JsonRules {
    JsonRules { value: Some(ValueRule { at: path(at), bytes }), ..JsonRules::default() }
}

fn blocks(below: &str, count: Option<u64>, depth: Option<u32>) -> JsonRules {
    let conditions = vec![("type".into(), "item".into())];
    JsonRules { objects: Some(ObjectsRule { conditions, below: path(below), count, depth }), ..JsonRules::default() }
}

/// Whether `serde_json` takes it for JSON. It refuses numbers too large for a float, which are JSON.
fn is_json(document: &[u8]) -> bool {
    match serde_json::from_slice::<serde_json::Value>(document) {
        Ok(_) => true,
        Err(error) => error.to_string().contains("number out of range"),
    }
}

#[test]
fn json_is_what_rfc_8259_says() {
    for good in [
        "0",
        "-0",
        "1.5e+10",
        "\"\"",
        " [ ] ",
        "{\"a\" : [1, {\"b\":null}]}",
        "true",
        "\"\\u00e9\\ud83d\\ude00\\n\"",
        "\"é😀\u{7f}\"",
        "[1e5,-2E-1]",
        "\t\r\n{}\n",
        "1e999",
    ] {
        assert!(is_json(good.as_bytes()), "{good}");
        assert_eq!(whole(&JsonRules::default(), good.as_bytes()), Ok(None), "{good}");
    }
    for (bad, at) in [
        ("", 0),
        (" ", 1),
        ("01", 1),
        ("-", 1),
        ("1.", 2),
        (".5", 0),
        ("+1", 0),
        ("1e", 2),
        ("[1,]", 3),
        ("[,1]", 1),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("{\"a\" 1}", 5),
        ("[1 2]", 3),
        ("[1}", 2),
        ("{}}", 2),
        ("nul", 3),
        ("nulL", 3),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"\\ud800\"", 7),
        ("\"\\ud800\\n\"", 8),
        ("\"\\ud800\\u0041\"", 12),
        ("\"\\udc00\"", 6),
        ("\"\n\"", 1),
        ("\"a", 2),
        ("1 1", 2),
        ("\u{feff}1", 0),
        ("[", 1),
        ("{\"a\"", 4),
        ("'a'", 0),
    ] {
        assert!(!is_json(bad.as_bytes()), "{bad}");
        assert_eq!(whole(&JsonRules::default(), bad.as_bytes()), Err(Breach::Malformed { at }), "{bad}");
    }
    for bad in [
        &b"\"\x80\""[..],
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82\"",
        b"\"\xff\"",
        b"\"\xf0\x80\x80\x80\"",
    ] {
        assert!(!is_json(bad) && whole(&JsonRules::default(), bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_bound_holds_to_the_unit() {
    let all = JsonRules::default;
    let rules = |bound: Bound, max: u64| match bound {
        Bound::Depth => JsonRules { depth: max as u32, ..all() },
        Bound::ValueBytes => value_at("/data", max),
        Bound::ObjectCount => blocks("/data", Some(max), None),
        Bound::ObjectDepth => blocks("/data", None, Some(max as u32)),
        Bound::ArrayItems => JsonRules { array_items: Some(max), ..all() },
        Bound::Members => JsonRules { members: Some(max), ..all() },
        Bound::StringBytes => JsonRules { string_bytes: Some(max), ..all() },
        Bound::NameBytes => JsonRules { name_bytes: Some(max), ..all() },
        Bound::DuplicateNames => JsonRules { members: Some(9), refuse_duplicate_names: max == 0, ..all() },
    };
    for (bound, document, exactly) in [
        (Bound::Depth, "[[1],{\"a\":[]}]", 3),
        (Bound::Depth, "7", 0),
        (Bound::ValueBytes, r#"{"x":1234567890,"data" : { "a": [1, 2] } }"#, 15),
        (Bound::ValueBytes, r#"{"data":12345}"#, 5),
        (Bound::ValueBytes, r#"{"da\u0074a":"1234"}"#, 6),
        (Bound::ValueBytes, r#"{"data":null}"#, 4),
        (
            Bound::ObjectCount,
            r#"{"data":{"type":"item","a":[{"type":"item"},{"type":"x"},{"b":{"type":"item"}}]},"z":{"type":"item"}}"#,
            2,
        ),
        (
            Bound::ObjectDepth,
            r#"{"data":{"a":{"b":{"c":{"type":"item"},"type":"item"},"x":[{"type":"item"}],"type":"item"}}}"#,
            3,
        ),
        (Bound::ObjectDepth, r#"{"data":{"a":{"ty\u0070e":"i\u0074em","b":{"c":{"type":"item"}}}}}"#, 2),
        (Bound::ArrayItems, "[[1,2,3],4]", 3),
        (Bound::Members, r#"{"a":{"b":1,"c":2,"d":3}}"#, 3),
        (Bound::StringBytes, r#"{"long name":"aé😀\u00e9\ud83d\ude00\n"}"#, 14),
        (Bound::NameBytes, r#"{"a\u00e9":"long text"}"#, 3),
        (Bound::DuplicateNames, r#"{"a":1,"b":{"a":2},"\u0061":3}"#, 1),
    ] {
        assert_eq!(whole(&rules(bound, exactly), document.as_bytes()), Ok(None), "{bound:?} {document}");
        if let Some(less) = exactly.checked_sub(1) {
            let refused = Err(Breach::Over(bound));
            assert_eq!(whole(&rules(bound, less), document.as_bytes()), refused, "{bound:?} {document}");
        }
    }
}

#[test]
fn items_are_those_of_the_array_at_the_path() {
    for (at, document, items) in [
        ("", "[1,[2,3],{}]", Some(3)),
        ("", "{}", None),
        ("/a", r#"{"a":[],"b":[1]}"#, Some(0)),
        ("/a", r#"{"a":[1,2],"a":[3]}"#, Some(3)),
        ("/a/1/b", r#"{"a":[{"b":[1]},{"b":[1,2,3,4]},{"b":[1]}]}"#, Some(4)),
        ("/a/01", r#"{"a":[[],[1]]}"#, None),
        ("/0", r#"[[1,2]]"#, Some(2)),
        ("/0", r#"{"0":[1,2]}"#, Some(2)),
    ] {
        assert_eq!(whole(&items_of(at), document.as_bytes()), Ok(items), "{at} {document}");
    }
    let mut meter = meter(&items_of("/a"));
    meter.feed(br#"{"a":[1,2,3"#).unwrap();
    assert_eq!(meter.items(), Some(3), "so far");
}

#[test]
fn hostile_documents_are_refused_where_they_prove_themselves() {
    let mut deep = meter(&JsonRules::default());
    assert_eq!(deep.feed(&vec![b'['; 1_000_000]), Err(Breach::Over(Bound::Depth)));
    assert_eq!(deep.feed(b"]"), Err(Breach::Over(Bound::Depth)), "for ever after");
    assert_eq!(deep.finish(), Err(Breach::Over(Bound::Depth)));
    let mut long = meter(&JsonRules { string_bytes: Some(99_999_999), ..JsonRules::default() });
    long.feed(b"\"").unwrap();
    let piece = vec![b'x'; 65_536];
    let refused = (0..2_000).find_map(|number| long.feed(&piece).err().map(|breach| (number, breach)));
    assert_eq!(refused, Some((1_525, Breach::Over(Bound::StringBytes))));
    // So many names are remembered, and no more.
    let names = |count: usize| {
        let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let unique = JsonRules { members: Some(1_000_000), refuse_duplicate_names: true, ..JsonRules::default() };
    assert_eq!(whole(&unique, names(NAMES_MAX).as_bytes()), Ok(None));
    assert_eq!(whole(&unique, names(NAMES_MAX + 1).as_bytes()), Err(Breach::Over(Bound::DuplicateNames)));
}

/// Small documents with what the rules look for, in any order of names.
fn document() -> impl Strategy<Value = String> {
    let text = prop_oneof!["item", "it\\\\u0065m", "[a-c é😀]{0,4}", Just("\\n\\ud83d\\ude00".to_owned())];
    let name = prop_oneof![Just("type"), Just("ty\\u0070e"), Just("data"), Just("a"), Just("b"), Just("1")];
    let scalar = prop_oneof![
        text.prop_map(|text| format!("\"{text}\"")),
        (-9_000..9_000_i32).prop_map(|number| number.to_string()),
        Just("-1.5e3".to_owned()),
        Just("null".to_owned()),
        Just("false".to_owned()),
    ];
    scalar.prop_recursive(6, 60, 6, move |inner| {
        let blank = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t")];
        let member = (name.clone(), blank.clone(), inner.clone(), blank.clone());
        let member = member.prop_map(|(name, before, value, after)| format!("\"{name}\"{before}:{after}{value}"));
        let item = (blank, inner).prop_map(|(blank, value)| format!("{blank}{value}"));
        prop_oneof![
            2 => prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

fn rules() -> impl Strategy<Value = JsonRules> {
    let at = || prop_oneof![Just(""), Just("/data"), Just("/a/b"), Just("/data/1"), Just("/1/a")].prop_map(path);
    let most = |max: u64| prop::option::of(0..max);
    let value = prop::option::of((at(), 0..60_u64).prop_map(|(at, bytes)| ValueRule { at, bytes }));
    let more = prop_oneof![3 => Just(vec![]), 1 => Just(vec![("a".into(), "item".into())])];
    let objects =
        prop::option::of((at(), more, most(5), prop::option::of(0..4_u32)).prop_map(|(below, more, count, depth)| {
            let conditions = [vec![("type".into(), "item".into())], more].concat();
            ObjectsRule { conditions, below, count, depth }
        }));
    let counts = (most(6), most(6), most(12), most(6), any::<bool>());
    (1..9_u32, value, objects, counts, prop::option::of(at())).prop_map(|(depth, value, objects, counts, items)| {
        let (array_items, members, string_bytes, name_bytes, refuse_duplicate_names) = counts;
        JsonRules {
            depth,
            value,
            objects,
            array_items,
            members,
            string_bytes,
            name_bytes,
            refuse_duplicate_names,
            items,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_answer_is_that_of_the_whole_document(document in document(), rules in rules()) {
        prop_assert!(is_json(document.as_bytes()));
        let answer = whole(&rules, document.as_bytes());
        let expected = oracle::measure(&document);
        match answer {
            Ok(items) => {
                prop_assert_eq!(expected.broken(&rules), [], "{}", document);
                prop_assert_eq!(items, rules.items.as_ref().and_then(|at| expected.items(at)));
            }
            Err(Breach::Over(bound)) => prop_assert!(expected.broken(&rules).contains(&bound), "{:?} {}", bound, document),
            Err(Breach::Malformed { at }) => prop_assert!(false, "malformed at {at}: {document}"),
        }
    }

    #[test]
    fn the_answer_is_the_same_however_the_bytes_are_cut(
        document in document(),
        rules in rules(),
        broken in prop::option::of((any::<Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let mut bytes = document.into_bytes();
        if let Some((place, byte)) = broken {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let answer = whole(&rules, &bytes);
        prop_assert_eq!(in_pieces(&rules, bytes.chunks(1)), answer);
        for at in 0..=bytes.len() {
            prop_assert_eq!(in_pieces(&rules, [&bytes[..at], &bytes[at..]]), answer, "cut at {}", at);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let pieces = [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(|(from, to)| &bytes[from..to]);
        prop_assert_eq!(in_pieces(&rules, pieces), answer);
    }

    #[test]
    fn what_is_json_is_what_another_parser_takes(
        document in document(),
        changes in prop::collection::vec((any::<Index>(), prop_oneof![any::<u8>(), prop::sample::select(b"\"\\{}[],:0e.-u\x80\xc3".to_vec())]), 0..3),
        end in any::<Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = document.into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len() + 1));
        }
        let answer = whole(&JsonRules::default(), &bytes);
        prop_assert_eq!(answer.is_ok(), is_json(&bytes), "{:?} {}", answer, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(whole(&JsonRules::default(), &bytes).is_ok(), is_json(&bytes));
    }
}
