//! The counters of all limits: one transaction for all that one request asks.
//!
//! ```text
//!   claims ─▶ read their pages ─▶ evaluate every limit ─▶ all admit? ─▶ swap page by page ─▶ taken
//!                   ▲                                         │ no            │ conflict
//!                   │                                         ▼               ▼
//!                   └─────────────── what was written is given back ◀── read again, evaluate again
//! ```
//!
//! Promises, each held by the `contract` suite and the `simulation`:
//! never more is admitted than a limit states, whatever the interleaving; a refused request takes
//! nothing from any limit; the memory is bounded by the operator's `keys_max`.

#[cfg(test)]
mod contract;
pub mod key;
pub mod memory;
pub mod page;
pub mod shared;
#[cfg(test)]
mod simulation;

use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::gcra::{Bucket, Charge};
use crate::limit::{Decision, FailureMode};
use key::Key;

/// What one limit answered.
pub type Answer = Result<Decision, Fault>;

/// One limit's part in one request: the question, then the answer.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Where the counter is.
    pub key: Key,
    /// The rule.
    pub bucket: Bucket,
    /// Units asked for.
    pub cost: u32,
    /// What holds if the counter cannot be had.
    pub failure: FailureMode,
    /// Set by [`Store::take`].
    pub answer: Answer,
    /// Set by [`Store::take`] where the claim was charged.
    pub charge: Option<Charge>,
    /// Set by [`Store::take`] where the debt is longer than the bucket charged last can owe.
    pub in_need_of_repair: bool,
}

impl Claim {
    /// A claim not yet asked.
    #[must_use]
    pub const fn new(key: Key, bucket: Bucket, cost: u32, failure: FailureMode) -> Self {
        Self { key, bucket, cost, failure, answer: Err(Fault::Contended), charge: None, in_need_of_repair: false }
    }

    /// Whether this limit lets the request through.
    #[must_use]
    pub fn admits(&self) -> bool {
        match &self.answer {
            Ok(decision) => decision.admits(),
            Err(_) => self.failure == FailureMode::Allow,
        }
    }
}

/// A store of counters.
pub trait Store {
    /// Answers all claims, and charges all of them or none. True where the request is admitted.
    ///
    /// `now` is the time of the request. Claims must have distinct keys. A claim whose counter
    /// cannot be had is answered with the fault and charged nothing; the others hold as ever.
    fn take(&mut self, claims: &mut [Claim], now: Timestamp, clock: &impl Clock) -> bool;

    /// Cuts debts that are longer than the bucket charged last can owe, after [`Store::take`] refused
    /// a request with such a claim.
    ///
    /// The clock is read after the record: only then a longer debt is the clock's doing, and not
    /// that of a worker which read it a moment later (decision 0005).
    fn repair(&mut self, claims: &[Claim], clock: &impl Clock);

    /// Returns the units of one charge, as far as time has not refilled them. The clock is read
    /// after the record, as for a repair.
    ///
    /// # Errors
    /// [`Fault`] where the counter cannot be had: the units stay charged.
    fn give_back(&mut self, key: &Key, charge: &Charge, clock: &impl Clock) -> Result<(), Fault>;

    /// Live records dropped since the last call because their page was full.
    fn drain_evictions(&mut self) -> u64;
}
