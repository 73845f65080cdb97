//! Streams that end early, and policies that come and go.

use super::policies::{COSTS, LIMITS, PAYLOADS, POOL, UPLOADS, policy};
use super::requests::{OK, assert_all_returned, get, post, worker};
use super::stream::Stream;
use super::worker::Worker;
use super::world::{Metric, World};

/// Every event at which a client or the upstream can end the stream, for each policy.
#[test]
fn a_stream_that_ends_at_any_point_returns_what_it_took() {
    for rest in [LIMITS, POOL, PAYLOADS, COSTS] {
        for path in ["/items", "/held/1", "/streamed/1"] {
            let (mut worker, root) = worker(rest);
            for events in 0..7 {
                let id = post(&mut worker, root, path);
                let steps: [&dyn Fn(&mut Worker); 6] = [
                    &|worker| worker.body(id, b"[1", false),
                    &|worker| worker.pass(50),
                    &|worker| worker.body(id, b"]", false),
                    &|worker| worker.trailers(id),
                    &|worker| worker.respond(id, &OK, false),
                    &|worker| worker.response_trailers(id, &[("a", "b")]),
                ];
                steps[..events].iter().for_each(|step| step(&mut worker));
                worker.finish(id);
                worker.pass(3_000);
            }
            assert_all_returned(&mut worker);
        }
    }
}

/// Envoy answers for a stream that waits, by a timeout for instance.
#[test]
fn a_response_of_envoy_ends_every_wait() {
    for (rest, path) in [(POOL, "/items"), (PAYLOADS, "/held/1"), (COSTS, "/items")] {
        let (mut worker, root) = worker(rest);
        let ids: Vec<u32> = (0..4).map(|_| post(&mut worker, root, path)).collect();
        for id in ids {
            worker.respond(id, &[(":status", "408")], true);
            worker.pass(200);
            worker.finish(id);
        }
        assert_all_returned(&mut worker);
    }
}

/// As for a request that a filter before this one answers: Envoy makes the context for the log.
#[test]
fn a_stream_of_which_the_filter_sees_nothing_but_its_end_passes() {
    let (mut worker, root) = worker(POOL);
    let id = worker.create(Stream {
        root,
        ..Stream::default()
    });
    worker.finish(id);
    assert_all_returned(&mut worker);
}

#[test]
fn an_invalid_policy_is_refused_and_its_streams_pass() {
    let mut worker = Worker::new(&World::shared());
    for policy in [
        "",
        "{",
        "{}",
        "\n\u{b}\n\u{1}x",
        "{\"version\":1}",
        "[]",
        "\u{feff}{}",
    ] {
        assert_eq!(worker.configure(policy), None, "{policy:?}");
        assert!(
            worker
                .vm
                .host()
                .log
                .iter()
                .any(|line| line.contains("policy rejected"))
        );
        let root = *worker.vm.host().roots.keys().last().unwrap();
        let id = get(&mut worker, root);
        assert!(
            worker.stream(id).upstream.is_complete,
            "a stream without a policy passes"
        );
        worker.finish(id);
        worker.remove(root);
    }
    let root = worker.configure(&policy(LIMITS));
    assert!(root.is_some(), "a later policy starts");
}

#[test]
fn a_new_policy_takes_over_and_streams_of_the_old_one_end_under_it() {
    for rest in [POOL, PAYLOADS] {
        let (mut worker, old) = worker(rest);
        let path = if rest == POOL { "/items" } else { "/held/1" };
        let held: Vec<u32> = (0..3).map(|_| post(&mut worker, old, path)).collect();
        let new = worker.configure(&policy(rest)).unwrap();
        let other = get(&mut worker, new);
        worker.pass(300);
        for id in held {
            worker.finish(id);
        }
        worker.pass(300);
        worker.remove(old);
        let later = get(&mut worker, new);
        worker.pass(300);
        assert!(worker.stream(later).upstream.is_complete);
        worker.finish(other);
        worker.finish(later);
        assert_all_returned(&mut worker);
    }
}

/// As in FAIL_RELOAD: a new VM begins with the shared data of the one that trapped.
#[test]
fn a_vm_that_is_gone_leaves_its_slots_to_others() {
    let world = World::shared();
    let mut gone = Worker::new(&world);
    let root = gone.configure(&policy(POOL)).unwrap();
    let held = (0..2).filter(|_| {
        let id = get(&mut gone, root);
        gone.stream(id).upstream.is_complete
    });
    assert_eq!(held.count(), 2);
    gone.pass(500);
    drop(gone);
    let mut next = Worker::new(&world);
    let root = next.configure(&policy(POOL)).unwrap();
    // A worker joins the others with its first stream.
    let early = get(&mut next, root);
    next.pass(10_000);
    assert_eq!(next.stream(early).status(), Some(429));
    let later = get(&mut next, root);
    assert!(next.stream(later).upstream.is_complete);
    next.finish(later);
}

/// As in FAIL_RELOAD, and with a root of an old policy that lives for its streams.
#[test]
fn the_uploads_of_a_vm_that_is_gone_are_soon_shown_no_more() {
    let world = World::shared();
    let (mut gone, mut stays) = (Worker::new(&world), Worker::new(&world));
    let root = gone.configure(&policy(UPLOADS)).unwrap();
    let lost = post(&mut gone, root, "/items");
    gone.body(lost, b"[1", false);
    let old = stays.configure(&policy(UPLOADS)).unwrap();
    let kept = post(&mut stays, old, "/items");
    stays.body(kept, b"[1", false);
    let open = || {
        let world = world.borrow();
        let gauge = |metric: &&Metric| metric.name.ends_with("sluicegate_uploads_open");
        world.metrics.iter().find(gauge).unwrap().value
    };
    gone.pass(1_000);
    stays.pass(1_000);
    assert_eq!(open(), 2);
    drop(gone);
    let new = stays.configure(&policy(UPLOADS)).unwrap();
    stays.pass(3_000);
    assert_eq!(open(), 2);
    stays.pass(3_000);
    assert_eq!(open(), 1);
    stays.finish(kept);
    stays.remove(old);
    assert_eq!(open(), 0, "at once");
    stays.remove(new);
    assert_eq!(world.borrow().gauges(), []);
}
