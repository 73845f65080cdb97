//! What one request was charged, and what it still will be.
//!
//! A cost that only the response or the body says is *late*: it is charged when it is known, and with
//! `charge: success` when it is known that the answer is no failure, too.

use super::runtime::Runtime;
use crate::base::id::CounterOwner;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{Charge, Cost, Reading, Rule};
use crate::observe::metrics::MetricsSink;
use crate::observe::{Event, Refund, Sink, observe_stats, overage};
use crate::payload::body::Measurements;
use crate::policy::Policy;
use crate::policy::limits::{ChargeWhen, CostSource};
use crate::request::checks::units;
use crate::store::key::Key;
use crate::store::{LimitCheck, Store};

/// The charges of one request, each of which is given back at most once.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    paid: Vec<Paid>,
    late: Vec<Late>,
}

/// A charge that may have to be given back.
#[derive(Debug)]
struct Paid {
    owner: CounterOwner,
    when: ChargeWhen,
    key: Key,
    rule: Rule,
    charge: Charge,
}

/// A charge that is not known yet.
#[derive(Debug)]
struct Late {
    owner: CounterOwner,
    when: ChargeWhen,
    key: Key,
    rule: Rule,
    source: Source,
    /// Known, and waiting for an answer that is no failure.
    units: Option<u64>,
}

/// What says a late cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Response,
    Bytes,
    Lines,
    /// The place among the arrays that are counted.
    Items(usize),
}

/// Who is asked and told while charges are made.
pub(super) struct Books<'a, D, H> {
    pub(super) runtime: &'a Runtime<D>,
    pub(super) host: &'a H,
}

/// The owner of a counter, and the counter after a charge or a refund.
pub(super) type Changed = (CounterOwner, Reading);

impl Ledger {
    /// The charges of a request that was admitted.
    pub(super) fn of(policy: &Policy, checks: &[LimitCheck]) -> Self {
        let limit = |check: &LimitCheck| policy.limit(check.owner);
        let paid = checks.iter().filter_map(|check| {
            // A seat is touched by whoever is admitted.
            let when = limit(check).map_or(ChargeWhen::Admitted, |limit| limit.charge);
            Some(Paid { owner: check.owner, when, key: check.key, rule: check.rule, charge: check.charge? })
        });
        let mut arrays = 0..;
        // A shadow that would have refused is charged nothing, and neither is what cannot be had.
        let later = checks.iter().filter(|check| check.cost == Cost::Later);
        let late = later.filter_map(|check| {
            let source = match limit(check)?.cost {
                CostSource::ResponseHeader(_) => Source::Response,
                CostSource::Bytes => Source::Bytes,
                CostSource::Lines => Source::Lines,
                CostSource::Items(_) => Source::Items(arrays.next()?),
                CostSource::Fixed(_) | CostSource::Header(_) => return None,
            };
            let late = Late {
                owner: check.owner,
                when: limit(check)?.charge,
                key: check.key,
                rule: check.rule,
                source,
                units: None,
            };
            (check.answer.is_ok() && !check.denies()).then_some(late)
        });
        Self { paid: paid.collect(), late: late.collect() }
    }

    /// Whether the answer's status is of any interest.
    pub(super) fn asks_for_success(&self) -> bool {
        let paid = self.paid.iter().map(|paid| paid.when);
        paid.chain(self.late.iter().map(|late| late.when)).any(|when| when == ChargeWhen::Success)
    }

    /// The request was not admitted after all, or goes on as another one: nothing of it stays.
    pub(super) fn cancel<D: SharedData, H: Host>(&mut self, books: &Books<'_, D, H>, why: Refund) -> Vec<Changed> {
        self.late.clear();
        books.refund(self.paid.drain(..), why)
    }

    /// The answer is a failure: who pays for success alone has not paid.
    pub(super) fn fail<D: SharedData, H: Host>(&mut self, books: &Books<'_, D, H>) -> Vec<Changed> {
        self.late.retain(|late| late.when != ChargeWhen::Success);
        books.refund(self.paid.extract_if(.., |paid| paid.when == ChargeWhen::Success), Refund::Failed)
    }

    /// The answer is no failure: what waited for that is charged.
    pub(super) fn succeed<D: SharedData, H: Host>(&mut self, books: &Books<'_, D, H>) -> Vec<Changed> {
        self.late.iter_mut().for_each(|late| late.when = ChargeWhen::Admitted);
        self.charge(books, |late| late.units)
    }

    /// The response's head has come, which says some costs.
    pub(super) fn hear_response<D: SharedData, H: Host>(&mut self, books: &Books<'_, D, H>) -> Vec<Changed> {
        if !self.late.iter().any(|late| late.source == Source::Response) {
            return Vec::new();
        }
        let headers = books.host.response_headers();
        let said = |late: &Late| {
            let name = (late.source == Source::Response).then(|| books.cost_header(late.owner))??;
            Some(units(headers.all(name)))
        };
        self.charge(books, said)
    }

