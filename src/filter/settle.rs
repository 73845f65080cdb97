//! The charges of one request, made and pending.
//!
//! A cost that only the body or the response states is *reserved* when the request is admitted, and
//! settled when it is known: the difference is charged or refunded. A charge that depends on the
//! response is refunded if the response turns out not to count.

use super::runtime::Runtime;
use super::stream::StreamState;
use crate::base::id::CounterOwner;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{Charge, Cost, Reading, Rule};
use crate::observe::{Event, Refund, overage};
use crate::payload::body::Measurements;
use crate::policy::Policy;
use crate::policy::charges::Outcome;
use crate::policy::costs::{CostSource, Settlement};
use crate::request::checks::units;
use crate::store::key::Key;
use crate::store::shared::SharedStore;
use crate::store::{LimitCheck, Store as _};

/// The charges of one request, each of which is refunded at most once.
#[derive(Debug, Default)]
pub(super) struct Charges(Vec<Charged>);

/// A charge that may have to be refunded.
#[derive(Debug)]
struct Charged {
    owner: CounterOwner,
    key: Key,
    rule: Rule,
    charge: Charge,
    /// The source by which the charge will be settled.
    pending: Option<Pending>,
}

/// A cost that is not known yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    source: Source,
    /// The number of the cost among those of the limit.
    cost_number: usize,
    /// The units that were charged in its place.
    reserved: u64,
}

/// A source that states a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Response,
    Bytes,
    Lines,
    /// The index among the arrays whose items the body's inspection counts.
    Items(usize),
}

/// The context of a stream: its policy, and the host of the current callback.
pub(super) struct StreamCx<'a, D, H> {
    pub(super) runtime: &'a Runtime<D>,
    pub(super) host: &'a H,
}

/// A counter that a charge or a refund has changed.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) owner: CounterOwner,
    pub(super) reading: Reading,
}

impl Source {
    /// `arrays` is the number of arrays counted so far.
    const fn of(by: &Settlement, arrays: &mut usize) -> Self {
        match by {
            Settlement::ResponseHeader(_) => Self::Response,
            Settlement::Bytes => Self::Bytes,
            Settlement::Lines => Self::Lines,
            Settlement::Items(_) => {
                let index = *arrays;
                *arrays = arrays.saturating_add(1);
                Self::Items(index)
            }
        }
    }

    /// The units that a body states.
    fn units(self, measured: &Measurements) -> Option<u64> {
        match self {
            Self::Response => None,
            Self::Bytes => Some(measured.bytes),
            // An unreadable body counts as one.
            Self::Lines => Some(measured.lines.unwrap_or(1)),
            Self::Items(index) => Some(measured.items.get(index).copied().flatten().unwrap_or(1)),
        }
    }
}

impl Charges {
    /// The charges of a request that these checks admit.
    pub(super) fn of(policy: &Policy, checks: &[LimitCheck]) -> Self {
        let mut charges = Vec::new();
        let mut arrays = 0;
        for check in checks {
            let LimitCheck {
                owner, key, rule, ..
            } = *check;
            let pending = match check.cost {
                Cost::Reserved(reserved) => {
                    let limit = policy.limit(owner);
                    let cost = limit.and_then(|limit| limit.costs.get(check.cost_number));
                    cost.and_then(CostSource::settlement).map(|by| Pending {
                        source: Source::of(by, &mut arrays),
                        cost_number: check.cost_number,
                        reserved,
                    })
                }
                Cost::Now(_) => None,
            };
            // A limit in shadow that would have refused charges nothing, nor does a counter that
            // cannot be read.
            if let Some(charge) = check.charge {
                charges.push(Charged {
                    owner,
                    key,
                    rule,
                    charge,
                    pending,
                });
            }
        }
        Self(charges)
    }

    /// Whether a charge depends on the response.
    pub(super) fn depend_on_response(&self, policy: &Policy) -> bool {
        self.0.iter().any(|charged| {
            policy
                .limit(charged.owner)
                .is_some_and(|limit| limit.charge.depends_on_response())
        })
    }

