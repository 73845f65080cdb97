//! Counters in a plain map, for one thread: what the shared store is compared with.

use std::collections::BTreeMap;

use super::key::Key;
use super::{Claim, Store, Tally};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::{Balance, Charge, Rule, State};

/// A store without bound, and without anybody beside it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    states: BTreeMap<Key, State>,
}

impl Store for MemoryStore {
    fn take(&mut self, claims: &mut [Claim], now: Timestamp, _: &impl Clock) -> bool {
        for claim in claims.iter_mut() {
            claim.ask(Ok(self.states.get(&claim.key)), now);
        }
        let admitted = claims.iter().all(Claim::admits);
        for claim in claims.iter_mut().filter(|_| admitted) {
            claim.pay(now);
            if let Some(state) = &claim.next {
                self.states.insert(claim.key, state.clone());
            }
        }
        admitted
    }

    fn repair(&mut self, claims: &[Claim], clock: &impl Clock) {
        for claim in claims.iter().filter(|claim| claim.in_need_of_repair) {
            let evaluation = claim.rule.evaluate(self.states.get(&claim.key), clock.now(), claim.cost);
            if let Some(state) = evaluation.repaired {
                self.states.insert(claim.key, state);
            }
        }
    }

    fn overdraw(&mut self, key: &Key, rule: &Rule, units: u64, clock: &impl Clock) -> Result<(Balance, Charge), Fault> {
        let now = clock.now();
        let (state, balance) = rule.overdraw(self.states.get(key), now, units);
        let charge = state.charge(units, now);
        self.states.insert(*key, state);
        Ok((balance, charge))
    }

    fn give_back(&mut self, key: &Key, charge: &Charge, clock: &impl Clock) -> Result<(), Fault> {
        if let Some(state) = self.states.get_mut(key)
            && let Some(without) = state.give_back(charge, clock.now())
        {
            *state = without;
        }
        Ok(())
    }

    fn drain_tally(&mut self) -> Tally {
        Tally::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_keeps_the_contract() {
        super::super::contract::run(super::MemoryStore::default);
    }
}
