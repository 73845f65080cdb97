//! The parts of a request's head that the policy looks at.

use crate::base::path::PathBuffer;
use crate::host::headers::Headers;
use crate::policy::Policy;
use crate::policy::route::Matches;

/// A request, as far as it is looked at. Its buffers are used again for the next one.
#[derive(Debug, Default)]
pub struct Request {
    /// All headers.
    pub headers: Headers,
    /// The path, decoded and normalised.
    pub path: PathBuffer,
    /// The routes of the policy that match.
    pub matches: Matches,
    /// The number of its tier.
    pub tier: Option<usize>,
}

impl Request {
    /// Reads `headers` by the routes of `policy`.
    pub fn read(&mut self, headers: Headers, policy: &Policy) {
        self.headers = headers;
        // CONNECT has no path; a message without a method matches routes for any method.
        self.path.read(self.headers.first(":path").unwrap_or_default());
        policy.routes.matches(self.headers.first(":method").unwrap_or_default(), &self.path, &mut self.matches);
        self.tier = policy.tier_of(&self.matches);
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