    /// The body has ended, or comes no further, which says the other costs.
    pub(super) fn hear_body<D: SharedData, H: Host>(
        &mut self,
        books: &Books<'_, D, H>,
        measured: &Measurements,
    ) -> Vec<Changed> {
        let said = |late: &Late| match late.source {
            Source::Response => None,
            Source::Bytes => Some(measured.bytes),
            // What cannot be read counts as one.
            Source::Lines => Some(measured.lines.unwrap_or(1)),
            Source::Items(place) => Some(measured.items.get(place).copied().flatten().unwrap_or(1)),
        };
        for late in &mut self.late {
            late.units = late.units.or_else(|| said(late));
        }
        self.charge(books, |late| late.units.filter(|_| late.when == ChargeWhen::Admitted))
    }

    /// The request is refused after its body was read for it, as far as `measured` says: it pays as one
    /// that is answered well, and one unit at least. A body that is refused before a byte of it was read,
    /// because too many came at once, would cost nothing otherwise.
    pub(super) fn keep<D: SharedData, H: Host>(
        &mut self,
        books: &Books<'_, D, H>,
        measured: Option<&Measurements>,
    ) -> Vec<Changed> {
        let one_at_least = |units: Option<u64>| units.map(|units| units.max(1));
        let measured = measured.map(|measured| Measurements {
            bytes: measured.bytes.max(1),
            lines: one_at_least(measured.lines),
            items: measured.items.iter().copied().map(one_at_least).collect(),
        });
        let mut changed = measured.map(|measured| self.hear_body(books, &measured)).unwrap_or_default();
        changed.extend(self.charge(books, |late| late.units.or(Some(1))));
        changed
    }

    /// The request is refused before the upstream has answered it: it has touched no seat.
    pub(super) fn leave_seats<D: SharedData, H: Host>(&mut self, books: &Books<'_, D, H>) {
        let touches = self.paid.extract_if(.., |paid| matches!(paid.charge, Charge::Seats(_)));
        books.refund(touches, Refund::PayloadRefused);
    }

    /// The stream is over without an answer: who hangs up has paid, and what a response would have said
    /// counts as one.
    pub(super) fn close<D: SharedData, H: Host>(&mut self, books: &Books<'_, D, H>) {
        self.charge(books, |late| late.units.or(Some(1)));
    }

    /// Charges all late costs for which `units` knows how many.
    fn charge<D: SharedData, H: Host>(
        &mut self,
        books: &Books<'_, D, H>,
        units: impl Fn(&Late) -> Option<u64>,
    ) -> Vec<Changed> {
        let mut changed = Vec::new();
        let paid = &mut self.paid;
        self.late.retain(|late| {
            let Some(units) = units(late) else { return true };
            if let Some((reading, charge)) = books.force_charge(late, units) {
                changed.push((late.owner, reading));
                let Late { owner, when, key, rule, .. } = *late;
                paid.push(Paid { owner, when, key, rule, charge });
            }
            false
        });
        changed
    }
}

impl<'a, D: SharedData, H: Host> Books<'a, D, H> {
    pub(super) fn sink(&self) -> MetricsSink<'a, H> {
        MetricsSink { counters: &self.runtime.counters, meter: self.host }
    }

    /// The response header that says what a limit costs.
    fn cost_header(&self, owner: CounterOwner) -> Option<&str> {
        match &self.runtime.policy.limit(owner)?.cost {
            CostSource::ResponseHeader(name) => Some(name),
            CostSource::Fixed(_)
            | CostSource::Header(_)
            | CostSource::Bytes
            | CostSource::Lines
            | CostSource::Items(_) => None,
        }
    }

    /// Charges what a request turned out to cost.
    fn force_charge(&self, late: &Late, units: u64) -> Option<(Reading, Charge)> {
        if units == 0 {
            return None;
        }
        let mut store = self.runtime.store.borrow_mut();
        let charged = store.force_charge(&late.key, &late.rule, units, self.host);
        let stats = store.drain_stats();
        drop(store);
        let sink = self.sink();
        observe_stats(&sink, stats);
        charged
            .inspect(|(reading, _)| {
                sink.observe(Event::Charged { owner: late.owner, units });
                overage(late.owner, reading.balance, units).into_iter().for_each(|event| sink.observe(event));
            })
            .inspect_err(|fault| sink.observe(Event::Fault(*fault)))
            .ok()
    }

    fn refund(&self, paid: impl Iterator<Item = Paid>, why: Refund) -> Vec<Changed> {
        let mut store = self.runtime.store.borrow_mut();
        let (sink, mut changed) = (self.sink(), Vec::new());
        for Paid { owner, key, rule, charge, .. } in paid {
            match store.refund(&key, &rule, &charge, self.host) {
                Ok(reading) => {
                    sink.observe(Event::Refunded { owner, why });
                    changed.push((owner, reading));
                }
                Err(fault) => sink.observe(Event::Fault(fault)),
            }
        }
        let stats = store.drain_stats();
        drop(store);
        observe_stats(&sink, stats);
        changed
    }
}
