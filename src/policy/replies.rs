//! What responses state: header fields, when to retry, and the text of a refusal.

use super::language::{self as lang, Family, With};
use super::reader::MapField;
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
    pub refused: Refused,
    /// The answer to an unknown caller.
    pub unauthorized: Reply,
    /// The answer to a request that an entry of `deny` matches.
    pub denied: Reply,
    /// The answer to a request with a payload that is refused.
    pub payload: Reply,
}

/// Which header fields state a caller's limits, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The `X-RateLimit-*` fields; `None` for none of them.
    pub x_ratelimit: Option<XRateLimit>,
    /// Whether `RateLimit` and `RateLimit-Policy` are sent.
    pub ietf: bool,
    /// On which responses.
    pub when: When,
}

/// How the `X-RateLimit-*` fields look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XRateLimit {
    /// The form of the time at which the limit is full again.
    pub reset: Reset,
    /// Whether there is one for the window's length.
    pub period: bool,
    /// Whether there is one for the limit's name.
    pub name: bool,
}

/// The form of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Seconds from now.
    #[default]
    Seconds,
    /// The Unix second.
    UnixSeconds,
    /// The seconds of `Retry-After`, and only with that field.
    RetryAfter,
}

/// The answer to a request over a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The usual problem.
    Problem,
    /// The policy's own words.
    Words(Reply),
    /// The standard's problem `quota-exceeded`, which names the limits.
    QuotaExceeded,
}

/// The responses that have the fields.
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

/// The media type of a problem (RFC 9457 §3).
pub const PROBLEM: &str = "application/problem+json";
const UNAUTHORIZED: &str =
    r#"{"status":401,"title":"Unauthorized","detail":"Valid credentials are required."}"#;

const DENIED: &str = r#"{"status":403,"title":"Forbidden","detail":"Access is denied."}"#;

const PAYLOAD: &str = r#"{"status":{status},"title":"{title}","detail":"{detail}"}"#;

impl Reply {
    fn of(content_type: &str, body: Template) -> Option<Self> {
        Some(Self {
            content_type: content_type.into(),
            body,
        })
    }

    fn problem(body: &str, known: &[Placeholder]) -> Self {
        Self {
            content_type: PROBLEM.into(),
            body: Template::parse(body, known).unwrap_or_default(),
        }
    }
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            fields: Some(Fields {
                x_ratelimit: Some(XRateLimit::default()),
                ietf: false,
                when: When::default(),
            }),
            jitter: Percent::ZERO,
            refused: Refused::Problem,
            unauthorized: Reply::problem(UNAUTHORIZED, &[Placeholder::TraceId]),
            denied: Reply::problem(DENIED, &[Placeholder::TraceId]),
            payload: Reply::problem(PAYLOAD, &Placeholder::PAYLOAD),
        }
    }
}

pub(super) fn read(map: &MapField<'_, lang::Replies>) -> Option<Replies> {
    let usual = Replies::default();
    let fields = map.read_with(lang::Replies::FIELDS, |_, map| read_fields(&map));
    let jitter = map.read_with(lang::Replies::RETRY_AFTER, |_, map| read_jitter(&map));
    let refused = map.read_with(lang::Replies::REFUSED, |_, map| {
        let content_type = map.read(lang::RefusedReply::CONTENT_TYPE);
        let body = map.read(lang::RefusedReply::BODY);
        map.finish();
        Reply::of(content_type?, body?)
    });
    let unauthorized = map.read_with(lang::Replies::UNAUTHORIZED, |_, map| {
        let content_type = map.read(lang::Unauthorized::CONTENT_TYPE);
        let body = map.read(lang::Unauthorized::BODY);
        map.finish();
        Reply::of(content_type?, body?)
    });
    let denied = map.read_with(lang::Replies::DENIED, |_, map| {
        let content_type = map.read(lang::Denied::CONTENT_TYPE);
        let body = map.read(lang::Denied::BODY);
        map.finish();
        Reply::of(content_type?, body?)
    });
    let payload = map.read_with(lang::Replies::PAYLOAD, |_, map| {
        let content_type = map.read(lang::RefusedPayload::CONTENT_TYPE);
        let body = map.read(lang::RefusedPayload::BODY);
        map.finish();
        Reply::of(content_type?, body?)
    });
    map.finish();
    let fields = fields?.unwrap_or(usual.fields);
    let standard = fields.is_some_and(|fields| fields.ietf);
    let refused = match refused? {
        Some(reply) => Refused::Words(reply),
        None if standard => Refused::QuotaExceeded,
        None => usual.refused,
    };
    Some(Replies {
        fields,
        jitter: jitter?.unwrap_or(usual.jitter),
        refused,
        unauthorized: unauthorized?.unwrap_or(usual.unauthorized),
        denied: denied?.unwrap_or(usual.denied),
        payload: payload?.unwrap_or(usual.payload),
    })
}

fn read_fields(map: &MapField<'_, lang::Fields>) -> Option<Option<Fields>> {
    let family = map.read(lang::Fields::FAMILY);
    let reset = map.read(lang::Fields::RESET);
    let with = map.read_with(lang::Fields::WITH, |_, words| {
        words.each(|_, word| Some(word))
    });
    let when = map.read(lang::Fields::WHEN);
    map.finish();
    let (family, with) = (family?, with?.unwrap_or_default());
    let x_ratelimit = XRateLimit {
        reset: reset?,
        period: with.contains(&With::Period),
        name: with.contains(&With::Name),
    };
    let (x_ratelimit, ietf) = match family {
        Family::XRateLimit => (Some(x_ratelimit), false),
        Family::Both => (Some(x_ratelimit), true),
        Family::Ietf => (None, true),
        Family::None => return Some(None),
    };
    Some(Some(Fields {
        x_ratelimit,
        ietf,
        when: when?,
    }))
}

fn read_jitter(map: &MapField<'_, lang::RetryAfter>) -> Option<Percent> {
    let jitter = map.read(lang::RetryAfter::JITTER);
    map.finish();
    jitter
}
