//! Finds the credentials that a request presents: secrets, and tokens that earlier filters have
//! verified.
//!
//! A credential that occurs twice in one request is ambiguous, also with equal values: another
//! reader of the request may take the other one. One that is empty is not there.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use sha2::{Digest as _, Sha256};

use super::basic;
use super::cookies::cookies;
use super::head::Request;
use crate::base::property::Property;
use crate::host::metadata::{Struct, Value, in_metadata};
use crate::policy::callers::Place;

/// The same header, parameter or cookie occurs more than once in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// A credential as a request presents it.
#[derive(Clone, Debug, PartialEq)]
pub enum Presented<'r> {
    /// Something that the directory must know.
    Secret(Cow<'r, [u8]>),
    /// A credential that an earlier filter has verified; with an identifier, unless it names no
    /// subject.
    Verified(Option<Identifier>),
}

/// The identifier of a credential, which does not reveal it: half of a SHA-256 in hexadecimal
/// digits. The same secret is the same caller, and no path leads from here to the secret.
pub type Identifier = [u8; 32];

/// The credential that the request presents at `place`, if any.
///
/// # Errors
/// [`Ambiguous`] if the header or the parameter occurs twice.
pub fn find<'r>(
    request: &'r Request,
    place: &'r Place,
) -> Result<Option<Presented<'r>>, Ambiguous> {
    let secret = match place {
        Place::Header { name, scheme, part } => {
            let value = header(request, name)?;
            let secret = value.and_then(|value| match scheme {
                Some(scheme) => after_scheme(value, scheme),
                None => Some(value),
            });
            match part {
                Some(part) => secret
                    .and_then(|encoded| basic::part(encoded, *part))
                    .map(Cow::Owned),
                None => secret.map(Cow::Borrowed),
            }
        }
        Place::Cookie { name } => cookie(request, name)?.map(Cow::Borrowed),
        Place::Query { name } => parameter(request, name)?,
        Place::Metadata(path) => {
            return Ok(
                match in_metadata(request.properties.of(Property::Metadata), path) {
                    Some(Value::Text(text)) if !text.is_empty() => Some(Presented::Verified(Some(
                        identifier(&Sha256::digest(text).into()),
                    ))),
                    Some(Value::Struct(payload)) => Some(Presented::Verified(subject(payload))),
                    Some(Value::Text(_) | Value::Number(_) | Value::Boolean(_)) | None => None,
                },
            );
        }
    };
    Ok(secret
        .filter(|secret| !secret.is_empty())
        .map(Presented::Secret))
}

/// The value of the only header of this name, without the white space around it.
pub(super) fn header<'r>(
    request: &'r Request,
    name: &'r str,
) -> Result<Option<&'r [u8]>, Ambiguous> {
    Ok(only(request.headers.all(name))?.map(<[u8]>::trim_ascii))
}

/// The value of the only cookie of this name.
pub(super) fn cookie<'r>(request: &'r Request, name: &str) -> Result<Option<&'r [u8]>, Ambiguous> {
    only(cookies(request, name))
}

/// The decoded value of the only query parameter of this name.
pub(super) fn parameter<'r>(
    request: &'r Request,
    name: &str,
) -> Result<Option<Cow<'r, [u8]>>, Ambiguous> {
    let pairs = request.query().split(|byte| *byte == b'&').map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        )
    });
    let value = only(
        pairs
            .filter(|(key, _)| *form_decode(key) == *name.as_bytes())
            .map(|(_, value)| value),
    )?;
    Ok(value.map(form_decode))
}

/// The identifier of a secret with this SHA-256: its first half.
pub(crate) fn identifier(digest: &[u8; 32]) -> Identifier {
    let (first, _) = digest.split_at(16);
    digits(first)
}

/// The identifier of the subject of a token, the same in all its tokens: `sub` is unique for its
/// `iss` alone (RFC 7519 §4.1.2), so both are in it. The second half of the SHA-256, so that no
/// secret can be made up that has the same.
fn subject(payload: Struct<'_>) -> Option<Identifier> {
    let claim = |name| payload.at(&[name]).and_then(Value::text);
    let subject = claim("sub")?;
    let issuer = claim("iss").unwrap_or_default();
    let mut hash = Sha256::new();
    // The length before it, or the end of one could be the beginning of the other.
    hash.update(
        u64::try_from(issuer.len())
            .unwrap_or(u64::MAX)
            .to_le_bytes(),
    );
    hash.update(&issuer);
    hash.update(&subject);
    let digest: [u8; 32] = hash.finalize().into();
    let (_, second) = digest.split_at(16);
    Some(digits(second))
}

