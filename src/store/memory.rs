//! Counters in a plain map, for one thread: the reference for the shared store.

use std::collections::BTreeMap;

use super::key::Key;
use super::{LimitCheck, Peek, Store, StoreStats};
use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::{Charge, Reading, Rule, State, lease};

/// A store of one thread, without a bound.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    states: BTreeMap<Key, State>,
}

impl Peek for MemoryStore {
    fn state(&self, key: &Key) -> Result<Option<State>, Fault> {
        Ok(self.states.get(key).cloned())
    }
}

impl Store for MemoryStore {
    fn try_charge_all(
        &mut self,
        checks: &mut [LimitCheck],
        now: Timestamp,
        _: &impl Clock,
    ) -> bool {
        for check in checks.iter_mut() {
            check.evaluate(Ok(self.states.get(&check.key)), now);
            if let Some((key, rule)) = check.lock_record() {
                check.evaluate_lock(&rule, Ok(self.states.get(&key)), now);
            }
        }
        let admitted = checks.iter().all(LimitCheck::admits);
        for check in checks.iter_mut().filter(|_| admitted) {
            check.make_charge(now);
            if let Some(state) = &check.next {
                self.states.insert(check.key, state.clone());
            }
        }
        admitted
    }

    fn repair(&mut self, checks: &mut [LimitCheck], clock: &impl Clock) {
        for check in checks.iter_mut().filter(|check| check.is_ahead_of_clock) {
            let (reading, repaired) = check.rule.read(self.states.get(&check.key), clock.now());
            if let Some(state) = repaired {
                self.states.insert(check.key, state);
            }
            if let Some((key, rule)) = check.lock_record() {
                let (_, repaired) = rule.read(self.states.get(&key), clock.now());
                if let Some(state) = repaired {
                    self.states.insert(key, state);
                }
            }
            if !check.denies() {
                check.set_reading(reading);
            }
        }
    }

    fn force_charge(
        &mut self,
        key: &Key,
        rule: &Rule,
        units: u64,
        clock: &impl Clock,
    ) -> Result<(Reading, Charge), Fault> {
        let now = clock.now();
        let (state, balance) = rule.force_charge(self.states.get(key), now, units);
        let charge = state.charge(units, now);
        self.states.insert(*key, state);
        Ok((Reading { balance, at: now }, charge))
    }

    fn refund(
        &mut self,
        key: &Key,
        rule: &Rule,
        charge: &Charge,
        clock: &impl Clock,
    ) -> Result<Reading, Fault> {
        let (now, state) = (clock.now(), self.states.get(key));
        let without = state.and_then(|state| state.refund(charge, now));
        let (reading, repaired) = rule.read(without.as_ref().or(state), now);
        if let Some(state) = repaired.or(without) {
            self.states.insert(*key, state);
        }
        Ok(reading)
    }

    fn change_lease<T>(
        &mut self,
        key: &Key,
        clock: &impl Clock,
        change: impl Fn(Option<&lease::State>, Timestamp) -> (Option<lease::State>, T),
    ) -> Result<T, Fault> {
        let state = self.states.get(key).and_then(State::lease);
        let (changed, result) = change(state, clock.now());
        if let Some(state) = changed {
            self.states.insert(*key, State::Lease(state.into()));
        }
        Ok(result)
    }

    fn reset(&mut self, key: &Key) -> Result<bool, Fault> {
        let mut existed = false;
        for key in key.records() {
            existed |= self.states.remove(&key).is_some();
        }
        Ok(existed)
    }

    fn drain_stats(&mut self) -> StoreStats {
        StoreStats::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_keeps_the_contract() {
        super::super::contract::run(super::MemoryStore::default);
    }
}
