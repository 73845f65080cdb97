//! The memory of a worker for bodies, which all policies share (decision 0020).

use super::hostile::unharmed;
use crate::harness::{
    Call, Framing, Gateway, Policy, Setup, TestBed, Underway, brotli, eventually,
};
use serde_json::json;
use std::net::SocketAddr;

/// The budget of all bodies of a worker.
const BUDGET: u64 = 384 << 20;

/// The holes that growing windows leave in the memory of the VM, and Envoy's own memory for some
/// dozens of connections. A container measures more of the latter than a process does.
const AROUND: u64 = 128 << 20;

/// The uploads under each policy: as many as fit if there are no others.
const EACH: usize = 13;

fn policy(name: &str) -> Policy {
    Policy::measuring(json!([{ "bytes": "1MB", "decoded_bytes": "100MB" }]))
        .with("/name", json!(name))
}

/// Some 20 KB of `br` that decode to more than its window of 16 MiB, so that the whole window is
/// kept.
pub(crate) fn body() -> Vec<u8> {
    let mut state = 1_u64;
    let mut noise = Vec::new();
    for _ in 0..19_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        noise.push((state >> 33) as u8);
    }
    noise.resize(17 << 20, 0);
    let packed = brotli(&noise, 24);
    assert!(
        (19_000..30_000).contains(&packed.len()),
        "{} bytes",
        packed.len()
    );
    packed
}

/// Uploads of which all but the last byte was sent.
struct Slow {
    body: Vec<u8>,
    uploads: Vec<Underway>,
}

impl Slow {
    fn new() -> Self {
        Self {
            body: body(),
            uploads: Vec::new(),
        }
    }

    /// Opens [`EACH`] more; returns once each has been read that far, or is answered.
    async fn open(&mut self, gateway: &Gateway, address: SocketAddr) {
        let (first, _) = self.body.split_at(self.body.len() - 1);
        for number in 0..EACH {
            let call = Call::post("/slow").header("content-encoding", "br");
            let upload = Underway::begin(address, call, Framing::ALL[number % 3], self.body.len());
            upload.send(first);
            self.uploads.push(upload);
        }
        let read = first.len() as u64;
        eventually("all were read or refused", async || {
            let refused = self
                .uploads
                .iter()
                .filter(|upload| upload.is_over())
                .count();
            (gateway.upstream.arrived("/slow", read) + refused >= self.uploads.len()).then_some(())
        })
        .await;
    }

    /// Ends all uploads; fails unless each was served or refused for lack of memory, and as many
    /// were served as fit.
    async fn end(self, gateway: &Gateway) {
        let (count, mut served, mut busy) = (self.uploads.len(), 0, 0);
        for upload in self.uploads {
            upload.send(&self.body[self.body.len() - 1..]);
            let answer = upload.end().await.expect("an answer");
            match answer.status {
                200 => served += 1,
                503 => {
                    assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.text());
                    busy += 1;
                }
                other => panic!("status {other}: {}", answer.text()),
            }
        }
        // None holds less than its window, or more than the policy reference states.
        let most = (BUDGET / (16 << 20)) as usize;
        assert!(
            (EACH..=most).contains(&served),
            "{served} of {count} were served"
        );
        assert_eq!(
            gateway
                .admin
                .metric("sluicegate_payloads_refused_total", &[("reason", "busy")])
                .await,
            busy
        );
        let whole = gateway
            .upstream
            .bodies("/slow")
            .into_iter()
            .filter(|body| body.whole);
        assert_eq!(
            whole.map(|body| body.bytes).collect::<Vec<_>>(),
            vec![self.body.len() as u64; served]
        );
        // All memory was returned.
        let mut again = Slow::new();
        again.open(gateway, gateway.address).await;
        for upload in again.uploads {
            upload.send(&self.body[self.body.len() - 1..]);
            assert_eq!(upload.end().await.expect("an answer").status, 200);
        }
        unharmed(gateway).await;
    }
}

pub(crate) async fn five_listeners_share_the_memory_of_their_worker(bed: &TestBed) {
    let others = ["second", "third", "fourth", "fifth"].map(policy);
    let gateway = bed
        .open_with(
            Setup::of(&policy("first"))
                .additional(others)
                .of_one_worker(),
        )
        .await;
    let (before, mut slow) = (gateway.memory_bytes(), Slow::new());
    for address in gateway.addresses() {
        slow.open(&gateway, address).await;
    }
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < BUDGET + AROUND, "{grown} bytes more than {before}");
    slow.end(&gateway).await;
}

pub(crate) async fn policies_that_drain_share_the_memory_with_the_new_one(bed: &TestBed) {
    let gateway = bed
        .open_with(Setup::of(&policy("first")).of_one_worker())
        .await;
    let (before, mut slow) = (gateway.memory_bytes(), Slow::new());
    slow.open(&gateway, gateway.address).await;
    for name in ["second", "third", "fourth", "fifth", "sixth"] {
        gateway.update(&policy(name)).await.expect("a good policy");
        slow.open(&gateway, gateway.address).await;
    }
    let grown = gateway.memory_bytes().saturating_sub(before);
    assert!(grown < BUDGET + AROUND, "{grown} bytes more than {before}");
    slow.end(&gateway).await;
}
