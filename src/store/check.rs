//! A check: one limit's part in one request, the question and then the answer.

use super::Peek;
#[cfg(doc)]
use super::Store;
use super::key::Key;
use crate::base::id::CounterOwner;
use crate::base::time::{Span, Timestamp};
use crate::host::fault::Fault;
use crate::host::stream::Clock;
use crate::limit::lock::Lock;
use crate::limit::{
    Balance, Charge, Cost, Decision, Enforcement, Evaluation, FailureMode, Reading, Rule, State,
};

/// The answer of one limit.
pub type Answer = Result<Decision, Fault>;

/// One limit's part in one request: the question, then the answer.
#[derive(Clone, Debug)]
pub struct LimitCheck {
    /// The limit or seat limit that asks.
    pub owner: CounterOwner,
    /// The key of the counter.
    pub key: Key,
    /// The rule.
    pub rule: Rule,
    /// Units asked for.
    pub cost: Cost,
    /// The number of that cost among those of the limit.
    pub cost_number: usize,
    /// Whether the answer counts.
    pub enforcement: Enforcement,
    /// The treatment of the request if the counter is unavailable.
    pub failure: FailureMode,
    /// The lock that a refusal begins.
    pub lock: Option<Lock>,
    /// Set by [`Store::try_charge_all`].
    pub answer: Answer,
    /// When the answer held. Set by [`Store::try_charge_all`].
    pub at: Timestamp,
    /// Set by [`Store::try_charge_all`] if the check was charged.
    pub charge: Option<Charge>,
    /// Whether the answer is not known here: the engine must be asked first. Set by
    /// [`Store::try_charge_all`].
    pub lacks: bool,
    /// Whether the engine is to be asked soon, without a wait. Set by [`Store::try_charge_all`].
    pub is_due: bool,
    /// Whether it is to be asked at once. Set by [`Store::try_charge_all`].
    pub is_urgent: bool,
    /// Whether the engine can be asked. If not, a check that lacks units has no answer.
    pub access: EngineAccess,
    /// Set by [`Store::try_charge_all`] if the record lies further in the future than its rule can
    /// have put it.
    pub is_ahead_of_clock: bool,
    /// Whether the key is locked. Set by [`Store::try_charge_all`] and [`Store::lock`].
    pub locked: Locked,
    /// The state to store if the request is admitted.
    pub(super) next: Option<State>,
}

impl LimitCheck {
    /// A check not yet asked.
    #[must_use]
    pub const fn new(
        owner: CounterOwner,
        key: Key,
        rule: Rule,
        cost: Cost,
        failure: FailureMode,
    ) -> Self {
        Self {
            owner,
            key,
            rule,
            cost,
            cost_number: 0,
            enforcement: Enforcement::Enforce,
            failure,
            lock: None,
            answer: Err(Fault::Contended),
            at: Timestamp::from_nanos(0),
            charge: None,
            lacks: false,
            is_due: false,
            is_urgent: false,
            access: EngineAccess::Open,
            is_ahead_of_clock: false,
            locked: Locked::No,
            next: None,
        }
    }

    /// Whether this limit lets the request through.
    #[must_use]
    pub fn admits(&self) -> bool {
        !self.lacks && (self.enforcement == Enforcement::Shadow || !self.denies())
    }

    /// Whether this limit refuses the request, or would if it were enforced.
    #[must_use]
    pub fn denies(&self) -> bool {
        if self.lacks {
            return false;
        }
        match &self.answer {
            Ok(decision) => !decision.admits(),
            Err(_) => self.failure == FailureMode::Deny,
        }
    }

    /// The record of the lock, and its rule, if the limit has one.
    #[must_use]
    pub fn lock_record(&self) -> Option<(Key, Rule)> {
        Some((self.key.lock(), Rule::Lock(self.lock?)))
    }

    /// Whether the refusal by this check begins a lock.
    #[must_use]
    pub fn begins_lock(&self) -> bool {
        let denies = matches!(&self.answer, Ok(decision) if !decision.admits());
        self.lock.is_some()
            && denies
            && self.locked == Locked::No
            && self.enforcement == Enforcement::Enforce
    }

