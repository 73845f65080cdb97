//! Any bytes as a template and as the values that fill it: no value breaks a body or a header.
#![no_main]

use sluicegate::policy::template::{
    Escape, IN_FIELDS, PAYLOAD, Placeholder, REFUSED, Template, UNAUTHORIZED, Unknown, fits_header,
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The first line is the template, the rest the value of each text.
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (text, value) = data.split_at(end);
    let value = String::from_utf8_lossy(value);
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    for known in [IN_FIELDS, REFUSED, PAYLOAD, UNAUTHORIZED] {
        match Template::parse(text, known, |_| None) {
            Ok(template) => fill(&template, &value),
            Err(unknown) => {
                for unknown in unknown {
                    let (Unknown::Word(written) | Unknown::Form { value: written, .. }) = unknown;
                    assert!(text.contains(&written), "{written}");
                }
            }
        }
    }
});

fn is_number(placeholder: Placeholder) -> bool {
    matches!(
        placeholder,
        Placeholder::Quota
            | Placeholder::Remaining
            | Placeholder::Used
            | Placeholder::Overage
            | Placeholder::Max
            | Placeholder::Status
    )
}

fn is_text(placeholder: Placeholder) -> bool {
    matches!(
        placeholder,
        Placeholder::Limit
            | Placeholder::Label
            | Placeholder::Policy
            | Placeholder::Route
            | Placeholder::TraceId
            | Placeholder::Reason
            | Placeholder::Title
            | Placeholder::Detail
    )
}

fn fill(template: &Template, value: &str) {
    let hostile = |placeholder: Placeholder, out: &mut String| {
        if is_text(placeholder) {
            out.push_str(value);
        } else {
            out.push('0');
        }
        true
    };
    // A body that is JSON with harmless values is JSON with any.
    let harmless = template.body(Escape::Json, |placeholder, out| {
        out.push_str(if is_number(placeholder) || !is_text(placeholder) {
            "0"
        } else {
            "a"
        });
        true
    });
    if serde_json::from_str::<serde_json::Value>(&harmless).is_ok() {
        let filled = template.body(Escape::Json, hostile);
        let json = serde_json::from_str::<serde_json::Value>(&filled);
        assert!(json.is_ok(), "{filled}");
    }
    // The same without values, unless a number is a part of a longer one, as in `6{used}`.
    let whole = template.body(Escape::Json, |placeholder, out| {
        out.push_str(if is_text(placeholder) { "a" } else { "true" });
        true
    });
    let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    if is_json(&harmless) && is_json(&whole) {
        let empty = template.body(Escape::Json, |_, _| false);
        let json = serde_json::from_str::<serde_json::Value>(&empty);
        assert!(json.is_ok(), "{empty}");
    }
    let marks = |text: &str| text.matches(['<', '>', '"']).count();
    let plain: usize = template.texts().map(marks).sum();
    assert_eq!(marks(&template.body(Escape::Markup, hostile)), plain);
    let mut header = String::new();
    assert!(template.header(&mut header, hostile));
    let fits: usize = template
        .texts()
        .map(|text| text.chars().filter(|it| !fits_header(*it)).count())
        .sum();
    assert_eq!(header.chars().filter(|it| !fits_header(*it)).count(), fits);
    assert!(!template.header(&mut header, |_, _| false) || template.placeholders().count() == 0);
}
