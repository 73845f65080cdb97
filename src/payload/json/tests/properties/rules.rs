//! Rules that any body may break, each alone and several at once.

use super::*;

/// Pointers with their steps.
pub(super) const POINTERS: [(&str, &[&str]); 9] = [
    ("", &[]),
    ("/a", &["a"]),
    ("/0", &["0"]),
    ("/1", &["1"]),
    ("/b/a", &["b", "a"]),
    ("/", &[""]),
    ("/0/a", &["0", "a"]),
    ("/a/0/b", &["a", "0", "b"]),
    ("/ü", &["ü"]),
];

pub(super) fn all_rules() -> impl Strategy<Value = JsonRules> {
    let cursor = || prop::sample::select(POINTERS.to_vec()).prop_map(|(text, _)| path(text));
    let limit = || prop::option::of(0..6_u64);
    (
        (
            0..8_u32,
            prop::option::of((cursor(), 0..40_u64)),
            prop::option::of((cursor(), limit(), limit())),
        ),
        (
            limit(),
            limit(),
            limit(),
            limit(),
            any::<bool>(),
            prop::option::of(cursor()),
        ),
    )
        .prop_map(
            |(
                (depth, value, objects),
                (array_items, members, string_bytes, name_bytes, unique, items),
            )| {
                JsonRules {
                    depth,
                    value: value.map(|(at, bytes)| ValueRule { at, bytes }),
                    objects: objects.map(|(below, count, depth)| ObjectsRule {
                        conditions: Conditions::new(ITEM).unwrap(),
                        below,
                        count,
                        depth: depth.map(|depth| depth as u32),
                    }),
                    array_items,
                    members,
                    string_bytes,
                    name_bytes,
                    duplicate_names: if unique {
                        DuplicateNames::Refuse
                    } else {
                        DuplicateNames::Allow
                    },
                    items,
                }
            },
        )
}

/// Each rule of `all` alone.
pub(super) fn each_alone(all: &JsonRules) -> Vec<JsonRules> {
    let none = || JsonRules {
        depth: DEPTH_MAX,
        ..JsonRules::default()
    };
    vec![
        JsonRules {
            depth: all.depth,
            ..none()
        },
        JsonRules {
            value: all.value.clone(),
            ..none()
        },
        JsonRules {
            objects: all.objects.clone().map(|rule| ObjectsRule {
                count: None,
                ..rule
            }),
            ..none()
        },
        JsonRules {
            objects: all.objects.clone().map(|rule| ObjectsRule {
                depth: None,
                ..rule
            }),
            ..none()
        },
        JsonRules {
            array_items: all.array_items,
            ..none()
        },
        JsonRules {
            members: all.members,
            ..none()
        },
        JsonRules {
            string_bytes: all.string_bytes,
            ..none()
        },
        JsonRules {
            name_bytes: all.name_bytes,
            ..none()
        },
        JsonRules {
            duplicate_names: all.duplicate_names,
            ..none()
        },
    ]
}
