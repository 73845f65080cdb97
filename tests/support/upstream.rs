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

mod answers;

use self::answers::answer;
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
