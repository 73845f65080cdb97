//! Clients with full control of the method, the path, the headers and the body.

use crate::harness::DEADLINE;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::client::legacy::{Client as Pool, Error, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A request: a method, a path that is sent as written, headers in order, a body.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let method = method.parse().expect("a method");
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// With a body of this many bytes and its `content-length`.
    pub(crate) fn sized(self, bytes: usize) -> Self {
        Self {
            body: Bytes::from(vec![b'x'; bytes]),
            ..self
        }
    }

    /// Adds a header; a repeated name is sent again.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        self.headers
            .push((name, HeaderValue::from_str(value).expect("a header value")));
        self
    }

    pub(crate) fn bearer(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Asks the upstream to answer with this status.
    pub(crate) fn answered(self, status: u16) -> Self {
        self.header("x-answer-status", &status.to_string())
    }

    /// Asks the upstream to wait before it answers.
    pub(crate) fn delayed(self, delay: Duration) -> Self {
        self.header("x-answer-delay-ms", &delay.as_millis().to_string())
    }

    /// Asks the upstream to answer only when the test releases it.
    pub(crate) fn held(self) -> Self {
        self.header("x-answer-held", "1")
    }

    /// Asks the upstream to send this header. Can be repeated.
    pub(crate) fn answered_with(self, name: &str, value: &str) -> Self {
        self.header("x-answer-header", &format!("{name}: {value}"))
    }

    /// The same as a trailer, over HTTP/2.
    pub(crate) fn answered_at_last(self, name: &str, value: &str) -> Self {
        self.header("x-answer-trailer", &format!("{name}: {value}"))
    }

    /// The request, for the server at `authority`.
    pub(crate) fn request(self, authority: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("http://{authority}{}", self.path))
            .body(Full::new(self.body))
            .expect("a request");
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        request
    }

    pub(crate) fn grpc(self) -> Self {
        Self {
            method: Method::POST,
            ..self
        }
        .header("content-type", "application/grpc")
        .header("te", "trailers")
    }
}

/// A complete response. Times are since the epoch, by this machine's clock.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The time just before the request was sent.
    pub(crate) sent: Duration,
    /// The time when the response was complete.
    pub(crate) received: Duration,
}

impl Answer {
    /// The only value of a header; fails if it was sent more than once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(
            values.next().is_none(),
            "{name} was sent more than once: {:?}",
            self.headers
        );
        Some(value.to_str().expect("a header in ASCII"))
    }

    /// The time at which the upstream received the request; nothing if it never did.
    pub(crate) fn arrived(&self) -> Option<Duration> {
        self.number("x-arrived").map(Duration::from_nanos)
    }

    /// A header whose value is a whole number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.header(name)
            .map(|value| value.parse().expect("a whole number"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}

/// A connection pool: two clients never share one.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn http1(address: SocketAddr) -> Self {
        Self::new(address, false)
    }

    /// HTTP/2 with prior knowledge.
    pub(crate) fn http2(address: SocketAddr) -> Self {
        Self::new(address, true)
    }

    fn new(address: SocketAddr, http2: bool) -> Self {
        // A request that is retried silently would be counted twice.
        let pool = Pool::builder(TokioExecutor::new())
            .http2_only(http2)
            .retry_canceled_requests(false)
            .build_http();
        Self { pool, address }
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        let answer = timeout(DEADLINE * 2, self.try_send(call))
            .await
            .expect("an answer in time");
        answer.expect("an answer")
    }

    pub(crate) async fn try_send(&self, call: Call) -> Result<Answer, Error> {
        let request = call.request(&self.address.to_string());
        let sent = now();
        let (head, body) = self.pool.request(request).await?.into_parts();
        let body = body
            .collect()
            .await
            .map(|whole| whole.to_bytes())
            .unwrap_or_default();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            sent,
            received: now(),
        })
    }

    /// Sends `call` and closes the connection after the head of the response.
    pub(crate) async fn hang_up_after_the_head(&self, call: Call) {
        let request = call.request(&self.address.to_string());
        let head = timeout(DEADLINE * 2, self.pool.request(request))
            .await
            .expect("an answer in time");
        assert_eq!(head.expect("an answer").status().as_u16(), 200);
    }

    /// The statuses of `count` equal calls, one after another.
    pub(crate) async fn statuses(&self, call: &Call, count: usize) -> Vec<u16> {
        let mut statuses = Vec::with_capacity(count);
        for _ in 0..count {
            statuses.push(self.send(call.clone()).await.status);
        }
        statuses
    }
}

/// The time since the epoch, by the clock that clients, the proxy and the upstream share.
#[allow(
    clippy::disallowed_methods,
    reason = "policies are defined by the wall clock"
)]
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a clock past 1970")
}

/// Sends bytes unchanged and returns the response until the other side closes or falls silent.
///
/// `half_close` closes the sending side first, as a client does that has nothing more to send.
pub(crate) async fn raw(address: SocketAddr, request: &[u8], half_close: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the gateway accepts");
    // The proxy may refuse and close before all is written.
    let _ = stream.write_all(request).await;
    if half_close {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    answer
}
