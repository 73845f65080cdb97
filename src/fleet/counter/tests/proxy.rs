//! A proxy as far as it matters to a counter: it spends at any instant at which it may.

use std::collections::BTreeMap;

use crate::fleet::take::{Answer, ProxyId, Rest, Take};

/// A unit's place in the list of all units of a game.
pub(super) type UnitId = usize;

/// A proxy of a game. Its instants are true ones.
#[derive(Debug, Default)]
pub(super) struct Proxy {
    pub(super) id: u64,
    pub(super) seq: u64,
    /// The units of its lease.
    pub(super) left: Vec<UnitId>,
    /// When its lease ends.
    pub(super) end: u64,
    /// Units of the lease that are spent and not reported.
    pub(super) spent: Vec<UnitId>,
    /// Units that became known too late for any lease, and are not reported.
    pub(super) extra: Vec<UnitId>,
    /// Reported units, each with an engine time before its charge.
    pub(super) refundable: Vec<(UnitId, u64)>,
    /// Those that shall be given back.
    pub(super) refund: Vec<(UnitId, u64)>,
    /// The engine's time in the last answer, and the time of its arrival.
    pub(super) heard: (u64, u64),
    /// A lower bound of the engine's time at which a unit was spent.
    pub(super) since: BTreeMap<UnitId, u64>,
    pub(super) flight: Option<Flight>,
}

/// A take that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) take: Take,
    /// When it was sent for the first time.
    pub(super) sent: u64,
    pub(super) spent: Vec<UnitId>,
    pub(super) extra: Vec<UnitId>,
    pub(super) refund: Vec<(UnitId, u64)>,
}

impl Proxy {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Spends one unit, if it may.
    pub(super) fn spend(&mut self, now: u64) -> Option<UnitId> {
        if now >= self.end {
            return None;
        }
        let unit = self.left.pop()?;
        self.spent.push(unit);
        self.note(now, unit);
        Some(unit)
    }

    /// Notes when a unit was spent, as the engine would say it: one percent is for drift. After a
    /// step of its clock this is wrong.
    pub(super) fn note(&mut self, now: u64, unit: UnitId) {
        let (engine, at) = self.heard;
        if engine > 0 {
            self.since.insert(unit, engine + (now - at) * 99 / 100);
        }
    }

    /// Sends a new take, which reports everything.
    pub(super) fn send(&mut self, now: u64, mut take: Take) {
        self.seq = now.max(self.seq + 1);
        if take.rest != Rest::Keep {
            self.left.clear();
        }
        if take.rest == Rest::Forgotten {
            self.spent.clear();
            self.extra.clear();
        }
        let spent = std::mem::take(&mut self.spent);
        let extra = std::mem::take(&mut self.extra);
        let refund = std::mem::take(&mut self.refund);
        take.proxy = ProxyId(self.id);
        take.seq = self.seq;
        take.spent = spent.len() as u64;
        take.extra = extra.len() as u64;
        take.refund = refund.len() as u64;
        take.since = refund.iter().map(|(_, since)| *since).min().unwrap_or(0);
        self.flight = Some(Flight {
            take,
            sent: now,
            spent,
            extra,
            refund,
        });
    }

    /// Hears an answer; whether it is one to its take.
    pub(super) fn hear(
        &mut self,
        now: u64,
        take: &Take,
        answer: &Answer,
        units: &[UnitId],
    ) -> bool {
        if self
            .flight
            .as_ref()
            .is_none_or(|flight| flight.take.seq != take.seq)
        {
            return false;
        }
        let Some(flight) = self.flight.take() else {
            return false;
        };
        let end = flight.sent + answer.valid.nanos() / 1_000;
        if answer.lapsed {
            // Units spent of it since are charged, too.
            self.left.clear();
            self.spent.clear();
            self.end = end;
        } else {
            self.end = self.end.max(end);
        }
        self.left.extend(units);
        if now >= self.end {
            self.left.clear();
        }
        let reported = flight.spent.into_iter().chain(flight.extra);
        for unit in reported {
            let since = self.since.remove(&unit);
            self.refundable.extend(since.map(|since| (unit, since)));
        }
        self.heard = (answer.now, now);
        true
    }
}
