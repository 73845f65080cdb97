//! Strings of a form: names, routes, and quantities with their units.

use super::Field;
#[cfg(not(target_arch = "wasm32"))]
use super::description::{Show, TextFormat};
use super::kind::Kind;
use super::parse;
#[cfg(not(target_arch = "wasm32"))]
use super::{Shape, patterns};
use crate::base::network::Network;
use crate::base::time::{Span, Timestamp};
use crate::base::units::{Percent, Refill, parse_size, parse_span, parse_timeout};
use crate::base::zone::Zone;
use crate::limit::period::Period as Window;
use crate::limit::pool::TIMEOUT_MAX;
use crate::limit::seats::IDLE_MAX;
use crate::payload::json::JsonPath;
use crate::policy::callers::Steps as Path;
use crate::policy::callers::host::HostPattern;
use crate::policy::directory;
use crate::policy::document::Value;
use crate::policy::header::{self, TOKEN_BYTES_MAX};
use crate::policy::media::MediaRange as Range;
use crate::policy::route::Route;

/// Declares a kind of string: its reader, and its description in the schema and the reference.
macro_rules! text {
    (
        $(#[doc = $doc:literal])+
        $name:ident -> $value:ty, |$field:ident| $read:expr;
        $($format:ident: $stated:expr),+ $(,)?
    ) => {
        $(#[doc = $doc])+
        pub(crate) struct $name;

        impl Kind for $name {
            type Value<'a> = $value;

            fn read($field: Field<'_>) -> Option<Self::Value<'_>> {
                $read
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn shape() -> Shape {
                Shape::Text(TextFormat {
                    $($format: $stated,)+
                    doc: concat!($($doc),+),
                    ..TextFormat::default()
                })
            }
        }
    };
}

text! {
    /// A name: up to 64 of `a-z`, `0-9`, `_` and `-`, beginning with a letter.
    Name -> &'a str, |field| field.name();
    name: "Name", values: "name", plural: "names", pattern: Some(patterns::name()),
}

text! {
    /// A name for people: 1 to 128 printable characters.
    Label -> &'a str, |field| parse::label(field);
    name: "Label", values: "1 to 128 printable characters", pattern: Some(patterns::label()),
    examples: &["Daily requests"],
}

text! {
    /// A revision: 1 to 64 of `a-z`, `A-Z`, `0-9` and `._:/@+-`.
    Revision -> &'a str, |field| parse::revision(field);
    name: "Revision", values: "1 to 64 of `a-z`, `A-Z`, `0-9` and `._:/@+-`",
    pattern: Some(patterns::revision()), examples: &["git:1a2b3c"],
}

text! {
    /// A name that is defined elsewhere in the policy.
    Reference -> &'a str, |field| field.string();
    values: "name", plural: "names", pattern: Some(patterns::name()),
}

text! {
    /// The name of an attribute, which must not be a word of the language.
    NewAttribute -> &'a str, |field| field.string();
    values: "name", plural: "names", pattern: Some(patterns::name()),
    but: crate::policy::attributes::RESERVED.to_vec(),
}

text! {
    /// The name of a credential, which must not be a word of the language.
    NewCredential -> &'a str, |field| field.string();
    values: "name", plural: "names", pattern: Some(patterns::name()),
    but: crate::policy::attributes::no_credentials(),
}

text! {
    /// `METHODS /path`, or `/path` for any method. `*` is one segment or a part of one, `**` any
    /// number of segments, including none, and `{name}` captures one segment. The path is matched
    /// decoded and without the query, so write characters unescaped, and no slash at the end.
    RouteText -> Route, |field| parse::route(field);
    name: "Route", values: "route", plural: "routes", pattern: Some(patterns::route()),
    bytes: (None, Some(crate::policy::route::ROUTE_BYTES_MAX)),
    examples: &["POST,PUT /v2/items/{item}/**"],
}

text! {
    /// A path as in a route, without methods, that captures the attribute's own name in braces.
    CapturePath -> Route, |field| parse::route(field);
    name: "CapturePath", values: "path with a capture", pattern: Some(patterns::path_alone()),
    bytes: (None, Some(crate::policy::route::ROUTE_BYTES_MAX)),
    examples: &["/e/{environment}/**"],
}

text! {
    /// A path as in a route, without methods, wildcards and captures.
    PlainPath -> Route, |field| parse::plain_path(field);
    name: "PlainPath", values: "path without wildcards and captures",
    pattern: Some(patterns::plain_path()),
    bytes: (None, Some(crate::policy::route::ROUTE_BYTES_MAX)),
    examples: &["/rate_limit"],
}

text! {
    /// A pattern of hosts: labels between dots, of which `{name}` captures exactly one.
    /// Case-insensitive.
    HostText -> HostPattern, |field| parse::host(field);
    name: "Host", values: "pattern of hosts", pattern: Some(patterns::host()),
    bytes: (None, Some(crate::policy::callers::host::HOST_BYTES_MAX)),
    examples: &["{tenant}.example.com"],
}

text! {
    /// A network of IP addresses, or one address.
    NetworkText -> Network, |field| parse::network(field);
    name: "Network", values: "network", plural: "networks, such as `192.0.2.0/24`",
    pattern: Some("^[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?$".to_owned()),
    examples: &["192.0.2.0/24", "2001:db8::/32", "192.0.2.7"],
}

text! {
    /// A steady rate: a whole number and `/s`, `/min` (or `/m`), `/h`, `/d` or `/w`, or a number of
    /// such units, as in `1/15min`; at most `1000000/s`.
    Rate -> Refill, |field| field.quantity(Refill::parse);
    name: "Rate", values: "`N/s`, `N/min` (or `N/m`), `N/h`, `N/d`, `N/w`, or `N/15min`; at most \
             `1000000/s`",
    pattern: Some(patterns::rate()), examples: &["60/min", "1/15min"],
}

text! {
    /// A length of time: a whole number and `s`, `m` (or `min`), `h`, `d` or `w`, from `1s` to
    /// `366d`. A day has 24 hours.
    Length -> Span, |field| field.quantity(parse_span);
    name: "Length",
    values: "whole number and `s`, `m` (or `min`), `h`, `d`, `w`; `1s` to `366d`",
    pattern: Some(patterns::span("s|m|min|h|d|w")), examples: &["10s", "5m"],
}

text! {
    /// The timeout of a call to the engine: a whole number and `ms`, or `1s`; from `5ms` to `1s`.
    Timeout -> Span, |field| field.quantity(parse_timeout);
    name: "Timeout", values: "whole number and `ms`, or `1s`; `5ms` to `1s`",
    pattern: Some("^(?:(?:[5-9]|[1-9][0-9]{1,2}|1000)ms|1s)$".to_owned()), examples: &["50ms"],
}

text! {
    /// The name of an environment variable.
    Variable -> &'a str, |field| parse::variable(field);
    name: "Variable", values: "name of an environment variable",
    pattern: Some("^[A-Za-z_][A-Za-z0-9_]*$".to_owned()), bytes: (None, Some(TOKEN_BYTES_MAX)),
    examples: &["SLUICEGATE_ENGINE_PASSWORD"],
}

text! {
    /// A length of time: a whole number and `s`, `m` (or `min`) or `h`, from `1s` to `1h`.
    Wait -> Span, |field| field.span(TIMEOUT_MAX);
    name: "Wait", values: "whole number and `s`, `m` (or `min`), `h`; `1s` to `1h`",
    pattern: Some(patterns::span("s|m|min|h")), examples: &["10s"],
}

text! {
    /// A length of time: a whole number and `s`, `m` (or `min`), `h` or `d`, from `1s` to `1d`.
    Idle -> Span, |field| field.span(IDLE_MAX);
    name: "Idle", values: "whole number and `s`, `m` (or `min`), `h`, `d`; `1s` to `1d`",
    pattern: Some(patterns::span("s|m|min|h|d")), examples: &["60s", "5m"],
}

text! {
    /// A period of the calendar: seconds or minutes that divide 60, hours that divide 24, `1d`,
    /// `1w` (from Monday), or months that divide 12.
    Period -> Window, |field| field.quantity(Window::parse);
    name: "Period",
    values: "seconds or minutes that divide 60, hours that divide 24, `1d`, `1w` (from Monday), \
             months (`mo`) that divide 12",
    pattern: Some(patterns::period()), examples: &["15m", "1h", "1d", "1w", "1mo"],
}

text! {
    /// A time zone of the IANA database, case-sensitive.
    TimeZone -> Zone, |field| parse::zone(field);
    name: "TimeZone", values: "name of the IANA database", words: Zone::names().collect(),
}

text! {
    /// A size: a whole number and `B`, `KB`, `MB`, `GB` (powers of ten), `KiB`, `MiB` or `GiB`; at
    /// most `1000GB`.
    Size -> u64, |field| field.quantity(parse_size);
    name: "Size", values: "size", pattern: Some(patterns::size()),
    examples: &["300KB", "100MiB"],
}

text! {
    /// A JSON pointer (RFC 6901), such as `/data/attributes`; the empty string is the whole
    /// document.
    JsonPointer -> JsonPath, |field| parse::json_path(field);
    name: "JsonPointer", values: "JSON pointer (up to 32 steps)",
    pattern: Some(patterns::json_pointer()),
    bytes: (None, Some(crate::payload::json::PATH_BYTES_MAX)),
    examples: &["/data/attributes"],
}

text! {
    /// A media type without parameters, or a range of them: `text/*` or `application/*+json`.
    /// Case-insensitive.
    MediaRange -> Range, |field| parse::media_range(field);
    name: "MediaRange", values: "media type or range",
    plural: "media types and ranges, such as `application/json` and `application/*+json`",
    pattern: Some(patterns::media_range()),
    examples: &["application/json", "application/*+json"],
}

text! {
    /// A whole number from `0%` to `100%`.
    Share -> Percent, |field| field.quantity(Percent::parse);
    name: "Share", values: "`0%` to `100%`", pattern: Some("^0*(?:100|[0-9]{1,2})%$".to_owned()),
    examples: &["20%"],
}

text! {
    /// The SHA-256 of a secret, in 64 hexadecimal digits: `printf %s KEY | sha256sum`.
    Digest -> directory::Digest, |field| parse::digest(field);
    name: "Digest", values: "64 hexadecimal digits",
    pattern: Some("^[0-9A-Fa-f]{64}$".to_owned()),
}

text! {
    /// A date, such as `2027-01-31`, or a time with its offset, such as `2027-01-31T18:00:00Z`
    /// (RFC 3339), from 1970 to 2554.
    Until -> Timestamp, |field| parse::until(field);
    name: "Until", values: "date or time of RFC 3339",
    pattern: Some(patterns::until()), examples: &["2027-01-31", "2027-01-31T18:00:00Z"],
}

text! {
    /// The name of a header, case-insensitive. It cannot be a pseudo-header, such as `:path`, or a
    /// header that Envoy removes before a filter sees it, such as `Host` or `Connection`.
    HeaderName -> Box<str>, |field| header::read_name(&field);
    name: "HeaderName", values: "header name",
    pattern: Some(patterns::header_name()), bytes: (None, Some(TOKEN_BYTES_MAX)),
}

text! {
    /// An authentication scheme.
    Scheme -> &'a str, |field| field.token(TOKEN_BYTES_MAX, "an authentication scheme");
    values: "word", pattern: Some(patterns::TOKEN.to_owned()),
    bytes: (None, Some(TOKEN_BYTES_MAX)),
}

text! {
    /// The name of a query parameter, decoded.
    ParameterName -> &'a str, |field| field.text(TOKEN_BYTES_MAX);
    values: "parameter name", bytes: (Some(1), Some(TOKEN_BYTES_MAX)),
}

text! {
    /// The name of a cookie, case-sensitive.
    CookieName -> &'a str, |field| field.token(TOKEN_BYTES_MAX, "a cookie");
    values: "cookie name", pattern: Some(patterns::TOKEN.to_owned()),
    bytes: (None, Some(TOKEN_BYTES_MAX)),
}

text! {
    /// A key in metadata, or a quoted index into a list.
    Step -> &'a str, |field| field.text(STEP_BYTES_MAX);
    values: "key", plural: "steps",
    bytes: (Some(1), Some(STEP_BYTES_MAX)),
}

text! {
    /// A media type, such as `application/json`.
    MediaType -> &'a str, |field| parse::media_type(field);
    name: "MediaType", values: "media type",
    pattern: Some(patterns::media_type()), bytes: (None, Some(CONTENT_TYPE_BYTES_MAX)),
}

const STEP_BYTES_MAX: usize = 128;
pub(super) const STEPS_MAX: usize = 16;
pub(super) const CONTENT_TYPE_BYTES_MAX: usize = 128;

pub(super) use text;

#[cfg(not(target_arch = "wasm32"))]
impl Show<&'static str> for Name {
    fn show(value: &&'static str) -> serde_json::Value {
        (*value).into()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Show<Zone> for TimeZone {
    fn show(value: &Zone) -> serde_json::Value {
        value.name().into()
    }
}

/// A string of 1 to `MAX` bytes.
pub(crate) struct Text<const MAX: usize>;

impl<const MAX: usize> Kind for Text<MAX> {
    type Value<'a> = &'a str;

    fn read(field: Field<'_>) -> Option<&str> {
        field.text(MAX)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Text(TextFormat {
            values: "string",
            plural: "strings",
            bytes: (Some(1), Some(MAX)),
            ..TextFormat::default()
        })
    }
}

text! {
    /// A class of HTTP statuses, from `1xx` to `5xx`.
    StatusClass -> (u16, u16), |field| parse::status_class(field);
    values: "`1xx` to `5xx`", plural: "classes", pattern: Some("^[1-5]xx$".to_owned()),
}

/// An HTTP status, or a class of them: the first and the last of a range.
pub(crate) struct Statuses;

impl Kind for Statuses {
    type Value<'a> = (u16, u16);

    fn read(field: Field<'_>) -> Option<(u16, u16)> {
        match &field.node.value {
            Value::Number(_) => field.count(100, 599).map(|status: u16| (status, status)),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                StatusClass::read(field)
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![
            super::kind::Count32::<100, 599>::shape(),
            StatusClass::shape(),
        ])
    }
}

/// Steps to a value in metadata: a filter's name or another namespace, then keys.
pub(crate) struct Steps;

impl Kind for Steps {
    type Value<'a> = Path;

    fn read(field: Field<'_>) -> Option<Path> {
        parse::steps(field, 2)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        super::kind::List::<Step, 2, STEPS_MAX>::shape()
    }
}

/// Steps to a value in the proxy's own metadata, which has no namespaces: one key, or a list.
pub(crate) struct NodeSteps;

impl Kind for NodeSteps {
    type Value<'a> = Path;

    fn read(field: Field<'_>) -> Option<Path> {
        parse::node_steps(field)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn shape() -> Shape {
        Shape::Either(vec![
            Step::shape(),
            super::kind::List::<Step, 1, STEPS_MAX>::shape(),
        ])
    }
}
