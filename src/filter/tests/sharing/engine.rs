//! An engine in memory that speaks to the filter as Redis does, and a proxy that uses it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "test code, on ASCII"
)]

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::proxy::{Pairs, Proxy};
use crate::base::time::{Span, Timestamp};
use crate::filter::runtime::Runtime;
use crate::filter::sharing::CallResult;
use crate::filter::stream::{Flow, Stream};
use crate::fleet::engine::Engine as _;
use crate::fleet::memory::Memory;
use crate::fleet::take::{Answer, CounterName, Numbers, ProxyId, Rest, Take};
use crate::host::stream::CallToken;
use crate::queue::stream::StreamId;

/// A proxy under a policy, its waiting requests, and the engine.
pub(super) struct Fleet {
    pub(super) proxy: Proxy,
    pub(super) runtime: Rc<Runtime<Proxy>>,
    pub(super) engine: Memory,
    /// The calls that have ended.
    ended: usize,
    /// The requests that wait.
    pub(super) waiting: BTreeMap<StreamId, Stream<Proxy>>,
}

impl Fleet {
    pub(super) fn new(limits: &str) -> Self {
        Self::with_engine(limits, "{ redis: sluicegate_engine, proxies: 2 }")
    }

    pub(super) fn with_engine(limits: &str, engine: &str) -> Self {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&format!(
            "version: 1\nname: demo\n\
             callers: {{ attributes: {{ org: [{{ header: x-org, trusted: true }}] }} }}\n\
             access_log: {{ attributes: [org] }}\n\
             limits:\n{limits}\nstore: {{ engine: {engine} }}\n"
        ));
        Self {
            proxy,
            runtime,
            engine: Memory::default(),
            ended: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Sends a request of acme. One that waits is kept.
    pub(super) fn send(&mut self) -> Flow {
        self.send_as("acme", &[])
    }

    pub(super) fn send_as(&mut self, org: &str, more: Pairs<'_>) -> Flow {
        let head: [(&str, &[u8]); 3] = [
            (":method", b"GET"),
            (":path", b"/a"),
            ("x-org", org.as_bytes()),
        ];
        let (stream, flow) = self.proxy.send(&self.runtime, &[&head, more].concat());
        if flow == Flow::Wait || flow == Flow::Hold {
            self.waiting.insert(stream.id(), stream);
        }
        flow
    }

    /// The takes of the calls that have not ended, and whether each call has the script.
    pub(super) fn pending(&self) -> Vec<(bool, Vec<Take>)> {
        let calls = self.proxy.calls.borrow();
        let calls = calls.iter().skip(self.ended);
        calls.map(|call| parse(&call.body)).collect()
    }

    /// Lets the engine answer the next call. Returns the flow of each request that waited for it.
    pub(super) fn answer(&mut self) -> Vec<Flow> {
        let (_, takes) = self.pending().remove(0);
        self.engine.clock = Timestamp::from_nanos(self.proxy.now.get()).micros();
        let mut bytes = String::new();
        for take in &takes {
            bytes.push_str(&reply(&self.engine.take(take).unwrap()));
        }
        bytes.push_str("+OK\r\n");
        self.end(CallResult::Answered(bytes.as_bytes()))
    }

    /// Ends the next call. Returns the flow of each request that waited for it.
    pub(super) fn end(&mut self, result: CallResult<'_>) -> Vec<Flow> {
        self.ended += 1;
        let token = CallToken(u32::try_from(self.ended).unwrap());
        let woken = self.runtime.on_call(&self.proxy, token, result);
        let flows = self.wake(woken);
        self.runtime.end_call();
        flows
    }

    /// Time passes, and the root ticks. Returns the flows of requests.
    pub(super) fn tick(&mut self, millis: u64) -> Vec<Flow> {
        let now = Timestamp::from_nanos(self.proxy.now.get());
        let later = now.after(Span::from_micros(millis.saturating_mul(1_000)));
        self.proxy.now.set(later.nanos());
        let woken = self.runtime.on_share_tick(&self.proxy);
        self.wake(woken)
    }

    fn wake(&mut self, woken: Vec<StreamId>) -> Vec<Flow> {
        let mut flows = Vec::new();
        for id in woken {
            let Some(mut stream) = self.waiting.remove(&id) else {
                continue;
            };
            let flow = stream.on_engine_answer(&self.proxy, &mut super::super::slice());
            flows.push(flow);
            self.waiting.insert(id, stream);
        }
        flows
    }

    pub(super) fn count(&self, labels: &str, name: &str) -> u64 {
        self.proxy
            .count(&format!("policy=.=demo;.;{labels}sluicegate_{name}"))
    }
}

/// The answer to a take as Redis writes it.
fn reply(answer: &Answer) -> String {
    let micros = |span: Span| i64::try_from(span.micros()).unwrap();
    let units = |units: u64| i64::try_from(units).unwrap();
    let numbers = [
        units(answer.granted),
        micros(answer.valid),
        micros(answer.wait),
        micros(answer.again),
        answer.left,
        micros(answer.next),
        micros(answer.reset),
        units(answer.now),
        i64::from(answer.lapsed),
        micros(answer.locked),
    ];
    let numbers = numbers.map(|number| format!(":{number}\r\n"));
    format!("*10\r\n{}", numbers.concat())
}

/// The takes of a call, and whether it has the script.
fn parse(body: &[u8]) -> (bool, Vec<Take>) {
    let text = std::str::from_utf8(body).unwrap();
    let mut rest = text;
    let mut takes = Vec::new();
    let mut has_script = false;
    while let Some((count, after)) = rest
        .strip_prefix('*')
        .and_then(|rest| rest.split_once("\r\n"))
    {
        rest = after;
        let mut words = Vec::new();
        for _ in 0..count.parse::<usize>().unwrap() {
            let (size, after) = rest[1..].split_once("\r\n").unwrap();
            let size: usize = size.parse().unwrap();
            words.push(&after[..size]);
            rest = &after[size + 2..];
        }
        has_script |= words[0] == "EVAL";
        if words[0].starts_with("EVAL") {
            takes.push(take(&words));
        }
    }
    assert_eq!(rest, "", "a call has nothing but commands");
    (has_script, takes)
}

fn take(words: &[&str]) -> Take {
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    let span = |index: usize| Span::from_micros(number(index));
    let at = |index: usize| Timestamp::from_micros(number(index));
    let name = &words[3]["sg1:{".len()..][..32];
    let byte = |index: usize| u8::from_str_radix(&name[index * 2..][..2], 16).unwrap();
    let quota = number(5);
    Take {
        counter: CounterName(std::array::from_fn(byte)),
        numbers: match words[4] {
            "b" => Numbers::Bucket {
                burst: quota,
                fill: span(6),
            },
            "r" => Numbers::Rolling {
                quota,
                window: span(6),
            },
            _ => Numbers::Calendar {
                quota,
                start: at(7),
                end: at(6),
            },
        },
        proxy: ProxyId(u64::from_str_radix(words[8], 16).unwrap()),
        seq: number(9),
        spent: number(10),
        extra: number(11),
        refund: number(12),
        since: number(13),
        rest: match words[14] {
            "k" => Rest::Keep,
            "r" => Rest::Return,
            _ => Rest::Forgotten,
        },
        need: number(15),
        want: number(16),
        lock: span(17),
    }
}