    /// Answers the check by the state of its lock, after [`LimitCheck::evaluate`].
    pub(super) fn evaluate_lock(
        &mut self,
        rule: &Rule,
        state: Result<Option<&State>, Fault>,
        now: Timestamp,
    ) {
        self.locked = Locked::No;
        match state {
            Ok(state) => {
                let Evaluation {
                    decision,
                    after_repair,
                    ..
                } = rule.evaluate(state, now, Cost::Now(0));
                self.is_ahead_of_clock |= after_repair.is_some();
                if !decision.admits() {
                    self.set_locked(decision.balance(), Locked::Before);
                }
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// The key is locked, with this balance.
    pub(super) fn set_locked(&mut self, balance: Balance, locked: Locked) {
        let lock = balance.reset_in;
        let decision = match self.answer {
            Ok(Decision::NeverFits(_)) => Decision::NeverFits(balance),
            Ok(Decision::Deny { retry_after, .. }) => Decision::Deny {
                retry_after: retry_after.max(lock),
                balance,
            },
            Ok(Decision::Admit(_)) => Decision::Deny {
                retry_after: lock,
                balance,
            },
            Err(_) => return,
        };
        (self.answer, self.next, self.locked) = (Ok(decision), None, locked);
        (self.lacks, self.is_due) = (false, false);
    }

    /// Answers the check by the stored state, and charges nothing yet.
    pub(super) fn evaluate(&mut self, state: Result<Option<&State>, Fault>, now: Timestamp) {
        (self.charge, self.at, self.is_due) = (None, now, false);
        self.is_urgent = false;
        if let Rule::Lease(lease) = &self.rule
            && let Ok(state) = state
        {
            self.lacks = lease.lacks(state.and_then(State::lease), now, self.cost);
            if self.access != EngineAccess::Open
                && std::mem::take(&mut self.lacks)
                && self.cost.units() > 0
            {
                return self.fail(Fault::Engine);
            }
        }
        match state.map(|state| self.rule.evaluate(state, now, self.cost)) {
            Ok(evaluation) => {
                self.is_ahead_of_clock = evaluation.after_repair.is_some();
                self.answer = Ok(evaluation.decision);
                self.next = evaluation.after_charge;
                self.note_due(now);
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Answers the check as [`Store::try_charge_all`] would, and changes nothing in the store.
    pub fn ask(&mut self, store: &impl Peek, clock: &impl Clock) {
        (self.charge, self.next, self.locked) = (None, None, Locked::No);
        self.is_ahead_of_clock = false;
        match store.ask(&self.key, &self.rule, self.cost, clock) {
            Ok((decision, at)) => {
                let decision = if matches!(self.rule, Rule::Lease(_)) {
                    self.as_heard(decision, store, clock)
                } else {
                    decision
                };
                (self.answer, self.at) = (Ok(decision), at);
            }
            Err(fault) => self.fail(fault),
        }
        if let Some((key, rule)) = self.lock_record() {
            match store.peek(&key, &rule, clock) {
                Ok(Reading { balance, .. }) if balance.reset_in > Span::ZERO => {
                    self.set_locked(balance, Locked::Before);
                }
                Ok(_) => {}
                Err(fault) => self.fail(fault),
            }
        }
    }

    /// The decision that the engine will probably confirm, if its last answer has the units that
    /// this proxy does not hold.
    fn as_heard(&self, decision: Decision, store: &impl Peek, clock: &impl Clock) -> Decision {
        let units = self.cost.units();
        match store.peek(&self.key, &self.rule, clock) {
            Ok(Reading { balance, .. }) if units <= balance.remaining => Decision::Admit(Balance {
                remaining: balance.remaining.saturating_sub(units),
                ..balance
            }),
            Ok(_) | Err(_) => decision,
        }
    }

    /// Notes whether the engine needs a report of the state after the charge soon.
    fn note_due(&mut self, now: Timestamp) {
        if let (Rule::Lease(lease), Some(State::Lease(next))) = (&self.rule, &self.next) {
            self.is_due = lease.is_due(next, now);
            self.is_urgent = self.is_due && lease.is_urgent(next);
        }
    }

    /// The counter cannot be had; the failure mode decides.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.answer = Err(fault);
        (self.charge, self.next, self.is_ahead_of_clock) = (None, None, false);
        (self.lacks, self.is_due) = (false, false);
    }

    /// The counter as it is by a later look at it.
    pub(super) fn set_reading(&mut self, Reading { balance, at }: Reading) {
        (self.answer, self.at) = (Ok(Decision::Admit(balance)), at);
    }

    /// Makes out the receipt for the state to be stored, if there is one.
    pub(super) fn make_charge(&mut self, now: Timestamp) {
        self.charge = self
            .next
            .as_ref()
            .map(|state| state.charge(self.cost.units(), now));
    }
}

/// Whether the key of a check is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locked {
    /// It is not.
    #[default]
    No,
    /// An earlier refusal locked it.
    Before,
    /// The refusal of this request locked it.
    ByThis,
}

/// Whether a check can ask the engine of limits that all proxies share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineAccess {
    /// It can.
    #[default]
    Open,
    /// It cannot: the units that this proxy holds must do.
    CutOff,
    /// It cannot, and lacked units: the failure mode of the limit decides.
    FellBack,
}
