//! The upstream: it answers as the request asks, and records what it received.
//!
//! `x-answer-status: 503`, `x-answer-delay-ms: 200`, `x-answer-header: name: value` (can be
//! repeated), `x-answer-trailer: name: value` (only over HTTP/2). A path that ends in `/moved` is
//! answered with 302 to the same path ending in `/found`, regardless of these. Every response has
//! in `x-arrived` the time at which its request arrived, in nanoseconds since the epoch. The
//! upstream reads a request's body to its end before it answers, unless `x-answer-early` is set,
//! and records its size. `x-answer-upgrade` begins the tunnel that the request asks for (an upgrade
//! of HTTP/1.1, a CONNECT, or one of RFC 8441), which returns its input. `x-answer-break` breaks
//! the response off: after the head (`reset`), after a part of the body (`body-reset`); or it stops
//! there forever (`stall`). A request with `x-answer-held` is answered when the test releases it
//! ([`Upstream::let_go`]), so that no test depends on durations.

use crate::harness::{lease, now};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// A server on its own port, which can stop and resume.
pub(crate) struct Upstream {
    address: SocketAddr,
    record: Arc<Record>,
    serving: Option<JoinHandle<()>>,
}

/// The requests received, and the permits to answer.
struct Record {
    /// The path and query of every request, in the order of arrival.
    seen: Mutex<Vec<String>>,
    received: Mutex<Vec<Received>>,
    /// The path of every body that began to arrive, and the number of its bytes so far.
    begun: Mutex<Vec<(String, u64)>>,
    flights: Mutex<BTreeMap<String, Flights>>,
    /// One permit for each held request that may be answered.
    gate: Semaphore,
}

/// Requests of one path that are being answered.
#[derive(Clone, Copy, Debug, Default)]
struct Flights {
    now: usize,
    most: usize,
}

/// A request that is being answered, until it is dropped.
struct InFlight {
    path: String,
    record: Arc<Record>,
}

impl InFlight {
    fn begin(path: &str, record: &Arc<Record>) -> Self {
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let mut all = record
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_path = all.entry(path.clone()).or_default();
        of_path.now += 1;
        of_path.most = of_path.most.max(of_path.now);
        drop(all);
        Self {
            path,
            record: Arc::clone(record),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut all = self
            .record
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.entry(self.path.clone()).or_default().now -= 1;
    }
}

/// A body, as far as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Whether it was complete.
    pub(crate) whole: bool,
}

impl Upstream {
    pub(crate) async fn start(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, lease(ip)))
            .await
            .expect("the upstream's address can be bound");
        let address = listener.local_addr().expect("a bound address");
        let record = Record {
            seen: Mutex::default(),
            received: Mutex::default(),
            begun: Mutex::default(),
            flights: Mutex::default(),
            gate: Semaphore::new(0),
        };
        let mut upstream = Self {
            address,
            record: Arc::new(record),
            serving: None,
        };
        upstream.serve(listener);
        upstream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Serves on the same port again.
    pub(crate) async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the upstream's port is still free");
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.record))));
    }

    /// Releases this many of the held requests, the earliest first.
    pub(crate) fn let_go(&self, count: usize) {
        self.record.gate.add_permits(count);
    }

    /// The number of requests of this path that are being answered.
    pub(crate) fn in_flight(&self, path: &str) -> usize {
        let all = self
            .record
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(path).map_or(0, |flights| flights.now)
    }

    /// The most concurrent requests of this path since the last call.
    pub(crate) fn most_in_flight(&self, path: &str) -> usize {
        let mut all = self
            .record
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let flights = all.entry(path.to_owned()).or_default();
        std::mem::replace(&mut flights.most, flights.now)
    }

    /// Every body received on this path, in the order in which they ended.
    pub(crate) fn bodies(&self, path: &str) -> Vec<Received> {
        let received = self
            .record
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        received
            .iter()
            .filter(|body| body.path == path)
            .cloned()
            .collect()
    }

    /// The number of bodies on this path of which at least this many bytes have arrived, complete
    /// or not.
    pub(crate) fn arrived(&self, path: &str, bytes: u64) -> usize {
        let begun = self
            .record
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        begun
            .iter()
            .filter(|(of, came)| of == path && *came >= bytes)
            .count()
    }

    /// The number of requests whose path begins with `prefix`.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.paths()
            .iter()
            .filter(|path| path.starts_with(prefix))
            .count()
    }

    /// Every path received, with its query.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.record
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(listener: TcpListener, record: Arc<Record>) {
    // The set owns the connections, and this task the set.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let record = Arc::clone(&record);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&record)));
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http2().enable_connect_protocol();
            let _ = builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Begins a tunnel that returns its input.
fn upgrade(request: &mut Request<Incoming>) -> Response<Answer> {
    let upgrading = hyper::upgrade::on(&mut *request);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrading.await.ok()?));
        tokio::io::copy(&mut read, &mut write).await.ok()
    });
    let mut response = Response::new(
        Full::new(Bytes::new())
            .map_err(|never| match never {})
            .boxed(),
    );
    if request.method() == Method::CONNECT {
        return response;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
        .headers_mut()
        .insert("connection", HeaderValue::from_static("upgrade"));
    response
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    response
}

