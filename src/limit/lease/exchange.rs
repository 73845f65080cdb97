//! The messages of a proxy and the engine about a lease: a take, and its answer.
//!
//! The same take is sent again until it is answered, with the same number and the same units:
//! whether its answer or the take itself was lost, nothing is counted twice. Its number counts up
//! from the steady clock, so that a record that was lost does not repeat one.

use super::{Heard, Held, Lease, Pending, State, Unreported};
use crate::base::time::{Span, SteadyTime, Timestamp};
use crate::fleet::take::{Answer, ProxyId, Rest, Take};

/// Why the engine is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Requests wait for units.
    Need(u64),
    /// The lease is nearly used up, or something is to be reported.
    #[default]
    Refill,
    /// The lease ends soon: it is renewed if it is in use, and otherwise returned.
    Review,
}

/// The result of the intention to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A take is to be sent, once the state is stored.
    Take {
        /// The take.
        take: Take,
        /// The units that it returns.
        returned: u64,
    },
    /// Another worker waits for an answer.
    Elsewhere,
    /// There is nothing to ask for: the units are there, or the engine has refused them.
    Needless,
}

/// The effect of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entered {
    /// Units that the engine granted.
    pub granted: u64,
    /// Units that the engine charged because the lease had lapsed.
    pub lapsed: u64,
    /// How long the counter is locked.
    pub locked: Span,
}

/// A new caller's lease.
const SIZE_FIRST: u64 = 8;

/// The longest time for which a refusal is remembered.
const REFUSED_MAX: Span = Span::from_seconds(1);

/// A refusal is remembered for this share of the window at least: half a percent.
const REFUSED_SHARE: u64 = 200;

/// The clocks of two machines run apart by at most this share of a span: one percent.
pub(super) fn drift(span: Span) -> Span {
    Span::from_nanos(span.nanos().div_ceil(100))
}

/// Time between the look at the clock and the moment at which a unit is really spent.
const HASTE: Span = Span::from_nanos(2_000_000);

impl Lease {
    /// Begins to ask the engine for `purpose`, at the latest until `timeout` from now. Returns the
    /// state to store, and the next step.
    #[must_use]
    pub fn begin(
        &self,
        state: Option<&State>,
        (purpose, lock): (Purpose, Span),
        proxy: ProxyId,
        (now, timeout): (Timestamp, Span),
    ) -> (Option<State>, Begun) {
        let mut state = self.current(state, now);
        // Without a word of the engine there may be a lease that this record knows nothing of.
        let is_new = state.heard.is_none();
        let until = self.at.after(timeout);
        if let Some(pending) = &mut state.pending {
            if self.at < pending.until {
                return (None, Begun::Elsewhere);
            }
            pending.until = until;
            let pending = *pending;
            let take = self.take(&state, pending, proxy, now);
            return (Some(state), Begun::Take { take, returned: 0 });
        }
        let returned = self.left(&state, now);
        let Some((rest, need, want)) = self.wishes(&mut state, (purpose, lock), is_new, now) else {
            return (None, Begun::Needless);
        };
        let first = self.at.micros().min(SEQ_MAX);
        state.seq = state.seq.saturating_add(1).max(first);
        let returned = if rest == Rest::Return { returned } else { 0 };
        if rest != Rest::Keep {
            state.held.left = 0;
        }
        let pending = Pending {
            until,
            report: std::mem::take(&mut state.unreported),
            rest,
            need,
            want,
            lock,
        };
        state.pending = Some(pending);
        let take = self.take(&state, pending, proxy, now);
        (Some(state), Begun::Take { take, returned })
    }

    /// The use of the rest of the lease, the units that waiting requests need, and the units wanted
    /// in addition; `None` if there is nothing to ask for.
    fn wishes(
        &self,
        state: &mut State,
        (purpose, lock): (Purpose, Span),
        is_new: bool,
        now: Timestamp,
    ) -> Option<(Rest, u64, u64)> {
        let left = self.left(state, now);
        let is_live = self.is_live(&state.held, now);
        let Unreported {
            spent,
            extra,
            refund,
            ..
        } = state.unreported;
        let reports = extra > 0 || refund > 0 || lock > Span::ZERO;
        let need = match purpose {
            Purpose::Need(units) => {
                let has_units = units <= left && state.heard.is_some();
                let is_refused = state
                    .heard
                    .is_some_and(|heard| self.at < heard.refused_until);
                if (has_units || is_refused) && !reports {
                    return None;
                }
                units.saturating_sub(left)
            }
            Purpose::Refill if !reports && !self.is_due(state, now) => return None,
            Purpose::Refill => 0,
            Purpose::Review if state.held.left == 0 && spent == 0 && !reports => return None,
            // Nothing was spent since the last answer: others may need the units.
            Purpose::Review if spent == 0 => return Some((Rest::Return, 0, 0)),
            Purpose::Review => 0,
        };
        let rest = match (is_new, is_live) {
            (true, _) => Rest::Forgotten,
            (false, true) => Rest::Keep,
            // By the engine's clock it may live on.
            (false, false) => Rest::Return,
        };
        let size = self.next_size(state, left);
        state.held.size = size;
        let in_advance = if self.counts() {
            0
        } else {
            size.saturating_sub(left)
        };
        Some((rest, need, need.saturating_add(in_advance)))
    }

