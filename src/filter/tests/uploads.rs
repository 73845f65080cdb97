//! The gauges of open uploads and of decoder memory: over workers, VMs that fail, updates of the
//! policy, steps of the clock, and workers that write at the same time.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use super::proxy::Vm;
use super::*;
use crate::host::fake::random::Random;
use crate::host::fake::seeds::for_each_seed;
use crate::payload::memory::Uploads;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: key, header: x-key }]
  unknown: anonymous
  absent: anonymous
limits:
  - { name: all, per: [], calendar: { quota: 9000, window: 1d } }
  - { name: lines, for: { routes: ["/lines"] }, per: [], calendar: { quota: 9000, window: 1d },
      cost: { lines: request } }
payloads:
  - { name: files, for: { routes: ["/files"] }, bytes: 100KB, decoded_bytes: 20MB }
  - { name: tried, for: { routes: ["/tried"] }, decoded_bytes: 20MB, enforcement: shadow }
"#;

/// "Hello" in a block that is not compressed, within a window of 4 MiB; the stream goes on.
const BROTLI: &[u8] = b"\x0b\x02\x80Hello";

/// One of the workers of a proxy: a VM of its own.
fn worker(proxy: &Proxy) -> Proxy {
    let mut worker = proxy.clone();
    worker.vm = Vm::default();
    worker
}

/// A body of which a part has arrived.
fn upload(worker: &Proxy, policy: &Rc<Runtime<Proxy>>, path: &str) -> Stream<Proxy> {
    let head: [(&str, &[u8]); 3] = [
        (":method", b"POST"),
        (":path", path.as_bytes()),
        ("content-encoding", b"br"),
    ];
    let (mut stream, flow) = worker.send(policy, &head);
    assert_eq!(flow, Flow::Continue);
    worker.body.replace(BROTLI.to_vec());
    let flow = stream.on_request_body(worker, BROTLI.len(), false, &mut slice());
    assert_eq!(flow, Flow::Continue);
    stream
}

fn end(worker: &Proxy, mut stream: Stream<Proxy>) {
    stream.on_end(worker);
}

/// The gauges.
fn shown(proxy: &Proxy) -> Uploads {
    let gauge = |name: &str| proxy.count(&format!("policy=.=demo;.;sluicegate_{name}"));
    Uploads {
        open: gauge("uploads_open"),
        bytes: gauge("decoder_memory_bytes"),
    }
}

/// Lets some seconds pass, in which these workers tick.
fn pass(seconds: u64, workers: &[(&Proxy, &Runtime<Proxy>)]) {
    for _ in 0..seconds {
        for (proxy, policy) in workers {
            policy.on_uploads_tick(*proxy);
        }
        workers[0].0.wait(1);
    }
}

const NONE: Uploads = Uploads { open: 0, bytes: 0 };

#[test]
fn the_gauges_show_the_bodies_of_all_workers_and_no_body_costs_a_call() {
    let proxy = Proxy::new();
    let (one, two) = (worker(&proxy), worker(&proxy));
    let policies = [&one, &two].map(|worker| worker.runtime(POLICY));
    let both = [(&one, &*policies[0]), (&two, &*policies[1])];
    pass(1, &both);
    let reads = proxy.data.reads.get();
    pass(1, &both);
    assert_eq!((shown(&proxy), proxy.data.reads.get() - reads), (NONE, 4));
    let mut streams = vec![
        upload(&one, &policies[0], "/files"),
        upload(&one, &policies[0], "/lines"),
        upload(&two, &policies[1], "/tried"),
        // No limit looks into it.
        upload(&two, &policies[1], "/other"),
    ];
    assert_eq!(shown(&proxy), NONE, "not before the tick");
    pass(1, &both);
    let Uploads { open, bytes } = shown(&proxy);
    assert_eq!(open, 3);
    assert!((1_000..200_000).contains(&bytes), "{bytes}");
    assert_eq!(bytes, one.vm.bodies.held() + two.vm.bodies.held());
    end(&two, streams.pop().unwrap());
    end(&two, streams.pop().unwrap());
    pass(1, &both);
    let bytes = one.vm.bodies.held();
    assert_eq!(shown(&proxy), Uploads { open: 2, bytes });
    streams.clear();
    pass(1, &both);
    assert_eq!(shown(&proxy), NONE);
}

