//! A receiver of OTLP, by HTTP and gRPC, and of CloudEvents, which keeps all that it accepts.

use crate::harness::lease;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The attributes of a log record, its body under the name `body`, and the name of its event under
/// `event_name`.
pub(crate) type LogRecord = BTreeMap<String, String>;

/// A collector on its own port.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    is_refusing: bool,
    /// The points that it says to lack.
    lacks: u8,
    refused: Vec<Post>,
    accepted: Vec<Post>,
}

/// A message: the path, the type, and the message without a prefix of gRPC.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A point of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// From and to, in nanoseconds; a gauge has no beginning.
    pub(crate) time: (u64, u64),
    pub(crate) value: Value,
}

/// The value of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A monotonic delta.
    Sum(i64),
    Gauge(f64),
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((ip, lease(ip))).await;
        let listener = listener.expect("the collector's address can be bound");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::<Mutex<State>>::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            serving,
        }
    }

    /// Accepts nothing from now on, or everything again.
    pub(crate) fn refuse(&self, is_refusing: bool) {
        lock(&self.state).is_refusing = is_refusing;
    }

    /// Says from now on that it lacks so many points of each message; below 128.
    pub(crate) fn lack(&self, points: u8) {
        lock(&self.state).lacks = points;
    }

    /// All that it refused.
    pub(crate) fn refused(&self) -> Vec<Post> {
        lock(&self.state).refused.clone()
    }

    /// All that it accepted on a path with this part.
    pub(crate) fn posts(&self, part: &str) -> Vec<Post> {
        let posts = lock(&self.state).accepted.clone();
        let posts = posts.into_iter();
        posts.filter(|post| post.path.contains(part)).collect()
    }

    /// All that it received, as bytes.
    pub(crate) fn received(&self) -> Vec<u8> {
        let state = lock(&self.state);
        let all = state.refused.iter().chain(&state.accepted);
        all.flat_map(|post| post.body.to_vec()).collect()
    }

    /// All log records, in the order of arrival.
    pub(crate) fn records(&self) -> Vec<LogRecord> {
        let mut records = Vec::new();
        for post in self.posts("ogs") {
            for scope in below(&post.body, &[1, 2]) {
                records.extend(fields(scope, 2).into_iter().map(record));
            }
        }
        records
    }

    /// All points of metrics, in the order of arrival.
    pub(crate) fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for post in self.posts("etrics") {
            for metric in below(&post.body, &[1, 2, 2]) {
                points.extend(points_of(metric));
            }
        }
        points
    }

    /// The sum of a metric's points with all of these tags.
    pub(crate) fn sum(&self, metric: &str, tags: &[(&str, &str)]) -> i64 {
        let points = self.points().into_iter();
        let matching = points.filter(|point| point.metric == metric && point.has(tags));
        let values = matching.filter_map(|point| match point.value {
            Value::Sum(value) => Some(value),
            Value::Gauge(_) => None,
        });
        values.sum()
    }
}

impl Point {
    pub(crate) fn has(&self, tags: &[(&str, &str)]) -> bool {
        let mut tags = tags.iter();
        tags.all(|(name, value)| self.tags.get(*name).is_some_and(|it| it == value))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request: Request<Incoming>| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Infallible>(answer(request, &state).await) }
        });
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let path = request.uri().path().to_owned();
    let content_type = request.headers().get("content-type");
    let content_type = content_type.and_then(|it| it.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let is_grpc = content_type.starts_with("application/grpc");
    let encoding = request.headers().get("content-encoding");
    let is_gzip = encoding.is_some_and(|it| it == "gzip");
    let body = request.into_body().collect().await;
    // A proxy that is killed sends half of it.
    let mut body = body.map(|body| body.to_bytes()).unwrap_or_default();
    if is_gzip {
        let mut whole = Vec::new();
        let read = GzDecoder::new(&body[..]).read_to_end(&mut whole);
        read.expect("a whole body");
        body = whole.into();
    }
    let post = Post {
        path,
        content_type,
        body: body.slice(if is_grpc { 5.min(body.len()).. } else { 0.. }),
    };
    let mut state = lock(state);
    let is_refusing = state.is_refusing;
    if is_refusing {
        state.refused.push(post);
    } else {
        state.accepted.push(post);
    }
    // ExportMetricsServiceResponse { 1: { 1: rejected, 2: the reason } }
    let message = match state.lacks {
        0 => Vec::new(),
        points => [&[0x0a, 10, 0x08, points, 0x12, 6], &b"quota!"[..]].concat(),
    };
    drop(state);
    if is_grpc {
        let mut trailers = HeaderMap::new();
        let status = if is_refusing { 14 } else { 0 };
        trailers.insert("grpc-status", status.into());
        let size = message.len() as u8;
        let message = Full::new(Bytes::from([&[0, 0, 0, 0, size], &message[..]].concat()));
        let body = message.with_trailers(async move { Some(Ok(trailers)) });
        let response = Response::builder().header("content-type", "application/grpc");
        return response.body(body.boxed()).expect("a response");
    }
    let status = if is_refusing { 503 } else { 200 };
    let response = Response::builder().status(status);
    let body = Full::new(Bytes::from(message)).boxed();
    response.body(body).expect("a response")
}

