//! The counters of all limits: one transaction for all that one request asks.
//!
//! ```text
//!   checks ─▶ read their pages ─▶ evaluate every limit ─▶ all admit? ─▶ swap page by page ─▶ taken
//!                   ▲                                         │ no            │ conflict
//!                   │                                         ▼               ▼
//!                   └───────────── pages written before are refunded ◀── read and evaluate again
//! ```
//!
//! Promises, each held by the `contract` suite and the engine's `simulation`:
//! no interleaving admits more than a limit states; a refused request takes nothing from any limit;
//! the memory is bounded by the operator's `keys_max`.

mod check;
#[cfg(test)]
mod contract;
pub mod key;
pub mod memory;
pub mod page;
mod page_cache;
pub mod record;
pub mod shared;

use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::lease;
use crate::limit::{Charge, Cost, Decision, Reading, Rule, State};
pub use check::{Answer, EngineAccess, LimitCheck, Locked};
use key::Key;
use page::eviction::Effect;

/// The counts of the store while it answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Live records that were dropped because their page was full.
    pub evicted: u64,
    /// Conflicts with other workers: each page was read and evaluated again.
    pub conflicts: u64,
    /// Records that the store has more than before.
    pub added: i64,
}

impl StoreStats {
    /// Adds what a state did to its page.
    pub const fn count(&mut self, effect: Effect) {
        self.evicted = self.evicted.saturating_add(effect.evicted);
        self.added = self.added.saturating_add(effect.added);
    }
}

/// Counters that can be looked at. Nothing that has only this can change one.
pub trait Peek {
    /// The counter as it is, by `rule`. The clock is read after the record, and a record that lies
    /// further in the future than its rule can have put it is read as if it were repaired.
    ///
    /// # Errors
    /// [`Fault`] if the counter cannot be had.
    fn peek(&self, key: &Key, rule: &Rule, clock: &impl Clock) -> Result<Reading, Fault> {
        let (decision, at) = self.ask(key, rule, Cost::Now(0), clock)?;
        let balance = decision.balance();
        Ok(Reading { balance, at })
    }

    /// The answer of `rule` to a request of this cost by the current counter, and its time.
    ///
    /// # Errors
    /// [`Fault`] if the counter cannot be had.
    fn ask(
        &self,
        key: &Key,
        rule: &Rule,
        cost: Cost,
        clock: &impl Clock,
    ) -> Result<(Decision, Timestamp), Fault> {
        let state = self.state(key)?;
        let now = clock.now();
        let evaluation = rule.evaluate(state.as_ref(), now, cost);
        Ok((evaluation.decision, now))
    }

    /// The record of the counter; `None` if it has none.
    ///
    /// # Errors
    /// [`Fault`] if the counter cannot be had.
    fn state(&self, key: &Key) -> Result<Option<State>, Fault>;
}

/// A store of counters.
pub trait Store: Peek {
    /// Answers all checks, and charges all of them or none. True if the request is admitted.
    ///
    /// `now` is the time of the request. Checks must have distinct keys. A check whose counter
    /// cannot be had is answered with the fault and charged nothing; the others hold as ever. A
    /// shadow check that would refuse is charged nothing either.
    fn try_charge_all(
        &mut self,
        checks: &mut [LimitCheck],
        now: Timestamp,
        clock: &impl Clock,
    ) -> bool;

    /// Cuts records that lie further in the future than their rules can have put them, after
    /// [`Store::try_charge_all`] met one. Checks that admit are answered anew by the stored state
    /// then.
    ///
    /// The clock is read after the record: only then that is the clock's doing, and not that of a
    /// worker which read it a moment later (decision 0005).
    fn repair(&mut self, checks: &mut [LimitCheck], clock: &impl Clock);

    /// Locks the key of a check that refused its request, unless it is locked already, and states
    /// the lock in the answer. If the record cannot be written, the answer stays.
    fn lock(&mut self, check: &mut LimitCheck, clock: &impl Clock) {
        if let Some((key, rule)) = check.lock_record()
            && let Ok((reading, _)) = self.force_charge(&key, &rule, 1, clock)
        {
            check.set_locked(reading.balance, Locked::ByThis);
        }
    }

    /// Charges `units` whether or not they fit: the final cost of a request. The counter after
    /// that, and the receipt. The clock is read after the record, as for a repair.
    ///
    /// # Errors
    /// [`Fault`] if the counter cannot be had: nothing is charged.
    fn force_charge(
        &mut self,
        key: &Key,
        rule: &Rule,
        units: u64,
        clock: &impl Clock,
    ) -> Result<(Reading, Charge), Fault>;

    /// Returns the units of one charge, as far as time has not returned them. The counter after
    /// that, by `rule`. The clock is read after the record, as for a repair.
    ///
    /// # Errors
    /// [`Fault`] if the counter cannot be had: the units stay charged.
    fn refund(
        &mut self,
        key: &Key,
        rule: &Rule,
        charge: &Charge,
        clock: &impl Clock,
    ) -> Result<Reading, Fault>;

    /// Changes the record of a lease. `change` gets the state, and the time read after it; it
    /// returns the state to store, or `None` to leave the record as it is.
    ///
    /// # Errors
    /// [`Fault`] if the record cannot be had or stored.
    fn change_lease<T>(
        &mut self,
        key: &Key,
        clock: &impl Clock,
        change: impl Fn(Option<&lease::State>, Timestamp) -> (Option<lease::State>, T),
    ) -> Result<T, Fault>;

    /// Removes the counter, the lock of its key, and the counter of this proxy's own share. Charges
    /// that were made before return nothing afterwards: they are of another life of the record.
    /// Returns whether there was any of these.
    ///
    /// # Errors
    /// [`Fault`] if the records cannot be had.
    fn reset(&mut self, key: &Key) -> Result<bool, Fault>;

    /// Returns the numbers since the last call.
    fn drain_stats(&mut self) -> StoreStats;
}
