//! Finds the secrets that a request presents.
//!
//! A credential that stands twice in one request is ambiguous, also with equal values: another
//! reader of the request may take the other one. One that is empty is not there.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::head::Request;
use crate::policy::callers::Place;

/// The same credential stands in the request more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// The secret at `place`, if the request presents one there.
///
/// # Errors
/// [`Ambiguous`] if the header or the parameter stands there twice.
pub fn find<'r>(request: &'r Request, place: &'r Place) -> Result<Option<Cow<'r, [u8]>>, Ambiguous> {
    let secret = match place {
        Place::Header { name, scheme } => {
            let value = only(request.headers.all(name))?;
            let secret = value.map(<[u8]>::trim_ascii).and_then(|value| match scheme {
                Some(scheme) => after_scheme(value, scheme),
                None => Some(value),
            });
            secret.map(Cow::Borrowed)
        }
        Place::Query { name } => {
            let pairs = request.query().split(|byte| *byte == b'&').map(|pair| {
                let mut parts = pair.splitn(2, |byte| *byte == b'=');
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            });
            only(pairs.filter(|(key, _)| *form_decode(key) == *name.as_bytes()).map(|(_, value)| value))?
                .map(form_decode)
        }
    };
    Ok(secret.filter(|secret| !secret.is_empty()))
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Ambiguous> {
    let first = values.next();
    if values.next().is_some() { Err(Ambiguous) } else { Ok(first) }
}

/// What follows `scheme` in `value`. "the scheme … is case-insensitive" (RFC 9110 §11.1).
fn after_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (word, secret) = value.split_at_checked(scheme.len())?;
    let separated = secret.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    (word.eq_ignore_ascii_case(scheme.as_bytes()) && separated).then(|| secret.trim_ascii())
}

/// Decodes a part of a query as forms write it: `+` is a space.
fn form_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
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
        let request = Request { headers: Headers::new(Headers::encode(pairs)), ..Request::default() };
        find(&request, place).map(|secret| secret.map(Cow::into_owned))
    }

    fn header(scheme: Option<&str>) -> Place {
        Place::Header { name: "authorization".into(), scheme: scheme.map(Box::from) }
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
            let answer = found(&header(Some("Bearer")), &[("authorization", value.as_bytes())]);
            assert_eq!(answer, Ok(secret.map(|secret| secret.as_bytes().to_vec())), "{value:?}");
        }
        assert_eq!(found(&header(None), &[("authorization", b" \xff k ")]), Ok(Some(b"\xff k".to_vec())));
    }

    #[test]
    fn a_credential_that_stands_twice_is_ambiguous() {
        for second in ["k1", "k2", "", "Basic x"] {
            let pairs = [("authorization", &b"Bearer k1"[..]), ("authorization", second.as_bytes())];
            assert_eq!(found(&header(Some("Bearer")), &pairs), Err(Ambiguous));
        }
        let query = Place::Query { name: "api_key".into() };
        assert_eq!(found(&query, &[(":path", b"/?api_key=a&api%5Fkey=a")]), Err(Ambiguous));
    }

    #[test]
    fn a_query_parameter_is_decoded() {
        let query = Place::Query { name: "api_key".into() };
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
            assert_eq!(answer, Ok(secret.map(|secret| secret.as_bytes().to_vec())), "{path}");
        }
    }
}
