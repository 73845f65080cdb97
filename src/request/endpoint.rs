//! The question of a request to the endpoint: the caller's own numbers, or the verdict on another
//! request.

use super::credential::parameter;
use super::head::Request;
use crate::base::property::Property;
use crate::host::headers::Headers;
use crate::host::stream::{Dialect, Properties, RequestHead};
use crate::policy::Policy;
use crate::policy::reader::is_token;
use crate::policy::replies::Endpoint;

/// The question of a request to the endpoint.
#[derive(Debug)]
pub enum Asked {
    /// The limits that follow from the caller alone.
    Own,
    /// The verdict on a request with this head.
    Request(AskedHead),
}

/// A request that the endpoint does not answer: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// It has another method, or is a gRPC call.
    Method,
    /// A parameter occurs more than once.
    Repeated,
    /// `method` without `path`.
    NoPath,
    /// `path` is not a path.
    BadPath,
    /// `method` is not a method.
    BadMethod,
}

impl Misuse {
    /// Advice for the client.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Method => "this endpoint answers GET and HEAD only",
            Self::Repeated => "`path` and `method` may each occur once",
            Self::NoPath => "`method` needs `path`",
            Self::BadPath => "`path` must begin with / and have no blanks or control characters",
            Self::BadMethod => "`method` must be the name of a method",
        }
    }
}

/// The head of a request that is asked about.
#[derive(Debug)]
pub struct AskedHead {
    headers: Headers,
    has_body: bool,
}

/// The parameters of the endpoint.
const PATH: &str = "path";
const METHOD: &str = "method";

/// Headers that belong to the request that asks, and not to the one that is asked about.
const OF_THE_BODY: [&str; 4] = [
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
];

/// Whether requests of this method have a body as a rule.
#[must_use]
pub fn has_body(method: &[u8]) -> bool {
    matches!(method, b"POST" | b"PUT" | b"PATCH")
}

/// The endpoint, if the request is for it in each reading of its path.
#[must_use]
pub fn endpoint<'p>(request: &Request, policy: &'p Policy) -> Option<&'p Endpoint> {
    let endpoint = policy.replies.endpoint.as_ref()?;
    let mut readings = request.readings();
    readings
        .all(|reading| endpoint.matches(reading.matches))
        .then_some(endpoint)
}

/// The question of a request to the endpoint.
///
/// # Errors
/// [`Misuse`] if the endpoint does not answer it.
pub fn read(request: &Request) -> Result<Asked, Misuse> {
    let sent = request.headers.first(":method").unwrap_or_default();
    if !matches!(sent, b"GET" | b"HEAD") || request.dialect() != Dialect::Http {
        return Err(Misuse::Method);
    }
    let path = parameter(request, PATH).map_err(|_| Misuse::Repeated)?;
    let method = parameter(request, METHOD).map_err(|_| Misuse::Repeated)?;
    let (path, method) = match (path, method) {
        (None, None) => return Ok(Asked::Own),
        (None, Some(_)) => return Err(Misuse::NoPath),
        (Some(path), method) => (path, method),
    };
    let method = method.as_deref().unwrap_or(b"GET");
    if !path.starts_with(b"/") || path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Misuse::BadPath);
    }
    if !str::from_utf8(method).is_ok_and(is_token) {
        return Err(Misuse::BadMethod);
    }
    Ok(Asked::Request(AskedHead::of(request, method, &path)))
}

impl AskedHead {
    /// The head of `request` with another method and path. Its query is that of `path`, then the
    /// rest of the caller's own, which may have a credential.
    fn of(request: &Request, method: &[u8], path: &[u8]) -> Self {
        let target = path.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut target = target.to_vec();
        for pair in request.query().split(|byte| *byte == b'&') {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            if !pair.is_empty() && name != PATH.as_bytes() && name != METHOD.as_bytes() {
                let joint = if target.contains(&b'?') { b'&' } else { b'?' };
                target.push(joint);
                target.extend_from_slice(pair);
            }
        }
        let mut pairs: Vec<(&str, &[u8])> = vec![(":method", method), (":path", &target)];
        pairs.extend(request.headers.iter().filter_map(|(name, value)| {
            let name = str::from_utf8(name).ok()?;
            let is_other = matches!(name, ":method" | ":path") || OF_THE_BODY.contains(&name);
            (!is_other).then_some((name, value))
        }));
        Self {
            headers: Headers::new(Headers::encode(&pairs)),
            has_body: has_body(method),
        }
    }

    /// The request, as `policy` looks at it.
    #[must_use]
    pub fn request(&self, host: &impl Properties, policy: &Policy) -> Request {
        let mut request = Request::default();
        request.read(&self.on(host), policy, !self.has_body);
        request
    }

    const fn on<'h, P>(&'h self, properties: &'h P) -> OnHost<'h, P> {
        OnHost {
            headers: &self.headers,
            properties,
        }
    }
}

