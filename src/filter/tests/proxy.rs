//! A fake proxy: shared data, a clock to set, and the message at hand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::property::Property;
use crate::base::time::{Span, Timestamp};
use crate::filter::runtime::Runtime;
use crate::filter::stream::{Flow, Stream};
use crate::host::fake::FakeData;
use crate::host::fault::Fault;
use crate::host::headers::Headers;
use crate::host::queue::{QueueToken, SharedQueue};
use crate::host::shared::{SharedData, Swap, Version};
use crate::host::stream::{
    Clock, LocalReply, Meter, MetricId, MetricKind, Properties, RequestBody, RequestHead, ResponseHead, StreamControl,
    Uptime,
};
use crate::payload::memory::Budget;
use crate::policy::Policy;
use crate::policy::document::from_yaml;
use crate::queue::membership::RootId;
use crate::queue::stream::StreamId;
use crate::queue::worker::Worker;

pub(super) type Pairs<'a> = &'a [(&'a str, &'a [u8])];

type SharedWorker = Rc<RefCell<Worker<Proxy>>>;

/// One proxy: its shared data, clock and counters, and the message at hand.
#[derive(Clone, Default)]
pub(super) struct Proxy {
    pub(super) data: FakeData,
    pub(super) now: Rc<Cell<u64>>,
    /// Nanoseconds that pass at each reading of the clock.
    pub(super) tick: Rc<Cell<u64>>,
    pub(super) names: Rc<RefCell<Vec<String>>>,
    pub(super) counted: Rc<RefCell<BTreeMap<String, u64>>>,
    pub(super) request: Rc<RefCell<Vec<u8>>>,
    /// The worker that grants slots, once a policy has pools.
    pub(super) worker: Rc<RefCell<Option<SharedWorker>>>,
    /// The number of the last stream.
    pub(super) streams: Rc<Cell<u32>>,
    /// Bytes of the request that have come, including its head.
    pub(super) received: Rc<Cell<u64>>,
    /// The memory for bodies that are inspected.
    pub(super) bodies: Budget,
    /// The content of the host's buffer for the request body.
    pub(super) body: Rc<RefCell<Vec<u8>>>,
    /// A value of several lines is as many headers of that name.
    pub(super) response: Rc<RefCell<BTreeMap<String, String>>>,
    pub(super) properties: Rc<RefCell<BTreeMap<Property, Vec<u8>>>>,
    /// Every property that was asked for, in order.
    pub(super) asked: Rc<RefCell<Vec<Property>>>,
    pub(super) details: Rc<RefCell<Option<&'static str>>>,
    pub(super) replies: Rc<RefCell<Vec<LocalReply>>>,
    pub(super) filter_state: Rc<RefCell<Option<String>>>,
}

impl SharedData for Proxy {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        self.data.read(key)
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        self.data.swap(key, value, seen)
    }
}

impl Clock for Proxy {
    fn now(&self) -> Timestamp {
        self.now.set(self.now.get().saturating_add(self.tick.get()));
        Timestamp::from_nanos(self.now.get())
    }
}

impl Uptime for Proxy {
    fn uptime(&self) -> Span {
        Timestamp::from_nanos(self.now.get()).since(Timestamp::from_nanos(1_700_000_000_000_000_000))
    }
}

impl SharedQueue for Proxy {
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault> {
        self.data.register(name)
    }

    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        self.data.enqueue(queue, message)
    }

    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        self.data.dequeue(queue)
    }
}

impl RequestHead for Proxy {
    fn request_headers(&self) -> Headers {
        Headers::new(self.request.borrow().clone())
    }
}

impl RequestBody for Proxy {
    fn request_body(&self, start: usize, max: usize) -> Vec<u8> {
        self.body.borrow().iter().skip(start).take(max).copied().collect()
    }

    fn request_bytes(&self) -> Option<u64> {
        Some(self.received.get())
    }
}

impl Properties for Proxy {
    fn property(&self, which: Property) -> Option<Vec<u8>> {
        self.asked.borrow_mut().push(which);
        self.properties.borrow().get(&which).cloned()
    }
}

impl ResponseHead for Proxy {
    fn response_headers(&self) -> Headers {
        let response = self.response.borrow();
        let lines =
            response.iter().flat_map(|(name, value)| value.split('\n').map(move |line| (&**name, line.as_bytes())));
        Headers::new(Headers::encode(&lines.collect::<Vec<_>>()))
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.response_headers().first(name).map(<[u8]>::to_vec)
    }