/// The messages below one, by the numbers of the fields that lead to them.
fn below<'m>(message: &'m [u8], path: &[u64]) -> Vec<&'m [u8]> {
    let mut all = vec![message];
    for number in path {
        all = all.into_iter().flat_map(|it| fields(it, *number)).collect();
    }
    all
}

fn points_of(metric: &[u8]) -> Vec<Point> {
    let text = |number| {
        let found = fields(metric, number).first().copied().unwrap_or_default();
        String::from_utf8_lossy(found).into_owned()
    };
    let sums = fields(metric, 7);
    for sum in &sums {
        assert_eq!((number(sum, 2), number(sum, 3)), (1, 1), "monotonic deltas");
    }
    let sums = sums.into_iter().flat_map(|sum| fields(sum, 1));
    let gauges = fields(metric, 5).into_iter().flat_map(|it| fields(it, 1));
    let point = |bytes, value| Point {
        metric: text(1),
        unit: text(3),
        tags: attributes(bytes, 7),
        time: (number(bytes, 2), number(bytes, 3)),
        value,
    };
    let sums = sums.map(|bytes| point(bytes, Value::Sum(number(bytes, 6).cast_signed())));
    let gauges = gauges.map(|bytes| {
        // Ours are fractions, those of Envoy whole numbers.
        let value = match number(bytes, 6) {
            0 => f64::from_bits(number(bytes, 4)),
            whole => f64::from(u32::try_from(whole).unwrap_or(u32::MAX)),
        };
        point(bytes, Value::Gauge(value))
    });
    sums.chain(gauges).collect()
}

/// The attributes in the fields with this number.
fn attributes(message: &[u8], number: u64) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for attribute in fields(message, number) {
        let value = fields(attribute, 2);
        let value = value.first().copied().unwrap_or_default();
        let is_true = self::number(value, 2) == 1;
        let value = if is_true {
            "true".to_owned()
        } else {
            text(value)
        };
        all.insert(text(attribute), value);
    }
    all
}

/// The text in the first field of a message.
fn text(message: &[u8]) -> String {
    let text = fields(message, 1).first().map(|text| text.to_vec());
    String::from_utf8(text.unwrap_or_default()).expect("UTF-8")
}

/// The body, the name and the attributes of a `LogRecord`.
fn record(bytes: &[u8]) -> LogRecord {
    let mut record = attributes(bytes, 6);
    for body in fields(bytes, 5) {
        record.insert("body".to_owned(), text(body));
    }
    for name in fields(bytes, 12) {
        let name = String::from_utf8_lossy(name).into_owned();
        record.insert("event_name".to_owned(), name);
    }
    record
}

/// The values of a message's fields with this number, as far as they have a length.
fn fields(message: &[u8], number: u64) -> Vec<&[u8]> {
    let all = all_fields(message).into_iter();
    let found = all.filter(|(field, _)| *field == number);
    found
        .filter_map(|(_, value)| match value {
            Field::Bytes(bytes) => Some(bytes),
            Field::Number(_) => None,
        })
        .collect()
}

/// The number in a field with this number; 0 if there is none.
fn number(message: &[u8], number: u64) -> u64 {
    let all = all_fields(message).into_iter();
    let mut found = all.filter(|(field, _)| *field == number);
    match found.next() {
        Some((_, Field::Number(value))) => value,
        Some((_, Field::Bytes(_))) | None => 0,
    }
}

enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

fn all_fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let fixed = |message: &mut &[u8], size: usize| {
            let (bytes, rest) = message.split_at(size);
            *message = rest;
            let mut whole = [0; 8];
            whole[..size].copy_from_slice(bytes);
            Field::Number(u64::from_le_bytes(whole))
        };
        let value = match tag & 7 {
            0 => Field::Number(varint(&mut message)),
            1 => fixed(&mut message, 8),
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a short field");
                let (value, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(value)
            }
            5 => fixed(&mut message, 4),
            other => panic!("wire type {other}"),
        };
        all.push((tag >> 3, value));
    }
    all
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("a whole number");
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}
