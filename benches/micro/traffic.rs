//! The presets, and typical requests for each.

use std::cell::RefCell;
use std::rc::Rc;

use sluicegate::base::time::{Span, Timestamp};
use sluicegate::filter::runtime::Runtime;
use sluicegate::filter::stream::{Flow, Stream};
use sluicegate::host::headers::Headers;
use sluicegate::host::stream::MetricId;
use sluicegate::payload::memory::Budget;
use sluicegate::policy::Policy;
use sluicegate::policy::document::from_yaml;
use sluicegate::queue::membership::RootId;
use sluicegate::queue::stream::StreamId;
use sluicegate::queue::worker::Worker;

use super::host::Host;

#[path = "../shared/traffic.rs"]
mod shared;

use shared::numbered;
pub(crate) use shared::{CALLERS, TRAFFIC, Traffic};

/// 2023-11-14T22:13:20Z.
pub(crate) const START: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// The requests of each caller before the measurement, after which records have their final size.
const WARM_UP: usize = 21;

impl Traffic {
    /// The preset with a directory of a thousand callers.
    pub(crate) fn policy(&self) -> Policy {
        compile(&self.text())
    }

    /// The head of a request of the caller with this number, as Envoy passes it on.
    pub(crate) fn head(&self, caller: usize) -> Vec<u8> {
        let credentials = numbered(self.headers, caller);
        let mut pairs: Vec<(&str, &[u8])> = vec![
            (":authority", b"127.0.0.1:8080"),
            (":path", self.path.as_bytes()),
            (":method", b"GET"),
            (":scheme", b"http"),
            ("user-agent", b"curl/8.5.0"),
            ("accept", b"*/*"),
            ("x-forwarded-proto", b"http"),
            ("x-request-id", b"5b9b3c1e-8a64-4b0e-9b57-0f7a3a3c9d11"),
        ];
        let lines = credentials
            .split("\r\n")
            .map(|line| line.split_once(": ").unwrap());
        pairs.extend(lines.map(|(name, value)| (name, value.as_bytes())));
        Headers::encode(&pairs)
    }
}

pub(crate) fn compile(policy: &str) -> Policy {
    Policy::compile(&from_yaml(policy).unwrap()).unwrap()
}

/// A running preset, and the heads of all its requests.
pub(crate) struct Gate {
    pub(crate) host: Host,
    runtime: Rc<Runtime<Host>>,
    heads: Vec<Rc<[u8]>>,
    /// The time between two requests.
    step: Span,
    streams: u32,
}

impl Gate {
    pub(crate) fn open(traffic: &Traffic) -> Self {
        let host = Host::at(START);
        let mut counters = 0;
        let define = |_, _: &str| {
            counters += 1;
            MetricId(counters)
        };
        let mut runtime = Runtime::start(
            traffic.policy(),
            host.clone(),
            &[1; 16],
            &Budget::default(),
            define,
        )
        .unwrap();
        if runtime.has_pools() {
            let worker = Worker::open(host.clone(), &[1; 16]).unwrap();
            runtime.join(
                Rc::new(RefCell::new(worker)),
                RootId(1),
                host.time().since(Timestamp::from_nanos(0)),
            );
        }
        let heads = (0..CALLERS)
            .map(|caller| traffic.head(caller).into())
            .collect();
        let step = Span::from_nanos(traffic.pause * 1_000_000 / CALLERS as u64);
        Self {
            host,
            runtime: Rc::new(runtime),
            heads,
            step,
            streams: 0,
        }
    }

    /// A gate at which all callers have been active for a while.
    pub(crate) fn warmed(traffic: &Traffic) -> Self {
        let mut gate = Self::open(traffic);
        for _ in 0..WARM_UP * CALLERS {
            gate.admitted();
        }
        gate
    }

    /// A gate at which the first caller has used up its limit, with the streams that hold its
    /// slots.
    pub(crate) fn exhausted(traffic: &Traffic) -> (Self, Vec<Stream<Host>>) {
        let mut gate = Self::open(traffic);
        let mut streams = Vec::new();
        loop {
            let (stream, flow) = gate.send(0);
            streams.push(stream);
            if flow == Flow::Stop {
                return (gate, streams);
            }
        }
    }

    fn send(&mut self, caller: usize) -> (Stream<Host>, Flow) {
        self.streams += 1;
        self.host.take_head(&self.heads[caller]);
        let mut stream = Stream::new(Rc::clone(&self.runtime), StreamId(self.streams));
        let flow = stream.on_request_headers(&self.host, true);
        (stream, flow)
    }

    /// A complete stream: its request, the response with status 200, and the end.
    fn stream(&mut self, caller: usize) -> Flow {
        let (mut stream, flow) = self.send(caller);
        stream.on_response_headers(&self.host);
        stream.on_end(&self.host);
        flow
    }

    /// The next caller's request, which is admitted.
    pub(crate) fn admitted(&mut self) {
        self.host.wait(self.step);
        let flow = self.stream(self.streams as usize % CALLERS);
        assert_eq!(flow, Flow::Continue);
    }

    /// A request of the first caller, which is refused.
    pub(crate) fn refused(&mut self) {
        assert_eq!(self.stream(0), Flow::Stop);
    }
}
