//! The meter compared with `serde_json`, which decides validity, and with the tree, which counts.

mod rules;

use self::rules::{POINTERS, all_rules, each_alone};

use proptest::prelude::*;
use serde_json::error::Category;

use super::bodies::{body, damaged, plain_body};
use super::oracle::Tree;
use super::*;

const ITEM: [(&str, &str); 1] = [("type", "item")];

/// Whether `serde_json` accepts the body; `None` if it applies another bound.
fn is_valid(body: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(_) => Some(true),
        Err(error) => {
            let text = error.to_string();
            let own =
                text.starts_with("recursion limit") || text.starts_with("number out of range");
            (!own).then_some(false)
        }
    }
}

/// Whether a valid body may begin like this, as far as `serde_json` can tell.
fn may_continue(body: &[u8]) -> bool {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(_) => true,
        Err(error) => {
            error.classify() == Category::Eof
                || error.to_string().starts_with("number out of range")
        }
    }
}

/// A bound equal to the measurement admits the body, and one less refuses it under this name.
fn is_exactly(
    measured: u64,
    name: &str,
    body: &[u8],
    rules: impl Fn(u64) -> JsonRules,
) -> Result<(), TestCaseError> {
    let text = body.escape_ascii();
    prop_assert_eq!(
        feed_all(&rules(measured), [body]).err(),
        None,
        "{} {} of {}",
        name,
        measured,
        text
    );
    if let Some(less) = measured.checked_sub(1) {
        let breach = feed_all(&rules(less), [body]).err();
        prop_assert_eq!(
            breach.map(Breach::name),
            Some(name),
            "{} {} of {}",
            name,
            measured,
            text
        );
        prop_assert_eq!(breach.and_then(Breach::limit), Some(less));
    }
    Ok(())
}

/// The number of bytes after which the breach is reported, if it is.
fn reported_after(rules: &JsonRules, body: &[u8]) -> Option<(usize, Breach)> {
    let mut meter = Meter::new(Arc::new(rules.clone()), SEED);
    let reported = body.iter().position(|byte| meter.feed(&[*byte]).is_err());
    let breach = meter.finish().err()?;
    Some((reported.map_or(usize::MAX, |at| at + 1), breach))
}

