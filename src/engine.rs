//! The verdict: all limits that apply to a request are evaluated, then all are charged or none.

#[cfg(test)]
mod simulation;

use crate::base::time::{Span, Timestamp};
use crate::host::stream::Clock;
use crate::limit::{Decision, Rule};
use crate::store::{LimitCheck, Store};

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No limit applies to it.
    Unlimited,
    /// Every limit admits it, and was charged.
    Admit,
    /// A limit refuses it; nothing was charged.
    Refuse(Refusal),
    /// The checks that lack units must ask the engine first; nothing was charged.
    Ask,
}

/// Which limit refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The check's place: of those that refuse, the one that makes the caller wait longest.
    pub check: usize,
    /// How long; `None` if no wait helps.
    pub retry_after: Option<Span>,
}

/// The wait of a caller if a counter could not be read and the limit says `deny`.
const FAULT_WAIT: Span = Span::from_seconds(1);

/// Answers all checks of one request, and charges them if all admit.
///
/// A record in the future is read again, at the time that the clock shows by then: either the clock
/// stepped back, and the record is repaired; or another worker overtook this one since it read the
/// clock, as at the turn of a window, and this worker's answer would be wrong. After a refusal all
/// checks are asked again, and that time becomes `now`. Limits with a lock that refuse are locked.
///
/// If only units that the engine may grant are missing, the verdict is to ask for them and to
/// decide again. A request that another limit refuses anyway asks for none.
pub fn decide(
    store: &mut impl Store,
    clock: &impl Clock,
    checks: &mut [LimitCheck],
    now: &mut Timestamp,
) -> Verdict {
    if checks.is_empty() {
        return Verdict::Unlimited;
    }
    let mut admitted = store.try_charge_all(checks, *now, clock);
    // No response states anything of a seat, so only a refusal needs to read it again.
    let is_told = |check: &LimitCheck| check.denies() || !matches!(check.rule, Rule::Seats(_));
    if checks
        .iter()
        .any(|check| check.is_ahead_of_clock && is_told(check))
    {
        store.repair(checks, clock);
        if !admitted {
            *now = clock.now();
            admitted = store.try_charge_all(checks, *now, clock);
        }
    }
    if admitted {
        return Verdict::Admit;
    }
    let is_refused = checks.iter().any(|check| !check.lacks && !check.admits());
    if !is_refused && checks.iter().any(|check| check.lacks) {
        return Verdict::Ask;
    }
    for check in checks.iter_mut().filter(|check| check.begins_lock()) {
        store.lock(check, clock);
    }
    let (check, retry_after) =
        longest_wait(checks, |check| !check.admits()).unwrap_or((0, Some(FAULT_WAIT)));
    Verdict::Refuse(Refusal { check, retry_after })
}

/// The place of the check that makes the caller wait longest among those that `refuses` picks, and
/// how long that is. If waiting does not help, that is longer than any wait; of equal ones the
/// first counts.
#[must_use]
pub fn longest_wait(
    checks: &[LimitCheck],
    refuses: impl Fn(&LimitCheck) -> bool,
) -> Option<(usize, Option<Span>)> {
    let refusing = checks
        .iter()
        .enumerate()
        .filter(|(_, check)| refuses(check));
    let waits = refusing.map(|(place, check)| (place, wait(check)));
    waits.rev().max_by_key(|(_, wait)| (wait.is_none(), *wait))
}

