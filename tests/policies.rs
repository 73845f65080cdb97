//! The corpus of policies: which are valid, which are not, and the messages.
//!
//! A file `bad_*.yaml` begins with its expected errors, one a line, as `sluicegate check` prints
//! them after the file's name: `# expect: LINE: POINTER: RULE`. All but one have exactly one error.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use prost::Message as _;
use sluicegate::base::time::Timestamp;
use sluicegate::policy::Policy;
use sluicegate::policy::directory::Lookup;
use sluicegate::policy::document::{
    Node, Rule, SyntaxError, Value, from_configuration, from_json, from_yaml,
};
use sluicegate::policy::error::{PolicyError, Reason};

/// The only file with more than one error.
const MANY: &str = "bad_many_at_once.yaml";

/// The files of the corpus with this prefix, sorted by name.
fn corpus(start: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .filter(|(name, _)| name.starts_with(start))
        .collect();
    files.sort();
    files
}

fn expected(text: &str) -> Vec<&str> {
    text.lines()
        .map_while(|line| line.strip_prefix("# expect: "))
        .collect()
}

/// The errors of a policy in YAML, with lines.
fn errors_of(text: &str) -> Vec<String> {
    match from_yaml(text) {
        Ok(document) => errors(&document)
            .iter()
            .map(|error| format!("{}: {error}", error.line))
            .collect(),
        Err(error) => vec![syntax_error(&error)],
    }
}

fn syntax_error(error: &SyntaxError) -> String {
    let numbers = [error.line, error.column].map(|number| number.to_string());
    let place: Vec<&str> = numbers
        .iter()
        .map(String::as_str)
        .filter(|number| *number != "0")
        .collect();
    let pointer = error
        .pointer
        .as_deref()
        .filter(|pointer| !pointer.is_empty())
        .unwrap_or("/");
    let place = if place.is_empty() {
        String::new()
    } else {
        place.join(":") + ": "
    };
    format!("{place}{pointer}: {}", error.rule)
}

fn errors(document: &Node) -> Vec<PolicyError> {
    Policy::compile(document).err().unwrap_or_default()
}

/// The errors without lines and unordered, since the keys of a `Struct` have neither.
fn lineless(document: &Node) -> BTreeSet<String> {
    errors(document)
        .iter()
        .map(PolicyError::to_string)
        .collect()
}

fn as_struct(node: &Node) -> prost_types::Struct {
    let Value::Map(entries) = &node.value else {
        panic!("only a map is a Struct")
    };
    let fields = entries
        .iter()
        .map(|entry| (entry.key.to_string(), as_value(&entry.value)))
        .collect();
    prost_types::Struct { fields }
}

fn as_value(node: &Node) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match &node.value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(*truth),
        Value::Number(text) => Kind::NumberValue(text.parse().unwrap()),
        Value::String(text) => Kind::StringValue(text.to_string()),
        Value::List(items) => Kind::ListValue(prost_types::ListValue {
            values: items.iter().map(as_value).collect(),
        }),
        Value::Map(_) => Kind::StructValue(as_struct(node)),
    };
    prost_types::Value { kind: Some(kind) }
}

#[test]
fn every_error_has_its_line_and_pointer() {
    let files = corpus("bad_");
    for (name, text) in &files {
        let expected = expected(text);
        assert_eq!(expected.len() == 1, name != MANY, "{name}: one error each");
        assert_eq!(errors_of(text), expected, "{name}");
    }
    assert!(files.len() >= 490, "only {} files", files.len());
}

#[test]
fn many_errors_are_reported_at_once_and_in_order() {
    let (_, text) = corpus(MANY).pop().unwrap();
    let errors = errors(&from_yaml(&text).unwrap());
    assert!(errors.len() > 20, "{errors:#?}");
    assert!(errors.is_sorted_by_key(|error| error.line), "{errors:#?}");
    let places: BTreeSet<_> = errors
        .iter()
        .map(|error| (&error.at, error.reason.to_string()))
        .collect();
    assert_eq!(places.len(), errors.len(), "none is reported twice");
}

#[test]
fn the_forms_of_a_policy_have_the_same_errors() {
    for (name, text) in corpus("") {
        let Ok(document) = from_yaml(&text) else {
            continue;
        };
        let Value::Map(_) = &document.value else {
            continue;
        };
        let json = from_configuration(document.to_json().as_bytes()).unwrap();
        let bytes = from_configuration(&as_struct(&document).encode_to_vec()).unwrap();
        assert_eq!(lineless(&json), lineless(&document), "{name} as JSON");
        assert_eq!(lineless(&bytes), lineless(&document), "{name} as a Struct");
        assert!(
            errors(&json)
                .iter()
                .chain(&errors(&bytes))
                .all(|error| error.line == 0),
            "{name}"
        );
    }
}

