//! Whether an answer is a failure, and whose.

/// Whether a response's status says that the request failed: 400 and above.
pub(super) fn is_failure(status: &[u8]) -> bool {
    str::from_utf8(status).ok().and_then(|status| status.parse::<u32>().ok()).is_some_and(|status| status >= 400)
}

/// How Envoy names the answers that it gives to a client which breaks the protocol or does not
/// finish its request. The upstream may have done its work by then, so they are no failure of it.
const OF_THE_CLIENT: [&str; 12] = [
    "http1.",
    "http2.",
    "http3.",
    "codec",
    "downstream_",
    "request_",
    "stream_idle_timeout",
    "max_duration_timeout",
    "low_version",
    "missing_",
    "path_normalization_failed",
    "upgrade_failed",
];

/// Whether Envoy gave an answer with these details because of the client.
pub(super) fn is_of_the_client(details: &[u8]) -> bool {
    OF_THE_CLIENT.iter().any(|prefix| details.starts_with(prefix.as_bytes()))
}

/// Whether a gRPC status says that the call failed: all but OK.
pub(super) fn is_grpc_failure(status: &[u8]) -> bool {
    status != b"0"
}
