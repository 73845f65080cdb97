//! Envoy as the core's host.
//!
//! | call | legal while |
//! |---|---|
//! | request headers | the request's headers are decoded |
//! | request body | it is decoded |
//! | response headers | the response's headers are encoded |
//! | response trailers | they are encoded |
//! | local reply | no response has begun; later Envoy resets the stream |
//! | clock, shared data, counters, filter state, properties | always |
//!
//! Outside of its time a call answers with a status, which here is an absent value: it cannot
//! trap. [`crate::filter::stream`] keeps to the times all the same, which `tests/phases.rs` checks.

use std::time::Instant;

use super::abi::{self, Buffer, Map};
use crate::base::property::Property;
use crate::base::time::{Span, SteadyTime, Timestamp};
use crate::host::fault::Fault;
use crate::host::grpc;
use crate::host::headers::Headers;
use crate::host::queue::{QueueToken, SharedQueue};
use crate::host::shared::predictor::{ProbeKey, VersionPredictor, VersionProbe};
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::{
    CallToken, Clock, Dialect, EngineCalls, LocalReply, Meter, MetricId, Properties, RequestBody,
    RequestHead, ResponseHead, StreamControl, Uptime, UsageCalls, UsageToken, Way,
};

/// The proxy this module runs in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Envoy;

thread_local! {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads it")]
    static STARTED: Instant = Instant::now();
    /// Of all writes of this VM, whichever policy makes them.
    static PREDICTOR: VersionPredictor = VersionPredictor::default();
}

impl Uptime for Envoy {
    fn uptime(&self) -> Span {
        let nanos = STARTED.with(Instant::elapsed).as_nanos();
        Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl SharedQueue for Envoy {
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault> {
        abi::register_queue(name).map(QueueToken)
    }

    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        abi::enqueue(queue.0, message)
    }

    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        abi::dequeue(queue.0)
    }
}

impl Clock for Envoy {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(abi::now_nanos())
    }

    fn steady(&self) -> SteadyTime {
        SteadyTime::from_nanos(abi::monotonic_nanos())
    }
}

impl EngineCalls for Envoy {
    /// The cluster's connections are raw TCP, so the peer gets the body, and nothing of the head.
    /// The call belongs to the root, which is there when the stream has gone.
    fn call(
        &self,
        (root, caller): (u32, Option<u32>),
        cluster: &str,
        body: &[u8],
        timeout: Span,
    ) -> Option<CallToken> {
        if !abi::set_effective_context(root) {
            return None;
        }
        let head: [(&str, &[u8]); 3] = [
            (":method", b"POST"),
            (":path", b"/"),
            (":authority", b"engine"),
        ];
        let millis = timeout.micros().div_ceil(1_000);
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        let token = abi::http_call(cluster, &Headers::encode(&head), body, millis);
        abi::set_effective_context(caller.unwrap_or(root));
        token.map(CallToken)
    }
}

impl UsageCalls for Envoy {
    fn call_out(
        &self,
        root: u32,
        cluster: &str,
        way: Way,
        body: &[u8],
        timeout: Span,
    ) -> Option<UsageToken> {
        if !abi::set_effective_context(root) {
            return None;
        }
        let millis = u32::try_from(timeout.micros().div_ceil(1_000)).unwrap_or(u32::MAX);
        match way {
            Way::Post(path, content_type) => {
                let head: [(&str, &[u8]); 4] = [
                    (":method", b"POST"),
                    (":path", path.as_bytes()),
                    (":authority", b"sluicegate"),
                    ("content-type", content_type.as_bytes()),
                ];
                let token = abi::http_call(cluster, &Headers::encode(&head), body, millis);
                token.map(|token| UsageToken::Http(CallToken(token)))
            }
            Way::Service(service, method) => {
                let token = abi::grpc_call(cluster, (service, method), body, millis);
                token.map(|token| UsageToken::Grpc(CallToken(token)))
            }
        }
    }
}

impl RequestHead for Envoy {
    fn request_headers(&self) -> Headers {
        Headers::new(abi::header_block(Map::RequestHeaders))
    }
}

impl RequestBody for Envoy {
    fn request_body(&self, start: usize, max: usize) -> Vec<u8> {
        abi::bytes(Buffer::RequestBody, start, max)
    }

