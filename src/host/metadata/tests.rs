//! Against `prost_types`, which decodes the whole message into a tree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct as Tree, Value as Node};
use serde_json::{Value as Json, json};

use super::*;
use crate::host::fake::message::{as_struct, field, metadata, node};

fn session() -> Json {
    json!({
        "sub": "alice", "empty": "", "n": 7, "big": 9_007_199_254_740_992_u64, "part": 1.5,
        "tiny": 1e-7, "below": -0.0,
        "yes": true, "no": false, "null": null, "groups": ["a", { "0": -3 }],
    })
}

#[test]
fn a_value_is_found_by_its_path_and_read_as_a_text() {
    let message = metadata(&json!({ "other": {}, "jwt": { "s": session() } }));
    for (path, text) in [
        ("jwt s sub", Some("alice")),
        ("jwt s n", Some("7")),
        ("jwt s big", Some("9007199254740992.0")),
        ("jwt s part", Some("1.5")),
        ("jwt s tiny", Some("1e-7")),
        ("jwt s below", Some("0")),
        ("jwt s yes", Some("true")),
        ("jwt s no", Some("false")),
        ("jwt s groups 0", Some("a")),
        ("jwt s groups 1 0", Some("-3")),
        ("jwt s empty", None),
        ("jwt s null", None),
        ("jwt s groups", None),
        ("jwt s groups 2", None),
        ("jwt s groups 00", None),
        ("jwt s groups +0", None),
        ("jwt s groups 99999999999999999999", None),
        ("jwt s groups a", None),
        ("jwt s sub x", None),
        ("jwt s none", None),
        ("jwt s", None),
        ("jwt", None),
        ("other s", None),
        ("none s sub", None),
        ("", None),
    ] {
        let path: Vec<&str> = path.split_whitespace().collect();
        let found = in_metadata(&message, &path).and_then(Value::text);
        assert_eq!(found.as_deref(), text.map(str::as_bytes), "{path:?}");
    }
    assert!(matches!(
        in_metadata(&message, &["jwt", "s"]),
        Some(Value::Struct(_))
    ));
    assert!(matches!(
        in_metadata(&message, &["jwt", "s", "empty"]),
        Some(Value::Text(b""))
    ));
    assert_eq!(Value::Number(f64::NAN).text(), None);
    assert_eq!(Value::Number(f64::INFINITY).text(), None);
    let node = [node(&session()), field(5, b"\x0a\x00")].concat();
    assert_eq!(in_node(&node, &["sub"]), Some(Value::Text(b"alice")));
    assert_eq!(in_node(&node, &["region"]), None);
    assert_eq!(in_node(&[], &["sub"]), None);
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let (first, last) = (json!({ "a": 1 }), json!({ "a": 2 }));
    let message = [
        metadata(&json!({ "f": first })),
        metadata(&json!({ "f": last })),
    ]
    .concat();
    assert_eq!(in_metadata(&message, &["f", "a"]), Some(Value::Number(2.0)));
    let both = [
        as_struct(&first).encode_to_vec(),
        as_struct(&last).encode_to_vec(),
    ]
    .concat();
    assert_eq!(Struct(&both).at(&["a"]), Some(Value::Number(2.0)));
}

#[test]
fn no_nesting_is_too_deep() {
    let mut value = field(3, b"deep");
    for _ in 0..2_000 {
        let entry = [field(1, b"a"), field(2, &value)].concat();
        value = field(5, &field(1, &entry));
    }
    let entry = field(1, &[field(1, b"a"), field(2, &value)].concat());
    assert_eq!(
        Struct(&entry).at(&vec!["a"; 2_001]),
        Some(Value::Text(b"deep"))
    );
    assert!(matches!(
        Struct(&entry).at(&vec!["a"; 2_000]),
        Some(Value::Struct(_))
    ));
}

/// A serialized `Metadata` of one namespace.
fn namespace(name: &str, tree: &Tree) -> Vec<u8> {
    field(
        1,
        &[field(1, name.as_bytes()), field(2, &tree.encode_to_vec())].concat(),
    )
}