    /// Refunds everything: the request was not admitted after all, or continues as another one.
    pub(super) fn cancel<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        why: Refund,
    ) -> Vec<Changed> {
        cx.refund_all(self.0.drain(..), why)
    }

    /// Refunds charges that do not apply to a request with this outcome.
    pub(super) fn conclude<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        outcome: &Outcome,
    ) -> Vec<Changed> {
        let policy = &cx.runtime.policy;
        let mut changed = Vec::new();
        self.0.retain(|charged| {
            // A seat limit is charged by admission.
            let when = policy.limit(charged.owner).map(|limit| &limit.charge);
            let why = when
                .filter(|when| !when.charges(outcome))
                .and_then(Refund::by_response);
            if let Some(why) = why {
                changed.extend(cx.refund(charged, why));
            }
            why.is_none()
        });
        changed
    }

    /// Settles the costs that the response head states. A response that states none keeps the
    /// reservation.
    pub(super) fn settle_response<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
    ) -> Vec<Changed> {
        if !self.has_pending(|source| source == Source::Response) {
            return Vec::new();
        }
        let headers = cx.host.response_headers();
        self.settle(cx, |owner, pending| match pending.source {
            Source::Response => {
                let name = cx.cost_header(owner, pending.cost_number)?;
                Some(units(headers.all(name), pending.reserved))
            }
            Source::Bytes | Source::Lines | Source::Items(_) => None,
        })
    }

    /// Settles the costs that the body states: it has ended, or no more bytes come.
    pub(super) fn settle_body<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        measured: &Measurements,
    ) -> Vec<Changed> {
        self.settle(cx, |_, pending| pending.source.units(measured))
    }

    /// Settles the costs of a request that is refused although its body was read, as far as
    /// `measured` says. It pays at least one unit. Otherwise a body that is refused before its
    /// first byte was read, because too many came at once, would cost nothing.
    pub(super) fn settle_refused<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        measured: Option<&Measurements>,
    ) -> Vec<Changed> {
        let Some(measured) = measured else {
            return Vec::new();
        };
        self.settle(cx, |_, pending| {
            pending.source.units(measured).map(|units| units.max(1))
        })
    }

    /// Refunds the seats: the request is refused before the upstream has answered it.
    pub(super) fn refund_seats<D: SharedData, H: Host>(&mut self, cx: &StreamCx<'_, D, H>) {
        let seats = self
            .0
            .extract_if(.., |charged| matches!(charged.charge, Charge::Seats(_)));
        cx.refund_all(seats, Refund::PayloadRefused);
    }

    /// The stream is over. A cost that was never stated is the reservation: a client that hangs up
    /// pays.
    pub(super) fn finish<D: SharedData, H: Host>(&mut self, cx: &StreamCx<'_, D, H>) {
        for charged in self.0.drain(..) {
            if let Some(Pending { reserved, .. }) = charged.pending {
                cx.observe(Event::Charged {
                    owner: charged.owner,
                    units: reserved,
                });
            }
        }
    }

    fn has_pending(&self, of: impl Fn(Source) -> bool) -> bool {
        let mut pending = self.0.iter().filter_map(|charged| charged.pending);
        pending.any(|pending| of(pending.source))
    }

    /// Settles all charges whose cost `stated` knows.
    fn settle<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        stated: impl Fn(CounterOwner, Pending) -> Option<u64>,
    ) -> Vec<Changed> {
        let (mut changed, mut extra) = (Vec::new(), Vec::new());
        self.0.retain_mut(|charged| {
            let known = charged
                .pending
                .and_then(|pending| Some((pending, stated(charged.owner, pending)?)));
            let Some((Pending { reserved, .. }, units)) = known else {
                return true;
            };
            charged.pending = None;
            // Envoy's counters only go up.
            if units > 0 {
                cx.observe(Event::Charged {
                    owner: charged.owner,
                    units,
                });
            }
            if units > reserved {
                let more = cx.force_charge(charged, units.saturating_sub(reserved));
                if let Some((reading, charge)) = more {
                    changed.push(charged.changed(reading));
                    extra.push(charged.with(charge));
                }
                return true;
            }
            let (kept, rest) = charged.charge.split(units);
            if let Some(rest) = rest {
                changed.extend(cx.refund_one(&charged.with(rest)));
            }
            charged.charge = kept;
            units > 0
        });
        self.0.append(&mut extra);
        changed
    }
}

