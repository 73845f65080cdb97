//! The responses that clients get.

use super::explanation::{Field, Response};
use crate::host::stream::{Dialect, LocalReply};
use crate::request::head::Request;

/// The upstream's response to a request that a policy in shadow would have refused.
pub(super) const fn forwarded() -> Response {
    Response {
        status: None,
        of_the_upstream: true,
        fields: Vec::new(),
        body: None,
    }
}

/// The gateway's own answer, as the client gets it.
pub(super) fn answered(reply: LocalReply, request: &Request) -> Response {
    let own = reply
        .headers
        .into_iter()
        .map(|(name, value)| (name.into_owned(), value));
    let mut fields: Vec<(String, String)> = own.collect();
    let (status, body) = if request.dialect() != Dialect::Http {
        fields.push((
            "content-type".to_owned(),
            request.dialect().content_type().to_owned(),
        ));
        fields.push((
            "grpc-status".to_owned(),
            (reply.grpc_status as u32).to_string(),
        ));
        fields.push(("grpc-message".to_owned(), reply.body));
        (200, None)
    } else {
        (reply.status, Some(reply.body))
    };
    let fields = fields
        .into_iter()
        .map(|(name, value)| Field { name, value })
        .collect();
    Response {
        status: Some(status),
        of_the_upstream: false,
        fields,
        body,
    }
}