#[test]
fn a_body_that_has_passed_or_was_refused_is_not_open_any_more() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let uploads = || policy.bodies.uploads();
    for (path, body, flow) in [
        ("/files", &b"[1]\n"[..], Flow::Continue),
        ("/lines", b"[1]\n", Flow::Continue),
        ("/tried", b"[1]\n", Flow::Continue),
        ("/files", &[0; 100_001], Flow::Stop),
    ] {
        let head: [(&str, &[u8]); 2] = [(":method", b"POST"), (":path", path.as_bytes())];
        let (mut stream, _) = proxy.send(&policy, &head);
        assert_eq!(uploads().open, 1, "{path}");
        proxy.body.replace(body.to_vec());
        let came = stream.on_request_body(&proxy, body.len(), true, &mut slice());
        assert_eq!((came, uploads()), (flow, NONE), "{path}");
    }
    // Without a body, and refused by its head.
    let (_, flow) = proxy.send(
        &policy,
        &[(":path", b"/files"), ("content-length", b"100001")],
    );
    assert_eq!((flow, uploads()), (Flow::Stop, NONE));
}

#[test]
fn a_policy_that_inspects_no_body_states_nothing() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(super::POLICY);
    assert!(!policy.has_uploads());
    let reads = proxy.data.reads.get();
    policy.on_uploads_tick(&proxy);
    policy.flush_uploads(&proxy);
    assert_eq!(proxy.data.reads.get(), reads);
}

#[test]
fn the_bodies_of_a_vm_that_failed_go() {
    let proxy = Proxy::new();
    let (one, two) = (worker(&proxy), worker(&proxy));
    let [dies, lives] = [&one, &two].map(|worker| worker.runtime(POLICY));
    let _lost = [(); 3].map(|()| upload(&one, &dies, "/files"));
    let _kept = upload(&two, &lives, "/files");
    pass(3, &[(&two, &lives), (&one, &dies)]);
    assert_eq!(shown(&proxy).open, 4);
    pass(3, &[(&two, &lives)]);
    assert_eq!(shown(&proxy).open, 4, "it may be busy");
    pass(3, &[(&two, &lives)]);
    let bytes = two.vm.bodies.held();
    assert_eq!(shown(&proxy), Uploads { open: 1, bytes });
    // The VM that takes its place.
    let three = worker(&proxy);
    let next = three.runtime(POLICY);
    let _new = upload(&three, &next, "/files");
    pass(1, &[(&two, &lives), (&three, &next)]);
    assert_eq!(shown(&proxy).open, 2);
}

#[test]
fn an_update_of_the_policy_loses_no_body_and_counts_none_twice() {
    let proxy = Proxy::new();
    let old = proxy.runtime(POLICY);
    let early = [(); 2].map(|()| upload(&proxy, &old, "/files"));
    pass(2, &[(&proxy, &old)]);
    let new = proxy.runtime(&POLICY.replace("20MB", "30MB"));
    let late = upload(&proxy, &new, "/files");
    for _ in 0..10 {
        pass(1, &[(&proxy, &old), (&proxy, &new)]);
        let bytes = proxy.vm.bodies.held();
        assert_eq!(shown(&proxy), Uploads { open: 3, bytes });
    }
    for stream in early {
        end(&proxy, stream);
    }
    // The last stream takes the root of the old policy with it, at once.
    old.flush_uploads(&proxy);
    assert_eq!(shown(&proxy).open, 1);
    end(&proxy, late);
    new.flush_uploads(&proxy);
    assert_eq!(shown(&proxy), NONE, "the policy is gone");
}

#[test]
fn a_step_of_the_clock_is_repaired_by_the_next_ticks() {
    let proxy = Proxy::new();
    let (one, two) = (worker(&proxy), worker(&proxy));
    let policies = [&one, &two].map(|worker| worker.runtime(POLICY));
    let both = [(&one, &*policies[0]), (&two, &*policies[1])];
    let _open = [
        upload(&one, &policies[0], "/files"),
        upload(&two, &policies[1], "/files"),
    ];
    pass(2, &both);
    let now = proxy.now.get();
    for step in [now + (1 << 50), now - (1 << 50), 0, now] {
        proxy.now.set(step);
        pass(2, &both);
        assert_eq!(shown(&proxy).open, 2, "at {step}");
    }
}

