//! A host that counts its calls and does as little as it can otherwise, since its instructions are
//! part of the measurement. So it is not the proxy of the unit tests (`src/host/fake.rs`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use sluicegate::base::property::Property;
use sluicegate::base::time::{Span, Timestamp};
use sluicegate::host::fault::Fault;
use sluicegate::host::headers::Headers;
use sluicegate::host::queue::{QueueToken, SharedQueue};
use sluicegate::host::shared::predictor::{ProbeKey, VersionPredictor, VersionProbe};
use sluicegate::host::shared::{SharedData, Swap, Version};
use sluicegate::host::stream::{
    CallToken, Clock, EngineCalls, LocalReply, Meter, MetricId, Properties, RequestBody,
    RequestHead, ResponseHead, StreamControl, Uptime,
};

/// The kinds of host calls, each with the word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    RequestHeaders,
    RequestBody,
    Property,
    Clock,
    Uptime,
    SharedGet,
    SharedSet,
    Queue,
    Counter,
    FilterState,
    ResponseHeader,
    SetHeader,
    RemoveHeader,
    Reply,
}

impl Call {
    pub(crate) const ALL: [(Self, &'static str); 14] = [
        (Self::RequestHeaders, "request headers"),
        (Self::RequestBody, "request body"),
        (Self::Property, "property"),
        (Self::Clock, "clock"),
        (Self::Uptime, "uptime"),
        (Self::SharedGet, "shared get"),
        (Self::SharedSet, "shared set"),
        (Self::Queue, "queue"),
        (Self::Counter, "metric"),
        (Self::FilterState, "filter state"),
        (Self::ResponseHeader, "response header"),
        (Self::SetHeader, "set header"),
        (Self::RemoveHeader, "remove header"),
        (Self::Reply, "reply"),
    ];
}

pub(crate) type Calls = [u64; Call::ALL.len()];

/// One proxy with one worker; clones are the same proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host(Rc<Proxy>);

#[derive(Debug, Default)]
struct Proxy {
    calls: [Cell<u64>; Call::ALL.len()],
    now: Cell<u64>,
    /// The request's head, as a block.
    head: RefCell<Rc<[u8]>>,
    data: RefCell<Data>,
    versions: Cell<u32>,
    predictor: VersionPredictor,
}

/// By a hash that is cheap and has no random seed, so that every run takes the same instructions.
type Data = HashMap<Vec<u8>, (Vec<u8>, u32), BuildHasherDefault<Fnv>>;

/// FNV-1a.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Host {
    pub(crate) fn at(now: Timestamp) -> Self {
        let host = Self::default();
        host.0.now.set(now.nanos());
        host
    }

    pub(crate) fn wait(&self, span: Span) {
        self.0.now.set(self.0.now.get() + span.nanos());
    }

    /// The time, which is not a host call.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.now.get())
    }

    /// From now on this is the request at hand.
    pub(crate) fn take_head(&self, head: &Rc<[u8]>) {
        self.0.head.replace(Rc::clone(head));
    }

    pub(crate) fn calls(&self) -> Calls {
        self.0.calls.each_ref().map(Cell::get)
    }

    fn note(&self, call: Call) {
        let count = &self.0.calls[call as usize];
        count.set(count.get() + 1);
    }
}

impl SharedData for Host {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        self.note(Call::SharedGet);
        let data = self.0.data.borrow();
        Ok(data
            .get(key)
            .map_or((Vec::new(), Version::ABSENT), |(value, cas)| {
                (value.clone(), Version::of(*cas))
            }))
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        self.note(Call::SharedSet);
        let version = self.0.versions.get() + 1;
        let mut data = self.0.data.borrow_mut();
        match data.get_mut(key) {
            Some((_, cas)) if *cas != seen.cas() => {
                self.0.predictor.conflicted();
                return Ok(Swap::Conflict);
            }
            Some((known, cas)) => {
                known.clear();
                known.extend_from_slice(value);
                *cas = version;
            }
            None => {
                data.insert(key.to_vec(), (value.to_vec(), version));
            }
        }
        self.0.versions.set(version);
        drop(data);
        self.0.predictor.stored(self);
        Ok(Swap::Done)
    }

    fn predicted(&self) -> Option<Version> {
        self.0.predictor.version()
    }
}

/// There is no other worker, so any key will do.
impl VersionProbe for Host {
    fn write(&self, _: ProbeKey) -> Option<u32> {
        self.0.versions.set(self.0.versions.get() + 1);
        Some(self.0.versions.get())
    }
}

/// A queue that is never read.
impl SharedQueue for Host {
    fn register(&self, _: &[u8]) -> Result<QueueToken, Fault> {
        self.note(Call::Queue);
        Ok(QueueToken(1))
    }

    fn enqueue(&self, _: QueueToken, _: &[u8]) -> Result<(), Fault> {
        self.note(Call::Queue);
        Ok(())
    }

    fn dequeue(&self, _: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        self.note(Call::Queue);
        Ok(None)
    }
}

impl Clock for Host {
    fn now(&self) -> Timestamp {
        self.note(Call::Clock);
        self.time()
    }
}

impl EngineCalls for Host {
    fn call(&self, _: (u32, Option<u32>), _: &str, _: &[u8], _: Span) -> Option<CallToken> {
        None
    }
}

impl Uptime for Host {
    fn uptime(&self) -> Span {
        self.note(Call::Uptime);
        self.time().since(Timestamp::from_nanos(0))
    }
}

impl RequestHead for Host {
    fn request_headers(&self) -> Headers {
        self.note(Call::RequestHeaders);
        Headers::new(self.0.head.borrow().to_vec())
    }
}

impl RequestBody for Host {
    fn request_body(&self, _: usize, _: usize) -> Vec<u8> {
        self.note(Call::RequestBody);
        Vec::new()
    }

    fn request_bytes(&self) -> Option<u64> {
        self.note(Call::Property);
        None
    }
}

impl Properties for Host {
    fn property(&self, _: Property) -> Option<Vec<u8>> {
        self.note(Call::Property);
        None
    }
}

/// A response with the status 200 and nothing else.
impl ResponseHead for Host {
    fn response_headers(&self) -> Headers {
        self.note(Call::ResponseHeader);
        Headers::new(Headers::encode(&[(":status", b"200")]))
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.note(Call::ResponseHeader);
        (name == ":status").then(|| b"200".to_vec())
    }

    fn set_response_header(&self, _: &str, _: &str) {
        self.note(Call::SetHeader);
    }

    fn remove_response_header(&self, _: &str) {
        self.note(Call::RemoveHeader);
    }

    fn response_trailer(&self, _: &str) -> Option<Vec<u8>> {
        self.note(Call::ResponseHeader);
        None
    }
}

impl StreamControl for Host {
    fn reply(&self, _: &LocalReply) {
        self.note(Call::Reply);
    }

    fn set_filter_state(&self, _: &str, _: &str) {
        self.note(Call::FilterState);
    }

    fn response_code_details(&self) -> Option<Vec<u8>> {
        self.note(Call::Property);
        Some(b"via_upstream".to_vec())
    }
}

impl Meter for Host {
    fn add(&self, _: MetricId, _: u64) {
        self.note(Call::Counter);
    }

    fn adjust(&self, _: MetricId, _: i64) {
        self.note(Call::Counter);
    }

    fn set(&self, _: MetricId, _: u64) {
        self.note(Call::Counter);
    }

    fn record(&self, _: MetricId, _: u64) {
        self.note(Call::Counter);
    }
}
