//! The breaker: after faults in a row no request waits for the engine for some time.

use crate::base::time::{Span, SteadyTime};

/// Faults in a row that open the breaker.
const FAULTS_MAX: u32 = 3;

/// How long it stays open: this, less up to 20 % and plus up to 20 %.
const OPEN: Span = Span::from_nanos(1_000_000_000);

/// The state of one worker's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    faults: u32,
    /// When one call may try again; `None` while it is closed.
    until: Option<SteadyTime>,
    /// Whether that call is on its way.
    is_probing: bool,
}

/// A change that operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    Open,
    Closed,
}

impl Breaker {
    /// Whether a call may be made now, and a request wait for it.
    pub(super) fn allows(&self, now: SteadyTime) -> bool {
        match self.until {
            None => true,
            Some(until) => now >= until && !self.is_probing,
        }
    }

    /// A call is on its way.
    pub(super) const fn sent(&mut self) {
        self.is_probing = self.until.is_some();
    }

    /// The engine answered.
    pub(super) fn succeeded(&mut self) -> Option<Turned> {
        let turned = self.until.map(|_| Turned::Closed);
        *self = Self::default();
        turned
    }

    /// The engine did not answer, or with an error. `chance` is any number.
    pub(super) fn failed(&mut self, now: SteadyTime, chance: u64) -> Option<Turned> {
        self.is_probing = false;
        self.faults = self.faults.saturating_add(1);
        if self.faults < FAULTS_MAX {
            return None;
        }
        let turned = self.until.is_none().then_some(Turned::Open);
        let percent = chance
            .checked_rem(41)
            .unwrap_or_default()
            .saturating_add(80);
        let open = OPEN.nanos().saturating_mul(percent).checked_div(100);
        self.until = Some(now.after(Span::from_nanos(open.unwrap_or_default())));
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> SteadyTime {
        SteadyTime::from_nanos(millis.saturating_mul(1_000_000))
    }

    #[test]
    fn three_faults_in_a_row_open_it_and_one_probe_closes_it() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.failed(at(0), 20), None);
        assert_eq!(breaker.failed(at(0), 20), None);
        assert_eq!(breaker.succeeded(), None);
        for _ in 0..2 {
            assert_eq!(breaker.failed(at(0), 20), None);
        }
        assert!(breaker.allows(at(0)));
        assert_eq!(breaker.failed(at(0), 20), Some(Turned::Open));
        assert!(!breaker.allows(at(999)));
        assert!(breaker.allows(at(1_000)));
        breaker.sent();
        assert!(!breaker.allows(at(1_000)), "one probe at a time");
        assert_eq!(breaker.failed(at(1_050), 20), None);
        assert!(!breaker.allows(at(2_049)) && breaker.allows(at(2_050)));
        breaker.sent();
        assert_eq!(breaker.succeeded(), Some(Turned::Closed));
        assert!(breaker.allows(at(2_050)));
    }

    #[test]
    fn workers_do_not_all_try_again_at_once() {
        for chance in 0..100 {
            let mut breaker = Breaker::default();
            for _ in 0..FAULTS_MAX {
                breaker.failed(at(0), chance);
            }
            assert!(
                !breaker.allows(at(799)) && breaker.allows(at(1_201)),
                "{chance}"
            );
        }
    }
}
