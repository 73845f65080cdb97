//! Whole lives of requests, one path of the filter each.

use super::policies::{
    COSTS, COUNTERS, LIMITS, PAYLOADS, POOL, SHARED, TIMEOUT, USAGE, head, policy,
};
use super::requests::{OK, assert_all_returned, get, post, worker};
use super::stream::Pause;
use super::worker::Worker;
use super::world::World;

#[test]
fn an_admitted_request_reaches_the_upstream_and_its_response_states_the_limit() {
    let (mut worker, root) = worker(LIMITS);
    let id = get(&mut worker, root);
    let stream = worker.stream(id);
    assert!(stream.upstream.is_complete && stream.upstream.heads == 1);
    assert!(
        stream
            .filter_state
            .as_deref()
            .is_some_and(|line| line.contains("acme"))
    );
    worker.respond(id, &OK, true);
    assert_eq!(
        worker.stream(id).field("x-ratelimit-remaining").as_deref(),
        Some("2")
    );
    worker.finish(id);
    assert_all_returned(&mut worker);
}

#[test]
fn a_request_over_its_limit_is_refused_and_a_later_one_admitted() {
    let (mut worker, root) = worker(LIMITS);
    for _ in 0..3 {
        let id = get(&mut worker, root);
        assert!(worker.stream(id).upstream.is_complete);
        worker.finish(id);
    }
    let id = get(&mut worker, root);
    let refused = worker.stream(id);
    assert_eq!((refused.status(), refused.upstream.heads), (Some(429), 0));
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    assert!(!worker.is_open(id));
    worker.pass(1_000);
    let id = get(&mut worker, root);
    assert_eq!(worker.stream(id).status(), None);
    worker.finish(id);
    assert_all_returned(&mut worker);
}

#[test]
fn a_request_without_a_credential_is_refused() {
    let (mut worker, root) = worker(LIMITS);
    let head = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "a"),
        (":scheme", "http"),
    ];
    let id = worker.open(root, &head, true);
    let reply = worker.stream(id).reply.as_ref();
    assert_eq!(reply.map(|reply| reply.status), Some(401));
    assert!(reply.is_some_and(|reply| reply.details.starts_with("sluicegate")));
    assert_all_returned(&mut worker);
}

#[test]
fn a_request_waits_for_a_slot_and_goes_on_when_one_is_free() {
    let (mut worker, root) = worker(POOL);
    let held: Vec<u32> = (0..2).map(|_| get(&mut worker, root)).collect();
    let waits = post(&mut worker, root, "/items");
    worker.body(waits, b"while it waits", false);
    worker.trailers(waits);
    assert_eq!(worker.stream(waits).pause, Pause::All);
    worker.respond(held[0], &OK, true);
    worker.finish(held[0]);
    worker.pass(500);
    let resumed = &worker.stream(waits).upstream;
    assert!(resumed.is_complete && resumed.heads == 1);
    assert_eq!(resumed.body, b"while it waits");
    worker.respond(waits, &OK, true);
    worker.finish(waits);
    worker.finish(held[1]);
    assert_all_returned(&mut worker);
}

#[test]
fn a_request_that_waits_too_long_or_finds_the_queue_full_is_refused() {
    let (mut worker, root) = worker(POOL);
    let held: Vec<u32> = (0..2).map(|_| get(&mut worker, root)).collect();
    let queued: Vec<u32> = (0..2).map(|_| get(&mut worker, root)).collect();
    let id = get(&mut worker, root);
    assert_eq!(worker.stream(id).status(), Some(429), "the queue is full");
    worker.pass(TIMEOUT + 500);
    for id in queued {
        assert_eq!(worker.stream(id).status(), Some(429), "the wait is over");
        assert_eq!(worker.stream(id).upstream.heads, 0);
    }
    for id in held {
        worker.finish(id);
    }
    assert_all_returned(&mut worker);
}

#[test]
fn a_slot_passes_from_one_worker_to_another() {
    let world = World::shared();
    let (mut one, mut two) = (Worker::new(&world), Worker::new(&world));
    let roots = [&mut one, &mut two].map(|worker| worker.configure(&policy(POOL)).unwrap());
    let held: Vec<u32> = (0..2).map(|_| get(&mut one, roots[0])).collect();
    one.pass(200);
    two.pass(200);
    let waits = get(&mut two, roots[1]);
    assert_eq!(two.stream(waits).pause, Pause::All);
    one.finish(held[0]);
    for _ in 0..10 {
        one.pass(50);
        two.pass(50);
    }
    assert!(two.stream(waits).upstream.is_complete);
    one.finish(held[1]);
    two.finish(waits);
    assert_all_returned(&mut one);
    assert_all_returned(&mut two);
}

