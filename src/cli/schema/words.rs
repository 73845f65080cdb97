//! The formats of strings: names, routes, and quantities with their units.

use schemars::JsonSchema;

use crate::base::units::{RefillPer, SIZE_UNITS};
use crate::base::zone::Zone;
use crate::limit::QUOTA_MAX;
use crate::limit::gcra::BURST_MAX;
use crate::limit::period::Period as Window;
use crate::payload::json::{PATH_BYTES_MAX, PATH_STEPS_MAX};
use crate::policy::attributes::RESERVED;
use crate::policy::callers::{STEP_BYTES_MAX, STEPS_MAX};
use crate::policy::header::{OF_A_CONNECTION, OF_THE_HOST, TOKEN_BYTES_MAX};
use crate::policy::reader::{NAME_BYTES_MAX, is_token};
use crate::policy::route::{CAPTURE_NAME_BYTES_MAX, ROUTE_BYTES_MAX, ROUTE_SEGMENTS_MAX};
use crate::policy::select::VALUES_MAX;

/// A name: up to 64 of `a-z`, `0-9`, `_` and `-`, beginning with a letter.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = name()))]
pub(super) struct Name(String);

/// The name of an attribute, which must not be a word of the language.
#[derive(JsonSchema)]
#[schemars(inline, extend("pattern" = name(), "not" = { "enum": RESERVED }))]
pub(super) struct NewAttribute(String);

/// `METHODS /path`, or `/path` for any method.
///
/// `*` is one segment or a part of one, `**` any number of segments, including none, and `{name}`
/// captures one segment. The path is matched decoded and without the query, so write characters
/// unescaped, and no slash at the end.
#[derive(JsonSchema)]
#[schemars(
    example = &"POST,PUT /v2/items/{item}/**",
    extend("pattern" = format!("^(?:{METHOD}(?:,{METHOD})* \
                                )?{}$", path()), "maxLength" = ROUTE_BYTES_MAX)
)]
pub(super) struct Route(String);

/// A path as in a route, without methods, that captures the attribute's own name in braces.
#[derive(JsonSchema)]
#[schemars(
    example = &"/e/{environment}/**",
    extend("pattern" = format!("^{}$", path()), "maxLength" = ROUTE_BYTES_MAX)
)]
pub(super) struct Path(String);

/// A steady rate: a whole number and `/s`, `/min` (or `/m`), `/h` or `/d`; at most `1000000/s`.
#[derive(JsonSchema)]
#[schemars(
    example = &"60/min",
    extend("pattern" = format!("^0*[1-9][0-9]*/(?:{})$", refill_units()))
)]
pub(super) struct Rate(String);

/// A length of time: a whole number and `s`, `m` (or `min`), `h`, `d` or `w`, from `1s` to `366d`.
/// A day has 24 hours.
#[derive(JsonSchema)]
#[schemars(
    example = &"10s",
    example = &"5m",
    extend("pattern" = "^0*[1-9][0-9]*(?:s|m|min|h|d|w)$")
)]
pub(super) struct Length(String);

/// A length of time: a whole number and `s`, `m` (or `min`) or `h`, from `1s` to `1h`.
#[derive(JsonSchema)]
#[schemars(example = &"10s", extend("pattern" = "^0*[1-9][0-9]*(?:s|m|min|h)$"))]
pub(super) struct Wait(String);

/// A length of time: a whole number and `s`, `m` (or `min`), `h` or `d`, from `1s` to `1d`.
#[derive(JsonSchema)]
#[schemars(example = &"60s", example = &"5m", extend("pattern" = "^0*[1-9][0-9]*(?:s|m|min|h|d)$"))]
pub(super) struct Idle(String);

/// A period of the calendar: seconds or minutes that divide 60, hours that divide 24, `1d`, `1w`
/// (from Monday), or months that divide 12.
#[derive(JsonSchema)]
#[schemars(
    example = &"15m", example = &"1h", example = &"1d", example = &"1w", example = &"1mo",
    extend("pattern" = period())
)]
pub(super) struct Period(String);

/// A time zone of the IANA database, case-sensitive.
#[derive(JsonSchema)]
#[schemars(extend("enum" = Zone::names().collect::<Vec<_>>()))]
pub(super) struct TimeZone(String);

/// A size: a whole number and `B`, `KB`, `MB`, `GB` (powers of ten), `KiB`, `MiB` or `GiB`; at most
/// `1000GB`.
#[derive(JsonSchema)]
#[schemars(
    example = &"300KB", example = &"100MiB",
    extend("pattern" = format!("^0*[1-9][0-9]*(?:{})$", SIZE_UNITS.map(|(unit, _)| unit).join("|")))
)]
pub(super) struct Size(String);

