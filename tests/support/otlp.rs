//! A collector of OTLP/HTTP, which keeps every log record that it receives.

use crate::harness::lease;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The attributes of a log record, and its body under the name `body`.
pub(crate) type LogRecord = BTreeMap<String, String>;

/// A collector on its own port.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    posts: Arc<Mutex<Vec<Bytes>>>,
    serving: JoinHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((ip, lease(ip))).await;
        let listener = listener.expect("the collector's address can be bound");
        let address = listener.local_addr().expect("a bound address");
        let posts = Arc::<Mutex<Vec<Bytes>>>::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&posts)));
        Self {
            address,
            posts,
            serving,
        }
    }

    /// All that it received, as bytes.
    pub(crate) fn received(&self) -> Vec<u8> {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.concat()
    }

    /// All log records, in the order of arrival.
    pub(crate) fn records(&self) -> Vec<LogRecord> {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = posts.iter().flat_map(|post| fields(post, 1));
        let scopes = resources.flat_map(|resource| fields(resource, 2));
        let records = scopes.flat_map(|scope| fields(scope, 2));
        records.map(record).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, posts: Arc<Mutex<Vec<Bytes>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let posts = Arc::clone(&posts);
        let service = service_fn(move |request: Request<Incoming>| {
            let posts = Arc::clone(&posts);
            async move {
                assert_eq!(request.uri().path(), "/v1/logs");
                let body = request.into_body().collect().await.expect("a whole body");
                let mut posts = posts.lock().unwrap_or_else(PoisonError::into_inner);
                posts.push(body.to_bytes());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        });
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The body and the attributes of a `LogRecord`.
fn record(bytes: &[u8]) -> LogRecord {
    let text = |value: &[u8]| {
        let text = fields(value, 1).first().map(|text| text.to_vec());
        String::from_utf8(text.unwrap_or_default()).expect("UTF-8")
    };
    let mut record = LogRecord::new();
    for body in fields(bytes, 5) {
        record.insert("body".to_owned(), text(body));
    }
    for attribute in fields(bytes, 6) {
        let value = fields(attribute, 2);
        record.insert(
            text(attribute),
            text(value.first().copied().unwrap_or_default()),
        );
    }
    record
}

/// The values of a message's fields with this number, as far as they have a length.
fn fields(mut message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        match tag & 7 {
            0 => drop(varint(&mut message)),
            1 => message = &message[8..],
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a short field");
                let (value, rest) = message.split_at(length);
                message = rest;
                if tag >> 3 == number {
                    found.push(value);
                }
            }
            5 => message = &message[4..],
            other => panic!("wire type {other}"),
        }
    }
    found
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