#[test]
fn a_held_body_reaches_the_upstream_whole_or_not_at_all() {
    let (mut worker, root) = worker(PAYLOADS);
    let id = post(&mut worker, root, "/held/1");
    worker.body(id, b"{\"a\":", false);
    assert_eq!(
        (worker.stream(id).pause, worker.stream(id).upstream.heads),
        (Pause::Head, 0)
    );
    worker.body(id, b"[1]}", true);
    let upstream = &worker.stream(id).upstream;
    assert_eq!((upstream.heads, &*upstream.body), (1, &b"{\"a\":[1]}"[..]));
    worker.respond(id, &OK, true);
    worker.finish(id);

    let id = post(&mut worker, root, "/held/2");
    worker.body(id, b"[[[[", false);
    let refused = worker.stream(id);
    assert_eq!((refused.status(), refused.upstream.heads), (Some(422), 0));
    assert_all_returned(&mut worker);
}

#[test]
fn a_held_head_whose_body_never_comes_ends_with_the_client() {
    let (mut worker, root) = worker(PAYLOADS);
    let id = post(&mut worker, root, "/held/1");
    worker.pass(20_000);
    assert_eq!(worker.stream(id).pause, Pause::Head);
    worker.finish(id);
    assert_all_returned(&mut worker);
    assert!(
        worker
            .vm
            .host()
            .ticks
            .values()
            .all(|ticks| ticks.period >= 100)
    );
}

#[test]
fn a_held_head_is_answered_if_the_host_keeps_its_body_back() {
    let (mut worker, root) = worker(PAYLOADS);
    let id = post(&mut worker, root, "/held/1");
    // As Envoy does without `allow_on_headers_stop_iteration`.
    let stream = worker.stream_mut(id).unwrap();
    (stream.pause, stream.received) = (Pause::All, 5_000);
    worker.pass(10_000);
    assert!(
        worker
            .stream(id)
            .status()
            .is_some_and(|status| status >= 500)
    );
    assert_all_returned(&mut worker);
}

#[test]
fn a_streamed_body_goes_on_as_it_comes_until_it_is_too_large() {
    let (mut worker, root) = worker(PAYLOADS);
    let id = post(&mut worker, root, "/streamed/1");
    let part = vec![b'x'; 100_000];
    for _ in 0..3 {
        worker.body(id, &part, false);
    }
    assert_eq!(worker.stream(id).upstream.body.len(), 300_000);
    worker.body(id, b"y", false);
    assert_eq!(worker.stream(id).status(), Some(413));
    assert_all_returned(&mut worker);
}

#[test]
fn a_body_refused_after_the_response_began_resets_the_stream() {
    let (mut worker, root) = worker(PAYLOADS);
    let id = post(&mut worker, root, "/streamed/1");
    worker.respond(id, &OK, false);
    worker.body(id, &vec![b'x'; 300_001], false);
    assert!(worker.stream(id).was_reset);
    assert_all_returned(&mut worker);
}

/// Compressed bodies cost more than a callback may spend, so ticks read on.
#[test]
fn large_compressed_bodies_are_read_over_ticks() {
    use std::io::Write as _;
    let (mut worker, root) = worker(PAYLOADS);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b'x'; 8_000_000]).unwrap();
    let body = encoder.finish().unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let mut head = head("POST", "/streamed/1", "acme");
        head.push(("content-encoding", "gzip"));
        ids.push(worker.open(root, &head, false));
    }
    for id in &ids {
        worker.body(*id, &body, false);
    }
    worker.trailers(ids[0]);
    worker.body(ids[1], b"", true);
    worker.pass(1_000);
    for id in &ids[..2] {
        let upstream = &worker.stream(*id).upstream;
        assert!(upstream.is_complete && upstream.body == body);
    }
    assert!(
        worker.vm.host().calls.contains_key("proxy_continue_stream"),
        "a tick read on"
    );
    for id in ids {
        worker.finish(id);
    }
    assert_all_returned(&mut worker);
}

