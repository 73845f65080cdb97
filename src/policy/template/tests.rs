//! Templates against a slow reader, and values that try to break out of their place.

use proptest::prelude::*;

use super::*;
use crate::policy::attributes::Attributes;

const ATTRIBUTE: AttributeId = Attributes::CREDENTIAL;

fn parse(text: &str, known: &[Word]) -> Result<Template, Vec<Unknown>> {
    Template::parse(text, known, |name| (name == "plan").then_some(ATTRIBUTE))
}

fn template(text: &str) -> Template {
    parse(text, REFUSED).unwrap()
}

/// Shows a placeholder as itself.
fn shown(placeholder: Placeholder, out: &mut String) -> bool {
    out.push_str(&format!("<{placeholder:?}>"));
    true
}

fn rendered(text: &str) -> String {
    template(text).body(Escape::Plain, shown)
}

#[test]
fn json_needs_no_escapes() {
    assert_eq!(
        rendered(r#"{"error":{"traceId":"{trace_id}","units":{quota},"of":"{limit}"}}"#),
        r#"{"error":{"traceId":"<TraceId>","units":<Quota>,"of":"<Limit>"}}"#
    );
    for text in [
        "",
        "{",
        "}",
        "{}",
        "{{",
        "a{b",
        "{A}",
        "{ limit }",
        "{a b:c}",
        "{:ms}",
    ] {
        assert_eq!(rendered(text), text);
    }
    assert_eq!(rendered("{{limit}}"), "{<Limit>}");
}

#[test]
fn every_form_of_every_word_is_read() {
    let mut texts = Vec::new();
    for word in REFUSED {
        let name = word.name();
        match word.suffix() {
            Suffix::None => texts.push(format!("{{{name}}}")),
            Suffix::Attribute => texts.push(format!("{{{name}:plan}}")),
            Suffix::Form(forms) => {
                texts.push(format!("{{{name}}}"));
                texts.extend(forms.iter().map(|form| format!("{{{name}:{form}}}")));
            }
        }
    }
    assert_eq!(texts.len(), 13 + 1 + 5 + 3 * 11 + 7 - 1);
    for text in &texts {
        assert_eq!(template(text).placeholders().count(), 1, "{text}");
    }
    assert_eq!(template("{reset}"), template("{reset:seconds}"));
    assert_eq!(template("{now}"), template("{now:iso8601}"));
}

#[test]
fn every_unknown_placeholder_and_form_is_named() {
    let unknown = |text, known: &[Word]| parse(text, known).unwrap_err();
    let word = |text: &str| Unknown::Word(text.to_owned());
    let form = |value: &str, word| Unknown::Form {
        value: value.to_owned(),
        word,
    };
    assert_eq!(
        unknown("{trace} {limit} {name:ms}", REFUSED),
        [word("{trace}"), word("{name:ms}")]
    );
    assert_eq!(
        unknown("{trace_id} {limit}", &[Word::TraceId]),
        [word("{limit}")]
    );
    assert_eq!(
        unknown(
            "{reset:minutes} {reset:} {limit:ms} {window:unix} {now:ms} {attribute}",
            REFUSED
        ),
        [
            form("{reset:minutes}", Word::Reset),
            form("{reset:}", Word::Reset),
            form("{limit:ms}", Word::Limit),
            form("{window:unix}", Word::Window),
            form("{now:ms}", Word::Now),
            form("{attribute}", Word::Attribute),
        ]
    );
    // The look-up of the attribute has reported it.
    assert_eq!(unknown("{attribute:other}", REFUSED), []);
}

#[test]
fn a_missing_value_is_empty_in_a_body_and_omits_a_header() {
    let template = template(r#"{"a":"{limit}","b":{retry_after}}"#);
    let none = |_, _: &mut String| false;
    assert_eq!(template.body(Escape::Plain, none), r#"{"a":"","b":}"#);
    assert_eq!(template.body(Escape::Markup, none), r#"{"a":"","b":}"#);
    assert_eq!(template.body(Escape::Json, none), r#"{"a":"","b":null}"#);
    let mut out = String::from("before");
    assert!(!template.header(&mut out, none));
    assert_eq!(out, "before");
    assert!(template.header(&mut out, shown));
    assert_eq!(
        out,
        r#"before{"a":"<Limit>","b":<RetryAfter(Span(Seconds))>}"#
    );
}

#[test]
fn outside_of_a_string_of_json_text_becomes_one_and_a_number_does_not() {
    let value = |placeholder, out: &mut String| {
        out.push_str(if placeholder == Placeholder::Quota {
            "7"
        } else {
            "a\"b"
        });
        true
    };
    let body = |text| template(text).body(Escape::Json, value);
    assert_eq!(
        body(r#"{"q":{quota},"l":{label},"s":"{label} of {quota}","\"":{now}}"#),
        r#"{"q":7,"l":"a\"b","s":"a\"b of 7","\"":"a\"b"}"#
    );
}

#[test]
fn the_media_type_decides_how_values_are_escaped() {
    for (content_type, escape) in [
        ("application/json", Escape::Json),
        ("Application/Problem+JSON; charset=utf-8", Escape::Json),
        ("text/html;charset=utf-8", Escape::Markup),
        ("application/xhtml+xml", Escape::Markup),
        ("image/svg+xml", Escape::Markup),
        ("text/plain", Escape::Plain),
        ("text/plain; a=b+json", Escape::Plain),
        ("application/javascript", Escape::Plain),
    ] {
        assert_eq!(Escape::of(content_type), escape, "{content_type}");
    }
    let mut out = String::new();
    Escape::Markup.write(&mut out, "<a href='\"'>&\0\u{b}\t\u{7f}é");
    assert_eq!(out, "&lt;a href=&#39;&quot;&#39;&gt;&amp;\té");
}

/// A character that a reader of headers takes for the end of a line, or of the text.
fn breaks_a_header(value: &str) -> bool {
    value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

proptest! {
    #[test]
    fn a_string_of_json_is_escaped_as_another_library_reads_it(value: String) {
        let mut out = String::from("\"");
        Escape::Json.write(&mut out, &value);
        out.push('"');
        prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
    }

    #[test]
    fn no_value_breaks_a_body_or_a_header(value: String, present: bool) {
        let template = template(r#"{"a\\":"{label}{attribute:plan}","b":[{route},{limit}]}"#);
        let fill = |_, out: &mut String| {
            out.push_str(&value);
            present
        };
        let body = template.body(Escape::Json, fill);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        prop_assert_eq!(keys, ["a\\", "b"]);
        let mut header = String::new();
        prop_assert_eq!(template.header(&mut header, fill), present);
        prop_assert!(!breaks_a_header(&header) && header.chars().all(fits_header));
    }

    /// The oracle replaces one placeholder after the other.
    #[test]
    fn a_template_is_cut_as_a_slow_reader_cuts_it(
        pieces in prop::collection::vec(
            prop_oneof!["[a-z{}:\" \\\\]{0,6}", Just("{limit}".to_owned()),
                Just("{reset:ms}".to_owned()), Just("{attribute:plan}".to_owned())],
            0..9,
        )
    ) {
        let text = pieces.concat();
        let oracle = ["{limit}", "{reset:ms}", "{attribute:plan}", "{reset}", "{more}"]
            .iter()
            .fold(text.clone(), |text, place| text.replace(place, "\u{1}"));
        let whole = parse(&text, REFUSED);
        match whole {
            Ok(template) => {
                let cut = template.body(Escape::Plain, |_, out| {
                    out.push('\u{1}');
                    true
                });
                prop_assert_eq!(cut, oracle);
            }
            Err(unknown) => {
                let is_reported = oracle.contains("{attribute:");
                prop_assert!(!unknown.is_empty() || is_reported);
            }
        }
    }
}