    /// How many units to take in advance: twice as many if the last ones are nearly used up, half
    /// as many if most of them are left.
    fn next_size(&self, state: &State, left: u64) -> u64 {
        let most = self.most_in_advance();
        let size = state.held.size;
        let next = if size == 0 {
            SIZE_FIRST
        } else if self.is_low(state) {
            size.saturating_mul(2)
        } else if left.saturating_mul(2) > state.held.granted {
            size.checked_div(2).unwrap_or_default().max(1)
        } else {
            size
        };
        next.min(most)
    }

    fn take(&self, state: &State, pending: Pending, proxy: ProxyId, now: Timestamp) -> Take {
        let Unreported {
            spent,
            extra,
            refund,
            since,
        } = pending.report;
        Take {
            counter: self.name,
            numbers: self.counted.numbers(self.time_of(state, now)),
            proxy,
            seq: state.seq,
            spent,
            extra,
            refund,
            since,
            rest: pending.rest,
            need: pending.need,
            want: pending.want,
            lock: pending.lock,
        }
    }

    /// Enters the answer to the take `seq`, which was sent at the time of `sent`. The state to
    /// store; `None` if it answers no take that this record waits for.
    #[must_use]
    pub fn enter(
        &self,
        state: Option<&State>,
        (seq, sent): (u64, Sent),
        answer: &Answer,
        now: Timestamp,
    ) -> Option<(State, Entered)> {
        let mut state = self.current(state, now);
        let pending = state.pending.take().filter(|_| seq == state.seq)?;
        let mut entered = Entered {
            granted: answer.granted,
            locked: answer.locked,
            ..Entered::default()
        };
        let held = &mut state.held;
        if answer.lapsed {
            entered.lapsed = held.left;
            // Units spent meanwhile belong to the lease that the engine has charged in full.
            (held.left, state.unreported.spent) = (0, 0);
            // Nor does a refund of those units go into the new lease.
            state.seq = state.seq.saturating_add(1);
        }
        let valid = answer.valid.less(drift(answer.valid)).less(HASTE);
        *held = Held {
            left: held.left.saturating_add(answer.granted),
            since: sent.at,
            until: sent.at.after(valid),
            until_wall: sent.wall.after(valid),
            ..*held
        };
        if answer.valid == Span::ZERO {
            held.left = 0;
        }
        held.granted = held.left;
        // Nothing is there in advance either: the next one to lack units asks later.
        let is_empty = answer.granted == 0 && pending.want > 0 && answer.left <= 0;
        let (refused_until, wait_until) = if answer.granted < pending.need || is_empty {
            (
                self.at.after(self.refused_for(answer.again, now)),
                self.at.after(answer.wait),
            )
        } else {
            (SteadyTime::ZERO, SteadyTime::ZERO)
        };
        state.heard = Some(Heard {
            at: self.at,
            engine: answer.now,
            left: answer.left,
            next: self.at.after(answer.next),
            reset: self.at.after(answer.reset),
            refused_until,
            wait_until,
        });
        Some((state, entered))
    }

    /// How long a refusal is remembered if asking again makes sense after `again`. If units come
    /// back one by one and fast, it waits for several, so that not each of them costs a call.
    fn refused_for(&self, again: Span, now: Timestamp) -> Span {
        let window = self.counted.rule().window(now);
        let least = window.nanos().checked_div(REFUSED_SHARE);
        again
            .max(Span::from_nanos(least.unwrap_or_default()))
            .min(REFUSED_MAX)
    }

    /// The take `seq` has no answer: the next worker that asks sends it again at once. `None` if
    /// the record waits for no such take.
    #[must_use]
    pub fn give_up(&self, state: Option<&State>, seq: u64) -> Option<State> {
        let mut state = state.copied().filter(|state| state.seq == seq)?;
        state.pending.as_mut()?.until = self.at;
        Some(state)
    }
}

/// When a take was sent for the first time, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By the clock that never steps.
    pub at: SteadyTime,
    /// By the wall clock.
    pub wall: Timestamp,
}

/// The engine's numbers are exact up to this.
const SEQ_MAX: u64 = (1 << 53) - 1;