#[test]
fn a_valid_policy_is_valid_in_every_form() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("envoy/presets");
    let shipped = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let shipped = shipped.map(|path| {
        (
            path.display().to_string(),
            std::fs::read_to_string(path).unwrap(),
        )
    });
    for (name, text) in corpus("ok_").into_iter().chain(shipped) {
        let document = from_yaml(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            errors(&document).is_empty(),
            "{name}: {:#?}",
            errors(&document)
        );
        let json = from_json(document.to_json().as_bytes()).unwrap();
        assert!(errors(&json).is_empty(), "{name} as JSON");
        let bytes = from_configuration(&as_struct(&document).encode_to_vec()).unwrap();
        assert!(errors(&bytes).is_empty(), "{name} as a Struct");
    }
}

/// A new reason stops this from compiling: add a file for it, and its name here.
#[expect(clippy::too_many_lines, reason = "one table: a word for each reason")]
fn reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::UnknownKey { .. } => "UnknownKey",
        Reason::Missing => "Missing",
        Reason::NotA { .. } => "NotA",
        Reason::NotAMap { .. } => "NotAMap",
        Reason::NotANumber { .. } => "NotANumber",
        Reason::NotAWord { .. } => "NotAWord",
        Reason::OutOfRange { .. } => "OutOfRange",
        Reason::NotOneOf { .. } => "NotOneOf",
        Reason::NoSuchAttribute { .. } => "NoSuchAttribute",
        Reason::Empty => "Empty",
        Reason::TooMany { .. } => "TooMany",
        Reason::TooManyCombinations(_) => "TooManyCombinations",
        Reason::TooManyCombinationsInAll(_) => "TooManyCombinationsInAll",
        Reason::TooLong { .. } => "TooLong",
        Reason::BadName { .. } => "BadName",
        Reason::BadLabel { .. } => "BadLabel",
        Reason::BadRevision(_) => "BadRevision",
        Reason::AllExcluded => "AllExcluded",
        Reason::NothingToKeyBy(_) => "NothingToKeyBy",
        Reason::ReservedName { .. } => "ReservedName",
        Reason::ReservedCredential { .. } => "ReservedCredential",
        Reason::Refused(_) => "Refused",
        Reason::Usage(_) => "Usage",
        Reason::CredentialsName { .. } => "CredentialsName",
        Reason::TooManyAttributes { .. } => "TooManyAttributes",
        Reason::Duplicate { .. } => "Duplicate",
        Reason::NameNeeded { .. } => "NameNeeded",
        Reason::BadRoute { .. } => "BadRoute",
        Reason::BadUnit { .. } => "BadUnit",
        Reason::SpanOutOfRange { .. } => "SpanOutOfRange",
        Reason::BadDigest => "BadDigest",
        Reason::BadToken { .. } => "BadToken",
        Reason::BadMediaType { .. } => "BadMediaType",
        Reason::BadStatus { .. } => "BadStatus",
        Reason::BadMediaRange { .. } => "BadMediaRange",
        Reason::NotOneSource { .. } => "NotOneSource",
        Reason::RequiresSibling { .. } => "RequiresSibling",
        Reason::NamespaceAlone => "NamespaceAlone",
        Reason::Untrusted => "Untrusted",
        Reason::HostHeader => "HostHeader",
        Reason::ConnectionHeader { .. } => "ConnectionHeader",
        Reason::PseudoHeader(_) => "PseudoHeader",
        Reason::BadHost { .. } => "BadHost",
        Reason::BadNetwork { .. } => "BadNetwork",
        Reason::NoLabel(_) => "NoLabel",
        Reason::NotTrue => "NotTrue",
        Reason::SecretAsAttribute { .. } => "SecretAsAttribute",
        Reason::AfterConstant(_) => "AfterConstant",
        Reason::NoCapture { .. } => "NoCapture",
        // The reason within counts, too.
        Reason::InEntry { reason: inner, .. } => self::reason(inner),
        Reason::NoAcceptedCredential => "NoAcceptedCredential",
        Reason::MethodInPath => "MethodInPath",
        Reason::CaptureIsAttribute { .. } => "CaptureIsAttribute",
        Reason::NeverReached { .. } => "NeverReached",
        Reason::Contradiction { .. } => "Contradiction",
        Reason::ChosenNumber(_) => "ChosenNumber",
        Reason::WindowTooLong => "WindowTooLong",
        Reason::CostAboveQuota { .. } => "CostAboveQuota",
        Reason::OverridesNothing { .. } => "OverridesNothing",
        Reason::EmptyLimit { .. } => "EmptyLimit",
        Reason::TooManyNames { .. } => "TooManyNames",
        Reason::BadPath { .. } => "BadPath",
        Reason::NoSuchZone { .. } => "NoSuchZone",
        Reason::BadPlaceholder { .. } => "BadPlaceholder",
        Reason::BadForm { .. } => "BadForm",
        Reason::BadRefusalStatus { .. } => "BadRefusalStatus",
        Reason::NotSettable { .. } => "NotSettable",
        Reason::BadHeaderValue => "BadHeaderValue",
        Reason::BodyWithoutType { .. } => "BodyWithoutType",
    }
}

