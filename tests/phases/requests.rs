//! Requests that the tests send, and the conditions after their ends.

use super::policies::{head, policy};
use super::worker::Worker;
use super::world::World;

pub(crate) const OK: [(&str, &str); 1] = [(":status", "200")];

/// A worker with one policy, and its root.
pub(crate) fn worker(rest: &str) -> (Worker, u32) {
    let mut worker = Worker::new(&World::shared());
    let root = worker.configure(&policy(rest)).expect("a policy");
    (worker, root)
}

/// A request without a body.
pub(crate) fn get(worker: &mut Worker, root: u32) -> u32 {
    worker.open(root, &head("GET", "/items", "acme"), true)
}

/// A request with a body.
pub(crate) fn post(worker: &mut Worker, root: u32, path: &str) -> u32 {
    let mut head = head("POST", path, "acme");
    head.push(("content-type", "application/json"));
    worker.open(root, &head, false)
}

/// All streams have ended, and nothing that belongs to one is counted any more.
pub(crate) fn assert_all_returned(worker: &mut Worker) {
    assert!(worker.vm.host().streams.is_empty());
    worker.pass(10_000);
    let world = worker.vm.host().world.clone();
    assert_eq!(
        world.borrow().gauges(),
        [],
        "no request is in flight or waits"
    );
}