    fn request_bytes(&self) -> Option<u64> {
        let size = abi::property("request\0total_size")?;
        size.first_chunk().map(|size| u64::from_le_bytes(*size))
    }
}

impl Properties for Envoy {
    /// Whole messages, if there is one: a value by its own path would have no type. (Only the
    /// node's metadata comes as pairs from Envoy, which have no types either.)
    fn property(&self, which: Property) -> Option<Vec<u8>> {
        abi::property(match which {
            Property::Metadata => "metadata",
            Property::RouteMetadata => "xds\0route_metadata",
            Property::Node => "xds\0node",
            Property::SourceAddress => "source\0address",
            Property::CertificateSubject => "connection\0subject_peer_certificate",
            Property::CertificateUriSan => "connection\0uri_san_peer_certificate",
            Property::CertificateDnsSan => "connection\0dns_san_peer_certificate",
            Property::CertificateSha256 => "connection\0sha256_peer_certificate_digest",
        })
    }
}

impl ResponseHead for Envoy {
    fn response_headers(&self) -> Headers {
        Headers::new(abi::header_block(Map::ResponseHeaders))
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        abi::header(Map::ResponseHeaders, name)
    }

    fn set_response_header(&self, name: &str, value: &str) {
        abi::set_header(Map::ResponseHeaders, name, value);
    }

    fn remove_response_header(&self, name: &str) {
        abi::remove_header(Map::ResponseHeaders, name);
    }

    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        abi::header(Map::ResponseTrailers, name)
    }
}

impl StreamControl for Envoy {
    fn reply(&self, reply: &LocalReply) {
        let mut pairs: Vec<(&str, &[u8])> =
            Vec::with_capacity(reply.headers.len().saturating_add(1));
        pairs.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (&**name, value.as_bytes())),
        );
        // Envoy would make the message of the body only if it takes the caller for a gRPC one
        // itself.
        let message = (reply.dialect != Dialect::Http).then(|| grpc::message(&reply.body));
        pairs.extend(
            message
                .iter()
                .map(|message| (grpc::MESSAGE, message.as_bytes())),
        );
        let body = if message.is_some() { "" } else { &reply.body };
        abi::send_local_response(
            reply.status,
            &reply.details,
            body,
            &Headers::encode(&pairs),
            reply.grpc_status as i32,
        );
    }

    fn set_filter_state(&self, key: &str, value: &str) {
        abi::set_property(key, value);
    }

    fn response_code_details(&self) -> Option<Vec<u8>> {
        abi::property("response\0code_details")
    }
}

impl Meter for Envoy {
    fn add(&self, counter: MetricId, amount: u64) {
        abi::increment_metric(counter.0, i64::try_from(amount).unwrap_or(i64::MAX));
    }

    fn adjust(&self, gauge: MetricId, by: i64) {
        abi::increment_metric(gauge.0, by);
    }

    fn set(&self, gauge: MetricId, value: u64) {
        abi::record_metric(gauge.0, value);
    }

    fn record(&self, histogram: MetricId, value: u64) {
        abi::record_metric(histogram.0, value);
    }
}

impl SharedData for Envoy {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        let (value, cas) = abi::shared_data(key)?;
        Ok((
            value,
            if cas == 0 {
                Version::ABSENT
            } else {
                Version::of(cas)
            },
        ))
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        let stored = abi::set_shared_data(key, value, seen.cas())?;
        PREDICTOR.with(|predictor| {
            if stored {
                predictor.stored(self)
            } else {
                predictor.conflicted()
            }
        });
        Ok(if stored { Swap::Done } else { Swap::Conflict })
    }

    fn predicted(&self) -> Option<Version> {
        PREDICTOR.with(VersionPredictor::version)
    }
}

impl VersionProbe for Envoy {
    fn write(&self, key: ProbeKey) -> Option<u32> {
        let key: &[u8] = match key {
            ProbeKey::A => b"sluicegate.one",
            ProbeKey::B => b"sluicegate.two",
        };
        // Without a value: reading one costs five times as much.
        abi::set_shared_data(key, &[], UNSEEN)
            .ok()
            .filter(|stored| *stored)?;
        abi::shared_data(key).ok().map(|(_, cas)| cas)
    }
}

/// The number with which the host writes without comparing versions.
const UNSEEN: u32 = 0;
