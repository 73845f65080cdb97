//! Names of headers, and which of them can be believed.

use super::callers::AUTHORITY;
use super::document::Value;
use super::error::Reason;
use super::reader::{Field, is_token};

/// The longest name of a header or a query parameter, and the longest authentication scheme.
pub(crate) const TOKEN_BYTES_MAX: usize = 128;

/// Headers of one connection, which Envoy takes out before any filter sees them, or leaves with
/// another value (`te`; `connection` and `upgrade` of a WebSocket).
pub(crate) const OF_A_CONNECTION: [&str; 6] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Names of the host, none of which is a header to a filter.
pub(crate) const OF_THE_HOST: [&str; 2] = ["host", AUTHORITY];

/// The name of a header, in lower case.
pub(super) fn read_name(field: &Field<'_>) -> Option<Box<str>> {
    let name = field.text(TOKEN_BYTES_MAX)?.to_ascii_lowercase();
    if OF_THE_HOST.contains(&&*name) {
        return field.refuse(Reason::HostHeader);
    }
    if name.starts_with(':') {
        return field.refuse(Reason::PseudoHeader(name));
    }
    let name = field.token(TOKEN_BYTES_MAX, "a header").map(|_| name)?;
    if OF_A_CONNECTION.contains(&&*name) {
        return field.refuse(Reason::ConnectionHeader { name });
    }
    Some(name.into())
}

/// The responses on which the gateway sets a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settable {
    /// On every response, those of the upstream included.
    OnAnyResponse,
    /// On an answer of the gateway's own.
    OnOwnAnswer,
}

/// Why the gateway sets none of some headers.
const OF_THE_CONNECTION: &str = "belongs to the connection: Envoy sets it";
const OF_THE_BODY: &str = "describes the body, so it cannot be set: another value would break it";
const OF_GRPC: &str = "states the outcome of a gRPC call, and cannot be set";

/// Headers that would break the message, each with the reason, in addition to those of a
/// connection.
const UNSETTABLE: [(&str, &str); 7] = [
    ("trailer", OF_THE_CONNECTION),
    ("content-length", OF_THE_BODY),
    ("content-encoding", OF_THE_BODY),
    ("content-range", OF_THE_BODY),
    ("grpc-status", OF_GRPC),
    ("grpc-message", OF_GRPC),
    ("host", "is a header of requests: a response has none"),
];

/// The type of the body, which has a key of its own in an answer.
const CONTENT_TYPE: &str = "content-type";

impl Settable {
    /// Why a header cannot be set there.
    fn refuse(self, name: &str) -> Option<&'static str> {
        if name == CONTENT_TYPE {
            return Some(match self {
                Self::OnAnyResponse => OF_THE_BODY,
                Self::OnOwnAnswer => "has a key of its own: `content_type`",
            });
        }
        if OF_A_CONNECTION.contains(&name) {
            return Some(OF_THE_CONNECTION);
        }
        let found = UNSETTABLE.iter().find(|(known, _)| *known == name);
        found.map(|(_, why)| *why)
    }
}

/// The headers that cannot be set, in lower case.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn unsettable() -> impl Iterator<Item = &'static str> {
    let others = UNSETTABLE.iter().map(|(name, _)| *name);
    OF_A_CONNECTION
        .into_iter()
        .chain(others)
        .chain([CONTENT_TYPE])
}

/// The name of a header that the gateway sets, in lower case.
pub(super) fn read_settable(field: &Field<'_>, name: &str, on: Settable) -> Option<Box<str>> {
    let name = name.to_ascii_lowercase();
    let why = if name.starts_with(':') {
        Some("is a pseudo-header: `status` sets the status, and nothing sets the others")
    } else {
        on.refuse(&name)
    };
    if let Some(why) = why {
        return field.refuse(Reason::NotSettable { name, why });
    }
    if name.len() > TOKEN_BYTES_MAX {
        return field.refuse(Reason::TooLong {
            max: TOKEN_BYTES_MAX,
        });
    }
    if !is_token(&name) {
        return field.refuse(Reason::BadToken {
            value: name,
            kind: "a header",
        });
    }
    Some(name.into())
}

/// A header counts only if the policy says that no client can set it.
pub(super) fn read_trusted(header: &Field<'_>, trusted: Option<&Field<'_>>) -> Option<()> {
    let Some(trusted) = trusted else {
        return header.refuse(Reason::Untrusted);
    };
    match &trusted.node.value {
        Value::Bool(true) => Some(()),
        Value::Bool(false) => trusted.refuse(Reason::Untrusted),
        other @ (Value::Null
        | Value::Number(_)
        | Value::String(_)
        | Value::List(_)
        | Value::Map(_)) => trusted.refuse(Reason::NotA {
            wanted: "true",
            found: other.kind(),
        }),
    }
}