impl Charged {
    /// The same with another receipt, which is settled.
    const fn with(&self, charge: Charge) -> Self {
        Self {
            owner: self.owner,
            key: self.key,
            rule: self.rule,
            charge,
            pending: None,
        }
    }

    const fn changed(&self, reading: Reading) -> Changed {
        Changed {
            owner: self.owner,
            reading,
        }
    }
}

impl<D, H: Host> StreamCx<'_, D, H> {
    /// Counts one event.
    pub(super) fn observe(&self, event: Event) {
        self.runtime.metrics.observe(self.host, event);
    }

    /// Counts the admission: nothing can refuse the request any more.
    pub(super) fn observe_admission(&self, stream: &mut StreamState) {
        for event in stream.admission.drain(..) {
            self.observe(event);
        }
        self.count_kept(stream);
    }

    /// Counts the charges, and no admission: the request is refused, and pays all the same.
    pub(super) fn observe_charges(&self, stream: &mut StreamState) {
        stream
            .admission
            .retain(|event| !matches!(event, Event::Decision { .. } | Event::Unlimited));
        stream.usage.clear();
        self.observe_admission(stream);
    }
}

impl<D: SharedData, H: Host> StreamCx<'_, D, H> {
    /// Changes counters, and counts the events of the store meanwhile.
    pub(super) fn with_store<T>(&self, change: impl FnOnce(&mut SharedStore<D>) -> T) -> T {
        self.runtime.with_counters(self.host, change)
    }

    /// The response header that states the cost for a limit.
    fn cost_header(&self, owner: CounterOwner, cost_number: usize) -> Option<&str> {
        let limit = self.runtime.policy.limit(owner)?;
        match limit.costs.get(cost_number)?.settlement()? {
            Settlement::ResponseHeader(name) => Some(name),
            Settlement::Bytes | Settlement::Lines | Settlement::Items(_) => None,
        }
    }

    /// Charges the part of a request's cost beyond its reservation.
    fn force_charge(&self, charged: &Charged, units: u64) -> Option<(Reading, Charge)> {
        let rule = charged.rule.at(|| self.host.steady());
        let result =
            self.with_store(|store| store.force_charge(&charged.key, &rule, units, self.host));
        self.runtime.note_change(charged.owner, charged.key, &rule);
        match result {
            Ok((reading, charge)) => {
                if let Some(event) = overage(charged.owner, reading.balance, units) {
                    self.observe(event);
                }
                Some((reading, charge))
            }
            Err(fault) => {
                self.observe(Event::Fault(fault));
                None
            }
        }
    }

    fn refund_all(&self, charges: impl Iterator<Item = Charged>, why: Refund) -> Vec<Changed> {
        let mut changed = Vec::new();
        for charged in charges {
            changed.extend(self.refund(&charged, why));
        }
        changed
    }

    fn refund(&self, charged: &Charged, why: Refund) -> Option<Changed> {
        let changed = self.refund_one(charged)?;
        self.observe(Event::Refunded {
            owner: charged.owner,
            why,
        });
        Some(changed)
    }

    fn refund_one(&self, charged: &Charged) -> Option<Changed> {
        let rule = charged.rule.at(|| self.host.steady());
        let refunded =
            self.with_store(|store| store.refund(&charged.key, &rule, &charged.charge, self.host));
        self.runtime.note_change(charged.owner, charged.key, &rule);
        match refunded {
            Ok(reading) => Some(charged.changed(reading)),
            Err(fault) => {
                self.observe(Event::Fault(fault));
                None
            }
        }
    }
}
