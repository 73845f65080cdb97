//! The answer to a gRPC caller that Envoy does not take for one.
//!
//! Envoy decides by the content type with which a request *arrived*. Of one that was gRPC-Web then,
//! be it gRPC by now because `envoy.filters.http.grpc_web` is before this filter or still gRPC-Web,
//! it makes a plain HTTP answer, from whose status clients (and that filter) derive a wrong
//! `grpc-status`: 14 from 429, which they repeat at once. So the missing fields are added to the
//! answer on its way back, which passes this filter first (decision 0023).

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::stream::{Dialect, GrpcStatus, LocalReply, ResponseHead};

/// The field that has the text for `grpc-status`.
pub const MESSAGE: &str = "grpc-message";

/// A message as that field has it: bytes that are not visible ASCII, and `%`, percent-encoded.
#[must_use]
pub fn message(text: &str) -> String {
    const NOT_PLAIN: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(text, NOT_PLAIN).to_string()
}

/// An answer for a gRPC caller: it has a status and no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcAnswer {
    dialect: Dialect,
    status: GrpcStatus,
}

impl GrpcAnswer {
    /// The answer that `reply` becomes; `None` if its caller reads HTTP.
    #[must_use]
    pub fn of(reply: &LocalReply) -> Option<Self> {
        (reply.dialect != Dialect::Http).then_some(Self {
            dialect: reply.dialect,
            status: reply.grpc_status,
        })
    }

    /// Makes the head of Envoy's answer one that a gRPC caller reads, unless it is.
    pub fn complete(self, host: &impl ResponseHead) {
        if host
            .response_header(":status")
            .is_some_and(|status| status == b"200")
        {
            return;
        }
        host.set_response_header(":status", "200");
        host.set_response_header("content-type", self.dialect.content_type());
        host.set_response_header("grpc-status", &(self.status as u32).to_string());
    }
}
