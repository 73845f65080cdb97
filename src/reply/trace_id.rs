//! The trace id that a reply repeats, so that support can find the request.

use std::fmt::Write as _;

use crate::base::invariant::invariant;
use crate::host::headers::Headers;

/// The longest id that is repeated.
const ID_BYTES_MAX: usize = 128;

/// Whether a byte may be part of an id, by its value.
const SAFE: [bool; 256] = {
    let mut safe = [false; 256];
    let (mut byte, mut rest) = (0_u8, safe.as_mut_slice());
    while let Some((first, others)) = rest.split_first_mut() {
        *first = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (byte, rest) = (byte.wrapping_add(1), others);
    }
    safe
};

/// Appends the trace id of a request: that of a valid `traceparent`, or else `x-request-id`, or
/// else `fallback` in hexadecimal digits.
///
/// Clients choose both headers, so bytes that could have a meaning in a body are left out: quotes,
/// braces, markup.
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
    if let Some(id) = parent.and_then(trace_id).or(request) {
        push_safe(out, id);
    }
    if out.len() == before {
        // Writing to a string cannot fail.
        let _ = write!(out, "{fallback:032x}");
    }
}

/// The second field of `version-traceid-parentid-flags` (W3C Trace Context, §3.2).
fn trace_id(traceparent: &[u8]) -> Option<&[u8]> {
    let mut parts = traceparent.split(|byte| *byte == b'-');
    let (version, id, parent) = (parts.next()?, parts.next()?, parts.next()?);
    // "All bytes as zero is considered an invalid value."
    let is_valid = version.len() == 2
        && is_hex(version)
        && version != b"ff"
        && id.len() == 32
        && is_hex(id)
        && id.iter().any(|byte| *byte != b'0')
        && parent.len() == 16;
    is_valid.then_some(id)
}

fn is_hex(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Appends the safe bytes of `value`, at most [`ID_BYTES_MAX`].
fn push_safe(out: &mut String, value: &[u8]) {
    let mut id = [0; ID_BYTES_MAX];
    let safe = value
        .iter()
        .filter(|byte| SAFE.get(usize::from(**byte)) == Some(&true));
    let mut length = 0_usize;
    for (place, byte) in id.iter_mut().zip(safe) {
        *place = *byte;
        length = length.saturating_add(1);
    }
    let id = id.get(..length).and_then(|id| str::from_utf8(id).ok());
    out.extend(invariant(id, "safe bytes are ASCII"));
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
                let safe = value
                    .iter()
                    .filter(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
                    })
                    .take(ID_BYTES_MAX)
                    .map(|byte| char::from(*byte));
                let mut out = String::from("before ");
                push_safe(&mut out, value);
                prop_assert_eq!(out, format!("before {}", safe.collect::<String>()));
            }
        }
    }

    #[test]
    fn the_trace_comes_before_the_request() {
        let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            id(&[("x-request-id", b"r1"), ("traceparent", parent)]),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(
            id(&[
                ("x-request-id", b"r1"),
                ("x-request-id", b"r2"),
                ("traceparent", b"")
            ]),
            "r1"
        );
        assert_eq!(id(&[]), "00000000000000000000000000000abc");
    }

    #[test]
    fn an_invented_id_cannot_break_a_body() {
        for parent in [
            &b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"[..],
            b"00-xyz-1-1",
            b"",
            b"\xff",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(
                id(&[
                    ("traceparent", parent),
                    ("x-request-id", b"a\"},<b>\xff\n{limit}")
                ]),
                "ablimit"
            );
        }
        assert_eq!(id(&[("x-request-id", &[b'a'; 500])]).len(), ID_BYTES_MAX);
    }
}
