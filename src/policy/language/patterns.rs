//! The regular expressions of the schema.

use crate::base::units::{RefillPer, SIZE_UNITS};
use crate::limit::period::Period;
use crate::payload::json::PATH_STEPS_MAX;
use crate::policy::header::{self, OF_A_CONNECTION, OF_THE_HOST};
use crate::policy::reader::{
    LABEL_CHARS_MAX, LABEL_HIDDEN, NAME_BYTES_MAX, REVISION_BYTES_MAX, is_token,
};
use crate::policy::route::{CAPTURE_NAME_BYTES_MAX, ROUTE_SEGMENTS_MAX};
use crate::policy::template::{Suffix, Word};
use crate::policy::usage::{METRIC_BYTES_MAX, TAG_BYTES_MAX};

const METHOD: &str = "[A-Z][A-Z0-9-]*";

/// A `token` (RFC 9110 §5.6.2).
pub(super) const TOKEN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

/// A `token` without a `*`.
const WORD: &str = "[!#$%&'+.^_`|~0-9A-Za-z-]+";

/// A `token` that a filter can see as a header.
pub(super) fn header_name() -> String {
    let hidden: Vec<String> = OF_A_CONNECTION
        .iter()
        .chain(&OF_THE_HOST)
        .filter(|name| is_token(name))
        .map(|name| case_insensitive(name))
        .collect();
    TOKEN.replacen('^', &format!("^(?!(?:{})$)", hidden.join("|")), 1)
}

/// The pattern of `text`, which is in lower case, in any case.
pub(super) fn case_insensitive(text: &str) -> String {
    let mut pattern = String::new();
    for letter in text.chars() {
        if letter.is_ascii_lowercase() {
            pattern.extend(['[', letter, letter.to_ascii_uppercase(), ']']);
        } else {
            pattern.push(letter);
        }
    }
    pattern
}

pub(super) fn name() -> String {
    let rest = NAME_BYTES_MAX.saturating_sub(1);
    format!("^[a-z][a-z0-9_-]{{0,{rest}}}$")
}

/// No control character, no line break and no mark that changes the direction of text.
pub(super) fn label() -> String {
    let hidden: String = LABEL_HIDDEN
        .iter()
        .map(|(first, last)| format!(r"\u{:04x}-\u{:04x}", u32::from(*first), u32::from(*last)))
        .collect();
    format!("^[^{hidden}]{{1,{LABEL_CHARS_MAX}}}$")
}

pub(super) fn revision() -> String {
    format!("^[0-9A-Za-z._:/@+-]{{1,{REVISION_BYTES_MAX}}}$")
}

pub(super) fn until() -> String {
    let time = "[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\\.[0-9]+)?";
    let offset = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
    format!("^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:{time}{offset})?$")
}

/// The name of a metric.
pub(super) fn metric() -> String {
    format!(
        "^[A-Za-z][0-9A-Za-z_./-]{{0,{}}}$",
        METRIC_BYTES_MAX.saturating_sub(1)
    )
}

/// The name of a tag.
pub(crate) fn tag() -> String {
    format!(
        "^[A-Za-z_][0-9A-Za-z_.-]{{0,{}}}$",
        TAG_BYTES_MAX.saturating_sub(1)
    )
}

pub(super) fn route() -> String {
    format!("^(?:{METHOD}(?:,{METHOD})* )?{}$", path())
}

pub(super) fn path_alone() -> String {
    format!("^{}$", path())
}

/// Labels and captures between dots.
pub(super) fn host() -> String {
    let rest = NAME_BYTES_MAX.saturating_sub(1);
    let label = format!(r"(?:[0-9A-Za-z_-]+|\{{[a-z][a-z0-9_-]{{0,{rest}}}\}})");
    format!(r"^{label}(?:\.{label})*$")
}

/// A path without wildcards and captures.
pub(super) fn plain_path() -> String {
    format!("^{}$", path_of(&format!("{NO_DOTS}{LETTER}+")))
}

/// Not `.` or `..`.
const NO_DOTS: &str = r"(?!\.\.?(?:/|$))";

