//! The content of responses to callers: header fields, the time to retry, and the answers of the
//! gateway.

mod answer;
mod endpoint;
mod fields;

use super::Context;
use super::attributes::AttributeId;
use super::callers::Source;
use super::language as lang;
use super::reader::MapField;
use super::template::Placeholder;
use crate::base::units::Percent;

pub use answer::{ContentType, Reply};
pub(super) use answer::{SharedTypes, read_own, read_own_payload};
pub use endpoint::Endpoint;
pub(super) use fields::Shown;
pub use fields::{Fields, Of, Reset, When, Written, WrittenValue, XRateLimit};

/// All replies of a policy.
#[derive(Debug)]
pub struct Replies {
    /// The header fields; `None` if the policy wants none.
    pub fields: Option<Fields>,
    /// The most that is added to `Retry-After`, as a share of the wait.
    pub jitter: Percent,
    /// The answer to a request over a limit.
    pub refused: Reply,
    /// The content of such an answer if the policy has no body for it.
    pub problem: Problem,
    /// The answer to an unknown caller.
    pub unauthorized: Reply,
    /// The answer to a request that an entry of `deny` matches.
    pub denied: Reply,
    /// The answer to a request with a payload that is refused.
    pub payload: Reply,
    /// The attributes that templates show, those of limits included.
    pub attributes: Vec<AttributeId>,
    /// Whether a template shows a route.
    pub shows_routes: bool,
    /// The endpoint at which callers read their own numbers.
    pub endpoint: Option<Endpoint>,
}

/// The body of an answer to a request over a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Problem {
    /// The usual problem.
    #[default]
    Usual,
    /// The standard's problem `quota-exceeded`, which names the limits.
    QuotaExceeded,
}

/// The media type of a problem (RFC 9457 §3).
pub const PROBLEM: &str = "application/problem+json";

impl Default for Replies {
    fn default() -> Self {
        Self {
            fields: Some(Fields::default()),
            jitter: Percent::ZERO,
            refused: Reply::default(),
            problem: Problem::default(),
            unauthorized: Reply::default(),
            denied: Reply::default(),
            payload: Reply::default(),
            attributes: Vec::new(),
            shows_routes: false,
            endpoint: None,
        }
    }
}

pub(super) fn read(
    map: &MapField<'_, lang::Replies>,
    shown: &Shown<'_>,
    context: &mut Context,
) -> Option<Replies> {
    let usual = Replies::default();
    let endpoint = map.read_with(lang::Replies::ENDPOINT, |_, map| {
        endpoint::read(&map, &mut context.routes)
    });
    let attributes = &mut context.attributes;
    let fields = map.read_with(lang::Replies::FIELDS, |_, map| {
        fields::read(&map, shown, attributes)
    });
    let jitter = map.read_with(lang::Replies::RETRY_AFTER, |_, map| read_jitter(&map));
    let refused = map.read_with(lang::Replies::REFUSED, |_, map| {
        answer::read_refused(&map, attributes)
    });
    let unauthorized = map.read_with(lang::Replies::UNAUTHORIZED, |_, map| {
        answer::read_unauthorized(&map, attributes)
    });
    let denied = map.read_with(lang::Replies::DENIED, |_, map| {
        answer::read_denied(&map, attributes)
    });
    let payload = map.read_with(lang::Replies::PAYLOAD, |_, map| {
        answer::read_payload(&map, attributes)
    });
    map.finish();
    let fields = fields?.unwrap_or(usual.fields);
    let problem = match &fields {
        Some(fields) if fields.ietf => Problem::QuotaExceeded,
        Some(_) | None => Problem::Usual,
    };
    Some(Replies {
        fields,
        jitter: jitter?.unwrap_or(usual.jitter),
        refused: refused?.unwrap_or_default(),
        problem,
        unauthorized: unauthorized?.unwrap_or_default(),
        denied: denied?.unwrap_or_default(),
        payload: payload?.unwrap_or_default(),
        endpoint: endpoint?,
        ..usual
    })
}

impl Replies {
    /// Notes the placeholders in the templates of all answers, those of `own` limits included, and
    /// on which `sources` of attributes the endpoint's answers depend.
    pub(super) fn note<'r>(
        &mut self,
        own: impl Iterator<Item = &'r Reply>,
        sources: &[(AttributeId, Vec<Source>)],
    ) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.note(sources);
        }
        let mut all: Vec<Placeholder> = Vec::new();
        for reply in [
            &self.refused,
            &self.unauthorized,
            &self.denied,
            &self.payload,
        ] {
            all.extend(reply.placeholders());
        }
        for reply in own {
            all.extend(reply.placeholders());
        }
        if let Some(fields) = &self.fields {
            all.extend(fields.placeholders());
        }
        self.shows_routes = all.contains(&Placeholder::Route);
        self.attributes = all.into_iter().filter_map(Placeholder::attribute).collect();
        self.attributes.sort_unstable();
        self.attributes.dedup();
    }
}

fn read_jitter(map: &MapField<'_, lang::RetryAfter>) -> Option<Percent> {
    let jitter = map.read(lang::RetryAfter::JITTER);
    map.finish();
    jitter
}
