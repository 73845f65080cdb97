//! The shape of JSON, as a payload limit bounds it.

use super::super::error::Reason;
use super::super::reader::{Field, MapField};
use super::{COUNTS_MAX, OBJECT_KINDS};
use crate::base::units::parse_size;
use crate::payload::json::{
    CONDITION_BYTES_MAX, CONDITIONS_MAX, Conditions, DEPTH_MAX, DuplicateNames, JsonPath,
    JsonRules, NAMES_MAX, ObjectsRule, ValueRule,
};

/// What happens to an object with the same name twice.
const DUPLICATE_NAMES: [(&str, DuplicateNames); 2] = [
    ("allow", DuplicateNames::Allow),
    ("refuse", DuplicateNames::Refuse),
];

/// Reads the shape of JSON; of an override, on top of the rules that it overrides.
pub(super) fn read_json(
    field: Field<'_>,
    base: Option<&JsonRules>,
    own: impl FnOnce(&MapField<'_>),
) -> Option<JsonRules> {
    let map = field.map("{ depth: 32 }")?;
    if map.is_empty() {
        field.error(Reason::Empty);
    }
    let mut rules = base.cloned().unwrap_or_default();
    own(&map);
    let count = |key| {
        map.get(key)
            .map(|field: Field<'_>| field.count(0, COUNTS_MAX))
    };
    let size = |key| {
        map.get(key)
            .map(|field: Field<'_>| field.quantity(parse_size))
    };
    let depth = map.optional("depth", rules.depth, |field| field.count(0, DEPTH_MAX));
    let value = map
        .get("value")
        .map(|field| read_value(field, rules.value.as_ref()));
    let objects = map
        .get("objects")
        .map(|field| read_objects(field, rules.objects.as_ref()));
    let (array_items, members) = (count("array_items"), count("members"));
    let (string_bytes, name_bytes) = (size("string_bytes"), size("name_bytes"));
    let duplicates = map.get("duplicate_names");
    if let (Some(field), None, None) = (&duplicates, &members, rules.members) {
        field.error(Reason::RequiresSibling {
            sibling: "`members`, which bounds the names to remember",
        });
    }
    let duplicate_names = duplicates
        .as_ref()
        .map(|field| field.choice("a treatment of duplicate names", &DUPLICATE_NAMES));
    map.deny_unknown();
    rules.depth = depth?;
    // A value that was given and has an error ends it; one that was not leaves what there was.
    macro_rules! set {
        ($($key:ident),*) => { $(if let Some(given) = $key { rules.$key = Some(given?); })* };
    }
    set!(
        value,
        objects,
        array_items,
        members,
        string_bytes,
        name_bytes
    );
    if let Some(given) = duplicate_names {
        rules.duplicate_names = given?;
    }
    if let (DuplicateNames::Refuse, Some(members)) = (rules.duplicate_names, rules.members)
        && members > NAMES_MAX
        && let Some(field) = map.get("members").or(duplicates)
    {
        return field.refuse(Reason::TooManyNames {
            members,
            max: NAMES_MAX,
        });
    }
    Some(rules)
}

pub(in crate::policy) fn read_path(field: Field<'_>) -> Option<JsonPath> {
    field.parsed(JsonPath::parse, |value, error| Reason::BadPath {
        value,
        error,
    })
}

fn read_value(field: Field<'_>, base: Option<&ValueRule>) -> Option<ValueRule> {
    let map = field.map("{ at: /data, bytes: 300KB }")?;
    let at = match (map.get("at"), base) {
        (None, Some(base)) => Some(base.at.clone()),
        _ => map.require("at").and_then(read_path),
    };
    let bytes = map
        .require("bytes")
        .and_then(|field| field.quantity(parse_size));
    map.deny_unknown();
    Some(ValueRule {
        at: at?,
        bytes: bytes?,
    })
}

fn read_objects(field: Field<'_>, base: Option<&ObjectsRule>) -> Option<ObjectsRule> {
    let map = field.map("{ where: { type: item }, count: 600 }")?;
    let conditions = match (map.get("where"), base) {
        (None, Some(base)) => Some(base.conditions.clone()),
        _ => map.require("where").and_then(read_where),
    };
    let below = map.optional(
        "below",
        base.map_or_else(JsonPath::root, |base| base.below.clone()),
        read_path,
    );
    let count = map.optional("count", base.and_then(|base| base.count), |field| {
        field.count(0, COUNTS_MAX).map(Some)
    });
    let depth = map.optional("depth", base.and_then(|base| base.depth), |field| {
        field.count(0, DEPTH_MAX).map(Some)
    });
    if OBJECT_KINDS.iter().all(|key| map.get(key).is_none()) {
        field.error(Reason::EmptyLimit { keys: OBJECT_KINDS });
    }
    map.deny_unknown();
    Some(ObjectsRule {
        conditions: conditions?,
        below: below?,
        count: count?,
        depth: depth?,
    })
}

/// Members that an object must have, each with a text for its value.
fn read_where(field: Field<'_>) -> Option<Conditions> {
    let map = field.map("{ type: item }")?;
    match map.others().count() {
        0 => field.error(Reason::Empty),
        count if count > CONDITIONS_MAX => field.error(Reason::TooMany {
            count,
            max: CONDITIONS_MAX,
        }),
        _ => {}
    }
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (entry, value) in map.others() {
        if entry.key.len() > CONDITION_BYTES_MAX {
            value.error(Reason::TooLong {
                max: CONDITION_BYTES_MAX,
            });
        } else {
            pairs.extend(
                value
                    .text(CONDITION_BYTES_MAX)
                    .map(|text| (&*entry.key, text)),
            );
        }
    }
    let all = pairs.len() == map.others().count();
    Conditions::new(pairs).filter(|_| all)
}
