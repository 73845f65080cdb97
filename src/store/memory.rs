//! Counters in a plain map, for one thread: what the shared store is compared with.

use std::collections::BTreeMap;

use super::key::Key;
use super::{Claim, Store, Tally};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::{Charge, Reading, Rule, State};

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

    fn repair(&mut self, claims: &mut [Claim], clock: &impl Clock) {
        for claim in claims.iter_mut().filter(|claim| claim.in_need_of_repair) {
            let (reading, repaired) = claim.rule.look(self.states.get(&claim.key), clock.now());
            if let Some(state) = repaired {
                self.states.insert(claim.key, state);
            }
            if !claim.denies() {
                claim.restate(reading);
            }
        }
    }

    fn overdraw(&mut self, key: &Key, rule: &Rule, units: u64, clock: &impl Clock) -> Result<(Reading, Charge), Fault> {
        let now = clock.now();
        let (state, balance) = rule.overdraw(self.states.get(key), now, units);
        let charge = state.charge(units, now);
        self.states.insert(*key, state);
        Ok((Reading { balance, at: now }, charge))
    }

    fn give_back(&mut self, key: &Key, rule: &Rule, charge: &Charge, clock: &impl Clock) -> Result<Reading, Fault> {
        let (now, state) = (clock.now(), self.states.get(key));
        let without = state.and_then(|state| state.give_back(charge, now));
        let (reading, repaired) = rule.look(without.as_ref().or(state), now);
        if let Some(state) = repaired.or(without) {
            self.states.insert(*key, state);
        }
        Ok(reading)
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
