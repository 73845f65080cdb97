//! The trace id by which support finds a request again.

use std::fmt::Write as _;

use crate::host::headers::Headers;

/// The longest id that is repeated.
const ID_BYTES_MAX: usize = 128;

/// Of each byte whether it may stand in an id.
const SAFE: [bool; 256] = {
    let mut safe = [false; 256];
    let (mut byte, mut rest) = (0_u8, safe.as_mut_slice());
    while let Some((first, behind)) = rest.split_first_mut() {
        *first = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (byte, rest) = (byte.wrapping_add(1), behind);
    }
    safe
};

/// Writes the request's trace id: of a valid `traceparent`, else its `x-request-id`, else `fallback`
/// in hexadecimal digits. Clients choose both headers, so whatever could mean something in a body
/// (quotes, braces, markup) is left out.
pub fn write(out: &mut String, headers: &Headers, fallback: u64) {
    let (mut parent, mut request) = (None, None);
    for (name, value) in headers.iter() {
        match name {
            b"traceparent" => parent = parent.or(Some(value)),
            b"x-request-id" => request = request.or(Some(value)),
            _ => {}
        }
    }
    let before = out.len();
    if let Some(id) = parent.and_then(of_traceparent).or(request) {
        push_safe(out, id);
    }
    if out.len() == before {
        // Writing to a string cannot fail.
        let _ = write!(out, "{fallback:032x}");
    }
}

/// The second field of `version-traceid-parentid-flags` (W3C Trace Context, §3.2).
fn of_traceparent(value: &[u8]) -> Option<&[u8]> {
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
    (valid && parts.next().is_some_and(|parent| parent.len() == 16)).then_some(id)
}

/// As much of `value` as is safe, and no more than [`ID_BYTES_MAX`] of it.
fn push_safe(out: &mut String, value: &[u8]) {
    let mut id = [0; ID_BYTES_MAX];
    let safe = value.iter().filter(|byte| SAFE.get(usize::from(**byte)) == Some(&true));
    let length = id.iter_mut().zip(safe).map(|(place, byte)| *place = *byte).count();
    out.push_str(id.get(..length).and_then(|id| str::from_utf8(id).ok()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(pairs: &[(&str, &[u8])]) -> String {
        let mut id = String::new();
        write(&mut id, &Headers::new(Headers::encode(pairs)), 0xabc);
        id
    }

    proptest! {
        #[test]
        fn of_any_bytes_the_harmless_are_kept(value: Vec<u8>, words in "[a-z0-9._-]{0,200}") {
            for value in [&value[..], words.as_bytes()] {
                let allowed = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
                let safe = value.iter().filter(allowed).take(ID_BYTES_MAX).map(|byte| char::from(*byte));
                let mut out = String::from("before ");
                push_safe(&mut out, value);
                prop_assert_eq!(out, format!("before {}", safe.collect::<String>()));
            }
        }
    }

    #[test]
    fn the_trace_comes_before_the_request() {
        let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(id(&[("x-request-id", b"r1"), ("traceparent", parent)]), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(id(&[("x-request-id", b"r1"), ("x-request-id", b"r2"), ("traceparent", b"")]), "r1");
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
