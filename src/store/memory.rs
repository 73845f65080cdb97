//! Counters in a plain map, for one thread: what the shared store is compared with.

use std::collections::BTreeMap;

use super::key::Key;
use super::{Claim, Store};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::gcra::{Charge, State};

/// A store without bound, and without anybody beside it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    states: BTreeMap<Key, State>,
}

impl Store for MemoryStore {
    fn take(&mut self, claims: &mut [Claim], now: Timestamp, _: &impl Clock) -> bool {
        let mut charged = Vec::with_capacity(claims.len());
        for claim in claims.iter_mut() {
            let evaluation = claim.bucket.evaluate(self.states.get(&claim.key), now, claim.cost);
            claim.answer = Ok(evaluation.decision);
            claim.charge = None;
            claim.in_need_of_repair = evaluation.repaired.is_some();
            charged.push(evaluation.charged);
        }
        let admitted = claims.iter().all(Claim::admits);
        for (claim, state) in claims.iter_mut().zip(charged) {
            if let Some(state) = state.filter(|_| admitted) {
                self.states.insert(claim.key, state);
                claim.charge = Some(state.charge(claim.cost, now));
            }
        }
        admitted
    }

    fn repair(&mut self, claims: &[Claim], clock: &impl Clock) {
        for claim in claims.iter().filter(|claim| claim.in_need_of_repair) {
            let evaluation = claim.bucket.evaluate(self.states.get(&claim.key), clock.now(), claim.cost);
            if let Some(state) = evaluation.repaired {
                self.states.insert(claim.key, state);
            }
        }
    }

    fn give_back(&mut self, key: &Key, charge: &Charge, clock: &impl Clock) -> Result<(), Fault> {
        if let Some(state) = self.states.get_mut(key) {
            *state = state.give_back(charge, clock.now()).unwrap_or(*state);
        }
        Ok(())
    }

    fn drain_evictions(&mut self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_keeps_the_contract() {
        super::super::contract::run(super::MemoryStore::default);
    }
}
