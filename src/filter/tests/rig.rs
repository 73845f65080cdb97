//! A proxy with everything that can refuse a request after its limit has admitted it.

use std::collections::BTreeMap;

use super::*;
use crate::host::stream::LocalReply;
use crate::queue::stream::Answer;
use crate::queue::worker::TICK;

/// Each rule, with five units.
pub(super) const RULES: [&str; 3] = [
    "bucket: { burst: 5, refill: 1/h }",
    "rolling: { quota: 5, window: 1h }",
    "calendar: { quota: 5, window: 1d, zone: Europe/Rome }",
];

pub(super) const RETRY_AFTER: &str = "retry-after";

pub(super) fn policy(limit: &str, replies: &str) -> String {
    format!(
        r#"
version: 1
name: demo
callers:
  credentials: [{{ name: key, header: x-key }}]
  unknown: anonymous
  absent: anonymous
  attributes: {{ user: [{{ header: x-user, trusted: true }}] }}
limits:
  - {{ name: one, for: {{ routes: ["/a/**"] }}, per: [], charge: success, {limit} }}
concurrency: [{{ name: pool, for: {{ routes: ["/a/pool", "/slot"] }}, per: [], slots: 1,
                 queue: {{ length: 1, timeout: 1s }} }}]
seats: [{{ name: seat, for: {{ routes: ["/a/seat", "/own"] }}, per: [], holder: user, seats: 1,
           idle: 1d }}]
payloads:
  - {{ name: held, for: {{ routes: ["/held"] }}, json: {{ depth: 2 }} }}
  - {{ name: body, bytes: 9B }}
replies: {{ {replies} }}
"#
    )
}

/// The fields of a response, in lower case.
pub(super) type Sent = BTreeMap<String, String>;

/// A proxy whose one slot and one seat are taken.
pub(super) struct Rig {
    pub(super) proxy: Proxy,
    pub(super) policy: Rc<Runtime<Proxy>>,
    pub(super) slot: Stream<Proxy>,
}

impl Rig {
    pub(super) fn new(policy: &str) -> Self {
        let proxy = Proxy::new();
        let policy = proxy.runtime(policy);
        let (slot, flow) = proxy.send(&policy, &[(":method", b"GET"), (":path", b"/slot")]);
        assert_eq!(flow, Flow::Continue);
        Self {
            proxy,
            policy,
            slot,
        }
    }

    pub(super) fn send(&self, path: &str, more: Pairs<'_>) -> (Stream<Proxy>, Flow) {
        let head: [(&str, &[u8]); 2] = [(":method", b"POST"), (":path", path.as_bytes())];
        self.proxy.send(&self.policy, &[&head, more].concat())
    }

    pub(super) fn reply(&self) -> (u32, Sent, LocalReply) {
        let reply = self.proxy.replies.borrow_mut().pop().unwrap();
        let headers = reply
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()));
        (reply.status, headers.collect(), reply)
    }

    /// The fields of the upstream's response with this status.
    pub(super) fn upstream(&self, more: Pairs<'_>, status: &str, cost: &str) -> Sent {
        let (mut stream, flow) = self.send("/a/x", more);
        if flow == Flow::Stop {
            return self.reply().1;
        }
        stream.on_request_body(&self.proxy, 0, true, &mut super::slice());
        let sent = self
            .proxy
            .answer(&mut stream, &[(":status", status), ("x-cost", cost)]);
        stream.on_end(&self.proxy);
        sent
    }

    /// Lets something other than a limit refuse a request. Returns the status and the fields.
    pub(super) fn refused(&mut self, how: Refusal) -> (u32, Sent) {
        self.proxy.body.take();
        match how {
            Refusal::QueueFull => {
                let (mut waiting, flow) = self.send("/slot", &[]);
                assert_eq!(flow, Flow::Wait);
                let _ = self.send("/a/pool", &[]);
                waiting.on_end(&self.proxy);
            }
            Refusal::QueueTimeout => {
                let (mut stream, flow) = self.send("/a/pool", &[]);
                if flow == Flow::Wait {
                    let worker = self.proxy.vm.worker.borrow().clone().unwrap();
                    let mut answers = Vec::new();
                    while answers.is_empty() {
                        self.proxy
                            .now
                            .set(self.proxy.now.get().saturating_add(TICK.nanos()));
                        let uptime = crate::host::stream::Uptime::uptime(&self.proxy);
                        answers = worker
                            .borrow_mut()
                            .on_tick(crate::queue::membership::RootId(1), uptime);
                    }
                    assert!(matches!(answers[0].answer, Answer::Refuse(_)));
                    assert!(!stream.on_queue_answer(&self.proxy, answers[0].answer));
                }
            }
            Refusal::Seat => {
                let (mut own, _) = self.send("/own", &[("x-user", b"owner")]);
                own.on_end(&self.proxy);
                let _ = self.send("/a/seat", &[("x-user", b"other")]);
            }
            Refusal::Head => drop(self.send("/a/x", &[("content-length", b"10")])),
            Refusal::Body => {
                let (mut stream, _) = self.send("/a/x", &[]);
                stream.on_request_body(&self.proxy, 10, false, &mut super::slice());
            }
        }
        let (status, sent, _) = self.reply();
        (status, sent)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Refusal {
    QueueFull,
    QueueTimeout,
    Seat,
    Head,
    Body,
}

impl Refusal {
    pub(super) const ALL: [Self; 5] = [
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Seat,
        Self::Head,
        Self::Body,
    ];

    pub(super) const fn status(self) -> u32 {
        match self {
            Self::QueueFull | Self::QueueTimeout => 429,
            Self::Seat => 423,
            Self::Head | Self::Body => 413,
        }
    }
}
