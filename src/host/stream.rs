//! The ports of one HTTP stream.

use std::borrow::Cow;

use super::headers::Headers;
use crate::base::property::Property;
use crate::base::time::{Span, SteadyTime, Timestamp};

/// The wall clock, the same for all workers. It may step.
pub trait Clock {
    /// The instant.
    fn now(&self) -> Timestamp;

    /// The steady clock, the same for all workers of this proxy. It never steps. Unless a host says
    /// otherwise, its wall clock does not step either.
    fn steady(&self) -> SteadyTime {
        SteadyTime::from_nanos(self.now().nanos())
    }
}

/// How long this worker has been up, by a clock that never steps.
pub trait Uptime {
    /// The time since then.
    fn uptime(&self) -> Span;
}

/// The request's head; only while its headers are being decoded.
pub trait RequestHead {
    /// The whole head; empty if the host fails.
    fn request_headers(&self) -> Headers;
}

/// The request's body; only while it is being decoded.
pub trait RequestBody {
    /// Up to `max` bytes from the byte `start` of the host's buffer on; none if the host fails.
    fn request_body(&self, start: usize, max: usize) -> Vec<u8>;
    /// Bytes of the request that the proxy has received, its head among them; `None` if it does not
    /// report them. Also while the request is paused.
    fn request_bytes(&self) -> Option<u64>;
}

/// Properties that the proxy knows besides the messages.
pub trait Properties {
    /// The property as the host writes it; `None` if there is none, as for a client without a
    /// certificate.
    fn property(&self, which: Property) -> Option<Vec<u8>>;
}

/// The response's head; only while its headers are being encoded.
pub trait ResponseHead {
    /// The whole head; empty if the host fails.
    fn response_headers(&self) -> Headers;
    /// The first header of this name.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;
    /// Makes this the only header of its name.
    fn set_response_header(&self, name: &str, value: &str);
    /// Removes all headers of this name.
    fn remove_response_header(&self, name: &str);
    /// The first trailer of this name; only while the trailers are being encoded.
    fn response_trailer(&self, name: &str) -> Option<Vec<u8>>;
}

/// The protocol by which a caller reads an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// By its HTTP status.
    #[default]
    Http,
    /// By `grpc-status`: gRPC over HTTP/2.
    Grpc,
    /// By `grpc-status`: gRPC-Web, which no filter before this one has made gRPC of.
    GrpcWeb,
    /// The same in Base64.
    GrpcWebText,
}

impl Dialect {
    /// Of a request with this `Content-Type`.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Self {
        // A longer type is tried before its prefix. The format of the messages follows a `+`.
        let known = [Self::GrpcWebText, Self::GrpcWeb, Self::Grpc]
            .into_iter()
            .find(|dialect| {
                let rest = content_type.strip_prefix(dialect.media_type().as_bytes());
                rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
            });
        known.unwrap_or_default()
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Http => "",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb => "application/grpc-web",
            Self::GrpcWebText => "application/grpc-web-text",
        }
    }

    /// The `Content-Type` of an answer that has nothing but a status.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Http | Self::Grpc => self.media_type(),
            Self::GrpcWeb => "application/grpc-web+proto",
            Self::GrpcWebText => "application/grpc-web-text+proto",
        }
    }
}

/// An answer that the gateway gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// How the caller reads it.
    pub dialect: Dialect,
    /// The HTTP status. A gRPC caller gets 200 and `grpc_status`.
    pub status: u32,
    /// The value of `%RESPONSE_CODE_DETAILS%` in the access log.
    pub details: String,
    /// Header fields.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body; a gRPC caller gets it as `grpc-message`.
    pub body: String,
    /// The status for a gRPC caller.
    pub grpc_status: GrpcStatus,
}

/// The gRPC statuses that the gateway answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatus {
    /// A body that is not as required.
    InvalidArgument = 3,
    /// Not allowed.
    PermissionDenied = 7,
    /// Over a limit.
    ResourceExhausted = 8,
    /// An encoding that the filter does not know.
    Unimplemented = 12,
    /// Not now.
    Unavailable = 14,
    /// Not known.
    Unauthenticated = 16,
}

/// Ends streams, and says how they ended.
pub trait StreamControl {
    /// Ends the stream with an answer of our own; at most once, and never after a `Continue`.
    fn reply(&self, reply: &LocalReply);
    /// Sets the string that the access log reads as `%FILTER_STATE(wasm.<key>:PLAIN)%`.
    fn set_filter_state(&self, key: &str, value: &str);
    /// Why Envoy ended the stream, as in `%RESPONSE_CODE_DETAILS%`.
    fn response_code_details(&self) -> Option<Vec<u8>>;
}

/// Counters of the proxy.
pub trait Meter {
    /// Adds to a counter that was defined before.
    fn add(&self, counter: MetricId, amount: u64);
    /// Moves a gauge that was defined before, up or down.
    fn adjust(&self, gauge: MetricId, by: i64);
    /// Sets a gauge that was defined before.
    fn set(&self, gauge: MetricId, value: u64);
    /// Records a value in a histogram that was defined before.
    fn record(&self, histogram: MetricId, value: u64);
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter = 0,
    /// It goes up and down.
    Gauge = 1,
    /// It has a distribution.
    Histogram = 2,
}

/// A metric's number at the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// A call on its way, by the number that the host gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallToken(pub u32);

/// Calls to the engine of limits that all proxies share.
pub trait EngineCalls {
    /// Sends `body` to a cluster, within a callback of `root`, or of the stream `caller` under it.
    /// The answer arrives in a callback of `root`, after `timeout` at the latest. `None` if the
    /// host cannot send it, as when it has no such cluster.
    fn call(
        &self,
        context: (u32, Option<u32>),
        cluster: &str,
        body: &[u8],
        timeout: Span,
    ) -> Option<CallToken>;
}

/// A call with usage on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageToken {
    /// By HTTP.
    Http(CallToken),
    /// By gRPC.
    Grpc(CallToken),
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a POST to this path, with this `Content-Type`.
    Post(&'static str, &'static str),
    /// As the message of this method of a gRPC service.
    Service(&'static str, &'static str),
}

/// Calls to what receives usage.
pub trait UsageCalls {
    /// Sends `body` to a cluster, within a callback of `root`, in which the answer arrives, after
    /// `timeout` at the latest. `None` if the host cannot send it, as when it has no such cluster.
    fn call_out(
        &self,
        root: u32,
        cluster: &str,
        way: Way,
        body: &[u8],
        timeout: Span,
    ) -> Option<UsageToken>;
}

/// All ports of a stream.
pub trait Host:
    Clock
    + Uptime
    + RequestHead
    + RequestBody
    + Properties
    + ResponseHead
    + StreamControl
    + Meter
    + EngineCalls
{
}

impl<T> Host for T
where
    T: Clock + Uptime + RequestHead + RequestBody,
    T: Properties + ResponseHead + StreamControl + Meter + EngineCalls,
{
}