/// How long a check that denies makes its caller wait; `None` if no wait helps.
fn wait(check: &LimitCheck) -> Option<Span> {
    match &check.answer {
        Ok(Decision::Deny { retry_after, .. }) => Some(*retry_after),
        Ok(Decision::NeverFits(_)) => None,
        Ok(Decision::Admit(_)) | Err(_) => Some(FAULT_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{CounterOwner, LimitId};
    use crate::base::units::Refill;
    use crate::base::zone::Zone;
    use crate::host::fake::FixedClock;
    use crate::limit::calendar::{Calendar, Over};
    use crate::limit::gcra::Bucket;
    use crate::limit::period::Period;
    use crate::limit::{Cost, Enforcement, FailureMode};
    use crate::store::key::KeyMaker;
    use crate::store::memory::MemoryStore;

    /// Whose counters these are does not matter here.
    const OWNER: CounterOwner = CounterOwner::Limit(LimitId::FIRST);
    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    fn check(name: &str, burst: u32, refill: &str, cost: u64) -> LimitCheck {
        let rule = Rule::Bucket(Bucket::new(burst, Refill::parse(refill).unwrap()).unwrap());
        let key = KeyMaker::new(&[0; 16], 9)
            .partition(name.as_bytes())
            .finish();
        LimitCheck::new(OWNER, key, rule, Cost::Now(cost), FailureMode::Deny)
    }

    fn shadow(mut check: LimitCheck) -> LimitCheck {
        check.enforcement = Enforcement::Shadow;
        check
    }

    fn decide(store: &mut MemoryStore, mut checks: Vec<LimitCheck>) -> Verdict {
        super::decide(store, &FixedClock(NOW), &mut checks, &mut NOW.clone())
    }

    #[test]
    fn the_refusal_is_of_the_limit_that_makes_wait_longest() {
        let mut store = MemoryStore::default();
        let all = || {
            vec![
                check("a", 1, "1/s", 1),
                check("b", 1, "1/min", 1),
                check("c", 5, "1/h", 1),
            ]
        };
        assert_eq!(decide(&mut store, Vec::new()), Verdict::Unlimited);
        assert_eq!(decide(&mut store, all()), Verdict::Admit);
        assert_eq!(
            decide(&mut store, all()),
            Verdict::Refuse(Refusal {
                check: 1,
                retry_after: Some(Span::from_seconds(60))
            })
        );
        let never = vec![check("b", 1, "1/min", 1), check("d", 2, "1/s", 3)];
        assert_eq!(
            decide(&mut store, never),
            Verdict::Refuse(Refusal {
                check: 1,
                retry_after: None
            })
        );
    }

    #[test]
    fn a_shadow_limit_never_refuses_and_is_charged_only_where_it_admits() {
        let mut store = MemoryStore::default();
        let both = || vec![shadow(check("a", 1, "1/h", 1)), check("b", 3, "1/h", 1)];
        for _ in 0..3 {
            assert_eq!(decide(&mut store, both()), Verdict::Admit);
        }
        assert!(matches!(
            decide(&mut store, both()),
            Verdict::Refuse(Refusal { check: 1, .. })
        ));
        let mut asked = both();
        super::decide(&mut store, &FixedClock(NOW), &mut asked, &mut NOW.clone());
        assert!(asked[0].denies() && asked[0].admits() && asked[0].charge.is_none());
        // One that is refused by the enforced one takes nothing from the shadow.
        let both_deny = vec![shadow(check("c", 1, "1/h", 1)), check("b", 3, "1/h", 1)];
        assert!(matches!(decide(&mut store, both_deny), Verdict::Refuse(_)));
        assert_eq!(
            decide(&mut store, vec![check("c", 1, "1/h", 1)]),
            Verdict::Admit
        );
    }

    #[test]
    fn a_clock_that_stepped_back_is_mended_at_the_first_refusal() {
        let mut store = MemoryStore::default();
        let mut ask = |mut now: Timestamp, cost| {
            super::decide(
                &mut store,
                &FixedClock(now),
                &mut [check("a", 2, "1/s", cost)],
                &mut now,
            )
        };
        assert_eq!(ask(NOW.after(Span::from_seconds(9_999)), 2), Verdict::Admit);
        let wait = Some(Span::from_seconds(1));
        assert_eq!(
            ask(NOW, 1),
            Verdict::Refuse(Refusal {
                check: 0,
                retry_after: wait
            })
        );
        assert_eq!(ask(NOW.after(Span::from_seconds(1)), 1), Verdict::Admit);
    }

    #[test]
    fn a_worker_that_was_overtaken_at_the_turn_of_a_window_tells_the_truth() {
        let mut store = MemoryStore::default();
        let rule = Calendar::new(2, Over::Refuse, Period::Seconds(60), Zone::UTC).unwrap();
        let key = KeyMaker::new(&[0; 16], 9).partition(b"a").finish();
        let check = || {
            LimitCheck::new(
                OWNER,
                key,
                Rule::Calendar(rule),
                Cost::Now(1),
                FailureMode::Deny,
            )
        };
        let turn = Timestamp::from_nanos(1_020_000_000_000);
        let (before, after) = (
            turn.before(Span::from_nanos(1)),
            turn.after(Span::from_nanos(9)),
        );
        // Others take all of the new window before it looks at the record.
        for _ in 0..2 {
            assert_eq!(
                super::decide(
                    &mut store,
                    &FixedClock(after),
                    &mut [check()],
                    &mut after.clone()
                ),
                Verdict::Admit
            );
        }
        let mut now = before;
        let wait = Some(Span::from_seconds(60).less(Span::from_nanos(9)));
        let verdict = super::decide(&mut store, &FixedClock(after), &mut [check()], &mut now);
        assert_eq!(
            (verdict, now),
            (
                Verdict::Refuse(Refusal {
                    check: 0,
                    retry_after: wait
                }),
                after
            )
        );
    }
}
