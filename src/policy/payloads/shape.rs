//! The shape that the JSON of a body may have.

use super::super::document::Value;
use super::super::error::Reason;
use super::super::language as lang;
use super::super::media::MediaRange;
use super::super::reader::{Field, MapField};
use crate::payload::json::{
    CONDITION_BYTES_MAX, CONDITIONS_MAX, Conditions, DuplicateNames, JsonPath, JsonRules,
    NAMES_MAX, ObjectsRule, ValueRule,
};

/// Reads `json` of a payload limit, and the media types that are read as JSON.
pub(super) fn read(map: &MapField<'_, lang::JsonShape>) -> Option<(JsonRules, Vec<MediaRange>)> {
    let content_types = map.read_with(lang::JsonShape::CONTENT_TYPES, |_, list| {
        list.each(|_, range| Some(range))
    });
    let depth = map.read(lang::JsonShape::DEPTH);
    let value = map.read_with(lang::JsonShape::VALUE, |_, map| read_value(&map));
    let objects = map.read_with(lang::JsonShape::OBJECTS, |_, map| read_objects(&map));
    let array_items = map.read(lang::JsonShape::ARRAY_ITEMS);
    let members = map.read(lang::JsonShape::MEMBERS);
    let string_bytes = map.read(lang::JsonShape::STRING_BYTES);
    let name_bytes = map.read(lang::JsonShape::NAME_BYTES);
    let duplicate_names = map.read(lang::JsonShape::DUPLICATE_NAMES);
    map.finish();
    let rules = JsonRules {
        depth: depth?,
        value: value?,
        objects: objects?,
        array_items: array_items?,
        members: members?,
        string_bytes: string_bytes?,
        name_bytes: name_bytes?,
        duplicate_names: duplicate_names?,
        ..JsonRules::default()
    };
    if let Some(field) = map.value(lang::JsonShape::MEMBERS) {
        check_names(&rules, &field)?;
    }
    Some((rules, content_types?.unwrap_or_default()))
}

/// Reads `json` of an override of `base`.
pub(super) fn read_override(
    map: &MapField<'_, lang::JsonShapeOverride>,
    base: Option<&JsonRules>,
) -> Option<JsonRules> {
    let base = base.cloned().unwrap_or_default();
    let depth = map.read(lang::JsonShapeOverride::DEPTH);
    let value = map.read_with(lang::JsonShapeOverride::VALUE, |_, map| {
        override_value(&map, base.value.as_ref())
    });
    let objects = map.read_with(lang::JsonShapeOverride::OBJECTS, |_, map| {
        override_objects(&map, base.objects.as_ref())
    });
    let array_items = map.read(lang::JsonShapeOverride::ARRAY_ITEMS);
    let members = map.read(lang::JsonShapeOverride::MEMBERS);
    let string_bytes = map.read(lang::JsonShapeOverride::STRING_BYTES);
    let name_bytes = map.read(lang::JsonShapeOverride::NAME_BYTES);
    let duplicate_names = map.read(lang::JsonShapeOverride::DUPLICATE_NAMES);
    let duplicates_field = map.value(lang::JsonShapeOverride::DUPLICATE_NAMES);
    let members_field = map.value(lang::JsonShapeOverride::MEMBERS);
    if let (Some(field), None, None) = (&duplicates_field, &members_field, base.members) {
        field.error(Reason::RequiresSibling {
            sibling: lang::NAMES_TO_REMEMBER,
        });
    }
    map.finish();
    let rules = JsonRules {
        depth: depth?.unwrap_or(base.depth),
        value: value?.or(base.value),
        objects: objects?.or(base.objects),
        array_items: array_items?.or(base.array_items),
        members: members?.or(base.members),
        string_bytes: string_bytes?.or(base.string_bytes),
        name_bytes: name_bytes?.or(base.name_bytes),
        duplicate_names: duplicate_names?.unwrap_or(base.duplicate_names),
        items: base.items,
    };
    if let Some(field) = members_field.or(duplicates_field) {
        check_names(&rules, &field)?;
    }
    Some(rules)
}

