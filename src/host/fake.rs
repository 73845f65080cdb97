//! Hosts for tests.
//!
//! * [`FakeProxy`] is one proxy with one thread: it has all ports, counts the calls, and fails on
//!   demand. [`FakeData`] is its shared data, which the tests of store and queue use by themselves.
//! * [`world::World`] is one proxy with several threads, interleaved by a seed.
//!
//! Two hosts stay apart from these. `benches/micro/host.rs` does as little as it can, because its
//! instructions are part of the measurement. `cli/explain/host.rs` is part of the product: it
//! answers from the command line's arguments.

mod map;
pub(crate) mod message;
pub(crate) mod predicting;
pub(crate) mod random;
pub(crate) mod seeds;
mod usage;
pub(crate) mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use self::map::{QueueMap, SharedMap};
use self::predicting::Overwrite;
use super::fault::Fault;
use super::headers::Headers;
use super::queue::{QueueToken, SharedQueue};
use super::shared::{SharedData, Swap, Version};
use super::stream::{
    CallToken, Clock, EngineCalls, LocalReply, Meter, MetricId, MetricKind, Properties,
    RequestBody, RequestHead, ResponseHead, StreamControl, Uptime, Way,
};
use crate::base::property::Property;
use crate::base::time::{Span, Timestamp};

/// The shared data and the queues of one proxy; clones are the same. No message wakes a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeData {
    pub(crate) map: Rc<RefCell<SharedMap>>,
    queues: Rc<RefCell<QueueMap>>,
    /// The answer to every read, if it is set.
    pub(crate) fault: Rc<Cell<Option<Fault>>>,
    /// The answer to every swap, if it is set.
    pub(crate) swap: Rc<Cell<Option<Result<Swap, Fault>>>>,
    /// The value of [`Self::fault`] after the next swap that `swap` answers.
    pub(crate) fault_after_swap: Rc<Cell<Option<Fault>>>,
    /// How often a value was read.
    pub(crate) reads: Rc<Cell<u32>>,
    /// The step of another worker before the next swap.
    pub(crate) meanwhile: usage::Meanwhile,
}

impl FakeData {
    /// The same proxy for one more worker, whose reads are counted by themselves.
    pub(crate) fn for_another_worker(&self) -> Self {
        Self {
            reads: Rc::default(),
            ..self.clone()
        }
    }
}

impl SharedData for FakeData {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        self.reads.set(self.reads.get().saturating_add(1));
        match self.fault.get() {
            Some(fault) => Err(fault),
            None => Ok(self.map.borrow().read(key)),
        }
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        self.meanwhile.happen();
        if let Some(swap) = self.swap.get() {
            self.fault
                .set(self.fault_after_swap.take().or(self.fault.get()));
            return swap;
        }
        Ok(self.map.borrow_mut().swap(key, value, seen))
    }
}

impl Overwrite for FakeData {
    fn overwrite(&self, key: &[u8], value: &[u8]) {
        self.map.borrow_mut().overwrite(key, value);
    }
}

impl SharedQueue for FakeData {
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault> {
        Ok(self.queues.borrow_mut().register(name))
    }

    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        self.queues.borrow_mut().enqueue(queue, message)
    }

    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.queues.borrow_mut().dequeue(queue))
    }
}

/// A clock that always shows the same time.
pub(crate) struct FixedClock(pub(crate) Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A call to the engine.
#[derive(Clone, Debug)]
pub(crate) struct FakeCall {
    pub(crate) cluster: String,
    pub(crate) body: Vec<u8>,
}

/// The time at which a [`FakeProxy`] starts.
const START: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// One proxy: its shared data, clock and metrics, and the message at hand. Clones are the same
/// proxy. `V` is the content of the VM that runs in it.
#[derive(Clone)]
pub(crate) struct FakeProxy<V> {
    pub(crate) data: FakeData,
    /// The clock, in nanoseconds.
    pub(crate) now: Rc<Cell<u64>>,
    /// Nanoseconds that pass whenever the clock is read.
    pub(crate) tick: Rc<Cell<u64>>,
    names: Rc<RefCell<Vec<String>>>,
    counted: Rc<RefCell<BTreeMap<String, u64>>>,
    pub(crate) request: Rc<RefCell<Vec<u8>>>,
    /// Bytes of the request that have arrived, with its head.
    pub(crate) received: Rc<Cell<u64>>,
    /// The buffer of the request's body.
    pub(crate) body: Rc<RefCell<Vec<u8>>>,
    /// A value of several lines is as many headers of its name.
    pub(crate) response: Rc<RefCell<BTreeMap<String, String>>>,
    pub(crate) properties: Rc<RefCell<BTreeMap<Property, Vec<u8>>>>,
    /// Every property that was asked for, in order.
    pub(crate) asked: Rc<RefCell<Vec<Property>>>,
    pub(crate) details: Rc<RefCell<Option<&'static str>>>,
    pub(crate) replies: Rc<RefCell<Vec<LocalReply>>>,
    pub(crate) filter_state: Rc<RefCell<Option<String>>>,
    pub(crate) log_parts: Rc<RefCell<BTreeMap<String, String>>>,
    /// All calls to the engine, in order. The token of the first is 1.
    pub(crate) calls: Rc<RefCell<Vec<FakeCall>>>,
    /// All calls with usage, in order.
    pub(crate) usage_calls: Rc<RefCell<Vec<(Way, FakeCall)>>>,
    /// Whether there is no cluster for usage.
    pub(crate) lacks_cluster: Rc<Cell<bool>>,
    pub(crate) vm: V,
}

impl<V: Default> FakeProxy<V> {
    pub(crate) fn new() -> Self {
        Self {
            data: FakeData::default(),
            now: Rc::new(Cell::new(START.nanos())),
            tick: Rc::default(),
            names: Rc::default(),
            counted: Rc::default(),
            request: Rc::default(),
            received: Rc::default(),
            body: Rc::default(),
            response: Rc::default(),
            properties: Rc::default(),
            asked: Rc::default(),
            details: Rc::default(),
            replies: Rc::default(),
            filter_state: Rc::default(),
            log_parts: Rc::default(),
            calls: Rc::default(),
            usage_calls: Rc::default(),
            lacks_cluster: Rc::default(),
            vm: V::default(),
        }
    }
}

impl<V> FakeProxy<V> {
    /// The number of the metric called `name`.
    pub(crate) fn define_metric(&self, _: MetricKind, name: &str) -> MetricId {
        let mut names = self.names.borrow_mut();
        let known = names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len().saturating_sub(1)
        });
        MetricId(u32::try_from(index).unwrap())
    }

    /// The value of the metric called `name`; 0 if it was never written.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counted.borrow().get(name).copied().unwrap_or_default()
    }

    /// From now on the proxy has this property.
    pub(crate) fn know(&self, property: Property, value: Vec<u8>) {
        self.properties.borrow_mut().insert(property, value);
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.now.set(
            Timestamp::from_nanos(self.now.get())
                .after(Span::from_seconds(seconds))
                .nanos(),
        );
    }

    fn change_metric(&self, id: MetricId, change: impl FnOnce(u64) -> u64) {
        let name = self.names.borrow()[id.0 as usize].clone();
        let mut counted = self.counted.borrow_mut();
        let count = counted.entry(name).or_default();
        *count = change(*count);
    }
}

