//! The answers of the gateway, as far as the policy sets them.

use std::collections::BTreeMap;

use crate::policy::attributes::Attributes;
use crate::policy::error::Reason;
use crate::policy::header::{Settable, read_settable};
use crate::policy::language::{
    self as lang, HEADERS_MAX, HeaderValue, Kind as _, Mapping, Placeholders, TemplateText,
};
use crate::policy::reader::{Field, MapField};
use crate::policy::template::{Escape, Placeholder, Template, Unknown};

/// The policy's settings for an answer. Absent ones come from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: Option<u32>,
    /// The type of the body.
    pub content_type: Option<ContentType>,
    /// The body.
    pub body: Option<Template>,
    /// Headers, by their names in lower case. An empty template removes one.
    pub headers: Vec<(Box<str>, Template)>,
}

impl Reply {
    /// All placeholders of its templates.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        let headers = self.headers.iter().map(|(_, template)| template);
        let all = self.body.iter().chain(headers);
        all.flat_map(Template::placeholders)
    }
}

/// The type of a body, and how its values are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// As it is written.
    pub text: Box<str>,
    /// How values are escaped.
    pub escape: Escape,
}

/// Whether the answers of a policy state the type of a body for all limits.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::policy) struct SharedTypes {
    /// `replies.refused`
    pub(in crate::policy) refused: bool,
    /// `replies.payload`
    pub(in crate::policy) payload: bool,
}

impl SharedTypes {
    /// The content of `replies`. It is read before the limits, and its errors are reported later.
    pub(in crate::policy) fn of(policy: &MapField<'_, lang::Policy>) -> Self {
        let states = |key: &str| {
            let replies = policy.value(lang::Policy::REPLIES);
            let answer = replies.and_then(|replies| replies.node.value.get(key));
            answer.is_some_and(|answer| answer.get("content_type").is_some())
        };
        Self {
            refused: states(lang::Replies::REFUSED.name),
            payload: states(lang::Replies::PAYLOAD.name),
        }
    }
}

impl ContentType {
    fn of(text: &str) -> Self {
        Self {
            text: text.into(),
            escape: Escape::of(text),
        }
    }
}

/// Cuts a template at its placeholders; `None` if it has an error, which is noted.
pub(in crate::policy) fn compile(
    text: TemplateText<'_>,
    attributes: &mut Attributes,
) -> Option<Template> {
    let field = text.field();
    let cut = Template::parse(text.text(), text.known(), |name| {
        attributes.resolve(field, name)
    });
    let unknown = match cut {
        Ok(template) => return Some(template),
        Err(unknown) => unknown,
    };
    for unknown in unknown {
        field.error(match unknown {
            Unknown::Word(value) => Reason::BadPlaceholder {
                value,
                known: text.known(),
            },
            Unknown::Form { value, word } => Reason::BadForm { value, word },
        });
    }
    None
}

/// The headers of an answer whose placeholders are those of `R`.
fn read_headers<M: Mapping, R: Placeholders>(
    map: &MapField<'_, M>,
    attributes: &mut Attributes,
) -> Option<Vec<(Box<str>, Template)>> {
    let mut seen = BTreeMap::new();
    let mut headers = Vec::new();
    // A Struct has no order of keys: the same error has the same words in every form.
    let mut entries: Vec<_> = map.rest().collect();
    entries.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    let count = entries.len();
    for (entry, field) in entries {
        let name = read_settable(&field, &entry.key, Settable::OnOwnAnswer);
        let value = HeaderValue::<R>::read(field).and_then(|text| compile(text, attributes));
        let Some((name, value)) = name.zip(value) else {
            continue;
        };
        match seen.insert(name.clone(), field.at.to_string()) {
            Some(first) => field.error(Reason::Duplicate { value: None, first }),
            None => headers.push((name, value)),
        }
    }
    if count > HEADERS_MAX {
        map.field().error(Reason::TooMany {
            count,
            max: HEADERS_MAX,
        });
    }
    map.finish();
    (headers.len() == count && count <= HEADERS_MAX).then_some(headers)
}

/// Reads the keys of an answer. `$placeholders` is the mapping that has its placeholders.
macro_rules! read_reply {
    ($map:ident, $mapping:ident, $placeholders:ident, $attributes:ident, $status:expr) => {{
        let status = $status;
        let content_type = $map.read(lang::$mapping::CONTENT_TYPE);
        let body = $map.read_with(lang::$mapping::BODY, |_, text| compile(text, $attributes));
        let headers = $map.read_with(lang::$mapping::HEADERS, |_, map| {
            read_headers::<_, lang::$placeholders>(&map, $attributes)
        });
        $map.finish();
        Some(Reply {
            status: status?,
            content_type: content_type?.map(ContentType::of),
            body: body?,
            headers: headers?.unwrap_or_default(),
        })
    }};
}

pub(super) fn read_refused(
    map: &MapField<'_, lang::RefusedReply>,
    attributes: &mut Attributes,
) -> Option<Reply> {
    let status = map.read(lang::RefusedReply::STATUS);
    read_reply!(map, RefusedReply, RefusedReply, attributes, status)
}

pub(super) fn read_unauthorized(
    map: &MapField<'_, lang::Unauthorized>,
    attributes: &mut Attributes,
) -> Option<Reply> {
    read_reply!(map, Unauthorized, Unauthorized, attributes, Some(None))
}

pub(super) fn read_denied(
    map: &MapField<'_, lang::Denied>,
    attributes: &mut Attributes,
) -> Option<Reply> {
    read_reply!(map, Denied, Denied, attributes, Some(None))
}

pub(super) fn read_payload(
    map: &MapField<'_, lang::RefusedPayload>,
    attributes: &mut Attributes,
) -> Option<Reply> {
    let status = map.read(lang::RefusedPayload::STATUS);
    read_reply!(map, RefusedPayload, RefusedPayload, attributes, status)
}

/// The answer of one limit, pool or seat limit.
pub(in crate::policy) fn read_own(
    map: &MapField<'_, lang::OwnRefusal>,
    shared: SharedTypes,
    attributes: &mut Attributes,
) -> Option<Box<Reply>> {
    let status = map.read(lang::OwnRefusal::STATUS);
    let body = map.value(lang::OwnRefusal::BODY);
    let has_type = shared.refused || map.has(lang::OwnRefusal::CONTENT_TYPE);
    report_body_without_type(body, has_type, "replies.refused");
    let reply = read_reply!(map, OwnRefusal, RefusedReply, attributes, status);
    reply.map(Box::new)
}

/// The answer of one payload limit.
pub(in crate::policy) fn read_own_payload(
    map: &MapField<'_, lang::OwnPayloadRefusal>,
    shared: SharedTypes,
    attributes: &mut Attributes,
) -> Option<Box<Reply>> {
    let status = map.read(lang::OwnPayloadRefusal::STATUS);
    let body = map.value(lang::OwnPayloadRefusal::BODY);
    let has_type = shared.payload || map.has(lang::OwnPayloadRefusal::CONTENT_TYPE);
    report_body_without_type(body, has_type, "replies.payload");
    let reply = read_reply!(map, OwnPayloadRefusal, RefusedPayload, attributes, status);
    reply.map(Box::new)
}

fn report_body_without_type(body: Option<Field<'_>>, has_type: bool, shared: &'static str) {
    if let Some(body) = body
        && !has_type
    {
        body.error(Reason::BodyWithoutType { shared });
    }
}