/// The request that asks, without its path: no route matches it, and it is of no tier.
#[must_use]
pub fn without_path(request: &Request, host: &impl Properties, policy: &Policy) -> Request {
    let mut bare = Request::default();
    let head = OnHost {
        headers: &request.headers,
        properties: host,
    };
    bare.read(&head, policy, true);
    bare.forget_path();
    bare
}

/// Another request on the same connection.
struct OnHost<'h, P> {
    headers: &'h Headers,
    properties: &'h P,
}

impl<P> RequestHead for OnHost<'_, P> {
    fn request_headers(&self) -> Headers {
        self.headers.clone()
    }
}

impl<P: Properties> Properties for OnHost<'_, P> {
    fn property(&self, which: Property) -> Option<Vec<u8>> {
        self.properties.property(which)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::from_yaml;

    /// The target of the request that a request with these headers asks about.
    fn asked(pairs: &[(&str, &[u8])]) -> Result<Option<(String, String)>, Misuse> {
        let request = Request {
            headers: Headers::new(Headers::encode(pairs)),
            ..Request::default()
        };
        Ok(match read(&request)? {
            Asked::Own => None,
            Asked::Request(head) => {
                let of = |name| String::from_utf8(head.headers.first(name).unwrap().to_vec());
                Some((of(":method").unwrap(), of(":path").unwrap()))
            }
        })
    }

    #[test]
    fn the_query_names_the_request() {
        let get = |path: &str| asked(&[(":method", b"GET"), (":path", path.as_bytes())]);
        assert_eq!(get("/limits"), Ok(None));
        assert_eq!(get("/limits?key=a"), Ok(None));
        for (path, method, target) in [
            ("/l?path=/items/42", "GET", "/items/42"),
            ("/l?method=PUT&path=%2Fitems%2F42", "PUT", "/items/42"),
            // Other parameters stay, after those of the path.
            ("/l?key=a&path=/b&org=c", "GET", "/b?key=a&org=c"),
            ("/l?path=/b?c=d%26e=f&key=a", "GET", "/b?c=d&e=f&key=a"),
            ("/l?path=/b%23c&key=a", "GET", "/b?key=a"),
        ] {
            assert_eq!(
                get(path),
                Ok(Some((method.into(), target.into()))),
                "{path}"
            );
        }
        for (path, misuse) in [
            ("/l?path=/a&path=/b", Misuse::Repeated),
            ("/l?path=/a&method=GET&m%65thod=GET", Misuse::Repeated),
            ("/l?method=GET", Misuse::NoPath),
            ("/l?path=items", Misuse::BadPath),
            ("/l?path=", Misuse::BadPath),
            ("/l?path=/a+b", Misuse::BadPath),
            ("/l?path=/a%0d%0ab", Misuse::BadPath),
            ("/l?path=/a&method=G%20T", Misuse::BadMethod),
            ("/l?path=/a&method=%ff", Misuse::BadMethod),
            ("/l?path=/a&method=", Misuse::BadMethod),
        ] {
            assert_eq!(get(path), Err(misuse), "{path}");
        }
    }

    #[test]
    fn only_get_and_head_are_answered() {
        for (method, is_answered) in [("GET", true), ("HEAD", true), ("POST", false), ("", false)] {
            let sent = asked(&[(":method", method.as_bytes()), (":path", b"/l")]);
            let expected = if is_answered {
                Ok(None)
            } else {
                Err(Misuse::Method)
            };
            assert_eq!(sent, expected, "{method}");
        }
        let grpc = [
            (":method", &b"GET"[..]),
            (":path", b"/l"),
            ("content-type", b"application/grpc"),
        ];
        assert_eq!(asked(&grpc), Err(Misuse::Method));
    }

    #[test]
    fn a_request_without_a_path_matches_no_route() {
        struct Nothing;
        impl Properties for Nothing {
            fn property(&self, _: Property) -> Option<Vec<u8>> {
                None
            }
        }
        let text = "version: 1\nname: demo\ntiers: [{ name: all, routes: [\"/**\"] }]\n\
                    limits: [{ name: one, per: [], bucket: { burst: 1, refill: 1/s } }]\n";
        let policy = Policy::compile(&from_yaml(text).unwrap()).unwrap();
        let pairs: [(&str, &[u8]); 2] = [(":method", b"GET"), (":path", b"/l%2Fa")];
        let headers = Headers::new(Headers::encode(&pairs));
        let host = OnHost {
            headers: &headers,
            properties: &Nothing,
        };
        let mut request = Request::default();
        request.read(&host, &policy, true);
        assert!(request.tier.is_some());
        let bare = without_path(&request, &Nothing, &policy);
        assert!(
            bare.readings()
                .all(|it| it.tier.is_none() && it.matches.ids().is_empty())
        );
        assert_eq!(bare.readings().count(), 1);
    }
}
