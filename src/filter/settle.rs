//! What one request was charged, and what it will be charged.
//!
//! A cost that only the body or the response states is *deferred*: it is charged when it is known.
//! With `charge: success` the charge also waits until the response has turned out to be no failure.

use super::runtime::Runtime;
use super::stream::StreamState;
use crate::base::id::CounterOwner;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::limit::{Charge, Cost, Reading, Rule};
use crate::observe::{Event, Refund, overage, store_events};
use crate::payload::body::Measurements;
use crate::policy::Policy;
use crate::policy::limits::{ChargeWhen, CostSource};
use crate::request::checks::units;
use crate::store::key::Key;
use crate::store::{LimitCheck, Store, StoreStats};

/// The charges of one request, each of which is refunded at most once.
#[derive(Debug, Default)]
pub(super) struct Charges {
    charged: Vec<Charged>,
    deferred: Vec<Deferred>,
}

/// A charge that may have to be refunded.
#[derive(Debug)]
struct Charged {
    owner: CounterOwner,
    when: ChargeWhen,
    key: Key,
    rule: Rule,
    charge: Charge,
}

/// A charge that is still to be made.
#[derive(Debug)]
struct Deferred {
    owner: CounterOwner,
    when: ChargeWhen,
    key: Key,
    rule: Rule,
    source: Source,
    /// The units, if they are known and only the outcome is not.
    units: Option<u64>,
}

/// What states a deferred cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Response,
    Bytes,
    Lines,
    /// The index among the arrays whose items the body's inspection counts.
    Items(usize),
}

/// What a stream acts with: its policy, and the host of the current callback.
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
    /// The source of a cost that is deferred. `arrays` is the number of arrays counted so far.
    const fn of(cost: &CostSource, arrays: &mut usize) -> Option<Self> {
        match cost {
            CostSource::ResponseHeader(_) => Some(Self::Response),
            CostSource::Bytes => Some(Self::Bytes),
            CostSource::Lines => Some(Self::Lines),
            CostSource::Items(_) => {
                let index = *arrays;
                *arrays = arrays.saturating_add(1);
                Some(Self::Items(index))
            }
            CostSource::Fixed(_) | CostSource::Header(_) => None,
        }
    }
}

impl Charges {
    /// The charges of a request that these checks admit.
    pub(super) fn of(policy: &Policy, checks: &[LimitCheck]) -> Self {
        let mut charges = Self::default();
        let mut arrays = 0;
        for check in checks {
            let LimitCheck {
                owner, key, rule, ..
            } = *check;
            let limit = policy.limit(owner);
            if let Some(charge) = check.charge {
                // A seat limit is charged by admission.
                let when = limit.map_or(ChargeWhen::Admitted, |limit| limit.charge);
                charges.charged.push(Charged {
                    owner,
                    when,
                    key,
                    rule,
                    charge,
                });
            }
            if check.cost == Cost::Later
                && let Some(limit) = limit
                && let Some(source) = Source::of(&limit.cost, &mut arrays)
                // A limit in shadow that would have refused charges nothing, nor does a counter
                // that cannot be read.
                && check.answer.is_ok()
                && !check.denies()
            {
                let when = limit.charge;
                charges.deferred.push(Deferred {
                    owner,
                    when,
                    key,
                    rule,
                    source,
                    units: None,
                });
            }
        }
        charges
    }

    /// Whether a charge depends on the outcome of the request.
    pub(super) fn depend_on_success(&self) -> bool {
        let charged = self.charged.iter().map(|charged| charged.when);
        charged
            .chain(self.deferred.iter().map(|deferred| deferred.when))
            .any(|when| when == ChargeWhen::Success)
    }

