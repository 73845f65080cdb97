//! The addressee of an answer: the data of the request that the answer shows.

use super::refusal::Refusal;
use super::trace_id;
use crate::base::time::Timestamp;
use crate::host::headers::Headers;
use crate::host::stream::Dialect;
use crate::policy::Policy;
use crate::policy::attributes::AttributeId;
use crate::policy::route::RouteId;
use crate::policy::scope::Scope;
use crate::request::checks::matched_route;
use crate::request::head::Request;
use crate::request::identify::Caller;

/// The most bytes of an attribute that an answer shows.
const ATTRIBUTE_BYTES_MAX: usize = 256;

/// The data of the request head for an answer that is sent when the head is gone.
#[derive(Clone, Debug, Default)]
pub struct ReplyContext {
    trace_id: String,
    dialect: Dialect,
    attributes: Vec<(AttributeId, Box<str>)>,
    /// The route by which the limit that may refuse applies, if a template shows it.
    pub route: Option<RouteId>,
}

impl ReplyContext {
    /// The data for an answer to `request`. `fallback` is the trace id of a request without one.
    #[must_use]
    pub fn of(request: &Request, caller: &Caller<'_>, policy: &Policy, fallback: u64) -> Self {
        let mut trace_id = String::new();
        trace_id::write(&mut trace_id, &request.headers, fallback);
        let attributes = policy.replies.attributes.iter().filter_map(|attribute| {
            let value = caller.value(*attribute)?;
            Some((*attribute, shown(value).into()))
        });
        Self {
            trace_id,
            dialect: request.dialect(),
            attributes: attributes.collect(),
            route: None,
        }
    }
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo<'a> {
    /// How the caller reads an answer.
    pub(super) dialect: Dialect,
    /// When the answer is given.
    pub(super) now: Timestamp,
    trace_id: TraceId<'a>,
    attributes: AttributesOf<'a>,
    route: RouteOf<'a>,
}

#[derive(Clone, Copy, Debug)]
enum TraceId<'a> {
    Unknown,
    Known(&'a str),
    /// To be found, if a body repeats it.
    InHead {
        headers: &'a Headers,
        fallback: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum AttributesOf<'a> {
    Caller(&'a Caller<'a>),
    Kept(&'a [(AttributeId, Box<str>)]),
}

#[derive(Clone, Copy, Debug)]
enum RouteOf<'a> {
    Known(Option<RouteId>),
    /// To be found, if an answer shows it.
    Request(&'a Request),
}

impl<'a> ReplyTo<'a> {
    /// An answer to `request` while its head is at hand. `caller` is the sender, if known.
    #[must_use]
    pub fn head(
        request: &'a Request,
        caller: Option<&'a Caller<'a>>,
        refusal: &Refusal<'_>,
        now: Timestamp,
    ) -> Self {
        Self {
            dialect: request.dialect(),
            now,
            trace_id: TraceId::InHead {
                headers: &request.headers,
                fallback: refusal.seed(now),
            },
            attributes: caller.map_or(AttributesOf::Kept(&[]), AttributesOf::Caller),
            route: RouteOf::Request(request),
        }
    }

    /// An answer to a request whose head is gone.
    #[must_use]
    pub fn kept(context: &'a ReplyContext, now: Timestamp) -> Self {
        Self {
            dialect: context.dialect,
            now,
            trace_id: TraceId::Known(&context.trace_id),
            attributes: AttributesOf::Kept(&context.attributes),
            route: RouteOf::Known(context.route),
        }
    }

    /// An answer that shows nothing of the request.
    #[must_use]
    pub const fn anyone(now: Timestamp) -> Self {
        Self {
            dialect: Dialect::Http,
            now,
            trace_id: TraceId::Unknown,
            attributes: AttributesOf::Kept(&[]),
            route: RouteOf::Known(None),
        }
    }

    /// The route by which the scope of a refusal applies.
    pub(super) fn route(&self, scope: &Scope, policy: &Policy) -> Option<RouteId> {
        match self.route {
            RouteOf::Known(route) => route,
            RouteOf::Request(request) => matched_route(scope, request, policy),
        }
    }

    /// Appends the trace id of the request, if it is known.
    pub(super) fn push_trace_id(&self, text: &mut String) -> bool {
        match self.trace_id {
            TraceId::Unknown => return false,
            TraceId::Known(id) => text.push_str(id),
            TraceId::InHead { headers, fallback } => trace_id::write(text, headers, fallback),
        }
        true
    }

    /// Appends the value of an attribute, if the caller has it.
    pub(super) fn push_attribute(&self, text: &mut String, attribute: AttributeId) -> bool {
        match self.attributes {
            AttributesOf::Caller(caller) => match caller.value(attribute) {
                Some(value) => text.push_str(&shown(value)),
                None => return false,
            },
            AttributesOf::Kept(values) => match values.iter().find(|(id, _)| *id == attribute) {
                Some((_, value)) => text.push_str(value),
                None => return false,
            },
        }
        true
    }
}

/// The text of a value, cut to the length that an answer shows. Bytes that are not UTF-8 are
/// replaced.
pub(super) fn shown(value: &[u8]) -> String {
    let cut = value.get(..ATTRIBUTE_BYTES_MAX).unwrap_or(value);
    let mut text = String::new();
    for chunk in cut.utf8_chunks() {
        text.push_str(chunk.valid());
        // A character that the cut divides is left out.
        let is_cut = cut.len() < value.len() && chunk.invalid().len() < 4;
        if !chunk.invalid().is_empty() && !is_cut {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_between_characters_and_is_text() {
        assert_eq!(shown("München".as_bytes()), "München");
        assert_eq!(shown(b"a\xffb"), "a\u{fffd}b");
        let long = "x".repeat(255) + "ü" + &"y".repeat(99);
        assert_eq!(shown(long.as_bytes()), "x".repeat(255));
        assert_eq!(shown(&[b'z'; 999]).len(), ATTRIBUTE_BYTES_MAX);
    }
}
