//! Cookies, as RFC 6265 §5.4 has clients send them: `name=value` pairs with `;` between them, in
//! one header or several.

use super::head::Request;
use crate::policy::callers::COOKIE;

/// The values of all cookies of this name, without the white space around them. Quotes belong to
/// the value. A pair without `=` has no name.
pub(super) fn cookies<'r>(request: &'r Request, name: &str) -> impl Iterator<Item = &'r [u8]> {
    let pairs = request
        .headers
        .all(COOKIE)
        .flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (key, value) = (parts.next()?, parts.next()?);
        (key.trim_ascii() == name.as_bytes()).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::headers::Headers;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        for (lines, expected) in [
            (&["sid=a"][..], &["a"][..]),
            (&["x=1; sid=a; y=2"], &["a"]),
            (&["x=1;sid=a"], &["a"]),
            (&[" sid = a "], &["a"]),
            (&["sid=\"a b\""], &["\"a b\""]),
            (&["sid=a=b"], &["a=b"]),
            (&["sid="], &[""]),
            (&["sid=a; sid=a"], &["a", "a"]),
            (&["sid=a", "x=1; sid=b"], &["a", "b"]),
            (&["SID=a; xsid=b; sidx=c; sid; x=sid=d"], &[]),
            (&[""], &[]),
        ] {
            let pairs: Vec<(&str, &[u8])> =
                lines.iter().map(|line| (COOKIE, line.as_bytes())).collect();
            let request = Request {
                headers: Headers::new(Headers::encode(&pairs)),
                ..Request::default()
            };
            let found: Vec<&[u8]> = cookies(&request, "sid").collect();
            let expected: Vec<&[u8]> = expected.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
