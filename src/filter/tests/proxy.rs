//! The fake proxy with a filter in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::filter::runtime::Runtime;
use crate::filter::stream::{Flow, Stream};
use crate::host::fake::FakeProxy;
use crate::host::headers::Headers;
use crate::host::stream::Uptime as _;
use crate::payload::memory::Budget;
use crate::policy::Policy;
use crate::policy::document::from_yaml;
use crate::queue::membership::RootId;
use crate::queue::stream::StreamId;
use crate::queue::worker::Worker;

pub(super) type Pairs<'a> = &'a [(&'a str, &'a [u8])];

type SharedWorker = Rc<RefCell<Worker<Proxy>>>;

pub(super) type Proxy = FakeProxy<Vm>;

/// State that all roots and streams of one VM share.
#[derive(Clone, Default)]
pub(super) struct Vm {
    /// The worker that grants slots, once a policy has pools.
    pub(super) worker: Rc<RefCell<Option<SharedWorker>>>,
    /// The memory for bodies that are inspected.
    pub(super) bodies: Budget,
    /// The number of the last stream.
    streams: Rc<Cell<u32>>,
}

impl Proxy {
    /// Takes the line for the access log, without the policy and the revision that each line has.
    pub(super) fn take_line(&self) -> Option<String> {
        let line = self.filter_state.take()?;
        let (before, rest) = line.split_once(" policy=").unwrap();
        let (_, revision) = rest.split_once(" revision=").unwrap();
        Some(match revision.split_once(' ') {
            Some((_, after)) => format!("{before} {after}"),
            None => before.to_owned(),
        })
    }

    pub(super) fn runtime(&self, policy: &str) -> Rc<Runtime<Self>> {
        let policy = Policy::compile(&from_yaml(policy).unwrap()).unwrap();
        let mut runtime = Runtime::start(
            policy,
            self.clone(),
            &[1; 16],
            &self.vm.bodies,
            |kind, name: &str| self.define_metric(kind, name),
        )
        .unwrap();
        if runtime.has_pools() {
            let mut worker = self.vm.worker.borrow_mut();
            let worker = worker.get_or_insert_with(|| {
                Rc::new(RefCell::new(Worker::open(self.clone(), &[1; 16]).unwrap()))
            });
            runtime.join(Rc::clone(worker), RootId(1), self.uptime());
        }
        if runtime.is_shared() {
            runtime.share(RootId(1), None);
        }
        runtime.export(RootId(1));
        Rc::new(runtime)
    }

    /// Sends a request head. Returns the stream and its flow.
    pub(super) fn send(
        &self,
        runtime: &Rc<Runtime<Self>>,
        pairs: &[(&str, &[u8])],
    ) -> (Stream<Proxy>, Flow) {
        self.request.replace(Headers::encode(pairs));
        self.vm.streams.set(self.vm.streams.get().saturating_add(1));
        let mut stream = Stream::new(Rc::clone(runtime), StreamId(self.vm.streams.get()));
        let flow = stream.on_request_headers(self, false);
        (stream, flow)
    }

    pub(super) fn get(
        &self,
        runtime: &Rc<Runtime<Self>>,
        path: &str,
        key: &str,
    ) -> (Stream<Proxy>, Flow) {
        self.send(
            runtime,
            &[
                (":method", b"GET"),
                (":path", path.as_bytes()),
                ("x-api-key", key.as_bytes()),
            ],
        )
    }

    /// Lets the upstream answer. Returns the response headers as the client gets them.
    pub(super) fn answer(
        &self,
        stream: &mut Stream<Proxy>,
        headers: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        self.response.replace(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        );
        stream.on_response_headers(self);
        self.response.take()
    }

    /// The number of refunds of a limit.
    pub(super) fn refunded(&self, limit: &str, why: &str) -> u64 {
        self.count(&format!(
            "policy=.=demo;.;limit=.={limit};.;reason=.={why};.;sluicegate_refunds_total"
        ))
    }

    /// The units of `reads` that acme has left, found by taking them.
    pub(super) fn reads_left(&self, runtime: &Rc<Runtime<Self>>) -> usize {
        (0..100)
            .take_while(|_| self.get(runtime, "/v2/a", "demo-acme-1").1 == Flow::Continue)
            .count()
    }
}