#[test]
fn a_worker_that_is_overtaken_states_its_bodies_all_the_same() {
    let proxy = Proxy::new();
    let (one, two) = (worker(&proxy), worker(&proxy));
    let [first, second] = [&one, &two].map(|worker| worker.runtime(POLICY));
    let _open = [
        upload(&one, &first, "/files"),
        upload(&two, &second, "/files"),
    ];
    let meanwhile = (two.clone(), Rc::clone(&second));
    let overtake = move || meanwhile.1.on_uploads_tick(&meanwhile.0);
    proxy.data.meanwhile.set(overtake);
    first.on_uploads_tick(&one);
    assert_eq!(shown(&proxy).open, 2);
}

#[test]
fn a_failure_of_the_host_is_a_fault_and_the_next_tick_repairs_it() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let stream = upload(&proxy, &policy, "/files");
    proxy.data.fault.set(Some(Fault::HostStatus(10)));
    pass(1, &[(&proxy, &policy)]);
    let faults = "policy=.=demo;.;fault=.=host_status;.;sluicegate_faults_total";
    assert_eq!((proxy.count(faults), shown(&proxy)), (1, NONE));
    proxy.data.fault.set(None);
    pass(1, &[(&proxy, &policy)]);
    assert_eq!(shown(&proxy).open, 1);
    drop(stream);
    // More often than once a second it is not stated.
    policy.on_uploads_tick(&proxy);
    let reads = proxy.data.reads.get();
    policy.on_uploads_tick(&proxy);
    assert_eq!((proxy.data.reads.get(), shown(&proxy)), (reads, NONE));
}

type Streams = Vec<Stream<Proxy>>;

/// One worker of a game: its VM, its policies with their open bodies, the newest last.
struct Lane {
    proxy: Proxy,
    policies: Vec<(Rc<Runtime<Proxy>>, Streams)>,
}

impl Lane {
    fn new(proxy: &Proxy) -> Self {
        let proxy = worker(proxy);
        let policies = vec![(proxy.runtime(POLICY), Vec::new())];
        Self { proxy, policies }
    }

    /// Roots of old policies end with their last streams.
    fn end_roots(&mut self) {
        let newest = self.policies.len() - 1;
        let mut place = 0;
        self.policies.retain(|(policy, streams)| {
            place += 1;
            let stays = place > newest || !streams.is_empty();
            if !stays {
                policy.flush_uploads(&self.proxy);
            }
            stays
        });
    }

    fn tick(&self) {
        for (policy, _) in &self.policies {
            policy.on_uploads_tick(&self.proxy);
        }
    }
}

#[test]
fn after_any_history_the_gauges_are_right_once_all_have_ticked() {
    for_each_seed(0..60, |seed| {
        let (proxy, mut random) = (Proxy::new(), Random::new(seed));
        let mut lanes: Vec<Lane> = (0..3).map(|_| Lane::new(&proxy)).collect();
        for _ in 0..150 {
            let lane = &mut lanes[random.below(3) as usize];
            let which = random.below(lane.policies.len() as u64) as usize;
            let (policy, streams) = &mut lane.policies[which];
            match random.below(12) {
                0..5 => streams.push(upload(&lane.proxy, policy, "/files")),
                5..8 if !streams.is_empty() => {
                    let ended = random.below(streams.len() as u64) as usize;
                    end(&lane.proxy, streams.swap_remove(ended));
                    lane.end_roots();
                }
                8 => {
                    let newest = (lane.proxy.runtime(POLICY), Vec::new());
                    lane.policies.push(newest);
                    lane.end_roots();
                }
                9 if random.below(3) == 0 => *lane = Lane::new(&proxy),
                10 => proxy.wait(1),
                _ => lane.tick(),
            }
        }
        for _ in 0..7 {
            proxy.wait(1);
            lanes.iter().for_each(Lane::tick);
        }
        let policies = lanes.iter().flat_map(|lane| &lane.policies);
        let open = policies.map(|(_, streams)| streams.len() as u64).sum();
        let bytes = lanes.iter().map(|lane| lane.proxy.vm.bodies.held()).sum();
        assert_eq!(shown(&proxy), Uploads { open, bytes });
    });
}
