//! What callers are told: header fields, when to come back, and the words of a refusal.

use super::error::Reason;
use super::media::is_media_type;
use super::reader::Field;
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
    /// The answer to a caller who is not known.
    pub unauthorized: Reply,
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    XRateLimit,
    Ietf,
    Both,
    None,
}

/// An additional field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum With {
    Period,
    Name,
}

const WITH_MAX: usize = 16;
pub(crate) const BODY_BYTES_MAX: usize = 16_384;
pub(crate) const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// The media type of a problem (RFC 9457 §3).
pub const PROBLEM: &str = "application/problem+json";
const UNAUTHORIZED: &str =
    r#"{"status":401,"title":"Unauthorized","detail":"Valid credentials are required."}"#;

const PAYLOAD: &str = r#"{"status":{status},"title":"{title}","detail":"{detail}"}"#;

impl Reply {
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
            payload: Reply::problem(PAYLOAD, &Placeholder::PAYLOAD),
        }
    }
}

pub(super) fn read(field: Field<'_>) -> Option<Replies> {
    let map = field.map("{ fields: { family: ietf } }")?;
    let usual = Replies::default();
    let fields = map.optional("fields", usual.fields, read_fields);
    let jitter = map.optional("retry_after", usual.jitter, read_jitter);
    let standard = fields.flatten().is_some_and(|fields| fields.ietf);
    let refused = match map.get("refused") {
        Some(field) => read_reply(field, &Placeholder::REFUSED).map(Refused::Words),
        None if standard => Some(Refused::QuotaExceeded),
        None => Some(usual.refused),
    };
    // Who is not known is under no limit, and nothing tells when to come back.
    let unauthorized = map.optional("unauthorized", usual.unauthorized, |field| {
        read_reply(field, &[Placeholder::TraceId])
    });
    let payload = map.optional("payload", usual.payload, |field| {
        read_reply(field, &Placeholder::PAYLOAD)
    });
    map.deny_unknown();
    Some(Replies {
        fields: fields?,
        jitter: jitter?,
        refused: refused?,
        unauthorized: unauthorized?,
        payload: payload?,
    })
}

fn read_fields(field: Field<'_>) -> Option<Option<Fields>> {
    let map = field.map("{ family: x-ratelimit }")?;
    let family = map.require("family").and_then(|field| {
        field.choice(
            "a family of fields",
            &[
                ("x-ratelimit", Family::XRateLimit),
                ("ietf", Family::Ietf),
                ("both", Family::Both),
                ("none", Family::None),
            ],
        )
    });
    let own = |key| map.get(key).inspect(|field| of_this_family(field, family));
    let reset = own("reset").map_or(Some(Reset::default()), |field| {
        let forms = [
            ("seconds", Reset::Seconds),
            ("unix-seconds", Reset::UnixSeconds),
            ("retry-after", Reset::RetryAfter),
        ];
        field.choice("a form of time", &forms)
    });
    let with = own("with").map_or(Some(Vec::new()), |field| {
        let choices = [("period", With::Period), ("name", With::Name)];
        // No word occurs twice, so too many words include an unknown one.
        let nodes = field.non_empty_list(WITH_MAX)?;
        Some(field.each_unique(nodes, |field| field.choice("a further field", &choices)))
    });
    let when = map.optional("when", When::default(), |field| {
        field.choice(
            "an occasion",
            &[("always", When::Always), ("refused", When::Refused)],
        )
    });
    map.deny_unknown();
    let (family, with) = (family?, with?);
    let x_ratelimit = XRateLimit {
        reset: reset?,
        period: with.contains(&With::Period),
        name: with.contains(&With::Name),
    };
    let when = when?;
    Some(match family {
        Family::XRateLimit => Some(Fields {
            x_ratelimit: Some(x_ratelimit),
            ietf: false,
            when,
        }),
        Family::Both => Some(Fields {
            x_ratelimit: Some(x_ratelimit),
            ietf: true,
            when,
        }),
        Family::Ietf => Some(Fields {
            x_ratelimit: None,
            ietf: true,
            when,
        }),
        Family::None => None,
    })
}

fn of_this_family(field: &Field<'_>, family: Option<Family>) {
    if matches!(family, Some(Family::Ietf | Family::None)) {
        field.error(Reason::RequiresSibling {
            sibling: "`family: x-ratelimit` or `both`",
        });
    }
}

fn read_jitter(field: Field<'_>) -> Option<Percent> {
    let map = field.map("{ jitter: 20% }")?;
    let jitter = map
        .require("jitter")
        .and_then(|field| field.quantity(Percent::parse));
    map.deny_unknown();
    jitter
}

fn read_reply(field: Field<'_>, known: &[Placeholder]) -> Option<Reply> {
    let map = field.map("{ content_type: text/plain, body: refused }")?;
    let content_type = map.require("content_type").and_then(|field| {
        let text = field.text(CONTENT_TYPE_BYTES_MAX)?;
        if is_media_type(text) {
            Some(text)
        } else {
            field.refuse(Reason::BadMediaType {
                value: text.to_owned(),
            })
        }
    });
    let body = map.require("body").and_then(|field| {
        let text = field.string()?;
        if text.len() > BODY_BYTES_MAX {
            return field.refuse(Reason::TooLong {
                max: BODY_BYTES_MAX,
            });
        }
        let refuse = |value| {
            field.error(Reason::BadPlaceholder {
                value,
                known: known.to_vec(),
            })
        };
        Template::parse(text, known)
            .map_err(|unknown| unknown.into_iter().for_each(refuse))
            .ok()
    });
    map.deny_unknown();
    Some(Reply {
        content_type: content_type?.into(),
        body: body?,
    })
}
