//! The trace id by which support finds a request again.

use crate::host::headers::Headers;

/// The longest id that is repeated.
const ID_BYTES_MAX: usize = 128;

/// The request's trace id: of a valid `traceparent`, else its `x-request-id`, else `fallback` in
/// hexadecimal digits. Clients choose both headers, so whatever could mean something in a body
/// (quotes, braces, markup) is left out.
#[must_use]
pub fn trace_id(headers: &Headers, fallback: u64) -> String {
    let id = headers.first("traceparent").and_then(of_traceparent);
    let id = id.or_else(|| headers.first("x-request-id").map(harmless).filter(|id| !id.is_empty()));
    id.unwrap_or_else(|| format!("{fallback:032x}"))
}

/// The second field of `version-traceid-parentid-flags` (W3C Trace Context, §3.2).
fn of_traceparent(value: &[u8]) -> Option<String> {
    let mut parts = value.split(|byte| *byte == b'-');
    let (version, id) = (parts.next()?, parts.next()?);
    let hex = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    // "All bytes as zero is considered an invalid value."
    let valid = version.len() == 2
        && hex(version)
        && version != b"ff"
        && id.len() == 32
        && hex(id)
        && id.iter().any(|byte| *byte != b'0');
    (valid && parts.next().is_some_and(|parent| parent.len() == 16)).then(|| harmless(id))
}

fn harmless(value: &[u8]) -> String {
    let allowed = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    value.iter().filter(allowed).take(ID_BYTES_MAX).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pairs: &[(&str, &[u8])]) -> String {
        trace_id(&Headers::new(Headers::encode(pairs)), 0xabc)
    }

    #[test]
    fn the_trace_comes_before_the_request() {
        let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(id(&[("x-request-id", b"r1"), ("traceparent", parent)]), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(id(&[("x-request-id", b"r1")]), "r1");
        assert_eq!(id(&[]), "00000000000000000000000000000abc");
    }

    #[test]
    fn what_a_client_invents_cannot_break_a_body() {
        for parent in [
            &b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"[..],
            b"00-xyz-1-1",
            b"",
            b"\xff",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(id(&[("traceparent", parent), ("x-request-id", b"a\"},<b>\xff\n{limit}")]), "ablimit");
        }
        assert_eq!(id(&[("x-request-id", &[b'a'; 500])]).len(), ID_BYTES_MAX);
    }
}