    /// Refunds everything: the request was not admitted after all, or goes on as another one.
    pub(super) fn cancel<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        why: Refund,
    ) -> Vec<Changed> {
        self.deferred.clear();
        cx.refund(self.charged.drain(..), why)
    }

    /// Refunds what only success is charged for: the response is a failure.
    pub(super) fn fail<D: SharedData, H: Host>(&mut self, cx: &StreamCx<'_, D, H>) -> Vec<Changed> {
        self.deferred
            .retain(|deferred| deferred.when != ChargeWhen::Success);
        cx.refund(
            self.charged
                .extract_if(.., |charged| charged.when == ChargeWhen::Success),
            Refund::Failed,
        )
    }

    /// Charges what waited for success: the response is no failure.
    pub(super) fn succeed<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
    ) -> Vec<Changed> {
        for deferred in &mut self.deferred {
            deferred.when = ChargeWhen::Admitted;
        }
        self.charge(cx, |deferred| deferred.units)
    }

    /// Charges the costs that the response head states.
    pub(super) fn settle_response<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
    ) -> Vec<Changed> {
        if !self
            .deferred
            .iter()
            .any(|deferred| deferred.source == Source::Response)
        {
            return Vec::new();
        }
        let headers = cx.host.response_headers();
        self.charge(cx, |deferred| match deferred.source {
            Source::Response => Some(units(headers.all(cx.cost_header(deferred.owner)?))),
            Source::Bytes | Source::Lines | Source::Items(_) => None,
        })
    }

    /// Charges the costs that the body states: it has ended, or no more of it will arrive.
    pub(super) fn settle_body<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        measured: &Measurements,
    ) -> Vec<Changed> {
        for deferred in &mut self.deferred {
            deferred.units = deferred.units.or_else(|| deferred.source.units(measured));
        }
        self.charge(cx, |deferred| {
            deferred
                .units
                .filter(|_| deferred.when == ChargeWhen::Admitted)
        })
    }

    /// Charges a request that is refused although its body was read, as far as `measured` says. It
    /// pays as if it had succeeded, and at least one unit. Otherwise a body that is refused before
    /// its first byte was read, because too many arrived at once, would cost nothing.
    pub(super) fn charge_in_full<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        measured: Option<&Measurements>,
    ) -> Vec<Changed> {
        if let Some(measured) = measured {
            for deferred in &mut self.deferred {
                let units = || deferred.source.units(measured).map(|units| units.max(1));
                deferred.units = deferred.units.or_else(units);
            }
        }
        self.charge_the_rest(cx)
    }

    /// Refunds the seats: the request is refused before the upstream has answered it.
    pub(super) fn refund_seats<D: SharedData, H: Host>(&mut self, cx: &StreamCx<'_, D, H>) {
        let seats = self
            .charged
            .extract_if(.., |charged| matches!(charged.charge, Charge::Seats(_)));
        cx.refund(seats, Refund::PayloadRefused);
    }

    /// Charges the remaining costs, whatever the outcome: the stream ends without a response, or is
    /// refused here. A client that hangs up pays, and a cost that nothing has stated counts as one.
    pub(super) fn charge_the_rest<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
    ) -> Vec<Changed> {
        self.charge(cx, |deferred| deferred.units.or(Some(1)))
    }

    /// Makes all deferred charges whose `units` are known.
    fn charge<D: SharedData, H: Host>(
        &mut self,
        cx: &StreamCx<'_, D, H>,
        units: impl Fn(&Deferred) -> Option<u64>,
    ) -> Vec<Changed> {
        let mut changed = Vec::new();
        let Self { charged, deferred } = self;
        deferred.retain(|deferred| {
            let Some(units) = units(deferred) else {
                return true;
            };
            if let Some((reading, charge)) = cx.force_charge(deferred, units) {
                let Deferred {
                    owner,
                    when,
                    key,
                    rule,
                    ..
                } = *deferred;
                changed.push(Changed { owner, reading });
                charged.push(Charged {
                    owner,
                    when,
                    key,
                    rule,
                    charge,
                });
            }
            false
        });
        changed
    }
}

impl Source {
    /// The units that a body states.
    fn units(self, measured: &Measurements) -> Option<u64> {
        match self {
            Self::Response => None,
            Self::Bytes => Some(measured.bytes),
            // What cannot be read counts as one.
            Self::Lines => Some(measured.lines.unwrap_or(1)),
            Self::Items(index) => Some(measured.items.get(index).copied().flatten().unwrap_or(1)),
        }
    }
}

impl<D, H: Host> StreamCx<'_, D, H> {
    /// Counts one event.
    pub(super) fn observe(&self, event: Event) {
        self.runtime.metrics.observe(self.host, event);
    }

    /// Counts what happened in the store.
    pub(super) fn observe_stats(&self, stats: StoreStats) {
        store_events(stats, |event| self.observe(event));
    }

    /// Counts the admission: nothing can refuse the request any more.
    pub(super) fn observe_admission(&self, stream: &mut StreamState) {
        for event in stream.admission.drain(..) {
            self.observe(event);
        }
    }

    /// Counts the charges, and no admission: the request is refused, and pays all the same.
    pub(super) fn observe_charges(&self, stream: &mut StreamState) {
        stream
            .admission
            .retain(|event| !matches!(event, Event::Decision { .. } | Event::Unlimited));
        self.observe_admission(stream);
    }
}

impl<D: SharedData, H: Host> StreamCx<'_, D, H> {
    /// The response header that states what a limit costs.
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

    /// Charges what a request has turned out to cost.
    fn force_charge(&self, deferred: &Deferred, units: u64) -> Option<(Reading, Charge)> {
        if units == 0 {
            return None;
        }
        let mut store = self.runtime.store.borrow_mut();
        let charged = store.force_charge(&deferred.key, &deferred.rule, units, self.host);
        let stats = store.drain_stats();
        drop(store);
        self.observe_stats(stats);
        match charged {
            Ok((reading, charge)) => {
                self.observe(Event::Charged {
                    owner: deferred.owner,
                    units,
                });
                if let Some(event) = overage(deferred.owner, reading.balance, units) {
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

    fn refund(&self, charges: impl Iterator<Item = Charged>, why: Refund) -> Vec<Changed> {
        let mut store = self.runtime.store.borrow_mut();
        let mut changed = Vec::new();
        for Charged {
            owner,
            key,
            rule,
            charge,
            ..
        } in charges
        {
            match store.refund(&key, &rule, &charge, self.host) {
                Ok(reading) => {
                    self.observe(Event::Refunded { owner, why });
                    changed.push(Changed { owner, reading });
                }
                Err(fault) => self.observe(Event::Fault(fault)),
            }
        }
        let stats = store.drain_stats();
        drop(store);
        self.observe_stats(stats);
        changed
    }
}
