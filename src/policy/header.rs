//! Names of headers, and which of them can be believed.

use super::callers::AUTHORITY;
use super::document::Value;
use super::error::Reason;
use super::reader::Field;

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
        return field.refuse(Reason::PseudoHeader { name });
    }
    let name = field.token(TOKEN_BYTES_MAX, "a header").map(|_| name)?;
    if OF_A_CONNECTION.contains(&&*name) {
        return field.refuse(Reason::ConnectionHeader { name });
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
