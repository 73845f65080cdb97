//! Usage over several workers, outages, updates of the policy and VMs that fail.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod counters;

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::filter::announce::announce;
use crate::host::fake::random::Random;
use crate::host::fake::seeds::for_each_seed;
use crate::host::stream::{CallToken, UsageToken, Way};
use crate::policy::Policy;
use crate::policy::document::from_yaml;
use crate::usage::{Series, Table, Tags};

fn policy(usage: &str) -> String {
    format!(
        "
version: 1
name: demo
callers:
  credentials: [{{ name: key, header: x-key }}]
  unknown: anonymous
  absent: anonymous
  attributes: {{ user: [{{ header: x-user, trusted: true }}] }}
limits:
  - {{ name: all, per: [user], bucket: {{ burst: 4, refill: 1/h }} }}
  - {{ name: day, per: [], calendar: {{ quota: 9000, window: 1d }} }}
  - {{ name: trial, per: [user], bucket: {{ burst: 2, refill: 1/h }}, enforcement: shadow }}
payloads: [{{ for: {{ routes: [\"/held\"] }}, bytes: 9B }}]
usage: {usage}
"
    )
}

const EVENTS: &str =
    "{ every: 1s, to: { cloudevents: meter }, tags: { user: user }, series_max: 6 }";

fn tick(proxy: &Proxy, runtime: &Runtime<Proxy>) {
    runtime.on_usage_tick(proxy, &mut |kind, name| proxy.define_metric(kind, name));
}

fn flush(proxy: &Proxy, runtime: &Runtime<Proxy>) {
    runtime.flush_usage(proxy, &mut |kind, name| proxy.define_metric(kind, name));
}

fn send(proxy: &Proxy, runtime: &Rc<Runtime<Proxy>>, path: &str, user: &str) -> Flow {
    let head: [(&str, &[u8]); 3] = [
        (":method", b"GET"),
        (":path", path.as_bytes()),
        ("x-user", user.as_bytes()),
    ];
    let (mut stream, flow) = proxy.send(runtime, &head);
    stream.on_request_body(proxy, 0, true, &mut slice());
    stream.on_end(proxy);
    proxy.replies.borrow_mut().clear();
    flow
}

/// The table in shared data, by limit, status and user; without user what found no place.
fn table(proxy: &Proxy) -> BTreeMap<(String, &'static str, String), u64> {
    let (bytes, _) = proxy.data.map.borrow().read(b"sluicegate.use1.demo");
    let table = Table::decode(&bytes);
    let mut all = BTreeMap::new();
    for (key, requests) in table.waiting() {
        let series = Series::decode(&key).unwrap();
        let user = match &series.tags {
            Tags::Caller { own, .. } => own.first().map_or("", |(_, user)| user),
            Tags::Overflow => "",
        };
        let key = (
            series.limit.to_owned(),
            series.status.name(),
            user.to_owned(),
        );
        *all.entry(key).or_default() += requests;
    }
    all
}

#[test]
fn a_request_counts_for_its_limits_by_what_became_of_it() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy("{ tags: { user: user } }"));
    for _ in 0..6 {
        send(&proxy, &runtime, "/a", "ann");
    }
    // Admitted by its limits, and refused for its body: no limit has it.
    let head: [(&str, &[u8]); 4] = [
        (":method", b"POST"),
        (":path", b"/held"),
        ("x-user", b"bob"),
        ("content-length", b"10"),
    ];
    assert_eq!(proxy.send(&runtime, &head).1, Flow::Stop);
    tick(&proxy, &runtime);
    let one =
        |limit: &str, status, requests| ((limit.to_owned(), status, "ann".to_owned()), requests);
    let expected = [
        one("all", "blocked", 2),
        one("all", "passed", 4),
        one("day", "passed", 4),
        one("trial", "passed", 2),
        one("trial", "would_refuse", 4),
    ];
    assert_eq!(table(&proxy).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_limit_in_shadow_only_passes_under_a_metric_that_a_policy_names() {
    let proxy = Proxy::new();
    let usage = "{ metrics: [{ name: own, limits: [trial] }], tags: { user: user } }";
    let runtime = proxy.runtime(&policy(usage));
    for _ in 0..6 {
        send(&proxy, &runtime, "/a", "ann");
    }
    tick(&proxy, &runtime);
    let key = ("trial".to_owned(), "passed", "ann".to_owned());
    // Two of the six were blocked by another limit.
    assert_eq!(table(&proxy), BTreeMap::from([(key, 4)]));
}

#[test]
fn without_a_cluster_the_table_waits() {
    let proxy = Proxy::new();
    proxy.lacks_cluster.set(true);
    let runtime = proxy.runtime(&policy("{ every: 1s }"));
    for round in 1..4 {
        send(&proxy, &runtime, "/a", &format!("user-{round}"));
        tick(&proxy, &runtime);
        let failed = proxy.count("policy=.=demo;.;sluicegate_usage_failed_total");
        assert_eq!(failed, round);
        proxy.wait(1);
    }
    assert!(proxy.usage_calls.borrow().is_empty());
    proxy.lacks_cluster.set(false);
    tick(&proxy, &runtime);
    assert_eq!(proxy.usage_calls.borrow().len(), 1);
}

#[test]
fn a_change_of_the_policy_is_sent_once_by_whichever_worker() {
    let proxy = Proxy::new();
    let text = |revision: &str, quota: &str| {
        let text = policy("{ every: 1s }").replace("9000", quota);
        format!("{text}revision: {revision}\n")
    };
    let start = |text: &str| {
        let policy = Policy::compile(&from_yaml(text).unwrap()).unwrap();
        announce(&policy, &proxy, |kind, name| {
            proxy.define_metric(kind, name)
        })
        .unwrap();
        proxy.runtime(text)
    };
    let first = [start(&text("one", "9000")), start(&text("one", "9000"))];
    for worker in &first {
        tick(&proxy, worker);
    }
    assert!(proxy.usage_calls.borrow().is_empty());
    let second = [start(&text("two", "8000")), start(&text("two", "8000"))];
    for worker in &second {
        tick(&proxy, worker);
    }
    let logs = || {
        let calls = proxy.usage_calls.borrow();
        let logs = calls.iter().enumerate();
        let mut logs = logs.filter(|(_, (way, _))| matches!(way, Way::Post("/v1/logs", _)));
        let first = logs
            .next()
            .map(|(index, (_, call))| (index + 1, call.body.clone()));
        (first, logs.count())
    };
    let (Some((token, body)), 0) = logs() else {
        panic!("one record");
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    for part in ["sluicegate.policy.changed", "one", "two", "day"] {
        assert!(body.contains(part), "{part} in {body}");
    }
    let token = UsageToken::Http(CallToken(u32::try_from(token).unwrap()));
    // It fails, and is sent again by the other one.
    assert!(second[0].on_usage_call(&proxy, token, Err("status 503".to_owned())));
    proxy.wait(2);
    tick(&proxy, &second[1]);
    assert_eq!(logs().1, 1);
    let token = UsageToken::Http(CallToken(
        u32::try_from(proxy.usage_calls.borrow().len()).unwrap(),
    ));
    assert!(second[1].on_usage_call(&proxy, token, Ok(Vec::new())));
    for _ in 0..3 {
        proxy.wait(10);
        for worker in &second {
            tick(&proxy, worker);
        }
    }
    assert_eq!(logs().1, 1);
}

/// A worker of the game.
struct Worker {
    runtime: Rc<Runtime<Proxy>>,
    /// Its counts since it merged: lost if it dies.
    unmerged: Rc<Cell<u64>>,
}

/// Games of three workers: at the end the collector has exactly what was counted and not lost with
/// a VM, whatever it refused, and whichever answers were lost.
#[test]
fn the_collector_has_what_was_counted() {
    for_each_seed(0..60, game);
}

/// Three workers of one proxy, and a collector.
struct Game {
    proxy: Proxy,
    workers: Vec<Worker>,
    /// The calls without an answer, each with the number of its worker.
    open: BTreeMap<u32, usize>,
    /// By id, what was accepted.
    collector: BTreeMap<String, u64>,
    /// All that was counted and not lost.
    counted: u64,
}

impl Game {
    fn new() -> Self {
        let mut game = Self {
            proxy: Proxy::new(),
            workers: Vec::new(),
            open: BTreeMap::new(),
            collector: BTreeMap::new(),
            counted: 0,
        };
        game.workers = (0..3).map(|_| game.worker()).collect();
        game
    }

    fn worker(&self) -> Worker {
        Worker {
            runtime: self.proxy.runtime(&policy(EVENTS)),
            unmerged: Rc::default(),
        }
    }

    /// A request: if it passes, three limits count it, otherwise one, and the one in shadow.
    fn request(&mut self, which: usize, user: u64) {
        let worker = &self.workers[which];
        let flow = send(&self.proxy, &worker.runtime, "/a", &format!("user-{user}"));
        let limits = if flow == Flow::Continue { 3 } else { 2 };
        worker.unmerged.set(worker.unmerged.get() + limits);
        self.counted += limits;
    }

    /// A tick; between its first read and swap another worker may merge.
    fn tick(&mut self, which: usize, is_overtaken: bool) {
        let worker = &self.workers[which];
        if is_overtaken {
            let other = &self.workers[(which + 1) % 3];
            let (proxy, runtime) = (self.proxy.clone(), Rc::clone(&other.runtime));
            let unmerged = Rc::clone(&other.unmerged);
            self.proxy.data.meanwhile.set(move || {
                flush(&proxy, &runtime);
                unmerged.set(0);
            });
        }
        flush(&self.proxy, &worker.runtime);
        worker.unmerged.set(0);
        let known = self.proxy.usage_calls.borrow().len();
        tick(&self.proxy, &worker.runtime);
        self.proxy.data.meanwhile.clear();
        for index in known..self.proxy.usage_calls.borrow().len() {
            self.open.insert(index as u32 + 1, which);
        }
    }

    /// The oldest call ends: it is accepted, refused, or accepted and its answer is lost.
    fn answer(&mut self, what: u64) {
        let Some((token, worker)) = self.open.pop_first() else {
            return;
        };
        let body = self.proxy.usage_calls.borrow()[token as usize - 1]
            .1
            .body
            .clone();
        if what != 1 {
            accept(&mut self.collector, &body);
        }
        let answer = match what {
            0 => Ok(Vec::new()),
            _ => Err("no answer".to_owned()),
        };
        let token = UsageToken::Http(CallToken(token));
        let runtime = &self.workers[worker].runtime;
        assert!(runtime.on_usage_call(&self.proxy, token, answer));
    }

    /// A VM ends and starts again, in order or not. What it asked for, it does not hear.
    fn restart(&mut self, which: usize, in_order: bool) {
        if in_order {
            flush(&self.proxy, &self.workers[which].runtime);
        } else {
            self.counted -= self.workers[which].unmerged.get();
        }
        self.open.retain(|_, worker| *worker != which);
        self.workers[which] = self.worker();
    }
}

/// Enough for a batch whose sender ended, and for what was counted after it.
const ROUNDS_TO_SEND_ALL: usize = 200;

fn game(seed: u64) {
    let (mut random, mut game) = (Random::new(seed), Game::new());
    for step in 0..400 {
        let which = random.below(3) as usize;
        let is_over = step >= 380;
        match random.below(if is_over { 4 } else { 12 }) {
            0 => game.proxy.wait(1),
            1 | 2 => game.tick(which, random.below(2) == 0),
            3 => game.answer(if is_over { 0 } else { random.below(3) }),
            4 => game.restart(which, false),
            5 => game.restart(which, true),
            _ => game.request(which, random.below(6)),
        }
    }
    for worker in &game.workers {
        flush(&game.proxy, &worker.runtime);
    }
    let waiting: u64 = table(&game.proxy).values().sum();
    let sent = unsent(&game.proxy, &game.collector);
    let total: u64 = game.collector.values().sum();
    assert_eq!(total + waiting - sent, game.counted, "seed {seed}");
    for _ in 0..ROUNDS_TO_SEND_ALL {
        game.proxy.wait(1);
        for which in 0..3 {
            game.tick(which, false);
        }
        while !game.open.is_empty() {
            game.answer(0);
        }
    }
    let total: u64 = game.collector.values().sum();
    assert_eq!(total, game.counted, "seed {seed}: all is sent in the end");
}

/// Accepts events, each id once: the same id always has the same number.
fn accept(collector: &mut BTreeMap<String, u64>, body: &[u8]) {
    let batch: serde_json::Value = serde_json::from_slice(body).unwrap();
    for event in batch.as_array().unwrap() {
        let value = event["data"]["value"].as_u64().unwrap();
        let before = collector.insert(event["id"].as_str().unwrap().to_owned(), value);
        assert!(before.is_none_or(|before| before == value));
    }
}

/// The part of the batch in the table that the collector has: its answer was lost.
fn unsent(proxy: &Proxy, collector: &BTreeMap<String, u64>) -> u64 {
    let (bytes, _) = proxy.data.map.borrow().read(b"sluicegate.use1.demo");
    let mut table = Table::decode(&bytes);
    let Some(batch) = table.current() else {
        return 0;
    };
    let _ = table.begin(0);
    let body = crate::usage::cloudevents::sums(&table, batch, "demo", "");
    if body.is_empty() {
        return 0;
    }
    let mut current = BTreeMap::new();
    accept(&mut current, &body);
    let known = current.iter().filter(|(id, _)| collector.contains_key(*id));
    known.map(|(_, value)| value).sum()
}