/// Reports at `field` that there may be more names than can be compared.
fn check_names(rules: &JsonRules, field: &Field<'_>) -> Option<()> {
    match (rules.duplicate_names, rules.members) {
        (DuplicateNames::Refuse, Some(members)) if members > NAMES_MAX => {
            field.refuse(Reason::TooManyNames {
                members,
                max: NAMES_MAX,
            })
        }
        (DuplicateNames::Refuse | DuplicateNames::Allow, _) => Some(()),
    }
}

fn read_value(map: &MapField<'_, lang::JsonValue>) -> Option<ValueRule> {
    let at = map.read(lang::JsonValue::AT);
    let bytes = map.read(lang::JsonValue::BYTES);
    map.finish();
    Some(ValueRule {
        at: at?,
        bytes: bytes?,
    })
}

fn override_value(
    map: &MapField<'_, lang::JsonValueOverride>,
    base: Option<&ValueRule>,
) -> Option<ValueRule> {
    let at = map.read(lang::JsonValueOverride::AT);
    if let (Some(None), None) = (&at, base) {
        map.missing(lang::JsonValueOverride::AT);
    }
    let bytes = map.read(lang::JsonValueOverride::BYTES);
    map.finish();
    Some(ValueRule {
        at: at?.or_else(|| base.map(|base| base.at.clone()))?,
        bytes: bytes?,
    })
}

fn read_objects(map: &MapField<'_, lang::JsonObjects>) -> Option<ObjectsRule> {
    let conditions = map.read_with(lang::JsonObjects::WHERE, |_, map| read_members(&map));
    let below = map.read(lang::JsonObjects::BELOW);
    let count = map.read(lang::JsonObjects::COUNT);
    let depth = map.read(lang::JsonObjects::DEPTH);
    map.finish();
    Some(ObjectsRule {
        conditions: conditions?,
        below: below?.unwrap_or_else(JsonPath::root),
        count: count?,
        depth: depth?,
    })
}

fn override_objects(
    map: &MapField<'_, lang::JsonObjectsOverride>,
    base: Option<&ObjectsRule>,
) -> Option<ObjectsRule> {
    let conditions = map.read_with(lang::JsonObjectsOverride::WHERE, |_, map| {
        read_members(&map)
    });
    if let (Some(None), None) = (&conditions, base) {
        map.missing(lang::JsonObjectsOverride::WHERE);
    }
    let below = map.read(lang::JsonObjectsOverride::BELOW);
    let count = map.read(lang::JsonObjectsOverride::COUNT);
    let depth = map.read(lang::JsonObjectsOverride::DEPTH);
    map.finish();
    let base_below = base.map_or_else(JsonPath::root, |base| base.below.clone());
    Some(ObjectsRule {
        conditions: conditions?.or_else(|| base.map(|base| base.conditions.clone()))?,
        below: below?.unwrap_or(base_below),
        count: count?.or(base.and_then(|base| base.count)),
        depth: depth?.or(base.and_then(|base| base.depth)),
    })
}

/// Members that an object must have, each with a text for its value.
fn read_members(map: &MapField<'_, lang::Members>) -> Option<Conditions> {
    match map.rest().count() {
        0 => map.field().error(Reason::Empty),
        count if count > CONDITIONS_MAX => map.field().error(Reason::TooMany {
            count,
            max: CONDITIONS_MAX,
        }),
        _ => {}
    }
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (entry, value) in map.rest() {
        if entry.key.len() > CONDITION_BYTES_MAX {
            value.error(Reason::TooLong {
                max: CONDITION_BYTES_MAX,
            });
        } else if value.text(CONDITION_BYTES_MAX).is_some()
            && let Value::String(text) = &entry.value.value
        {
            pairs.push((&*entry.key, text));
        }
    }
    let all = pairs.len() == map.rest().count();
    Conditions::new(pairs).filter(|_| all)
}