    fn set_response_header(&self, name: &str, value: &str) {
        self.response.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    fn remove_response_header(&self, name: &str) {
        self.response.borrow_mut().remove(name);
    }

    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        self.response_header(name)
    }
}

impl StreamControl for Proxy {
    fn reply(&self, reply: &LocalReply) {
        self.replies.borrow_mut().push(reply.clone());
    }

    fn set_filter_state(&self, key: &str, value: &str) {
        assert_eq!(key, "sluicegate");
        self.filter_state.replace(Some(value.to_owned()));
    }

    fn response_code_details(&self) -> Option<Vec<u8>> {
        self.details.borrow().map(|details| details.as_bytes().to_vec())
    }
}

impl Meter for Proxy {
    fn add(&self, counter: MetricId, amount: u64) {
        let name = self.names.borrow()[counter.0 as usize].clone();
        let mut counted = self.counted.borrow_mut();
        let count = counted.entry(name).or_default();
        *count = count.saturating_add(amount);
    }

    fn adjust(&self, gauge: MetricId, by: i64) {
        let name = self.names.borrow()[gauge.0 as usize].clone();
        let mut counted = self.counted.borrow_mut();
        let count = counted.entry(name).or_default();
        *count = count.checked_add_signed(by).unwrap();
    }

    fn record(&self, histogram: MetricId, _: u64) {
        self.add(histogram, 1);
    }
}

impl Proxy {
    pub(super) fn new() -> Self {
        let proxy = Self::default();
        proxy.now.set(1_700_000_000_000_000_000);
        proxy
    }

    pub(super) fn runtime(&self, policy: &str) -> Rc<Runtime<Self>> {
        let policy = Policy::compile(&from_yaml(policy).unwrap()).unwrap();
        let define = |_: MetricKind, name: &str| {
            let mut names = self.names.borrow_mut();
            let known = names.iter().position(|known| known == name);
            let index = known.unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len().saturating_sub(1)
            });
            MetricId(u32::try_from(index).unwrap())
        };
        let mut runtime = Runtime::start(policy, self.clone(), &[1; 16], self.bodies.clone(), define).unwrap();
        if runtime.has_pools() {
            let worker = Rc::clone(
                self.worker
                    .borrow_mut()
                    .get_or_insert_with(|| Rc::new(RefCell::new(Worker::open(self.clone(), &[1; 16]).unwrap()))),
            );
            runtime.join(worker, RootId(1), self.uptime());
        }
        Rc::new(runtime)
    }

    /// Sets a property of the proxy.
    pub(super) fn know(&self, property: Property, value: Vec<u8>) {
        self.properties.borrow_mut().insert(property, value);
    }

    pub(super) fn wait(&self, seconds: u64) {
        self.now.set(Timestamp::from_nanos(self.now.get()).after(Span::from_seconds(seconds)).nanos());
    }

    /// Sends a request head. Returns the stream and what it did.
    pub(super) fn send(&self, runtime: &Rc<Runtime<Self>>, pairs: &[(&str, &[u8])]) -> (Stream<Self>, Flow) {
        self.request.replace(Headers::encode(pairs));
        self.streams.set(self.streams.get().saturating_add(1));
        let mut stream = Stream::new(Rc::clone(runtime), StreamId(self.streams.get()));
        let flow = stream.on_request_headers(self, false);
        (stream, flow)
    }

    pub(super) fn get(&self, runtime: &Rc<Runtime<Self>>, path: &str, key: &str) -> (Stream<Self>, Flow) {
        self.send(runtime, &[(":method", b"GET"), (":path", path.as_bytes()), ("x-api-key", key.as_bytes())])
    }

    /// Lets the upstream answer. Returns the response headers as the client gets them.
    pub(super) fn answer(&self, stream: &mut Stream<Self>, headers: &[(&str, &str)]) -> BTreeMap<String, String> {
        self.response.replace(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        stream.on_response_headers(self);
        self.response.take()
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        self.counted.borrow().get(name).copied().unwrap_or_default()
    }

    /// The number of refunds of a limit.
    pub(super) fn refunded(&self, limit: &str, why: &str) -> u64 {
        self.count(&format!("policy.=.demo;.;limit.=.{limit};.;reason.=.{why};.;sluicegate_refunds_total"))
    }

    /// The units of `reads` that acme has left, found by taking them.
    pub(super) fn reads_left(&self, runtime: &Rc<Runtime<Self>>) -> usize {
        (0..100).take_while(|_| self.get(runtime, "/v2/a", "demo-acme-1").1 == Flow::Continue).count()
    }
}