/// No blank, no control character, and none of `/?#%\{}*`.
const LETTER: &str = r"[^\s\x00-\x1f\x7f-\x9f/?#%\\{}*]";

/// `**` and braces only as whole segments.
fn path() -> String {
    let rest = CAPTURE_NAME_BYTES_MAX.saturating_sub(1);
    let capture = format!(r"\{{[a-z][a-z0-9_]{{0,{rest}}}\}}");
    let text = format!(r"{NO_DOTS}(?:{LETTER}|\*(?!\*))+");
    path_of(&format!(r"(?:\*\*|{capture}|{text})"))
}

/// Segments without an empty one.
fn path_of(segment: &str) -> String {
    let more = ROUTE_SEGMENTS_MAX.saturating_sub(1);
    format!("/(?:{segment}(?:/{segment}){{0,{more}}})?")
}

pub(super) fn rate() -> String {
    let units = RefillPer::ALL.map(|(name, _)| name).join("|");
    format!("^{NUMBER}/(?:{NUMBER})?(?:{units})$")
}

/// A length of time in one of these units.
pub(super) fn span(units: &str) -> String {
    format!("^{NUMBER}(?:{units})$")
}

/// A number from 1 up, whose digits may be grouped.
const NUMBER: &str = "(?:0_?)*[1-9](?:_?[0-9])*";

/// A number with grouped digits, which a bare JSON number cannot have.
pub(crate) const GROUPED: &str = "^[0-9]+(?:_[0-9]+)+$";

pub(super) fn size() -> String {
    span(&SIZE_UNITS.map(|(unit, _)| unit).join("|"))
}

/// As the reader parses it: all counts that it accepts, for each unit.
pub(super) fn period() -> String {
    let units = ["s", "m", "min", "h", "d", "w", "mo"].map(|unit| {
        let counts: Vec<String> = (1..=60)
            .filter(|count| Period::parse(&format!("{count}{unit}")).is_ok())
            .map(|count| {
                let digits = count.to_string();
                digits
                    .split("")
                    .filter(|digit| !digit.is_empty())
                    .collect::<Vec<_>>()
                    .join("_?")
            })
            .collect();
        format!("(?:{}){unit}", counts.join("|"))
    });
    format!("^(?:0_?)*(?:{})$", units.join("|"))
}

pub(super) fn json_pointer() -> String {
    format!("^(?:/(?:[^/~]|~[01])*){{0,{PATH_STEPS_MAX}}}$")
}

pub(super) fn media_range() -> String {
    format!(r"^{WORD}/(?:\*(?:\+{WORD})?|{WORD})$")
}

pub(super) fn media_type() -> String {
    let token = TOKEN.trim_start_matches('^').trim_end_matches('$');
    format!("^{token}/{token}(?: *;(?:[ -~]*[!-~])?)?$")
}

/// Words in braces must be among these placeholders, each with a form that it takes.
pub(super) fn template(known: &[Word], text: &str) -> String {
    let known: Vec<String> = known.iter().map(|word| placeholder(*word)).collect();
    let known = known.join("|");
    format!(r"^(?:{text}|\{{(?![a-z_]+(?::[A-Za-z0-9_-]*)?\}})|\{{(?:{known})\}})*$")
}

/// Any character that begins no placeholder.
pub(super) const ANY_TEXT: &str = r"[^{]";

/// The same, if a header can contain it.
pub(super) const HEADER_TEXT: &str = r"[^{\x00-\x1f\x7f-\x9f]";

fn placeholder(word: Word) -> String {
    let name = word.name();
    match word.suffix() {
        Suffix::None => name.to_owned(),
        Suffix::Form(forms) => format!("{name}(?::(?:{}))?", forms.join("|")),
        Suffix::Attribute => {
            format!(
                "{name}:{}",
                self::name().trim_start_matches('^').trim_end_matches('$')
            )
        }
    }
}

/// A `token` that the gateway can set as a header of a response.
pub(crate) fn settable_header() -> String {
    let denied: Vec<String> = header::unsettable().map(case_insensitive).collect();
    TOKEN.replacen('^', &format!("^(?!(?:{})$)", denied.join("|")), 1)
}