/// The shortest end of a valid body that begins with `start`, which ends in no escape. An open
/// string is completed so that no rule names it.
fn completed(start: &str) -> String {
    let (mut text, mut open) = (start.to_owned(), Vec::new());
    let mut in_text = false;
    for byte in start.bytes() {
        match byte {
            b'"' => in_text = !in_text,
            b'[' if !in_text => open.push(']'),
            b'{' if !in_text => open.push('}'),
            b']' | b'}' if !in_text => drop(open.pop()),
            _ => {}
        }
    }
    if in_text {
        text.push_str("~\"");
    }
    text.extend(open.into_iter().rev());
    for end in ["", ":0"] {
        let at = text.trim_end_matches([']', '}']).len().max(start.len());
        let tried = format!("{}{end}{}", &text[..at], &text[at..]);
        if is_valid(tried.as_bytes()) == Some(true) {
            return tried;
        }
    }
    panic!("{start} cannot be completed as {text}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_body_is_valid_if_serde_json_accepts_it(body in prop_oneof![1 => body(), 4 => damaged()]) {
        let rules = JsonRules {
            depth: DEPTH_MAX,
            ..JsonRules::default()
        };
        let answer = feed_all(&rules, [&*body]);
        if let Some(valid) = is_valid(&body) {
            prop_assert_eq!(
                answer.is_ok(),
                valid,
                "{}: {:?}",
                body.escape_ascii(),
                answer
            );
        }
        if let Err(Breach::Malformed { at }) = answer {
            // Up to that byte, the body is only incomplete.
            let before = &body[..usize::try_from(at).unwrap()];
            prop_assert!(may_continue(before), "{} at {at}", body.escape_ascii());
            let before = feed_all(&rules, [before]);
            prop_assert!(
                matches!(before, Ok(_) | Err(Breach::Truncated)),
                "{} at \
                {at}",
                body.escape_ascii()
            );
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_chunks(
        body in prop_oneof![body(), damaged()],
        rules in all_rules(),
        sizes in prop::collection::vec(0..12_usize, 1..9),
    ) {
        let whole = measure(&rules, &body);
        let mut rest = &*body;
        let cut = sizes.iter().cycle().take(2 * body.len() + 9).map(|size| {
            let chunk;
            (chunk, rest) = rest.split_at(rest.len().min(*size));
            chunk
        });
        let mut chunks: Vec<&[u8]> = cut.collect();
        chunks.push(rest);
        prop_assert_eq!(feed_all(&rules, chunks), whole);
    }

    #[test]
    fn every_rule_counts_what_the_tree_does(
        body in body(),
        cursor in prop::sample::select(POINTERS.to_vec()),
    ) {
        let tree = Tree::parse(&body);
        let ((text, steps), all) = (cursor, tree.all());
        let at = tree.at(steps);
        let most = |counts: &mut dyn Iterator<Item = u64>| counts.max().unwrap_or(0);
        let none = || JsonRules {
            depth: DEPTH_MAX,
            ..JsonRules::default()
        };

        is_exactly(tree.depth(), "json_depth", &body, |depth| JsonRules {
            depth: depth as u32,
            ..none()
        })?;
        let bytes = most(&mut at.iter().map(|value| value.bytes()));
        is_exactly(bytes, "value_bytes", &body, |bytes| JsonRules {
            value: Some(ValueRule {
                at: path(text),
                bytes,
            }),
            ..none()
        })?;
        let count = at.iter().map(|value| value.matches_below(&ITEM)).sum();
        is_exactly(count, "objects_count", &body, |count| {
            items_below(text, Some(count), None)
        })?;
        let nested = most(&mut at.iter().map(|value| value.nested_below(&ITEM)));
        is_exactly(nested, "objects_depth", &body, |depth| {
            items_below(text, None, Some(depth as u32))
        })?;
        let items = most(&mut all.iter().filter_map(|value| value.items()));
        is_exactly(items, "array_items", &body, |items| JsonRules {
            array_items: Some(items),
            ..none()
        })?;
        let members = most(
            &mut all
                .iter()
                .filter_map(|value| value.names())
                .map(|names| names.len() as u64),
        );
        is_exactly(members, "members", &body, |members| JsonRules {
            members: Some(members),
            ..none()
        })?;
        let string = most(
            &mut all
                .iter()
                .filter_map(|value| value.text())
                .map(|text| text.len() as u64),
        );
        is_exactly(string, "string_bytes", &body, |bytes| JsonRules {
            string_bytes: Some(bytes),
            ..none()
        })?;
        let names = all.iter().filter_map(|value| value.names()).flatten();
        let name = most(&mut names.map(|name| name.len() as u64));
        is_exactly(name, "name_bytes", &body, |bytes| JsonRules {
            name_bytes: Some(bytes),
            ..none()
        })?;

        let unique = JsonRules {
            duplicate_names: DuplicateNames::Refuse,
            ..none()
        };
        let twice = tree.has_duplicates().then_some(Breach::DuplicateName);
        prop_assert_eq!(feed_all(&unique, [&*body]).err(), twice);
        let items: Vec<u64> = at.iter().filter_map(|value| value.items()).collect();
        let items = (!items.is_empty()).then(|| items.iter().sum());
        prop_assert_eq!(
            feed_all(
                &JsonRules {
                    items: Some(path(text)),
                    ..none()
                },
                [&*body]
            ),
            Ok(Measurements { items })
        );
    }

    #[test]
    fn of_several_rules_the_first_broken_one_is_reported(body in body(), rules in all_rules()) {
        let alone: Vec<_> = each_alone(&rules)
            .iter()
            .filter_map(|rules| reported_after(rules, &body))
            .collect();
        let first = alone.iter().map(|(after, _)| *after).min();
        let together = reported_after(&rules, &body);
        prop_assert_eq!(together.map(|(after, _)| after), first);
        if let Some(breach) = together {
            prop_assert!(alone.contains(&breach), "{breach:?} is none of {alone:?}");
        }
    }

    #[test]
    fn objects_are_refused_by_the_byte_that_proves_it(
        body in plain_body(),
        cursor in prop::sample::select(POINTERS.to_vec()),
        limit in 0..4_u64,
    ) {
        let (text, steps) = cursor;
        for (rules, measured) in [
            (
                items_below(text, Some(limit), None),
                Tree::matches_below as fn(&Tree, &[(&str, &str)]) -> u64,
            ),
            (
                items_below(text, None, Some(limit as u32)),
                Tree::nested_below,
            ),
        ] {
            let Some((after, _)) = reported_after(&rules, body.as_bytes()) else {
                continue;
            };
            // With one byte less, the body could continue and be valid.
            let harmless = completed(&body[..after - 1]);
            let tree = Tree::parse(harmless.as_bytes());
            prop_assert_eq!(feed_all(&rules, [harmless.as_bytes()]).err(), None);
            prop_assert!(
                tree.at(steps)
                    .into_iter()
                    .all(|value| measured(value, &ITEM) <= limit),
                "{}",
                harmless
            );
        }
    }

    #[test]
    fn a_truncated_body_is_malformed(body in body()) {
        let rules = JsonRules::default();
        for end in 0..body.len() {
            let start = &body[..end];
            let answer = feed_all(&rules, [start]);
            let valid = is_valid(start) == Some(true);
            prop_assert_eq!(
                answer,
                if valid {
                    Ok(Measurements { items: None })
                } else {
                    Err(Breach::Truncated)
                }
            );
        }
    }
}
