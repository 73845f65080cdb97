//! Whether an answer is a failure, and whose.
//!
//! Envoy's own answers count as failures of the upstream, unless the client caused them: it broke the
//! protocol, or never finished its request. What Envoy 1.40 says of a stream that takes too long
//! (status and `grpc-status` are those of HTTP/1.1 and HTTP/2 alike):
//!
//! | setting | details | request incomplete | complete |
//! |---|---|---|---|
//! | `stream_idle_timeout`, a route's `idle_timeout` | `stream_idle_timeout` | 408, gRPC 2 | 504, gRPC 14 |
//! | `max_stream_duration` of a route or listener | `max_duration_timeout` | 408, gRPC 4 | 504, gRPC 4 |
//! | `max_stream_duration` of a cluster | `upstream_max_stream_duration_reached` | 408, gRPC 2 | 504, gRPC 14 |
//! | `request_timeout` | `request_overall_timeout` | 408, gRPC 2 | does not apply |
//! | a route's `timeout` | `response_timeout` | does not apply | 504, gRPC 14 |
//! | `per_try_timeout` | `upstream_per_try_timeout` | does not apply | 504, gRPC 14 |
//! | `per_try_idle_timeout` | `upstream_per_try_idle_timeout` | does not apply | 504, gRPC 14 |
//!
//! The `grpc-status` does not always tell the two apart, and `local_reply_config` may change each of
//! them. So the filter remembers itself whether the request is complete.

use crate::host::stream::{ResponseHead, StreamControl};

/// What an answer says of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It failed, and not by the client's doing.
    Failure,
    /// Who asked for it pays.
    Success,
    /// A gRPC call whose status comes in the trailers.
    InTrailers,
}

/// What a response's head says of a request of which all (`complete`) or a part had come.
pub(super) fn of_the_head(host: &(impl ResponseHead + StreamControl), grpc: bool, complete: bool) -> Outcome {
    let grpc_status = if grpc { host.response_header("grpc-status") } else { None };
    let failed = grpc_status.as_deref().is_some_and(is_grpc_failure)
        || host.response_header(":status").is_some_and(|status| is_failure(&status));
    if failed && !host.response_code_details().is_some_and(|details| is_of_the_client(&details, complete)) {
        Outcome::Failure
    } else if grpc && grpc_status.is_none() && !failed && answers_in_grpc(host) {
        Outcome::InTrailers
    } else {
        Outcome::Success
    }
}

/// Whether the response is a gRPC one. A client alone cannot make it so: else any plain service would
/// answer it for nothing, since its responses have no `grpc-status`.
fn answers_in_grpc(host: &impl ResponseHead) -> bool {
    host.response_header("content-type").is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// What the trailers of a gRPC response say.
pub(super) fn of_the_trailers(host: &impl ResponseHead) -> Outcome {
    match host.response_trailer("grpc-status") {
        Some(status) if !is_grpc_failure(&status) => Outcome::Success,
        // A call without a status has failed, as its client sees it.
        Some(_) | None => Outcome::Failure,
    }
}

/// Whether a gRPC call whose trailers never came ended by the upstream's doing: it was reset or cut off,
/// or the response ended without trailers. A timeout is not among them: a client that does not read what
/// is sent to it causes one, too.
pub(super) fn broken_off(host: &impl StreamControl) -> bool {
    host.response_code_details().is_some_and(|details| is_broken_off(&details))
}

/// Whether a response's status says that the request failed: 400 and above.
fn is_failure(status: &[u8]) -> bool {
    str::from_utf8(status).ok().and_then(|status| status.parse::<u32>().ok()).is_some_and(|status| status >= 400)
}

/// The details of answers to a client that breaks the protocol or sends too much. The upstream may have
/// done its work by then. Other filters have details of their own, so no prefix is shorter than need be:
/// `request_rate_limited` is a refusal by Envoy's rate limit filter.
const OF_THE_CLIENT: [&str; 10] = [
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

/// The details of answers to a stream that takes too long, whoever is waited for.
const TOO_LONG: [&str; 3] = ["stream_idle_timeout", "max_duration_timeout", "upstream_max_stream_duration_reached"];

/// Whether Envoy gave an answer with these details because of the client, of whose request all
/// (`complete`) or a part had come.
fn is_of_the_client(details: &[u8], complete: bool) -> bool {
    let begins = |prefix: &&str| details.starts_with(prefix.as_bytes());
    OF_THE_CLIENT.iter().any(begins) || (!complete && TOO_LONG.iter().any(begins))
}

/// Whether a gRPC status says that the call failed: all but OK.
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
    fn a_stream_that_takes_too_long_is_of_whom_it_waits_for() {
        for details in ["stream_idle_timeout", "max_duration_timeout", "upstream_max_stream_duration_reached"] {
            assert!(is_of_the_client(details.as_bytes(), false), "{details}");
            assert!(!is_of_the_client(details.as_bytes(), true), "{details}");
        }
        for details in ["response_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout"] {
            assert!(!is_of_the_client(details.as_bytes(), false), "{details}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_of_the_client_and_what_other_filters_say_is_not() {
        for details in [
            "http1.codec_error",
            "http2.violation.of.messaging.rule",
            "codec_error:The_user_callback_function_failed",
            "request_overall_timeout",
            "request_payload_too_large",
            "downstream_remote_disconnect",
        ] {
            assert!(is_of_the_client(details.as_bytes(), true), "{details}");
        }
        for details in [
            "via_upstream",
            "request_rate_limited",
            "request_payload_exceeded_retry_buffer_limit",
            "no_healthy_upstream",
            "upstream_reset_before_response_started{remote_reset}",
            "",
        ] {
            assert!(!is_of_the_client(details.as_bytes(), false), "{details}");
        }
    }
}
