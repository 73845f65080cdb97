//! The upstream's response, as far as the arguments state it. Late costs and `charge: success`
//! depend on it.

use super::args::ExplainArgs;
use super::host::{header, input_error};
use crate::host::headers::Headers;
use crate::limit::{Balance, Charge, Cost};
use crate::policy::Policy;
use crate::policy::charges::Outcome;
use crate::policy::costs::{CostSource, Settlement};
use crate::policy::limits::Limit;
use crate::request::checks::units;
use crate::request::head::Request;
use crate::store::memory::MemoryStore;
use crate::store::{LimitCheck, Store};

use super::host::Proxy;

/// A response that was given; `None` if no argument is about it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) status: Option<u32>,
    headers: Headers,
}

/// The settlement of one charge once the response has arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    /// The final cost of the request in units; `None` if unknown.
    pub(super) cost: Option<u64>,
    /// They are refunded, or never charged: the response is a failure.
    pub(super) refunded: bool,
}

impl Upstream {
    pub(super) fn of(args: &ExplainArgs) -> Result<Option<Self>, String> {
        if args.status.is_none() && args.response_headers.is_empty() {
            return Ok(None);
        }
        let mut pairs = Vec::new();
        for (number, text) in (1..).zip(&args.response_headers) {
            pairs.push(header(text).map_err(|why| input_error("--response-header", number, why))?);
        }
        let pairs: Vec<(&str, &[u8])> = pairs
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect();
        Ok(Some(Self {
            status: args.status,
            headers: Headers::new(Headers::encode(&pairs)),
        }))
    }

    /// The outcome of the request, as the filter reads it; `None` without a status.
    fn outcome(&self, request: &Request) -> Option<Outcome> {
        let grpc_status = request
            .is_grpc()
            .then(|| self.headers.first("grpc-status"))
            .flatten();
        let status = self.status.or(grpc_status.map(|_| 200))?;
        Some(Outcome {
            status: u16::try_from(status).unwrap_or(u16::MAX),
            is_failure: status >= 400 || grpc_status.is_some_and(|status| status != b"0"),
            is_caused_by_client: false,
            is_grpc: grpc_status.is_some(),
        })
    }
}

/// Settles the charge of a check of a request that was admitted. Returns the counter after that, if
/// it changed.
pub(super) fn settle(
    store: &mut MemoryStore,
    proxy: &Proxy,
    policy: &Policy,
    request: &Request,
    check: &LimitCheck,
) -> (Settled, Option<Balance>) {
    let Some(limit) = policy.limit(check.owner) else {
        return (Settled::default(), None);
    };
    let upstream = proxy.upstream.as_ref();
    let outcome = upstream.and_then(|upstream| upstream.outcome(request));
    let settled = Settled {
        cost: cost(proxy, limit, check),
        refunded: outcome.is_some_and(|outcome| !limit.charge.charges(&outcome)),
    };
    let Some(charge) = &check.charge else {
        return (settled, None);
    };
    let balance = if settled.refunded {
        refund(store, proxy, check, charge)
    } else {
        let reserved = check.cost.units();
        let units = settled.cost.unwrap_or(reserved);
        let (_, rest) = charge.split(units);
        match rest {
            Some(rest) => refund(store, proxy, check, &rest),
            None if units > reserved => store
                .force_charge(
                    &check.key,
                    &check.rule,
                    units.saturating_sub(reserved),
                    proxy,
                )
                .ok()
                .map(|(reading, _)| reading.balance),
            None => None,
        }
    };
    (settled, balance)
}

fn refund(
    store: &mut MemoryStore,
    proxy: &Proxy,
    check: &LimitCheck,
    charge: &Charge,
) -> Option<Balance> {
    let refunded = store.refund(&check.key, &check.rule, charge, proxy);
    refunded.ok().map(|reading| reading.balance)
}

/// The balance of a limit, without taking anything.
pub(super) fn look(store: &mut MemoryStore, proxy: &Proxy, check: &LimitCheck) -> Balance {
    let mut look = check.clone();
    look.cost = Cost::Now(0);
    store.try_charge_all(std::slice::from_mut(&mut look), proxy.now, proxy);
    super::outcome::balance(&look)
}

/// The cost of an admitted request; `None` if the arguments do not state it.
fn cost(proxy: &Proxy, limit: &Limit, check: &LimitCheck) -> Option<u64> {
    let cost = limit.costs.get(check.cost_number);
    let settlement = cost.and_then(CostSource::settlement);
    match (check.cost, settlement, &proxy.upstream) {
        (Cost::Now(units), ..) => Some(units),
        (Cost::Reserved(reserved), Some(Settlement::ResponseHeader(name)), Some(upstream)) => {
            Some(units(upstream.headers.all(name), reserved))
        }
        (Cost::Reserved(_), ..) => None,
    }
}
