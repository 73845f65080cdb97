//! Whether a response is a failure, and of which side.
//!
//! Envoy's own answers count as failures of the upstream, unless the client caused them because it
//! broke the protocol or never finished its request. Envoy 1.40 says the following of a stream that
//! takes too long, by whether its request is incomplete or complete (each with the status and the
//! `grpc-status`, which are the same over HTTP/1.1 and HTTP/2):
//!
//! | setting | details | incomplete | complete |
//! |---|---|---|---|
//! | `stream_idle_timeout`, a route's `idle_timeout` | `stream_idle_timeout` | 408, 2 | 504, 14 |
//! | `max_stream_duration` (route or listener) | `max_duration_timeout` | 408, 4 | 504, 4 |
//! | `max_stream_duration` (cluster) | `upstream_max_stream_duration_reached` | 408, 2 | 504, 14 |
//! | `request_timeout` | `request_overall_timeout` | 408, 2 | does not apply |
//! | a route's `timeout` | `response_timeout` | does not apply | 504, 14 |
//! | `per_try_timeout` | `upstream_per_try_timeout` | does not apply | 504, 14 |
//! | `per_try_idle_timeout` | `upstream_per_try_idle_timeout` | does not apply | 504, 14 |
//!
//! The `grpc-status` does not always distinguish the two cases, and `local_reply_config` may change
//! each value. So the filter remembers whether the request is complete.

use crate::host::stream::{ResponseHead, StreamControl};
use crate::policy::charges::Outcome;

/// The outcome of a request as its response head states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// All there is to say.
    Known(Outcome),
    /// The request is a gRPC call, and its status comes in the trailers.
    InTrailers,
}

/// The outcome of a request by its response head. `is_complete` is whether the whole request has
/// arrived.
pub(super) fn response_outcome(
    host: &(impl ResponseHead + StreamControl),
    is_grpc: bool,
    is_complete: bool,
) -> Response {
    let grpc_status = if is_grpc {
        host.response_header("grpc-status")
    } else {
        None
    };
    let is_grpc = is_grpc && (grpc_status.is_some() || is_grpc_response(host));
    let status = status(host);
    let is_failure = grpc_status.as_deref().is_some_and(is_grpc_failure) || status >= 400;
    if is_grpc && grpc_status.is_none() && !is_failure {
        return Response::InTrailers;
    }
    let is_caused_by_client = is_failure
        && host
            .response_code_details()
            .is_some_and(|details| is_caused_by_client(&details, is_complete));
    Response::Known(Outcome {
        status,
        is_failure,
        is_caused_by_client,
        is_grpc,
    })
}

/// The HTTP status; 0 if the host does not state one.
fn status(host: &impl ResponseHead) -> u16 {
    host.response_header(":status")
        .and_then(|status| str::from_utf8(&status).ok()?.parse().ok())
        .unwrap_or(0)
}

/// The outcome of a gRPC call with this success.
const fn of_call(is_failure: bool) -> Outcome {
    Outcome {
        status: 200,
        is_failure,
        is_caused_by_client: false,
        is_grpc: true,
    }
}

/// Whether the response is a gRPC one. The client alone cannot make it so. Otherwise a client could
/// get the answers of any plain service without a charge, since those have no `grpc-status`.
fn is_grpc_response(host: &impl ResponseHead) -> bool {
    host.response_header("content-type")
        .is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// The outcome by the trailers of a gRPC response.
pub(super) fn trailers_outcome(host: &impl ResponseHead) -> Outcome {
    let status = host.response_trailer("grpc-status");
    // To its client, a call without a status has failed.
    of_call(status.is_none_or(|status| is_grpc_failure(&status)))
}

/// The outcome of a gRPC call whose trailers never came, if the upstream ended it: it reset the
/// call or cut it off, or the response ended without trailers. Timeouts do not count, since a
/// client that does not read the response also causes them.
pub(super) fn broken_off(host: &impl StreamControl) -> Option<Outcome> {
    host.response_code_details()
        .is_some_and(|details| is_broken_off(&details))
        .then(|| of_call(true))
}

/// The details of Envoy's answers to a client that breaks the protocol or sends too much. The
/// upstream may have done its work by then. Other filters have other details, so no prefix is
/// shorter than it must be: `request_rate_limited` is a refusal by Envoy's rate limit filter.
const BY_THE_CLIENT: [&str; 10] = [
    "http1.",
    "http2.",
    "http3.",
    "uhv.",
    "codec_error",
    "downstream_",
    "request_overall_timeout",
    "request_header_timeout",
    "request_payload_too_large",
    "request_headers_failed_strict_check",
];

/// The details of Envoy's answers to a stream that takes too long, on either side.
const TOO_LONG: [&str; 3] = [
    "stream_idle_timeout",
    "max_duration_timeout",
    "upstream_max_stream_duration_reached",
];

/// Whether the client caused an answer of Envoy with these details. `is_complete` is whether the
/// whole request had arrived.
fn is_caused_by_client(details: &[u8], is_complete: bool) -> bool {
    begins_with_any(details, &BY_THE_CLIENT)
        || (!is_complete && begins_with_any(details, &TOO_LONG))
}

fn begins_with_any(details: &[u8], prefixes: &[&str]) -> bool {
    prefixes
        .iter()
        .any(|prefix| details.starts_with(prefix.as_bytes()))
}

/// Whether a gRPC status is one of a failure: any but OK.
fn is_grpc_failure(status: &[u8]) -> bool {
    status != b"0"
}

fn is_broken_off(details: &[u8]) -> bool {
    details == b"via_upstream" || details.starts_with(b"upstream_reset_after_response_started")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_takes_too_long_is_the_fault_of_the_side_that_is_late() {
        for details in [
            "stream_idle_timeout",
            "max_duration_timeout",
            "upstream_max_stream_duration_reached",
        ] {
            assert!(is_caused_by_client(details.as_bytes(), false), "{details}");
            assert!(!is_caused_by_client(details.as_bytes(), true), "{details}");
        }
        for details in [
            "response_timeout",
            "upstream_per_try_timeout",
            "upstream_per_try_idle_timeout",
        ] {
            assert!(!is_caused_by_client(details.as_bytes(), false), "{details}");
        }
    }

    #[test]
    fn a_broken_protocol_is_caused_by_the_client_and_another_filters_answer_is_not() {
        for details in [
            "http1.codec_error",
            "http2.violation.of.messaging.rule",
            "codec_error:The_user_callback_function_failed",
            "request_overall_timeout",
            "request_payload_too_large",
            "downstream_remote_disconnect",
        ] {
            assert!(is_caused_by_client(details.as_bytes(), true), "{details}");
        }
        for details in [
            "via_upstream",
            "request_rate_limited",
            "request_payload_exceeded_retry_buffer_limit",
            "no_healthy_upstream",
            "upstream_reset_before_response_started{remote_reset}",
            "",
        ] {
            assert!(!is_caused_by_client(details.as_bytes(), false), "{details}");
        }
    }
}