/// The name of a rule that a small YAML document can break; `None` for rules of JSON or of a
/// `Struct`, and for bounds of megabytes, which have unit tests.
fn rule(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::EmptyDocument => "EmptyDocument",
        Rule::TooDeep => "TooDeep",
        Rule::RepeatedKey => "RepeatedKey",
        Rule::NumberTooLarge => "NumberTooLarge",
        Rule::NumberNotFinite => "NumberNotFinite",
        Rule::KeyNotString => "KeyNotString",
        Rule::ThousandsSeparator => "ThousandsSeparator",
        Rule::SeveralDocuments => "SeveralDocuments",
        Rule::TooManyCopies => "TooManyCopies",
        Rule::UnknownAlias => "UnknownAlias",
        Rule::AliasAcrossDirectory => "AliasAcrossDirectory",
        Rule::UnknownTag => "UnknownTag",
        Rule::UnknownEscape => "UnknownEscape",
        Rule::Tab => "Tab",
        Rule::WrongIndentation => "WrongIndentation",
        Rule::NestedMapping => "NestedMapping",
        Rule::MissingKey => "MissingKey",
        Rule::UnclosedQuote => "UnclosedQuote",
        Rule::TextAfterQuote => "TextAfterQuote",
        Rule::UnclosedBracket => "UnclosedBracket",
        Rule::StrayBracket => "StrayBracket",
        Rule::ReservedCharacter => "ReservedCharacter",
        Rule::NotYaml => "NotYaml",
        Rule::EmptyConfiguration
        | Rule::UnknownForm
        | Rule::NotStruct
        | Rule::ValueWithoutKind
        | Rule::EarlyEnd
        | Rule::TrailingText
        | Rule::TrailingComma
        | Rule::MissingComma
        | Rule::MissingColon
        | Rule::NotUnicode
        | Rule::ControlCharacter
        | Rule::NotJson
        | Rule::TooLarge
        | Rule::TooManyNodes => return None,
    })
}

#[test]
fn the_corpus_has_every_reason_and_every_rule() {
    let (mut reasons, mut rules) = (BTreeSet::new(), BTreeSet::new());
    for (_, text) in corpus("bad_") {
        match from_yaml(&text) {
            Ok(document) => {
                reasons.extend(errors(&document).iter().map(|error| reason(&error.reason)))
            }
            Err(error) => rules.extend(rule(error.rule)),
        }
    }
    assert_eq!(
        (reasons.len(), rules.len()),
        (68, 23),
        "{reasons:?}
{rules:?}"
    );
}

#[test]
fn a_hundred_thousand_callers_and_a_thousand_routes_are_normal() {
    let entries = (0..100_000).map(|number| {
        format!(
            "    - {{ sha256: \"{number:032x}{number:032x}\", org: org-{} }}\n",
            number % 5_000
        )
    });
    let tiers = (0..1_000)
        .map(|number| format!("  - {{ name: t{number}, routes: [\"/v2/{{a}}/r{number}/**\"] }}\n"));
    let text = format!(
        "version: 1\nname: large\ncallers:\n  credentials: [{{ name: key, header: x-api-key }}]\n  \
         directory:\n{}tiers:\n{}\
         limits: [{{ name: all, per: [org], bucket: {{ burst: 9, refill: 1/s }} }}]\n",
        entries.collect::<String>(),
        tiers.collect::<String>()
    );
    let policy = Policy::compile(&from_yaml(&text).unwrap()).unwrap();
    assert_eq!(
        (policy.callers.directory.count(), policy.tiers.len()),
        (100_000, 1_000)
    );
    let mut digest = [0; 32];
    digest[14..16].copy_from_slice(&[0x12, 0x34]);
    let find = |digest| policy.callers.directory.find(digest, Timestamp::default());
    let Lookup::Known(entry) = find(&digest) else {
        panic!("an entry is known");
    };
    let values: Vec<_> = entry.values().collect();
    assert_eq!((values.len(), values[0].1), (1, "org-4660"));
    assert!(matches!(find(&[1; 32]), Lookup::Unknown));
}
