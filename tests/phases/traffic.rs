//! Random streams on some workers, interleaved by a seed.

use std::collections::BTreeMap;

use super::faults::Noise;
use super::policies::{head, policy};
use super::stream::Stream;
use super::worker::Worker;
use super::world::{SharedWorld, World};

const ORGS: [&str; 3] = ["acme", "globex", "initech"];
const PATHS: [&str; 4] = [
    "/items",
    "/held/1",
    "/streamed/1",
    "/v2/items/7?api%20key=x",
];
const STATUSES: [&str; 4] = ["200", "404", "503", "101"];

/// Parts of bodies: JSON, whole and broken, and bytes.
const PARTS: [&[u8]; 6] = [
    b"{\"a\":[",
    b"1]}",
    b"",
    b"[[[[",
    b"\x1f\x8b\x08",
    &[0; 40_000],
];

/// Fields that requests may have; the values may be nonsense.
const FIELDS: [(&str, &str); 8] = [
    ("content-type", "application/json"),
    ("content-type", "application/grpc"),
    ("content-type", "application/grpc-web-text"),
    ("content-encoding", "gzip"),
    ("content-length", "17"),
    ("content-length", "-1"),
    ("authorization", "Bearer \u{1}"),
    ("upgrade", "websocket"),
];

/// Properties that requests may have. The metadata is a `Struct` of JWT claims, whole and broken.
const PROPERTIES: [(&str, &[u8]); 6] = [
    ("source\0address", b"192.0.2.7:4711"),
    ("source\0address", b"[2001:db8::1"),
    ("metadata", b"\x0a\x1e\x0a\x1cenvoy.filters.http.jwt_authn"),
    ("metadata", b"\x0a\x7f\xff"),
    ("connection\0subject_peer_certificate", b"CN=c,O=Acme"),
    ("connection\0sha256_peer_certificate_digest", b"\xff\xfe"),
];

/// A worker, the root of its present policy, and its open streams.
struct Lane {
    worker: Worker,
    root: u32,
    open: Vec<u32>,
}

pub(crate) struct Traffic {
    pub(crate) world: SharedWorld,
    lanes: Vec<Lane>,
    policy: String,
    noise: Noise,
}

/// A request that was sent: the place of its worker, its number, and its caller.
pub(crate) struct Sent {
    pub(crate) lane: usize,
    pub(crate) id: u32,
    pub(crate) org: &'static str,
}

impl Traffic {
    /// Traffic on this many workers under a policy of `policies.rs`.
    pub(crate) fn under(rest: &str, workers: usize, seed: u64) -> Self {
        Self::under_policy(policy(rest), workers, seed)
    }

    pub(crate) fn under_policy(policy: String, workers: usize, seed: u64) -> Self {
        let (world, noise) = (World::shared(), Noise::new(seed));
        let mut lanes = Vec::new();
        for _ in 0..workers {
            let mut worker = Worker::new(&world);
            let root = worker.configure(&policy).expect("a policy");
            let open = Vec::new();
            lanes.push(Lane { worker, root, open });
        }
        Self {
            world,
            lanes,
            policy,
            noise,
        }
    }

    pub(crate) fn workers(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.lanes.iter_mut().map(|lane| &mut lane.worker)
    }

    pub(crate) fn stream(&self, sent: &Sent) -> &Stream {
        self.lanes[sent.lane].worker.stream(sent.id)
    }

    /// The streams that are open, with their organizations.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Stream> {
        self.lanes
            .iter()
            .flat_map(|lane| lane.open.iter().map(|id| lane.worker.stream(*id)))
    }

    /// A request of somebody.
    pub(crate) fn send(&mut self) -> Sent {
        let lane = self.noise.below(self.lanes.len() as u64) as usize;
        let (org, path) = (*self.noise.one_of(&ORGS), *self.noise.one_of(&PATHS));
        let method = *self.noise.one_of(&["GET", "POST", "PUT"]);
        let mut fields = head(method, path, org);
        for _ in 0..self.noise.below(3) {
            fields.push(*self.noise.one_of(&FIELDS));
        }
        let mut properties = BTreeMap::new();
        for _ in 0..self.noise.below(4) {
            let (path, value) = *self.noise.one_of(&PROPERTIES);
            properties.insert(path.to_owned(), value.to_vec());
        }
        let ends = self.noise.below(3) == 0;
        let Lane { worker, root, open } = &mut self.lanes[lane];
        let id = worker.open_with(*root, &fields, ends, properties);
        open.push(id);
        Sent { lane, id, org }
    }

    /// One event of one stream, or some time.
    pub(crate) fn step(&mut self) {
        let lane = self.noise.below(self.lanes.len() as u64) as usize;
        match self.noise.below(10) {
            0..3 => drop(self.send()),
            3 => self.pass(),
            4 if self.noise.below(10) == 0 => self.reconfigure(lane),
            _ => self.event(lane),
        }
        for Lane { worker, open, .. } in &mut self.lanes {
            worker.take_messages();
            open.retain(|id| worker.is_open(*id));
        }
    }

    /// Up to a second, in which all workers tick.
    pub(crate) fn pass(&mut self) {
        let milliseconds = self.noise.below(4) * self.noise.below(300);
        self.pass_exactly(milliseconds);
    }

    pub(crate) fn pass_exactly(&mut self, milliseconds: u64) {
        let (begin, end) = {
            let now = self.world.borrow().now;
            (now, now + milliseconds * 1_000_000)
        };
        for worker in self.lanes.iter_mut().map(|lane| &mut lane.worker) {
            self.world.borrow_mut().now = begin;
            worker.pass(milliseconds);
        }
        self.world.borrow_mut().now = end;
    }

    fn event(&mut self, lane: usize) {
        let Lane { worker, open, .. } = &mut self.lanes[lane];
        if open.is_empty() {
            return;
        }
        let id = *self.noise.one_of(open);
        if !worker.is_open(id) {
            return;
        }
        let stream = worker.stream(id);
        let (has_ended, has_response) = (stream.has_ended, stream.has_response());
        let has_trailers = !stream.trailers.is_empty();
        match self.noise.below(8) {
            0..3 if !has_ended => {
                let part = *self.noise.one_of(&PARTS);
                worker.body(id, part, self.noise.below(4) == 0);
            }
            3 if !has_ended => worker.trailers(id),
            4 | 5 if !has_response => {
                let status = *self.noise.one_of(&STATUSES);
                let head = [(":status", status), ("x-cost", "3")];
                worker.respond(id, &head, self.noise.below(2) == 0);
            }
            6 if has_response && !has_trailers => {
                worker.response_trailers(id, &[("grpc-status", "14")]);
            }
            _ => worker.finish(id),
        }
    }

    /// The same policy again, under a new root; the old one is gone with its streams.
    fn reconfigure(&mut self, lane: usize) {
        let Lane { worker, root, open } = &mut self.lanes[lane];
        let Some(new) = worker.configure(&self.policy) else {
            return;
        };
        open.drain(..).for_each(|id| worker.finish(id));
        worker.remove(*root);
        *root = new;
    }

    /// Ends all streams, and lets the workers settle.
    pub(crate) fn end(&mut self) {
        for Lane { worker, open, .. } in &mut self.lanes {
            open.drain(..).for_each(|id| worker.finish(id));
        }
        self.pass_exactly(3_000);
        for Lane { worker, .. } in &mut self.lanes {
            assert!(worker.vm.host().streams.is_empty());
            worker.ended.clear();
        }
    }
}
