#![allow(clippy::arithmetic_side_effects, reason = "test code")]

//! The table against an obvious map, and against bytes that mean harm.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::policy::Policy;
use crate::policy::attributes::Attributes;
use crate::policy::document::{from_json, from_yaml};

/// An entry: its attributes, and the Unix second at which it ends.
type Plain = (BTreeMap<String, String>, Option<u32>);

fn digest(number: u8, rest: u8) -> Digest {
    let mut digest = [rest; 32];
    digest[0] = number;
    digest
}

fn entries() -> impl Strategy<Value = BTreeMap<Digest, Plain>> {
    let names = prop::sample::select(vec!["org", "plan", "user", "region"]);
    let texts = prop_oneof!["[a-c]{1,2}", "\\PC{1,20}"];
    let values = prop::collection::btree_map(names.prop_map(str::to_owned), texts, 0..4);
    let until = prop::option::of(prop::sample::select(vec![0, 1, 86_400, 2_000_000_000]));
    let digests = (any::<u8>(), 0_u8..3).prop_map(|(number, rest)| digest(number, rest));
    prop::collection::btree_map(digests, (values, until), 0..60)
}

fn policy(entries: &BTreeMap<Digest, Plain>) -> Policy {
    let list: Vec<serde_json::Value> = entries
        .iter()
        .map(|(digest, (values, until))| {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut entry = serde_json::json!({ "sha256": hex });
            for (name, value) in values {
                entry[name] = value.clone().into();
            }
            if let Some(until) = until {
                let until = jiff::Timestamp::from_second((*until).into()).unwrap();
                entry["until"] = until.to_string().into();
            }
            entry
        })
        .collect();
    let text = serde_json::json!({
        "version": 1,
        "name": "keys",
        "callers": {
            "credentials": [{ "name": "api_key", "header": "x-api-key" }],
            "directory": list,
        },
        "limits": [{ "name": "all", "per": [], "bucket": { "burst": 1, "refill": "1/s" } }],
    });
    Policy::compile(&from_json(text.to_string().as_bytes()).unwrap()).unwrap()
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_nanos(u64::from(seconds) * 1_000_000_000)
}

/// The entry of a digest, with the names of attributes.
fn found(
    directory: &Directory,
    names: &dyn Fn(AttributeId) -> String,
    digest: &Digest,
    now: u32,
) -> Result<BTreeMap<String, String>, Option<Timestamp>> {
    match directory.find(digest, at(now)) {
        Lookup::Known(entry) => Ok(entry
            .values()
            .map(|(attribute, text)| (names(attribute), text.to_owned()))
            .collect()),
        Lookup::Expired(until) => Err(Some(until)),
        Lookup::Unknown => Err(None),
    }
}

fn expected(
    entries: &BTreeMap<Digest, Plain>,
    digest: &Digest,
    now: u32,
) -> Result<BTreeMap<String, String>, Option<Timestamp>> {
    match entries.get(digest) {
        Some((_, Some(until))) if *until <= now => Err(Some(at(*until))),
        Some((values, _)) => Ok(values.clone()),
        None => Err(None),
    }
}

proptest! {
    #[test]
    fn a_table_has_what_a_map_has(
        entries in entries(), others in prop::collection::vec((any::<u8>(), 0_u8..4), 20), now: u32
    ) {
        let policy = policy(&entries);
        let listed = &policy.callers.directory;
        // Once more as the filter receives it.
        let table = Table::of(listed.table().bytes().into()).unwrap();
        let attributes = listed.attributes.clone();
        let packed = Directory { table, attributes };
        let names = |id| policy.attributes.name(id).to_owned();
        let others = others.iter().map(|(number, rest)| digest(*number, *rest));
        for digest in entries.keys().copied().chain(others) {
            for now in [0, 86_399, 86_400, now] {
                let expected = expected(&entries, &digest, now);
                prop_assert_eq!(&found(listed, &names, &digest, now), &expected);
                prop_assert_eq!(&found(&packed, &names, &digest, now), &expected);
            }
        }
        prop_assert_eq!(packed.count(), entries.len());
        let mut values: Vec<(String, &str)> =
            packed.values().map(|(id, text)| (names(id), text)).collect();
        values.sort();
        values.dedup();
        let mut all: Vec<(String, &str)> = entries
            .values()
            .flat_map(|(values, _)| values.iter().map(|(name, text)| (name.clone(), &**text)))
            .collect();
        all.sort();
        all.dedup();
        prop_assert_eq!(values, all);
    }

    #[test]
    fn a_damaged_table_is_refused_or_harmless(
        entries in entries(), place: prop::sample::Index, byte: u8, cut: prop::sample::Index
    ) {
        let policy = policy(&entries);
        let bytes = policy.callers.directory.table().bytes();
        prop_assert!(Table::of(bytes[..cut.index(bytes.len())].into()).is_err());
        prop_assert!(Table::of([bytes, b"a"].concat().into()).is_err());
        let mut changed = bytes.to_vec();
        let place = place.index(changed.len());
        changed[place] = byte;
        walk(changed);
    }

    #[test]
    fn no_bytes_are_trusted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        walk(bytes);
    }

    #[test]
    fn counts_without_parts_are_refused(
        counts: [u32; 5], rest in prop::collection::vec(0_u8..2, 0..99)
    ) {
        let counts = counts.iter().flat_map(|count| (count % 4).to_le_bytes());
        walk(counts.chain(rest).collect());
    }
}

