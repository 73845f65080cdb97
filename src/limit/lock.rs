//! A lock: for some time after a refusal, nothing is admitted.
//!
//! ```text
//!   ──●──●──●──✗──────────────── locked ─────────────────┤──●──▶ time
//!               ▲ the refusal that locks     ✗   ✗ change nothing
//! ```
//!
//! The state is the end of the lock. Requests of a locked key neither extend the lock nor begin it
//! anew.

use super::{Balance, Cost, Evaluation};
use crate::base::rough::Rough;
use crate::base::time::{Span, Timestamp};

/// A lock of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    span: Span,
}

/// The state of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// When the lock ends.
    pub until: Timestamp,
}

/// The receipt of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    until: Timestamp,
}

impl Lock {
    /// A lock of this length.
    #[must_use]
    pub const fn new(span: Span) -> Self {
        Self { span }
    }

    /// The length.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Denies any cost while locked. Otherwise a cost of 0 only looks, and any other locks.
    #[must_use]
    pub fn evaluate(&self, state: Option<&State>, now: Timestamp, cost: Cost) -> Evaluation<State> {
        let after_repair = state.and_then(|state| self.repair(state, now));
        let state = after_repair.as_ref().or(state);
        let left = state.map_or(Span::ZERO, |state| state.until.since(now));
        if left > Span::ZERO {
            return Evaluation::deny(left, balance(left), cost, after_repair);
        }
        let after_charge = (cost.units() > 0).then(|| State {
            until: now.after(self.span),
        });
        let left = after_charge.map_or(Span::ZERO, |state| state.until.since(now));
        Evaluation::admit(balance(left), after_charge, after_repair)
    }

    /// Locks, unless it is locked already. `now` must be read after the state.
    #[must_use]
    pub fn force_charge(
        &self,
        state: Option<&State>,
        now: Timestamp,
        units: u64,
    ) -> (State, Balance) {
        let Evaluation {
            after_charge,
            after_repair,
            ..
        } = self.evaluate(state, now, Cost::Now(units));
        let state = after_charge.or(after_repair).or(state.copied());
        let state = state.unwrap_or(State { until: now });
        (state, balance(state.until.since(now)))
    }

    /// The state that ends no later than a lock that begins now: only a clock that stepped back
    /// leaves a later end, or an earlier policy with a longer lock.
    fn repair(&self, state: &State, now: Timestamp) -> Option<State> {
        let latest = now.after(self.span);
        (state.until > latest).then_some(State { until: latest })
    }
}

/// The balance of a key that is locked for `left`.
fn balance(left: Span) -> Balance {
    Balance {
        remaining: u64::from(left == Span::ZERO),
        overage: 0,
        next_unit_in: left,
        reset_in: left,
    }
}

impl State {
    /// The receipt for this lock.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        Charge { until: self.until }
    }

    /// The state without the lock of `charge`; `None` if it is another one, or over.
    #[must_use]
    pub fn refund(&self, charge: &Charge, now: Timestamp) -> Option<Self> {
        (self.until == charge.until && self.until > now).then_some(Self { until: now })
    }

    /// As [`super::State::eviction_cost`]: without the lock, all of the quota is there.
    #[must_use]
    pub fn eviction_cost(&self, now: Timestamp) -> u128 {
        super::eviction_cost([(1, self.until.since(now))], Rough::of(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Decision;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    const fn seconds(count: u64) -> Span {
        Span::from_seconds(count)
    }

    #[test]
    fn a_lock_holds_for_its_length_and_is_not_extended() {
        let lock = Lock::new(seconds(300));
        let look = |state: &State, now| lock.evaluate(Some(state), now, Cost::Now(0)).decision;
        assert!(lock.evaluate(None, NOW, Cost::Now(0)).decision.admits());
        let (state, left) = lock.force_charge(None, NOW, 1);
        assert_eq!((left.remaining, left.reset_in), (0, seconds(300)));
        for passed in [0, 1, 299] {
            let now = NOW.after(seconds(passed));
            let Decision::Deny { retry_after, .. } = look(&state, now) else {
                panic!("not locked after {passed} s")
            };
            assert_eq!(retry_after, seconds(300 - passed));
            assert_eq!(lock.force_charge(Some(&state), now, 1).0, state);
        }
        let end = NOW.after(seconds(300));
        assert!(look(&state, end).admits());
        let (again, _) = lock.force_charge(Some(&state), end, 1);
        assert_eq!(again.until, end.after(seconds(300)));
    }

    #[test]
    fn no_step_of_the_clock_locks_for_longer_than_the_length() {
        let lock = Lock::new(seconds(300));
        let (state, _) = lock.force_charge(None, NOW, 1);
        let earlier = NOW.before(seconds(900));
        let evaluation = lock.evaluate(Some(&state), earlier, Cost::Now(0));
        let repaired = evaluation.after_repair.unwrap();
        assert_eq!(repaired.until, earlier.after(seconds(300)));
        let Decision::Deny { retry_after, .. } = evaluation.decision else {
            panic!("not locked")
        };
        assert_eq!(retry_after, seconds(300));
    }

    #[test]
    fn a_refund_unlocks_once() {
        let lock = Lock::new(seconds(300));
        let (state, _) = lock.force_charge(None, NOW, 1);
        let open = state.refund(&state.charge(), NOW).unwrap();
        assert!(
            lock.evaluate(Some(&open), NOW, Cost::Now(0))
                .decision
                .admits()
        );
        assert_eq!(open.refund(&state.charge(), NOW), None);
    }
}
