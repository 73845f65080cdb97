//! A shared counter, as the engine keeps it: its charges, the holders of leases, and whether it is
//! locked.
//!
//! ```text
//!   taken = charged (it returns with the time) + held (each lease until its expiry)
//!   a lease ──┬─ is reported: charged now, as far as it was spent
//!             └─ lapses: charged in full, at its expiry
//! ```
//!
//! Why no more is ever spent than the limit states: a proxy spends a unit after it was granted and
//! before its lease ends. From the grant on the unit counts as held, and it is charged at its
//! report or at the expiry, so never before it was spent. A later charge returns later.
//!
//! This is the model of the script that Redis runs (`redis/take.lua`): the same steps on the same
//! whole numbers, below 2^53, so both answer alike to the last microsecond.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "the script's own arithmetic; no sum of a command's numbers comes near to an overflow"
)]

mod answered;
mod tally;

use std::collections::BTreeMap;

use super::command::{Command, Kind};
use super::take::{Answer, ProxyId, Rest, Take};
use crate::base::time::Span;
use answered::{Answered, Holder};
use tally::{Tally, muldiv};

/// The longest lease, in microseconds.
const LEASE_MAX: u64 = 300_000_000;

/// The shortest lease, and that of units which no proxy holds in advance.
const LEASE_MIN: u64 = 150_000;

/// Which part of the quota a lease's units times its length may take up: a twentieth.
const PART: u64 = 20;

/// A holder without units is remembered for this long, so that a late copy of its take is known.
const MEMORY: u64 = 10_000_000;

/// The soonest that it makes sense to ask again.
const AGAIN_MIN: u64 = 1_000;

/// A counter that proxies share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter {
    /// The engine's time at the last take.
    time: u64,
    /// An engine time at or before this may be reckoned from before a step back of the clock.
    doubt: u64,
    tally: Tally,
    /// Nothing is granted before this instant.
    locked_until: u64,
    holders: BTreeMap<ProxyId, Holder>,
}

/// This proxy's lease before the grant.
struct Own {
    /// Units that stay in it.
    held: u64,
    /// Its expiry, if any stay.
    expiry: u64,
    /// Whether the former lease is gone.
    lapsed: bool,
}

/// The holdings of other proxies.
#[derive(Default)]
struct Others {
    held: u64,
    /// How many of them hold units in advance.
    spare: u64,
    /// When the first of these leases lapses.
    first: Option<u64>,
}

impl Counter {
    /// Answers one take. `now` is the engine's time, in microseconds since the epoch.
    pub fn take(&mut self, now: u64, take: &Take) -> Answer {
        let command = &Command::of(take);
        if let Some(holder) = self.holders.get(&command.proxy) {
            if holder.answered.seq == command.seq {
                return holder.again(now.max(self.time));
            }
            if holder.answered.seq > command.seq {
                return stale(command, now);
            }
        }
        self.follow(now);
        self.lapse(command, now);
        let own = self.report(command, now);
        self.tally.settle(command, now);
        if command.kind == Kind::Calendar || command.since > self.doubt {
            self.tally.refund(command, now);
        }
        if command.lock > 0 && self.locked_until <= now {
            self.locked_until = now + command.lock;
        }
        let others = self.others(command.proxy);
        let (mut holder, left) = self.grant(command, now, &own, &others);
        let taken = others.held + holder.held;
        holder.answered = self.answered(command, now, &holder, &others, left);
        holder.answered.lapsed = own.lapsed;
        if taken + self.tally.used(command) > 0 {
            let more = u64::try_from(left).unwrap_or_default() + 1;
            holder.answered.next = self.tally.free_in(command, now, taken, more);
            holder.answered.reset = self.tally.free_in(command, now, taken, command.quota);
        }
        let answer = holder.answer(now);
        self.holders.insert(command.proxy, holder);
        answer
    }

    /// Follows the clock. If it has stepped back, all instants move along, as if no time had passed
    /// since the last take: charged and held units stay so for longer, and no proxy waits for the
    /// clock to return. Refunds are void as long as a proxy may reckon with the time of before: it
    /// hears of the new one when its lease ends at the latest.
    fn follow(&mut self, now: u64) {
        let back = self.time.saturating_sub(now);
        if back > 0 {
            self.doubt = self.doubt.max(self.time + LEASE_MAX);
            self.tally.move_back(back);
            self.locked_until = self.locked_until.saturating_sub(back);
            for holder in self.holders.values_mut() {
                holder.move_back(back);
            }
        }
        self.time = now;
    }

    /// Charges the leases that have lapsed, each at its expiry, the first one first; and forgets
    /// the holders of which no copy of a take can arrive any more.
    fn lapse(&mut self, command: &Command, now: u64) {
        let mut lapsed: Vec<(u64, ProxyId)> = self
            .holders
            .iter()
            .filter(|(_, holder)| holder.held > 0 && holder.expiry <= now)
            .map(|(proxy, holder)| (holder.expiry, *proxy))
            .collect();
        lapsed.sort_unstable();
        for (expiry, proxy) in lapsed {
            if let Some(holder) = self.holders.get_mut(&proxy) {
                self.tally.charge(command, expiry, holder.held);
                (holder.held, holder.spare) = (0, false);
            }
        }
        self.holders.retain(|proxy, holder| {
            *proxy == command.proxy || holder.held > 0 || holder.keep >= now
        });
    }