fn digits(bytes: &[u8]) -> Identifier {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut digits = [0; 32];
    for ([high, low], byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *high = digit(byte >> 4);
        *low = digit(byte & 15);
    }
    digits
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Ambiguous> {
    let first = values.next();
    if values.next().is_some() {
        Err(Ambiguous)
    } else {
        Ok(first)
    }
}

/// The text after `scheme` in `value`. "the scheme … is case-insensitive" (RFC 9110 §11.1).
fn after_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (word, secret) = value.split_at_checked(scheme.len())?;
    let separated = secret
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    (word.eq_ignore_ascii_case(scheme.as_bytes()) && separated).then(|| secret.trim_ascii())
}

/// Decodes a part of a query as forms write it: `+` is a space.
pub(super) fn form_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        Cow::Owned(percent_decode(&spaced).collect())
    } else {
        percent_decode(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::headers::Headers;

    fn found(place: &Place, pairs: &[(&str, &[u8])]) -> Result<Option<Vec<u8>>, Ambiguous> {
        let request = Request {
            headers: Headers::new(Headers::encode(pairs)),
            ..Request::default()
        };
        find(&request, place).map(|found| {
            found.map(|presented| match presented {
                Presented::Secret(secret) => secret.into_owned(),
                Presented::Verified(identifier) => panic!("nothing was verified: {identifier:?}"),
            })
        })
    }

    fn header(scheme: Option<&str>) -> Place {
        Place::Header {
            name: "authorization".into(),
            scheme: scheme.map(Box::from),
            part: None,
        }
    }

    #[test]
    fn a_scheme_is_compared_without_regard_to_case() {
        for (value, secret) in [
            ("Bearer k1", Some("k1")),
            ("bearer k1", Some("k1")),
            ("BEARER   k1  ", Some("k1")),
            ("Bearer\tk1", Some("k1")),
            ("Bearerk1", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic k1", None),
            ("", None),
            ("Bearers k1", None),
        ] {
            let answer = found(
                &header(Some("Bearer")),
                &[("authorization", value.as_bytes())],
            );
            assert_eq!(
                answer,
                Ok(secret.map(|secret| secret.as_bytes().to_vec())),
                "{value:?}"
            );
        }
        assert_eq!(
            found(&header(None), &[("authorization", b" \xff k ")]),
            Ok(Some(b"\xff k".to_vec()))
        );
    }

    #[test]
    fn a_credential_that_stands_twice_is_ambiguous() {
        for second in ["k1", "k2", "", "Basic x"] {
            let pairs = [
                ("authorization", &b"Bearer k1"[..]),
                ("authorization", second.as_bytes()),
            ];
            assert_eq!(found(&header(Some("Bearer")), &pairs), Err(Ambiguous));
        }
        let query = Place::Query {
            name: "api_key".into(),
        };
        assert_eq!(
            found(&query, &[(":path", b"/?api_key=a&api%5Fkey=a")]),
            Err(Ambiguous)
        );
    }

    #[test]
    fn a_query_parameter_is_decoded() {
        let query = Place::Query {
            name: "api_key".into(),
        };
        for (path, secret) in [
            ("/a?api_key=k1", Some("k1")),
            ("/a?x=1&api_key=k%2B1", Some("k+1")),
            ("/a?api_key=k+1", Some("k 1")),
            ("/a?api_key=a=b", Some("a=b")),
            ("/a?api%5fkey=k1#api_key=k2", Some("k1")),
            ("/a?api_key=", None),
            ("/a?api_key", None),
            ("/a?API_KEY=k1", None),
            ("/a", None),
            ("/api_key=k1", None),
        ] {
            let answer = found(&query, &[(":path", path.as_bytes())]);
            assert_eq!(
                answer,
                Ok(secret.map(|secret| secret.as_bytes().to_vec())),
                "{path}"
            );
        }
    }
}