#[test]
fn a_grpc_call_is_refused_in_its_own_terms_and_settled_by_its_trailers() {
    let (mut worker, root) = worker(COSTS);
    let mut call = head("POST", "/pkg.Service/Method", "acme");
    call.push(("content-type", "application/grpc"));
    for status in ["0", "14"] {
        let id = worker.open(root, &call, false);
        worker.body(id, b"\0\0\0\0\x02hi", true);
        worker.respond(
            id,
            &[(":status", "200"), ("content-type", "application/grpc")],
            false,
        );
        worker.response_body(id, 7, false);
        worker.response_trailers(id, &[("grpc-status", status)]);
        worker.finish(id);
    }
    let broken_off = worker.open(root, &call, false);
    worker.respond(
        broken_off,
        &[(":status", "200"), ("content-type", "application/grpc")],
        false,
    );
    worker.finish(broken_off);
    assert_all_returned(&mut worker);

    let (mut worker, root) = super::requests::worker(LIMITS);
    let ids: Vec<u32> = (0..4).map(|_| worker.open(root, &call, false)).collect();
    let reply = worker.stream(ids[3]).reply.clone().unwrap();
    assert_eq!((reply.grpc_status, reply.body.len()), (8, 0));
    for id in ids {
        worker.finish(id);
    }
    assert_all_returned(&mut worker);
}

#[test]
fn a_tunnel_is_measured_until_it_opens() {
    let (mut worker, root) = worker(PAYLOADS);
    let mut upgrade = head("GET", "/streamed/1", "acme");
    upgrade.extend([("upgrade", "websocket"), ("connection", "upgrade")]);
    let id = worker.open(root, &upgrade, false);
    worker.respond(id, &[(":status", "101")], false);
    for _ in 0..5 {
        worker.body(id, &vec![0; 100_000], false);
    }
    assert_eq!(worker.stream(id).status(), Some(101));
    worker.finish(id);
    assert_all_returned(&mut worker);
}

#[test]
fn a_cost_of_the_response_is_charged_late() {
    let (mut worker, root) = worker(COSTS);
    let id = post(&mut worker, root, "/items");
    worker.body(id, b"0123456789", true);
    worker.respond(id, &[(":status", "200"), ("x-cost", "70")], true);
    worker.finish(id);
    let id = get(&mut worker, root);
    worker.respond(id, &[(":status", "500"), ("x-cost", "40")], true);
    worker.finish(id);
    let id = get(&mut worker, root);
    assert_eq!(
        worker.stream(id).status(),
        Some(429),
        "70 and 40 are above 100"
    );
    assert_all_returned(&mut worker);
}

#[test]
fn a_request_waits_for_the_engine_and_goes_on_with_what_it_grants_or_without_it() {
    let mut worker = Worker::new(&World::shared());
    let root = worker.configure(&policy(SHARED)).expect("a policy");
    // The second call is answered by an error, the third is reset: that opens the breaker.
    for (org, went_on_after) in [("acme", 40), ("globex", 120), ("initech", 120)] {
        let id = worker.open(root, &head("GET", "/items", org), true);
        assert_eq!(worker.stream(id).pause, Pause::All, "{org}");
        assert_eq!(worker.stream(id).upstream.heads, 0);
        worker.pass(went_on_after);
        assert_eq!(worker.stream(id).upstream.heads, 1, "{org}");
        worker.finish(id);
    }
    assert!(worker.vm.host().calls["proxy_http_call"] >= 3);
}

#[test]
fn usage_is_merged_and_sent_in_ticks_and_with_the_end_of_its_root() {
    let http = USAGE.replace("grpc", "http");
    let events = USAGE.replace("otlp: collector, protocol: grpc", "cloudevents: meter");
    let calls = ["proxy_grpc_call", "proxy_http_call", "proxy_http_call"];
    for (rest, call) in [USAGE, &http, &events].into_iter().zip(calls) {
        let mut worker = Worker::new(&World::shared());
        let root = worker.configure(&policy(rest)).expect("a policy");
        for org in ["acme", "globex", "initech", "acme", "acme", "acme"] {
            let id = worker.open(root, &head("GET", "/items", org), true);
            worker.finish(id);
            worker.pass(1_500);
        }
        worker.pass(20_000);
        assert!(worker.vm.host().calls[call] >= 3, "{call}");
        let second = worker.configure(&policy(rest)).expect("a policy");
        let id = worker.open(root, &head("GET", "/items", "acme"), true);
        worker.finish(id);
        let _ = second;
        assert_all_returned(&mut worker);
    }
}

#[test]
fn usage_is_added_to_counters_that_are_defined_once() {
    let mut worker = Worker::new(&World::shared());
    let root = worker.configure(&policy(COUNTERS)).expect("a policy");
    for org in ["acme", "globex", "initech", "acme", "umbrella"] {
        let id = worker.open(root, &head("GET", "/items", org), true);
        worker.finish(id);
        worker.pass(1_500);
    }
    let defined = &worker.vm.host().defined;
    let usage = defined
        .iter()
        .filter(|name| name.contains("sluicegate_usage_requests_total"));
    assert_eq!(
        usage.count(),
        3,
        "two organizations, and one for all others"
    );
}