async fn answer(
    mut request: Request<Incoming>,
    record: Arc<Record>,
) -> Result<Response<Answer>, Infallible> {
    let arrived = HeaderValue::from_str(&now().as_nanos().to_string()).expect("a number");
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    record
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path.clone());
    let _flight = InFlight::begin(&path, &record);
    if request.headers().contains_key("x-answer-upgrade") {
        wait_if_held(request.headers(), &record).await;
        return Ok(upgrade(&mut request));
    }
    let (head, body) = request.into_parts();
    let asked = &head.headers;
    let reading = tokio::spawn(read(path.clone(), body, Arc::clone(&record)));
    if !asked.contains_key("x-answer-early") {
        let _ = reading.await;
    }
    wait_if_held(asked, &record).await;
    if let Some(delay) = number(asked, "x-answer-delay-ms") {
        sleep(Duration::from_millis(delay)).await;
    }
    let trailers = fields(asked, "x-answer-trailer");
    let body = Full::new(Bytes::from_static(b"upstream\n")).map_err(|never| match never {});
    let body = match asked.get("x-answer-break").map(HeaderValue::as_bytes) {
        Some(how) => Broken::new(how).boxed(),
        None if trailers.is_empty() => body.boxed(),
        None => body.with_trailers(ready(Some(Ok(trailers)))).boxed(),
    };
    let mut response = Response::new(body);
    *response.headers_mut() = fields(asked, "x-answer-header");
    response.headers_mut().insert("x-arrived", arrived);
    if let Some(status) = number(asked, "x-answer-status") {
        *response.status_mut() = u16::try_from(status)
            .ok()
            .and_then(|s| s.try_into().ok())
            .expect("a status");
    }
    if let Some(stem) = path.strip_suffix("/moved") {
        *response.status_mut() = StatusCode::FOUND;
        // Envoy only follows absolute URLs.
        let host = asked
            .get("host")
            .and_then(|host| host.to_str().ok())
            .expect("a host");
        let found =
            HeaderValue::from_str(&format!("http://{host}{stem}/found")).expect("a location");
        response.headers_mut().insert("location", found);
    }
    Ok(response)
}

/// Waits for the test, if the request asks for that.
async fn wait_if_held(asked: &HeaderMap, record: &Record) {
    if asked.contains_key("x-answer-held")
        && let Ok(permit) = record.gate.acquire().await
    {
        permit.forget();
    }
}

type Answer = BoxBody<Bytes, io::Error>;

/// A response's body that breaks off.
struct Broken {
    begins: Option<Bytes>,
    breaks: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Broken {
    fn new(how: &[u8]) -> Self {
        let begins = (how != b"reset").then(|| Bytes::from_static(b"upst"));
        // The pause lets the part before it be sent.
        let later = sleep(Duration::from_millis(200));
        let breaks: Pin<Box<dyn Future<Output = ()> + Send + Sync>> = if how == b"stall" {
            Box::pin(pending())
        } else {
            Box::pin(later)
        };
        Self { begins, breaks }
    }
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.begins.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => self
                .breaks
                .as_mut()
                .poll(context)
                .map(|()| Some(Err(io::Error::other("broken off")))),
        }
    }
}

/// Reads a body to its end.
async fn read(path: String, mut body: Incoming, record: Arc<Record>) {
    let (mut bytes, mut whole) = (0, true);
    let number = {
        let mut begun = record.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push((path.clone(), 0));
        begun.len() - 1
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                record.begun.lock().unwrap_or_else(PoisonError::into_inner)[number].1 = bytes;
            }
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    record
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Received { path, bytes, whole });
}

/// The fields that the headers called `name` request, each as `name: value`.
fn fields(headers: &HeaderMap, name: &str) -> HeaderMap {
    let pairs = headers.get_all(name).iter().map(|pair| {
        let (name, value) = pair
            .to_str()
            .ok()
            .and_then(|p| p.split_once(": "))
            .expect("`name: value`");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        (name, HeaderValue::from_str(value).expect("a header value"))
    });
    let mut fields = HeaderMap::new();
    for (name, value) in pairs {
        fields.append(name, value);
    }
    fields
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name).map(|value| {
        value
            .to_str()
            .ok()
            .and_then(|v| v.parse().ok())
            .expect("a number")
    })
}
