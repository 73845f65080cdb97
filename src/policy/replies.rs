//! What callers are told: header fields, when to come back, and the words of a refusal.

use super::error::Reason;
use super::reader::{Field, is_token};
use super::template::{Placeholder, Template};
use crate::base::units::Percent;

/// All replies of a policy.
#[derive(Debug)]
pub struct Replies {
    /// The header fields; `None` where the policy wants none.
    pub fields: Option<Fields>,
    /// The most that is added to `Retry-After`, as a share of the wait.
    pub jitter: Percent,
    /// The answer to a request over a limit.
    pub refused: Reply,
    /// The answer to a caller who is not known.
    pub unauthorized: Reply,
}

/// The `X-RateLimit-*` fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// How the time is told at which the limit is full again.
    pub reset: Reset,
    /// On which responses.
    pub when: When,
}

/// How a time is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Seconds from now.
    #[default]
    Seconds,
    /// The Unix second.
    UnixSeconds,
}

/// On which responses the fields stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On each that a limit applied to.
    #[default]
    Always,
    /// On refusals alone.
    Refused,
}

/// A body and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The media type.
    pub content_type: Box<str>,
    /// The body.
    pub body: Template,
}

#[derive(Clone, Copy)]
enum Family {
    XRateLimit,
    None,
}

const BODY_BYTES_MAX: usize = 16_384;
const CONTENT_TYPE_BYTES_MAX: usize = 128;
const PROBLEM: &str = "application/problem+json";
const REFUSED: &str = r#"{"status":429,"title":"Too Many Requests","detail":"The limit {limit} is exceeded. Retry after {retry_after} seconds."}"#;
const UNAUTHORIZED: &str = r#"{"status":401,"title":"Unauthorized","detail":"Valid credentials are required."}"#;

impl Reply {
    fn problem(body: &str) -> Self {
        Self { content_type: PROBLEM.into(), body: Template::parse(body, &Placeholder::ALL).unwrap_or_default() }
    }
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            fields: Some(Fields { reset: Reset::default(), when: When::default() }),
            jitter: Percent::ZERO,
            refused: Reply::problem(REFUSED),
            unauthorized: Reply::problem(UNAUTHORIZED),
        }
    }
}

pub(super) fn read(field: Field<'_>) -> Option<Replies> {
    let map = field.map()?;
    let usual = Replies::default();
    let fields = map.optional("fields", usual.fields, read_fields);
    let jitter = map.optional("retry_after", usual.jitter, read_jitter);
    let refused = read_reply(map.get("refused"), usual.refused, &Placeholder::ALL);
    // Who is not known is under no limit, and nothing tells when to come back.
    let unauthorized = read_reply(map.get("unauthorized"), usual.unauthorized, &[Placeholder::TraceId]);
    map.end();
    Some(Replies { fields: fields?, jitter: jitter?, refused: refused?, unauthorized: unauthorized? })
}

fn read_fields(field: Field<'_>) -> Option<Option<Fields>> {
    let map = field.map()?;
    let family = map.require("family").and_then(|field| {
        field.choice("a family of fields", &[("x-ratelimit", Family::XRateLimit), ("none", Family::None)])
    });
    let reset = map.optional("reset", Reset::default(), |field| {
        field.choice("a form of time", &[("seconds", Reset::Seconds), ("unix-seconds", Reset::UnixSeconds)])
    });
    let when = map.optional("when", When::default(), |field| {
        field.choice("an occasion", &[("always", When::Always), ("refused", When::Refused)])
    });
    map.end();
    let fields = Fields { reset: reset?, when: when? };
    Some(match family? {
        Family::XRateLimit => Some(fields),
        Family::None => None,
    })
}

fn read_jitter(field: Field<'_>) -> Option<Percent> {
    let map = field.map()?;
    let jitter = map.require("jitter").and_then(|field| field.quantity(Percent::parse));
    map.end();
    jitter
}

fn read_reply(field: Option<Field<'_>>, usual: Reply, known: &[Placeholder]) -> Option<Reply> {
    let Some(field) = field else { return Some(usual) };
    let map = field.map()?;
    let content_type = map.require("content_type").and_then(|field| {
        let text = field.text(CONTENT_TYPE_BYTES_MAX)?;
        if is_media_type(text) { Some(text) } else { field.refuse(Reason::BadMediaType { value: text.to_owned() }) }
    });
    let body = map.require("body").and_then(|field| {
        let text = field.string()?;
        if text.len() > BODY_BYTES_MAX {
            return field.refuse(Reason::TooLong { max: BODY_BYTES_MAX });
        }
        let refuse = |value| field.fault(Reason::BadPlaceholder { value, known: known.to_vec() });
        Template::parse(text, known).map_err(|unknown| unknown.into_iter().for_each(refuse)).ok()
    });
    map.end();
    Some(Reply { content_type: content_type?.into(), body: body? })
}

/// `type/subtype` and, after a `;`, anything visible (RFC 9110 §8.3.1).
fn is_media_type(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && text.trim() == text;
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    visible && essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}
