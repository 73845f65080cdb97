//! The parts of a request's head that the policy looks at.

use super::authority::Authority;
use super::properties::RequestProperties;
use crate::base::id::TierId;
use crate::base::path::{Ambiguity, PathBuffer, Readings, ambiguity};
use crate::base::time::Timestamp;
use crate::host::headers::Headers;
use crate::host::stream::{Dialect, Properties, RequestHead};
use crate::policy::Policy;
use crate::policy::callers::AUTHORITY;
use crate::policy::costs::CONTENT_LENGTH;
use crate::policy::route::Matches;

/// A request, as far as it is looked at. Its buffers are used again for the next one.
#[derive(Debug, Default)]
pub struct Request {
    /// When it arrived.
    pub now: Timestamp,
    /// All headers.
    pub headers: Headers,
    /// Properties of the proxy.
    pub properties: RequestProperties,
    /// The path in its coarsest reading.
    pub path: PathBuffer,
    /// The routes of the policy that match it.
    pub matches: Matches,
    /// Its tier.
    pub tier: Option<TierId>,
    /// Readings of the path that other routes match.
    pub others: Vec<OtherReading>,
    /// Why no reading of the path is safe.
    pub ambiguity: Option<Ambiguity>,
    /// Whether the request has no body.
    pub ends: bool,
    /// The result of [`Request::authority`].
    pub authority: Authority,
}

/// The protocol that a connection switches to if the response agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// Another protocol.
    Upgrade,
    /// A connection to elsewhere.
    Connect,
}

impl Tunnel {
    /// Whether it begins with a response of this status.
    #[must_use]
    pub fn begins_with(self, status: &[u8]) -> bool {
        match self {
            Self::Upgrade => status == b"101",
            Self::Connect => status.len() == 3 && status.starts_with(b"2"),
        }
    }
}

/// A second reading of a path.
#[derive(Debug, Default)]
pub struct OtherReading {
    path: PathBuffer,
    matches: Matches,
    tier: Option<TierId>,
}

/// One reading of a request's path, with its tiers and routes.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'r> {
    /// The path.
    pub path: &'r PathBuffer,
    /// The routes of the policy that match it.
    pub matches: &'r Matches,
    /// Its tier.
    pub tier: Option<TierId>,
}

impl Request {
    /// Reads the parts that `policy` uses, each once. `ends` is whether no body follows.
    pub fn read(&mut self, host: &(impl RequestHead + Properties), policy: &Policy, ends: bool) {
        self.ends = ends;
        self.authority.clear();
        self.headers = host.request_headers();
        self.properties.ask(policy.properties, host);
        // CONNECT has no path; a message without a method matches routes for any method.
        let [raw, method] = self.headers.firsts([":path", ":method"]);
        self.path.read(raw);
        policy.routes.matches(method, &self.path, &mut self.matches);
        self.tier = policy.tier_of(&self.matches);
        self.others.clear();
        self.ambiguity = None;
        // Without routes all paths are the same to the policy.
        if policy.routes.route_count() > 0 && !self.path.is_plain() {
            self.ambiguity = ambiguity(raw, &self.path);
            if let (None, Some(readings)) = (self.ambiguity, Readings::of(raw)) {
                self.others = others(readings, method, &self.matches, policy);
            }
        }
    }

    /// Forgets the path: then no route matches, and no tier.
    pub fn forget_path(&mut self) {
        (self.path, self.matches) = (PathBuffer::default(), Matches::default());
        (self.tier, self.ambiguity) = (None, None);
        self.others.clear();
    }

    /// All readings of its path that differ in the routes that match, the coarsest first.
    pub fn readings(&self) -> impl Iterator<Item = Reading<'_>> {
        let first = Reading {
            path: &self.path,
            matches: &self.matches,
            tier: self.tier,
        };
        let others = self.others.iter();
        std::iter::once(first).chain(others.map(|other| Reading {
            path: &other.path,
            matches: &other.matches,
            tier: other.tier,
        }))
    }

    /// The size of its body, if the head states one; the proxy holds the client to it. `None` if it
    /// states several that differ.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        let digits = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit());
        let size = |value: &[u8]| {
            str::from_utf8(value.trim_ascii())
                .ok()
                .filter(|value| digits(value))?
                .parse()
                .ok()
        };
        let mut sizes = self
            .headers
            .all(CONTENT_LENGTH)
            .flat_map(|line| line.split(|byte| *byte == b','))
            .map(size);
        let first: u64 = sizes.next()??;
        sizes.all(|size| size == Some(first)).then_some(first)
    }

    /// The tunnel that it asks for, by RFC 9110 §7.8 and §9.3.6 (Envoy converts RFC 8441 to the
    /// first). It begins when the response says so, and not before.
    #[must_use]
    pub fn tunnel(&self) -> Option<Tunnel> {
        if self.headers.first(":method") == Some(b"CONNECT") {
            return Some(Tunnel::Connect);
        }
        let mut tokens = self
            .headers
            .all("connection")
            .flat_map(|line| line.split(|byte| *byte == b','));
        let mut asks = || tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        (self.headers.first("upgrade").is_some() && asks()).then_some(Tunnel::Upgrade)
    }

    /// The requested host in one spelling: lower case, without user, port and final dot, an IPv6
    /// address in brackets. `None` if it is empty.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        let sent = self.headers.first(AUTHORITY).unwrap_or_default();
        self.authority.of(sent)
    }

    /// The text after the `?` of the path.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        let path = self.headers.first(":path").unwrap_or_default();
        let path = path.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut parts = path.splitn(2, |byte| *byte == b'?');
        parts.next();
        parts.next().unwrap_or_default()
    }

    /// Whether its caller is a gRPC one, by Envoy's rule.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.dialect() == Dialect::Grpc
    }

    /// How its caller reads an answer.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        let content_type = self.headers.first("content-type").unwrap_or_default();
        Dialect::of(content_type)
    }
}

/// Those of `readings` that other routes match than any before.
fn others(
    mut readings: Readings<'_>,
    method: &[u8],
    first: &Matches,
    policy: &Policy,
) -> Vec<OtherReading> {
    let mut others: Vec<OtherReading> = Vec::new();
    let mut next = OtherReading::default();
    while readings.next(&mut next.path) {
        policy.routes.matches(method, &next.path, &mut next.matches);
        let known = |matches: &Matches| matches.ids() == next.matches.ids();
        if !known(first) && !others.iter().any(|other| known(&other.matches)) {
            next.tier = policy.tier_of(&next.matches);
            others.push(std::mem::take(&mut next));
        }
    }
    others
}
