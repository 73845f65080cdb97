//! Any bytes as JSON. The result must be that of another parser, and the same in two pieces.
#![no_main]

use std::sync::Arc;

use sluicegate::payload::json::{
    Breach, Conditions, DuplicateNames, JsonPath, JsonRules, Measurements, Meter, ObjectsRule,
    ValueRule,
};

mod support;

/// Whether another parser accepts it; `None` for numbers that no float represents, and for deep
/// nesting, which that parser refuses.
fn is_json(body: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(_) => Some(true),
        Err(error) => {
            let text = error.to_string();
            (!text.contains("number out of range") && !text.contains("recursion limit"))
                .then_some(false)
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (body, head, tail) = support::cut(data);
    let run = |rules: &Arc<JsonRules>, pieces: &[&[u8]]| -> Result<Measurements, Breach> {
        let mut meter = Meter::new(Arc::clone(rules), 7);
        for piece in pieces {
            meter.feed(piece)?;
        }
        meter.finish()
    };
    let valid = Arc::new(JsonRules {
        depth: 128,
        ..JsonRules::default()
    });
    let answer = run(&valid, &[body]);
    assert_eq!(answer, run(&valid, &[head, tail]), "cut at {}", head.len());
    if !matches!(answer, Err(Breach::Depth { .. }))
        && let Some(expected) = is_json(body)
    {
        assert_eq!(answer.is_ok(), expected, "{answer:?}");
    }
    let path = |text: &str| JsonPath::parse(text).expect("a path");
    let conditions = Conditions::new([("type", "item")]).expect("one condition");
    let bounded = Arc::new(JsonRules {
        depth: 5,
        value: Some(ValueRule {
            at: path("/a"),
            bytes: 9,
        }),
        objects: Some(ObjectsRule {
            conditions,
            below: path(""),
            count: Some(2),
            depth: Some(1),
        }),
        array_items: Some(3),
        members: Some(4),
        string_bytes: Some(6),
        name_bytes: Some(5),
        items: Some(path("/b/0")),
        ..JsonRules::default()
    });
    let unique = Arc::new(JsonRules {
        duplicate_names: DuplicateNames::Refuse,
        members: Some(9),
        ..JsonRules::default()
    });
    for rules in [bounded, unique] {
        assert_eq!(
            run(&rules, &[body]),
            run(&rules, &[head, tail]),
            "cut at {}",
            head.len()
        );
    }
});