/// A JSON pointer (RFC 6901), such as `/data/attributes`; the empty string is the whole document.
#[derive(JsonSchema)]
#[schemars(
    example = &"/data/attributes",
    extend(
        "pattern" = format!("^(?:/(?:[^/~]|~[01])*){{0,{PATH_STEPS_MAX}}}$"),
        "maxLength" = PATH_BYTES_MAX
    )
)]
pub(super) struct Pointer(String);

/// A media type without parameters, or a range of them: `text/*` or `application/*+json`.
/// Case-insensitive.
#[derive(JsonSchema)]
#[schemars(
    example = &"application/json", example = &"application/*+json",
    extend("pattern" = format!(r"^{WORD}/(?:\*(?:\+{WORD})?|{WORD})$"))
)]
pub(super) struct MediaRange(String);

/// A whole number from `0%` to `100%`.
#[derive(JsonSchema)]
#[schemars(example = &"20%", extend("pattern" = "^0*(?:100|[0-9]{1,2})%$"))]
pub(super) struct Share(String);

/// The SHA-256 of a secret, in 64 hexadecimal digits: `printf %s KEY | sha256sum`.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[0-9A-Fa-f]{64}$"))]
pub(super) struct Digest(String);

/// The name of a header, case-insensitive. It cannot be a pseudo-header, such as `:path`, or a
/// header that Envoy removes before a filter sees it, such as `Host` or `Connection`.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = header(), "maxLength" = TOKEN_BYTES_MAX))]
pub(super) struct HeaderName(String);

/// The word before a credential in its header, such as `Bearer`; case-insensitive.
#[derive(JsonSchema)]
#[schemars(inline, extend("pattern" = TOKEN, "maxLength" = TOKEN_BYTES_MAX))]
pub(super) struct Scheme(String);

/// The name of a query parameter, decoded.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(super) struct ParameterName(#[schemars(length(min = 1, max = TOKEN_BYTES_MAX))] String);

/// A key in metadata, or a quoted index into a list.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(super) struct Step(#[schemars(length(min = 1, max = STEP_BYTES_MAX))] String);

/// The path to a value in metadata: a filter's name or another namespace, then keys, as in
/// `[envoy.filters.http.jwt_authn, session, sub]`.
#[derive(JsonSchema)]
pub(super) struct Steps(#[schemars(length(min = 2, max = STEPS_MAX))] Vec<Step>);

/// The most units at one instant.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(super) struct Burst(#[schemars(range(min = 1, max = BURST_MAX))] u32);

/// The units granted for each window.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(super) struct Quota(#[schemars(range(min = 1, max = QUOTA_MAX))] u64);

/// Always true.
#[derive(JsonSchema)]
#[schemars(inline, extend("const" = true))]
pub(super) struct True(bool);

/// One value, or a list of values of which one must match.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(#[schemars(length(min = 1, max = VALUES_MAX), extend("uniqueItems" = true))] Vec<T>),
}

const METHOD: &str = "[A-Z][A-Z0-9-]*";

/// A `token` (RFC 9110 §5.6.2).
const TOKEN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

/// A `token` without a `*`.
const WORD: &str = "[!#$%&'+.^_`|~0-9A-Za-z-]+";

/// A `token` that a filter can see as a header.
fn header() -> String {
    let hidden = OF_A_CONNECTION
        .iter()
        .chain(&OF_THE_HOST)
        .filter(|name| is_token(name));
    let hidden: Vec<String> = hidden.map(|name| case_insensitive(name)).collect();
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

fn name() -> String {
    format!(
        "^[a-z][a-z0-9_-]{{0,{}}}$",
        NAME_BYTES_MAX.saturating_sub(1)
    )
}

/// No blanks or control characters, no `?`, `#`, `%`, `\`, no empty segment, `.` or `..`; `**` and
/// braces only as whole segments.
fn path() -> String {
    let capture = format!(
        r"\{{[a-z][a-z0-9_]{{0,{}}}\}}",
        CAPTURE_NAME_BYTES_MAX.saturating_sub(1)
    );
    let text = r"(?!\.\.?(?:/|$))(?:[^\s\x00-\x1f\x7f-\x9f/?#%\\{}*]|\*(?!\*))+";
    let segment = format!(r"(?:\*\*|{capture}|{text})");
    format!(
        "/(?:{segment}(?:/{segment}){{0,{}}})?",
        ROUTE_SEGMENTS_MAX.saturating_sub(1)
    )
}

fn refill_units() -> String {
    RefillPer::ALL.map(|(name, _)| name).join("|")
}

/// As the reader parses it: all counts that it accepts, for each unit.
fn period() -> String {
    let units = ["s", "m", "min", "h", "d", "w", "mo"].map(|unit| {
        let counts = (1..=60).filter(|count| Window::parse(&format!("{count}{unit}")).is_ok());
        let counts: Vec<String> = counts.map(|count| count.to_string()).collect();
        format!("(?:{}){unit}", counts.join("|"))
    });
    format!("^0*(?:{})$", units.join("|"))
}
