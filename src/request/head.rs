//! The parts of a request's head that the policy looks at.

use super::facts::Facts;
use crate::base::path::PathBuffer;
use crate::host::headers::Headers;
use crate::host::stream::{Properties, RequestHead};
use crate::policy::Policy;
use crate::policy::limits::CONTENT_LENGTH;
use crate::policy::route::Matches;

/// A request, as far as it is looked at. Its buffers are used again for the next one.
#[derive(Debug, Default)]
pub struct Request {
    /// All headers.
    pub headers: Headers,
    /// What the proxy knows beside them.
    pub facts: Facts,
    /// The path, decoded and normalised.
    pub path: PathBuffer,
    /// The routes of the policy that match.
    pub matches: Matches,
    /// The number of its tier.
    pub tier: Option<usize>,
    /// Whether it ends with its head: there is no body.
    pub ends: bool,
}

impl Request {
    /// Reads what `policy` looks at, each thing once. `ends` is whether no body follows.
    pub fn read(&mut self, host: &(impl RequestHead + Properties), policy: &Policy, ends: bool) {
        self.ends = ends;
        self.headers = host.request_headers();
        self.facts.ask(policy.callers.properties, host);
        // CONNECT has no path; a message without a method matches routes for any method.
        self.path.read(self.headers.first(":path").unwrap_or_default());
        policy.routes.matches(self.headers.first(":method").unwrap_or_default(), &self.path, &mut self.matches);
        self.tier = policy.tier_of(&self.matches);
    }

    /// The size of its body, where the head says one; the proxy holds the client to it.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        let value = self.headers.first(CONTENT_LENGTH)?.trim_ascii();
        str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    }

    /// What stands behind the `?` of the path.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        let path = self.headers.first(":path").unwrap_or_default();
        let path = path.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut parts = path.splitn(2, |byte| *byte == b'?');
        parts.next();
        parts.next().unwrap_or_default()
    }

    /// Whether Envoy takes its caller for a gRPC one (by the same rule).
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        let rest = self.headers.first("content-type").and_then(|value| value.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    }
}
