//! The engine in memory meets the contract of every engine.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "test code"
)]

#[cfg(test)]
#[path = "fleet/contract.rs"]
mod contract;

use sluicegate::base::time::Span;
use sluicegate::fleet::memory::Memory;

impl contract::Timed for Memory {
    fn pass(&mut self, time: Span) {
        self.clock += time.micros_up();
    }
}

#[test]
fn the_engine_in_memory_keeps_the_contract() {
    let mut engine = Memory::default();
    engine.clock = 1_700_000_000_000_000;
    contract::run(&mut engine);
}