impl<V> SharedData for FakeProxy<V> {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        self.data.read(key)
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        self.data.swap(key, value, seen)
    }
}

impl<V> SharedQueue for FakeProxy<V> {
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

impl<V> Clock for FakeProxy<V> {
    fn now(&self) -> Timestamp {
        self.now.set(self.now.get().saturating_add(self.tick.get()));
        Timestamp::from_nanos(self.now.get())
    }
}

impl<V> Uptime for FakeProxy<V> {
    fn uptime(&self) -> Span {
        Timestamp::from_nanos(self.now.get()).since(START)
    }
}

impl<V> EngineCalls for FakeProxy<V> {
    fn call(
        &self,
        _: (u32, Option<u32>),
        cluster: &str,
        body: &[u8],
        _: Span,
    ) -> Option<CallToken> {
        let mut calls = self.calls.borrow_mut();
        calls.push(FakeCall {
            cluster: cluster.to_owned(),
            body: body.to_vec(),
        });
        u32::try_from(calls.len()).ok().map(CallToken)
    }
}

impl<V> RequestHead for FakeProxy<V> {
    fn request_headers(&self) -> Headers {
        Headers::new(self.request.borrow().clone())
    }
}

impl<V> RequestBody for FakeProxy<V> {
    fn request_body(&self, start: usize, max: usize) -> Vec<u8> {
        self.body
            .borrow()
            .iter()
            .skip(start)
            .take(max)
            .copied()
            .collect()
    }

    fn request_bytes(&self) -> Option<u64> {
        Some(self.received.get())
    }
}

impl<V> Properties for FakeProxy<V> {
    fn property(&self, which: Property) -> Option<Vec<u8>> {
        self.asked.borrow_mut().push(which);
        self.properties.borrow().get(&which).cloned()
    }
}

impl<V> ResponseHead for FakeProxy<V> {
    fn response_headers(&self) -> Headers {
        let response = self.response.borrow();
        let mut lines: Vec<(&str, &[u8])> = Vec::new();
        for (name, value) in response.iter() {
            lines.extend(value.split('\n').map(|line| (&**name, line.as_bytes())));
        }
        Headers::new(Headers::encode(&lines))
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.response_headers().first(name).map(<[u8]>::to_vec)
    }

    fn set_response_header(&self, name: &str, value: &str) {
        self.response
            .borrow_mut()
            .insert(name.to_owned(), value.to_owned());
    }

    fn remove_response_header(&self, name: &str) {
        self.response.borrow_mut().remove(name);
    }

    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        self.response_header(name)
    }
}

impl<V> StreamControl for FakeProxy<V> {
    fn reply(&self, reply: &LocalReply) {
        self.replies.borrow_mut().push(reply.clone());
    }

    fn set_filter_state(&self, key: &str, value: &str) {
        if let Some(part) = key.strip_prefix("sluicegate.") {
            let mut parts = self.log_parts.borrow_mut();
            parts.insert(part.to_owned(), value.to_owned());
            return;
        }
        assert_eq!(key, "sluicegate");
        self.filter_state.replace(Some(value.to_owned()));
    }

    fn response_code_details(&self) -> Option<Vec<u8>> {
        self.details
            .borrow()
            .map(|details| details.as_bytes().to_vec())
    }
}

impl<V> Meter for FakeProxy<V> {
    fn add(&self, counter: MetricId, amount: u64) {
        self.change_metric(counter, |count| count.saturating_add(amount));
    }

    fn adjust(&self, gauge: MetricId, by: i64) {
        self.change_metric(gauge, |count| count.checked_add_signed(by).unwrap());
    }

    fn set(&self, gauge: MetricId, value: u64) {
        self.change_metric(gauge, |_| value);
    }

    fn record(&self, histogram: MetricId, _: u64) {
        self.add(histogram, 1);
    }
}