/// Looks at all that a table has, if the bytes are one.
fn walk(bytes: Vec<u8>) {
    let Ok(table) = Table::of(bytes.into()) else {
        return;
    };
    let names: Vec<&str> = table.attributes().collect();
    let count = table.items().count();
    for number in 0..=u8::MAX {
        let Some(row) = table.find(&[number; 16]) else {
            continue;
        };
        for item in table.row(row) {
            match item {
                Item::Value { attribute, text } => {
                    assert!(usize::from(attribute) < names.len());
                    assert!(!table.text(text).is_empty());
                }
                Item::Until(number) => assert!(table.until(number).is_some()),
            }
        }
        assert!(table.row(row).count() <= count);
    }
}

/// A table of two entries, part by part.
fn parts() -> Vec<Vec<u8>> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let last = 1 << 31;
    vec![
        words(&[2, 3, 1, 3, 1]),
        [[1; 16], [2; 16]].concat(),
        words(&[0, 2]),
        words(&[1, (127 << 24) | last, 2 | last]),
        7_u64.to_le_bytes().to_vec(),
        words(&[3, 7, 13]),
        b"orgacmeglobex".to_vec(),
    ]
}

#[test]
fn each_part_of_a_table_is_checked() {
    type Change<'a> = &'a dyn Fn(&mut Vec<Vec<u8>>);
    let table = |change: Change<'_>| {
        let mut parts = parts();
        change(&mut parts);
        Table::of(parts.concat().into())
    };
    assert!(table(&|_| {}).is_ok());
    let cases: [(&str, Change<'_>); 12] = [
        ("digests descend", &|parts| parts[1].reverse()),
        ("digests are equal", &|parts| parts[1].fill(1)),
        ("a row within a row", &|parts| parts[2][4] = 1),
        ("a row after all", &|parts| parts[2][4] = 4),
        ("an attribute without a name", &|parts| parts[3][3] = 1),
        ("a text that is not there", &|parts| parts[3][0] = 3),
        ("an instant that is not there", &|parts| parts[3][4] = 1),
        ("a row without an end", &|parts| parts[3][11] = 0),
        ("attributes descend", &|parts| parts[3].swap(3, 7)),
        ("a text without bytes", &|parts| parts[5][4] = 3),
        ("a text after all", &|parts| parts[5][8] = 14),
        ("a text that is not UTF-8", &|parts| parts[6][4] = 0xff),
    ];
    for (what, change) in cases {
        assert_eq!(table(change).err(), Some(TableError), "{what}");
    }
}

#[test]
fn a_hundred_thousand_entries_take_little_room() {
    let mut builder = builder::Builder::default();
    let attributes = [Attributes::CREDENTIAL, ids().1];
    for number in 0_u32..100_000 {
        let mut digest = [0; 16];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        let (org, user) = (format!("org-{}", number / 4), format!("user-{number}"));
        builder.add(
            digest,
            None,
            &[(attributes[0], &org), (attributes[1], &user)],
        );
    }
    let directory = builder.build(|id| if id == attributes[0] { "org" } else { "user" });
    assert!(directory.table().bytes().len() < 60 * 100_000);
}

/// Two attributes of a policy.
fn ids() -> (AttributeId, AttributeId) {
    let policy = policy(&BTreeMap::from([(
        digest(1, 1),
        (BTreeMap::from([("org".to_owned(), "a".to_owned())]), None),
    )]));
    (
        Attributes::CREDENTIAL,
        policy.attributes.find("org").unwrap(),
    )
}

#[test]
fn an_entry_ends_with_its_day() {
    let yaml = "version: 1\nname: keys\ncallers:\n  \
                credentials: [{ name: api_key, header: x-api-key }]\n  directory:\n    \
                - { sha256: \"0101010101010101010101010101010101010101010101010101010101010101\", \
                until: 1970-01-02, org: acme }\n\
                limits: [{ name: all, per: [], bucket: { burst: 1, refill: 1/s } }]\n";
    let policy = Policy::compile(&from_yaml(yaml).unwrap()).unwrap();
    let find = |seconds| policy.callers.directory.find(&[1; 32], at(seconds));
    assert!(matches!(find(0), Lookup::Known(_)));
    assert!(matches!(find(2 * 86_400 - 1), Lookup::Known(_)));
    assert!(matches!(find(2 * 86_400), Lookup::Expired(until) if until == at(2 * 86_400)));
}