    /// Charges the units that the proxy reports. Returns the rest of its lease.
    fn report(&mut self, command: &Command, now: u64) -> Own {
        let mut own = Own {
            held: 0,
            expiry: 0,
            lapsed: true,
        };
        let held = self.holders.get(&command.proxy).map_or(0, |own| own.held);
        if held > 0 {
            let rest = held.saturating_sub(command.spent);
            let forgotten = if command.rest == Rest::Forgotten {
                rest
            } else {
                0
            };
            self.tally.charge(command, now, command.spent + forgotten);
            // Of a lease that was spent whole nothing is left to prolong.
            if command.rest == Rest::Keep && rest > 0 {
                own.held = rest;
                own.lapsed = false;
                if let Some(holder) = self.holders.get(&command.proxy) {
                    own.expiry = holder.expiry;
                }
            }
        }
        self.tally.charge(command, now, command.extra);
        own
    }

    fn others(&self, proxy: ProxyId) -> Others {
        let mut others = Others::default();
        for (_, holder) in self.holders.iter().filter(|(other, _)| **other != proxy) {
            others.held += holder.held;
            if holder.spare {
                others.spare += 1;
                let first = others.first.unwrap_or(holder.expiry);
                others.first = Some(first.min(holder.expiry));
            }
        }
        others
    }

    /// The proxy's new lease, and the units that are left after it.
    fn grant(&self, command: &Command, now: u64, own: &Own, others: &Others) -> (Holder, i64) {
        let taken = self.tally.used(command) + others.held + own.held;
        let available = signed(command.quota) - signed(taken);
        let open = command.kind != Kind::Calendar || (command.start..command.span).contains(&now);
        let mut granted = 0;
        if open && self.locked_until <= now {
            let room = u64::try_from(available).unwrap_or_default();
            granted = command.need.min(room);
            if room > command.need {
                let part = (room - command.need) / (2 * (others.spare + 1));
                granted = command.want.min(command.need + part);
            }
        }
        let held = own.held + granted;
        let spare = held > command.need;
        let mut expiry = own.expiry.max(now + lease(command, held, spare));
        if command.kind == Kind::Calendar {
            expiry = expiry.min(command.span);
        }
        let before = self.holders.get(&command.proxy);
        let keep = (now + MEMORY).max(worth_until(command, now));
        let holder = Holder {
            held,
            expiry,
            spare,
            keep: before.map_or(keep, |before| before.keep.max(keep)),
            answered: Answered {
                granted,
                ..Answered::default()
            },
        };
        (holder, available - signed(granted))
    }

    /// The answer, except for the times of the units that return.
    fn answered(
        &self,
        command: &Command,
        now: u64,
        holder: &Holder,
        others: &Others,
        left: i64,
    ) -> Answered {
        let mut answered = Answered {
            seq: command.seq,
            at: now,
            left,
            locked: self.locked_until.saturating_sub(now),
            ..holder.answered
        };
        if answered.granted >= command.need {
            return answered;
        }
        if answered.locked > 0 {
            (answered.wait, answered.again) = (answered.locked, answered.locked);
            return answered;
        }
        let held = others.held + holder.held;
        let lack = command.need - answered.granted;
        let wait = match command.kind {
            Kind::Calendar if now < command.start => command.start - now,
            Kind::Calendar => command.span.saturating_sub(now),
            Kind::Bucket | Kind::Rolling if command.need > command.quota => command.span,
            Kind::Bucket | Kind::Rolling => self.tally.free_in(command, now, held, lack),
        };
        answered.wait = wait.max(1);
        let next = self.tally.free_in(command, now, held, 1);
        let first = others.first.map_or(wait, |first| first.saturating_sub(now));
        answered.again = wait.min(first).max(AGAIN_MIN);
        if next > 0 {
            answered.again = answered.again.min(next.max(AGAIN_MIN));
        }
        answered
    }
}

/// How long a lease of `held` units lives: the more units, the shorter.
fn lease(command: &Command, held: u64, spare: bool) -> u64 {
    if !spare {
        return LEASE_MIN;
    }
    let window = match command.kind {
        Kind::Bucket | Kind::Rolling => command.span,
        Kind::Calendar => command.window().min(LEASE_MAX),
    };
    let (long, _) = muldiv((window / PART).max(1), command.quota, held.min(1 << 45));
    long.clamp(LEASE_MIN, LEASE_MAX)
}

/// Until when the take's refund, if it has one, would be worth anything: so long must a copy of the
/// take be known as one.
fn worth_until(command: &Command, now: u64) -> u64 {
    match command.kind {
        _ if command.refund == 0 => 0,
        Kind::Bucket => now + muldiv(command.span, command.refund, command.quota.max(1)).0,
        Kind::Rolling => now + command.span,
        Kind::Calendar => command.span,
    }
}

/// The answer to a take that a later one of the same proxy has overtaken.
fn stale(command: &Command, now: u64) -> Answer {
    let wait = Span::from_micros(if command.need > 0 { AGAIN_MIN } else { 0 });
    Answer {
        wait,
        again: wait,
        now,
        lapsed: true,
        ..Answer::default()
    }
}

/// The number with a sign; no count of a counter is beyond 2^53.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
