//! How the strings of a form are read.

use super::Field;
use super::formats::{CONTENT_TYPE_BYTES_MAX, STEPS_MAX, Step};
use super::kind::Kind;
use super::templates::TemplateText;
use crate::base::network::Network;
use crate::base::rfc3339;
use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::payload::json::JsonPath;
use crate::policy::callers::Steps as Path;
use crate::policy::callers::host::HostPattern;
use crate::policy::charges;
use crate::policy::directory::{self, Digest};
use crate::policy::document::Value;
use crate::policy::error::{Reason, UsageRule};
use crate::policy::header::TOKEN_BYTES_MAX;
use crate::policy::media::{self, MediaRange as Range};
use crate::policy::reader::{Items, is_label, is_revision};
use crate::policy::route::Route;
use crate::policy::template::Word;
use crate::policy::usage::is_metric;

/// Steps into metadata: at least `least` keys.
pub(super) fn steps(field: Field<'_>, least: usize) -> Option<Path> {
    let items = Items::<Step>::of(field, 1, STEPS_MAX)?;
    let steps = items.each(|_, step| Some(Box::from(step)))?;
    if steps.len() < least {
        field.refuse(Reason::NamespaceAlone)
    } else {
        Some(steps)
    }
}

/// One key, or a list of at least one.
pub(super) fn node_steps(field: Field<'_>) -> Option<Path> {
    match &field.node.value {
        Value::String(_) => Step::read(field).map(|step| vec![step.into()]),
        Value::List(_) => steps(field, 1),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Map(_)) => {
            field.refuse(Reason::NotA {
                wanted: "a string or a list",
                found: other.kind(),
            })
        }
    }
}

pub(super) fn label(field: Field<'_>) -> Option<&str> {
    let text = field.string()?;
    if is_label(text) {
        Some(text)
    } else {
        field.refuse(Reason::BadLabel {
            value: text.to_owned(),
        })
    }
}

pub(super) fn revision(field: Field<'_>) -> Option<&str> {
    let text = field.string()?;
    if is_revision(text) {
        Some(text)
    } else {
        field.refuse(Reason::BadRevision(text.to_owned()))
    }
}

pub(super) fn metric(field: Field<'_>) -> Option<&str> {
    let text = field.string()?;
    if is_metric(text) {
        Some(text)
    } else {
        field.refuse(Reason::Usage(UsageRule::Metric(text.to_owned())))
    }
}

pub(super) fn route(field: Field<'_>) -> Option<Route> {
    field.parsed(Route::parse, |value, error| Reason::BadRoute {
        value,
        error,
    })
}

pub(super) fn plain_path(field: Field<'_>) -> Option<Route> {
    field.parsed(Route::parse_plain, |value, error| Reason::BadRoute {
        value,
        error,
    })
}

pub(super) fn host(field: Field<'_>) -> Option<HostPattern> {
    field.parsed(HostPattern::parse, |value, error| Reason::BadHost {
        value,
        error,
    })
}

pub(super) fn network(field: Field<'_>) -> Option<Network> {
    field.parsed(Network::parse, |value, error| Reason::BadNetwork {
        value,
        error,
    })
}

pub(super) fn json_path(field: Field<'_>) -> Option<JsonPath> {
    field.parsed(JsonPath::parse, |value, error| Reason::BadPath {
        value,
        error,
    })
}

pub(super) fn zone(field: Field<'_>) -> Option<Zone> {
    let name = field.string()?;
    Zone::find(name).or_else(|| {
        field.refuse(Reason::NoSuchZone {
            value: name.to_owned(),
        })
    })
}

pub(super) fn media_range(field: Field<'_>) -> Option<Range> {
    let text = field.string()?;
    Range::parse(text).or_else(|| {
        field.refuse(Reason::BadMediaRange {
            value: text.to_owned(),
        })
    })
}

pub(super) fn media_type(field: Field<'_>) -> Option<&str> {
    let text = field.text(CONTENT_TYPE_BYTES_MAX)?;
    if media::is_media_type(text) {
        Some(text)
    } else {
        field.refuse(Reason::BadMediaType {
            value: text.to_owned(),
        })
    }
}

/// The name of an environment variable.
pub(super) fn variable(field: Field<'_>) -> Option<&str> {
    let text = field.text(TOKEN_BYTES_MAX)?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.bytes().all(is_part) && !text.starts_with(|first: char| first.is_ascii_digit()) {
        Some(text)
    } else {
        field.refuse(Reason::BadToken {
            value: text.to_owned(),
            kind: "an environment variable",
        })
    }
}

pub(super) fn status_class(field: Field<'_>) -> Option<(u16, u16)> {
    let text = field.string()?;
    charges::parse_class(text).or_else(|| {
        field.refuse(Reason::BadStatus {
            value: text.to_owned(),
        })
    })
}

pub(super) fn digest(field: Field<'_>) -> Option<Digest> {
    match &field.node.value {
        Value::String(text) => {
            directory::parse_digest(text).or_else(|| field.refuse(Reason::BadDigest))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            field.string().and(None)
        }
    }
}

pub(super) fn until(field: Field<'_>) -> Option<Timestamp> {
    rfc3339::until(field.string()?).or_else(|| {
        field.refuse(Reason::NotA {
            wanted: "a date such as 2027-01-31, or a time with its offset such as \
                     2027-01-31T18:00:00Z, from 1970 to 2554",
            found: "another string",
        })
    })
}

/// A text with placeholders, of at most `max` bytes.
pub(super) fn template<'a>(
    field: Field<'a>,
    known: &'static [Word],
    max: usize,
) -> Option<TemplateText<'a>> {
    let text = field.string()?;
    if text.len() > max {
        return field.refuse(Reason::TooLong { max });
    }
    Some(TemplateText::new(field, text, known))
}

/// A status of a refusal.
pub(super) fn status(field: Field<'_>) -> Option<u32> {
    let status: u32 = field.count(0, u32::MAX)?;
    if status == 200 || (400..=599).contains(&status) {
        Some(status)
    } else {
        field.refuse(Reason::BadRefusalStatus {
            value: status.to_string(),
        })
    }
}