/// The value at `path` in the tree.
fn oracle<'t>(tree: &'t Tree, path: &[String]) -> Option<&'t Kind> {
    let (key, rest) = path.split_first()?;
    let mut kind = tree.fields.get(key)?.kind.as_ref()?;
    for step in rest {
        kind = match kind {
            Kind::StructValue(tree) => tree.fields.get(step)?.kind.as_ref()?,
            Kind::ListValue(list) => {
                let index = step
                    .parse::<usize>()
                    .ok()
                    .filter(|index| index.to_string() == *step)?;
                list.values.get(index)?.kind.as_ref()?
            }
            Kind::NullValue(_)
            | Kind::NumberValue(_)
            | Kind::StringValue(_)
            | Kind::BoolValue(_) => return None,
        };
    }
    Some(kind)
}

fn same(found: Option<Value<'_>>, expected: Option<&Kind>) -> bool {
    match (found, expected) {
        (Some(Value::Text(text)), Some(Kind::StringValue(expected))) => text == expected.as_bytes(),
        (Some(Value::Number(number)), Some(Kind::NumberValue(expected))) => {
            number.to_bits() == expected.to_bits()
        }
        (Some(Value::Boolean(value)), Some(Kind::BoolValue(expected))) => value == *expected,
        (Some(Value::Struct(found)), Some(Kind::StructValue(expected))) => {
            Tree::decode(found.0).is_ok_and(|tree| tree == *expected)
        }
        (None, None | Some(Kind::NullValue(_) | Kind::ListValue(_))) => true,
        _ => false,
    }
}

/// Few keys, so that paths meet something.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "0", "1", "a", "b", "sub"]).prop_map(str::to_owned)
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Kind::NullValue(0)),
        any::<f64>().prop_map(Kind::NumberValue),
        (-10_i32..10).prop_map(|number| Kind::NumberValue(number.into())),
        any::<bool>().prop_map(Kind::BoolValue),
        ".{0,6}".prop_map(Kind::StringValue),
    ];
    let some = |kind| Node { kind: Some(kind) };
    let fields = move |kind: BoxedStrategy<Kind>| {
        prop::collection::btree_map(key(), kind.prop_map(some), 0..5)
            .prop_map(|fields: BTreeMap<_, _>| Tree { fields })
    };
    let kind = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            fields(inner.clone().boxed()).prop_map(Kind::StructValue),
            prop::collection::vec(inner.prop_map(some), 0..4)
                .prop_map(|values| Kind::ListValue(ListValue { values })),
        ]
    });
    prop::collection::btree_map(key(), kind.prop_map(some), 0..5).prop_map(|fields| Tree { fields })
}

proptest! {
    #[test]
    fn a_walk_finds_what_the_decoded_tree_has(
        tree in any_tree(),
        other in any_tree(),
        path in prop::collection::vec(key(), 0..6),
        region in any_tree(),
    ) {
        let message = [namespace("other", &other), namespace("f", &tree)].concat();
        let whole = [&["f".to_owned()], &path[..]].concat();
        let node = [field(1, b"id"), field(3, &region.encode_to_vec())].concat();
        if path.is_empty() {
            prop_assert!(matches!(
                in_metadata(&message, &whole),
                Some(Value::Struct(_))
            ));
        } else {
            prop_assert!(
                same(in_metadata(&message, &whole), oracle(&tree, &path)),
                "{tree:?} \
                {path:?}"
            );
            prop_assert!(
                same(in_node(&node, &path), oracle(&region, &path)),
                "{region:?} \
                {path:?}"
            );
        }
    }

    #[test]
    fn no_bytes_are_too_strange(
        tree in any_tree(),
        path in prop::collection::vec(key(), 0..6),
        cut in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte: u8,
        noise in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut message = namespace("f", &tree);
        message.truncate(cut.index(message.len().saturating_add(1)));
        if !message.is_empty() {
            let place = place.index(message.len());
            message[place] = byte;
        }
        let whole = [&["f".to_owned()], &path[..]].concat();
        for message in [&message, &noise] {
            let found = in_metadata(message, &whole).and_then(Value::text);
            prop_assert!(
                found.is_none_or(|text| !text.is_empty() && text.len() <= message.len().max(32))
            );
            let _ = in_node(message, &path);
        }
    }
}
